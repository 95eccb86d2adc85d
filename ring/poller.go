package ring

import (
	"errors"
	"slices"
	"sync/atomic"
	"time"
	"unsafe"

	"tickrelay/ring/md"
)

// Poller reads several rings in one goroutine. Each ring keeps its own order;
// between rings there is none.
type Poller struct {
	cs     []*Consumer
	from   int // ring to look at first in the next Poll
	words  []futexWaiter
	broken bool // futex_waitv does not work here
	lease  *lease
	wake   *waker // nil: sleeps on the rings' futex words

	// The instrument table of rings that were opened by path.
	table *md.TableView
	unmap func() error
}

// NewPoller makes a Poller over rings that are open already, which it closes in
// its Close.
func NewPoller(cs ...*Consumer) *Poller {
	return &Poller{cs: slices.Clone(cs), words: make([]futexWaiter, 0, len(cs))}
}

// Poll copies records into dst from the next ring that has some, so a busy ring
// never keeps the others waiting. An error tells of one ring, as Consumer.Poll;
// the others can be read on after Remove of that ring.
func (p *Poller) Poll(dst []md.Record) (int, error) {
	if p.lease != nil && p.lease.owed {
		p.late()
	}
	for i := range p.cs {
		k := p.from + i
		if k >= len(p.cs) {
			k -= len(p.cs)
		}
		if n, err := p.cs[k].Poll(dst); n > 0 || err != nil {
			if p.from = k + 1; p.from >= len(p.cs) {
				p.from = 0
			}
			return n, err
		}
	}
	return 0, nil
}

// Wait waits as Consumer.Wait does, for any of the rings. Without rings it
// returns ErrClosed.
func (p *Poller) Wait(mode WaitMode, timeout time.Duration) (bool, error) {
	if len(p.cs) == 0 {
		return false, ErrClosed
	}
	var w waiter
	for {
		for _, c := range p.cs {
			if c.tail == c.head {
				if err := c.refresh(); err != nil {
					return false, err
				}
			}
			if c.tail != c.head {
				return true, nil
			}
			if c.interrupted.Swap(false) {
				return false, nil
			}
		}
		d, probe, expired := w.next(mode, timeout)
		if expired {
			return false, nil
		}
		if probe && p.lease != nil && p.lease.owed {
			p.late()
		}
		for _, c := range p.cs {
			if probe {
				c.beat()
				if err := c.probe(); err != nil {
					return false, err
				}
			}
		}
		if d > 0 {
			p.sleep(d)
		}
	}
}

// sleep blocks on the lease's descriptor, or on the futex words of all rings at
// once; on kernels before 5.16, and beyond 128 rings, it naps for a millisecond
// instead.
func (p *Poller) sleep(d time.Duration) {
	p.words = p.words[:0]
	for _, c := range p.cs {
		if !c.prepareSleep() {
			p.awake()
			return
		}
		p.words = append(p.words, futexWaiter{val: 1, addr: uint64(uintptr(unsafe.Pointer(&c.seg.ctl.sleeper))), flags: futex2SizeU32})
	}
	if p.wake != nil {
		p.wake.wait(d)
	} else if p.broken || errors.Is(futexWaitAny(p.words, d), errNoWaitv) {
		p.broken = true
		futexWait(&p.cs[0].seg.ctl.sleeper, 1, min(d, time.Millisecond))
	}
	p.awake()
}

func (p *Poller) awake() {
	for _, c := range p.cs {
		atomic.StoreUint32(&c.seg.ctl.sleeper, 0)
	}
}

// Interrupt ends a Wait. Any goroutine, until Close.
func (p *Poller) Interrupt() {
	if len(p.cs) > 0 {
		p.cs[0].Interrupt()
	}
}

// Consumers returns the rings that are read.
func (p *Poller) Consumers() []*Consumer { return slices.Clone(p.cs) }

// Add reads one more ring, which the Poller closes in its Close. Only the reading
// goroutine. Not for the Poller of a lease.
func (p *Poller) Add(c *Consumer) {
	p.cs = append(p.cs, c)
	p.words = slices.Grow(p.words[:0], len(p.cs))
}

// Remove closes one ring and goes on with the others. Only the reading
// goroutine.
func (p *Poller) Remove(c *Consumer) error {
	i := slices.Index(p.cs, c)
	if i < 0 {
		return nil
	}
	p.cs, p.from = slices.Delete(p.cs, i, i+1), 0
	return c.Close()
}

// Table is the relay's instrument table, nil if the rings were not attached by
// Attach or the relay shares none. Not after Close.
func (p *Poller) Table() *md.TableView {
	if p.lease == nil {
		return p.table
	}
	return p.lease.table
}

// TakeTable is Table, and gives the table's mapping to the caller, who ends it by
// unmap when nobody reads the table any more; Close does not.
func (p *Poller) TakeTable() (view *md.TableView, unmap func() error) {
	if p.lease != nil {
		view, unmap = p.lease.table, p.lease.unmap
		p.lease.unmap = nil
		return view, unmap
	}
	unmap, p.unmap = p.unmap, nil
	return p.table, unmap
}

// Close closes every ring and gives the lease back.
func (p *Poller) Close() error {
	var errs []error
	for _, c := range p.cs {
		errs = append(errs, c.Close())
	}
	p.cs = nil
	errs = append(errs, p.wake.close())
	p.wake = nil
	if p.unmap != nil {
		errs = append(errs, p.unmap())
		p.unmap, p.table = nil, nil
	}
	if p.lease != nil {
		errs = append(errs, p.lease.close())
	}
	return errors.Join(errs...)
}
