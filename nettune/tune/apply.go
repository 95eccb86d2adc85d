package tune

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Status is what became of one setting.
type Status string

// Statuses.
const (
	Done     Status = "done"     // written and read back as written
	Kept     Status = "kept"     // was as wanted already
	Ignored  Status = "ignored"  // the write was taken and the old value is still there
	Adjusted Status = "adjusted" // the driver or kernel made another value of it
	Failed   Status = "failed"   // the write was refused
	Blocked  Status = "blocked"  // no permission here; not tried
	Gone     Status = "gone"     // the device or file is not there any more
	Foreign  Status = "foreign"  // somebody else changed it meanwhile; left alone
	Drifted  Status = "drifted"  // holds another value than after apply
)

// Result is what became of one setting.
type Result struct {
	Knob   string `json:"knob"`
	Group  Group  `json:"group"`
	Place  string `json:"place,omitempty"`
	Key    string `json:"key"`
	Old    string `json:"old"`
	New    string `json:"new"`
	Read   string `json:"read"`
	Status Status `json:"status"`
	Error  string `json:"error,omitempty"`
}

// ApplyConfig says where the old values go.
type ApplyConfig struct {
	Journal string // file; default JournalPath
	Profile string // name, for the journal and the drop-in
	Persist bool   // also write the sysctls to DefaultDropIn, below a tree's folder

	afterWrite func(n int) // tests: called after the nth write
}

func (c *ApplyConfig) withDefaults(h *Host) {
	if c.Journal == "" {
		c.Journal = JournalPath(h)
	}
	if c.afterWrite == nil {
		c.afterWrite = func(int) {}
	}
}

// Apply writes a plan. Before the first write the old values are on disk, so
// Revert works after a crash at any instruction. Each write is read back. A
// setting that a former Apply changed keeps its first old value. Changes that
// the plan calls blocked are not tried. The error is about the
// journal or the drop-in; what became of each setting is in the results.
func Apply(ctx context.Context, h *Host, plan []Change, c ApplyConfig) ([]Result, error) {
	c.withDefaults(h)
	unlock, err := lockJournal(c.Journal)
	if err != nil {
		return nil, err
	}
	defer unlock()
	j, results, err := prepare(h, plan, c)
	if err != nil {
		return nil, err
	}
	if c.Persist {
		if err := h.keepsInside("/etc", "/etc/sysctl.d", DefaultDropIn); err != nil {
			return nil, err
		}
		j.dropIn, err = readDropIn(j.dropIn, h.dir+DefaultDropIn)
		if err != nil {
			return nil, err
		}
	}
	if err := j.save(); err != nil {
		return nil, fmt.Errorf("tune: journal: %w", err)
	}
	f, err := os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("tune: journal: %w", err)
	}
	defer f.Close()
	for i := range results {
		r := &results[i]
		if r.Status != "" {
			continue
		}
		if err := ctx.Err(); err != nil {
			return results[:i], fmt.Errorf("tune: interrupted, revert puts back what was written: %w", err)
		}
		e := j.find(r.Key)
		write(h, e.Format, r)
		c.afterWrite(i)
		if err := j.done(f, r.Key, r.Read); err != nil {
			return results[:i+1], fmt.Errorf("tune: journal: %w", err)
		}
	}
	if c.Persist {
		return results, writeDropIn(j, c.Profile)
	}
	return results, nil
}

// prepare reads the present values into a new or extended journal. Results
// without a status are to be written.
func prepare(h *Host, plan []Change, c ApplyConfig) (*journal, []Result, error) {
	j, err := loadJournal(c.Journal)
	head := newHeader(h, c.Profile)
	switch {
	case errors.Is(err, errNoJournal):
		j = &journal{path: c.Journal, head: head}
	case err != nil:
		return nil, nil, err
	case j.head.Boot != head.Boot:
		j.reboot(head)
	case j.head.Netns != head.Netns:
		return nil, nil, fmt.Errorf("%w: %s", ErrOtherNetns, c.Journal)
	}
	if c.Profile != "" {
		j.head.Profile = c.Profile
	}
	results := make([]Result, 0, len(plan))
	for _, ch := range plan {
		r := Result{Knob: ch.Knob, Group: ch.Group, Place: ch.Place, Key: ch.Key, New: ch.New}
		r.Old, err = current(h, ch.Key, ch.format)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			r.Status, r.Error = Gone, err.Error()
		case err != nil:
			r.Status, r.Error = Failed, err.Error()
		case r.Old == ch.New:
			r.Status, r.Read = Kept, r.Old
		case ch.Blocked != "":
			r.Status, r.Read, r.Error = Blocked, r.Old, ch.Blocked
		default:
			if e := j.find(ch.Key); e != nil {
				e.New, e.Read = ch.New, ""
			} else {
				j.entries = append(j.entries, entry{Knob: ch.Knob, Group: ch.Group, Place: ch.Place, Key: ch.Key,
					Format: ch.format, Netns: ch.perNetns, Old: r.Old, New: ch.New})
			}
		}
		results = append(results, r)
	}
	return j, results, nil
}

func current(h *Host, key string, f Format) (string, error) {
	raw, err := h.Get(key)
	if err != nil {
		return "", err
	}
	return f.normalize(raw)
}

// write sets r.New, reads it back and judges.
func write(h *Host, f Format, r *Result) {
	werr := h.Set(r.Key, r.New)
	read, rerr := current(h, r.Key, f)
	r.Read = read
	switch {
	case werr != nil:
		r.Status, r.Error = Failed, werr.Error()
	case rerr != nil:
		r.Status, r.Error = Failed, "read back: "+rerr.Error()
	case read == r.New:
		r.Status = Done
	case read == r.Old:
		r.Status, r.Error = Ignored, "the write was accepted and the value did not change"
	default:
		r.Status, r.Error = Adjusted, "the value became "+read
	}
}
