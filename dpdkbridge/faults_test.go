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
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"tickrelay/nettune"
)

// openRole opens a port and closes it again; the outcome is its error.
func openRole(args []byte) (any, error) {
	var c Config
	if err := json.Unmarshal(args, &c); err != nil {
		return nil, err
	}
	b, err := Open(c)
	if err != nil {
		return map[string]any{"error": err.Error(), "busy": errors.Is(err, ErrBusy)}, nil
	}
	return map[string]any{"error": ""}, b.Close()
}

// holdRole opens a port, connects, echoes with its peer for as long as its input
// is open, and reports each outage that it saw.
func holdRole(args []byte) (any, error) {
	var c Config
	if err := json.Unmarshal(args, &c); err != nil {
		return nil, err
	}
	b, err := Open(c)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	stop := make(chan struct{})
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); close(stop) }()
	echoes, longest := 0, time.Duration(0)
	for last := time.Now(); ; {
		select {
		case <-stop:
			return map[string]any{"echoes": echoes, "longest": longest}, nil
		default:
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		conn, err := b.DialContext(ctx, "tcp", "10.4.0.1:7000")
		cancel()
		if err != nil {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		buf := make([]byte, 8)
		for err == nil {
			select {
			case <-stop:
				err = io.EOF
				continue
			default:
			}
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err = conn.Write(buf); err == nil {
				_, err = io.ReadFull(conn, buf)
			}
			if err == nil {
				echoes++
				longest, last = max(longest, time.Since(last)), time.Now()
				fmt.Println("echo")
				time.Sleep(2 * time.Millisecond)
			}
		}
		conn.Close()
	}
}

// openIn opens a port in a namespace, as another user if uid is not 0.
func openIn(t *testing.T, ns string, uid int, c Config) (text string, busy bool) {
	t.Helper()
	cmd := role(t, ns, "open", c)
	if uid != 0 {
		cmd.Args = append([]string{"ip", "netns", "exec", ns, "setpriv", fmt.Sprintf("--reuid=%d", uid), "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"}, cmd.Args[4:]...)
	}
	out, err := cmd.Output()
	var r struct {
		Error string
		Busy  bool
	}
	if err == nil {
		err = json.Unmarshal(out, &r)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return r.Error, r.Busy
}

func here(addr string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(addr)} }

// TestClearErrors opens ports that cannot be had.
func TestClearErrors(t *testing.T) {
	needRoot(t)
	a, b := namespace(t, "e"), namespace(t, "f")
	cable(t, a, "ve", "10.4.0.1/24", b, "vfx", "10.4.0.2/24")
	run(t, "ip -n %s link add down0 type veth peer name down1", b)
	own := here("10.4.0.3/24")
	for name, x := range map[string]struct {
		c    Config
		want string
	}{
		"no such interface":  {Config{Device: "af_packet:nosuch", Addresses: own}, "interface nosuch"},
		"interface down":     {Config{Device: "af_packet:down0", Addresses: own}, "ip link set down0 up"},
		"kernel's address":   {Config{Device: "af_packet:vfx", Addresses: here("10.4.0.2/24")}, "the kernel has the address"},
		"MTU":                {Config{Device: "af_packet:vfx", Addresses: own, MTU: 9000}, "MTU of 1500"},
		"no huge pages":      {Config{Device: "af_packet:vfx", Addresses: own, HugePages: true, MemoryMB: 1 << 20}, "vm.nr_hugepages="},
		"wrong PCI address":  {Config{Device: "0000:7f:1f.7", Addresses: own, HugePages: true}, "no PCI device 0000:7f:1f.7"},
		"too many queues":    {Config{Device: "af_xdp:vfx", Addresses: own, Queues: 4}, "queue"},
		"no address":         {Config{Device: "af_packet:vfx"}, "addresses is empty"},
		"little memory":      {Config{Device: "af_packet:vfx", Addresses: own, MemoryMB: 64, Buffers: 1 << 17}, "memory_mb too small"},
		"nonsense arguments": {Config{Device: "af_packet:vfx", Addresses: own, Args: "nosuch=1"}, "af_packet:vfx"},
	} {
		if text, _ := openIn(t, b, 0, x.c); !strings.Contains(text, x.want) {
			t.Errorf("%s: %q does not say %q", name, text, x.want)
		}
	}
	exe, err := os.Executable()
	if _, lookErr := exec.LookPath("setpriv"); lookErr == nil && err == nil {
		if fi, err := os.Stat(exe); err == nil && fi.Mode().Perm()&0o005 == 0o005 && readable(exe) {
			text, _ := openIn(t, b, 65534, Config{Device: "af_packet:vfx", Addresses: own})
			if !strings.Contains(text, "CAP_NET_RAW") {
				t.Errorf("no permission: %q", text)
			}
		}
	}
	nothingAttached(t, b, "vfx")
}

// readable reports whether every folder above a file is open to all.
func readable(path string) bool {
	for dir := path; dir != "/"; {
		dir = dir[:max(1, strings.LastIndex(dir, "/"))]
		if fi, err := os.Stat(dir); err != nil || fi.Mode().Perm()&0o001 == 0 {
			return false
		}
	}
	return true
}

func nothingAttached(t *testing.T, ns, iface string) {
	t.Helper()
	out, err := exec.Command("ip", "-n", ns, "-d", "link", "show", iface).CombinedOutput()
	if err != nil || strings.Contains(string(out), "xdp") || strings.Contains(string(out), "promiscuity 1") {
		t.Errorf("something is still attached: %s %v", out, err)
	}
}

// TestOnePortTwoRelays, a killed process, and a link that goes down and up, over
// AF_XDP and packet sockets.
func TestOnePortTwoRelays(t *testing.T) {
	needRoot(t)
	for _, driver := range []string{"af_packet", "af_xdp"} {
		t.Run(driver, func(t *testing.T) { onePort(t, driver) })
	}
}

func onePort(t *testing.T, driver string) {
	a, b := hosts(t)
	serve(t, a, "echo")
	c := Config{Device: driver + ":vfx", Addresses: here("10.4.0.2/24")}
	first := start(t, b, "hold", c)
	first.until("echo", 20)
	if text, busy := openIn(t, b, 0, c); !busy || !strings.Contains(text, "in use") {
		t.Errorf("a second relay: %q", text)
	}
	first.until("echo", 20)

	run(t, "ip -n %s link set vfx down", b)
	time.Sleep(300 * time.Millisecond)
	run(t, "ip -n %s link set vfx up", b)
	first.drain()
	first.until("echo", 50)

	first.kill() // it gives nothing back
	second := start(t, b, "hold", c)
	second.until("echo", 20)
	second.stop()
	nothingAttached(t, b, "vfx")
}

// echoRole answers on the kernel's sockets.
func echoRole([]byte) (any, error) {
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
		go func() { _, _ = io.Copy(c, c); c.Close() }()
	}
}

// TestPeerKilled: the other end of a memif goes and comes back.
func TestPeerKilled(t *testing.T) {
	a, b := pair(t, nil)
	l, err := a.Listen("tcp", "10.9.0.1:7000")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, err := b.Transport(0).NewPoller(nettune.PollerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s, err := p.Dial(nettune.DialOptions{Addr: netip.MustParseAddrPort("10.9.0.1:7000"),
		Options: nettune.Options{NoDelay: true, UserTimeout: 500 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	up := false
	loop(t, p, "the connection", func(ev nettune.Event) { up = up || ev.Flags&nettune.Connected != 0 }, func() bool { return up })
	if err := a.Close(); err != nil { // says good-bye on the wire
		t.Fatal(err)
	}
	var got error
	_, _ = s.Write([]byte("is anybody there"))
	loop(t, p, "the end of the connection", func(ev nettune.Event) {
		if ev.Flags&nettune.Readable != 0 {
			_, _, got = s.Read(make([]byte, 16))
		}
	}, func() bool { return got != nil && got != nettune.ErrWouldBlock })
	wait(t, "the link to be down", func() bool { return !b.Info().LinkUp })
}
