//go:build dpdk

package dpdkbridge

import (
	"context"
	"encoding/binary"
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

const fetched = 2 << 20

// sendRole sends to whoever connects, over the kernel's sockets.
func sendRole([]byte) (any, error) {
	l, err := net.Listen("tcp", "10.4.0.1:7000")
	if err != nil {
		return nil, err
	}
	fmt.Println("serving")
	for {
		c, err := l.Accept()
		if err != nil {
			return nil, err
		}
		_, _ = c.Write(make([]byte, fetched))
		c.Close()
	}
}

// fetchRole reads all of it and tells how long the longest silence was.
func fetchRole([]byte) (any, error) {
	b, err := Open(Config{Device: "af_packet:vfx", Addresses: here("10.4.0.3/24")})
	if err != nil {
		return nil, err
	}
	defer b.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := b.DialContext(ctx, "tcp", "10.4.0.1:7000")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	n, err := io.Copy(io.Discard, c)
	if err != nil || n != fetched {
		return nil, fmt.Errorf("%d bytes, %w", n, err)
	}
	return n, nil
}

// TestPeerWithoutWindowScaling: a window of 64 KiB is opened again in time.
func TestPeerWithoutWindowScaling(t *testing.T) {
	a, b := hosts(t)
	run(t, "ip netns exec %s sysctl -qw net.ipv4.tcp_window_scaling=0", a)
	serve(t, a, "send")
	if out, err := role(t, b, "fetch", nil).Output(); err != nil {
		t.Errorf("%s %v", out, err)
	}
}

// TestQueuesThatNobodyReads: with a receive queue more than sockets the port is
// refused, not deaf for some connections.
func TestQueuesThatNobodyReads(t *testing.T) {
	needRoot(t)
	b := namespace(t, "q")
	run(t, "ip link add va netns %s type veth peer name vq netns %s numrxqueues 2 numtxqueues 2", b, b)
	run(t, "ip -n %s link set va up", b)
	run(t, "ip -n %s link set vq up", b)
	run(t, "ip netns exec %s ethtool -L vq rx 2 tx 2", b)
	c := Config{Device: "af_xdp:vq", Addresses: here("10.4.0.3/24")}
	if text, _ := openIn(t, b, 0, c); !strings.Contains(text, "has 2 receive queues and queues is 1") || !strings.Contains(text, "ethtool -L vq") {
		t.Errorf("two queues, one socket: %q", text)
	}
	run(t, "ip netns exec %s ethtool -L vq rx 1 tx 1", b)
	if text, _ := openIn(t, b, 0, c); text != "" {
		t.Errorf("one of each: %q", text)
	}
	nothingAttached(t, b, "vq")
}

// TestRelayInAnotherContainer has files of its own and the same interface: it is
// refused, and the first goes on.
func TestRelayInAnotherContainer(t *testing.T) {
	if _, err := exec.LookPath("unshare"); err != nil {
		t.Skip("needs unshare")
	}
	a, b := hosts(t)
	serve(t, a, "echo")
	c := Config{Device: "af_xdp:vfx", Addresses: here("10.4.0.3/24")}
	first := start(t, b, "hold", c)
	first.until("echo", 5)
	second := role(t, b, "open", c)
	second.Args = append([]string{"ip", "netns", "exec", b, "unshare", "-m", "sh", "-c", `mount -t tmpfs none /run/lock && exec "$@"`, "sh"}, second.Args[4:]...)
	out, err := second.Output()
	if err != nil || !strings.Contains(string(out), fmt.Sprintf("in use by process %d", first.cmd.Process.Pid)) || !strings.Contains(string(out), `"busy":true`) {
		t.Errorf("the second was not refused: %s %v", out, err)
	}
	first.drain()
	first.until("echo", 5)
	first.stop()
	nothingAttached(t, b, "vfx")
}

// namesRole is a name server over TCP that knows one address.
func namesRole([]byte) (any, error) {
	l, err := net.Listen("tcp", "10.4.0.1:53")
	if err != nil {
		return nil, err
	}
	fmt.Println("serving")
	for {
		c, err := l.Accept()
		if err != nil {
			return nil, err
		}
		go answer(c)
	}
}

func answer(c net.Conn) {
	defer c.Close()
	for {
		var size uint16
		if binary.Read(c, binary.BigEndian, &size) != nil || size < 17 {
			return
		}
		q := make([]byte, size)
		if _, err := io.ReadFull(c, q); err != nil {
			return
		}
		end := 12
		for end < len(q) && q[end] != 0 {
			end += int(q[end]) + 1
		}
		if end+5 > len(q) {
			return
		}
		kind := binary.BigEndian.Uint16(q[end+1:])
		r := append([]byte(nil), q[:end+5]...)
		r[2], r[3] = 0x81, 0x80
		clear(r[6:12])
		if kind == 1 {
			r[7] = 1
			r = append(r, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 4, 0, 9)
		}
		_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(r))), r...))
	}
}

// lookRole asks two servers, the first of which is nowhere.
func lookRole([]byte) (any, error) {
	b, err := Open(Config{Device: "af_packet:vfx", Addresses: here("10.4.0.3/24"), patience: 500 * time.Millisecond,
		DNS: []netip.Addr{netip.MustParseAddr("10.4.0.77"), netip.MustParseAddr("10.4.0.1")}})
	if err != nil {
		return nil, err
	}
	defer b.Close()
	var out []string
	for range 2 { // the second time, the one that answered is asked first
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		addrs, err := b.LookupNetIP(ctx, "front.example.com")
		cancel()
		if err != nil {
			return nil, err
		}
		out = append(out, fmt.Sprint(addrs))
	}
	return append(out, fmt.Sprint(b.(*bridge).answered.Load())), nil
}

func TestSecondNameServer(t *testing.T) {
	a, b := hosts(t)
	serve(t, a, "names")
	out, err := role(t, b, "look", nil).Output()
	var got []string
	if err == nil {
		err = json.Unmarshal(out, &got)
	}
	if err != nil || strings.Join(got, " ") != "[10.4.0.9] [10.4.0.9] 1" {
		t.Errorf("%q, %v", got, err)
	}
}
