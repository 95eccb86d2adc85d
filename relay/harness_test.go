package relay

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"

	"tickrelay/ring"
	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// source is a feed in the test's hands: a publisher into a heap ring, the books that
// it publishes, and the instrument table. The test's goroutine drives it.
type source struct {
	t      testing.TB
	table  *md.Table
	pub    *ring.Publisher
	topics map[string]ring.TopicID
	books  map[string]*book.Book
	ids    map[string]uint32
	clock  int64
	end    *ring.Consumer // of the ring, for its depth
}

const testEpoch = 1763842100123456789

func newTable(t testing.TB) *md.Table {
	t.Helper()
	tab, err := md.CreateTable(make([]byte, md.TableSize(4096)), 4096, 7)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func newSource(t testing.TB, tab *md.Table, venue md.Venue) *source {
	return &source{t: t, table: tab, topics: map[string]ring.TopicID{}, books: map[string]*book.Book{},
		ids: map[string]uint32{}, clock: testEpoch,
		pub: ring.NewPublisher(ring.PublisherConfig{Venue: venue, Epoch: testEpoch,
			Now: func() int64 { return time.Now().UnixNano() }})}
}

// add makes the topics of one instrument.
func (s *source) add(venue md.Venue, symbol string, channels ...md.Channel) {
	s.t.Helper()
	id, err := s.table.Add(md.Instrument{Venue: venue, Kind: md.InstrumentSpot, Symbol: symbol,
		Native: strings.ReplaceAll(symbol, "-", ""), PriceExp: -2, SizeExp: -4,
		Tick: md.Decimal{Mant: 1, Exp: -2}, Lot: md.Decimal{Mant: 1, Exp: -4}})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, c := range channels {
		name := md.Topic{Venue: venue, Channel: c, Symbol: symbol}.String()
		s.ids[name] = id
		if c == md.ChannelBook {
			b := &book.Book{PriceExp: -2, SizeExp: -4}
			s.books[name] = b
			s.topics[name] = s.pub.AddTopic(id, c, b)
			continue
		}
		s.topics[name] = s.pub.AddTopic(id, c, nil)
	}
}

// ring attaches a heap ring and returns its reader.
func (s *source) ring(capacity int) *ring.Consumer {
	s.t.Helper()
	seg := ring.NewHeap(capacity, ring.Meta{Name: "test", Strategy: "gateway"})
	if _, err := s.pub.Attach(seg, nil); err != nil {
		s.t.Fatal(err)
	}
	c, err := ring.OpenConsumer(seg)
	if err != nil {
		s.t.Fatal(err)
	}
	s.end = c
	s.turn()
	return c
}

// turn does what the feed's loop does between frames, until nothing is left.
func (s *source) turn() {
	s.pub.Flush()
	for s.pub.Turn(time.Now().UnixNano()) {
	}
}

func (s *source) stamp() int64 { s.clock += 1_000_000; return s.clock }

func (s *source) publish(topic string, recs ...md.Record) {
	s.t.Helper()
	id, ok := s.topics[topic]
	if !ok {
		s.t.Fatalf("no topic %s", topic)
	}
	at := s.stamp()
	for i := range recs {
		recs[i].TsEvent, recs[i].TsRecv = at, time.Now().UnixNano()
	}
	s.pub.Publish(id, recs)
	s.turn()
}

// trade publishes one trade, price in cents.
func (s *source) trade(topic string, id uint64, price int64) {
	s.publish(topic, md.Record{Kind: md.KindTrade, Price: price, Size: 12300, PriceExp: -2, SizeExp: -4,
		ID: id, Side: md.SideBuy})
}

// level is a change of a book: side, price in cents, size in 10^-4.
type level struct {
	side        uint8
	price, size int64
}

func (s *source) levels(topic string, levels ...level) {
	b := s.books[topic]
	var recs []md.Record
	for _, l := range levels {
		b.Set(l.side, book.Level{Price: l.price, Size: l.size})
		recs = append(recs, md.Record{Kind: md.KindBook, Side: l.side, Price: l.price, Size: l.size,
			PriceExp: -2, SizeExp: -4})
	}
	s.publish(topic, recs...)
}

// rebuild fills a book and publishes it as rebuilt.
func (s *source) rebuild(topic string, levels ...level) {
	b := s.books[topic]
	b.Clear()
	b.PriceExp, b.SizeExp = -2, -4
	for _, l := range levels {
		b.Set(l.side, book.Level{Price: l.price, Size: l.size})
	}
	s.pub.Rebuilt(s.topics[topic], time.Now().UnixNano())
	s.turn()
}

func (s *source) quote(topic string, bid, ask int64) {
	s.publish(topic,
		md.Record{Kind: md.KindBBO, Side: md.SideBid, Price: bid, Size: 10000, PriceExp: -2, SizeExp: -4},
		md.Record{Kind: md.KindBBO, Side: md.SideAsk, Price: ask, Size: 20000, PriceExp: -2, SizeExp: -4})
}

// gateway starts a gateway that is drained when the test ends.
func gateway(t testing.TB, cfg Config, rings ...*ring.Consumer) *Gateway {
	t.Helper()
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range rings {
		g.AddRing(c)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	stopped := atomic.Bool{}
	stop := func() {
		if stopped.Swap(true) {
			return
		}
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("Run does not end")
		}
	}
	t.Cleanup(stop)
	return g
}

// message is any message of the relay to a client.
type answerMsg struct {
	Op      string          `json:"op"`
	ID      json.RawMessage `json:"id"`
	Code    string          `json:"code"`
	Message string          `json:"message"`
	Topics  json.RawMessage `json:"topics"`

	Type   string      `json:"type"`
	Topic  string      `json:"topic"`
	Seq    uint64      `json:"seq"`
	Prev   uint64      `json:"prev"`
	Action string      `json:"action"`
	Bids   [][2]string `json:"bids"`
	Asks   [][2]string `json:"asks"`
	Price  string      `json:"price"`
	Bid    *[2]string  `json:"bid"`
	Ask    *[2]string  `json:"ask"`
	First  string      `json:"first"`
	Missed *uint64     `json:"missed"`
	Reason string      `json:"reason"`
}

type position struct {
	Epoch string `json:"epoch"`
	Seq   uint64 `json:"seq"`
}

func (m *answerMsg) positions(t testing.TB) map[string]position {
	t.Helper()
	p := map[string]position{}
	if err := json.Unmarshal(m.Topics, &p); err != nil {
		t.Fatalf("topics %s: %v", m.Topics, err)
	}
	return p
}

// wsClient is a real client over loopback.
type wsClient struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader

	packed int // compressed frames that came
}

func dial(t testing.TB, g *Gateway, protocols ...string) *wsClient {
	t.Helper()
	return dialAs(t, g, ws.Dialer{Protocols: protocols, Timeout: 5 * time.Second})
}

// dialDeflate asks for compression as well.
func dialDeflate(t testing.TB, g *Gateway, protocols ...string) *wsClient {
	t.Helper()
	return dialAs(t, g, ws.Dialer{Protocols: protocols, Timeout: 5 * time.Second,
		Extensions: []httphead.Option{wsflate.DefaultParameters.Option()}})
}

func dialAs(t testing.TB, g *Gateway, d ws.Dialer) *wsClient {
	t.Helper()
	protocols := d.Protocols
	conn, br, hs, err := d.Dial(context.Background(), "ws://"+g.Addr().String()+"/ws")
	if err != nil {
		t.Fatal(err)
	}
	if len(protocols) > 0 && hs.Protocol != protocols[0] {
		t.Fatalf("protocol %q, want %q", hs.Protocol, protocols[0])
	}
	var r *bufio.Reader
	if br != nil {
		r = bufio.NewReaderSize(io.MultiReader(io.LimitReader(br, int64(br.Buffered())), conn), 64<<10)
	} else {
		r = bufio.NewReaderSize(conn, 64<<10)
	}
	c := &wsClient{t: t, conn: conn, r: r}
	t.Cleanup(func() { conn.Close() })
	return c
}

func (c *wsClient) send(format string, args ...any) {
	c.t.Helper()
	c.frame(ws.NewTextFrame(fmt.Appendf(nil, format, args...)))
}

func (c *wsClient) frame(f ws.Frame) {
	c.t.Helper()
	if err := ws.WriteFrame(c.conn, ws.MaskFrame(f)); err != nil {
		c.t.Fatal(err)
	}
}

// read returns the next frame; pings are answered.
func (c *wsClient) read() (ws.OpCode, []byte, error) {
	for {
		c.conn.SetReadDeadline(time.Now().Add(40 * time.Second))
		f, err := readFrame(c.r)
		if err != nil {
			return 0, nil, err
		}
		if f.Header.Rsv1() {
			c.packed++
			tail := bytes.NewReader([]byte{0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff})
			if f.Payload, err = io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(f.Payload), tail))); err != nil {
				return 0, nil, err
			}
		}
		if f.Header.OpCode == ws.OpPing {
			c.frame(ws.NewPongFrame(f.Payload))
			continue
		}
		return f.Header.OpCode, f.Payload, nil
	}
}

// next returns the next text message.
func (c *wsClient) next() *answerMsg {
	c.t.Helper()
	op, p, err := c.read()
	if err != nil {
		c.t.Fatal(err)
	}
	if op != ws.OpText {
		c.t.Fatalf("got %v frame %q, want text", op, p)
	}
	m := &answerMsg{}
	if err := json.Unmarshal(p, m); err != nil {
		c.t.Fatalf("%v in %s", err, p)
	}
	return m
}

// want reads the next message and checks its op or type and topic.
func (c *wsClient) want(kind, topic string) *answerMsg {
	c.t.Helper()
	m := c.next()
	if m.Op+m.Type != kind || m.Topic != topic {
		c.t.Fatalf("got %+v, want %s of %q", m, kind, topic)
	}
	return m
}

// quiet checks that nothing comes: a ping's answer is next.
func (c *wsClient) quiet() {
	c.t.Helper()
	time.Sleep(30 * time.Millisecond)
	c.send(`{"op":"ping","id":"quiet"}`)
	if m := c.next(); m.Op != "pong" {
		c.t.Fatalf("got %+v, want silence", m)
	}
}

// closed reads until the close frame and returns its code and reason.
func (c *wsClient) closed() (ws.StatusCode, string) {
	c.t.Helper()
	for {
		op, p, err := c.read()
		if err != nil {
			c.t.Fatalf("no close frame: %v", err)
		}
		if op == ws.OpClose {
			return ws.ParseCloseFrameData(p)
		}
	}
}

func get(t testing.TB, g *Gateway, path string) (int, http.Header, string) {
	t.Helper()
	res, err := http.Get("http://" + g.Addr().String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(b)
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(40 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 40 s: %s", what)
		}
	}
}

// awaitTopics waits until the hub knows n topics.
func awaitTopics(t testing.TB, g *Gateway, n int64) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d topics", n), func() bool { return g.hubStats.topics.Load() >= n })
}

func openFiles() int {
	e, err := os.ReadDir("/proc/self/fd")
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	return len(e)
}

// readFrame reads one frame of the relay, at most 64 MiB.
func readFrame(r io.Reader) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(r); err != nil {
		return f, err
	}
	if f.Header.Length > 64<<20 || f.Header.Masked {
		return f, fmt.Errorf("frame of %d bytes, masked %v", f.Header.Length, f.Header.Masked)
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}
