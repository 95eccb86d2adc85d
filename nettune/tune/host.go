package tune

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// maxFile bounds what is read of one file; numa_maps of a large process is the
// longest.
const maxFile = 8 << 20

// Host is a machine as files and network devices: this one, or a copied tree.
// Its methods may be called from one goroutine at a time.
type Host struct {
	root *os.Root // nil: this machine
	dir  string
	nic  NIC
	seen map[string][]byte // files read, when recording
}

// Live is this machine, seen from the calling process: its network namespace,
// its mounts, its cgroup.
func Live() *Host { return &Host{nic: &ethtoolNIC{}} }

// Tree is a copy of /proc, /sys and /dev files below dir, with each device's
// ethtool output in dir/ethtool/IFACE (see the package comment). Links that
// lead out of dir are refused.
func Tree(dir string) (*Host, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("tune: tree: %w", err)
	}
	h := &Host{root: root, dir: dir}
	h.nic = treeNIC{h}
	return h, nil
}

// Live says whether h is this machine.
func (h *Host) Live() bool { return h.root == nil }

// Close frees what the host holds.
func (h *Host) Close() error {
	if c, ok := h.nic.(io.Closer); ok {
		c.Close()
	}
	if h.root != nil {
		return h.root.Close()
	}
	return nil
}

func rel(path string) string {
	p := strings.TrimPrefix(path, "/") // not cleaned: ".." after a link is the root's to resolve
	if p == "" {
		return "."
	}
	return p
}

func (h *Host) open(path string, flag int, perm fs.FileMode) (*os.File, error) {
	if h.root == nil {
		return os.OpenFile(path, flag, perm)
	}
	return h.root.OpenFile(rel(path), flag, perm)
}

// ReadFile reads at most 8 MiB of a file given by its absolute path.
func (h *Host) ReadFile(path string) ([]byte, error) {
	f, err := h.open(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err == nil && h.seen != nil {
		h.seen[path] = data
	}
	return data, err
}

// noticed records that a path is there, for Dump.
func (h *Host) noticed(path string) {
	if h.seen == nil {
		return
	}
	if _, ok := h.seen[path]; !ok {
		h.seen[path] = nil
	}
}

// text is a file's trimmed contents, or "" if it cannot be read.
func (h *Host) text(path string) string {
	data, err := h.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// names lists a folder, sorted; none if it cannot be read.
func (h *Host) names(path string) []string {
	f, err := h.open(path, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	out, _ := f.Readdirnames(-1)
	slices.Sort(out)
	for _, n := range out {
		if path != "/proc" || n[0] >= '1' && n[0] <= '9' {
			h.noticed(path + "/" + n)
		}
	}
	return out
}

// exists says whether a file or folder is there.
func (h *Host) exists(path string) bool {
	var err error
	if h.root == nil {
		_, err = os.Stat(path)
	} else {
		_, err = h.root.Stat(rel(path))
	}
	if err == nil {
		h.noticed(path)
	}
	return err == nil
}

// keepsInside refuses paths of a tree that a link leads out of it.
func (h *Host) keepsInside(paths ...string) error {
	for _, p := range paths {
		if h.root == nil {
			break
		}
		if _, err := h.root.Stat(rel(p)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("tune: %s%s: %w", h.dir, p, err)
		}
	}
	return nil
}

// base is the last element of a link's target, or of a copied file's text.
func (h *Host) base(path string) string {
	var target string
	var err error
	if h.root == nil {
		target, err = os.Readlink(path)
	} else {
		target, err = h.root.Readlink(rel(path))
	}
	if err != nil {
		return ""
	}
	if h.seen != nil {
		h.seen[path] = []byte("\x00link " + target)
	}
	return filepath.Base(target)
}

// Get reads the raw text of a key: an absolute path, or nic:IFACE/CLASS/NAME.
// An error that is fs.ErrNotExist says that this host has no such setting.
func (h *Host) Get(key string) (string, error) {
	if iface, class, name, ok := splitNIC(key); ok {
		return h.nic.Get(iface, class, name)
	}
	data, err := h.ReadFile(key)
	return string(data), err
}

// Set writes value to a key with one write and without creating anything.
func (h *Host) Set(key, value string) error {
	if iface, class, name, ok := splitNIC(key); ok {
		return h.nic.Set(iface, class, name, value)
	}
	f, err := h.open(key, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value + "\n")
	return errors.Join(err, f.Close())
}

// writable says whether a write would be let through, as far as permissions
// tell; drivers may still refuse.
func (h *Host) writable(key string) bool {
	if _, _, _, ok := splitNIC(key); ok {
		return true // it takes CAP_NET_ADMIN, which trying tells best
	}
	if h.root == nil {
		return unix.Access(key, unix.W_OK) == nil
	}
	f, err := h.root.OpenFile(rel(key), os.O_WRONLY, 0)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// splitNIC takes "nic:IFACE/CLASS/NAME" apart.
func splitNIC(key string) (iface, class, name string, ok bool) {
	rest, ok := strings.CutPrefix(key, nicScheme)
	if !ok {
		return "", "", "", false
	}
	parts := strings.SplitN(rest, "/", 3)
	if len(parts) != 3 {
		return "", "", "", false
	}
	return parts[0], parts[1], parts[2], true
}
