package relay

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tickrelay/nettune"
	"tickrelay/ring/md"
)

// stalled is a gateway with small bounds and one client that does not read.
func stalled(t *testing.T, l Limits) (*source, *Gateway, *wsClient) {
	t.Helper()
	tab := newTable(t)
	s := newSource(t, tab, md.VenueBinance)
	s.add(md.VenueBinance, "BTC-USDT", md.ChannelBook, md.ChannelTrades, md.ChannelBBO)
	c := s.ring(1 << 14)
	s.rebuild(btcBook, startBook...)
	g := gateway(t, Config{Table: tab.View(), Limits: l, Shards: 1,
		Options: nettune.Options{NoDelay: true, SndBuf: 8 << 10, RcvBuf: 8 << 10}}, c)
	awaitTopics(t, g, 3)
	slow := dial(t, g)
	slow.send(`{"op":"subscribe","topics":[">"]}`)
	slow.want("subscribed", "")
	return s, g, slow
}

func TestSlowClient(t *testing.T) {
	s, g, slow := stalled(t, Limits{QueueMessages: 64, SlowTimeout: time.Minute})
	fast := dial(t, g)
	fast.send(`{"op":"subscribe","topics":["%s"]}`, btcTrades)
	fast.want("subscribed", "")

	// The slow client's socket fills, its queue overflows; the fast one gets all.
	seen := uint64(0)
	for i := 0; g.shards[0].stats.overflows.Load() < 20; i++ {
		if i > 200000 {
			t.Fatal("the queue never overflows")
		}
		s.trade(btcTrades, uint64(i), 100+int64(i%50))
		s.levels(btcBook, level{md.SideBid, 9000 + int64(i%500), int64(i%9 + 1)})
		s.quote(btcBBO, 9990+int64(i%9), 10010)
		if m := fast.want("trade", btcTrades); m.Prev != seen || m.Seq != seen+1 {
			t.Fatalf("fast client: %+v after %d", m, seen)
		}
		seen++
	}
	l := &local{t: t, bids: map[string]string{}, asks: map[string]string{}}
	var trades, missed, last, quote, conflated uint64
	wantBook, wantQuote := s.pub.TopicSeq(s.topics[btcBook]), s.pub.TopicSeq(s.topics[btcBBO])
	for last < seen || l.seq < wantBook || quote < wantQuote {
		m := slow.next()
		switch {
		case m.Topic == btcBook:
			if m.Action == "snapshot" && m.Seq > m.Prev || m.Action == "update" && m.Seq > m.Prev+1 {
				conflated++
			}
			l.apply(m)
		case m.Type == "trade":
			if m.Prev != last {
				t.Fatalf("trade %d has prev %d, last is %d", m.Seq, m.Prev, last)
			}
			trades++
			last = m.Seq
		case m.Type == "gap":
			first, _ := strconv.ParseUint(m.First, 10, 64)
			if first != last+1 || m.Prev != last || m.Seq != last+*m.Missed || m.Reason != "overrun" {
				t.Fatalf("gap %+v of %d after %d", m, *m.Missed, last)
			}
			missed += *m.Missed
			last = m.Seq
		case m.Type == "bbo":
			if m.Prev > quote {
				t.Fatalf("bbo: prev %d, own %d", m.Prev, quote)
			}
			quote = m.Seq
		}
	}
	l.equals(s, btcBook, 10000)
	if trades+missed != seen || missed == 0 || conflated == 0 {
		t.Errorf("%d trades, %d missed of %d; %d conflated snapshots", trades, missed, seen, conflated)
	}
	if n := g.shards[0].stats.dropped.Load(); n != missed {
		t.Errorf("%d dropped are counted, gaps tell of %d", n, missed)
	}
	// It is a good client again.
	s.trade(btcTrades, 1, 5)
	m := slow.next()
	for m.Type == "candle" { // they come in their own time
		m = slow.next()
	}
	if m.Type != "trade" || m.Prev != last {
		t.Errorf("%+v", m)
	}
}

// TestOverrunCountsLostGaps: a gap that a slow client was not sent counts in the gap that it
// is told: what it got and what it was told add up to all that there was.
func TestOverrunCountsLostGaps(t *testing.T) {
	const inGap = 7
	s, g, slow := stalled(t, Limits{QueueMessages: 64, SlowTimeout: time.Minute})
	published, numbers := uint64(0), uint64(0)
	trade := func() {
		published++
		numbers++
		s.trade(btcTrades, numbers, 100)
		for s.end.Depth() > 0 {
			time.Sleep(10 * time.Microsecond)
		}
	}
	until := func(overflows uint64) {
		for g.shards[0].stats.overflows.Load() < overflows {
			if trade(); numbers > 200_000 {
				t.Fatal("the queue never overflows")
			}
		}
	}
	until(1)
	for range 3 {
		s.pub.Gap(s.topics[btcTrades], md.GapSequence, inGap, 5)
		s.turn()
		published += inGap
		numbers++
		until(g.shards[0].stats.overflows.Load() + 2)
	}
	var told, last uint64
	for last < numbers {
		m := slow.next()
		switch {
		case m.Topic != btcTrades:
			continue
		case m.Type == "trade":
			told++
		case m.Missed == nil:
			t.Fatalf("%+v: the number is known", m)
		default:
			told += *m.Missed
		}
		last = m.Seq
	}
	if told != published {
		t.Errorf("%d trades came or were told missing, of %d", told, published)
	}
}

func TestSlowClientIsClosed(t *testing.T) {
	s, g, slow := stalled(t, Limits{QueueMessages: 16, SlowTimeout: 300 * time.Millisecond, CloseTimeout: 5 * time.Second})
	end := time.Now().Add(10 * time.Second)
	for i := 0; g.shards[0].stats.closed[closedSlow].Load() == 0; i++ {
		if time.Now().After(end) {
			t.Fatal("never closed")
		}
		for s.end.Depth() > 1000 {
			time.Sleep(time.Millisecond)
		}
		s.trade(btcTrades, uint64(i), 100)
	}
	code, reason := slow.closed()
	if code != ws.StatusPolicyViolation || !strings.Contains(reason, "slow consumer") {
		t.Errorf("closed with %d %q", code, reason)
	}
	if _, _, body := get(t, g, "/metrics"); !strings.Contains(body, `tickrelay_ws_closed_total{reason="slow"} 1`) {
		t.Error("not counted by reason")
	}
	eventually(t, "the hub forgets it", func() bool {
		n := -1
		g.http.inHub(func(h *hub) { n = len(h.clients) })
		return n == 0
	})
}

// TestGoneBeforeAnswered: whoever leaves before the hub has answered, or holds a pattern
// that matches nothing, is forgotten too.
func TestGoneBeforeAnswered(t *testing.T) {
	_, g := start(t, Limits{}, 4096)
	hold, held := make(chan struct{}), make(chan struct{})
	go g.http.inHub(func(*hub) { close(held); <-hold })
	<-held
	a, b := dial(t, g), dial(t, g)
	a.send(`{"op":"subscribe","topics":[">"]}`)
	b.send(`{"op":"subscribe","topics":["okx.>"]}`)
	eventually(t, "requests have come", func() bool {
		return g.shards[0].stats.requests[opSubscribe].Load()+g.shards[1].stats.requests[opSubscribe].Load() == 2
	})
	a.conn.Close()
	b.conn.Close()
	eventually(t, "connections are gone", func() bool { return g.connections() == 0 })
	close(hold)
	eventually(t, "the hub forgets them", func() bool {
		clients, patterns, subs := -1, -1, -1
		g.http.inHub(func(h *hub) {
			clients, patterns, subs = len(h.clients), len(h.patterns), h.byName[btcBook].streams[0].subscribers()
		})
		return clients == 0 && patterns == 0 && subs == 0
	})
}

func TestBinary(t *testing.T) {
	s, g := start(t, Limits{}, 1<<14)
	c := dial(t, g, ProtocolBinary)
	c.send(`{"op":"subscribe","id":1,"topics":[">"]}`)
	c.want("subscribed", "")
	if m := c.want("instruments", ""); m.Op != "instruments" {
		t.Fatalf("%+v", m)
	}
	records := func() []md.Record {
		t.Helper()
		op, p, err := c.read()
		if err != nil || op != ws.OpBinary {
			t.Fatalf("%v %q %v", op, p, err)
		}
		aligned := make([]md.Record, len(p)/md.RecordSize)
		copy(md.AsBytes(aligned), p)
		if len(aligned)*md.RecordSize != len(p) {
			t.Fatalf("%d bytes are no records", len(p))
		}
		return aligned
	}
	if r := records(); r[0].Kind != md.KindHeartbeat || r[0].ID != testEpoch {
		t.Fatalf("%+v", r)
	}
	snap := records()
	if len(snap) != 10 || snap[0].Side != md.SideClear || snap[9].Side != md.SideEnd || snap[0].Flags != md.FlagSnapshot|md.FlagFirst {
		t.Fatalf("%+v", snap)
	}
	s.levels(btcBook, level{md.SideAsk, 10010, 0}, level{md.SideBid, 10000, 8})
	up := records()
	if len(up) != 2 || up[0].Seq != 1 || up[1].Seq != 2 || up[1].Flags&md.FlagLast == 0 || up[1].Size != 8 {
		t.Fatalf("%+v", up)
	}
	// With depth every record has the event's last number and the first is marked.
	d := dial(t, g, ProtocolBinary)
	d.send(`{"op":"subscribe","topics":["%s"],"depth":1}`, btcBook)
	d.want("subscribed", "")
	d.want("instruments", "")
	c = d
	records()
	records()
	s.levels(btcBook, level{md.SideBid, 10001, 8}, level{md.SideBid, 9000, 8})
	up = records()
	if len(up) != 2 || up[0].Seq != 4 || up[1].Seq != 4 || up[0].Flags&md.FlagConflated == 0 || up[1].Flags&md.FlagConflated != 0 ||
		up[1].Flags&md.FlagLast == 0 {
		t.Fatalf("%+v", up)
	}
}
