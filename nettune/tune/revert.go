package tune

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// Verify compares every setting in the journal with what it held after Apply,
// and the drop-in with what was written: Kept, Drifted, Gone, Failed. Without a
// journal there are no results and no error.
func Verify(h *Host, journalPath string) ([]Result, error) {
	j, err := openOwn(h, journalPath)
	if errors.Is(err, errNoJournal) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := make([]Result, 0, len(j.entries)+1)
	for _, e := range j.entries {
		r := e.result()
		read, err := current(h, e.Key, e.Format)
		r.Read = read
		want := e.Read
		if want == "" {
			want = e.New // interrupted before it was known
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			r.Status, r.Error = Gone, err.Error()
		case err != nil:
			r.Status, r.Error = Failed, err.Error()
		case read != want:
			r.Status, r.New = Drifted, want
		default:
			r.Status = Kept
		}
		out = append(out, r)
	}
	if j.dropIn != nil {
		out = append(out, j.dropIn.verify())
	}
	return out, nil
}

func (e *entry) result() Result {
	return Result{Knob: e.Knob, Group: e.Group, Place: e.Place, Key: e.Key, Old: e.Old, New: e.New}
}

// openOwn loads the journal of this boot and namespace.
func openOwn(h *Host, path string) (*journal, error) {
	if path == "" {
		path = JournalPath(h)
	}
	j, err := loadJournal(path)
	if err != nil {
		return nil, err
	}
	if j.dropIn != nil && h.Live() && j.dropIn.Path != DefaultDropIn {
		return nil, fmt.Errorf("tune: journal %s: bad drop-in %q", path, clip(j.dropIn.Path))
	}
	head := newHeader(h, "")
	if j.head.Boot != head.Boot {
		j.reboot(head)
		return j, nil
	}
	if j.head.Netns != head.Netns && slices.ContainsFunc(j.entries, func(e entry) bool { return e.Netns }) {
		return nil, fmt.Errorf("%w: %s (run it there: nsenter -n, ip netns exec)", ErrOtherNetns, path)
	}
	return j, nil
}

// RevertConfig says which journal is undone, and how.
type RevertConfig struct {
	Journal string  // file; default JournalPath
	Groups  []Group // default: all
	Force   bool    // write the old value even where somebody else changed it since

	afterWrite func(n int) // tests: called after the nth setting
}

// Revert writes every old value back, last change first, reads it back, and
// removes the journal when nothing is left in it. It may be run again after
// any interruption, and without a journal it does nothing. A value that is
// neither the one Apply left nor the old one was set by somebody else: it is
// reported as Foreign and left alone, and so is its entry, unless Force.
func Revert(ctx context.Context, h *Host, c RevertConfig) ([]Result, error) {
	if c.Journal == "" {
		c.Journal = JournalPath(h)
	}
	// Whoever holds the lock has a journal on disk, so without one there is
	// nothing to wait for, and no folder to create.
	if _, err := os.Stat(c.Journal); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	unlock, err := lockJournal(c.Journal)
	if err != nil {
		return nil, err
	}
	defer unlock()
	j, err := openOwn(h, c.Journal)
	if errors.Is(err, errNoJournal) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return j.revert(ctx, h, c)
}

func (j *journal) revert(ctx context.Context, h *Host, c RevertConfig) ([]Result, error) {
	out := []Result{}
	var left []entry
	for i := len(j.entries) - 1; i >= 0; i-- {
		e := j.entries[i]
		if len(c.Groups) > 0 && !slices.Contains(c.Groups, e.Group) {
			left = append(left, e)
			continue
		}
		if err := ctx.Err(); err != nil {
			return out, err // the journal still holds everything
		}
		r := restore(h, &e, c.Force)
		if r.Status != Done && r.Status != Kept && r.Status != Gone {
			left = append(left, e)
		}
		out = append(out, r)
		if c.afterWrite != nil {
			c.afterWrite(len(out) - 1)
		}
	}
	slices.Reverse(left)
	j.entries = left
	if j.dropIn != nil && len(c.Groups) == 0 {
		r := j.dropIn.restore(c.Force)
		out = append(out, r)
		if r.Status != Failed && r.Status != Foreign {
			j.dropIn = nil
		}
	}
	if len(j.entries) == 0 && j.dropIn == nil {
		return out, j.remove()
	}
	if j.dropIn != nil && len(c.Groups) > 0 && j.dropIn.verify().Status == Kept {
		if err := writeDropIn(j, j.head.Profile); err != nil {
			return out, err
		}
	}
	return out, j.save()
}

// restore brings one setting back.
func restore(h *Host, e *entry, force bool) Result {
	r := e.result()
	r.New, r.Old = e.Old, e.Read
	now, err := current(h, e.Key, e.Format)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.Status = Gone
		return r
	case err != nil:
		r.Status, r.Error = Failed, err.Error()
		return r
	case now == e.Old:
		r.Status, r.Read = Kept, now
		return r
	case e.Read != "" && now != e.Read && now != e.New && !force:
		r.Status, r.Read = Foreign, now
		r.Error = fmt.Sprintf("holds %s, which was not written here; --force puts %s back", now, e.Old)
		return r
	}
	r.Old = now
	write(h, e.Format, &r)
	return r
}
