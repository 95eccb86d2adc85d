package relay

import (
	"testing"
	"time"

	"tickrelay/nettune"
	"tickrelay/ring/md"
)

const (
	btcBook   = "binance.book.BTC-USDT"
	btcTrades = "binance.trades.BTC-USDT"
	btcBBO    = "binance.bbo.BTC-USDT"
)

var startBook = []level{
	{md.SideBid, 10000, 1}, {md.SideBid, 9990, 2}, {md.SideBid, 9980, 3}, {md.SideBid, 9970, 4},
	{md.SideAsk, 10010, 1}, {md.SideAsk, 10020, 2}, {md.SideAsk, 10030, 3}, {md.SideAsk, 10040, 4},
}

// start is a gateway on one ring with a live book, trades and bbo of one instrument.
func start(t testing.TB, limits Limits, capacity int) (*source, *Gateway) {
	t.Helper()
	return startWith(t, Config{Limits: limits, Shards: 2, Options: nettune.Options{NoDelay: true, SndBuf: 64 << 10}}, capacity)
}

// startWith is start with more to say.
func startWith(t testing.TB, cfg Config, capacity int) (*source, *Gateway) {
	t.Helper()
	tab := newTable(t)
	s := newSource(t, tab, md.VenueBinance)
	s.add(md.VenueBinance, "BTC-USDT", md.ChannelBook, md.ChannelTrades, md.ChannelBBO)
	c := s.ring(capacity)
	s.rebuild(btcBook, startBook...)
	cfg.Table = tab.View()
	g := gateway(t, cfg, c)
	awaitTopics(t, g, 3)
	eventually(t, "book is live", func() bool {
		code, _, _ := get(t, g, "/api/v1/book/binance/BTC-USDT")
		return code == 200
	})
	return s, g
}

// local is a client's book, kept by the rules of the protocol.
type local struct {
	t          testing.TB
	bids, asks map[string]string
	seq        uint64
}

func (l *local) apply(m *answerMsg) {
	l.t.Helper()
	if m.Prev > l.seq {
		l.t.Fatalf("missed: prev %d, own %d", m.Prev, l.seq)
	}
	if m.Action == "snapshot" {
		l.bids, l.asks = map[string]string{}, map[string]string{}
	}
	l.seq = m.Seq
	set := func(side map[string]string, levels [][2]string) {
		for _, v := range levels {
			if v[1] == "0" {
				delete(side, v[0])
				continue
			}
			side[v[0]] = v[1]
		}
	}
	set(l.bids, m.Bids)
	set(l.asks, m.Asks)
}

// equals compares with the best depth levels of the source's book.
func (l *local) equals(s *source, topic string, depth int) {
	l.t.Helper()
	b := s.books[topic]
	n := min(depth, b.Bids.Len())
	if len(l.bids) != n {
		l.t.Fatalf("%d bids, want %d: %v", len(l.bids), n, l.bids)
	}
	for i := range n {
		v := b.Bids.At(i)
		if got := l.bids[md.Decimal{Mant: v.Price, Exp: -2}.String()]; got != (md.Decimal{Mant: v.Size, Exp: -4}).String() {
			l.t.Fatalf("bid %d: size %q in %v, want %d", v.Price, got, l.bids, v.Size)
		}
	}
	n = min(depth, b.Asks.Len())
	if len(l.asks) != n {
		l.t.Fatalf("%d asks, want %d: %v", len(l.asks), n, l.asks)
	}
	for i := range n {
		v := b.Asks.At(i)
		if got := l.asks[md.Decimal{Mant: v.Price, Exp: -2}.String()]; got != (md.Decimal{Mant: v.Size, Exp: -4}).String() {
			l.t.Fatalf("ask %d: size %q in %v, want %d", v.Price, got, l.asks, v.Size)
		}
	}
}

func TestSnapshotThenUpdates(t *testing.T) {
	s, g := start(t, Limits{}, 4096)
	s.levels(btcBook, level{md.SideBid, 9995, 7}) // seq 1
	c := dial(t, g, ProtocolJSON)
	c.send(`{"op":"subscribe","id":"a","topics":["%s"]}`, btcBook)
	sub := c.want("subscribed", "")
	if string(sub.ID) != `"a"` {
		t.Errorf("id %s", sub.ID)
	}
	l := &local{t: t, seq: sub.positions(t)[btcBook].Seq}
	first := c.want("book", btcBook)
	if first.Action != "snapshot" {
		t.Fatalf("first is %+v", first)
	}
	l.apply(first)
	for l.seq < 1 { // the hub took the subscription before the record
		l.apply(c.want("book", btcBook))
	}
	l.equals(s, btcBook, 1000)
	for i := range int64(50) {
		s.levels(btcBook, level{md.SideBid, 9000 + i, i + 1}, level{md.SideAsk, 10010 + i%4*10, i % 3})
		m := c.want("book", btcBook)
		if m.Prev != l.seq || m.Seq != l.seq+2 || m.Action != "update" {
			t.Fatalf("after %d: %+v", l.seq, m)
		}
		l.apply(m)
	}
	l.equals(s, btcBook, 1000)
}

func TestSubscribeUnderLoad(t *testing.T) {
	s, g := start(t, Limits{}, 1<<16)
	stop, done := make(chan struct{}), make(chan int64)
	go func() {
		i := int64(0)
		for ; ; i++ {
			select {
			case <-stop:
				done <- i
				return
			default:
				for s.end.Depth() > 1<<13 {
					time.Sleep(time.Millisecond)
				}
				s.levels(btcBook, level{md.SideBid, 9000 + i%300, i%7 + 1}, level{md.SideAsk, 10100 + i%300, i % 5})
			}
		}
	}()
	var readers []*local
	var clients []*wsClient
	for range 8 {
		c := dial(t, g)
		c.send(`{"op":"subscribe","topics":["%s"]}`, btcBook)
		l := &local{t: t, seq: c.want("subscribed", "").positions(t)[btcBook].Seq}
		for range 20 {
			m := c.want("book", btcBook)
			if l.bids != nil && m.Prev != l.seq || l.bids == nil && m.Action != "snapshot" {
				t.Fatalf("prev %d after %d, action %s", m.Prev, l.seq, m.Action)
			}
			l.apply(m)
		}
		readers, clients = append(readers, l), append(clients, c)
	}
	close(stop)
	<-done
	last := s.pub.TopicSeq(s.topics[btcBook])
	for i, c := range clients {
		for readers[i].seq < last {
			readers[i].apply(c.want("book", btcBook))
		}
		readers[i].equals(s, btcBook, 10000)
	}
}

func TestDepthWindow(t *testing.T) {
	s, g := start(t, Limits{}, 1<<14)
	c := dial(t, g)
	c.send(`{"op":"subscribe","id":1,"topics":["binance.book.*"],"depth":2}`)
	l := &local{t: t, seq: c.want("subscribed", "").positions(t)[btcBook].Seq}
	l.apply(c.want("book", btcBook))
	l.equals(s, btcBook, 2)
	steps := []struct {
		levels []level
		silent bool
	}{
		{[]level{{md.SideBid, 9970, 9}}, true},                           // outside
		{[]level{{md.SideBid, 10000, 0}}, false},                         // best goes, the third enters
		{[]level{{md.SideBid, 10005, 5}, {md.SideAsk, 10008, 1}}, false}, // both enter in front
		{[]level{{md.SideAsk, 10040, 0}}, true},
		{[]level{{md.SideAsk, 10008, 2}}, false},
	}
	for i, st := range steps {
		s.levels(btcBook, st.levels...)
		if st.silent {
			c.quiet()
			continue
		}
		m := c.want("book", btcBook)
		if m.Seq != s.pub.TopicSeq(s.topics[btcBook]) {
			t.Errorf("step %d: seq %d", i, m.Seq)
		}
		l.apply(m)
		l.equals(s, btcBook, 2)
	}
}

func TestConflation(t *testing.T) {
	s, g := start(t, Limits{}, 1<<14)
	for _, depth := range []int{0, 3} {
		c := dial(t, g)
		c.send(`{"op":"subscribe","topics":["%s"],"conflate_ms":100,"depth":%d}`, btcBook, depth)
		l := &local{t: t, seq: c.want("subscribed", "").positions(t)[btcBook].Seq}
		l.apply(c.want("book", btcBook))
		for i := range int64(200) {
			s.levels(btcBook, level{md.SideBid, 10000, i + 5}, level{md.SideAsk, 10010, i + 6})
		}
		n := 0
		for last := s.pub.TopicSeq(s.topics[btcBook]); l.seq < last; n++ {
			l.apply(c.want("book", btcBook))
		}
		if n > 20 {
			t.Errorf("depth %d: %d messages for 200 events", depth, n)
		}
		if depth == 0 {
			depth = 1000
		}
		l.equals(s, btcBook, depth)
	}
}

func TestLaterTopicAndUnsubscribe(t *testing.T) {
	s, g := start(t, Limits{}, 4096)
	c := dial(t, g)
	c.send(`{"op":"subscribe","id":1,"topics":["*.trades.*"]}`)
	if p := c.want("subscribed", "").positions(t); len(p) != 1 || p[btcTrades].Epoch != "1763842100123456789" {
		t.Fatalf("positions %v", p)
	}
	s.add(md.VenueBinance, "ETH-USDT", md.ChannelTrades)
	s.turn()
	const eth = "binance.trades.ETH-USDT"
	s.trade(eth, 1, 300000)
	if p := c.want("topic", "").positions(t); p[eth].Epoch == "" || p[eth].Seq != 0 {
		t.Fatalf("topic: %v", p)
	}
	if m := c.want("trade", eth); m.Seq != 1 || m.Prev != 0 || m.Price != "3000" {
		t.Fatalf("%+v", m)
	}
	c.send(`{"op":"unsubscribe","id":2,"topics":["%s"]}`, eth)
	if m := c.want("unsubscribed", ""); string(m.Topics) != `["`+eth+`"]` {
		t.Fatalf("%s", m.Topics)
	}
	s.trade(eth, 2, 300000)
	s.trade(btcTrades, 3, 6412345)
	if m := c.want("trade", btcTrades); m.Price != "64123.45" {
		t.Fatalf("%+v", m)
	}
	c.send(`{"op":"unsubscribe","topics":[">"]}`)
	c.want("unsubscribed", "")
	s.trade(btcTrades, 4, 6412345)
	c.quiet()
}

func TestList(t *testing.T) {
	s, g := start(t, Limits{}, 4096)
	s.trade(btcTrades, 1, 1)
	c := dial(t, g)
	eventually(t, "trade counted", func() bool { return g.hubStats.events.Load() > 0 })
	c.send(`{"op":"list","id":7}`)
	m := c.want("list", "")
	p := m.positions(t)
	if len(p) != 5 || // candles are made of the trades
		p[btcTrades].Seq != 1 || string(m.ID) != "7" {
		t.Fatalf("%v", p)
	}
}

func TestGapAndRebuild(t *testing.T) {
	s, g := start(t, Limits{}, 4096)
	c := dial(t, g)
	c.send(`{"op":"subscribe","topics":["%s"]}`, btcBook)
	l := &local{t: t, seq: c.want("subscribed", "").positions(t)[btcBook].Seq}
	l.apply(c.want("book", btcBook))
	s.pub.Gap(s.topics[btcBook], md.GapChecksum, md.UnknownMissing, 5)
	s.turn()
	m := c.want("gap", btcBook)
	if m.Reason != "checksum" || m.Seq != l.seq+1 {
		t.Fatalf("%+v", m)
	}
	// Who comes while the book is broken gets the gap, then waits.
	late := dial(t, g)
	late.send(`{"op":"subscribe","topics":["%s"],"depth":1}`, btcBook)
	late.want("subscribed", "")
	if m := late.want("gap", btcBook); m.Reason != "checksum" {
		t.Fatalf("%+v", m)
	}
	l.seq = m.Seq
	s.rebuild(btcBook, startBook[1:6]...)
	l.apply(c.want("book", btcBook))
	l.equals(s, btcBook, 100)
	ll := &local{t: t, seq: m.Seq}
	ll.apply(late.want("book", btcBook))
	ll.equals(s, btcBook, 1)
}
