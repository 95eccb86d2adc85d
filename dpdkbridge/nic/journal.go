package nic

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNotOurs is wrapped when a journal or its folder is somebody else's, or can
// be written by others: root would do what they say.
var ErrNotOurs = errors.New("not safe from others")

// maxJournal bounds what is read of a journal: a card's routes make its size.
const maxJournal = 8 << 20

func (h *Host) file(pci string) string {
	return filepath.Join(h.Journal, strings.ReplaceAll(pci, ":", "_")+".json")
}

// ours wants an open file or folder of root or the caller that nobody else can
// write.
func ours(f *os.File, kind fs.FileMode) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Mode().Type() != kind || st.Uid != 0 && st.Uid != uint32(unix.Geteuid()) || st.Mode&0o022 != 0 {
		return fmt.Errorf("%s is of user %d, %v: %w", f.Name(), st.Uid, info.Mode(), ErrNotOurs)
	}
	return nil
}

func oursDir(path string) error {
	d, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer d.Close()
	return ours(d, fs.ModeDir)
}

// readOurs reads a journal; a link is not followed, a pipe not waited for.
func readOurs(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := errors.Join(ours(f, 0), oursDir(filepath.Dir(path))); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, maxJournal))
}

// save writes the journal, safely on disk before anything is changed: under
// another name first, so that a crash leaves no half of it.
func (h *Host) save(e entry) error {
	if err := os.MkdirAll(h.Journal, 0o700); err != nil {
		return fmt.Errorf("nic: journal: %w", err)
	}
	if err := oursDir(h.Journal); err != nil {
		return fmt.Errorf("nic: journal: %w", err)
	}
	data, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(h.Journal, "new*")
	if err != nil {
		return fmt.Errorf("nic: journal: %w", err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), h.file(e.PCI))
	}
	if err != nil {
		return fmt.Errorf("nic: journal: %w", errors.Join(err, os.Remove(f.Name())))
	}
	d, err := os.Open(h.Journal)
	if err != nil {
		return fmt.Errorf("nic: journal: %w", err)
	}
	defer d.Close()
	return d.Sync()
}
