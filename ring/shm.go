package ring

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Suffixes of a ring's two files.
const (
	dataSuffix = ".data"
	ctlSuffix  = ".ctl"
)

// Perm says who besides the relay's own user may use the files. The zero value:
// nobody (modes 0600 and 0700).
type Perm struct {
	// Group, if not 0, is the id of a group whose members may read .data and
	// the instrument table and write .ctl (modes 0640, 0660, 0750).
	Group int
}

func (p Perm) mode(owner, group os.FileMode) os.FileMode {
	if p.Group == 0 {
		return owner
	}
	return owner | group
}

// shmFiles are the mapped files of a ring.
type shmFiles struct {
	dir, name        string
	data, ctl        []byte
	dataFD           *descriptor // the producer's carries its lock; a consumer probes on it
	ctlFD            *descriptor // the consumer's carries its lock; the producer probes on it
	dataIno, dataDev uint64
	memory           *MemoryReport // of a ring that this process created
}

// descriptor is a file descriptor that closes once.
type descriptor struct{ fd int }

func (d *descriptor) close() error {
	if d == nil || d.fd < 0 {
		return nil
	}
	fd := d.fd
	d.fd = -1
	return unix.Close(fd)
}

// CreateShm makes a ring of two files, dir/name.data and dir/name.ctl, replacing
// any that are there: those who map the old files keep them. The files appear
// complete or not at all. It holds the producer's lock until Close, which
// removes the files. The space is claimed now (ErrNoSpace), because a write to
// a full tmpfs would otherwise kill the process later.
func CreateShm(dir, name string, capacity int, m Meta, perm Perm) (*Segment, error) {
	if err := checkName(name); err != nil {
		return nil, fmt.Errorf("ring: create: %w", err)
	}
	if m.Name == "" {
		m.Name = name
	}
	f := &shmFiles{dir: dir, name: name}
	s, err := f.create(capacity, m, perm)
	if err != nil {
		f.close(false)
		os.Remove(f.temp(dataSuffix))
		os.Remove(f.temp(ctlSuffix))
		return nil, fmt.Errorf("ring: create %s: %w", f.path(dataSuffix), err)
	}
	s.shm = f
	return s, nil
}

func (f *shmFiles) create(capacity int, m Meta, perm Perm) (*Segment, error) {
	var err error
	capacity = m.capacity(capacity)
	if err = f.createData(DataSize(capacity, m.MaxTopics), perm.mode(0o600, 0o040), perm, m.Memory); err != nil {
		return nil, err
	}
	if err := tryLock(f.dataFD.fd); err != nil {
		return nil, err
	}
	if f.ctlFD, f.ctl, err = f.createFile(ctlSuffix, m.ctlSize(), perm.mode(0o600, 0o060), perm, nil); err != nil {
		return nil, err
	}
	s, err := NewSegment(f.data, f.ctl, capacity, m)
	if err != nil {
		return nil, err
	}
	s.hdr.numaNode = int32(f.memory.Node)
	if err := f.remember(); err != nil {
		return nil, err
	}
	for _, suffix := range []string{ctlSuffix, dataSuffix} {
		if err := os.Rename(f.temp(suffix), f.path(suffix)); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// createFile makes one file with its space claimed, and maps it. place, if not
// nil, says where its pages shall lie before there are any.
func (f *shmFiles) createFile(suffix string, size int, mode os.FileMode, perm Perm, place func([]byte)) (*descriptor, []byte, error) {
	if err := checkSpace(f.dir, size); err != nil {
		return nil, nil, err
	}
	path := f.temp(suffix)
	os.Remove(path) // left by a process that died half way
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC|unix.O_NOFOLLOW, uint32(mode))
	if err != nil {
		return nil, nil, err
	}
	d := &descriptor{fd}
	if perm.Group != 0 {
		err = errors.Join(unix.Fchown(fd, -1, perm.Group), unix.Fchmod(fd, uint32(mode))) // past the umask
	}
	var mem []byte
	if err == nil && place != nil {
		mem, err = mapPlaced(fd, size, place)
	} else if err == nil {
		err = fallocate(fd, size)
	}
	if err == nil && mem == nil {
		mem, err = unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	}
	if err != nil {
		d.close()
		return nil, nil, err
	}
	return d, mem, nil
}

// fallocate claims the file's pages, so that no later write can fail.
func fallocate(fd, size int) error {
	for {
		err := unix.Fallocate(fd, 0, 0, int64(size))
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ENOSPC):
			return fmt.Errorf("%w for %d bytes", ErrNoSpace, size)
		default:
			return err
		}
	}
}

// checkSpace says early and with figures what fallocate would say late.
func checkSpace(dir string, size int) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return err
	}
	if free := uint64(st.Bavail) * uint64(st.Bsize); free < uint64(size) {
		return fmt.Errorf("%w: %s has %d bytes free, the ring needs %d", ErrNoSpace, dir, free, size)
	}
	return nil
}

// checkName refuses names that would leave the directory or hide.
func checkName(name string) error {
	switch {
	case name == "" || len(name) >= nameSize:
		return fmt.Errorf("ring name %q: want 1 to %d bytes", name, nameSize-1)
	case name[0] == '.', strings.ContainsAny(name, "/\x00"):
		return fmt.Errorf("ring name %q: no slash, no dot in front", name)
	}
	return nil
}

func (f *shmFiles) path(suffix string) string { return filepath.Join(f.dir, f.name+suffix) }
func (f *shmFiles) temp(suffix string) string { return filepath.Join(f.dir, "."+f.name+suffix+".tmp") }

// errSplit: the two files belong to different rings, as between the two renames
// of a ring that is being replaced.
var errSplit = fmt.Errorf("%w: the control part belongs to another ring", ErrFormat)

// openShm maps a ring's files as a consumer does, or, for inspect, both of them
// read-only, which leaves no trace.
func openShm(dir, name string, inspect bool) (s *Segment, err error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	for range 50 {
		f := &shmFiles{dir: dir, name: name}
		if s, err = f.open(inspect); err == nil {
			return s, nil
		}
		f.close(false)
		if !errors.Is(err, errSplit) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return nil, err
}

func (f *shmFiles) open(inspect bool) (*Segment, error) {
	ctlFlags := unix.O_RDWR
	if inspect {
		ctlFlags = unix.O_RDONLY
	}
	var err error
	if f.dataFD, err = openFile(f.path(dataSuffix), unix.O_RDONLY); err != nil {
		return nil, err
	}
	if f.ctlFD, err = openFile(f.path(ctlSuffix), ctlFlags); err != nil {
		return nil, err
	}
	s, err := f.mapOpened(!inspect)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.path(dataSuffix), err)
	}
	return s, nil
}

func openFile(path string, flags int) (*descriptor, error) {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) && linkTarget(path) {
		fd, err = unix.Open(path, flags|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &descriptor{fd}, nil
}

// mapOpened maps the two open files and validates what is in them.
func (f *shmFiles) mapOpened(writeCtl bool) (*Segment, error) {
	if err := f.remember(); err != nil {
		return nil, err
	}
	ctlProt := unix.PROT_READ
	if writeCtl {
		ctlProt |= unix.PROT_WRITE
	}
	var err error
	if f.data, err = mapWhole(f.dataFD.fd, unix.PROT_READ); err != nil {
		return nil, err
	}
	if f.ctl, err = mapWhole(f.ctlFD.fd, ctlProt); err != nil {
		return nil, err
	}
	s, err := OpenSegment(f.data, f.ctl)
	if err != nil {
		return nil, err
	}
	s.shm = f
	return s, nil
}

// mapWhole maps a regular file of plausible size.
func mapWhole(fd, prot int) ([]byte, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	limit := int64(DataSize(MaxCapacity, MaxMaxTopics))
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size < headerSize || st.Size > limit {
		return nil, fmt.Errorf("%w: %d bytes, mode %#o", ErrFormat, st.Size, st.Mode)
	}
	return unix.Mmap(fd, 0, int(st.Size), prot, unix.MAP_SHARED)
}

// remember notes which file is mapped, to see later whether it was replaced.
func (f *shmFiles) remember() error {
	var st unix.Stat_t
	if err := unix.Fstat(f.dataFD.fd, &st); err != nil {
		return err
	}
	f.dataIno, f.dataDev = st.Ino, uint64(st.Dev)
	return nil
}

// sameFile reports whether the path still leads to the file that is mapped.
func (f *shmFiles) sameFile() (same, exists bool) {
	var st unix.Stat_t
	if err := unix.Stat(f.path(dataSuffix), &st); err != nil { // through the link of a memfd
		return false, false
	}
	return st.Ino == f.dataIno && uint64(st.Dev) == f.dataDev, true
}

// replaced reports whether another ring stands at the path.
func (f *shmFiles) replaced() bool {
	same, exists := f.sameFile()
	return exists && !same
}

func (f *shmFiles) lockCtl() error { return tryLock(f.ctlFD.fd) }

func (f *shmFiles) unlockCtl() error { return unlock(f.ctlFD.fd) }

// close unmaps, and removes the files if they are still the ones mapped.
func (f *shmFiles) close(remove bool) error {
	var errs []error
	if same, _ := f.sameFile(); remove && same {
		errs = append(errs, os.Remove(f.path(dataSuffix)), os.Remove(f.path(ctlSuffix)))
	}
	for _, mem := range []*[]byte{&f.data, &f.ctl} {
		if *mem != nil {
			errs = append(errs, unix.Munmap(*mem))
			*mem = nil
		}
	}
	return errors.Join(append(errs, f.dataFD.close(), f.ctlFD.close())...)
}

// Open opens a declared ring by its path, as its consumer: dir/name.data and
// dir/name.ctl. A ring whose relay is gone gives a *GoneError; Leftover reads
// those.
func Open(dir, name string) (*Consumer, error) {
	s, err := openShm(dir, name, false)
	if err != nil {
		return nil, fmt.Errorf("ring: open %w", err)
	}
	c, err := ownConsumer(s)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// ownConsumer makes a consumer that closes its segment.
func ownConsumer(s *Segment) (*Consumer, error) {
	if !s.producerHolds() {
		err := s.gone()
		s.Close()
		return nil, err
	}
	c, err := OpenConsumer(s)
	if err != nil {
		s.Close()
		return nil, err
	}
	c.ownsSegment = true
	return c, nil
}
