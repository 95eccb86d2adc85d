package ring

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An event loop (asyncio, epoll, libuv) cannot sleep on a futex. A lease may
// therefore come with one descriptor for all its rings, which becomes readable
// when the producer finds a ring's sleeper word set: the same protocol as with
// the futex, and the same number of system calls.

// notifier is the relay's side of such a descriptor.
type notifier struct{ read, write *descriptor }

// newNotifier makes an eventfd for a peer that is trusted. An eventfd is one
// open file description for both sides, so its holder could make it blocking,
// fill it, and stop the feed: other peers get the read end of a pipe instead,
// whose write end is a description of its own. Readers cannot tell and need
// not: read 8 bytes at a time until there are none.
func newNotifier(trusted bool) (*notifier, error) {
	if trusted {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			return nil, fmt.Errorf("eventfd: %w", err)
		}
		d := &descriptor{fd}
		return &notifier{d, d}, nil
	}
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, fmt.Errorf("pipe: %w", err)
	}
	return &notifier{&descriptor{p[0]}, &descriptor{p[1]}}, nil
}

// serve has the producers of the segments wake through n. Before the rings are
// handed out.
func (n *notifier) serve(segs []*Segment) {
	for _, s := range segs {
		s.wakeFD.Store(int32(n.write.fd) + 1)
		atomic.StoreUint32(&s.hdr.wakeModes, wakeFutex|wakeByFD)
	}
}

// close must come after the segments ended: a descriptor's number is used again.
func (n *notifier) close() error {
	if n == nil {
		return nil
	}
	return errors.Join(n.read.close(), n.write.close())
}

// wakeReader wakes the consumer that set the sleeper word, in the way that it
// asked for. It never blocks: a full descriptor is readable anyhow.
func (s *Segment) wakeReader() {
	if fd := s.wakeFD.Load(); fd != 0 && atomic.LoadUint32(&s.ctl.wakeMode) == waitsFD {
		signalFD(int(fd - 1))
		return
	}
	if s.readers != nil {
		futexWakeAll(&s.ctl.sleeper)
		return
	}
	futexWake(&s.ctl.sleeper)
}

func signalFD(fd int) {
	one := uint64(1)
	unix.Syscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&one)), unsafe.Sizeof(one))
}

// waker is a client's side: the descriptor of its lease, and one of its own for
// Interrupt, because the lease's may be for reading only.
type waker struct{ lease, own *descriptor }

// newWaker takes over the lease's descriptor whatever happens.
func newWaker(lease int) (*waker, error) {
	w := &waker{lease: &descriptor{lease}}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err == nil {
		w.own = &descriptor{fd}
		err = unix.SetNonblock(lease, true)
	}
	if err != nil {
		w.close()
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	return w, nil
}

func (w *waker) close() error {
	if w == nil {
		return nil
	}
	return errors.Join(w.lease.close(), w.own.close())
}

// wait sleeps until one of the descriptors is readable, at most d.
func (w *waker) wait(d time.Duration) {
	fds := [2]unix.PollFd{{Fd: int32(w.lease.fd), Events: unix.POLLIN}, {Fd: int32(w.own.fd), Events: unix.POLLIN}}
	ts := unix.NsecToTimespec(int64(max(d, 0)))
	unix.Syscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds)), 2, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	w.drain()
}

// drain makes both descriptors unreadable again.
func (w *waker) drain() {
	var n uint64
	for _, d := range [2]*descriptor{w.lease, w.own} {
		for {
			k, _, e := unix.Syscall(unix.SYS_READ, uintptr(d.fd), uintptr(unsafe.Pointer(&n)), unsafe.Sizeof(n))
			if e != 0 || k == 0 {
				break
			}
		}
	}
}

func (w *waker) interrupt() { signalFD(w.own.fd) }

// wakeVia has the consumer sleep on a descriptor instead of the futex word.
func (c *Consumer) wakeVia(w *waker) {
	c.wake = w
	atomic.StoreUint32(&c.seg.ctl.wakeMode, waitsFD)
}

// FD is the descriptor that becomes readable when an armed Poller has something
// to read, -1 unless its rings were attached with WakeEventFD. It is for event
// loops: Arm, wait until it is readable, Disarm, Poll until there is nothing,
// and again. The descriptor stays the Poller's. It says nothing of a relay that
// dies; that Poll finds out, so wait with a timeout of 100 ms or so.
func (p *Poller) FD() int {
	if p.wake == nil {
		return -1
	}
	return p.wake.lease.fd
}

// Arm prepares to sleep on FD and reports whether to: false if there is
// something to read already. Only the reading goroutine.
func (p *Poller) Arm() bool {
	for _, c := range p.cs {
		if c.tail != c.head || !c.prepareSleep() {
			p.awake()
			return false
		}
	}
	return true
}

// Disarm ends what Arm began and makes FD unreadable.
func (p *Poller) Disarm() {
	if p.wake != nil {
		p.wake.drain()
	}
	p.awake()
}
