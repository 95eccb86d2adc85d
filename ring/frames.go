package ring

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"
)

// A frames segment carries raw frames of a venue, untouched, from one producer
// to one consumer: format 2 beside the records' format 1.
//
//	0x000  8  magic, "TRFRAMES"
//	0x008  4  version, 1
//	0x00c  4  format, 2
//	0x010  8  capacity in bytes, a power of two
//	0x080  8  head: bytes ever written      alone on its pair of cache lines
//	0x100  8  tail: bytes ever read         alone likewise
//	0x180  8  frames dropped because the consumer was too slow
//	0x188  8  payload bytes in them
//	0x200     frames, each 8-aligned and never wrapping:
//
//	+0   4  length of the payload, 2^32-1 for the rest of the segment unused
//	+4   1  flags
//	+5   1  WebSocket opcode
//	+8   8  receive time, CLOCK_REALTIME ns
//	+16  4  connection
//	+24     payload
const (
	framesMagic    = 0x53454d4152465254 // "TRFRAMES" little-endian
	framesVersion  = 1
	framesFormat   = 2
	framesHead     = 0x80
	framesTail     = 0x100
	framesLost     = 0x180
	framesLostByte = 0x188
	framesData     = 0x200
	frameHead      = 24
	frameSkip      = 1<<32 - 1

	// MinFrames and MaxFrames bound a frames segment's capacity in bytes.
	MinFrames = 1 << 12
	MaxFrames = 1 << 32
)

// FrameFlags qualify a raw frame.
type FrameFlags uint8

// Flags of frames. What is no frame of the venue is there too, so that a
// recording tells the whole session.
const (
	FrameSent    FrameFlags = 1 << 0 // from us to the venue
	FrameConnect FrameFlags = 1 << 1 // the connection is up; the payload is its URL
	FrameClose   FrameFlags = 1 << 2 // the connection has ended; the payload says why
	FrameNote    FrameFlags = 1 << 3 // something else that a feed was told; Opcode says what
)

// Frame is one raw frame.
type Frame struct {
	RecvNs  int64 // CLOCK_REALTIME; of sent ones when they were handed to the socket
	Conn    uint32
	Opcode  uint8 // RFC 6455 section 5.2
	Flags   FrameFlags
	Payload []byte
}

// ErrFrames is wrapped by the errors of OpenFrames.
var ErrFrames = errors.New("not a frames segment")

// FramesSize is the memory that a segment of capacity bytes takes.
func FramesSize(capacity int) int { return framesData + capacity }

// frames is what both ends share: mem, and the words in it that are touched
// atomically.
type frames struct {
	mem  []byte
	data []byte
	mask uint64
	head *atomic.Uint64
	tail *atomic.Uint64
}

func (f *frames) word(at int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&f.mem[at]))
}

func (f *frames) bind(mem []byte, capacity uint64) {
	f.mem, f.data, f.mask = mem, mem[framesData:framesData+capacity], capacity-1
	f.head, f.tail = f.word(framesHead), f.word(framesTail)
}

// FrameWriter is the producing end. One goroutine uses it.
type FrameWriter struct {
	frames
	at   uint64 // head
	seen uint64 // tail as last read
}

// NewFrames formats mem, 8-aligned and FramesSize of a power of two long, as an
// empty segment.
func NewFrames(mem []byte) (*FrameWriter, error) {
	capacity := len(mem) - framesData
	if capacity < MinFrames || uint64(capacity) > MaxFrames || capacity&(capacity-1) != 0 || uintptr(unsafe.Pointer(&mem[0]))&7 != 0 {
		return nil, fmt.Errorf("ring: frames: %d bytes of memory: want FramesSize of a power of two from %d to %d, 8-aligned", len(mem), MinFrames, uint64(MaxFrames))
	}
	clear(mem[:framesData])
	binary.LittleEndian.PutUint32(mem[8:], framesVersion)
	binary.LittleEndian.PutUint32(mem[12:], framesFormat)
	binary.LittleEndian.PutUint64(mem[16:], uint64(capacity))
	w := &FrameWriter{}
	w.bind(mem, uint64(capacity))
	w.word(0).Store(framesMagic)
	return w, nil
}

// Write copies a frame in; false if there is no room, which is counted. It
// never waits, allocates or calls the system.
func (w *FrameWriter) Write(f *Frame) bool {
	need := uint64(frameHead+len(f.Payload)+7) &^ 7
	size := w.mask + 1
	at := w.at & w.mask
	skip := uint64(0)
	if at+need > size {
		skip = size - at
	}
	if need > size/2 || !w.room(skip+need) {
		w.word(framesLost).Add(1)
		w.word(framesLostByte).Add(uint64(len(f.Payload)))
		return false
	}
	if skip > 0 {
		binary.LittleEndian.PutUint32(w.data[at:], frameSkip)
		w.at += skip
		at = 0
	}
	b := w.data[at : at+need]
	binary.LittleEndian.PutUint32(b, uint32(len(f.Payload)))
	b[4], b[5], b[6], b[7] = byte(f.Flags), f.Opcode, 0, 0
	binary.LittleEndian.PutUint64(b[8:], uint64(f.RecvNs))
	binary.LittleEndian.PutUint32(b[16:], f.Conn)
	copy(b[frameHead:], f.Payload)
	w.at += need
	w.head.Store(w.at)
	return true
}

// room reports whether n bytes are free.
func (w *FrameWriter) room(n uint64) bool {
	if w.at+n-w.seen <= w.mask+1 {
		return true
	}
	w.seen = w.tail.Load()
	// A consumer that moved tail beyond head or back is not believed.
	return w.at-w.seen <= w.mask+1 && w.at+n-w.seen <= w.mask+1
}

// Lost is how many frames were dropped, and the payload bytes in them.
func (w *FrameWriter) Lost() (n, bytes uint64) {
	return w.word(framesLost).Load(), w.word(framesLostByte).Load()
}

// FrameReader is the consuming end. One goroutine uses it.
type FrameReader struct {
	frames
	at uint64
}

// OpenFrames reads a segment that NewFrames has formatted, from what was not
// read before. What mem holds is not believed: a header or a frame that cannot
// be is ErrFrames.
func OpenFrames(mem []byte) (*FrameReader, error) {
	if len(mem) < framesData || uintptr(unsafe.Pointer(&mem[0]))&7 != 0 {
		return nil, fmt.Errorf("ring: %w: %d bytes", ErrFrames, len(mem))
	}
	r := &FrameReader{}
	r.mem = mem
	version, format, capacity := binary.LittleEndian.Uint32(mem[8:]), binary.LittleEndian.Uint32(mem[12:]), binary.LittleEndian.Uint64(mem[16:])
	switch {
	case r.word(0).Load() != framesMagic || format != framesFormat:
		return nil, fmt.Errorf("ring: %w", ErrFrames)
	case version != framesVersion:
		return nil, fmt.Errorf("ring: %w: version %d, want %d", ErrFrames, version, framesVersion)
	case capacity < MinFrames || capacity&(capacity-1) != 0 || uint64(len(mem)) < framesData+capacity:
		return nil, fmt.Errorf("ring: %w: capacity %d in %d bytes", ErrFrames, capacity, len(mem))
	}
	r.bind(mem, capacity)
	r.at = r.tail.Load()
	return r, nil
}

// Next lends the next frame to f, whose payload is valid during the call only;
// false if there is none.
func (r *FrameReader) Next(f func(*Frame)) (bool, error) {
	head := r.head.Load()
	for r.at != head {
		at := r.at & r.mask
		if head-r.at > r.mask+1 || r.at&7 != 0 {
			return false, fmt.Errorf("ring: %w: head %d, tail %d", ErrFrames, head, r.at)
		}
		length := binary.LittleEndian.Uint32(r.data[at:])
		if length == frameSkip {
			r.at += r.mask + 1 - at
			r.tail.Store(r.at)
			continue
		}
		need := (uint64(frameHead) + uint64(length) + 7) &^ 7
		if at+need > r.mask+1 || need > head-r.at {
			return false, fmt.Errorf("ring: %w: a frame of %d bytes at %d", ErrFrames, length, r.at)
		}
		b := r.data[at : at+need : at+need]
		f(&Frame{Flags: FrameFlags(b[4]), Opcode: b[5], RecvNs: int64(binary.LittleEndian.Uint64(b[8:])),
			Conn: binary.LittleEndian.Uint32(b[16:]), Payload: b[frameHead : frameHead+length]})
		r.at += need
		r.tail.Store(r.at)
		return true, nil
	}
	return false, nil
}

// Lost is how many frames the producer dropped.
func (r *FrameReader) Lost() (n, bytes uint64) {
	return r.word(framesLost).Load(), r.word(framesLostByte).Load()
}
