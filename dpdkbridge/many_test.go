//go:build dpdk

package dpdkbridge

import (
	"errors"
	"net/netip"
	"testing"

	"tickrelay/nettune"
)

// TestThousandClients serves 1,000 connections from one stack, moves each to a
// second poller as the gateway does, and hears every one of them.
func TestThousandClients(t *testing.T) {
	const clients = 1000
	a, b := pair(t, nil)
	acceptor, err := a.Transport(0).NewPoller(nettune.PollerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer acceptor.Close()
	shard, err := a.Transport(0).NewPoller(nettune.PollerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer shard.Close()
	dialler, err := b.Transport(0).NewPoller(nettune.PollerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer dialler.Close()
	l, err := acceptor.Listen(nettune.ListenOptions{Addr: mustAddr("10.9.0.1:7000"), Backlog: clients})
	if err != nil {
		t.Fatal(err)
	}
	connected, moved, answered := 0, 0, 0
	var streams []nettune.Stream
	for range clients {
		s, err := dialler.Dial(nettune.DialOptions{Addr: l.Addr(), Timeout: -1})
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, s)
	}
	turn := func(p nettune.Poller, each func(nettune.Event)) {
		events, err := p.Poll(nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range events {
			each(ev)
		}
	}
	buf := make([]byte, 64)
	wait(t, "1,000 answers", func() bool {
		turn(dialler, func(ev nettune.Event) {
			switch {
			case ev.Flags&nettune.Closed != 0:
				t.Fatal(ev.Err)
			case ev.Flags&nettune.Connected != 0:
				connected++
				if n, err := ev.Stream.Write([]byte("hello")); n != 5 || err != nil {
					t.Fatal(n, err)
				}
			case ev.Flags&nettune.Readable != 0:
				if n, _, _ := ev.Stream.Read(buf); n == 5 {
					answered++
				}
			}
		})
		turn(acceptor, func(ev nettune.Event) {
			for ev.Flags&nettune.Accept != 0 {
				s, err := ev.Listener.Accept()
				if errors.Is(err, nettune.ErrWouldBlock) {
					return
				}
				if err == nil {
					err = acceptor.Release(s)
				}
				if err == nil {
					err = shard.Adopt(s)
				}
				if err != nil {
					t.Fatal(err)
				}
				moved++
			}
		})
		turn(shard, func(ev nettune.Event) {
			if n, _, _ := ev.Stream.Read(buf); n > 0 {
				_, _ = ev.Stream.Write(buf[:n])
			}
		})
		return answered == clients
	})
	if connected != clients || moved != clients || counter(a, "stack_connections") != clients {
		t.Errorf("%d connected, %d moved, %d counted", connected, moved, counter(a, "stack_connections"))
	}
	for _, s := range streams {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	wait(t, "the ends to be seen", func() bool {
		turn(dialler, func(nettune.Event) {})
		turn(acceptor, func(nettune.Event) {})
		turn(shard, func(ev nettune.Event) {
			if _, _, err := ev.Stream.Read(buf); err != nil && !errors.Is(err, nettune.ErrWouldBlock) {
				ev.Stream.Close()
			}
		})
		return counter(a, "stack_connections") == 0
	})
	other, err := b.Transport(0).NewPoller(nettune.PollerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.Adopt(streams[0]); err == nil {
		t.Error("a closed stream was adopted")
	}
}

// TestReadAllocates nothing in steady state, nor do Write and Poll.
func TestReadAllocatesNothing(t *testing.T) {
	a, b := pair(t, nil)
	addr := echoServer(t, a.Transport(0), "10.9.0.1:7000")
	tr := b.Transport(0).(*stack)
	p, err := tr.newPoller(nettune.PollerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s, err := p.Dial(nettune.DialOptions{Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	up := false
	loop(t, p, "the connection", func(ev nettune.Event) { up = up || ev.Flags&nettune.Connected != 0 }, func() bool { return up })
	msg, buf := make([]byte, 128), make([]byte, 4096)
	events := make([]nettune.Event, 0, 16)
	n := testing.AllocsPerRun(50, func() {
		if _, err := s.Write(msg); err != nil {
			t.Fatal(err)
		}
		for got := 0; got < len(msg); {
			events, _ = p.Poll(events[:0], 0)
			for range events {
				k, _, _ := s.Read(buf)
				got += k
			}
		}
	})
	// The server is Go too and allocates a copy of each message.
	if n > 3 {
		t.Errorf("%.1f allocations per round trip", n)
	}
}

func mustAddr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
