package xdp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// pinsRoot is the folder of all filters within the bpffs.
const pinsRoot = "tickrelay-xdp"

// pinLink is the name of the link's pin; the maps have their own names.
const pinLink = "link"

// pins is the folder of one filter in a bpffs.
type pins struct {
	root string // of all filters; its lock serialises commands
	dir  string
}

func (p pins) path(name string) string { return filepath.Join(p.dir, name) }

// findPins names the folder of t. Interface names are unique within a network
// namespace only, so the namespace's number is part of the name; bpffs allows
// no dots.
func findPins(t Target) (pins, error) {
	var st unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
		return pins{}, fmt.Errorf("xdp: network namespace: %w", err)
	}
	if strings.ContainsRune(t.Interface, '/') || t.Interface == "" {
		return pins{}, fmt.Errorf("xdp: %q is no interface name", t.Interface)
	}
	root := filepath.Join(t.BPFFS, pinsRoot)
	name := strings.ReplaceAll(t.Interface, ".", "%2e")
	return pins{root: root, dir: filepath.Join(root, fmt.Sprintf("%s-%d", name, st.Ino))}, nil
}

// isBPFFS says whether a bpffs is mounted at path.
func isBPFFS(path string) (bool, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	return fs.Type == unix.BPF_FS_MAGIC, nil
}

// needBPFFS makes sure that path is a bpffs, and mounts the default one where
// no init system has. It says whether it did.
func needBPFFS(path string) (mounted bool, err error) {
	ok, err := isBPFFS(path)
	if ok || err != nil {
		return false, err
	}
	if path != DefaultBPFFS {
		return false, fmt.Errorf("%s is no bpffs; mount one: mount -t bpf bpf %s", path, path)
	}
	if !parentSharesMounts() {
		return false, fmt.Errorf("no bpffs at %s, and a mount in this process's own mount namespace would end with it and take the filter along; mount one on the host (with \"ip netns exec\", use \"nsenter --net=/run/netns/NAME\" instead, which keeps the host's mounts)", path)
	}
	flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_RELATIME)
	if err := unix.Mount("bpf", path, "bpf", flags, "mode=0700"); err != nil {
		return false, fmt.Errorf("mount bpffs at %s: %w", path, err)
	}
	return true, nil
}

// parentSharesMounts says whether a mount made here outlives the process,
// judged by whoever started it.
func parentSharesMounts() bool {
	own, err1 := os.Readlink("/proc/self/ns/mnt")
	parent, err2 := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", os.Getppid()))
	return err1 == nil && (own == parent || errors.Is(err2, os.ErrPermission)) // then mount will be refused too
}

// lock serialises changes to filters of this bpffs until unlock. The last
// Detach removes the folder, so whoever waited for it looks again.
func (p pins) lock() (unlock func(), err error) {
	for range 100 {
		if err := os.Mkdir(p.root, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, fmt.Errorf("%w", err)
		}
		d, err := os.Open(p.root)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%w", err)
		}
		if err := unix.Flock(int(d.Fd()), unix.LOCK_EX); err != nil {
			_ = d.Close()
			return nil, fmt.Errorf("lock %s: %w", p.root, err)
		}
		held, err1 := d.Stat()
		there, err2 := os.Stat(p.root)
		if err1 == nil && err2 == nil && os.SameFile(held, there) {
			return func() { _ = d.Close() }, nil
		}
		_ = d.Close()
	}
	return nil, fmt.Errorf("lock %s: it is removed again and again", p.root)
}

// mapNames are the pinned maps.
func mapNames() []string {
	return []string{filterMapConfig, filterMapCounters, filterMapSources, filterMapAllow, filterMapDeny}
}

// remove deletes the pins and the folder, and the folder of all filters with
// the last of them.
func (p pins) remove() error {
	var errs []error
	for _, name := range append(mapNames(), pinLink) {
		if err := os.Remove(p.path(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if err := os.Remove(p.dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		errs = append(errs, err)
	}
	_ = os.Remove(p.root) // fails while another filter lives there
	return errors.Join(errs...)
}
