package relay

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tickrelay/nettune"
	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// returner is a client that goes and comes back. It keeps a book and every trade by
// the rules of the protocol, in either format.
type returner struct {
	t       *testing.T
	g       *Gateway
	binary  bool
	depth   int
	ms      int
	policy  string
	deflate bool
	c       *wsClient

	last    map[string]uint64
	known   bool // the book may be used: a snapshot came, and no gap since
	book    book.Reader
	bids    map[string]string
	asks    map[string]string
	broken  bool
	resumed bool             // the book was resumed, not subscribed to
	trades  map[uint64]int64 // by number, the price
	lost    uint64           // trades in gaps
	base    uint64           // the number where the client came in
}

// connect dials and resumes what it knows, or subscribes.
func (r *returner) connect() {
	r.t.Helper()
	proto := ProtocolJSON
	if r.binary {
		proto = ProtocolBinary
	}
	if r.c != nil {
		r.c.conn.Close()
	}
	if r.deflate {
		r.c = dialDeflate(r.t, r.g, proto)
	} else {
		r.c = dial(r.t, r.g, proto)
	}
	r.c.conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	options := fmt.Sprintf(`"depth":%d,"conflate_ms":%d,"policy":"%s"`, r.depth, r.ms, r.policy)
	if _, ok := r.last[btcTrades]; ok {
		r.c.send(`{"op":"resume","topics":{"%s":{"epoch":"%d","seq":%d}}}`, btcTrades, testEpoch, r.last[btcTrades])
	} else {
		r.c.send(`{"op":"subscribe","topics":["%s"]}`, btcTrades)
	}
	if r.resumed = r.known; r.known {
		r.c.send(`{"op":"resume","topics":{"%s":{"epoch":"%d","seq":%d}},%s}`, btcBook, testEpoch, r.last[btcBook], options)
	} else {
		r.c.send(`{"op":"subscribe","topics":["%s"],%s}`, btcBook, options)
	}
}

// step takes one message.
func (r *returner) step() {
	r.t.Helper()
	op, p, err := r.c.read()
	if r.policy == policies[policyClose] && (op == ws.OpClose || err != nil && !errors.Is(err, os.ErrDeadlineExceeded)) {
		r.connect() // it was too slow, as it wanted to be told
		return
	}
	if err != nil {
		r.t.Fatalf("depth %d, conflate_ms %d, last %v, best %d, book %s: %v", r.depth, r.ms, r.last, r.best(), r.book.State, err)
	}
	if op == ws.OpBinary {
		recs := make([]md.Record, len(p)/md.RecordSize)
		copy(md.AsBytes(recs), p)
		for i := range recs {
			r.record(&recs[i])
		}
		return
	}
	m := &answerMsg{}
	if err := json.Unmarshal(p, m); err != nil || op != ws.OpText {
		r.t.Fatalf("%v: %q: %v", op, p, err)
	}
	switch {
	case m.Op == "subscribed":
		for topic, at := range m.positions(r.t) {
			if own, ok := r.last[topic]; ok && own != at.Seq && (topic != btcBook || r.resumed) {
				r.t.Fatalf("resumed %s at %d, own number is %d", topic, at.Seq, own)
			}
			if _, ok := r.last[topic]; !ok && topic == btcTrades {
				r.base = at.Seq
			}
			r.last[topic] = at.Seq
		}
	case m.Type != "":
		r.message(m)
	case m.Op != "instruments":
		r.t.Fatalf("%s", p)
	}
}

func (r *returner) message(m *answerMsg) {
	r.t.Helper()
	if m.Prev > r.last[m.Topic] {
		r.t.Fatalf("missed without a word: %+v after %d", m, r.last[m.Topic])
	}
	switch {
	case m.Topic == btcTrades && m.Type == "gap":
		first, _ := strconv.ParseUint(m.First, 10, 64)
		r.gapOfTrades(first, m.Seq)
	case m.Topic == btcTrades:
		r.trade(m.Seq, m.Price)
	case m.Type == "gap":
		r.broken, r.known = true, false
	default:
		if m.Action == "snapshot" {
			r.bids, r.asks, r.broken, r.known = map[string]string{}, map[string]string{}, false, true
		}
		if r.broken || r.bids == nil {
			r.t.Fatalf("depth %d, conflate_ms %d: update of a book that is not known: %+v", r.depth, r.ms, m)
		}
		l := local{t: r.t, bids: r.bids, asks: r.asks, seq: m.Prev}
		m.Action = "update"
		l.apply(m)
	}
	r.last[m.Topic] = m.Seq
}

func (r *returner) record(rec *md.Record) {
	r.t.Helper()
	switch {
	case rec.Kind == md.KindHeartbeat:
	case rec.Kind == md.KindGap && rec.Channel() == md.ChannelTrades:
		r.gapOfTrades(rec.ID, rec.Seq)
		r.last[btcTrades] = rec.Seq
	case rec.Kind == md.KindTrade:
		r.trade(rec.Seq, md.Decimal{Mant: rec.Price, Exp: rec.PriceExp}.String())
		r.last[btcTrades] = rec.Seq
	default:
		was := r.book.State
		r.book.Apply(rec)
		if r.book.State == book.Broken && was != book.Broken && rec.Kind != md.KindGap {
			r.t.Fatalf("missed without a word: %+v", rec)
		}
		r.known = r.book.State == book.Live
		r.last[btcBook] = rec.Seq
	}
}

func (r *returner) trade(seq uint64, price string) {
	r.t.Helper()
	if seq != r.last[btcTrades]+1 {
		r.t.Fatalf("trade %d after %d", seq, r.last[btcTrades])
	}
	d, err := md.ParseDecimal([]byte(price))
	mant, ok := md.Rescale(d.Mant, d.Exp, -2)
	if err != nil || !ok {
		r.t.Fatalf("price %q", price)
	}
	r.trades[seq] = mant
}

func (r *returner) gapOfTrades(first, last uint64) {
	r.t.Helper()
	if first != r.last[btcTrades]+1 {
		r.t.Fatalf("gap %d to %d after %d", first, last, r.last[btcTrades])
	}
	r.lost += last - first + 1
}

// best is the size of the bid that is set last, in 10^-4.
func (r *returner) best() int64 {
	if r.binary {
		for i := range r.book.Book.Bids.Len() {
			if l := r.book.Book.Bids.At(i); r.book.State == book.Live && l.Price == 9999 {
				return l.Size
			}
		}
		return 0
	}
	d, _ := md.ParseDecimal([]byte(r.bids[md.Decimal{Mant: 9999, Exp: -2}.String()]))
	mant, _ := md.Rescale(d.Mant, d.Exp, -4)
	return mant
}

func (r *returner) check(s *source, prices map[uint64]int64) {
	r.t.Helper()
	if r.binary {
		r.bids, r.asks = map[string]string{}, map[string]string{}
		side := func(to map[string]string, from *book.Side) {
			for i := range from.Len() {
				l := from.At(i)
				to[md.Decimal{Mant: l.Price, Exp: r.book.Book.PriceExp}.String()] = md.Decimal{Mant: l.Size, Exp: r.book.Book.SizeExp}.String()
			}
		}
		side(r.bids, &r.book.Book.Bids)
		side(r.asks, &r.book.Book.Asks)
	}
	l := local{t: r.t, bids: r.bids, asks: r.asks}
	depth := r.depth
	if depth == 0 {
		depth = 100000
	}
	l.equals(s, btcBook, depth)
	if n := s.pub.TopicSeq(s.topics[btcTrades]); r.base+uint64(len(r.trades))+r.lost != n {
		r.t.Fatalf("%d before it came, %d trades and %d lost of %d", r.base, len(r.trades), r.lost, n)
	}
	for seq, price := range r.trades {
		if prices[seq] != price {
			r.t.Fatalf("trade %d: price %d, want %d", seq, price, prices[seq])
		}
	}
}

// feed does one random thing of an exchange.
func feed(s *source, rnd *rand.Rand, prices map[uint64]int64) {
	switch n := rnd.IntN(100); {
	case n < 60:
		var levels []level
		for range 1 + rnd.IntN(3) {
			levels = append(levels, level{md.SideBid, 9900 + rnd.Int64N(100), rnd.Int64N(3)},
				level{md.SideAsk, 10000 + rnd.Int64N(100), rnd.Int64N(3)})
		}
		s.levels(btcBook, levels...)
	case n < 97:
		var recs []md.Record
		from := s.pub.TopicSeq(s.topics[btcTrades])
		for i := range uint64(1 + rnd.IntN(3)) {
			p := 1 + rnd.Int64N(1000)
			prices[from+1+i] = p
			recs = append(recs, md.Record{Kind: md.KindTrade, Price: p, Size: 1, PriceExp: -2, SizeExp: -4, ID: from + i})
		}
		s.publish(btcTrades, recs...)
	case n < 98:
		s.pub.Gap(s.topics[btcTrades], md.GapSequence, 1, 5)
		s.turn()
	case n < 99:
		s.pub.Gap(s.topics[btcBook], md.GapChecksum, md.UnknownMissing, 5)
		s.turn()
		s.rebuild(btcBook, startBook...)
	default:
		s.rebuild(btcBook, startBook[1:6]...)
	}
}

// TestAnyInterleaving: whatever the order of updates, gaps, stalls, conflation and
// resumption, a client ends with the feed's book, and knows of every trade.
func TestAnyInterleaving(t *testing.T) {
	for seed := range uint64(12) {
		for _, binary := range []bool{false, true} {
			t.Run(fmt.Sprintf("seed %d binary %v", seed, binary), func(t *testing.T) { interleave(t, seed, binary) })
		}
	}
}

func interleave(t *testing.T, seed uint64, binary bool) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	s, g := startWith(t, Config{Deflate: true, Limits: Limits{QueueMessages: 32, HistoryRecords: 512, SlowTimeout: time.Minute}, Shards: 1,
		Options: nettune.Options{NoDelay: true, SndBuf: 4 << 10}}, 1<<(9+rnd.IntN(4)))
	prices := map[uint64]int64{}
	var all []*returner
	for _, o := range [][2]int{{0, 0}, {3, 0}, {0, 5}, {3, 5}} {
		r := &returner{t: t, g: g, binary: binary, depth: o[0], ms: o[1], policy: policies[rnd.IntN(int(numPolicies))], deflate: rnd.IntN(2) == 0, last: map[string]uint64{}, trades: map[uint64]int64{}}
		r.connect()
		all = append(all, r)
	}
	for range 30 {
		for range rnd.IntN(1 << rnd.IntN(9)) {
			feed(s, rnd, prices)
		}
		for _, r := range all {
			switch rnd.IntN(3) {
			case 0: // it stalls
			case 1:
				drain(r, rnd.IntN(200))
			case 2:
				r.c.conn.Close()
				r.connect()
			}
		}
	}
	s.levels(btcBook, level{md.SideBid, 9999, 777})
	trades := s.pub.TopicSeq(s.topics[btcTrades])
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // the feed's loop goes on while the clients read up
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
				s.turn()
			}
		}
	}()
	for _, r := range all {
		for r.best() != 777 || r.last[btcTrades] < trades {
			r.step()
		}
	}
	close(stop)
	<-stopped
	for _, r := range all {
		r.check(s, prices)
	}
}

// drain reads what has come, at most n messages.
func drain(r *returner, n int) {
	for range n {
		r.c.conn.SetReadDeadline(time.Now().Add(3 * time.Millisecond))
		if _, err := r.c.r.Peek(2); err != nil {
			return
		}
		r.step()
	}
}

// TestResumeFromHistory: what was missed and nothing else, in both formats.
func TestResumeFromHistory(t *testing.T) {
	s, g := start(t, Limits{}, 4096)
	for i := range uint64(5) {
		s.trade(btcTrades, i, 100)
	}
	s.levels(btcBook, level{1, 9999, 5}) // 1
	s.levels(btcBook, level{1, 9999, 6}) // 2
	eventually(t, "events", func() bool { return g.hubStats.events.Load() >= 7 })
	resume := func(topic string, seq uint64, proto string) *wsClient {
		c := dial(t, g, proto)
		c.send(`{"op":"resume","topics":{"%s":{"epoch":"%d","seq":%d}}}`, topic, testEpoch, seq)
		if at := c.want("subscribed", "").positions(t)[topic]; at.Seq != seq {
			t.Errorf("resumed at %d, want %d", at.Seq, seq)
		}
		return c
	}
	c := resume(btcTrades, 3, ProtocolJSON)
	for n := uint64(4); n <= 5; n++ {
		if m := c.want("trade", btcTrades); m.Seq != n || m.Prev != n-1 {
			t.Errorf("%+v", m)
		}
	}
	c.quiet()
	resume(btcTrades, 5, ProtocolJSON).quiet()
	if m := resume(btcBook, 1, ProtocolJSON).want("book", btcBook); m.Action != "update" || m.Seq != 2 || m.Bids[0][1] != "0.0006" {
		t.Errorf("%+v", m)
	}
	c = resume(btcTrades, 4, ProtocolBinary)
	c.want("instruments", "")
	for _, want := range []md.Kind{md.KindHeartbeat, md.KindTrade} {
		if op, p, err := c.read(); err != nil || op != ws.OpBinary || len(p) != md.RecordSize || md.Kind(p[0]) != want {
			t.Errorf("%v %x %v, want %s", op, p, err, want)
		}
	}
	if _, _, body := get(t, g, "/metrics"); !strings.Contains(body, `tickrelay_resumed_topics_total{outcome="history"} 3`) ||
		!strings.Contains(body, "tickrelay_history_bytes ") {
		t.Error("not counted")
	}
}

// TestResumeBeforeTheTopic: after the relay's own restart a client may be faster than
// the feeds.
func TestResumeBeforeTheTopic(t *testing.T) {
	tab := newTable(t)
	g := gateway(t, Config{Table: tab.View()})
	c := dial(t, g)
	c.send(`{"op":"resume","topics":{"%s":{"epoch":"%d","seq":3},"%s":{"epoch":"7","seq":3}}}`, btcTrades, testEpoch, btcBook)
	c.want("subscribed", "")
	s := newSource(t, tab, md.VenueBinance)
	s.add(md.VenueBinance, "BTC-USDT", md.ChannelTrades, md.ChannelBook)
	for i := range uint64(5) {
		s.trade(btcTrades, i, 100)
	}
	g.AddRing(s.ring(4096))
	s.rebuild(btcBook, startBook...)
	gaps := map[string]*answerMsg{}
	for len(gaps) < 2 {
		switch m := c.next(); {
		case m.Type == "gap":
			gaps[m.Topic] = m
		case m.Op != "topic":
			t.Fatalf("%+v", m)
		}
	}
	if m := gaps[btcTrades]; m.First != "4" || m.Seq != 5 || *m.Missed != 2 {
		t.Errorf("%+v", m)
	}
	if m := gaps[btcBook]; m.Missed != nil {
		t.Errorf("%+v", m)
	}
	if m := c.want("book", btcBook); m.Action != "snapshot" {
		t.Errorf("%+v", m)
	}
}

// TestResumeIsBounded: one request may not make the hub encode without end, and many at
// once are all served.
func TestResumeIsBounded(t *testing.T) {
	s, g := start(t, Limits{QueueBytes: 1 << 20, HistoryRecords: 16384}, 1<<14)
	const trades = 6000
	for i := range uint64(trades) {
		s.trade(btcTrades, i, 100)
	}
	eventually(t, "trades", func() bool { return g.hubStats.events.Load() >= trades })
	resume := func(seq int) *wsClient {
		c := dial(t, g)
		c.send(`{"op":"resume","topics":{"%s":{"epoch":"%d","seq":%d}}}`, btcTrades, testEpoch, seq)
		return c
	}
	c := resume(10)
	c.want("subscribed", "")
	if m := c.want("gap", btcTrades); m.First != "11" || m.Seq != trades {
		t.Errorf("%+v", m)
	}
	var all []*wsClient
	for i := range 40 {
		all = append(all, resume(trades-4000+i/2))
	}
	for i, c := range all {
		c.want("subscribed", "")
		for n := uint64(trades - 4000 + i/2 + 1); n <= trades; n++ {
			if m := c.want("trade", btcTrades); m.Seq != n || m.Prev != n-1 {
				t.Fatalf("client %d: %+v, want %d", i, m, n)
			}
		}
	}
	if n := g.hubStats.replayed.Load(); n == 0 || n > 40<<20 {
		t.Errorf("%d bytes encoded", n)
	}
}

// TestResumeWithPatterns: one request brings back what is named and whatever else its
// patterns select, now and later.
func TestResumeWithPatterns(t *testing.T) {
	s, g := start(t, Limits{}, 4096)
	s.trade(btcTrades, 1, 100)
	s.trade(btcTrades, 2, 101)
	s.levels(btcBook, level{1, 9999, 5})
	eventually(t, "events", func() bool { return g.hubStats.events.Load() >= 3 })
	c := dial(t, g)
	c.send(`{"op":"resume","topics":{"%s":{"epoch":"%d","seq":1}},"patterns":["*.trades.*","%s"],"depth":3}`, btcTrades, testEpoch, btcBook)
	at := c.want("subscribed", "").positions(t)
	if at[btcTrades].Seq != 1 || at[btcBook].Seq != 1 || at[btcBook].Epoch == "" {
		t.Fatalf("positions %v", at)
	}
	got := map[string]*answerMsg{}
	for range 2 {
		m := c.next()
		got[m.Topic] = m
	}
	if m := got[btcTrades]; m == nil || m.Seq != 2 || m.Prev != 1 {
		t.Errorf("trades: %+v", m)
	}
	if m := got[btcBook]; m == nil || m.Action != "snapshot" || len(m.Bids) > 3 {
		t.Errorf("book: %+v", m)
	}
	c.quiet()
	s.add(md.VenueBinance, "NEW-USDT", md.ChannelTrades)
	s.turn()
	s.trade("binance.trades.NEW-USDT", 1, 5)
	c.want("topic", "")
	c.want("trade", "binance.trades.NEW-USDT")
	for _, bad := range []string{`"patterns":[]`, `"patterns":5`, `"patterns":["a.raw.b"]`, `"patterns":["nowhere"]`} {
		c.send(`{"op":"resume","topics":{"%s":{"epoch":"1","seq":1}},%s}`, btcTrades, bad)
		if m := c.next(); m.Op != "error" {
			t.Errorf("%s: %+v", bad, m)
		}
	}
}
