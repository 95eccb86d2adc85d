package tune

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// DefaultDropIn is the file that --persist writes; systemd-sysctl and sysctl
// --system read it at boot (sysctl.d(5)).
const DefaultDropIn = "/etc/sysctl.d/90-tickrelay.conf"

// readDropIn remembers the content before the first write.
func readDropIn(have *dropIn, path string) (*dropIn, error) {
	if have != nil {
		if have.Path != path {
			return nil, fmt.Errorf("tune: the journal has a drop-in at %s; revert first to use %s", have.Path, path)
		}
		return have, nil
	}
	d := &dropIn{Path: path}
	old, err := readMaybe(path)
	d.Old = old
	return d, err
}

// readMaybe is a file's content, or nil if there is none.
func readMaybe(path string) (*string, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("tune: drop-in: %w", err)
	}
	text := string(data)
	return &text, nil
}

// writeDropIn writes the sysctls of the journal that took effect. The journal
// is saved before the file, so that a crash between the two leaves nothing
// that Revert would take for somebody else's.
func writeDropIn(j *journal, profile string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Written by tickrelay tune apply --persist, profile %s.\n# tickrelay tune revert restores what was here before.\n", profile)
	for _, e := range j.entries {
		if name := sysctlName(e.Key); name != "" && e.Read == e.New {
			fmt.Fprintf(&b, "%s = %s\n", name, e.New)
		}
	}
	j.dropIn.Before, j.dropIn.Written = j.dropIn.Written, b.String()
	if err := j.save(); err != nil {
		return fmt.Errorf("tune: journal: %w", err)
	}
	if err := writeAtomic(j.dropIn.Path, []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("tune: drop-in: %w", err)
	}
	return nil
}

// dropInValues reads what writeDropIn wrote: values by sysctl name.
func dropInValues(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " = "); ok && !strings.HasPrefix(line, "#") {
			out[name] = value
		}
	}
	return out
}

func (d *dropIn) result() Result {
	return Result{Knob: "sysctl.d", Key: d.Path, Old: shape(d.Old), New: shape(&d.Written)}
}

func shape(text *string) string {
	if text == nil {
		return "no file"
	}
	return fmt.Sprintf("%d lines", strings.Count(*text, "\n"))
}

func (d *dropIn) verify() Result {
	r := d.result()
	now, err := readMaybe(d.Path)
	r.Read = shape(now)
	switch {
	case err != nil:
		r.Status, r.Error = Failed, err.Error()
	case now == nil && d.Written == "":
		r.Status = Kept
	case now == nil:
		r.Status = Gone
	case *now != d.Written:
		r.Status = Drifted
	default:
		r.Status = Kept
	}
	return r
}

func (d *dropIn) restore(force bool) Result {
	r := d.result()
	r.Old, r.New = r.New, r.Old
	now, err := readMaybe(d.Path)
	same := func(a, b *string) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }
	switch {
	case err != nil:
	case same(now, d.Old):
		r.Status, r.Read = Kept, shape(now)
		return r
	case now != nil && *now != d.Written && *now != d.Before && !force:
		r.Status, r.Read, r.Error = Foreign, shape(now), "was edited since; --force replaces it"
		return r
	case d.Old == nil:
		err = os.Remove(d.Path)
	default:
		err = writeAtomic(d.Path, []byte(*d.Old), 0o644)
	}
	if err != nil {
		r.Status, r.Error = Failed, err.Error()
		return r
	}
	r.Status, r.Read = Done, r.New
	return r
}
