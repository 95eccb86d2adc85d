package ring

import (
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// WaitMode says what a consumer does while there is nothing to read.
type WaitMode uint8

// Wait modes, from the fastest to the cheapest.
const (
	// WaitSpin looks again at once. It occupies a core; on a machine without a
	// free one it is slower than the others.
	WaitSpin WaitMode = iota
	// WaitYield lets other goroutines and threads run between two looks.
	WaitYield
	// WaitBlock looks a few hundred times and then sleeps in the kernel; the
	// producer wakes it by a system call: on a futex, or, if the rings were
	// attached with WakeEventFD, through the lease's descriptor.
	WaitBlock
)

const (
	spinYield  = 256 // looks between two Gosched of WaitSpin, for the runtime's sake
	blockSpins = 64  // looks of WaitBlock before it sleeps
	clockEvery = 64  // looks between two looks at the clock
)

// Wait waits until there is something to read, at most timeout (negative: for
// ever; 0: it only looks). It returns true if there is, false after the
// timeout or an Interrupt, and the error that Poll would return. It finds out
// within 100 ms that the producer died.
func (c *Consumer) Wait(mode WaitMode, timeout time.Duration) (bool, error) {
	var w waiter
	for {
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
		d, probe, expired := w.next(mode, timeout)
		if expired {
			return false, nil
		}
		if probe {
			c.beat()
			if err := c.probe(); err != nil {
				return false, err
			}
		}
		if d > 0 {
			c.sleep(d)
		}
	}
}

// waiter is the part of waiting that is the same for one ring and for many.
type waiter struct {
	looks    uint32
	deadline time.Time // zero: not asked yet
	probeAt  time.Time
}

// next is called after a look that found nothing. It spins or yields, or says
// how long to sleep; probe tells to ask for the producer's life.
func (w *waiter) next(mode WaitMode, timeout time.Duration) (sleep time.Duration, probe, expired bool) {
	if timeout == 0 {
		return 0, false, true
	}
	w.looks++
	block := mode == WaitBlock && w.looks > blockSpins
	switch {
	case block:
	case mode != WaitSpin || w.looks%spinYield == 0:
		runtime.Gosched()
		if mode == WaitYield && w.looks%clockEvery == 0 {
			unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0) // another process may want the core
		}
	}
	if !block && w.looks%clockEvery != 0 {
		return 0, false, false
	}
	now := time.Now()
	if w.deadline.IsZero() {
		w.deadline, w.probeAt = now.Add(max(timeout, 0)), now.Add(probeEvery)
	}
	left := w.deadline.Sub(now)
	if timeout > 0 && left <= 0 {
		return 0, false, true
	}
	if !now.Before(w.probeAt) {
		probe, w.probeAt = true, now.Add(probeEvery)
	}
	if !block {
		return 0, probe, false
	}
	if timeout < 0 {
		left = probeEvery
	}
	return min(left, probeEvery), probe, false
}

// sleep blocks on the ring's futex word, at most d.
func (c *Consumer) sleep(d time.Duration) {
	word := &c.seg.ctl.sleeper
	if c.prepareSleep() {
		if c.wake != nil {
			c.wake.wait(d)
		} else {
			futexWait(word, 1, d)
		}
	}
	atomic.StoreUint32(word, 0)
}

// prepareSleep sets the sleeper word and looks again; false if there is a
// reason not to sleep. See writer.commit for the other half.
func (c *Consumer) prepareSleep() bool {
	ctl := c.seg.ctl
	atomic.StoreUint32(&ctl.sleeper, 1)
	if atomic.LoadUint64(&c.seg.hdr.head) != c.head || c.interrupted.Load() ||
		atomic.LoadUint32(&c.seg.hdr.state) != stateOpen ||
		!c.begun && atomic.LoadUint64(&c.seg.hdr.startGen) == c.gen {
		return false
	}
	c.beat()
	atomic.StoreUint64(&ctl.sleeps, atomic.LoadUint64(&ctl.sleeps)+1)
	return true
}

// Interrupt makes a Wait of the reading goroutine return at once, or the next
// one if none is under way. Any goroutine, until Close.
func (c *Consumer) Interrupt() {
	c.interrupted.Store(true)
	if c.wake != nil {
		c.wake.interrupt()
		return
	}
	if atomic.SwapUint32(&c.seg.ctl.sleeper, 0) != 0 {
		futexWake(&c.seg.ctl.sleeper)
	}
}
