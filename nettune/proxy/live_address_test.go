package proxy_test

import (
	"bufio"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tickrelay/nettune/proxy"
	"tickrelay/nettune/proxyproto"
	"tickrelay/relay"
)

// addressed answers WebSocket handshakes like a gateway and says whom the PROXY
// protocol header named.
func addressed(t *testing.T) (addr string, named <-chan proxyproto.Header) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	out := make(chan proxyproto.Header, 16)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReaderSize(c, proxyproto.MaxSize)
				for want := 1; ; want++ {
					b, err := r.Peek(want)
					if err != nil {
						return
					}
					h, n, err := proxyproto.Parse(b)
					if err == proxyproto.ErrIncomplete {
						continue
					}
					if err != nil {
						t.Errorf("header: %v", err)
						return
					}
					_, _ = r.Discard(n)
					answer(c, r, h, out)
					return
				}
			}()
		}
	}()
	return l.Addr().String(), out
}

func answer(c net.Conn, r *bufio.Reader, h proxyproto.Header, out chan<- proxyproto.Header) {
	req, err := http.ReadRequest(r)
	if err != nil {
		return
	}
	if req.URL.Path != "/ws" { // a health check
		_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
		return
	}
	_, _ = c.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		accept(req.Header.Get("Sec-WebSocket-Key")) + "\r\n\r\n"))
	out <- h
	_, _ = r.ReadByte()
}

// TestLiveAddress: the header that arrives names the client's address and port.
func TestLiveAddress(t *testing.T) {
	type way struct {
		tls bool
		kindOf
	}
	var ways []way
	for _, k := range kinds {
		ways = append(ways, way{false, k}, way{true, k})
	}
	for _, k := range ways {
		t.Run(fmt.Sprintf("%s tls=%v", k.name, k.tls), func(t *testing.T) {
			t.Parallel()
			tool(t, k.name)
			gw, named := addressed(t)
			addr := freePort(t)
			_, port, _ := strings.Cut(addr, ":")
			cfg := proxy.Config{Listen: ":" + port, MaxConns: 64, ProxyProtocol: true, Gateways: []string{gw}, FastOpen: true}
			var secure *tls.Config
			if k.tls {
				cfg.TLSCert = certificate(t)
				secure = &tls.Config{InsecureSkipVerify: true} // of this test's own making
			}
			var conf strings.Builder
			if err := k.write(&conf, cfg); err != nil {
				t.Fatal(err)
			}
			k.run(t, addr, conf.String())
			for _, from := range []string{"127.0.0.1", "127.0.0.77"} {
				c, err := connectTLS(addr, netip.MustParseAddr(from), secure)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				select {
				case h := <-named:
					if h.Local || h.Source.String() != c.LocalAddr().String() {
						t.Errorf("the gateway was told %s (local %v), the client is %s", h.Source, h.Local, c.LocalAddr())
					}
				case <-time.After(5 * time.Second):
					t.Fatal("no header")
				}
			}
		})
	}
}

// TestLiveLimits: the gateway's limits count the clients behind a proxy, each by its
// own address, and nobody who comes past the proxy can pose as another.
func TestLiveLimits(t *testing.T) {
	source := netip.MustParseAddr("127.0.0.9")
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			tool(t, k.name)
			g, _ := gateway(t, relay.Config{ProxyProtocol: []netip.Prefix{netip.PrefixFrom(source, 32)}, Limits: relay.Limits{MaxConnsPerAddr: 1}})
			cfg := proxy.Config{Listen: freePort(t), MaxConns: 64, ProxyProtocol: true, Gateways: []string{g.Addr().String()}, Sources: []netip.Addr{source}}
			var conf strings.Builder
			if err := k.write(&conf, cfg); err != nil {
				t.Fatal(err)
			}
			k.run(t, cfg.Listen, conf.String())
			open := func(from string) error {
				c, err := connect(cfg.Listen, netip.MustParseAddr(from))
				if err == nil {
					t.Cleanup(func() { c.Close() })
				}
				return err
			}
			for _, from := range []string{"127.0.0.21", "127.0.0.22", "127.0.0.23"} {
				if err := open(from); err != nil {
					t.Fatalf("the first connection from %s: %v", from, err)
				}
			}
			if err := open("127.0.0.22"); err == nil || !strings.Contains(err.Error(), "429") {
				t.Errorf("a second connection from one address: %v", err)
			}
			c, err := net.Dial("tcp", g.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(5 * time.Second))
			_, _ = c.Write([]byte("PROXY TCP4 198.51.100.1 127.0.0.1 1 2\r\nGET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"))
			if n, err := c.Read(make([]byte, 100)); n > 0 || err == nil {
				t.Error("a header from an address that is no proxy was taken")
			}
		})
	}
}

// accept is the answer to a key (RFC 6455, section 4.2.2).
func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
