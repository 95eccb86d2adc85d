package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"tickrelay/feeds/sim"
)

// venueClient speaks a venue's dialect and knows nothing of the relay: it runs unchanged
// against the venue and against the passthrough.
type venueClient struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func venueDial(t *testing.T, url string) *venueClient {
	t.Helper()
	d := ws.Dialer{Timeout: 10 * time.Second}
	conn, br, _, err := d.Dial(t.Context(), url)
	if err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	t.Cleanup(func() { conn.Close() })
	var r io.Reader = conn
	if br != nil {
		r = io.MultiReader(io.LimitReader(br, int64(br.Buffered())), conn)
	}
	return &venueClient{t, conn, bufio.NewReader(r)}
}

func (c *venueClient) send(text string) {
	c.t.Helper()
	if err := wsutil.WriteClientText(c.conn, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// next is the next text message; a close frame is returned as its code.
func (c *venueClient) next() ([]byte, ws.StatusCode) {
	c.t.Helper()
	for {
		c.conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		h, err := ws.ReadHeader(c.r)
		if err != nil {
			c.t.Fatal(err)
		}
		p := make([]byte, h.Length)
		if _, err := io.ReadFull(c.r, p); err != nil {
			c.t.Fatal(err)
		}
		switch h.OpCode {
		case ws.OpText:
			return p, 0
		case ws.OpPing:
			ws.WriteFrame(c.conn, ws.MaskFrame(ws.NewPongFrame(p)))
		case ws.OpClose:
			code, _ := ws.ParseCloseFrameData(p)
			return nil, code
		}
	}
}

// until returns the first message that holds all of parts.
func (c *venueClient) until(parts ...string) []byte {
	c.t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		p, code := c.next()
		if code != 0 {
			c.t.Fatalf("closed with %d", code)
		}
		found := true
		for _, s := range parts {
			found = found && bytes.Contains(p, []byte(s))
		}
		if found {
			return p
		}
	}
	c.t.Fatalf("no message with %q in 30 s", parts)
	return nil
}

// rawRelay runs a relay with passthrough to a simulated exchange and returns the
// addresses of both.
func rawRelay(t *testing.T, venue string) (direct, through string, srv *sim.Server) {
	t.Helper()
	m, err := sim.NewMarket(7, []string{"BTC-USDT", "ETH-USDT"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	srv, err = sim.Serve(ctx, venue, "127.0.0.1:0", m, sim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); m.Run(ctx, 200) }()
	t.Cleanup(func() { cancel(); srv.Close(); <-done })
	config := writeFile(t, "relay.yaml", fmt.Sprintf(`
relay: raw-%d
listen: 127.0.0.1:0
socket: %s
feeds:
  - {venue: %s, url: %q, rest: %q, instruments: [BTC-USDT], channels: [trades]}
raw:
  - {venue: %[3]s, url: %[4]q}
`, time.Now().UnixNano()%1e12, filepath.Join(t.TempDir(), "s"), venue, srv.URL(), srv.REST()))
	relay := start(t, "run", "-c", config)
	through = strings.TrimSuffix(relay.line("websocket "), "/ws") + "/raw/" + venue
	direct, _, _ = strings.Cut(strings.TrimPrefix(srv.URL(), "ws://"), "/")
	return "ws://" + direct, through, srv
}

// A client of Binance's finds at the relay what it finds at the venue: the same bytes of
// every frame, and the acknowledgements.
func TestRawBinance(t *testing.T) {
	direct, through, srv := rawRelay(t, "binance")
	for _, path := range []string{"/stream?streams=btcusdt@trade", "/ws/btcusdt@trade"} {
		a, b := venueDial(t, through+path), venueDial(t, direct+path)
		// Both see one market: from the first frame that both have on, byte for byte.
		seen := map[string]int{}
		var atVenue [][]byte
		first, _ := a.next()
		for len(atVenue) == 0 || !bytes.Equal(atVenue[len(atVenue)-1], first) {
			p, _ := b.next()
			atVenue = append(atVenue, p)
			if len(atVenue) > 2000 {
				t.Fatalf("%s: the venue never sent %s", path, first)
			}
		}
		for i := range 100 {
			p, _ := a.next()
			q, _ := b.next()
			if !bytes.Equal(p, q) {
				t.Fatalf("%s: frame %d: %s, the venue sent %s", path, i, p, q)
			}
			seen[string(p)]++
		}
		if len(seen) < 90 {
			t.Fatalf("%s: only %d different frames", path, len(seen))
		}
	}
	c := venueDial(t, through+"/ws")
	c.send(`{"method":"SUBSCRIBE","params":["btcusdt@trade","ethusdt@depth@100ms"],"id":7}`)
	if p, _ := c.next(); string(p) != `{"result":null,"id":7}` {
		t.Fatalf("first came %s", p)
	}
	c.until(`"e":"depthUpdate"`, `"s":"ETHUSDT"`)
	c.send(`{"method":"LIST_SUBSCRIPTIONS","id":"x"}`)
	var listed struct{ Result []string }
	if err := json.Unmarshal(c.until(`"id":"x"`), &listed); err != nil || len(listed.Result) != 2 {
		t.Errorf("listed %v %v", listed, err)
	}
	c.send(`{"method":"SET_PROPERTY","params":["combined",true],"id":8}`)
	c.until(`"id":8`)
	c.until(`{"stream":"btcusdt@trade","data":{`)
	c.send(`{"method":"UNSUBSCRIBE","params":["btcusdt@trade"],"id":9}`)
	c.until(`{"result":null,"id":9}`)
	for range 20 {
		if p, _ := c.next(); bytes.Contains(p, []byte("btcusdt@trade")) {
			t.Fatalf("after UNSUBSCRIBE: %s", p)
		}
	}
	c.send(`{"method":"FLY","id":10}`)
	c.until(`"error"`, `"id":10`)
	c.send(`nonsense`)
	c.until(`Invalid JSON`)

	// The venue hangs up: so does the relay, with a code that says come back.
	srv.Inject(sim.FaultGoingAway)
	for {
		if _, code := c.next(); code != 0 {
			if code != 1012 {
				t.Errorf("closed with %d", code)
			}
			break
		}
	}
	again := venueDial(t, through+"/ws/btcusdt@trade")
	again.until(`"e":"trade"`)
}

// A client that comes to a book which others have gets a snapshot first, and the others
// another one.
func TestRawSnapshots(t *testing.T) {
	for venue, c := range map[string]struct{ path, arg string }{
		"okx":    {"/ws/v5/public", `{"channel":"books","instId":"BTC-USDT"}`},
		"bitget": {"/v2/ws/public", `{"instType":"SPOT","channel":"books","instId":"BTCUSDT"}`},
	} {
		_, through, _ := rawRelay(t, venue)
		ask := `{"op":"subscribe","args":[` + c.arg + `]}`
		first := venueDial(t, through+c.path)
		first.send(ask)
		if p, _ := first.next(); !bytes.Contains(p, []byte(`"event":"subscribe"`)) || !bytes.Contains(p, []byte(c.arg)) {
			t.Fatalf("%s: first came %s", venue, p)
		}
		if p, _ := first.next(); !bytes.Contains(p, []byte(`"action":"snapshot"`)) {
			t.Fatalf("%s: after the acknowledgement: %.200s", venue, p)
		}
		first.until(`"action":"update"`)
		second := venueDial(t, through+c.path)
		second.send(ask)
		second.until(`"event":"subscribe"`)
		if p, _ := second.next(); !bytes.Contains(p, []byte(`"action":"snapshot"`)) {
			t.Fatalf("%s: the second client begins with %.200s", venue, p)
		}
		first.until(`"action":"snapshot"`)
		second.until(`"action":"update"`)
		second.send("ping")
		for {
			if p, _ := second.next(); string(p) == "pong" {
				break
			}
		}
		second.send(`{"op":"unsubscribe","args":[` + c.arg + `]}`)
		second.until(`"event":"unsubscribe"`)
		first.until(`"action":"update"`)
		second.send(`{"op":"login"}`)
		second.until(`"event":"error"`)
	}
}
