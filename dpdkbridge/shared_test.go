//go:build dpdk

package dpdkbridge

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"
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
	b, err := Open(Config{Device: "af_xdp:vk", Addresses: []netip.Prefix{netip.MustParsePrefix("10.4.0.2/24")}, Shared: true,
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
	needRoot(t)
	a, b := namespace(t, "j"), namespace(t, "k")
	cable(t, a, "vj", "10.4.0.1/24", b, "vk", "10.4.0.2/24")
	server := role(t, a, "echo", nil)
	in, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { in.Close(); _ = server.Wait() }()
	out, err := exec.Command("ip", "netns", "exec", a, "cat", "/sys/class/net/vj/address").Output()
	if err != nil || len(out) < 17 { // the host's sysfs may show its own namespace
		out, err = exec.Command("ip", "-n", a, "-o", "link", "show", "vj").Output()
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(out), "link/ether ")
		out = []byte(rest)
	}
	for wait := 0; ; wait++ { // the server needs a moment
		text, err := role(t, b, "shared", string(out[:17])).Output()
		if err == nil {
			if n := strings.TrimSpace(string(text)); n == "0" {
				t.Error("the stack received nothing")
			}
			break
		}
		if wait == 3 {
			t.Fatal(err)
		}
	}
	nothingAttached(t, b, "vk")
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
