package nettune

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	maxEvents   = 256  // taken from the kernel per Poll
	wakeSlot    = -1   // epoll data of the eventfd
	yieldTurns  = 32   // busy: idle turns between sched_yield calls
	goschedTurn = 4096 // busy: idle turns between runtime.Gosched calls
)

// slot ties the kernel's 64 bits of event data to a stream or listener; gen
// tells apart the successive owners of one slot.
type slot struct {
	stream   *kernelStream
	listener *kernelListener
	gen      int32
}

// kernelPoller is one epoll instance.
type kernelPoller struct {
	k      *Kernel
	epfd   int
	wakefd int // eventfd, -1 when busy
	busy   bool
	closed bool
	// woken is set by Wake and cleared by Poll; while set, further Wakes need
	// no system call.
	woken  atomic.Bool
	wakeMu sync.Mutex // a Wake's write against Close

	slots []slot
	free  []int32
	fresh []*kernelStream // accepted, not yet in epoll: see Release
	idle  uint32          // busy: turns since the last event
	asked uint32          // busy: turns, to ask epoll now and then
	hot   []*kernelStream // read on suspicion, or read early by another poller

	timers timers
	recv   recvScratch
	events [maxEvents]unix.EpollEvent
}

func newKernelPoller(k *Kernel, cfg PollerConfig) (*kernelPoller, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("nettune: epoll_create: %w", err)
	}
	p := &kernelPoller{k: k, epfd: epfd, wakefd: -1, busy: cfg.Busy}
	if p.busy {
		return p, nil
	}
	p.wakefd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epfd)
		return nil, fmt.Errorf("nettune: eventfd: %w", err)
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: wakeSlot}
	if err := unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, p.wakefd, &ev); err != nil {
		p.Close()
		return nil, fmt.Errorf("nettune: epoll_ctl: %w", err)
	}
	return p, nil
}

// Wake makes the current or next Poll return.
func (p *kernelPoller) Wake() {
	if p.woken.Swap(true) || p.busy {
		return // a busy poller looks at the flag every turn
	}
	p.wakeMu.Lock()
	defer p.wakeMu.Unlock()
	if p.wakefd >= 0 {
		one := [8]byte{1} // host order, little-endian machines only
		_, _ = unix.Write(p.wakefd, one[:])
	}
}

// Poll appends ready streams and listeners to dst.
func (p *kernelPoller) Poll(dst []Event, wait time.Duration) ([]Event, error) {
	if p.closed {
		return dst, net.ErrClosed
	}
	if len(p.fresh) > 0 {
		p.registerFresh()
	}
	if p.busy {
		return p.pollBusy(dst, wait)
	}
	var deadline time.Time
	if wait > 0 {
		deadline = time.Now().Add(wait)
	}
	base := len(dst)
	if len(p.hot) > 0 {
		if dst = p.handOver(dst); len(dst) > base {
			wait = 0
		}
	}
	for {
		w := wait
		if p.timers.active() {
			w = p.timers.bound(time.Now(), w)
		}
		var err error
		if dst, err = p.collect(dst, w); err != nil {
			return dst, err
		}
		if p.timers.active() {
			dst = p.fireTimers(dst, time.Now())
		}
		if p.woken.Load() {
			p.clearWake()
			return dst, nil
		}
		if len(dst) > base || wait == 0 {
			return dst, nil
		}
		if wait > 0 {
			if wait = time.Until(deadline); wait <= 0 {
				return dst, nil
			}
		}
		// A signal, or a timer with nothing to report: sleep on.
	}
}

// clearWake empties the eventfd before it clears the flag, so that a Wake in
// between is covered by this Poll's return.
func (p *kernelPoller) clearWake() {
	if p.wakefd >= 0 {
		var b [8]byte
		_, _ = unix.Read(p.wakefd, b[:])
	}
	p.woken.Swap(false)
}

// pollBusy never sleeps. Few streams are read on suspicion (busyread.go), and
// epoll is asked for what that does not show.
func (p *kernelPoller) pollBusy(dst []Event, wait time.Duration) ([]Event, error) {
	base := len(dst)
	var deadline time.Time
	if wait > 0 {
		deadline = time.Now().Add(wait)
	}
	for {
		if len(p.hot) > 0 {
			dst = p.readEarly(dst)
		}
		if p.asked++; p.asked%askTurns == 0 || !p.suspicious() {
			var err error
			if dst, err = p.collect(dst, 0); err != nil {
				return dst, err
			}
		}
		if p.timers.active() {
			dst = p.fireTimers(dst, time.Now())
		}
		woken := p.woken.Load() && p.woken.Swap(false)
		if woken || len(dst) > base {
			p.idle = 0
			return dst, nil
		}
		p.yield()
		if wait == 0 || wait > 0 && !time.Now().Before(deadline) {
			return dst, nil
		}
	}
}

// yield gives the CPU away now and then while nothing arrives. It asks the
// operating system rather than Go: on a goroutine locked to its thread
// runtime.Gosched parks and wakes the thread, some 15 µs against 0.4.
func (p *kernelPoller) yield() {
	p.idle++
	switch {
	case p.idle%goschedTurn == 0:
		runtime.Gosched()
	case p.idle%yieldTurns == 0:
		_, _, _ = unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
	}
}

// collect asks epoll once and appends what it says.
func (p *kernelPoller) collect(dst []Event, wait time.Duration) ([]Event, error) {
	n, errno := p.epollWait(wait)
	if errno == unix.EINTR {
		return dst, nil
	}
	if errno != 0 {
		return dst, os.NewSyscallError("epoll_wait", errno)
	}
	for i := range p.events[:n] {
		ev := &p.events[i]
		if ev.Fd == wakeSlot {
			p.woken.Store(true)
			continue
		}
		sl := &p.slots[ev.Fd]
		if sl.gen != ev.Pad {
			continue
		}
		if sl.stream != nil {
			dst = sl.stream.ready(dst, ev.Events)
		} else if sl.listener != nil {
			dst = append(dst, Event{Listener: sl.listener, Flags: Accept})
		}
	}
	return dst, nil
}

// epollWait waits with nanosecond resolution where the kernel has epoll_pwait2
// (5.11), else rounds up to milliseconds.
func (p *kernelPoller) epollWait(wait time.Duration) (int, unix.Errno) {
	ev := unsafe.Pointer(&p.events[0])
	if wait == 0 { // does not block: no need to tell Go's scheduler
		n, _, e := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epfd), uintptr(ev), maxEvents, 0, 0, 0)
		return int(n), e
	}
	if wait > 0 && !p.k.noPwait2.Load() {
		ts := unix.NsecToTimespec(int64(wait))
		n, _, e := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.epfd), uintptr(ev), maxEvents,
			uintptr(unsafe.Pointer(&ts)), 0, 0)
		if e != unix.ENOSYS {
			return int(n), e
		}
		p.k.noPwait2.Store(true)
	}
	ms := -1
	if wait > 0 {
		ms = int(min((wait+time.Millisecond-1)/time.Millisecond, 1<<30))
	}
	n, _, e := unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epfd), uintptr(ev), maxEvents, uintptr(ms), 0, 0)
	return int(n), e
}

// take gives a stream or listener a slot.
func (p *kernelPoller) take(s *kernelStream, l *kernelListener) (int32, int32) {
	var i int32
	if n := len(p.free); n > 0 {
		i, p.free = p.free[n-1], p.free[:n-1]
	} else {
		i = int32(len(p.slots))
		p.slots = append(p.slots, slot{})
	}
	sl := &p.slots[i]
	sl.stream, sl.listener = s, l
	return i, sl.gen
}

// give frees a slot; events of its former owner are ignored from now on.
func (p *kernelPoller) give(i int32) {
	sl := &p.slots[i]
	sl.stream, sl.listener = nil, nil
	sl.gen++
	p.free = append(p.free, i)
}

// ctl adds or changes a descriptor's interest.
func (p *kernelPoller) ctl(op, fd int, events uint32, slot int32) error {
	ev := unix.EpollEvent{Events: events, Fd: slot, Pad: p.slots[slot].gen}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.epfd, op, fd, &ev))
}

// register puts a stream under epoll's eyes.
func (p *kernelPoller) register(s *kernelStream) error {
	s.p = p
	s.slot, _ = p.take(s, nil)
	if s.flags&broken != 0 { // said its last before it was watched
		s.flags |= unwatched
		return nil
	}
	if err := p.ctl(unix.EPOLL_CTL_ADD, int(s.fd), s.interest(), s.slot); err != nil {
		p.give(s.slot)
		s.slot = noSlot
		return err
	}
	if s.flags&connecting == 0 {
		p.warm(s)
		if s.readEarly() {
			s.watch()
		}
	}
	return nil
}

// registerFresh registers accepted streams that nobody released since.
func (p *kernelPoller) registerFresh() {
	for i, s := range p.fresh {
		p.fresh[i] = nil
		if s.fd >= 0 && s.p == p && s.slot == noSlot {
			if err := p.register(s); err != nil {
				_ = s.Close() // out of kernel memory for watches: shed the stream
			}
		}
	}
	p.fresh = p.fresh[:0]
}

// forget takes a stream out of the poller's books; its descriptor stays open.
func (p *kernelPoller) forget(s *kernelStream) {
	if s.slot != noSlot {
		p.give(s.slot)
		s.slot = noSlot
	}
	for i, f := range p.fresh {
		if f == s {
			p.fresh = append(p.fresh[:i], p.fresh[i+1:]...)
			break
		}
	}
	p.timers.drop(s)
	p.cool(s)
	s.p = nil
}

// own finds the kernel's stream behind the interface.
func (p *kernelPoller) own(s Stream) (*kernelStream, error) {
	ks, ok := s.(*kernelStream)
	if !ok {
		return nil, ErrForeign
	}
	if ks.fd < 0 {
		return nil, net.ErrClosed
	}
	return ks, nil
}

// Release lets go of a stream that this poller owns.
func (p *kernelPoller) Release(s Stream) error {
	ks, err := p.own(s)
	if err != nil {
		return err
	}
	if ks.p != p || ks.flags&connecting != 0 {
		return ErrForeign
	}
	if ks.slot != noSlot && ks.flags&unwatched == 0 {
		_ = unix.EpollCtl(p.epfd, unix.EPOLL_CTL_DEL, int(ks.fd), nil)
	}
	p.forget(ks)
	return nil
}

// Adopt takes a released stream.
func (p *kernelPoller) Adopt(s Stream) error {
	if p.closed {
		return net.ErrClosed
	}
	ks, err := p.own(s)
	if err != nil {
		return err
	}
	if ks.p != nil {
		return ErrNotReleased
	}
	ks.flags &^= unwatched
	if err := p.register(ks); err != nil {
		ks.p = nil
		return err
	}
	return nil
}

// Close closes everything that the poller owns.
func (p *kernelPoller) Close() error {
	if p.closed {
		return nil
	}
	p.closed = true
	for len(p.fresh) > 0 {
		_ = p.fresh[len(p.fresh)-1].Close()
	}
	for i := range p.slots {
		if s := p.slots[i].stream; s != nil {
			_ = s.Close()
		} else if l := p.slots[i].listener; l != nil {
			_ = l.Close()
		}
	}
	var errs []error
	errs = append(errs, os.NewSyscallError("close", unix.Close(p.epfd)))
	p.wakeMu.Lock()
	defer p.wakeMu.Unlock()
	if p.wakefd >= 0 {
		errs = append(errs, os.NewSyscallError("close", unix.Close(p.wakefd)))
		p.wakefd = -1
	}
	return errors.Join(errs...)
}
