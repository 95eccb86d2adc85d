package relay

import (
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tickrelay/ring/md"
)

// overflow publishes until a queue has reached its bounds, and goes on a little.
func overflow(t *testing.T, s *source, g *Gateway) {
	t.Helper()
	end := time.Now().Add(20 * time.Second)
	for i, more := 0, 200; more > 0; i++ {
		if g.shards[0].stats.overflows.Load() > 0 {
			more--
		}
		if time.Now().After(end) {
			t.Fatal("the queue never overflows")
		}
		for s.end.Depth() > 1000 {
			time.Sleep(time.Millisecond)
			s.turn()
		}
		s.levels(btcBook, level{md.SideBid, 9000 + int64(i%500), int64(i%9 + 1)})
		s.quote(btcBBO, 9990+int64(i%9), 10010)
	}
}

// TestPolicyDrop: every number of a book is either in a message or in a gap, and after a
// gap comes the newest state.
func TestPolicyDrop(t *testing.T) {
	s, g, c := stalled(t, Limits{QueueMessages: 64, SlowTimeout: time.Minute})
	c.send(`{"op":"subscribe","topics":["%s","%s"],"policy":"drop"}`, btcBook, btcBBO)
	c.send(`{"op":"unsubscribe","topics":["%s"]}`, btcTrades)
	eventually(t, "the hub has both requests", func() bool {
		n := 0
		g.http.inHub(func(h *hub) {
			for _, k := range h.clients {
				n = len(k.policies) - k.streams.len()
			}
		})
		return n == 0
	})
	overflow(t, s, g)
	book := &local{t: t, bids: map[string]string{}, asks: map[string]string{}}
	wantBook, wantQuote := s.pub.TopicSeq(s.topics[btcBook]), s.pub.TopicSeq(s.topics[btcBBO])
	last := map[string]uint64{}
	broken := map[string]bool{}
	var dropped uint64
	for last[btcBook] < wantBook || last[btcBBO] < wantQuote || broken[btcBook] || broken[btcBBO] {
		m := c.next()
		own, known := last[m.Topic]
		switch {
		case m.Op != "":
			continue
		case m.Type == "gap":
			if m.Prev != own || m.Seq != own+*m.Missed || m.Reason != "overrun" {
				t.Fatalf("gap %+v of %d after %d", m, *m.Missed, own)
			}
			dropped += *m.Missed
			broken[m.Topic] = true
			if m.Topic == btcBook {
				book.seq = m.Seq
			}
		case broken[m.Topic] && m.Prev == own && (m.Topic == btcBBO || m.Action == "snapshot"):
			broken[m.Topic] = false
		case broken[m.Topic] || known && m.Prev > own || m.Action == "snapshot" && m.Seq > m.Prev:
			t.Fatalf("%+v after %d, broken %v", m, own, broken[m.Topic])
		}
		if m.Topic == btcBook && m.Type == "book" {
			book.apply(m)
		}
		last[m.Topic] = m.Seq
	}
	book.equals(s, btcBook, 10000)
	if n := g.shards[0].stats.dropped.Load(); n != dropped || n == 0 {
		t.Errorf("%d dropped are counted, gaps tell of %d", n, dropped)
	}
	if n := g.shards[0].stats.conflated.Load(); n != 0 {
		t.Errorf("%d messages conflated in silence", n)
	}
}

// TestPolicyClose: a subscription that may miss nothing ends its connection instead; its
// reason is counted, and others on the gateway stay.
func TestPolicyClose(t *testing.T) {
	for _, topic := range []string{btcBook, btcTrades} {
		t.Run(topic, func(t *testing.T) {
			s, g, c := stalled(t, Limits{QueueMessages: 64, SlowTimeout: time.Minute, CloseTimeout: 10 * time.Second})
			other := dial(t, g)
			other.send(`{"op":"subscribe","topics":["%s"]}`, btcTrades)
			other.want("subscribed", "")
			c.send(`{"op":"subscribe","topics":["%s"],"policy":"close"}`, topic)
			for i := 0; g.shards[0].stats.closed[closedPolicy].Load() == 0; i++ {
				if i > 200000 {
					t.Fatal("never closed")
				}
				s.trade(btcTrades, uint64(i), 100)
				s.levels(btcBook, level{md.SideBid, 9000 + int64(i%500), int64(i%9 + 1)})
				other.want("trade", btcTrades)
			}
			code, reason := c.closed()
			if code != ws.StatusPolicyViolation || !strings.Contains(reason, "policy is close: "+topic) {
				t.Errorf("closed with %d %q", code, reason)
			}
			s.trade(btcTrades, 1, 5)
			other.want("trade", btcTrades)
			if _, _, body := get(t, g, "/metrics"); !strings.Contains(body, `tickrelay_ws_closed_total{reason="slow_policy"} 1`) {
				t.Error("not counted by reason")
			}
		})
	}
}

func TestPolicyIsRead(t *testing.T) {
	s, g := start(t, Limits{}, 4096)
	c := dial(t, g)
	for _, p := range []string{`"never"`, `1`, `""`} {
		c.send(`{"op":"subscribe","topics":["%s"],"policy":%s}`, btcBook, p)
		if m := c.next(); m.Code != codeOption || !strings.Contains(m.Message, "policy") {
			t.Errorf("policy %s: %+v", p, m)
		}
	}
	// Streams are shared whatever the policies.
	c.send(`{"op":"subscribe","topics":["%s"],"policy":"close"}`, btcBook)
	c.want("subscribed", "")
	c.want("book", btcBook)
	n := 0
	g.http.inHub(func(h *hub) { n = len(h.byName[btcBook].streams) })
	if n != 1 {
		t.Errorf("%d streams of one topic", n)
	}
	s.levels(btcBook, level{md.SideBid, 9999, 5})
	c.want("book", btcBook)
}

// TestStalledAmongMany: stalled clients are conflated or closed, each counted by its
// reason, what waits for them is bounded, and nobody else misses or waits for anything.
func TestStalledAmongMany(t *testing.T) {
	const stuck, good = 20, 180
	s, g, first := stalled(t, Limits{QueueMessages: 32, SlowTimeout: time.Second, CloseTimeout: 500 * time.Millisecond})
	slow := []*wsClient{first}
	for len(slow) < stuck {
		c := dial(t, g)
		p := policies[len(slow)%int(numPolicies)]
		c.send(`{"op":"subscribe","topics":[">"],"policy":"%s"}`, p)
		c.want("subscribed", "")
		slow = append(slow, c)
	}
	done := make(chan uint64, good)
	for range good {
		c := dial(t, g)
		c.send(`{"op":"subscribe","topics":["%s"]}`, btcTrades)
		c.want("subscribed", "")
		go func() {
			n := uint64(0)
			for final := false; !final; {
				op, p, err := c.read()
				if err != nil || op != ws.OpText || !strings.Contains(string(p), `"type":"trade"`) {
					break
				}
				n++
				final = strings.Contains(string(p), `"id":"424242"`)
			}
			done <- n
		}()
	}
	// Enough for the sockets of the stalled: their buffers are of a few ten KiB.
	closed := func() uint64 {
		return g.shards[0].stats.closed[closedSlow].Load() + g.shards[0].stats.closed[closedPolicy].Load()
	}
	want := uint64(1)
	end := time.Now().Add(60 * time.Second)
	for i := 0; closed() < stuck; i++ {
		if time.Now().After(end) {
			t.Fatalf("%d of %d closed", closed(), stuck)
		}
		for range 50 {
			s.levels(btcBook, level{md.SideBid, 9000 + int64(i%500), int64(i%9 + 1)}, level{md.SideBid, 8000 + int64(i%500), int64(i%9 + 1)})
		}
		if i%10 == 0 {
			want++
			s.trade(btcTrades, uint64(i), 100)
		}
		time.Sleep(2 * time.Millisecond)
	}
	s.trade(btcTrades, 424242, 100)
	for range good {
		if n := <-done; n != want {
			t.Fatalf("a client that reads has %d of %d trades", n, want)
		}
	}
	if g.shards[0].stats.closed[closedPolicy].Load() == 0 || g.shards[0].stats.closed[closedSlow].Load() == 0 {
		t.Error("not both reasons")
	}
	if n := g.connections(); n > good+stuck {
		t.Errorf("%d connections", n)
	}
}
