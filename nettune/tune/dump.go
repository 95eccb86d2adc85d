package tune

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Dump copies what audits of every built-in profile read on h into a new or
// empty folder, which Tree opens on another machine. It returns how many files
// it wrote. Environment files, command lines and addresses beside the default
// route are not among them.
func Dump(h *Host, o Options, dir string) (int, error) {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return 0, fmt.Errorf("tune: dump: %s is not empty", dir)
	}
	rec := *h
	rec.seen = map[string][]byte{}
	said := map[string]map[string]string{}
	rec.nic = recordingNIC{h.nic, said}
	for _, name := range append(ProfileNames(), "everything") {
		o.Profile, _ = BuiltIn(name)
		if name == "everything" {
			o.Profile = everything()
		}
		if _, err := Audit(&rec, o); err != nil {
			return 0, err
		}
	}
	rec.recordClock()
	for at, values := range said {
		_, class, _ := strings.Cut(at, "/")
		rec.seen["/ethtool/"+at] = render(class, values)
	}
	return writeDump(dir, rec.seen)
}

// everything is a profile with a value for each writable knob, so that all of
// them are read; the values themselves do not matter.
func everything() Profile {
	p := Profile{Base: "none", Values: map[string]string{}}
	for _, k := range Table() {
		if k.Writable() {
			p.Values[k.Name] = map[Format]string{Choice: "x", OnOff: "on"}[k.Format]
			if p.Values[k.Name] == "" {
				p.Values[k.Name] = "0"
			}
		}
	}
	return p
}

func (h *Host) recordClock() {
	var tx unix.Timex
	if h.Live() {
		if _, err := unix.Adjtimex(&tx); err == nil {
			h.seen["/adjtimex"] = fmt.Appendf(nil, "status %d\nmaxerror %d\nesterror %d\n", tx.Status, tx.Maxerror, tx.Esterror)
		}
		var st unix.Statfs_t
		if unix.Statfs("/dev/shm", &st) == nil {
			h.seen["/proc/mounts"] = fmt.Appendf(h.seen["/proc/mounts"], "tmpfs /dev/shm tmpfs rw,size=%d 0 0\n", int64(st.Blocks)*st.Bsize)
		}
	} else if data, err := h.ReadFile("/adjtimex"); err == nil {
		h.seen["/adjtimex"] = data
	}
}

// recordingNIC keeps what a driver said.
type recordingNIC struct {
	NIC
	said map[string]map[string]string // by "IFACE/CLASS", then name
}

// Get asks and keeps the answer.
func (n recordingNIC) Get(iface, class, name string) (string, error) {
	v, err := n.NIC.Get(iface, class, name)
	if err != nil {
		return v, err
	}
	at := iface + "/" + class
	if n.said[at] == nil {
		n.said[at] = map[string]string{}
	}
	if class == "driver" {
		name = "driver"
	}
	n.said[at][name] = v
	return v, nil
}

// render writes a class as ethtool(8) prints it, so that a tree reads it.
func render(class string, values map[string]string) []byte {
	var b, current strings.Builder
	if class == "ring" {
		b.WriteString("Pre-set maximums:\n")
		current.WriteString("Current hardware settings:\n")
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		v := values[name]
		limit, isLimit := strings.CutSuffix(name, "-max")
		switch {
		case class == "ring" && isLimit:
			fmt.Fprintf(&b, "%s: %s\n", strings.ToUpper(limit), v)
		case class == "ring":
			fmt.Fprintf(&current, "%s: %s\n", strings.ToUpper(name), v)
		case name == "adaptive-rx":
			fmt.Fprintf(&b, "Adaptive RX: %s  TX: n/a\n", v)
		default:
			fmt.Fprintf(&b, "%s: %s\n", name, v)
		}
	}
	return []byte(b.String() + current.String())
}

// writeDump writes the files; names that were listed and not read become empty
// files, or folders where something lies below them.
func writeDump(dir string, seen map[string][]byte) (int, error) {
	// A virtio device's interrupts are its parent's; in a copy they lie below
	// the device itself.
	const up = "/device/../"
	paths := make([]string, 0, len(seen))
	for _, p := range slices.Collect(maps.Keys(seen)) {
		if strings.Contains(p, up) {
			at := strings.Replace(p, up, "/device/", 1)
			seen[at] = seen[p]
			p = at
		}
		paths = append(paths, p)
	}
	slices.Sort(paths)
	n := 0
	var errs []error
	for i, p := range paths {
		target := filepath.Join(dir, p)
		isDir := i+1 < len(paths) && strings.HasPrefix(paths[i+1], p+"/")
		link, isLink := strings.CutPrefix(string(seen[p]), "\x00link ")
		err := os.MkdirAll(filepath.Dir(target), 0o755)
		switch {
		case err != nil:
		case isLink && !isDir:
			err = os.Symlink(link, target)
			n++
		case isDir || slices.ContainsFunc(paths, func(q string) bool { return strings.HasPrefix(q, p+"/") }):
			err = os.MkdirAll(target, 0o755)
		case !isLink:
			err = os.WriteFile(target, seen[p], 0o644)
			n++
		}
		errs = append(errs, err)
	}
	return n, errors.Join(errs...)
}
