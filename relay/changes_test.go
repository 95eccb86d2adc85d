package relay

import (
	"testing"
	"time"
)

// overflowN publishes until the shard has counted n more overflows or closings.
func overflowN(t *testing.T, s *source, g *Gateway, n uint64) {
	t.Helper()
	count := func() (n uint64) {
		n = g.shards[0].stats.overflows.Load()
		for i := range g.shards[0].stats.closed {
			n += 1000 * g.shards[0].stats.closed[i].Load()
		}
		return n
	}
	from := count()
	end := time.Now().Add(20 * time.Second)
	for i := 0; count() < from+n; i++ {
		if time.Now().After(end) {
			t.Fatal("the queue never overflows")
		}
		for s.end.Depth() > 1000 {
			time.Sleep(time.Millisecond)
		}
		s.levels(btcBook, level{1, 9000 + int64(i%500), int64(i%9 + 1)}, level{1, 9000 + int64((i+250)%500), 0})
		s.trade(btcTrades, uint64(i), 100)
	}
}

// TestConflatedPerLevel: a slow reader of a large book gets the levels that changed, the
// deleted ones too, and not the whole book again.
func TestConflatedPerLevel(t *testing.T) {
	s, g, slow := stalled(t, Limits{QueueMessages: 64, SlowTimeout: time.Minute})
	var levels []level
	for i := range int64(3000) {
		levels = append(levels, level{1, 9999 - i, 7}, level{2, 10001 + i, 7})
	}
	s.rebuild(btcBook, levels...)
	l := &local{t: t, bids: map[string]string{}, asks: map[string]string{}}
	s.levels(btcBook, level{1, 9999, 5})
	for len(l.asks) < 3000 || l.seq == 0 {
		if m := slow.next(); m.Topic == btcBook {
			l.apply(m)
		}
	}
	overflowN(t, s, g, 3)
	end := s.pub.TopicSeq(s.topics[btcBook])
	merged := 0
	for l.seq < end {
		m := slow.next()
		if m.Topic != btcBook {
			continue
		}
		if m.Action == "snapshot" {
			t.Fatalf("a snapshot of %d levels at %d", len(m.Bids)+len(m.Asks), m.Seq)
		}
		if m.Seq > l.seq+2 {
			merged++
		}
		l.apply(m)
	}
	l.equals(s, btcBook, 10000)
	if merged == 0 {
		t.Error("nothing was conflated")
	}
}

// TestSnapshotLeftOut: who was never sent the book is not sent what changed in it.
func TestSnapshotLeftOut(t *testing.T) {
	s, g, slow := stalled(t, Limits{QueueMessages: 64, SlowTimeout: time.Minute})
	slow.send(`{"op":"unsubscribe","topics":["%s"]}`, btcBook)
	eventually(t, "the request", func() bool { return g.shards[0].stats.requests[opUnsubscribe].Load() == 1 })
	overflowN(t, s, g, 2)
	slow.send(`{"op":"subscribe","topics":["%s"]}`, btcBook)
	eventually(t, "the request", func() bool { return g.shards[0].stats.requests[opSubscribe].Load() == 2 })
	overflowN(t, s, g, 3)
	l := &local{t: t, bids: map[string]string{}, asks: map[string]string{}}
	end := s.pub.TopicSeq(s.topics[btcBook])
	for again := false; l.seq < end || !again; {
		m := slow.next()
		if again = again || m.Op == "subscribed"; !again || m.Topic != btcBook {
			continue
		}
		if len(l.bids) == 0 && m.Action != "snapshot" {
			t.Fatalf("the first message is %+v", m)
		}
		l.seq = max(l.seq, m.Prev)
		l.apply(m)
	}
	l.equals(s, btcBook, 10000)
}
