package relay

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// TestSeveralRings reads a heap ring and one in shared memory. Each event follows an
// idle moment, so that every one of them has to wake the hub.
func TestSeveralRings(t *testing.T) {
	tab := newTable(t)
	a, b := newSource(t, tab, md.VenueBinance), newSource(t, tab, md.VenueOKX)
	a.add(md.VenueBinance, "BTC-USDT", md.ChannelTrades)
	b.add(md.VenueOKX, "BTC-USDT", md.ChannelTrades)
	dir := t.TempDir()
	seg, err := ring.CreateShm(dir, "okx", 1024, ring.Meta{}, ring.Perm{})
	if err != nil {
		t.Fatal(err)
	}
	defer seg.Close()
	if _, err := b.pub.Attach(seg, nil); err != nil {
		t.Fatal(err)
	}
	shm, err := ring.Open(dir, "okx")
	if err != nil {
		t.Fatal(err)
	}
	g := gateway(t, Config{Table: tab.View()}, a.ring(1024), shm)
	b.turn()
	awaitTopics(t, g, 2)
	c := dial(t, g)
	c.send(`{"op":"subscribe","topics":["*.trades.>"]}`)
	c.want("subscribed", "")
	const okx = "okx.trades.BTC-USDT"
	worst := time.Duration(0)
	for i := range uint64(30) {
		time.Sleep(time.Duration(i%7) * 3 * time.Millisecond)
		s, topic := a, btcTrades
		if i%3 == 0 {
			s, topic = b, okx
		}
		began := time.Now()
		s.trade(topic, i, 100)
		c.want("trade", topic)
		worst = max(worst, time.Since(began))
	}
	if worst > ringNap/2 {
		t.Errorf("an event took %s: a wake was missed", worst)
	}
}

// TestNewEpoch replaces a feed by one that starts anew, with its own ring.
func TestNewEpoch(t *testing.T) {
	s, g := start(t, Limits{}, 4096)
	c := dial(t, g)
	c.send(`{"op":"subscribe","topics":["%s"]}`, btcBook)
	c.want("subscribed", "")
	c.want("book", btcBook)
	s.levels(btcBook, level{md.SideBid, 9995, 7})
	c.want("book", btcBook)

	again := newSource(t, s.table, md.VenueBinance)
	again.pub = ring.NewPublisher(ring.PublisherConfig{Venue: md.VenueBinance, Epoch: testEpoch + 1})
	again.add(md.VenueBinance, "BTC-USDT", md.ChannelBook)
	end := again.ring(4096)
	again.rebuild(btcBook, startBook[2:7]...)
	g.AddRing(end)
	if m := c.want("gap", btcBook); m.Reason != "disconnect" || m.Missed != nil {
		t.Fatalf("%+v: what the old epoch still had is not known", m)
	}
	if p := c.want("topic", "").positions(t)[btcBook]; p.Epoch != "1763842100123456790" || p.Seq != 0 {
		t.Fatalf("position %+v", p)
	}
	l := &local{t: t}
	l.apply(c.want("book", btcBook))
	l.equals(again, btcBook, 100)
	again.levels(btcBook, level{md.SideBid, 9995, 7})
	l.apply(c.want("book", btcBook))
	l.equals(again, btcBook, 100)
}

// TestOneEventManyMessages: JSON has one message per trade, binary one per event.
func TestOneEventManyMessages(t *testing.T) {
	s, g := start(t, Limits{}, 4096)
	s.add(md.VenueBinance, "BTC-USDT-PERP", md.ChannelFunding)
	s.turn()
	const funding = "binance.funding.BTC-USDT-PERP"
	rate := func(level uint8, mant int64) md.Record {
		return md.Record{Kind: md.KindFunding, Price: mant, PriceExp: -6, Size: 0, ID: testEpoch, Level: level, Count: 28800}
	}
	s.publish(funding, rate(1, 100), rate(2, 110))
	eventually(t, "the hub has it", func() bool { return g.hubStats.events.Load() > 0 })
	c := dial(t, g)
	c.send(`{"op":"subscribe","topics":["%s","%s"]}`, btcTrades, funding)
	c.want("subscribed", "")
	for range 2 { // the last values, one message each
		if m := c.want("funding", funding); m.Seq != 2 {
			t.Errorf("%+v", m)
		}
	}
	trade := func(id uint64) md.Record {
		return md.Record{Kind: md.KindTrade, Price: 100, Size: 1, ID: id, Side: 1, PriceExp: -2, SizeExp: -4}
	}
	s.publish(btcTrades, trade(1), trade(2), trade(3))
	for i := range uint64(3) {
		if m := c.want("trade", btcTrades); m.Seq != i+1 || m.Prev != i {
			t.Errorf("%+v", m)
		}
	}
}

// TestInstrumentChange: binary readers get the new entry before records that use it.
func TestInstrumentChange(t *testing.T) {
	s, g := start(t, Limits{}, 4096)
	c := dial(t, g, ProtocolBinary)
	c.send(`{"op":"subscribe","topics":["%s"]}`, btcTrades)
	c.want("subscribed", "")
	c.want("instruments", "")
	if op, _, err := c.read(); op != ws.OpBinary || err != nil {
		t.Fatal(op, err)
	}
	in, err := s.table.Update(s.ids[btcTrades], func(in *md.Instrument) { in.PriceExp = -3 })
	if err != nil {
		t.Fatal(err)
	}
	s.pub.InstrumentChanged(in.ID, in.Record())
	s.publish(btcTrades, md.Record{Kind: md.KindTrade, Price: 100001, Size: 1, ID: 1, Side: 1, PriceExp: -3, SizeExp: -4})
	if m := c.want("instruments", ""); m.Op != "instruments" {
		t.Fatalf("%+v", m)
	}
	if op, p, err := c.read(); op != ws.OpBinary || err != nil || len(p) != md.RecordSize {
		t.Fatal(op, len(p), err)
	}
}

// TestOverrun: a gateway that is itself too slow for its ring tells so.
func TestOverrun(t *testing.T) {
	s, g := start(t, Limits{}, 256)
	c := dial(t, g)
	c.send(`{"op":"subscribe","topics":["%s","%s"]}`, btcTrades, btcBook)
	c.want("subscribed", "")
	l := &local{t: t}
	l.apply(c.want("book", btcBook))
	hold, held := make(chan struct{}), make(chan struct{})
	go g.http.inHub(func(*hub) { close(held); <-hold })
	<-held
	for i := range uint64(400) {
		s.trade(btcTrades, i, 100)
		s.levels(btcBook, level{md.SideBid, 9000 + int64(i), 1})
	}
	close(hold)
	seen, gaps, broken := uint64(0), 0, false
	// The feed's loop goes on by itself while the client waits.
	coming := make(chan *answerMsg)
	go func() {
		defer close(coming)
		for {
			_, p, err := c.read()
			m := &answerMsg{}
			if err != nil || json.Unmarshal(p, m) != nil {
				return
			}
			coming <- m
		}
	}()
	for seen < 400 || l.seq < 400 || broken {
		var m *answerMsg
		for m == nil {
			s.turn()
			select {
			case got, ok := <-coming:
				if !ok {
					t.Fatalf("nothing comes any more: %d trades, book at %d", seen, l.seq)
				}
				m = got
			case <-time.After(5 * time.Millisecond):
			}
		}
		switch {
		case m.Type == "gap" && m.Topic == btcTrades:
			gaps++
			if m.Prev != seen || m.Reason != "overrun" {
				t.Fatalf("%+v after %d", m, seen)
			}
			seen = m.Seq
		case m.Type == "trade":
			if m.Prev != seen {
				t.Fatalf("%+v after %d", m, seen)
			}
			seen = m.Seq
		case m.Type == "gap":
			l.seq, broken = m.Seq, true
		default:
			l.apply(m)
			broken = false
		}
	}
	if gaps == 0 {
		t.Error("no gap")
	}
	l.equals(s, btcBook, 1000)
}
