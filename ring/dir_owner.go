package ring

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Relays of several users share a base directory as they share /tmp, so what is
// found there may be a trap of another user: only one's own is touched.

// ownDirs are the names of this user's directories below base. An error if
// others could change what stands there meanwhile.
func ownDirs(base string) ([]string, error) {
	entries, err := os.ReadDir(base)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = checkBase(base)
	}
	if err != nil {
		return nil, err
	}
	var own []string
	for _, e := range entries {
		if checkOwn(filepath.Join(base, e.Name())) == nil {
			own = append(own, e.Name())
		}
	}
	return own, nil
}

// OwnDirs are the names of the relays' directories below base ("" means
// DefaultBase) that belong to this user, of living relays and of dead ones; for
// root too, others are left out.
func OwnDirs(base string) ([]string, error) {
	if base == "" {
		base = DefaultBase
	}
	own, err := ownDirs(base)
	if err != nil {
		return nil, fmt.Errorf("ring: %w", err)
	}
	return own, nil
}

// checkOwn refuses what is no directory, a link to one, and another user's.
func checkOwn(path string) error {
	st, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); !st.IsDir() || !ok || int(sys.Uid) != os.Geteuid() {
		return fmt.Errorf("is no directory of this user: %w", os.ErrPermission)
	}
	return nil
}

// checkBase refuses a base whose entries somebody else can exchange: that of
// another user than root, and one that others may write to without the sticky
// bit, by which only the owner of an entry may rename it (inode(7)).
func checkBase(base string) error {
	look := unix.Stat
	if base == DefaultBase {
		look = unix.Lstat // there everybody could have put a link
	}
	var st unix.Stat_t
	if err := look(base, &st); err != nil {
		return fmt.Errorf("%s: %w", base, err)
	}
	others := st.Mode&unix.S_IWOTH != 0 || st.Mode&unix.S_IWGRP != 0 && st.Gid != 0 && int(st.Gid) != os.Getegid()
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return fmt.Errorf("%s is no directory: %w", base, os.ErrPermission)
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to user %d, who could put other rings in the place of ours: %w; root may make it once with: install -d -m 1777 -o root %[1]s", base, st.Uid, os.ErrPermission)
	case others && st.Mode&unix.S_ISVTX == 0:
		return fmt.Errorf("%s lets others rename what is in it: %w; chmod +t %[1]s", base, os.ErrPermission)
	}
	return nil
}
