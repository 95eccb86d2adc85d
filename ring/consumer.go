package ring

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"tickrelay/ring/md"
)

const (
	// probeEvery is how long a waiting consumer goes without asking whether its
	// producer is alive.
	probeEvery = 100 * time.Millisecond
	// probePolls is how many empty polls in a row a consumer makes without
	// asking: a polling loop never calls Wait.
	probePolls = 1 << 16
	// beatPolls is how many polls pass between two looks at the clock.
	beatPolls = 1 << 12
)

// GoneError says that a ring's producer ended. It matches ErrProducerGone.
type GoneError struct {
	Name string
	// Reopen: another ring stands under the same name by now; Open it again.
	Reopen bool
}

// Error says which ring ended and what to do.
func (e *GoneError) Error() string {
	if e.Reopen {
		return fmt.Sprintf("ring: %s: producer gone, and a new ring is there: open it again", e.Name)
	}
	return fmt.Sprintf("ring: %s: producer gone: open it again once the relay is back", e.Name)
}

// Is makes errors.Is(err, ErrProducerGone) true.
func (e *GoneError) Is(target error) bool { return target == ErrProducerGone }

// Consumer is the read end of a ring. One goroutine uses it; only Interrupt,
// Depth, Lag, Epoch and the constants may be called from others. Reading
// allocates nothing.
type Consumer struct {
	seg   *Segment
	slots []md.Record
	cap   uint64
	tail  uint64 // position of the next record to read
	head  uint64 // what head said last: records before it can be read
	gen   uint64 // our attach_gen
	begun bool   // the producer answered it: tail is at our first record

	polls       uint32
	empty       uint32
	closed      bool
	ownsSegment bool
	interrupted atomic.Bool
	wake        *waker // nil: sleeps on the futex word
}

// OpenConsumer makes the caller the consumer of a ring. Its first record is the
// heartbeat that starts a session, written when the producer's loop comes by;
// what was in the ring before is skipped. ErrBusy if the ring has a consumer.
// The Segment stays the caller's.
func OpenConsumer(s *Segment) (*Consumer, error) {
	if s.readers != nil {
		return nil, fmt.Errorf("ring: read %s: %w: it is a broadcast ring; use OpenBroadcast", s.Name(), ErrFormat)
	}
	if !s.reading.CompareAndSwap(false, true) {
		return nil, fmt.Errorf("ring: read %s: %w", s.Name(), ErrBusy)
	}
	if s.shm != nil {
		if err := s.shm.lockCtl(); err != nil {
			s.reading.Store(false)
			return nil, fmt.Errorf("ring: read %s: %w", s.Name(), err)
		}
	}
	c := &Consumer{seg: s, slots: s.slots, cap: s.cap}
	c.tail = atomic.LoadUint64(&s.hdr.head)
	c.head = c.tail
	atomic.StoreUint32(&s.ctl.sleeper, 0)
	atomic.StoreUint32(&s.ctl.wakeMode, waitsBlock)
	atomic.StoreUint32(&s.ctl.consumerPID, uint32(os.Getpid()))
	c.beat()
	atomic.StoreUint64(&s.ctl.tail, c.tail)
	c.gen = atomic.AddUint64(&s.ctl.attachGen, 1)
	return c, nil
}

// Poll copies the records that are there into dst, as many as fit, and frees
// their slots. It returns 0 and no error when there is nothing to read yet. A
// *GoneError comes only once the ring is drained.
func (c *Consumer) Poll(dst []md.Record) (int, error) {
	if c.tail == c.head {
		if err := c.refresh(); err != nil || c.tail == c.head {
			return 0, err
		}
	}
	n := min(uint64(len(dst)), c.head-c.tail)
	i := c.tail & (c.cap - 1)
	k := copy(dst[:n], c.slots[i:])
	copy(dst[k:n], c.slots)
	c.release(n)
	return int(n), nil
}

// Lend gives the records that are there to f in place, at most max of them and
// only as far as they lie in one piece, and frees their slots when f returns.
// f must not keep the slice, nor write to it: shared memory is mapped
// read-only. It returns how many records f saw; 0 means that f was not called.
func (c *Consumer) Lend(max int, f func([]md.Record)) (int, error) {
	if c.tail == c.head {
		if err := c.refresh(); err != nil || c.tail == c.head {
			return 0, err
		}
	}
	i := c.tail & (c.cap - 1)
	n := min(uint64(max), c.head-c.tail, c.cap-i)
	if n == 0 {
		return 0, nil
	}
	f(c.slots[i : i+n : i+n])
	c.release(n)
	return int(n), nil
}

func (c *Consumer) release(n uint64) {
	c.tail += n
	atomic.StoreUint64(&c.seg.ctl.tail, c.tail)
	if c.polls++; c.polls%beatPolls == 0 {
		c.beat()
	}
}

// refresh looks how far the producer is. It is where everything but the plain
// reading of records is done.
func (c *Consumer) refresh() error {
	if c.closed {
		return fmt.Errorf("ring: read: %w", ErrClosed)
	}
	if !c.begun {
		if err := c.begin(); err != nil || !c.begun {
			return err
		}
	}
	h := atomic.LoadUint64(&c.seg.hdr.head)
	if h-c.tail > c.cap {
		return fmt.Errorf("ring: read %s: %w: head %d, tail %d, capacity %d", c.seg.Name(), ErrCorrupt, h, c.tail, c.cap)
	}
	if c.head = h; h != c.tail {
		c.empty = 0
		return nil
	}
	return c.idle()
}

// begin waits for the producer to start the session that OpenConsumer asked for.
func (c *Consumer) begin() error {
	gen := atomic.LoadUint64(&c.seg.hdr.startGen)
	if gen != c.gen {
		return c.idle()
	}
	pos := atomic.LoadUint64(&c.seg.hdr.startPos)
	if pos-c.tail > c.cap {
		return fmt.Errorf("ring: read %s: %w: session starts at %d, tail %d, capacity %d", c.seg.Name(), ErrCorrupt, pos, c.tail, c.cap)
	}
	c.begun = true
	c.release(pos - c.tail)
	c.head = c.tail
	return nil
}

// idle is an empty poll: now and then it asks whether the producer still lives.
func (c *Consumer) idle() error {
	c.empty++
	if atomic.LoadUint32(&c.seg.hdr.state) == stateOpen && c.empty%probePolls != 0 {
		return nil
	}
	c.beat()
	return c.probe()
}

// probe returns a *GoneError if the producer is gone and nothing is left.
func (c *Consumer) probe() error {
	if c.ProducerAlive() || atomic.LoadUint64(&c.seg.hdr.head) != c.tail && c.begun {
		return nil
	}
	return c.seg.gone()
}

func (s *Segment) gone() error {
	e := &GoneError{Name: s.Name()}
	if s.shm != nil {
		e.Reopen = s.shm.replaced()
	}
	return e
}

func (c *Consumer) beat() { atomic.StoreInt64(&c.seg.ctl.beatNs, time.Now().UnixNano()) }

// ProducerAlive reports whether somebody may still write to the ring. On shared
// memory it asks the kernel who holds the producer's lock. Not after Close.
func (c *Consumer) ProducerAlive() bool {
	return !c.closed && atomic.LoadUint32(&c.seg.hdr.state) == stateOpen && c.seg.producerHolds()
}

// producerHolds reports whether the process that created the ring still lives.
func (s *Segment) producerHolds() bool { return s.shm == nil || s.owner || lockHeld(s.shm.dataFD.fd) }

// Name is the ring's name.
func (c *Consumer) Name() string { return c.seg.Name() }

// Capacity is the number of records that the ring holds.
func (c *Consumer) Capacity() int { return int(c.cap) }

// Venue is whose records the ring carries, 0 before a feed took it.
func (c *Consumer) Venue() md.Venue { return md.Venue(atomic.LoadUint32(&c.seg.hdr.venue)) }

// Epoch is the epoch of the records, ns since 1970 UTC; 0 before a feed took
// the ring. The stream's heartbeats carry it too, at its place.
func (c *Consumer) Epoch() int64 { return atomic.LoadInt64(&c.seg.hdr.epoch) }

// TableID is the id of the instrument table that the records refer to.
func (c *Consumer) TableID() uint64 { return c.seg.hdr.tableID }

// Depth is how many records wait to be read. Not after Close.
func (c *Consumer) Depth() int {
	tail := atomic.LoadUint64(&c.seg.ctl.tail) // first: head only grows
	return int(min(atomic.LoadUint64(&c.seg.hdr.head)-tail, c.cap))
}

// Lag is how long the oldest record that waits has been on this host, in ns: now
// (ns since 1970 UTC) minus its receive time; 0 if none waits. Only the
// reading goroutine.
func (c *Consumer) Lag(now int64) int64 {
	if c.closed || c.Depth() == 0 {
		return 0
	}
	return now - c.slots[c.tail&(c.cap-1)].TsRecv
}

// Close gives the read end free for the next consumer and, if Open or Attach
// made it, unmaps the ring. A second Close does nothing.
func (c *Consumer) Close() error {
	if c.closed {
		return nil
	}
	c.closed = true
	c.head = c.tail
	atomic.StoreUint32(&c.seg.ctl.sleeper, 0)
	var err error
	if c.seg.shm != nil {
		err = c.seg.shm.unlockCtl()
	}
	c.seg.reading.Store(false)
	if c.ownsSegment {
		err = errors.Join(err, c.seg.Close())
	}
	return err
}
