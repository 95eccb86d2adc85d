//go:build dpdk

package dpdkbridge

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"tickrelay/nettune"
)

// TestEcho sends a megabyte there and back, over IPv4 and IPv6.
func TestEcho(t *testing.T) {
	a, b := pair(t, nil)
	for _, at := range []string{"10.9.0.1:7000", "[fd00:9::1]:7000"} {
		addr := echoServer(t, a.Transport(0), at)
		p, err := b.Transport(0).NewPoller(nettune.PollerConfig{})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		s, err := p.Dial(nettune.DialOptions{Addr: addr})
		if err != nil {
			t.Fatal(err)
		}
		want := make([]byte, 1<<20)
		_, _ = rand.Read(want)
		var got []byte
		sent := 0
		buf := make([]byte, 32<<10)
		send := func() {
			for sent < len(want) {
				n, err := s.Write(want[sent:])
				if sent += n; err == nettune.ErrWouldBlock {
					s.WantWrite(true)
					return
				} else if err != nil {
					t.Fatal(err)
				}
			}
			s.WantWrite(false)
		}
		loop(t, p, "the echo at "+at, func(ev nettune.Event) {
			if ev.Flags&nettune.Closed != 0 {
				t.Fatal(ev.Err)
			}
			if ev.Flags&(nettune.Connected|nettune.Writable) != 0 {
				send()
			}
			if ev.Flags&nettune.Readable != 0 {
				n, rx, err := s.Read(buf)
				if err != nil && err != nettune.ErrWouldBlock {
					t.Fatal(err)
				}
				if n > 0 && (rx > time.Now().UnixNano() || rx < time.Now().Add(-time.Minute).UnixNano()) {
					t.Fatalf("receive time %d", rx)
				}
				got = append(got, buf[:n]...)
			}
		}, func() bool { return len(got) >= len(want) })
		if !bytes.Equal(got, want) {
			t.Fatal("the echo differs")
		}
		if s.LocalAddr().Port() < 20000 || s.LocalAddr().Port() > 31999 || s.RemoteAddr() != addr {
			t.Errorf("addresses %v and %v", s.LocalAddr(), s.RemoteAddr())
		}
	}
}

// TestRefusedAndUnreachable wants the errors that sockets give.
func TestRefusedAndUnreachable(t *testing.T) {
	a, b := pair(t, func(a, _ *Config) { a.MaxConns = 3 })
	p, err := b.Transport(0).NewPoller(nettune.PollerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	outcome := func(to string, timeout time.Duration) error {
		if _, err := p.Dial(nettune.DialOptions{Addr: netip.MustParseAddrPort(to), Timeout: timeout}); err != nil {
			return err
		}
		var out error
		over := false
		loop(t, p, "an outcome of "+to, func(ev nettune.Event) { over, out = true, ev.Err }, func() bool { return over })
		return out
	}
	pump := echoServer(t, a.Transport(0), "10.9.0.1:7000") // the other end must be polled
	if err := outcome("10.9.0.1:7001", 0); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("closed port: %v", err)
	}
	if err := outcome("10.9.0.9:7001", 300*time.Millisecond); !errors.Is(err, nettune.ErrDialTimeout) {
		t.Errorf("nobody there: %v", err)
	}
	if err := outcome("192.0.2.1:80", 0); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("no gateway: %v", err)
	}
	for range 3 {
		if err := outcome(pump.String(), 0); err != nil {
			t.Fatal(err)
		}
	}
	// The fourth is reset, at the latest when it reads.
	s, err := p.Dial(nettune.DialOptions{Addr: pump})
	if err != nil {
		t.Fatal(err)
	}
	var got error
	loop(t, p, "the refusal", func(ev nettune.Event) {
		if ev.Stream != s {
			return
		}
		if got = ev.Err; ev.Flags&nettune.Readable != 0 {
			_, _, got = s.Read(make([]byte, 1))
		}
	}, func() bool { return got != nil && got != nettune.ErrWouldBlock })
	if !errors.Is(got, syscall.ECONNRESET) && !errors.Is(got, syscall.ECONNREFUSED) {
		t.Errorf("beyond the limit: %v", got)
	}
	if n := counter(a, "stack_refused_connections"); n != 1 {
		t.Errorf("%d refused connections counted", n)
	}
}

func counter(b Bridge, name string) uint64 {
	for _, c := range b.Counters() {
		if c.Name == name {
			return c.Value
		}
	}
	return 0
}

// TestNetConn uses the port as package net's users do.
func TestNetConn(t *testing.T) {
	a, b := pair(t, nil)
	l, err := a.Listen("tcp", "10.9.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); c.Close() }()
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := b.DialContext(ctx, "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 3<<20)
	_, _ = rand.Read(want)
	go func() { _, _ = c.Write(want) }()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
		t.Fatal("the echo differs", err)
	}
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	var ne net.Error
	if _, err := c.Read(got); !errors.As(err, &ne) || !ne.Timeout() {
		t.Errorf("read past the deadline: %v", err)
	}
	_ = c.SetReadDeadline(time.Time{})
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(got); n != 1 || err != nil {
		t.Errorf("after the deadline was lifted: %d, %v", n, err)
	}
	c.Close()
	if _, err := c.Read(got); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after Close: %v", err)
	}
	l.Close()
	if _, err := b.DialContext(ctx, "tcp", l.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial of a closed listener: %v", err)
	}
}
