package sim_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tickrelay/feeds/sim"
)

// client is a naive WebSocket client: frames one by one, no automatic answers.
type client struct {
	t    *testing.T
	conn net.Conn
	rd   io.Reader
}

func dial(t *testing.T, url string, roots *x509.CertPool) *client {
	t.Helper()
	d := ws.Dialer{Timeout: 5 * time.Second, TLSConfig: &tls.Config{RootCAs: roots}}
	conn, buffered, _, err := d.Dial(context.Background(), url)
	if err != nil {
		t.Fatalf("dial %s: %v", url, err)
	}
	c := &client{t: t, conn: conn, rd: conn}
	if buffered != nil {
		c.rd = io.MultiReader(buffered, conn)
	}
	t.Cleanup(func() { conn.Close() })
	return c
}

func (c *client) send(text string) { c.sendFrame(ws.NewTextFrame([]byte(text))) }

func (c *client) sendFrame(f ws.Frame) {
	c.t.Helper()
	if err := ws.WriteFrame(c.conn, ws.MaskFrame(f)); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// frame reads the next frame of any kind within 5 s.
func (c *client) frame() (ws.Frame, error) {
	c.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	return readFrame(c.rd)
}

// readFrame reads one frame of at most 64 MiB.
func readFrame(r io.Reader) (ws.Frame, error) {
	h, err := ws.ReadHeader(r)
	if err != nil {
		return ws.Frame{}, err
	}
	if h.Length > 64<<20 {
		return ws.Frame{}, ws.ErrHeaderLengthUnexpected
	}
	f := ws.Frame{Header: h, Payload: make([]byte, h.Length)}
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}

// next reads the next text or binary message; control frames are skipped.
func (c *client) next() []byte {
	c.t.Helper()
	for {
		f, err := c.frame()
		if err != nil {
			c.t.Fatalf("read: %v", err)
		}
		switch f.Header.OpCode {
		case ws.OpText, ws.OpBinary:
			return f.Payload
		case ws.OpClose:
			code, reason := ws.ParseCloseFrameData(f.Payload)
			c.t.Fatalf("closed with %d %s", code, reason)
		}
	}
}

// want reads the next message and compares its text.
func (c *client) want(text string) {
	c.t.Helper()
	if got := string(c.next()); got != text {
		c.t.Fatalf("got  %.300s\nwant %s", got, text)
	}
}

// quiet fails if a message arrives within d.
func (c *client) quiet(d time.Duration) {
	c.t.Helper()
	c.conn.SetReadDeadline(time.Now().Add(d))
	f, err := readFrame(c.rd)
	if err == nil {
		c.t.Fatalf("got %.300s, want silence", f.Payload)
	}
	if !errors.Is(err, context.DeadlineExceeded) && !isTimeout(err) {
		c.t.Fatalf("read: %v, want silence", err)
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// decode unmarshals and rejects unknown shapes.
func decode[T any](t *testing.T, text []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%.200s: %v", text, err)
	}
	return v
}

// get fetches a REST answer.
func get(t *testing.T, url string) (int, []byte, http.Header, error) {
	t.Helper()
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr, Timeout: 5 * time.Second}).Get(url)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, body, resp.Header, err
}

// exchange is a server over a market that is stepped by hand, with a clock that
// stands still.
type exchange struct {
	*sim.Server
	market *sim.Market
	clock  *sim.ManualClock
}

func open(t *testing.T, venue string, o sim.Options) *exchange {
	t.Helper()
	return openOf(t, venue, o, []string{"BTC-USDT", "ETH-USDT"})
}

// openOf is open for other symbols.
func openOf(t *testing.T, venue string, o sim.Options, symbols []string) *exchange {
	t.Helper()
	clock := sim.NewManualClock(time.UnixMilli(1_763_842_100_000))
	m, err := sim.OpenMarket(sim.MarketConfig{Seed: 7, Symbols: symbols, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := sim.Serve(context.Background(), venue, "127.0.0.1:0", m, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	return &exchange{srv, m, clock}
}

// run makes n events, one per millisecond.
func (x *exchange) run(n int) {
	for range n {
		x.clock.Advance(time.Millisecond)
		x.market.Step(1)
	}
}

// push makes events of which every book channel at 100 ms has one update.
func (x *exchange) push() {
	x.clock.Advance(100 * time.Millisecond)
	x.market.Step(50)
}

// freeze flushes everything to the sockets.
func (x *exchange) freeze(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := x.market.Freeze(ctx); err != nil {
		t.Fatal(err)
	}
}
