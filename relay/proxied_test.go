package relay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tickrelay/nettune/proxy"
)

const (
	upgradeRequest = "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	theProxy  = "127.0.0.2"
	aStranger = "127.0.0.3"
)

func named(client string) string {
	return fmt.Sprintf("PROXY TCP4 %s 192.0.2.1 4711 8080\r\n", client)
}

// talk connects from a local address, sends the parts one by one and returns the
// status of the answer, 0 if the gateway closes without one.
func talk(t *testing.T, g *Gateway, from string, parts ...string) (int, net.Conn) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
	c, err := d.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	for i, p := range parts {
		if i > 0 {
			time.Sleep(time.Millisecond)
		}
		if _, err := io.WriteString(c, p); err != nil {
			return 0, c
		}
	}
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
			t.Fatalf("neither answered nor closed: %q", parts)
		}
		return 0, c
	}
	r.Body.Close()
	return r.StatusCode, c
}

func proxiedGateway(t *testing.T, perAddr int) *Gateway {
	t.Helper()
	return gateway(t, Config{Table: newTable(t).View(), Shards: 2, ProxyProtocol: []netip.Prefix{netip.MustParsePrefix(theProxy + "/32")},
		Limits: Limits{MaxConnsPerAddr: perAddr}})
}

func TestProxyProtocol(t *testing.T) {
	const v2 = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x09\xc0\x00\x02\x01\x12\x67\x1f\x90"
	const local = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
	get := "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
	for _, c := range []struct {
		name, from string
		parts      []string
		status     int
		spoof      bool // counted as such
	}{
		{"v1", theProxy, []string{named("203.0.113.9") + upgradeRequest}, 101, false},
		{"v1 by bytes", theProxy, strings.Split(named("203.0.113.9")+upgradeRequest, ""), 101, false},
		{"v2", theProxy, []string{v2 + upgradeRequest}, 101, false},
		{"v2 by bytes", theProxy, strings.Split(v2+upgradeRequest, ""), 101, false},
		{"health check", theProxy, []string{local + get}, 200, false},
		{"http", theProxy, []string{named("203.0.113.9"), get}, 200, false},
		{"proxy without header", theProxy, []string{upgradeRequest}, 0, true},
		{"proxy with a broken header", theProxy, []string{"PROXY TCP4 me you 1 2\r\n" + upgradeRequest}, 0, true},
		{"two headers", theProxy, []string{named("203.0.113.9") + named("203.0.113.10") + upgradeRequest}, 400, false},
		{"stranger", aStranger, []string{upgradeRequest}, 101, false},
		{"stranger by bytes", aStranger, strings.Split(get, ""), 200, false},
		{"stranger that posts", aStranger, []string{"P", "O", "ST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"}, 405, false},
		{"spoofed v1", aStranger, []string{named("203.0.113.9") + upgradeRequest}, 0, true},
		{"spoofed v1 by bytes", aStranger, strings.Split(named("203.0.113.9")+upgradeRequest, ""), 0, true},
		{"spoofed v2", aStranger, []string{v2 + upgradeRequest}, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := proxiedGateway(t, 0)
			if status, _ := talk(t, g, c.from, c.parts...); status != c.status {
				t.Errorf("status %d, want %d", status, c.status)
			}
			if n := g.accept.stats.refused[refusedProxy].Load(); (n == 1) != c.spoof || n > 1 {
				t.Errorf("%d counted as refused for the PROXY protocol", n)
			}
		})
	}
}

// TestProxyProtocolLimits: it is the client that is counted, not its proxy, and not
// the address that a stranger gives.
func TestProxyProtocolLimits(t *testing.T) {
	g := proxiedGateway(t, 2)
	open := func(from, header string, want int) net.Conn {
		t.Helper()
		status, c := talk(t, g, from, header+upgradeRequest)
		if status != want {
			t.Fatalf("from %s %q: status %d, want %d", from, header, status, want)
		}
		return c
	}
	first := open(theProxy, named("203.0.113.9"), 101)
	open(theProxy, named("203.0.113.9"), 101)
	open(theProxy, named("203.0.113.9"), 429)
	open(theProxy, named("203.0.113.10"), 101)
	open(aStranger, named("203.0.113.11"), 0)
	open(aStranger, "", 101)
	open(aStranger, "", 101)
	open(aStranger, "", 429)
	if n := g.accept.stats.refused[refusedClient].Load(); n != 2 {
		t.Errorf("%d refused by address, want 2", n)
	}
	first.Close()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if status, _ := talk(t, g, theProxy, named("203.0.113.9")+upgradeRequest); status == 101 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the place of a closed connection is not given back")
		}
	}
	open(theProxy, named("203.0.113.9"), 429)
}

func TestClients(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"203.0.113.9", "203.0.113.9", true},
		{"203.0.113.9", "::ffff:203.0.113.9", true},
		{"203.0.113.9", "203.0.113.8", false},
		{"2001:db8::1", "2001:db8::ffff:0:0:1", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"fe80::1%eth0", "fe80::2", true},
	} {
		n := newClients(Limits{MaxConns: 10, MaxConnsPerAddr: 1})
		a, b := netip.MustParseAddr(c.a), netip.MustParseAddr(c.b)
		if !n.enter(a) || n.enter(b) == c.same {
			t.Errorf("%s and %s: one party is %v", a, b, !c.same)
		}
		n.leave(a)
		if !c.same {
			n.leave(b)
		}
		if len(n.count) != 0 {
			t.Errorf("%s and %s: %v is left", a, b, n.count)
		}
	}
}

// TestProxyDefaults: tickrelay proxy writes and judges by the gateway's defaults.
func TestProxyDefaults(t *testing.T) {
	if l := (Limits{}).withDefaults(); l.PingEvery != proxy.DefaultPingInterval || l.MaxConns != proxy.DefaultMaxConns {
		t.Errorf("ping interval %s and %d connections; the proxies' are %s and %d", l.PingEvery, l.MaxConns, proxy.DefaultPingInterval, proxy.DefaultMaxConns)
	}
	if webSocketPath != proxy.DefaultPath {
		t.Errorf("path %s", webSocketPath)
	}
}

func TestProxyProtocolConfig(t *testing.T) {
	for _, p := range []string{"0.0.0.0/0", "::/0"} {
		_, err := New(Config{Table: newTable(t).View(), Listen: "127.0.0.1:0", ProxyProtocol: []netip.Prefix{netip.MustParsePrefix(p)}})
		if err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("trusting %s: %v", p, err)
		}
	}
}
