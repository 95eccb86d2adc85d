package proxy_test

import (
	"errors"
	"fmt"

	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"tickrelay/nettune/proxy"
	"tickrelay/relay"
)

// The times of these tests stand for a gateway that pings every two minutes behind
// proxies with their stock time-out of one minute, all 150 times faster.
const (
	livePing  = 800 * time.Millisecond
	liveStock = 400 * time.Millisecond
)

// TestLiveIdle: with the configurations written here a WebSocket that carries nothing
// but pings lives on, for many stock time-outs and longer than the configuration's own.
func TestLiveIdle(t *testing.T) {
	for _, k := range kinds {
		for _, tunnel := range []string{"http", "proxy protocol"} {
			t.Run(k.name+" "+tunnel, func(t *testing.T) {
				t.Parallel()
				tool(t, k.name)
				gw := relay.Config{Limits: relay.Limits{PingEvery: livePing}}
				cfg := proxy.Config{Listen: freePort(t), PingInterval: livePing, MaxConns: 64}
				if tunnel != "http" {
					cfg.ProxyProtocol = true
					gw.ProxyProtocol = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
				}
				g, m := gateway(t, gw)
				cfg.Gateways = []string{g.Addr().String()}
				var conf strings.Builder
				if err := k.write(&conf, cfg); err != nil {
					t.Fatal(err)
				}
				k.run(t, cfg.Listen, conf.String())
				c := mustConnect(t, cfg.Listen)
				if err := c.send(`{"op":"subscribe","topics":["` + tradesTopic + `"]}`); err != nil {
					t.Fatal(err)
				}
				if answer, err := c.next(5 * time.Second); err != nil || answer["op"] != "subscribed" {
					t.Fatal(answer, err)
				}
				idle := cfg.Idle() + 3*livePing
				if answer, err := c.next(idle); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("idle for less than %s: %v %v", idle, answer, err)
				}
				if c.pings < 4 {
					t.Errorf("%d pings in %s", c.pings, idle)
				}
				m.trade(1)
				if msg, err := c.next(5 * time.Second); err != nil || msg["type"] != "trade" {
					t.Fatalf("after %s: %v %v", idle, msg, err)
				}
			})
		}
	}
}

// TestLiveStock: what Check predicts of settings as they are found happens with the
// real proxies.
func TestLiveStock(t *testing.T) {
	const (
		fails = "handshake fails"
		cut   = "cut"
		lives = "lives"
	)
	ngx := func(global, server, location string) string {
		return "worker_processes 1;\nevents {}\nhttp {\n" + global + "\nserver {\nlisten LISTEN;\n" + server +
			"\nlocation / {\nproxy_pass http://GATEWAY;\n" + location + "\n}\n}\n}\n"
	}
	const headers = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"
	ha := func(defaults, back string) string {
		return "defaults\nmode http\ntimeout connect 1s\n" + defaults + "\nfrontend f\nbind LISTEN\ndefault_backend b\nbackend b\nserver s GATEWAY\n" + back + "\n"
	}
	for _, c := range []struct {
		name, kind, conf, happens string
	}{
		{"nginx stock", "nginx", ngx("", "", ""), fails},
		{"nginx HTTP/1.0", "nginx", ngx("", "", "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"), fails},
		{"nginx no Connection", "nginx", ngx("", "", "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;"), fails},
		{"nginx headers not inherited", "nginx", ngx("", headers, "proxy_set_header Host $host;"), fails},
		{"nginx map of keep-alive", "nginx", ngx("map $http_upgrade $cu { default keep-alive; }", "", strings.Replace(headers, "Connection upgrade", "Connection $cu", 1)), fails},
		{"nginx no request headers", "nginx", ngx("", "", headers+"proxy_pass_request_headers off;"), fails},
		{"nginx read timeout", "nginx", ngx("proxy_read_timeout 400ms;", "", headers), cut},
		{"nginx map", "nginx", ngx("map $http_upgrade $cu { default upgrade; '' close; }", "", strings.Replace(headers, "Connection upgrade", "Connection $cu", 1)), lives},
		{"nginx other time-outs", "nginx", ngx("keepalive_timeout 300ms; client_header_timeout 300ms; client_body_timeout 300ms; limit_rate 2k; gzip on; gzip_types *;", "", headers+"proxy_buffering on;"), lives},
		{"haproxy side time-outs", "haproxy", ha("timeout client 400\ntimeout server 400ms", ""), cut},
		{"haproxy tunnel", "haproxy", ha("timeout client 1m\ntimeout server 1m", "timeout tunnel 400ms"), cut},
		{"haproxy tunnel longer", "haproxy", ha("timeout client 400ms\ntimeout server 400ms", "timeout tunnel 1m"), lives},
		{"haproxy del-header", "haproxy", ha("timeout client 1m\ntimeout server 1m\ntimeout tunnel 1m\ntimeout client-fin 1s\ntimeout server-fin 1s", "http-request del-header Upgrade"), fails},
		{"haproxy httpclose", "haproxy", ha("timeout client 1m\ntimeout server 1m\ntimeout tunnel 1m\ntimeout client-fin 1s\ntimeout server-fin 1s\ntimeout http-request 300ms\ntimeout http-keep-alive 300ms\ntimeout queue 300ms\noption httpclose", ""), lives},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			run := runNginx
			if c.kind == "haproxy" {
				run = runHAProxy
			}
			tool(t, c.kind)
			g, _ := gateway(t, relay.Config{Limits: relay.Limits{PingEvery: livePing}})
			addr := freePort(t)
			file := run(t, addr, strings.NewReplacer("LISTEN", addr, "GATEWAY", g.Addr().String()).Replace(c.conf))
			r, err := proxy.Check(proxy.CheckOptions{PingInterval: livePing}, file)
			if err != nil {
				t.Fatal(err)
			}
			predicted := predict(r, fails, cut, lives)
			if predicted != c.happens {
				t.Errorf("predicted %q, want %q: %v", predicted, c.happens, r.Findings)
			}
			happened := lives
			if conn, err := connect(addr, netip.Addr{}); err != nil {
				happened = fails
			} else {
				defer conn.Close()
				start := time.Now()
				_, err := conn.next(3 * livePing)
				if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) {
					happened = cut
					if took < liveStock/2 || took > livePing+liveStock {
						t.Errorf("cut after %s (%v), the time-out is %s", took, err, liveStock)
					}
				}
			}
			if happened != c.happens {
				t.Errorf("what happened: %s; predicted: %s", happened, c.happens)
			}
		})
	}
}

// predict says in a word what a report's errors mean.
func predict(r *proxy.Report, fails, cut, lives string) string {
	out := lives
	for _, f := range r.Findings {
		switch {
		case f.Severity == proxy.Error && strings.Contains(f.Why, "handshake fails"):
			return fails
		case f.Severity == proxy.Error:
			out = cut
		case f.Severity == proxy.Warning:
			out = "warning: " + f.String()
		}
	}
	return out
}

// TestLiveMany: 2,000 WebSockets pass, spread over several local addresses, and all
// of them get a message.
func TestLiveMany(t *testing.T) {
	if testing.Short() {
		t.Skip("2,000 connections: not with -short")
	}
	const conns = 2000
	sources := []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3"),
		netip.MustParseAddr("127.0.0.4"), netip.MustParseAddr("127.0.0.5")}
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			tool(t, k.name)
			g, m := gateway(t, relay.Config{})
			cfg := proxy.Config{Listen: freePort(t), MaxConns: conns, Gateways: []string{g.Addr().String()}, Sources: sources}
			var conf strings.Builder
			if err := k.write(&conf, cfg); err != nil {
				t.Fatal(err)
			}
			k.run(t, cfg.Listen, conf.String())
			start := time.Now()
			clients := connectMany(t, cfg.Listen, conns)
			t.Logf("%d connections in %s", len(clients), time.Since(start))
			per := sourcesOf(t, g.Addr())
			for _, s := range sources {
				if n := per[s]; n < conns/len(sources)/2 {
					t.Errorf("%d connections from %s, want about %d (%v)", n, s, conns/len(sources), per)
				}
				delete(per, s)
			}
			for s, n := range per {
				if n > 8 { // health checks and what closes
					t.Errorf("%d connections from %s", n, s)
				}
			}
			m.trade(1)
			for i, c := range clients {
				if msg, err := c.next(10 * time.Second); err != nil || msg["type"] != "trade" {
					t.Fatalf("client %d: %v %v", i, msg, err)
				}
			}
		})
	}
}

// connectMany opens and subscribes n WebSockets.
func connectMany(t *testing.T, addr string, n int) []*client {
	t.Helper()
	clients := make([]*client, n)
	errs := make([]error, n)
	t.Cleanup(func() {
		for _, c := range clients {
			if c != nil {
				c.Close()
			}
		}
	})
	var wg sync.WaitGroup
	slots := make(chan struct{}, 64)
	for i := range n {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			c, err := connect(addr, netip.Addr{})
			if err == nil {
				clients[i] = c
				err = c.send(`{"op":"subscribe","topics":["` + tradesTopic + `"]}`)
			}
			if err == nil {
				var answer map[string]any
				if answer, err = c.next(20 * time.Second); err == nil && answer["op"] != "subscribed" {
					err = fmt.Errorf("answer %v", answer)
				}
			}
			errs[i] = err
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("of %d connections: %.600s", n, err)
	}
	return clients
}

// sourcesOf counts the established connections to a gateway by their source address.
func sourcesOf(t *testing.T, gw netip.AddrPort) map[netip.Addr]int {
	t.Helper()
	data, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Skip(err)
	}
	out := map[netip.Addr]int{}
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		var la, ra uint32
		var lp, rp uint16
		if len(f) < 4 || f[3] != "01" {
			continue
		}
		if n, _ := fmt.Sscanf(f[1]+" "+f[2], "%x:%x %x:%x", &la, &lp, &ra, &rp); n == 4 && lp == gw.Port() {
			out[netip.AddrFrom4([4]byte{byte(ra), byte(ra >> 8), byte(ra >> 16), byte(ra >> 24)})]++
		}
	}
	return out
}
