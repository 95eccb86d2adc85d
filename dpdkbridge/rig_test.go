//go:build dpdk

package dpdkbridge

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"tickrelay/nettune"
)

// pair opens two ports at the two ends of a memif: a network without a kernel.
func pair(t testing.TB, change func(a, b *Config)) (a, b Bridge) {
	t.Helper()
	dir, err := os.MkdirTemp("", "memif")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	sock := filepath.Join(dir, "s")
	ca := Config{Device: "memif:" + sock, Args: "role=server,id=0", Log: log,
		Addresses: []netip.Prefix{netip.MustParsePrefix("10.9.0.1/24"), netip.MustParsePrefix("fd00:9::1/64")}}
	cb := ca
	cb.Args = "role=client,id=0"
	cb.Addresses = []netip.Prefix{netip.MustParsePrefix("10.9.0.2/24"), netip.MustParsePrefix("fd00:9::2/64")}
	if change != nil {
		change(&ca, &cb)
	}
	if a, err = Open(ca); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The driver unmaps a memif while it is polled, if the peer goes just then.
		wait(t, "the memif to be told of its end", func() bool { return !a.Info().LinkUp })
		a.Close()
	})
	if b, err = Open(cb); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	stacks := append(slices.Clone(a.(*bridge).stacks), b.(*bridge).stacks...)
	nobody := &poller{}
	t.Cleanup(func() { // together, or each would wait in vain for the other's last acknowledgement
		for _, s := range stacks {
			s.stop()
		}
		for left, until := 1, time.Now().Add(lingerFor); left > 0 && time.Now().Before(until); {
			left = 0
			for _, s := range stacks {
				left += s.settle(nobody)
			}
		}
	})
	wait(t, "the memif to connect", func() bool { return a.Info().LinkUp && b.Info().LinkUp })
	for _, s := range stacks { // the server sends into buffers that the client's first look at a queue lays out
		s.settle(nobody)
	}
	return a, b
}

// wait polls a condition with a generous deadline.
func wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// loop is an event loop for tests: it polls p until done returns true.
func loop(t testing.TB, p nettune.Poller, what string, each func(ev nettune.Event), done func() bool) {
	t.Helper()
	var events []nettune.Event
	for until := time.Now().Add(30 * time.Second); !done(); {
		if time.Now().After(until) {
			t.Fatalf("waited in vain for %s", what)
		}
		var err error
		if events, err = p.Poll(events[:0], 50*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		for _, ev := range events {
			each(ev)
		}
	}
}

// echoServer answers every byte on a poller of its own until the test ends, and
// returns its address.
func echoServer(t testing.TB, tr nettune.Transport, at string) netip.AddrPort {
	t.Helper()
	p, err := tr.NewPoller(nettune.PollerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := p.Listen(nettune.ListenOptions{Addr: netip.MustParseAddrPort(at)})
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	ended := make(chan error, 1)
	go func() { ended <- echo(p, stop) }()
	t.Cleanup(func() {
		close(stop)
		p.Wake()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr()
}

// echo serves until stop: what a stream does not take at once is kept and the
// stream not read meanwhile.
func echo(p nettune.Poller, stop chan struct{}) error {
	defer p.Close()
	buf := make([]byte, 64<<10)
	var events []nettune.Event
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		var err error
		if events, err = p.Poll(events[:0], -1); err != nil {
			return fmt.Errorf("echo server: %w", err)
		}
		for _, ev := range events {
			if ev.Flags&nettune.Accept != 0 {
				_, _ = ev.Listener.Accept()
				continue
			}
			serveEcho(ev.Stream, buf)
		}
	}
}

func serveEcho(s nettune.Stream, buf []byte) {
	held, _ := s.Data().([]byte)
	for {
		for len(held) > 0 {
			n, err := s.Write(held)
			held = held[n:]
			if err != nil {
				s.SetData(held)
				if err != nettune.ErrWouldBlock {
					s.Close()
					return
				}
				s.WantWrite(true)
				return
			}
		}
		s.SetData(nil)
		s.WantWrite(false)
		n, _, err := s.Read(buf)
		if n == 0 {
			if err != nettune.ErrWouldBlock {
				s.Close()
			}
			return
		}
		held = append([]byte(nil), buf[:n]...)
	}
}
