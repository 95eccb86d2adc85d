package nettune

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// A gateway holds tens of thousands of these.
const _ = uint(80 - unsafe.Sizeof(kernelStream{}))

func pattern(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}

func TestEcho(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		for _, cfg := range []PollerConfig{{}, {Busy: true}} {
			t.Run(addr+map[bool]string{true: " busy"}[cfg.Busy], func(t *testing.T) {
				l := newLoop(t, cfg)
				c, s := l.connect(l.listen(addr, Options{}), DialOptions{})
				if c.RemoteAddr() != s.LocalAddr() || c.LocalAddr() != s.RemoteAddr() {
					t.Errorf("addresses: client %v→%v, server %v→%v", c.LocalAddr(), c.RemoteAddr(), s.LocalAddr(), s.RemoteAddr())
				}
				l.send(c, []byte("ping"))
				if got := l.recv(s, 4); string(got) != "ping" {
					t.Errorf("server got %q", got)
				}
				l.send(s, []byte("pong"))
				if got := l.recv(c, 4); string(got) != "pong" {
					t.Errorf("client got %q", got)
				}
				s.SetData(7)
				if s.Data() != 7 || c.Data() != nil {
					t.Errorf("data: %v, %v", s.Data(), c.Data())
				}
			})
		}
	}
}

// Writes are taken in part when the peer does not read; everything arrives
// once it does, whole and in order.
func TestPartialWrites(t *testing.T) {
	l := newLoop(t, PollerConfig{}, PollerConfig{})
	o := Options{NoDelay: true, SndBuf: 8 << 10, RcvBuf: 8 << 10}
	c, s := l.connect(l.listen("127.0.0.1:0", o), DialOptions{Options: o})
	want := pattern(4 << 20)
	sent, partial := 0, false
	for {
		n, err := c.Write(want[sent:min(sent+300_000, len(want))])
		sent += n
		partial = partial || n > 0 && n < 300_000
		if errors.Is(err, ErrWouldBlock) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !partial || sent == len(want) {
		t.Fatalf("no short write in %d bytes", sent)
	}
	c.WantWrite(true)
	var got []byte
	buf := make([]byte, 5000)
	l.until("transfer", func() bool {
		if l.seen[c]&Writable != 0 && sent < len(want) {
			delete(l.seen, c)
			n, err := c.Write(want[sent:])
			if sent += n; err != nil && !errors.Is(err, ErrWouldBlock) {
				t.Fatal(err)
			}
			c.WantWrite(sent < len(want))
		}
		for len(got) < len(want) {
			n, _, err := s.Read(buf)
			if err != nil {
				break
			}
			got = append(got, buf[:n]...)
		}
		return len(got) == len(want)
	})
	if !bytes.Equal(got, want) {
		t.Error("bytes differ")
	}
}

func TestWouldBlockIsResumable(t *testing.T) {
	var ne net.Error
	//lint:ignore SA1019 crypto/tls asks for Temporary
	if !errors.As(ErrWouldBlock, &ne) || !ne.Timeout() || !ne.Temporary() {
		t.Error("crypto/tls would not resume after ErrWouldBlock")
	}
}

func TestRefused(t *testing.T) {
	for _, fastOpen := range []bool{true, false} {
		l := newLoop(t)
		ln := l.listen("127.0.0.1:0", Options{})
		addr := ln.Addr()
		ln.Close()
		s, err := l.pollers[0].Dial(DialOptions{Addr: addr, Options: Options{NoDelay: true, FastOpen: fastOpen}})
		if err == nil {
			l.until("outcome", func() bool { return l.seen[s]&(Closed|Connected) != 0 })
			if err = l.errs[s]; l.seen[s]&Connected != 0 { // Fast Open: shows at the first read
				_, _ = s.Write([]byte("x"))
				err = l.readErr(s)
			}
			if _, _, err := s.Read(make([]byte, 1)); err == nil {
				t.Error("read on a refused stream")
			}
			_ = s.Close()
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("fastOpen %v: %v", fastOpen, err)
		}
	}
}

func TestDialTimeout(t *testing.T) {
	l := newLoop(t)
	o := Options{NoDelay: true}
	ln, err := l.pollers[0].Listen(ListenOptions{Addr: netip.MustParseAddrPort("127.0.0.1:0"), Backlog: 1, Options: o})
	if err != nil {
		t.Fatal(err)
	}
	var last Stream
	start := time.Now()
	for range 8 { // the accept queue overflows: further SYNs stay unanswered
		if last, err = l.pollers[0].Dial(DialOptions{Addr: ln.Addr(), Options: o, Timeout: 150 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
	}
	l.until("timeout", func() bool { return l.seen[last]&Closed != 0 })
	if err := l.errs[last]; !errors.Is(err, ErrDialTimeout) {
		t.Errorf("error: %v", err)
	}
	if d := time.Since(start); d < 140*time.Millisecond || d > 2*time.Second {
		t.Errorf("took %v", d)
	}
}

func TestDialRefusesNonsense(t *testing.T) {
	l := newLoop(t)
	for name, o := range map[string]DialOptions{
		"no address": {},
		"no port":    {Addr: netip.MustParseAddrPort("127.0.0.1:0")},
		"bad bind":   {Addr: netip.MustParseAddrPort("127.0.0.1:9"), Bind: netip.MustParseAddr("192.0.2.77")},
		"mixed bind": {Addr: netip.MustParseAddrPort("127.0.0.1:9"), Bind: netip.MustParseAddr("::1")},
	} {
		if s, err := l.pollers[0].Dial(o); err == nil {
			t.Errorf("%s: dialled %v", name, s.RemoteAddr())
		}
	}
}

func TestBind(t *testing.T) {
	l := newLoop(t)
	bind := netip.MustParseAddr("127.0.0.9")
	c, s := l.connect(l.listen("127.0.0.1:0", Options{}), DialOptions{Bind: bind})
	if c.LocalAddr().Addr() != bind || s.RemoteAddr().Addr() != bind {
		t.Errorf("local %v, seen by the peer as %v", c.LocalAddr(), s.RemoteAddr())
	}
}

// The peer stops sending: reading ends once, writing goes on, and the poller
// does not report the end for ever.
func TestHalfClosed(t *testing.T) {
	l := newLoop(t)
	ln := l.listen("127.0.0.1:0", Options{})
	peer, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(ln.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	s := l.accept(ln)
	_, _ = peer.Write([]byte("last"))
	_ = peer.CloseWrite()
	if got := l.recv(s, 4); string(got) != "last" {
		t.Fatalf("got %q", got)
	}
	if err := l.readErr(s); err != io.EOF {
		t.Fatalf("end: %v", err)
	}
	l.send(s, []byte("still here"))
	_ = peer.SetReadDeadline(time.Now().Add(2 * time.Second))
	got := make([]byte, 10)
	if _, err := io.ReadFull(peer, got); err != nil || string(got) != "still here" {
		t.Fatalf("peer got %q, %v", got, err)
	}
	evs, err := l.pollers[0].Poll(nil, 20*time.Millisecond)
	if err != nil || len(evs) != 0 {
		t.Errorf("half-closed stream still reports %v, %v", evs, err)
	}
}

// After a reset the stream says so once and then is silent.
func TestReset(t *testing.T) {
	l := newLoop(t)
	ln := l.listen("127.0.0.1:0", Options{})
	peer, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(ln.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	s := l.accept(ln)
	_ = peer.SetLinger(0)
	_ = peer.Close()
	if err := l.readErr(s); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("error: %v", err)
	}
	if evs, _ := l.pollers[0].Poll(nil, 10*time.Millisecond); len(evs) != 0 {
		t.Errorf("dead stream still reports %v", evs)
	}
	if _, err := s.Write([]byte("x")); err == nil {
		t.Error("write after reset")
	}
}

func TestClosedCalls(t *testing.T) {
	l := newLoop(t)
	c, s := l.connect(l.listen("127.0.0.1:0", Options{}), DialOptions{})
	for range 2 {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read: %v", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write: %v", err)
	}
	c.WantWrite(true)
	if c.Granted() != (Options{}) || c.LocalAddr().IsValid() {
		t.Error("a closed stream has options or an address")
	}
	if err := l.readErr(s); err != io.EOF {
		t.Errorf("peer: %v", err)
	}
}

// A stale event must not reach the next owner of a slot.
func TestSlotReuse(t *testing.T) {
	l := newLoop(t)
	ln := l.listen("127.0.0.1:0", Options{})
	for range 50 {
		c, s := l.connect(ln, DialOptions{})
		l.send(c, []byte("x"))
		_ = s.Close()
		_ = c.Close()
	}
	c, s := l.connect(ln, DialOptions{})
	l.send(c, []byte("y"))
	if got := l.recv(s, 1); string(got) != "y" {
		t.Errorf("got %q", got)
	}
	if n := len(l.pollers[0].(*layered).Poller.(*kernelPoller).slots); n > 8 {
		t.Errorf("%d slots for 3 descriptors", n)
	}
}

// Closing the poller frees everything, also what was never served.
func TestPollerCloseFreesAll(t *testing.T) {
	before := countFds()
	k := KernelTransport()
	p, err := k.NewPoller(PollerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := p.Listen(ListenOptions{Addr: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := p.Dial(DialOptions{Addr: ln.Addr()}); err != nil {
			t.Fatal(err)
		}
	}
	for n := 0; n < 3; {
		if _, err := ln.Accept(); err == nil {
			n++
		}
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if n := countFds(); n != before {
		t.Errorf("%d descriptors before, %d after", before, n)
	}
	if _, err := p.Poll(nil, 0); !errors.Is(err, net.ErrClosed) {
		t.Errorf("poll after close: %v", err)
	}
	p.Wake()
	if c := k.Counters(); c.Dials != 5 || c.Accepts != 3 {
		t.Errorf("counters: %+v", c)
	}
}
