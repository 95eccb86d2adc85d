//go:build dpdk

package dpdkbridge

/*
#define TR_CALLS
#include "bridge.h"
*/
import "C"

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"unsafe"

	"tickrelay/nettune"
)

// stream is one connection. Its fields are guarded by the stack's lock.
type stream struct {
	s      *stack
	p      *poller // nil while released
	c      *C.struct_tr_conn
	handle uint64
	data   any
	remote netip.AddrPort

	connected bool
	dialled   bool
	told      bool // Connected was reported
	listed    bool // in p.ready
	fresh     bool // something happened since Read found nothing
	full      bool // Write took less than all
	want      bool // Writable events are on
	edge      bool // report each event once: a pump's
	options   nettune.Options
}

var _ nettune.Stream = (*stream)(nil)
var _ nettune.Detacher = (*stream)(nil)

// note takes what the stack says. mu is held.
func (st *stream) note(flags uint32) {
	if flags&C.TR_EV_CONNECTED != 0 {
		st.connected = true
	}
	if flags&C.TR_EV_WRITE != 0 {
		st.full = false
	}
	if flags&(C.TR_EV_READ|C.TR_EV_CLOSED) != 0 {
		st.fresh = true
	}
	st.list()
}

// list has the owner look at the stream. mu is held.
func (st *stream) list() {
	if !st.listed && st.p != nil && !st.p.closed {
		st.listed = true
		st.p.ready = append(st.p.ready, st)
	}
}

// unlist takes the stream off its owner's list. mu is held.
func (st *stream) unlist() {
	if !st.listed {
		return
	}
	for i, x := range st.p.ready {
		if x == st {
			st.p.ready = append(st.p.ready[:i], st.p.ready[i+1:]...)
			break
		}
	}
	st.listed = false
}

// readable reports whether Read has something to say. mu is held.
func (st *stream) readable() bool {
	return st.c.head != st.c.tail || st.c.eof != 0 || st.c.dead != 0
}

// report appends the stream's event; more says that it stays to be reported.
func (st *stream) report(dst []nettune.Event) (_ []nettune.Event, more bool) {
	if st.dialled && !st.connected {
		if st.c.dead == 0 {
			return dst, false
		}
		err := st.opError("dial", reason(C.int(st.c.error), false))
		st.closeLocked()
		return append(dst, nettune.Event{Stream: st, Flags: nettune.Closed, Err: err}), false
	}
	var f nettune.EventFlags
	if st.dialled && !st.told {
		st.told = true
		f |= nettune.Connected
	}
	read := st.readable() && (st.fresh || st.c.head != st.c.tail)
	if read {
		f |= nettune.Readable
	}
	if st.want && (!st.full || st.c.dead != 0) {
		f |= nettune.Writable
	}
	if f == 0 {
		return dst, false
	}
	return append(dst, nettune.Event{Stream: st, Flags: f}), !st.edge
}

// windowStep is how much is read until the stack hears of it. The whole window of
// a peer without window scaling is 65,535 bytes: a larger step never comes.
const windowStep = 16 << 10

// Read copies what has arrived: no call into C unless the peer's window has to
// be opened.
func (st *stream) Read(p []byte) (int, int64, error) {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	c := st.c
	if c == nil {
		return 0, 0, net.ErrClosed
	}
	if len(p) == 0 {
		return 0, 0, nil
	}
	n := 0
	if have := uint32(c.head - c.tail); have > 0 {
		cap := uint32(c.cap)
		at := uint32(c.tail) & (cap - 1)
		room := unsafe.Slice((*byte)(unsafe.Pointer(c.rx)), cap)
		n = copy(p, room[at:min(cap, at+have)])
		if uint32(n) == cap-at && n < len(p) {
			n += copy(p[n:], room[:have-uint32(n)])
		}
		c.tail += C.uint32_t(n)
		if c.refused != 0 || uint32(c.tail-c.told) >= min(cap/4, windowStep) {
			C.trc_read_done(st.s.ops, c)
		}
		return n, rxTime(c), nil
	}
	switch {
	case c.refused != 0 && c.dead == 0:
		C.trc_read_done(st.s.ops, c)
		return 0, 0, nettune.ErrWouldBlock
	case c.dead != 0 && c.eof == 0:
		st.fresh = false
		return 0, rxTime(c), st.opError("read", reason(C.int(c.error), true))
	case c.eof != 0:
		st.fresh = false // said once, as the kernel's streams do
		return 0, rxTime(c), io.EOF
	}
	return 0, 0, nettune.ErrWouldBlock
}

// Write queues bytes and sends what the peer's window takes.
func (st *stream) Write(p []byte) (int, error) {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	c := st.c
	switch {
	case c == nil:
		return 0, net.ErrClosed
	case len(p) == 0:
		return 0, nil
	case c.dead != 0:
		return 0, st.opError("write", reason(C.int(c.error), true))
	case !st.connected:
		return 0, nettune.ErrWouldBlock
	}
	n := int(C.trc_write(st.s.ops, c, (*C.uint8_t)(unsafe.Pointer(&p[0])), C.int(len(p))))
	if n < 0 {
		return 0, st.opError("write", reason(C.int(c.error), true))
	}
	if n < len(p) {
		st.full = true
		return n, nettune.ErrWouldBlock
	}
	return n, nil
}

// Close ends the stream.
func (st *stream) Close() error {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	st.closeLocked()
	return nil
}

func (st *stream) closeLocked() {
	if st.c == nil {
		return
	}
	st.s.give(st.handle)
	C.trc_close_conn(st.s.ops, st.c)
	st.c = nil
}

// Granted returns the options in force.
func (st *stream) Granted() nettune.Options {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	if st.c == nil {
		return nettune.Options{}
	}
	return st.options
}

// WantWrite switches Writable events.
func (st *stream) WantWrite(on bool) {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	if st.c == nil {
		return
	}
	if on && !st.want {
		st.full = false // room may have come before anybody asked
	}
	st.want = on
	st.c.want_write = 0
	if on {
		st.c.want_write = 1
		st.list()
	}
}

// SetData keeps v with the stream.
func (st *stream) SetData(v any) { st.data = v }

// Data returns what SetData kept.
func (st *stream) Data() any { return st.data }

// RemoteAddr is the peer.
func (st *stream) RemoteAddr() netip.AddrPort { return st.remote }

// LocalAddr is this end.
func (st *stream) LocalAddr() netip.AddrPort {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	if st.c == nil {
		return netip.AddrPort{}
	}
	return fromAddr(&st.c.local)
}

func (st *stream) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Addr: net.TCPAddrFromAddrPort(st.remote), Err: err}
}

// listener accepts streams for its poller.
type listener struct {
	p       *poller
	c       *C.struct_tr_listener
	handle  uint64
	addr    netip.AddrPort
	listed  bool
	options nettune.Options
	owner   *netListener // nil but for a pump's
}

var _ nettune.Listener = (*listener)(nil)

// Listen opens a listener. Several on one port are not possible.
func (p *poller) Listen(o nettune.ListenOptions) (nettune.Listener, error) {
	if o.Inherited != nil {
		return nil, fmt.Errorf("dpdkbridge: a listening socket of the kernel: %w", nettune.ErrNotSupported)
	}
	l, err := p.listen(o, nil)
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (p *poller) listen(o nettune.ListenOptions, owner *netListener) (*listener, error) {
	if !o.Addr.Addr().IsValid() {
		return nil, fmt.Errorf("dpdkbridge: listen: no address")
	}
	if a := o.Addr.Addr().Unmap(); !a.IsUnspecified() {
		if err := p.s.b.reachable(a, a); err != nil {
			return nil, fmt.Errorf("dpdkbridge: listen %s: not an address of the stack", o.Addr)
		}
	}
	opt := options(o.Options, acceptRoom)
	at := toAddr(o.Addr)
	backlog := o.Backlog
	if backlog <= 0 {
		backlog = 1024
	}
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if p.closed {
		return nil, net.ErrClosed
	}
	l := &listener{p: p, owner: owner, options: granted(o.Options, int(opt.rx_cap))}
	l.handle = p.s.take(nil, l)
	var code C.int
	l.c = C.trc_listen(p.s.ops, &at, &opt, C.int(backlog), C.uint64_t(l.handle), &code)
	if l.c == nil {
		p.s.give(l.handle)
		return nil, fmt.Errorf("dpdkbridge: listen %s: %w", o.Addr, reason(code, true))
	}
	l.addr = fromAddr(&l.c.local)
	return l, nil
}

func (l *listener) note() {
	if !l.listed {
		l.listed = true
		l.p.heard = append(l.p.heard, l)
	}
}

// Accept takes one connection.
func (l *listener) Accept() (nettune.Stream, error) {
	st, err := l.accept()
	if err != nil {
		return nil, err
	}
	return st, nil
}

func (l *listener) accept() (*stream, error) {
	s := l.p.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.c == nil {
		return nil, net.ErrClosed
	}
	c := C.trc_accept(s.ops, l.c)
	if c == nil {
		return nil, nettune.ErrWouldBlock
	}
	st := &stream{s: s, p: l.p, c: c, connected: true, fresh: true, remote: fromAddr(&c.remote), options: l.options}
	st.handle = s.take(st, nil)
	c.handle = C.uint64_t(st.handle)
	if st.readable() {
		st.list()
	}
	return st, nil
}

// Addr is the bound address.
func (l *listener) Addr() netip.AddrPort { return l.addr }

// Granted returns the options in force.
func (l *listener) Granted() nettune.Options { return l.options }

// Close stops listening.
func (l *listener) Close() error {
	l.p.s.mu.Lock()
	defer l.p.s.mu.Unlock()
	l.closeLocked()
	return nil
}

func (l *listener) closeLocked() {
	if l.c == nil {
		return
	}
	l.p.s.give(l.handle)
	C.trc_unlisten(l.p.s.ops, l.c)
	l.c = nil
}
