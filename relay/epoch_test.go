package relay

import (
	"strconv"
	"testing"
	"time"

	"tickrelay/nettune"
	"tickrelay/ring/md"
)

// TestSlowClientNewEpoch: what a slow client was not sent of an epoch that is over is told
// before the topic's new position, in the old numbers; what it is not sent of the new one
// in the new numbers. That the feeds' instrument table is another one makes no difference.
func TestSlowClientNewEpoch(t *testing.T) {
	for name, id := range map[string]uint64{"same table": 7, "another table": 8} {
		t.Run(name, func(t *testing.T) { slowOverEpochs(t, id) })
	}
}

func slowOverEpochs(t *testing.T, tableID uint64) {
	dir, tab := t.TempDir(), newTable(t)
	now := tab.View()
	g := gateway(t, Config{Table: tab.View(), OpenTable: func() (*md.TableView, error) { return now, nil },
		Limits: Limits{QueueMessages: 64, SlowTimeout: time.Minute}, Shards: 1,
		Options: nettune.Options{NoDelay: true, SndBuf: 8 << 10, RcvBuf: 8 << 10}})
	g.AddRingPath(dir, "gateway")
	s := newSource(t, tab, md.VenueBinance)
	s.add(md.VenueBinance, "BTC-USDT", md.ChannelBook, md.ChannelTrades, md.ChannelBBO)
	seg := s.shmRing(dir, 7)
	s.rebuild(btcBook, startBook...)
	s.await(g, 1)
	awaitTopics(t, g, 3)
	slow := dial(t, g)
	slow.send(`{"op":"subscribe","topics":[">"]}`)
	slow.want("subscribed", "")
	slow.send(`{"op":"subscribe","id":2,"topics":["%s"],"policy":"drop"}`, btcBook)
	for m := slow.next(); m.Op != "subscribed"; {
		m = slow.next()
	}
	n := 0
	flood := func(s *source) {
		until := g.shards[0].stats.overflows.Load() + 4
		for ; g.shards[0].stats.overflows.Load() < until; n++ {
			if n > 400_000 {
				t.Fatal("the queue never overflows")
			}
			events := g.hubStats.events.Load()
			s.trade(btcTrades, uint64(n), 100+int64(n%50))
			s.levels(btcBook, level{md.SideBid, 9000 + int64(n%500), int64(n%9 + 1)})
			s.quote(btcBBO, 9990+int64(n%9), 10010)
			for g.hubStats.events.Load() < events+3 {
				s.turn()
				time.Sleep(10 * time.Microsecond)
			}
		}
	}
	flood(s)
	seg.Close()
	again := s.again(testEpoch + 1)
	if tableID != 7 {
		other, err := md.CreateTable(make([]byte, md.TableSize(16)), 16, tableID)
		if err != nil {
			t.Fatal(err)
		}
		again.table, now = other, other.View()
	}
	again.add(md.VenueBinance, "BTC-USDT", md.ChannelBook, md.ChannelTrades, md.ChannelBBO)
	again.rebuild(btcBook, startBook...)
	seg = again.shmRing(dir, tableID)
	defer seg.Close()
	again.await(g, 2)
	flood(again)

	last, gaps, epoch := map[string]uint64{}, map[string]int{}, map[string]string{}
	next := strconv.Itoa(testEpoch + 1)
	var l *local // the book, while it is whole
	done := func() bool {
		if l == nil || epoch[btcBook] != next || epoch[btcTrades] != next || epoch[btcBBO] != next {
			return false
		}
		for _, topic := range []string{btcTrades, btcBook, btcBBO} {
			if last[topic] < again.pub.TopicSeq(again.topics[topic]) {
				return false
			}
		}
		return true
	}
	for !done() {
		m := slow.next()
		switch {
		case m.Op == "topic":
			for topic, p := range m.positions(t) {
				last[topic], epoch[topic] = p.Seq, p.Epoch
			}
			continue
		case m.Topic != btcTrades && m.Topic != btcBook && m.Topic != btcBBO:
			continue
		case m.Prev > last[m.Topic] && (m.Reason == "overrun" || m.Type != "gap") || m.Type == "trade" && m.Prev != last[m.Topic] || m.Seq < last[m.Topic]:
			t.Fatalf("%+v after %d in epoch %q", m, last[m.Topic], epoch[m.Topic])
		case m.Type == "gap":
			if first, _ := strconv.ParseUint(m.First, 10, 64); m.Reason == "overrun" && first != last[m.Topic]+1 {
				t.Fatalf("gap from %s after %d", m.First, last[m.Topic])
			}
			gaps[m.Topic+" "+epoch[m.Topic]+" "+m.Reason]++
			if m.Topic == btcBook {
				l = nil // until the next snapshot
			}
		case m.Type == "book":
			if m.Action == "snapshot" {
				l = &local{t: t, seq: m.Prev}
			}
			if l != nil {
				l.apply(m)
			}
		}
		last[m.Topic] = m.Seq
	}
	l.equals(again, btcBook, 10000)
	for _, topic := range []string{btcTrades, btcBook} {
		if gaps[topic+" "+next+" overrun"] == 0 || gaps[topic+"  overrun"]+gaps[btcBook+" "+next+" disconnect"] == 0 || gaps[btcTrades+"  overrun"] == 0 {
			t.Errorf("%s: a gap is missing: %v", topic, gaps)
		}
	}
}

// TestGapAfterSwallowedChanges: changes of a book that is not whole reach nobody; the gap
// after them covers their numbers.
func TestGapAfterSwallowedChanges(t *testing.T) {
	s, g := start(t, Limits{}, 4096)
	c := dial(t, g)
	c.send(`{"op":"subscribe","topics":["%s"]}`, btcBook)
	c.want("subscribed", "")
	c.want("book", btcBook)
	s.pub.Gap(s.topics[btcBook], md.GapChecksum, md.UnknownMissing, 5)
	s.turn()
	first := c.want("gap", btcBook)
	s.levels(btcBook, level{md.SideBid, 9995, 7})
	s.pub.Gap(s.topics[btcBook], md.GapSequence, 2, 5)
	s.turn()
	m := c.want("gap", btcBook)
	if at, _ := strconv.ParseUint(m.First, 10, 64); at != first.Seq+1 || m.Prev != first.Seq || m.Seq != s.pub.TopicSeq(s.topics[btcBook]) || *m.Missed != 3 {
		t.Errorf("%+v (%d missed) after %d", m, *m.Missed, first.Seq)
	}
}
