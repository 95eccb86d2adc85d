//go:build dpdk

package dpdkbridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"time"

	"tickrelay/nettune"
)

// pump is the goroutine that polls for a stack's blocking connections.
type pump struct {
	p    *poller
	done chan struct{}
}

// thePump starts the stack's pump at the first call.
func (s *stack) thePump() (*pump, error) {
	s.mu.Lock()
	if u := s.pump; u != nil {
		s.mu.Unlock()
		return u, nil
	}
	s.mu.Unlock()
	p, err := s.newPoller(nettune.PollerConfig{})
	if err != nil {
		return nil, err
	}
	u := &pump{p: p, done: make(chan struct{})}
	s.mu.Lock()
	if s.pump != nil || s.closing { // somebody else was faster
		other := s.pump
		s.mu.Unlock()
		_ = p.Close()
		if other == nil {
			return nil, net.ErrClosed
		}
		return other, nil
	}
	s.pump = u
	s.mu.Unlock()
	go u.run()
	return u, nil
}

func (u *pump) run() {
	defer close(u.done)
	var events []nettune.Event
	for {
		var err error
		if events, err = u.p.Poll(events[:0], -1); err != nil {
			return
		}
		for i := range events {
			ev := &events[i]
			if l, ok := ev.Listener.(*listener); ok {
				l.owner.take(l)
			} else if c, ok := ev.Stream.Data().(*netConn); ok {
				c.event(ev)
			}
		}
		clear(events)
	}
}

// netConn is a stream as a blocking net.Conn.
type netConn struct {
	st            *stream
	local, remote net.Addr
	readable      chan struct{} // one slot each
	writable      chan struct{}
	connected     chan error
	closed        chan struct{}
	once          sync.Once
	rd, wr        deadline
	writing       sync.Mutex
}

var _ net.Conn = (*netConn)(nil)

func newNetConn(st *stream) *netConn {
	return &netConn{st: st, readable: make(chan struct{}, 1), writable: make(chan struct{}, 1), connected: make(chan error, 1),
		closed: make(chan struct{})}
}

// event passes on what the pump learned.
func (c *netConn) event(ev *nettune.Event) {
	if ev.Flags&nettune.Closed != 0 {
		post(c.connected, ev.Err)
		return
	}
	if ev.Flags&nettune.Connected != 0 {
		post(c.connected, nil)
	}
	if ev.Flags&nettune.Readable != 0 {
		post(c.readable, struct{}{})
	}
	if ev.Flags&nettune.Writable != 0 {
		post(c.writable, struct{}{})
	}
}

func post[T any](ch chan T, v T) {
	select {
	case ch <- v:
	default:
	}
}

// Read waits for bytes.
func (c *netConn) Read(b []byte) (int, error) {
	for {
		if c.rd.passed() {
			return 0, os.ErrDeadlineExceeded
		}
		n, _, err := c.st.Read(b)
		if !errors.Is(err, nettune.ErrWouldBlock) {
			return n, err
		}
		select {
		case <-c.readable:
		case <-c.rd.channel():
		case <-c.closed:
			return 0, net.ErrClosed
		}
	}
}

// Write waits until all of b is taken.
func (c *netConn) Write(b []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	done := 0
	for {
		if c.wr.passed() {
			return done, os.ErrDeadlineExceeded
		}
		n, err := c.st.Write(b[done:])
		done += n
		if !errors.Is(err, nettune.ErrWouldBlock) {
			return done, err
		}
		c.st.WantWrite(true)
		select {
		case <-c.writable:
		case <-c.wr.channel():
		case <-c.closed:
			return done, net.ErrClosed
		}
		c.st.WantWrite(false)
	}
}

// Close ends the connection.
func (c *netConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.st.Close()
}

// LocalAddr is this end.
func (c *netConn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the peer.
func (c *netConn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines.
func (c *netConn) SetDeadline(t time.Time) error {
	c.rd.set(t)
	c.wr.set(t)
	return nil
}

// SetReadDeadline bounds Read.
func (c *netConn) SetReadDeadline(t time.Time) error { c.rd.set(t); return nil }

// SetWriteDeadline bounds Write.
func (c *netConn) SetWriteDeadline(t time.Time) error { c.wr.set(t); return nil }

// settle fills in the addresses once they are known.
func (c *netConn) settle() {
	c.local = net.TCPAddrFromAddrPort(c.st.LocalAddr())
	c.remote = net.TCPAddrFromAddrPort(c.st.RemoteAddr())
}

// deadline is a time that a wait can see change.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	ch    chan struct{} // closed when the time has come
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
	d.timer = nil
	old := d.ch
	d.ch = make(chan struct{})
	ch := d.ch
	if old != nil { // a waiter looks again, at the new time
		select {
		case <-old:
		default:
			close(old)
		}
	}
	if t.IsZero() {
		return
	}
	if wait := time.Until(t); wait > 0 {
		d.timer = time.AfterFunc(wait, func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.ch == ch {
				close(ch)
			}
		})
	} else {
		close(ch)
	}
}

func (d *deadline) channel() chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ch == nil {
		d.ch = make(chan struct{})
	}
	return d.ch
}

func (d *deadline) passed() bool {
	select {
	case <-d.channel():
		return true
	default:
		return false
	}
}

// Detach makes a blocking connection of the stream, served by the pump.
func (st *stream) Detach() (net.Conn, error) {
	u, err := st.s.thePump()
	if err != nil {
		_ = st.Close()
		return nil, err
	}
	c := newNetConn(st)
	st.s.mu.Lock()
	if st.c == nil {
		st.s.mu.Unlock()
		return nil, net.ErrClosed
	}
	if st.p != nil {
		st.unlist()
	}
	st.p, st.data, st.edge, st.want, st.fresh = u.p, c, true, false, true
	st.list()
	st.s.mu.Unlock()
	u.p.nudge()
	c.settle()
	// The caller's stream is closed by contract: it keeps a husk.
	return c, nil
}

// netListener is a listener as a net.Listener.
type netListener struct {
	l      *listener
	conns  chan *netConn
	closed chan struct{}
	once   sync.Once
}

// take accepts what waits; it runs in the pump.
func (n *netListener) take(l *listener) {
	for {
		st, err := l.accept()
		if err != nil {
			return
		}
		c := newNetConn(st)
		st.s.mu.Lock()
		st.data, st.edge = c, true
		st.s.mu.Unlock()
		c.settle()
		select {
		case n.conns <- c:
		default: // nobody accepts
			st.s.b.unaccepted.Add(1)
			_ = c.Close()
		}
	}
}

// Accept waits for a connection.
func (n *netListener) Accept() (net.Conn, error) {
	select {
	case c := <-n.conns:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

// Close stops listening.
func (n *netListener) Close() error {
	n.once.Do(func() { close(n.closed) })
	err := n.l.Close()
	for {
		select {
		case c := <-n.conns:
			_ = c.Close()
		default:
			return err
		}
	}
}

// Addr is the bound address.
func (n *netListener) Addr() net.Addr { return net.TCPAddrFromAddrPort(n.l.addr) }

// Listen listens for blocking connections on the last stack.
func (b *bridge) Listen(network, addr string) (net.Listener, error) {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, fmt.Errorf("dpdkbridge: listen %q: want address:port: %w", addr, err)
	}
	u, err := b.stacks[len(b.stacks)-1].thePump()
	if err != nil {
		return nil, err
	}
	n := &netListener{conns: make(chan *netConn, 1024), closed: make(chan struct{})}
	if n.l, err = u.p.listen(nettune.ListenOptions{Addr: ap}, n); err != nil {
		return nil, err
	}
	u.p.nudge()
	return n, nil
}

// DialContext connects on the last stack.
func (b *bridge) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("dpdkbridge: dial %q: no such port", addr)
	}
	ips := []netip.Addr{}
	if ip, err := netip.ParseAddr(host); err == nil {
		ips = append(ips, ip)
	} else if ips, err = b.LookupNetIP(ctx, host); err != nil {
		return nil, err
	}
	var errs []error
	for _, ip := range ips {
		if ip = ip.Unmap(); network == "tcp4" && !ip.Is4() || network == "tcp6" && ip.Is4() {
			continue
		}
		c, err := b.dialAddr(ctx, netip.AddrPortFrom(ip, uint16(port)))
		if err == nil {
			return c, nil
		}
		if errs = append(errs, err); ctx.Err() != nil {
			break
		}
	}
	if len(errs) == 0 {
		return nil, fmt.Errorf("dpdkbridge: %s has no address for %s", host, network)
	}
	return nil, errors.Join(errs...)
}

func (b *bridge) dialAddr(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	u, err := b.stacks[len(b.stacks)-1].thePump()
	if err != nil {
		return nil, err
	}
	timeout := dialTimeout
	if at, ok := ctx.Deadline(); ok {
		timeout = max(time.Millisecond, min(timeout, time.Until(at)))
	}
	c := newNetConn(nil)
	if _, err := u.p.dial(nettune.DialOptions{Addr: to, Timeout: timeout}, c); err != nil {
		return nil, err
	}
	u.p.nudge()
	select {
	case err = <-c.connected:
	case <-ctx.Done():
		err = ctx.Err()
	case <-c.closed:
		err = net.ErrClosed
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	c.settle()
	return c, nil
}
