package ring

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"tickrelay/ring/md"
)

const (
	// DefaultBase is the directory that holds one directory per relay.
	DefaultBase = "/dev/shm/tickrelay"
	lockName    = "lock"
	tableName   = "instruments"
)

// Dir is a relay's directory of rings, held by a lock as long as the process
// lives. Safe for concurrent use as far as different rings are concerned.
type Dir struct {
	path  string
	relay string
	perm  Perm
	lock  *descriptor
	table []byte
}

// OpenDir takes the directory base/relay, creating it; base "" means
// DefaultBase. ErrBusy if a living relay has it. Whatever a dead relay left
// there is removed; consumers that still map it find out that it is gone and
// open the new files.
func OpenDir(base, relay string, perm Perm) (*Dir, error) {
	if base == "" {
		base = DefaultBase
	}
	if err := checkName(relay); err != nil {
		return nil, fmt.Errorf("ring: relay directory: %w", err)
	}
	d := &Dir{path: filepath.Join(base, relay), relay: relay, perm: perm}
	if err := d.make(base); err != nil {
		return nil, fmt.Errorf("ring: relay directory %s: %w", d.path, err)
	}
	lock, err := takeDirLock(d.path, true)
	if err != nil {
		if errors.Is(err, ErrBusy) {
			err = fmt.Errorf("%w: relay %q is running; stop it or choose another name", ErrBusy, relay)
		}
		return nil, fmt.Errorf("ring: relay directory %s: %w", d.path, err)
	}
	d.lock = lock
	if err := errors.Join(d.permit(), removeFiles(d.path)); err != nil {
		d.lock.close()
		return nil, fmt.Errorf("ring: relay directory %s: reclaim: %w", d.path, err)
	}
	return d, nil
}

// make creates the directory and refuses one that another user controls.
func (d *Dir) make(base string) error {
	_, err := os.Lstat(base)
	if mkErr := os.MkdirAll(base, 0o755); mkErr != nil {
		return mkErr
	}
	if errors.Is(err, os.ErrNotExist) && base == DefaultBase {
		// Relays of several users share it, as they share /tmp. Any other base is
		// its owner's business.
		if err := os.Chmod(base, 0o777|os.ModeSticky); err != nil {
			return err
		}
	}
	if err := checkBase(base); err != nil {
		return err
	}
	if err := os.Mkdir(d.path, d.mode()); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return checkOwn(d.path)
}

func (d *Dir) mode() os.FileMode { return d.perm.mode(0o700, 0o050) }

// permit gives the directory its group and mode. Only who has the lock may: a
// relay that lives keeps its own.
func (d *Dir) permit() error {
	if d.perm.Group != 0 {
		if err := os.Lchown(d.path, -1, d.perm.Group); err != nil {
			return err
		}
	}
	return os.Chmod(d.path, d.mode())
}

// takeDirLock locks a relay's directory. A reclaimer may remove the lock file
// between our open and our lock; then the lock is on a file that nobody else
// will see, and we try again.
func takeDirLock(dir string, create bool) (*descriptor, error) {
	path := filepath.Join(dir, lockName)
	flags := unix.O_RDWR | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK
	if create {
		flags |= unix.O_CREAT
	}
	for range 100 {
		fd, err := unix.Open(path, flags, 0o600)
		if err != nil {
			return nil, err
		}
		d := &descriptor{fd}
		if err := tryLock(fd); err != nil {
			d.close()
			return nil, err
		}
		var mine, there unix.Stat_t
		if unix.Fstat(fd, &mine) == nil && unix.Lstat(path, &there) == nil && mine.Ino == there.Ino {
			unix.Ftruncate(fd, 0)
			unix.Pwrite(fd, fmt.Appendf(nil, "%d\n", os.Getpid()), 0) // for display only
			return d, nil
		}
		d.close()
	}
	return nil, ErrBusy
}

// removeFiles removes what belongs to a relay's directory, the lock excepted.
func removeFiles(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		n := e.Name()
		ours := n == tableName
		for _, suffix := range []string{dataSuffix, ctlSuffix, ".tmp", ".sock", ".json", ".next"} {
			ours = ours || strings.HasSuffix(n, suffix)
		}
		if ours {
			errs = append(errs, os.Remove(filepath.Join(dir, n)))
		}
	}
	return errors.Join(errs...)
}

// ReclaimDead removes the directories of relays that died, below base ("" means
// DefaultBase), and returns their names. Those of living relays and of other
// users are left alone, by root too.
func ReclaimDead(base string) ([]string, error) {
	if base == "" {
		base = DefaultBase
	}
	own, err := ownDirs(base)
	if err != nil {
		return nil, fmt.Errorf("ring: reclaim: %w", err)
	}
	var gone []string
	var errs []error
	for _, name := range own {
		dir := filepath.Join(base, name)
		lock, err := takeDirLock(dir, false)
		if err != nil {
			continue // alive, or no relay's directory
		}
		err = errors.Join(removeFiles(dir), os.Remove(filepath.Join(dir, lockName)), os.Remove(dir))
		lock.close()
		if err != nil {
			errs = append(errs, fmt.Errorf("ring: reclaim %s: %w", dir, err))
			continue
		}
		gone = append(gone, name)
	}
	return gone, errors.Join(errs...)
}

// Path is the directory itself.
func (d *Dir) Path() string { return d.path }

// CreateRing makes a ring in the directory; see CreateShm.
func (d *Dir) CreateRing(name string, capacity int, m Meta) (*Segment, error) {
	m.Relay = d.relay
	return CreateShm(d.path, name, capacity, m, d.perm)
}

// CreateTable makes the relay's instrument table with room for entries, once.
// Rings of this relay carry its id in Meta.TableID.
func (d *Dir) CreateTable(entries int) (*md.Table, error) {
	if d.table != nil {
		return nil, fmt.Errorf("ring: instrument table of %s: %w", d.path, ErrBusy)
	}
	f := &shmFiles{dir: d.path, name: tableName}
	fd, mem, err := f.createFile("", md.TableSize(entries), d.perm.mode(0o600, 0o040), d.perm, nil)
	if err != nil {
		return nil, fmt.Errorf("ring: instrument table of %s: %w", d.path, err)
	}
	defer fd.close()
	var id [8]byte
	rand.Read(id[:])
	t, err := md.CreateTable(mem, entries, binary.LittleEndian.Uint64(id[:])|1)
	if err == nil {
		err = os.Rename(f.temp(""), f.path(""))
	}
	if err != nil {
		unix.Munmap(mem)
		os.Remove(f.temp(""))
		return nil, fmt.Errorf("ring: instrument table of %s: %w", d.path, err)
	}
	d.table = mem
	return t, nil
}

// Close removes the directory with all that is in it and gives the lock back.
// Close the rings, and stop using the table, before.
func (d *Dir) Close() error {
	if d.lock == nil {
		return nil
	}
	errs := []error{removeFiles(d.path), os.Remove(filepath.Join(d.path, lockName)), os.Remove(d.path)}
	if d.table != nil {
		errs = append(errs, unix.Munmap(d.table))
		d.table = nil
	}
	errs = append(errs, d.lock.close())
	d.lock = nil
	return errors.Join(errs...)
}

// OpenTable maps a relay's instrument table read-only. Call close once nobody
// uses the view.
func OpenTable(dir string) (view *md.TableView, close func() error, err error) {
	path := filepath.Join(dir, tableName)
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("ring: open %s: %w", path, err)
	}
	defer unix.Close(fd)
	return mapTable(fd, path)
}

// mapTable maps an open instrument table; the descriptor stays the caller's.
func mapTable(fd int, path string) (*md.TableView, func() error, error) {
	mem, err := mapWhole(fd, unix.PROT_READ)
	if err != nil {
		return nil, nil, fmt.Errorf("ring: open %s: %w", path, err)
	}
	v, err := md.OpenTable(mem)
	if err != nil {
		unix.Munmap(mem)
		return nil, nil, fmt.Errorf("ring: open %s: %w", path, err)
	}
	return v, func() error { return unix.Munmap(mem) }, nil
}
