//go:build dpdk

package dpdkbridge

/*
#define TR_CALLS
#include "bridge.h"
*/
import "C"

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tickrelay/nettune"
)

// Pace of a poller.
const (
	spinsPerTurn = 8    // looks at the device in one call of a busy poller
	yieldTurns   = 4    // busy: idle turns between sched_yield calls
	goschedTurn  = 1024 // busy: idle turns between runtime.Gosched calls
	// hotFor is how long a poller that may nap goes on looking after an event;
	// then its naps grow to napLeader, or to napOther while another poller of
	// the same stack looks.
	hotFor    = 30 * time.Microsecond
	napFirst  = 10 * time.Microsecond
	napLeader = 150 * time.Microsecond
	napOther  = 2 * time.Millisecond

	dialTimeout = 10 * time.Second
)

// poller is one event loop's view of a stack.
type poller struct {
	s      *stack
	busy   bool
	idle   uint32
	woken  uint32 // atomic; also read by C while it spins
	asleep uint32 // atomic, the futex of nap
	nudged uint32 // atomic: there are events, looked for by another poller

	// Under s.mu:
	closed bool
	ready  []*stream
	heard  []*listener
	dials  []dialTimer
}

type dialTimer struct {
	s  *stream
	at time.Time
}

// Wake makes the current or next Poll return.
func (p *poller) Wake() {
	if atomic.SwapUint32(&p.woken, 1) == 0 {
		p.rouse()
	}
}

// nudge ends a nap, or keeps the next from starting, because there are events.
func (p *poller) nudge() {
	atomic.StoreUint32(&p.nudged, 1)
	p.rouse()
}

func (p *poller) rouse() {
	const wakePrivate = 1 | 128 // futex(2)
	if atomic.SwapUint32(&p.asleep, 0) != 0 {
		_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&p.asleep)), wakePrivate, 1, 0, 0, 0)
	}
}

// nap sleeps for d or until rouse.
func (p *poller) nap(d time.Duration) {
	const waitPrivate = 0 | 128
	atomic.StoreUint32(&p.asleep, 1)
	if atomic.LoadUint32(&p.woken) == 0 && atomic.SwapUint32(&p.nudged, 0) == 0 {
		ts := unix.NsecToTimespec(int64(d))
		_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&p.asleep)), waitPrivate, 1, uintptr(unsafe.Pointer(&ts)), 0, 0)
	}
	atomic.StoreUint32(&p.asleep, 0)
}

// Poll runs the stack and appends ready streams and listeners to dst.
func (p *poller) Poll(dst []nettune.Event, wait time.Duration) ([]nettune.Event, error) {
	base := len(dst)
	var deadline, quiet time.Time
	nap := napFirst
	defer p.s.leader.CompareAndSwap(p, nil)
	for {
		p.s.mu.Lock()
		if p.closed {
			p.s.mu.Unlock()
			return dst, net.ErrClosed
		}
		spins := 1
		if p.busy && wait != 0 && len(p.ready)+len(p.heard) == 0 {
			spins = spinsPerTurn
		}
		p.s.turn(p, spins)
		if len(p.dials) > 0 {
			dst = p.expire(dst)
		}
		dst = p.collect(dst)
		p.s.mu.Unlock()
		if atomic.LoadUint32(&p.woken) != 0 && atomic.SwapUint32(&p.woken, 0) != 0 || len(dst) > base {
			p.idle = 0
			return dst, nil
		}
		if wait == 0 {
			p.yield()
			return dst, nil
		}
		if p.busy && wait < 0 {
			p.yield()
			continue
		}
		now := time.Now()
		if deadline.IsZero() {
			quiet = now.Add(hotFor)
			if wait > 0 {
				deadline = now.Add(wait)
			} else {
				deadline = now.Add(1 << 60)
			}
		}
		if !now.Before(deadline) {
			return dst, nil
		}
		if p.busy || now.Before(quiet) {
			p.yield()
			continue
		}
		nap = p.rest(min(nap, deadline.Sub(now)))
	}
}

// rest naps and returns how long the next nap may be. One poller of the stack
// leads and naps shortly; the others trust it to wake them.
func (p *poller) rest(d time.Duration) time.Duration {
	l := p.s.leader.Load()
	if l == nil && p.s.leader.CompareAndSwap(nil, p) {
		l = p
	}
	p.nap(d)
	if l == p {
		return min(2*d, napLeader)
	}
	return min(2*d, napOther)
}

// yield gives the CPU away now and then while nothing arrives: the frame's
// sender may need it. See package nettune on why Go's scheduler is asked rarely.
func (p *poller) yield() {
	p.idle++
	switch {
	case p.idle%goschedTurn == 0:
		runtime.Gosched()
	case p.idle%yieldTurns == 0:
		_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
	}
}

// collect turns what was noted into events. Level-triggered: what is still
// unread stays on the list. s.mu is held.
func (p *poller) collect(dst []nettune.Event) []nettune.Event {
	keep := p.ready[:0]
	for _, st := range p.ready {
		if st.p != p || st.c == nil {
			st.listed = false
			continue
		}
		var more bool
		if dst, more = st.report(dst); more {
			keep = append(keep, st)
		} else {
			st.listed = false
		}
	}
	clear(p.ready[len(keep):])
	p.ready = keep
	heard := p.heard[:0]
	for _, l := range p.heard {
		if l.c == nil || l.c.first == nil {
			l.listed = false
			continue
		}
		dst = append(dst, nettune.Event{Listener: l, Flags: nettune.Accept})
		heard = append(heard, l)
	}
	clear(p.heard[len(heard):])
	p.heard = heard
	return dst
}

// expire fails dials that took too long. s.mu is held.
func (p *poller) expire(dst []nettune.Event) []nettune.Event {
	now := time.Now()
	keep := p.dials[:0]
	for _, d := range p.dials {
		switch {
		case d.s.c == nil || d.s.connected:
		case now.Before(d.at):
			keep = append(keep, d)
		default:
			d.s.closeLocked()
			dst = append(dst, nettune.Event{Stream: d.s, Flags: nettune.Closed, Err: d.s.opError("dial", nettune.ErrDialTimeout)})
		}
	}
	clear(p.dials[len(keep):])
	p.dials = keep
	return dst
}

// options is what the C side takes of Options.
func options(o nettune.Options, room int) C.struct_tr_options {
	if o == (nettune.Options{}) {
		o = nettune.DefaultOptions()
	}
	if o.RcvBuf > 0 {
		room = 16 << 10
		for room < o.RcvBuf && room < 16<<20 {
			room *= 2
		}
	}
	out := C.struct_tr_options{rx_cap: C.uint32_t(room), user_timeout_ms: C.uint32_t(o.UserTimeout.Milliseconds()),
		keep_idle_ms: C.uint32_t(o.KeepAlive.Milliseconds()), keep_intvl_ms: C.uint32_t(o.KeepAliveInterval.Milliseconds()),
		keep_cnt: C.uint32_t(o.KeepAliveCount)}
	if out.keep_intvl_ms == 0 {
		out.keep_intvl_ms = out.keep_idle_ms
	}
	if out.keep_cnt == 0 {
		out.keep_cnt = 9
	}
	if o.NoDelay {
		out.nodelay = 1
	}
	return out
}

// granted is what of Options is in force.
func granted(o nettune.Options, room int) nettune.Options {
	if o == (nettune.Options{}) {
		o = nettune.DefaultOptions()
	}
	return nettune.Options{NoDelay: o.NoDelay, Timestamps: o.Timestamps, RcvBuf: room, SndBuf: 1 << 20, UserTimeout: o.UserTimeout,
		KeepAlive: o.KeepAlive, KeepAliveInterval: o.KeepAliveInterval, KeepAliveCount: o.KeepAliveCount}
}

// Rooms for unread bytes.
const (
	dialRoom   = 1 << 20
	acceptRoom = 64 << 10
)

// Dial starts to connect.
func (p *poller) Dial(o nettune.DialOptions) (nettune.Stream, error) {
	st, err := p.dial(o, nil)
	if err != nil {
		return nil, err
	}
	return st, nil
}

// dial is Dial; a blocking connection comes with its stream from the start.
func (p *poller) dial(o nettune.DialOptions, owner *netConn) (*stream, error) {
	st := &stream{s: p.s, p: p, remote: netip.AddrPortFrom(o.Addr.Addr().Unmap(), o.Addr.Port()), dialled: true}
	if !o.Addr.IsValid() || o.Addr.Port() == 0 {
		return nil, st.opError("dial", fmt.Errorf("no address or port"))
	}
	if err := p.s.b.reachable(st.remote.Addr(), o.Bind); err != nil {
		return nil, st.opError("dial", err)
	}
	opt := options(o.Options, dialRoom)
	st.options = granted(o.Options, int(opt.rx_cap))
	to := toAddr(st.remote)
	var from C.struct_tr_addr
	if o.Bind.IsValid() {
		from = toAddr(netip.AddrPortFrom(o.Bind, 1))
	}
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if p.closed {
		return nil, net.ErrClosed
	}
	if owner != nil {
		st.data, st.edge, owner.st = owner, true, st
	}
	st.handle = p.s.take(st, nil)
	var code C.int
	st.c = C.trc_dial(p.s.ops, &to, &from, &opt, C.uint64_t(st.handle), &code)
	if st.c == nil {
		p.s.give(st.handle)
		return nil, st.opError("dial", reason(code, false))
	}
	if o.Timeout == 0 {
		o.Timeout = dialTimeout
	}
	if o.Timeout > 0 {
		p.dials = append(p.dials, dialTimer{st, time.Now().Add(o.Timeout)})
	}
	return st, nil
}

// reachable refuses what no frame could reach.
func (b *bridge) reachable(to, bind netip.Addr) error {
	family, gateway, own := false, false, !bind.IsValid()
	for _, a := range b.cfg.Addresses {
		family = family || a.Addr().Is4() == to.Is4()
		own = own || a.Addr() == bind.Unmap()
	}
	for _, g := range b.cfg.Gateways {
		gateway = gateway || g.Is4() == to.Is4()
	}
	switch {
	case !own:
		return fmt.Errorf("bind to %v: the stack has no such address", bind)
	case !family || !gateway && !b.cfg.onLink(to):
		return errUnreachable
	}
	return nil
}

// Release lets go of a stream.
func (p *poller) Release(x nettune.Stream) error {
	st, ok := x.(*stream)
	if !ok {
		return nettune.ErrForeign
	}
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	switch {
	case st.c == nil:
		return net.ErrClosed
	case st.p != p || !st.connected:
		return nettune.ErrForeign
	}
	st.unlist()
	st.p = nil
	return nil
}

// Adopt takes a released stream of the same stack.
func (p *poller) Adopt(x nettune.Stream) error {
	st, ok := x.(*stream)
	if !ok || st.s != p.s {
		return nettune.ErrForeign
	}
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	switch {
	case p.closed || st.c == nil:
		return net.ErrClosed
	case st.p != nil:
		return nettune.ErrNotReleased
	}
	st.p = p
	st.list() // perhaps something came meanwhile
	return nil
}

// Close closes every stream and listener of the poller.
func (p *poller) Close() error {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	delete(p.s.pollers, p)
	for i := range p.s.slots {
		if st := p.s.slots[i].stream; st != nil && st.p == p {
			st.closeLocked()
			if c, ok := st.data.(*netConn); ok { // who waits for it is told
				c.once.Do(func() { close(c.closed) })
			}
		} else if l := p.s.slots[i].listener; l != nil && l.p == p {
			l.closeLocked()
			if l.owner != nil {
				l.owner.once.Do(func() { close(l.owner.closed) })
			}
		}
	}
	p.ready, p.heard, p.dials = nil, nil, nil
	return nil
}
