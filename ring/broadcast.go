package ring

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"tickrelay/ring/md"
)

// A broadcast ring has one producer, which waits for nobody and looks at
// nobody's position, and readers that may be lapped:
//
//	producer:  intent = end of what it will write; write; head = that end
//	reader:    load head; copy records; load intent; what lies before
//	           intent − capacity may have been overwritten meanwhile: lapped
//
// The copy races with the writer by design and is thrown away if the race was
// lost. So readers load words atomically, in order before intent; the producer
// stores intent and loads it back before it writes, because a release store
// alone (arm64's STLR) does not keep later plain stores behind it, while the
// acquire load of the same place does. On amd64 both cost nothing more.

// MinBroadcast is the least capacity of a broadcast ring, in records.
const MinBroadcast = 1024

const (
	castCtlSize    = 16384
	castReadersOff = 512
	castReaders    = (castCtlSize - castReadersOff) / 128
	// castSlack is how far intent runs ahead, so that a record at a time does not
	// cost a locked store each.
	castSlack = 32
)

// readerEntry shows one reader of a broadcast ring. Its holder has a lock on
// the entry's first byte in the file.
type readerEntry struct {
	pid    uint32
	used   uint32 // 1: in use, for rings on the heap
	pos    uint64
	missed uint64
	laps   uint64
	beatNs int64
	_      [88]byte
}

var (
	_ [128]byte            = [unsafe.Sizeof(readerEntry{})]byte{}
	_ [castReadersOff]byte = [unsafe.Sizeof(ctlHeader{})]byte{}
	_ [MinBroadcast/8 - castSlack]byte
)

// claim makes sure that readers know that the next n slots are being written.
func (w *writer) claim(n uint64) {
	if w.next+n <= w.claimed {
		return
	}
	w.claimed = w.next + n + castSlack
	atomic.StoreUint64(&w.seg.hdr.intent, w.claimed)
	atomic.LoadUint64(&w.seg.hdr.intent) // see above
}

// copyOut copies a record that may be being overwritten.
func copyOut(dst, src *md.Record) {
	d, s := (*[8]uint64)(unsafe.Pointer(dst)), (*[8]uint64)(unsafe.Pointer(src))
	for i := range d {
		d[i] = atomic.LoadUint64(&s[i])
	}
}

// claimReader takes a free entry of the table of readers.
func (s *Segment) claimReader() (*readerEntry, int, error) {
	for i := range s.readers {
		e := &s.readers[i]
		if s.shm == nil {
			if !atomic.CompareAndSwapUint32(&e.used, 0, 1) {
				continue
			}
		} else if lockEntry(s.shm.ctlFD.fd, i, unix.F_WRLCK) != nil {
			continue
		}
		atomic.StoreUint64(&e.missed, 0)
		atomic.StoreUint64(&e.laps, 0)
		atomic.StoreUint32(&e.pid, uint32(os.Getpid()))
		return e, i, nil
	}
	return nil, 0, fmt.Errorf("%w: %d readers are there", ErrBusy, castReaders)
}

func (s *Segment) releaseReader(e *readerEntry, i int) error {
	atomic.StoreUint32(&e.pid, 0)
	if s.shm == nil {
		atomic.StoreUint32(&e.used, 0)
		return nil
	}
	return lockEntry(s.shm.ctlFD.fd, i, unix.F_UNLCK)
}

func entryLock(i int, kind int16) unix.Flock_t {
	return unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: int64(castReadersOff + 128*i), Len: 1}
}

// lockEntry takes or gives back one entry's lock on the description of fd.
func lockEntry(fd, i int, kind int16) error {
	lk := entryLock(i, kind)
	return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &lk)
}

// readerHolds reports whether somebody reads with entry i.
func (s *Segment) readerHolds(i int) bool {
	if s.shm == nil {
		return atomic.LoadUint32(&s.readers[i].used) != 0
	}
	lk := entryLock(i, unix.F_RDLCK)
	return unix.FcntlFlock(uintptr(s.shm.ctlFD.fd), unix.F_OFD_GETLK, &lk) == nil && lk.Type != unix.F_UNLCK
}

// ReaderInfo is one reader of a broadcast ring, seen from outside.
type ReaderInfo struct {
	PID    int    `json:"pid"` // for display
	Depth  int    `json:"depth"`
	Missed uint64 `json:"missed"` // records that it was too slow for, exactly
	Laps   uint64 `json:"laps"`   // how often
	BeatNs int64  `json:"beat_ns"`
}

// readerInfos lists the living readers. Their entries are theirs to write, so
// every figure may be nonsense and is bounded.
func (s *Segment) readerInfos(head uint64) (out []ReaderInfo) {
	for i := range s.readers {
		e := &s.readers[i]
		if atomic.LoadUint32(&e.pid) == 0 || !s.readerHolds(i) {
			continue
		}
		out = append(out, ReaderInfo{
			PID: int(atomic.LoadUint32(&e.pid)), Depth: int(min(head-atomic.LoadUint64(&e.pos), s.cap)),
			Missed: atomic.LoadUint64(&e.missed), Laps: atomic.LoadUint64(&e.laps), BeatNs: atomic.LoadInt64(&e.beatNs),
		})
	}
	return out
}
