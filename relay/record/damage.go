package record

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// damagedExt ends the name of a file that cannot be read and was set aside. Nothing reads
// or deletes it.
const damagedExt = ".damaged"

// errFormat says that a file is of a later version: nothing is wrong with it.
var errFormat = errors.New("written by a later version")

// guarded is f, whose panics are errors: the Parquet reader has some where a file is
// damaged in places that no checksum covers.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("damaged: %v", p)
		}
	}()
	return f()
}

// aside is a file that could not be read and has another name now.
type aside struct {
	path, as string
	err      error
}

// Error implements error.
func (a *aside) Error() string {
	return fmt.Sprintf("record: %s cannot be read and is now %s: %v", a.path, filepath.Base(a.as), a.err)
}

// Unwrap is the reason.
func (a *aside) Unwrap() error { return a.err }

// setAside renames a file that cannot be read for the reason why; never over another one.
// It returns an *aside, or what kept it from doing so.
func setAside(path string, why error) (*aside, error) {
	for n := 1; ; n++ {
		to := path + damagedExt
		if n > 1 {
			to = fmt.Sprintf("%s.%d%s", path, n, damagedExt)
		}
		switch _, err := os.Lstat(to); {
		case errors.Is(err, fs.ErrNotExist):
			if err := os.Rename(path, to); err != nil {
				return nil, err
			}
			return &aside{path, to, why}, syncDir(filepath.Dir(path))
		case err != nil:
			return nil, err
		}
	}
}

// badFile is a file that cannot be read; its text is that of err.
type badFile struct {
	path string
	err  error
}

// Error implements error.
func (b *badFile) Error() string { return b.err.Error() }

// Unwrap is the reason.
func (b *badFile) Unwrap() error { return b.err }

// setAside sets it aside, unless the reason lies elsewhere.
func (b *badFile) setAside() (*aside, error) {
	if sound(b.err) {
		return nil, b.err
	}
	return setAside(b.path, b.err)
}

// sound reports whether the reason for which a file was not opened lies outside the file:
// then it is left as it is.
func sound(err error) bool {
	for _, outside := range []error{errFormat, fs.ErrPermission, unix.EMFILE, unix.ENFILE, unix.ENOMEM} {
		if errors.Is(err, outside) {
			return true
		}
	}
	return false
}

// listAside are the finished files of a recording that were set aside.
func listAside(root string) (paths []string) {
	streams, _ := listStreams(root) // whoever lists the recording tells the errors
	for _, s := range streams {
		entries, _ := os.ReadDir(s.dir(root))
		for _, e := range entries {
			if name := e.Name(); strings.HasSuffix(name, damagedExt) && strings.Contains(name, parquetExt) {
				paths = append(paths, filepath.Join(s.dir(root), name))
			}
		}
	}
	return paths
}
