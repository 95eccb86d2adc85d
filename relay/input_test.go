package relay

import (
	"context"
	"strings"
	"testing"
	"time"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// shmRing makes a ring in shared memory for the source, as a relay does.
func (s *source) shmRing(dir string, table uint64) *ring.Segment {
	s.t.Helper()
	seg, err := ring.CreateShm(dir, "gateway", 4096, ring.Meta{TableID: table}, ring.Perm{})
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.pub.Attach(seg, nil); err != nil {
		s.t.Fatal(err)
	}
	return seg
}

// await turns the source's loop until the gateway has so many rings open.
func (s *source) await(g *Gateway, opened uint64) {
	s.t.Helper()
	eventually(s.t, "ring opened", func() bool {
		s.turn()
		return g.hubStats.ringsOpened.Load() >= opened
	})
	for range 20 { // the session starts by the producer's loop
		s.turn()
		time.Sleep(5 * time.Millisecond)
	}
}

// TestRingByPath: clients see that a producer is gone and that it is back, in the same
// epoch, in a new one, and with another instrument table.
func TestRingByPath(t *testing.T) {
	dir, tab := t.TempDir(), newTable(t)
	now := tab.View()
	g := gateway(t, Config{Table: tab.View(), OpenTable: func() (*md.TableView, error) { return now, nil }})
	g.AddRingPath(dir, "gateway")
	eventually(t, "the ring is missed", func() bool { return g.hubStats.ringsDown.Load() == 1 })
	if code, _, body := get(t, g, "/readyz"); code != 503 || !strings.Contains(body, "1 rings are not there") {
		t.Errorf("%d %s", code, body)
	}
	s := newSource(t, tab, md.VenueBinance)
	s.add(md.VenueBinance, "BTC-USDT", md.ChannelBook, md.ChannelTrades)
	seg := s.shmRing(dir, 7)
	s.rebuild(btcBook, startBook...)
	s.await(g, 1)
	c := dial(t, g)
	c.send(`{"op":"subscribe","topics":["%s"],"depth":2}`, btcBook)
	c.want("subscribed", "")
	c.want("book", btcBook)
	c.send(`{"op":"subscribe","topics":["*.trades.*"]}`)
	c.want("subscribed", "")
	s.trade(btcTrades, 1, 100)
	c.want("trade", btcTrades)

	both := func(kind string) map[string]*answerMsg {
		t.Helper()
		got := map[string]*answerMsg{}
		for range 2 {
			m := c.next()
			if m.Op+m.Type != kind {
				t.Fatalf("got %+v, want %s", m, kind)
			}
			got[m.Topic] = m
		}
		return got
	}
	// The producer ends, goes on elsewhere, and is back.
	seg.Close()
	gaps := both("gap")
	if m := gaps[btcTrades]; m == nil || m.Missed != nil || m.Seq != 1 || m.Prev != 1 || m.First != "2" || m.Reason != "disconnect" {
		t.Fatalf("%+v", gaps)
	}
	if code, _, _ := get(t, g, "/api/v1/book/binance/BTC-USDT"); code != 503 {
		t.Errorf("book of a lost ring: %d", code)
	}
	again := s.again(testEpoch)
	again.add(md.VenueBinance, "BTC-USDT", md.ChannelBook, md.ChannelTrades)
	for i := range uint64(3) {
		again.trade(btcTrades, i, 100)
	}
	again.rebuild(btcBook, startBook[1:7]...)
	seg = again.shmRing(dir, 7)
	again.await(g, 2)
	if m := c.want("gap", btcTrades); m.First != "2" || m.Seq != 3 || *m.Missed != 2 {
		t.Fatalf("%+v", m)
	}
	l := &local{t: t}
	l.apply(c.want("book", btcBook))
	l.equals(again, btcBook, 2)

	// A new epoch and another instrument table, in which the instrument has another number.
	seg.Close()
	both("gap")
	tab2, err := md.CreateTable(make([]byte, md.TableSize(16)), 16, 8)
	if err != nil {
		t.Fatal(err)
	}
	fresh := s.again(testEpoch + 1)
	fresh.table = tab2
	fresh.add(md.VenueBinance, "AAA-USDT", md.ChannelTrades)
	fresh.add(md.VenueBinance, "BTC-USDT", md.ChannelBook, md.ChannelTrades)
	fresh.rebuild(btcBook, startBook...)
	now = tab2.View()
	seg = fresh.shmRing(dir, 8)
	defer seg.Close()
	fresh.await(g, 3)
	fresh.trade(btcTrades, 1, 200)
	told := map[string]bool{}
	for !told["trade"+btcTrades] || !told["book"+btcBook] {
		m := c.next()
		told[m.Op+m.Type+m.Topic] = true
		if m.Topic == btcBook && m.Type == "book" {
			l.seq = m.Prev
			l.apply(m)
			l.equals(fresh, btcBook, 2)
		}
		if m.Type == "trade" && m.Price != "2" {
			t.Errorf("%+v", m)
		}
	}
	if !told["topic"] || !told["gap"+btcBook] || !told["gap"+btcTrades] {
		t.Errorf("told only %v", told)
	}
	if _, _, body := get(t, g, "/api/v1/instruments"); !strings.Contains(body, "AAA-USDT") {
		t.Errorf("instruments of the old table: %s", body)
	}
}

// again is the venue's feed in a process started anew.
func (s *source) again(epoch int64) *source {
	n := newSource(s.t, s.table, md.VenueBinance)
	n.pub = ring.NewPublisher(ring.PublisherConfig{Venue: md.VenueBinance, Epoch: epoch,
		Now: func() int64 { return time.Now().UnixNano() }})
	return n
}

// TestCloseWithoutRun: nothing stays open, and a second life is refused.
func TestCloseWithoutRun(t *testing.T) {
	tab := newTable(t)
	before := openFiles()
	g, err := New(Config{Table: tab.View(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	s := newSource(t, tab, md.VenueBinance)
	s.add(md.VenueBinance, "BTC-USDT", md.ChannelTrades)
	seg := ring.NewHeap(1024, ring.Meta{Name: "test"})
	if _, err := s.pub.Attach(seg, nil); err != nil {
		t.Fatal(err)
	}
	c, err := ring.OpenConsumer(seg)
	if err != nil {
		t.Fatal(err)
	}
	g.AddRing(c)
	g.Close()
	g.Close()
	if n := openFiles(); n > before {
		t.Errorf("%d descriptors open, %d before", n, before)
	}
	if c, err := ring.OpenConsumer(seg); err != nil {
		t.Errorf("the ring was not given back: %v", err)
	} else {
		c.Close()
	}
	if err := g.Run(context.Background()); err == nil {
		t.Error("Run after Close")
	}
}
