package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// inNamespace runs f on a thread of its own in network namespace h.
func inNamespace(h netns.NsHandle, f func() error) error {
	ch := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := netns.Set(h); err != nil {
			ch <- err
			return
		}
		ch <- f()
	}()
	return <-ch
}

// gatewayCable makes two namespaces with a veth pair: gw0 with 10.77.0.1 on the
// relay's side, net0 with 10.77.0.2 and .3 on the clients'.
func gatewayCable(t *testing.T) (server, client netns.NsHandle) {
	t.Helper()
	fresh := func() netns.NsHandle {
		ch := make(chan netns.NsHandle)
		go func() {
			runtime.LockOSThread()
			h, err := netns.New()
			if err != nil {
				h = -1
			}
			ch <- h
		}()
		h := <-ch
		if h < 0 {
			t.Skip("no network namespace can be made")
		}
		t.Cleanup(func() { _ = h.Close() })
		return h
	}
	server, client = fresh(), fresh()
	up := func(name string, addrs ...string) error {
		l, err := netlink.LinkByName(name)
		for _, a := range addrs {
			n, _ := netlink.ParseAddr(a)
			if err == nil {
				err = netlink.AddrAdd(l, n)
			}
		}
		if err == nil {
			err = netlink.LinkSetUp(l)
		}
		return err
	}
	err := inNamespace(server, func() error {
		v := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "gw0"}, PeerName: "net0", PeerNamespace: netlink.NsFd(client)}
		if err := netlink.LinkAdd(v); err != nil {
			return err
		}
		if err := up("lo"); err != nil {
			return err
		}
		return up("gw0", "10.77.0.1/24")
	})
	if err == nil {
		err = inNamespace(client, func() error { return up("net0", "10.77.0.2/24", "10.77.0.3/24") })
	}
	if err != nil {
		t.Fatal(err)
	}
	return server, client
}

// An address that fails handshakes again and again is dropped by the driver for
// a while; another one notices nothing, and /metrics tells of it.
func TestXDPIsFedByTheGateway(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: loads an eBPF program and makes network namespaces")
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	fs := t.TempDir()
	if err := unix.Mount("bpf", fs, "bpf", 0, "mode=0700"); err != nil {
		t.Skipf("no bpffs can be mounted: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(fs, 0) })
	server, client := gatewayCable(t)
	xdp := func(args ...string) (out string) {
		t.Helper()
		err := inNamespace(server, func() error {
			b, err := exec.Command(path, append([]string{"xdp", "--bpffs", fs}, args...)...).CombinedOutput()
			out = string(b)
			return err
		})
		if err != nil {
			t.Fatalf("xdp %q: %v\n%s", args, err, out)
		}
		return out
	}
	if out := xdp("attach", "gw0", "--port", "8080"); !strings.Contains(out, "attached to gw0 in native mode") {
		t.Error(out)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "relay.yaml")
	name := fmt.Sprintf("xdp%d", os.Getpid())
	err = os.WriteFile(config, fmt.Appendf(nil, `relay: %s
listen: 10.77.0.1:8080
socket: %s/control.sock
xdp: {interface: gw0, bpffs: %s, deny_for: 10s}
feeds:
  - {venue: okx, url: "ws://127.0.0.1:1/", rest: none, instruments: [BTC-USDT], channels: [trades]}
`, name, dir, fs), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := inNamespace(server, func() error { startCommand(t, exec.Command(path, "run", "-c", config)); return nil }); err != nil {
		t.Fatal(err)
	}
	talk := func(from, request string) (string, error) {
		var answer string
		err := inNamespace(client, func() error {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 800 * time.Millisecond}
			c, err := d.Dial("tcp", "10.77.0.1:8080")
			if err != nil {
				return err
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(3 * time.Second))
			if _, err := io.WriteString(c, request); err != nil {
				return err
			}
			b, err := io.ReadAll(c)
			answer = string(b)
			return err
		})
		return answer, err
	}
	const healthz = "GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
	healthy := func(from string) bool { a, err := talk(from, healthz); return err == nil && a != "" }
	soon(t, "the gateway to listen", func() bool { return healthy("10.77.0.2") && healthy("10.77.0.3") })
	for range 10 {
		a, err := talk("10.77.0.3", "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 7\r\n\r\n")
		if err != nil || strings.Contains(a, http.StatusText(http.StatusSwitchingProtocols)) {
			t.Errorf("wrong upgrade: %q %v", a, err)
		}
	}
	var denied string
	soon(t, "the offender to be denied", func() bool {
		denied = xdp("deny", "gw0")
		return strings.Contains(denied, "10.77.0.3/32")
	})
	if strings.Contains(denied, "10.77.0.2") {
		t.Errorf("deny list: %s", denied)
	}
	soon(t, "the offender to be dropped", func() bool { return !healthy("10.77.0.3") })
	soon(t, "another client to be served", func() bool { return healthy("10.77.0.2") })
	metrics, err := talk("10.77.0.2", strings.Replace(healthz, "/healthz", "/metrics", 1))
	for _, want := range []string{
		`tickrelay_xdp_attached{interface="gw0",mode="native"} 1`,
		`tickrelay_xdp_offenders_denied_total{interface="gw0"} 1`,
		`tickrelay_xdp_packets_total{interface="gw0",reason="deny",verdict="drop"} `,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("%v: /metrics lacks %s", err, want)
		}
	}
	soon(t, "the denial to end", func() bool { return healthy("10.77.0.3") })
	var st struct {
		Attached bool
		Dropped  map[string]uint64
		Passed   map[string]uint64
	}
	if err := json.Unmarshal([]byte(xdp("stats", "gw0", "--json")), &st); err != nil || !st.Attached || st.Dropped["deny"] == 0 || st.Passed["connection"] == 0 {
		t.Errorf("%v %+v", err, st)
	}
	if out := xdp("detach", "gw0"); out != "filter detached from gw0\n" {
		t.Error(out)
	}
}

// soon waits up to thirty seconds.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestXDPWrongUsage(t *testing.T) {
	for _, x := range []struct {
		args, want string
	}{
		{"attach eth0", "--port is needed"},
		{"attach eth0 --port 8080 --mode fast", "want auto, native or generic"},
		{"attach eth0 --port 8080 --syn-burst 0", "want 1 or more"},
		{"attach", "accepts 1 arg"},
		{"deny eth0 10.0.0.1/8", "did you mean 10.0.0.0/8"},
		{"deny eth0 example.org", "no address or prefix"},
		{"deny eth0 10.0.0.1 --for -1s", "want a time to come"},
	} {
		var out, errs strings.Builder
		code := execute(t.Context(), append([]string{"xdp"}, strings.Fields(x.args)...), &out, &errs)
		if code != exitUsage || !strings.Contains(errs.String(), x.want) {
			t.Errorf("%s: exit %d, %s", x.args, code, errs.String())
		}
	}
}
