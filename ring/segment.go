package ring

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"tickrelay/ring/md"
)

// Errors that callers branch on.
var (
	// ErrFormat marks memory or files that are no ring of this version.
	ErrFormat = errors.New("not a readable ring")
	// ErrBusy: the ring has a producer, or a consumer, already.
	ErrBusy = errors.New("in use by another")
	// ErrClosed: the caller closed it before.
	ErrClosed = errors.New("closed")
	// ErrCorrupt: the other side's index makes no sense; the ring is not usable.
	ErrCorrupt = errors.New("indices out of range")
	// ErrProducerGone is matched by the error of a drained Consumer whose
	// producer ended. Open or Attach again.
	ErrProducerGone = errors.New("producer gone")
	// ErrNoSpace: the file system cannot hold the ring.
	ErrNoSpace = errors.New("not enough space")
)

// Meta describes a ring at its creation. The zero value works.
type Meta struct {
	Name     string // at most 63 bytes; longer names are cut
	Strategy string // who reads it, for display; at most 63 bytes
	Relay    string // whose it is, for display; at most 31 bytes
	TableID  uint64 // id of the instrument table that records refer to
	// MaxTopics have counters of their own; the losses of further topics are
	// counted in the ring's totals only. 64 bytes each. 0: DefaultMaxTopics.
	MaxTopics int
	// Broadcast makes a ring for any number of readers; see NewBroadcastReader.
	// Its capacity is at least MinBroadcast.
	Broadcast bool
	// Memory is what a ring made by CreateShm lies in.
	Memory Memory
}

// ctlSize is the size of the .ctl part.
func (m *Meta) ctlSize() int {
	if m.Broadcast {
		return castCtlSize
	}
	return CtlSize
}

// capacity is that of a ring for which capacity was asked.
func (m *Meta) capacity(capacity int) int {
	if m.Broadcast && capacity > 0 {
		capacity = max(capacity, MinBroadcast)
	}
	return roundCapacity(capacity)
}

// Segment is the memory of one ring with one producer and one consumer: on the
// heap, or two mapped files. It is safe for concurrent use; Close waits for
// nobody and must come after its producer or consumer ended.
type Segment struct {
	hdr     *dataHeader
	ctl     *ctlHeader
	topics  []topicEntry
	slots   []md.Record
	data    []byte // keeps the memory alive
	ctlMem  []byte
	cap     uint64
	shm     *shmFiles // nil on the heap
	owner   bool      // this value created the ring
	mu      sync.Mutex
	closed  bool
	feeding atomic.Bool // a producer of this process uses it
	// inherited topic entries were there when the present producer began.
	inherited uint32
	reading   atomic.Bool               // a consumer of this process uses it
	readers   *[castReaders]readerEntry // nil: one consumer only
	// wakeFD is the producer's end of a notifier plus one, 0: there is none.
	wakeFD atomic.Int32
	// What its last producer left; whoever has feeding uses it.
	left   *leftBehind // nil: nothing
	untold []topicKey  // topics that its reader was not told of
}

// NewHeap makes a ring in this process's memory. The capacity is rounded up to
// a power of two from MinCapacity to MaxCapacity records; 0: DefaultCapacity.
func NewHeap(capacity int, m Meta) *Segment {
	n := m.capacity(capacity)
	s, err := NewSegment(alignedBytes(DataSize(n, m.MaxTopics)), alignedBytes(m.ctlSize()), n, m)
	if err != nil {
		panic(err) // sizes and alignment are ours
	}
	return s
}

// alignedBytes returns zeroed memory that starts at a page, so that cache
// lines fall as they do in a file.
func alignedBytes(n int) []byte {
	b := make([]byte, n+pageSize)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (pageSize - 1)
	return b[skip : skip+n : skip+n]
}

// NewSegment makes a ring in memory that the caller provides: data of at least
// DataSize bytes, ctl of CtlSize (16,384 for Broadcast), both 64-byte aligned
// and zero.
func NewSegment(data, ctl []byte, capacity int, m Meta) (*Segment, error) {
	n, topics := m.capacity(capacity), roundTopics(m.MaxTopics)
	if err := checkMemory(data, ctl, DataSize(n, topics), m.ctlSize()); err != nil {
		return nil, err
	}
	var id [8]byte
	rand.Read(id[:]) // never fails, see its documentation
	h := (*dataHeader)(unsafe.Pointer(unsafe.SliceData(data)))
	*h = dataHeader{
		version: Version, format: formatRecs, recordSize: md.RecordSize,
		maxTopics: uint32(topics), capacity: uint64(n), topicsOff: headerSize,
		recordsOff: uint64(recordsOffset(topics)), dataSize: uint64(DataSize(n, topics)),
		segmentID: binary.LittleEndian.Uint64(id[:]) | 1, tableID: m.TableID,
		createdNs: time.Now().UnixNano(), producerPID: uint32(os.Getpid()),
		numaNode: numaUnknown, wakeModes: wakeFutex,
	}
	if m.Broadcast {
		h.format = formatCast
	}
	copy(h.name[:nameSize-1], m.Name)
	copy(h.strategy[:nameSize-1], m.Strategy)
	copy(h.relay[:relaySize-1], m.Relay)
	c := (*ctlHeader)(unsafe.Pointer(unsafe.SliceData(ctl)))
	*c = ctlHeader{magic: magicCtl, version: Version, segmentID: h.segmentID}
	atomic.StoreUint32(&h.state, stateOpen)
	atomic.StoreUint64(&h.magic, magicData)
	s, err := OpenSegment(data, ctl)
	if err != nil {
		return nil, err
	}
	s.owner = true
	return s, nil
}

// OpenSegment gives access to a ring that is in memory already, whoever wrote
// it: the headers are validated and every size and offset used from then on is
// a copy. data may be mapped read-only, which is enough for a consumer.
func OpenSegment(data, ctl []byte) (*Segment, error) {
	if err := checkMemory(data, ctl, headerSize, CtlSize); err != nil {
		return nil, err
	}
	mapped := (*dataHeader)(unsafe.Pointer(unsafe.SliceData(data)))
	h := *mapped // judged and used as one copy: the owner could write it again
	if err := checkHeader(&h, uint64(len(data))); err != nil {
		return nil, err
	}
	c := (*ctlHeader)(unsafe.Pointer(unsafe.SliceData(ctl)))
	if c.magic != magicCtl || c.version != Version || c.segmentID != h.segmentID {
		return nil, errSplit
	}
	s := &Segment{hdr: mapped, ctl: c, data: data, ctlMem: ctl, cap: h.capacity}
	if h.format == formatCast {
		if err := checkMemory(data, ctl, headerSize, castCtlSize); err != nil {
			return nil, err
		}
		s.readers = (*[castReaders]readerEntry)(unsafe.Pointer(&ctl[castReadersOff]))
	}
	s.topics = unsafe.Slice((*topicEntry)(unsafe.Pointer(&data[h.topicsOff])), h.maxTopics)
	s.slots = unsafe.Slice((*md.Record)(unsafe.Pointer(&data[h.recordsOff])), h.capacity)
	return s, nil
}

func checkMemory(data, ctl []byte, size, ctlSize int) error {
	if len(data) < size || len(ctl) < ctlSize {
		return fmt.Errorf("%w: %d + %d bytes, want %d + %d", ErrFormat, len(data), len(ctl), size, ctlSize)
	}
	for _, b := range [][]byte{data, ctl} {
		if uintptr(unsafe.Pointer(unsafe.SliceData(b)))%md.RecordSize != 0 {
			return fmt.Errorf("%w: memory is not %d-byte aligned", ErrFormat, md.RecordSize)
		}
	}
	return nil
}

// Name is the ring's name.
func (s *Segment) Name() string { return text(s.hdr.name[:]) }

// Strategy is who reads the ring, as told at creation.
func (s *Segment) Strategy() string { return text(s.hdr.strategy[:]) }

// Capacity is the number of records that the ring holds.
func (s *Segment) Capacity() int { return int(s.cap) }

// Shared reports whether the ring lies in files that other processes can map.
func (s *Segment) Shared() bool { return s.shm != nil }

// Close releases the memory and the locks; a ring that this value created is
// marked as ended, its files are removed. Nobody may use the ring through this
// value any more; consumers elsewhere keep their mapping and can drain it.
func (s *Segment) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if s.owner {
		s.end(stateClosed)
	}
	if s.shm != nil {
		return s.shm.close(s.owner)
	}
	return nil
}

// end marks the ring as ended and wakes its consumer, so that it finds out.
func (s *Segment) end(state uint32) {
	atomic.StoreUint32(&s.hdr.state, state)
	defer s.forgiveFault(nil)()
	if atomic.SwapUint32(&s.ctl.sleeper, 0) != 0 {
		s.wakeReader()
	}
}

// text cuts a NUL-padded name; every byte is bounded, so hostile ones do no harm.
func text(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
