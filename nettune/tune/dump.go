package tune

import (
	"errors"
	"fmt"
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
	if t, ok := h.nic.(treeNIC); ok {
		t.h = &rec
		rec.nic = t
	} else {
		rec.nic = recordingNIC{h.nic, rec.seen}
	}
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

// recordingNIC keeps what a driver said in the form that a tree is read in.
type recordingNIC struct {
	NIC
	seen map[string][]byte
}

// Get asks and keeps the answer.
func (n recordingNIC) Get(iface, class, name string) (string, error) {
	v, err := n.NIC.Get(iface, class, name)
	if err != nil {
		return v, err
	}
	file := "/ethtool/" + iface + "/" + class
	line := name + ": " + v + "\n"
	switch {
	case class == "driver":
		line = "driver: " + v + "\n"
	case strings.HasPrefix(name, "adaptive-"):
		line = "Adaptive RX: " + v + "\n"
		if name == "adaptive-tx" {
			line = "TX: " + v + "\n"
		}
	case strings.HasSuffix(name, "-max"):
		line = "Pre-set maximums:\n" + strings.TrimSuffix(name, "-max") + ": " + v + "\nCurrent hardware settings:\n"
	}
	if !strings.Contains(string(n.seen[file]), line) {
		n.seen[file] = append(n.seen[file], line...)
	}
	return v, nil
}

// writeDump writes the files; names that were listed and not read become empty
// files, or folders where something lies below them.
func writeDump(dir string, seen map[string][]byte) (int, error) {
	paths := make([]string, 0, len(seen))
	for p := range seen {
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
