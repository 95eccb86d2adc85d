package ring

import (
	"fmt"
	"math/bits"
	"unsafe"

	"tickrelay/ring/md"
)

// Limits of the segment format.
const (
	// Version of the layout below. Another version is refused.
	Version = 1
	// MinCapacity and MaxCapacity bound a ring, in records (4 KiB … 16 GiB).
	MinCapacity = 64
	MaxCapacity = 1 << 28
	// DefaultCapacity is used where a capacity of 0 is asked for: 4 MiB.
	DefaultCapacity = 65536
	// DefaultMaxTopics have counters of their own in a segment by default.
	DefaultMaxTopics = 1024
	// MaxMaxTopics bounds Meta.MaxTopics: 64 MiB of counters.
	MaxMaxTopics = 1 << 20
	// CtlSize is the size of the .ctl part in bytes.
	CtlSize = 4096
)

const (
	magicData  = 0x474e49524b434954 // "TICKRING" in memory
	magicCtl   = 0x4c54434b43495420 // " TICKCTL" in memory
	formatRecs = 1                  // 64-byte records; 2 is of raw frames, see frames.go
	formatCast = 3                  // 64-byte records for any number of readers
	pageSize   = 4096
	nameSize   = 64
	relaySize  = 32

	wakeFutex   = 1 // bit 0 of dataHeader.wakeModes
	wakeByFD    = 2 // bit 1: the producer holds a descriptor to wake by
	numaUnknown = -1
	// featuresMust are the feature bits that a reader must know to read on.
	featuresMust = 0x0000ffff
)

// States of a segment, in dataHeader.state.
const (
	stateNew    = 0
	stateOpen   = 1
	stateClosed = 2 // the producer ended in good order
	stateBroken = 3 // the producer dropped the ring: the .ctl part made no sense
)

// dataHeader is the start of the .data part; see the byte map in doc.go.
// Only the producer writes it. Fields of the first 384 bytes never change
// after creation; the rest is touched with atomics only.
type dataHeader struct {
	magic       uint64
	version     uint32
	format      uint32
	recordSize  uint32
	maxTopics   uint32
	capacity    uint64
	topicsOff   uint64
	recordsOff  uint64
	dataSize    uint64
	segmentID   uint64
	tableID     uint64
	createdNs   int64
	producerPID uint32
	numaNode    int32
	wakeModes   uint32
	features    uint32
	relay       [relaySize]byte
	strategy    [nameSize]byte
	name        [nameSize]byte
	_           [128]byte // kept for constants to come

	state      uint32
	venue      uint32
	epoch      int64
	beatNs     int64
	startGen   uint64
	startPos   uint64
	topicCount uint32
	_          uint32
	_          [16]byte
	// uncounted is 1 once a topic got no entry; on a cache line that is seldom
	// written, for readers that look at each poll.
	uncounted uint32
	_         [60]byte // kept for values that seldom change

	counters [16]uint64 // by the counter constants

	head uint64
	_    [120]byte // head is alone on its pair of cache lines

	// intent is of broadcast rings: records before it may be being written, so
	// those before intent − capacity may be being overwritten.
	intent uint64
	_      [120]byte
	_      [128]byte // kept
}

// Counters of a whole ring, indices of dataHeader.counters. The producer alone
// writes them.
const (
	cntStarts      = iota // consumers that attached
	cntLostEvents         // events dropped because the ring was full or they were too large
	cntLostRecords        // their records
	cntOverruns           // times that a topic was suppressed
	cntGaps               // upstream gaps written
	cntSnapshots          // book snapshots completed
	cntLevels             // levels written by snapshot cursors
	cntWakes              // system calls to wake a sleeping consumer
	numCounters
)

// topicEntry holds the counters of one topic in the .data part. The producer
// alone writes it.
type topicEntry struct {
	instrument  uint32
	channel     uint32
	seq         uint64 // the topic's number at the last heartbeat
	lostEvents  uint64
	lostRecords uint64
	overruns    uint64
	gaps        uint64
	snapshots   uint64
	_           uint64
}

// ctlHeader is the .ctl part; see the byte map in doc.go. The consumer may
// write all of it, so the producer trusts nothing here.
type ctlHeader struct {
	magic     uint64
	version   uint32
	_         uint32
	segmentID uint64
	_         [104]byte

	tail uint64
	_    [120]byte // tail is alone on its pair of cache lines

	sleeper  uint32 // futex word: 1 while the consumer sleeps
	wakeMode uint32 // how the consumer waits, a mode constant
	_        [120]byte

	attachGen   uint64
	consumerPID uint32
	_           uint32
	beatNs      int64
	sleeps      uint64
	_           [96]byte
}

// How a consumer waits, in ctlHeader.wakeMode. The producer cares for waitsFD
// alone; the others are for display.
const (
	waitsBlock = 0 // on the futex word
	waitsFD    = 1 // on the descriptor that came with the lease
	waitsSpin  = 2
	waitsYield = 3
)

// The layout holds on every compiler or the build fails.
const (
	headerSize = 1024
	entrySize  = 64
)

var (
	_ [headerSize]byte    = [unsafe.Sizeof(dataHeader{})]byte{}
	_ [entrySize]byte     = [unsafe.Sizeof(topicEntry{})]byte{}
	_ [512]byte           = [unsafe.Sizeof(ctlHeader{})]byte{}
	_ [0x180]byte         = [unsafe.Offsetof(dataHeader{}.state)]byte{}
	_ [0x1c0]byte         = [unsafe.Offsetof(dataHeader{}.uncounted)]byte{}
	_ [0x200]byte         = [unsafe.Offsetof(dataHeader{}.counters)]byte{}
	_ [0x280]byte         = [unsafe.Offsetof(dataHeader{}.head)]byte{}
	_ [0x300]byte         = [unsafe.Offsetof(dataHeader{}.intent)]byte{}
	_ [0x080]byte         = [unsafe.Offsetof(ctlHeader{}.tail)]byte{}
	_ [0x100]byte         = [unsafe.Offsetof(ctlHeader{}.sleeper)]byte{}
	_ [0x180]byte         = [unsafe.Offsetof(ctlHeader{}.attachGen)]byte{}
	_ [md.RecordSize]byte = [unsafe.Sizeof(md.Record{})]byte{}
	_ [16 - numCounters]byte
)

// roundCapacity gives the capacity that a ring really has: a power of two
// within the limits.
func roundCapacity(capacity int) int {
	switch {
	case capacity <= 0:
		return DefaultCapacity
	case capacity <= MinCapacity:
		return MinCapacity
	case capacity >= MaxCapacity:
		return MaxCapacity
	}
	return 1 << bits.Len(uint(capacity-1))
}

func roundTopics(n int) int {
	switch {
	case n <= 0:
		return DefaultMaxTopics
	case n > MaxMaxTopics:
		return MaxMaxTopics
	}
	return n
}

// DataSize is the number of bytes of the .data part of a ring. Both arguments
// are rounded as NewSegment does.
func DataSize(capacity, maxTopics int) int {
	return recordsOffset(roundTopics(maxTopics)) + roundCapacity(capacity)*md.RecordSize
}

func recordsOffset(maxTopics int) int {
	return (headerSize + maxTopics*entrySize + pageSize - 1) &^ (pageSize - 1)
}

// checkHeader validates a header that anybody may have written, against the
// number of bytes that are really there.
func checkHeader(h *dataHeader, size uint64) error {
	switch {
	case h.magic != magicData:
		return fmt.Errorf("%w: no ring (magic %#x)", ErrFormat, h.magic)
	case h.version != Version:
		return fmt.Errorf("%w: layout version %d, this program reads %d", ErrFormat, h.version, Version)
	case h.format != formatRecs && h.format != formatCast:
		return fmt.Errorf("%w: segment format %d is not the record format", ErrFormat, h.format)
	case h.features&featuresMust != 0:
		return fmt.Errorf("%w: needs features %#x that this program does not know", ErrFormat, h.features&featuresMust)
	case h.recordSize != md.RecordSize:
		return fmt.Errorf("%w: record size %d, want %d", ErrFormat, h.recordSize, md.RecordSize)
	case h.capacity < MinCapacity || h.capacity > MaxCapacity || h.capacity&(h.capacity-1) != 0:
		return fmt.Errorf("%w: capacity %d is no power of two from %d to %d", ErrFormat, h.capacity, MinCapacity, MaxCapacity)
	case h.maxTopics == 0 || h.maxTopics > MaxMaxTopics:
		return fmt.Errorf("%w: %d topics, limit %d", ErrFormat, h.maxTopics, MaxMaxTopics)
	case h.topicsOff != headerSize || h.recordsOff != uint64(recordsOffset(int(h.maxTopics))):
		return fmt.Errorf("%w: offsets %d and %d do not fit %d topics", ErrFormat, h.topicsOff, h.recordsOff, h.maxTopics)
	case h.dataSize != h.recordsOff+h.capacity*md.RecordSize || h.dataSize > size:
		return fmt.Errorf("%w: %d bytes stated, %d there", ErrFormat, h.dataSize, size)
	}
	return nil
}
