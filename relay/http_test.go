package relay

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tickrelay/ring/md"
)

func TestHTTP(t *testing.T) {
	_, g := start(t, Limits{}, 4096)
	f := func(path string, code int, contains string) {
		t.Helper()
		got, head, body := get(t, g, path)
		if got != code || !strings.Contains(body, contains) {
			t.Errorf("%s: %d %s, want %d with %s", path, got, body, code, contains)
		}
		if strings.HasPrefix(head.Get("Content-Type"), "application/json") && !json.Valid([]byte(body)) {
			t.Errorf("%s: not JSON: %s", path, body)
		}
	}
	f("/healthz", 200, "ok")
	f("/readyz", 200, `{"ready":true,"problems":[]}`)
	f("/api/v1/topics", 200, `"binance.book.BTC-USDT":{"epoch":"1763842100123456789","seq":0}`)
	f("/api/v1/instruments", 200, `"symbol":"BTC-USDT","native":"BTCUSDT","price_exp":-2`)
	f("/api/v1/feeds", 200, `"feeds":[]`)
	f("/api/v1/book/binance/BTC-USDT", 200, `"bids":[["100","0.0001"],["99.9","0.0002"],["99.8","0.0003"],["99.7","0.0004"]]`)
	f("/api/v1/book/binance/BTC-USDT?depth=1", 200, `"bids":[["100","0.0001"]],"asks":[["100.1","0.0001"]]`)
	f("/api/v1/book/binance/BTC-USDT?depth=x", 400, "depth")
	f("/api/v1/book/binance/BTC-USDT?depth=1001", 400, "depth")
	f("/api/v1/book/nosuch/BTC-USDT", 400, "venue")
	f("/api/v1/book/binance/NO-SUCH", 404, "no such book")
	f("/api/v1/nothing", 404, "no such path")
	f("/../secret", 404, "no such path")
	f("/", 200, "<title>tickrelay</title>")
	f("/js/main.js", 200, "import")
	_, head, _ := get(t, g, "/")
	if csp := head.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy %q", csp)
	}
	res, err := http.Post("http://"+g.Addr().String()+"/", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 405 {
		t.Errorf("POST: %d", res.StatusCode)
	}
}

func TestNotReady(t *testing.T) {
	tab := newTable(t)
	g := gateway(t, Config{Table: tab.View(), Feeds: func() []FeedStatus {
		return []FeedStatus{{Name: "okx", Venue: "okx", State: "backoff"}}
	}})
	code, _, body := get(t, g, "/readyz")
	for _, want := range []string{`"ready":false`, "feed okx is backoff", "no ring", "no topic", "no record"} {
		if code != 503 || !strings.Contains(body, want) {
			t.Errorf("%d %s, want %s", code, body, want)
		}
	}
}

func TestMetricNames(t *testing.T) {
	_, g := start(t, Limits{}, 4096)
	_, _, body := get(t, g, "/metrics")
	var want []string
	for _, r := range closeReasons {
		want = append(want, `tickrelay_ws_closed_total{reason="`+r+`"} 0`)
	}
	for _, c := range errorCodes {
		want = append(want, `tickrelay_ws_errors_total{code="`+c+`"} 0`)
	}
	for _, r := range refuseReasons {
		want = append(want, `tickrelay_refused_total{reason="`+r+`"} 0`)
	}
	want = append(want, "tickrelay_ws_connections 0", "tickrelay_hub_topics 3", "tickrelay_hub_rings 1",
		"tickrelay_ws_dropped_total 0", "tickrelay_ws_conflated_total 0", "tickrelay_hub_jumps_total 0")
	for _, w := range want {
		if !strings.Contains(body, w+"\n") {
			t.Errorf("/metrics lacks %s", w)
		}
	}
	for line := range strings.Lines(body) {
		if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "tickrelay_") {
			t.Errorf("foreign name: %s", line)
		}
	}
}

// TestDrainAndLeaks runs gateways with clients of every sort and looks for what stays.
func TestDrainAndLeaks(t *testing.T) {
	round := func() {
		tab := newTable(t)
		s := newSource(t, tab, md.VenueBinance)
		s.add(md.VenueBinance, "BTC-USDT", md.ChannelTrades)
		ringEnd := s.ring(1024)
		g, err := New(Config{Table: tab.View(), Listen: "127.0.0.1:0", Shards: 2})
		if err != nil {
			t.Fatal(err)
		}
		g.AddRing(ringEnd)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- g.Run(ctx) }()
		awaitTopics(t, g, 1)
		var clients []*wsClient
		for range 5 {
			c := dial(t, g)
			c.send(`{"op":"subscribe","topics":[">"]}`)
			c.want("subscribed", "")
			clients = append(clients, c)
		}
		clients[4].conn.Close()
		half, err := net.Dial("tcp", g.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		half.Write([]byte("GET / HTT"))
		get(t, g, "/healthz")
		s.trade(btcTrades, 1, 1)
		eventually(t, "connection is gone", func() bool { return g.connections() == 4 })
		for _, c := range clients[:4] {
			c.want("trade", btcTrades)
		}
		cancel()
		for _, c := range clients[:4] {
			if code, reason := c.closed(); code != ws.StatusGoingAway || reason == "" {
				t.Errorf("closed with %d %q", code, reason)
			}
			c.frame(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusGoingAway, "")))
		}
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(8 * time.Second):
			t.Fatal("Run does not end")
		}
		half.Close()
		for _, c := range clients {
			c.conn.Close()
		}
	}
	round()
	http.DefaultClient.CloseIdleConnections()
	runtime.GC()
	fds, routines := openFiles(), runtime.NumGoroutine()
	for range 3 {
		round()
	}
	http.DefaultClient.CloseIdleConnections()
	eventually(t, "descriptors and goroutines are as before", func() bool {
		return openFiles() <= fds && runtime.NumGoroutine() <= routines
	})
}

func TestConfigErrors(t *testing.T) {
	_, err := New(Config{Listen: "nowhere", Shards: 65, Limits: Limits{MaxHead: 1, PongTimeout: -1}})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"table", "nowhere", "65 shards", "max head", "pong timeout"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v: lacks %s", err, want)
		}
	}
}
