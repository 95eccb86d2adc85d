//go:build dpdk

package dpdkbridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tickrelay/nettune"
)

// sharedRole dials the same server by the stack and by the kernel, which have one
// address, in turns.
func sharedRole(args []byte) (any, error) {
	var mac string
	if err := json.Unmarshal(args, &mac); err != nil {
		return nil, err
	}
	hw, err := net.ParseMAC(mac)
	if err != nil {
		return nil, err
	}
	b, err := Open(Config{Device: "af_xdp:vfx", Addresses: []netip.Prefix{netip.MustParsePrefix("10.4.0.2/24")}, Shared: true,
		Neighbours: map[netip.Addr]net.HardwareAddr{netip.MustParseAddr("10.4.0.1"): hw}})
	if err != nil {
		return nil, err
	}
	defer b.Close()
	var d net.Dialer
	for i := range 20 {
		dial := d.DialContext
		if i%2 == 0 {
			dial = b.DialContext
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		c, err := dial(ctx, "tcp", "10.4.0.1:7000")
		cancel()
		if err != nil {
			return nil, fmt.Errorf("connection %d: %w", i, err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		buf := make([]byte, 5)
		if _, err := c.Write([]byte("hello")); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "hello" {
			return nil, fmt.Errorf("connection %d: %q, %w", i, buf, err)
		}
		if port := c.LocalAddr().(*net.TCPAddr).Port; (port >= 20000 && port <= 31999) != (i%2 == 0) {
			return nil, fmt.Errorf("connection %d has port %d", i, port)
		}
		c.Close()
	}
	return counter(b, "stack_rx_frames"), nil
}

// TestSharedAddress steers our ports out of an address that the kernel keeps.
func TestSharedAddress(t *testing.T) {
	const mac = "02:00:00:00:00:11"
	a, b := hosts(t)
	run(t, "ip -n %s link set ve address %s", a, mac)
	run(t, "ip -n %s addr add 10.4.0.2/24 dev vfx", b)
	serve(t, a, "echo")
	text, err := role(t, b, "shared", mac).Output()
	if err != nil || strings.TrimSpace(string(text)) == "0" {
		t.Errorf("the stack received nothing: %s %v", text, err)
	}
	nothingAttached(t, b, "vfx")
}

// TestTwoQueues: a connection whose frames come in on another stack's queue is
// served all the same. A memif's queue i leads to queue i, whoever listens.
func TestTwoQueues(t *testing.T) {
	a, b := pair(t, func(a, b *Config) { a.Queues, b.Queues = 2, 2 })
	addr := echoServer(t, a.Transport(0), "10.9.0.1:7000") // frames of b's second stack reach a's second
	other := echoServer(t, a.Transport(1), "10.9.0.1:7001")
	echoServer(t, b.Transport(0), "10.9.0.2:7002") // has b's first stack polled
	for _, to := range []netip.AddrPort{addr, other} {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		c, err := b.DialContext(ctx, "tcp", to.String()) // b's last stack
		cancel()
		if err != nil {
			t.Fatal(to, err)
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		want := strings.Repeat("over another queue ", 5000)
		go func() { _, _ = c.Write([]byte(want)) }()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
			t.Fatal(to, err)
		}
		c.Close()
	}
	if counter(a, "stack_forwarded_frames") == 0 || counter(b, "stack_forwarded_frames") == 0 {
		t.Error("no frame was handed over")
	}
}

// TestListenerClosedWithTwoQueues: connections that were accepted outlive their
// listener on a stack that is not the first.
func TestListenerClosedWithTwoQueues(t *testing.T) {
	a, b := pair(t, func(a, b *Config) { a.Queues, b.Queues = 2, 2 })
	echoServer(t, a.Transport(0), "10.9.0.1:7001") // has both first stacks polled
	echoServer(t, b.Transport(0), "10.9.0.2:7001")
	l, err := a.Listen("tcp", "10.9.0.1:7000") // a's second stack
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	client, err := b.DialContext(ctx, "tcp", "10.9.0.1:7000")
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err = errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		_ = way[1].SetReadDeadline(time.Now().Add(20 * time.Second))
		_, err := way[0].Write([]byte("still here"))
		got := make([]byte, 10)
		if _, readErr := io.ReadFull(way[1], got); err != nil || readErr != nil || string(got) != "still here" {
			t.Fatalf("%q, %v, %v", got, err, readErr)
		}
	}
}

// TestCloseWithTwoQueues: what was sent before Close arrives, though it is
// acknowledged on the queue of another stack.
func TestCloseWithTwoQueues(t *testing.T) {
	a, b := pair(t, func(a, b *Config) { a.Queues, b.Queues = 2, 2 })
	echoServer(t, a.Transport(1), "10.9.0.1:7001") // has a's second stack polled, which b's second speaks to
	other, err := b.Transport(0).NewPoller(nettune.PollerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			if _, err := other.Poll(nil, -1); err != nil {
				return
			}
		}
	}()
	server, err := a.Transport(0).NewPoller(nettune.PollerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	l, err := server.Listen(nettune.ListenOptions{Addr: mustAddr("10.9.0.1:7000")})
	if err != nil {
		t.Fatal(err)
	}
	const size = 512 << 10 // less than is kept for sending, more than is sent unacknowledged
	sent := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		c, err := b.DialContext(ctx, "tcp", l.Addr().String()) // b's second stack
		if err == nil {
			_, err = c.Write(make([]byte, size))
		}
		for _, s := range b.(*bridge).stacks { // Close, but for the device, which is polled at its other end
			s.stop()
		}
		b.(*bridge).linger()
		sent <- err
	}()
	got, end := 0, error(nil)
	buf := make([]byte, 64<<10)
	loop(t, server, "the end of the connection", func(ev nettune.Event) {
		if ev.Flags&nettune.Accept != 0 {
			_, _ = ev.Listener.Accept()
		}
		for ev.Flags&nettune.Readable != 0 && end == nil {
			var n int
			if n, _, end = ev.Stream.Read(buf); end == nettune.ErrWouldBlock {
				end = nil
				return
			}
			got += n
		}
	}, func() bool { return end != nil })
	if err := <-sent; got != size || end != io.EOF || err != nil {
		t.Errorf("%d bytes of %d, then %v; the sender: %v", got, size, end, err)
	}
}

// TestNothingBeginsAfterStop: a poller made while the port closes would be
// polled after its stack is gone.
func TestNothingBeginsAfterStop(t *testing.T) {
	_, b := pair(t, nil)
	s := b.Transport(0).(*stack)
	s.stop()
	if _, err := s.NewPoller(nettune.PollerConfig{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a poller of a stack that ends: %v", err)
	}
	if _, err := b.Listen("tcp", "10.9.0.2:7000"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a listener of a stack that ends: %v", err)
	}
}
