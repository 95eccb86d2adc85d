package ring

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"tickrelay/ring/md"
)

// BroadcastReader is one of the readers of a broadcast ring. It holds nobody
// back: if the producer laps it, it joins again, and every topic goes on with a
// gap that names exactly the numbers it missed (reason overrun) and fresh
// state. One goroutine uses it; only Interrupt may be called from others.
// Reading allocates only when a new topic is told.
type BroadcastReader struct {
	seg    *Segment
	entry  *readerEntry
	index  int
	pos    uint64
	gen    uint64
	joined bool
	lapped bool // pos is where records began to be missing

	track   tracker
	told    []uint32 // by topic as in track: session in which it was told last
	session uint32
	epoch   uint64 // of the last heartbeat
	missed  uint64

	empty       uint32
	closed      bool
	ownsSegment bool
	interrupted atomic.Bool
}

// OpenBroadcast opens dir/name as one more of its readers; see Open. ErrBusy
// beyond 124 readers.
func OpenBroadcast(dir, name string) (*BroadcastReader, error) {
	s, err := openShm(dir, name, false)
	if err != nil {
		return nil, fmt.Errorf("ring: open %w", err)
	}
	if !s.producerHolds() {
		err := s.gone()
		s.Close()
		return nil, err
	}
	r, err := NewBroadcastReader(s)
	if err != nil {
		s.Close()
		return nil, err
	}
	r.ownsSegment = true
	return r, nil
}

// NewBroadcastReader makes one more reader of a ring that was made with
// Meta.Broadcast. Its first record is the heartbeat that begins a session; the
// producer answers those who join at most every 50 ms. The Segment stays the
// caller's; on shared memory one Segment has one reader.
func NewBroadcastReader(s *Segment) (*BroadcastReader, error) {
	if s.readers == nil {
		return nil, fmt.Errorf("ring: read %s: %w: it is no broadcast ring; use Open", s.Name(), ErrFormat)
	}
	e, i, err := s.claimReader()
	if err != nil {
		return nil, fmt.Errorf("ring: read %s: %w", s.Name(), err)
	}
	r := &BroadcastReader{seg: s, entry: e, index: i, pos: atomic.LoadUint64(&s.hdr.head)}
	r.join()
	return r, nil
}

// join asks the producer to tell everything once more.
func (r *BroadcastReader) join() {
	r.joined = false
	r.gen = atomic.AddUint64(&r.seg.ctl.attachGen, 1)
	r.show()
}

// show updates what others see of this reader.
func (r *BroadcastReader) show() {
	atomic.StoreUint64(&r.entry.pos, r.pos)
	atomic.StoreUint64(&r.entry.missed, r.missed)
	atomic.StoreInt64(&r.entry.beatNs, time.Now().UnixNano())
}

var errShortDst = errors.New("ring: read: want room for two records")

// Poll copies records into dst, at least two long, of which it fills at most
// what half of it takes plus gaps. 0 and no error means that there is nothing
// yet, or that the reader was lapped and joins again. A *GoneError comes once
// the ring is drained.
func (r *BroadcastReader) Poll(dst []md.Record) (int, error) {
	switch {
	case r.closed:
		return 0, fmt.Errorf("ring: read: %w", ErrClosed)
	case len(dst) < 2:
		return 0, errShortDst
	case !r.joined && !r.begin():
		return 0, r.idle()
	}
	head := atomic.LoadUint64(&r.seg.hdr.head)
	if head == r.pos {
		return 0, r.idle()
	}
	r.empty = 0
	half := dst[len(dst)/2:]
	n := min(uint64(len(dst)/2), head-r.pos)
	mask := r.seg.cap - 1
	for i := range n {
		copyOut(&half[i], &r.seg.slots[(r.pos+i)&mask])
	}
	if atomic.LoadUint64(&r.seg.hdr.intent)-r.pos > r.seg.cap {
		r.lapped = true
		atomic.AddUint64(&r.entry.laps, 1)
		r.join()
		return 0, nil
	}
	r.pos += n
	atomic.StoreUint64(&r.entry.pos, r.pos)
	return r.pass(dst, half[:n]), nil
}

// begin finds out where the session that was asked for starts.
func (r *BroadcastReader) begin() bool {
	if atomic.LoadUint64(&r.seg.hdr.startGen) < r.gen {
		return false
	}
	start := atomic.LoadUint64(&r.seg.hdr.startPos)
	if r.lapped {
		r.missed += start - r.pos
		r.lapped = false
	}
	r.pos, r.joined = start, true
	r.session++
	r.show()
	return true
}

// pass moves records to the front of dst: none of a topic that was not told in
// this session, and a gap before the heartbeat of one that went on without us.
// in is the upper half of dst, so two for one never reach what is not read yet.
func (r *BroadcastReader) pass(dst, in []md.Record) (n int) {
	for i := range in {
		rec := in[i]
		if rec.Kind == md.KindHeartbeat && rec.ID != r.epoch {
			r.epoch = rec.ID // numbers begin anew: what was told is of the epoch before
			r.track.forget()
		}
		if rec.Kind == md.KindHeartbeat && rec.Side != uint8(md.ChannelAll) {
			if last, ok := r.track.number(rec.Instrument, rec.Side); ok && rec.Seq > last {
				dst[n] = md.Record{
					Kind: md.KindGap, Flags: md.FlagFirst | md.FlagLast, Venue: rec.Venue, Instrument: rec.Instrument,
					Seq: rec.Seq, ID: last + 1, TsRecv: rec.TsRecv, Side: rec.Side, Level: uint8(md.GapOverrun), Count: missing32(rec.Seq - last),
				}
				n++
			}
			r.track.told(&rec)
			r.tell(trackIndex(rec.Instrument, rec.Side))
		} else if !rec.Kind.Control() {
			k := trackIndex(rec.Instrument, uint8(rec.Channel()))
			if k >= uint64(len(r.told)) || r.told[k] != r.session {
				continue
			}
			r.track.last[k] = rec.Seq + 1
		}
		dst[n] = rec
		n++
	}
	return n
}

func (r *BroadcastReader) tell(k uint64) {
	if len(r.told) < len(r.track.last) {
		r.told = append(r.told, make([]uint32, len(r.track.last)-len(r.told))...)
	}
	if k < uint64(len(r.told)) {
		r.told[k] = r.session
	}
}

// idle is an empty poll: now and then it asks whether the producer still lives.
func (r *BroadcastReader) idle() error {
	r.empty++
	if atomic.LoadUint32(&r.seg.hdr.state) == stateOpen && r.empty%probePolls != 0 {
		return nil
	}
	return r.probe()
}

func (r *BroadcastReader) probe() error {
	r.show()
	alive := atomic.LoadUint32(&r.seg.hdr.state) == stateOpen && r.seg.producerHolds()
	if alive || r.joined && atomic.LoadUint64(&r.seg.hdr.head) != r.pos {
		return nil
	}
	return r.seg.gone()
}

// ready reports whether Poll has something to do.
func (r *BroadcastReader) ready() bool {
	if !r.joined {
		return atomic.LoadUint64(&r.seg.hdr.startGen) >= r.gen
	}
	return atomic.LoadUint64(&r.seg.hdr.head) != r.pos
}

// Wait waits as Consumer.Wait does.
func (r *BroadcastReader) Wait(mode WaitMode, timeout time.Duration) (bool, error) {
	if r.closed {
		return false, fmt.Errorf("ring: read: %w", ErrClosed)
	}
	var w waiter
	for {
		if r.ready() {
			return true, nil
		}
		if r.interrupted.Swap(false) {
			return false, nil
		}
		d, probe, expired := w.next(mode, timeout)
		if expired {
			return false, nil
		}
		if probe || atomic.LoadUint32(&r.seg.hdr.state) != stateOpen {
			if err := r.probe(); err != nil {
				return false, err
			}
		}
		if d > 0 {
			r.sleep(d)
		}
	}
}

// sleep blocks on the futex word that all readers share. Only the producer
// clears it, and wakes all; one that leaves early costs it one needless wake.
func (r *BroadcastReader) sleep(d time.Duration) {
	atomic.StoreUint32(&r.seg.ctl.sleeper, 1)
	if !r.ready() && !r.interrupted.Load() && atomic.LoadUint32(&r.seg.hdr.state) == stateOpen {
		futexWait(&r.seg.ctl.sleeper, 1, d)
	}
}

// Interrupt makes a Wait of the reading goroutine return at once, or the next
// one. Any goroutine, until Close.
func (r *BroadcastReader) Interrupt() {
	r.interrupted.Store(true)
	if atomic.SwapUint32(&r.seg.ctl.sleeper, 0) != 0 {
		futexWakeAll(&r.seg.ctl.sleeper)
	}
}

// Missed is exactly how many records of the ring, of all kinds, the reader
// skipped because it was lapped. It counts when it has joined again.
func (r *BroadcastReader) Missed() uint64 { return r.missed }

// Epoch is the epoch of the records; see Consumer.Epoch.
func (r *BroadcastReader) Epoch() int64 { return atomic.LoadInt64(&r.seg.hdr.epoch) }

// Name is the ring's name.
func (r *BroadcastReader) Name() string { return r.seg.Name() }

// Close gives the reader's place free. A second Close does nothing.
func (r *BroadcastReader) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	err := r.seg.releaseReader(r.entry, r.index)
	if r.ownsSegment {
		err = errors.Join(err, r.seg.Close())
	}
	return err
}
