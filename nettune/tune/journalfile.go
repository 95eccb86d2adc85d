package tune

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNotOurs is returned when a journal, its lock or its folder is somebody
// else's, or can be written by others: root would write what they say.
var ErrNotOurs = errors.New("tune: the journal is not safe from others")

// ours wants an open file or folder that root or the caller owns and that
// nobody else can write. A group's members are others to root.
func ours(f *os.File, kind fs.FileMode) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	euid, others := uint32(unix.Geteuid()), uint32(0o002)
	if euid == 0 {
		others = 0o022
	}
	switch {
	case info.Mode().Type() != kind:
		return fmt.Errorf("%w: %s is no file or folder of a journal", ErrNotOurs, f.Name())
	case st.Uid != 0 && st.Uid != euid:
		return fmt.Errorf("%w: %s belongs to user %d; choose another journal, or chown it once you know what is in it", ErrNotOurs, f.Name(), st.Uid)
	case st.Mode&others != 0:
		return fmt.Errorf("%w: %s can be written by others (mode %04o); choose another journal, or chmod go-w", ErrNotOurs, f.Name(), st.Mode&0o7777)
	}
	return nil
}

// oursDir is ours for the folder of path.
func oursDir(path string) error {
	d, err := os.OpenFile(filepath.Dir(path), os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer d.Close()
	return ours(d, fs.ModeDir)
}

// readJournal reads at most 8 MiB. A link is not followed, and a pipe is not
// waited for.
func readJournal(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%w: %s is a link", ErrNotOurs, path)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := errors.Join(ours(f, 0), oursDir(path)); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// lockJournal keeps a second apply, revert or prove out. The lock dies with
// its holder.
func lockJournal(path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("tune: journal: %w (run as root, or choose another journal)", err)
	}
	if err := oursDir(path); err != nil {
		return nil, fmt.Errorf("tune: journal: %w", err)
	}
	f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%w: %s.lock is a link", ErrNotOurs, path)
	}
	if err != nil {
		return nil, fmt.Errorf("tune: journal: %w", err)
	}
	if err := ours(f, 0); err != nil {
		f.Close()
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("tune: another apply, revert or prove holds %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

// writeAtomic replaces a file so that after a crash either the old or the new
// content is there. The temporary file is always a new one.
func writeAtomic(path string, data []byte, perm fs.FileMode) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, filepath.Base(path)+".new*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(perm), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// settable says whether an entry can be one that Apply wrote: a row of the
// table that may be written, in its format, at one of its places. A journal is
// read by root, and must not lead it to any other file.
func settable(e *entry) bool {
	for _, k := range Table() {
		if k.Name == e.Knob {
			return k.Writable() && k.Path != "" && e.Format == k.Format && placePattern(k.Path).MatchString(e.Key)
		}
	}
	return false
}

// placePattern matches every key that a row's path can become.
func placePattern(path string) *regexp.Regexp {
	// An interface's name is no "." and no ".." (dev_valid_name in the kernel).
	words := strings.NewReplacer("{iface}", `(?:[^/.]|\.\.?[^/.])[^/]*`, "{rxq}", `rx-[0-9]+`, "{txq}", `tx-[0-9]+`, "{cpu}", `[0-9]+`, "{irq}", `[0-9]+`)
	parts := placeWord.FindAllStringIndex(path, -1)
	var b strings.Builder
	b.WriteString(`\A`)
	at := 0
	for _, p := range parts {
		b.WriteString(regexp.QuoteMeta(path[at:p[0]]))
		b.WriteString(words.Replace(path[p[0]:p[1]]))
		at = p[1]
	}
	b.WriteString(regexp.QuoteMeta(path[at:]))
	b.WriteString(`\z`)
	return regexp.MustCompile(b.String())
}

var placeWord = regexp.MustCompile(`\{[a-z]+\}`)
