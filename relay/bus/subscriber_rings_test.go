package bus

import (
	"testing"
	"time"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// strategyRing is a strategy's ring at a gateway host and what was read of it.
type strategyRing struct {
	t    *testing.T
	seg  *ring.Segment
	c    *ring.Consumer
	recs []md.Record
}

// strategy makes a ring that carries what want accepts.
func (k *sink) strategy(capacity int, want func(uint32, md.Channel) bool) *strategyRing {
	k.t.Helper()
	r := &strategyRing{t: k.t, seg: ring.NewHeap(capacity, ring.Meta{Name: "strategy"})}
	if _, err := k.s.Attach(md.VenueBinance, r.seg, want); err != nil {
		k.t.Fatal(err)
	}
	var err error
	if r.c, err = ring.OpenConsumer(r.seg); err != nil {
		k.t.Fatal(err)
	}
	return r
}

// read takes what there is; false at the ring's end.
func (r *strategyRing) read() bool {
	buf := make([]md.Record, 256)
	for {
		n, err := r.c.Poll(buf)
		r.recs = append(r.recs, buf[:n]...)
		if err != nil || n == 0 {
			return err == nil
		}
	}
}

// numbered are a channel's live records.
func (r *strategyRing) numbered(c md.Channel) (out []md.Record) {
	r.read()
	for _, x := range r.recs {
		if x.Channel() == c && !x.Kind.Control() && x.Flags&md.FlagSnapshot == 0 {
			out = append(out, x)
		}
	}
	return out
}

func tradesOnly(_ uint32, c md.Channel) bool { return c == md.ChannelTrades }

// TestStrategysRing: rings of strategies carry what comes over the bus, under the
// origin's epoch and numbers; nothing of the history, for which a small one that
// nobody reads does not make the gateway wait.
func TestStrategysRing(t *testing.T) {
	cfg := testConfig(natsOne(t, nil).URL())
	src := newSource(t, 3, 1<<12)
	src.start()
	p, _ := src.publish(cfg)
	eventually(t, "a leader", func() bool { return p.Stats().Epoch.Load() != 0 })
	for range 50 {
		src.tick()
	}
	eventually(t, "the history", func() bool { return p.Stats().Records.Load() >= 200 })
	k := newSink(t, cfg, 7)
	early := k.strategy(1024, nil)   // before Run
	still := k.strategy(1024, nil)   // is never read
	other := k.strategy(1024, never) // selects later
	began := time.Now()
	k.run()
	<-k.s.Warm()
	if d := time.Since(began); d > patience/4 {
		t.Errorf("the history took %s", d)
	}
	eventually(t, "the gateway has it", func() bool { return k.agrees(src) })
	k.read(func() {
		if k.trades < 50 {
			t.Errorf("the gateway got %d trades of the history", k.trades)
		}
	})
	late := k.strategy(1024, tradesOnly)
	if err := k.s.Select(md.VenueBinance, other.seg, tradesOnly); err != nil {
		t.Fatal(err)
	}
	told := func(r *strategyRing) bool { // where the topic is
		r.read()
		for _, x := range r.recs {
			if x.Kind == md.KindHeartbeat && x.Channel() == md.ChannelTrades && x.Seq == 50 {
				return true
			}
		}
		return false
	}
	for _, r := range []*strategyRing{early, other, late} {
		eventually(t, "the topic's number", func() bool { return told(r) })
	}
	for range 10 {
		src.tick()
	}
	for name, r := range map[string]*strategyRing{"before Run": early, "selected later": other, "after Run": late} {
		eventually(t, "live trades", func() bool { return len(r.numbered(md.ChannelTrades)) >= 10 })
		for i, x := range r.numbered(md.ChannelTrades) {
			if want := uint64(51 + i); x.Seq != want || x.ID != want {
				t.Fatalf("%s: trade %d has number %d and id %d, want %d", name, i, x.Seq, x.ID, want)
			}
		}
		if got, want := r.c.Epoch(), p.Stats().Epoch.Load(); got != want {
			t.Errorf("%s: epoch %d, the origin's is %d", name, got, want)
		}
	}
	if n := len(late.numbered(md.ChannelBook)); n != 0 {
		t.Errorf("%d records of a book that was not wanted", n)
	}
	topic := md.Topic{Venue: md.VenueBinance, Channel: md.ChannelTrades, Symbol: testSymbol}
	if !k.s.Serves(topic) || len(k.s.Topics(md.VenueBinance)) != 3 {
		t.Errorf("topics %v", k.s.Topics(md.VenueBinance))
	}
	topic.Symbol = "NO-SUCH"
	eventually(t, "a topic that nobody has is known not to be", func() bool { return !k.s.Serves(topic) })
	k.s.Detach(md.VenueBinance, early.seg)
	if early.read() {
		t.Error("the ring goes on after Detach")
	}
	k.stop()
	if still.read() || late.read() {
		t.Error("rings go on after the subscriber's end")
	}
	if _, err := k.s.Attach(md.VenueBinance, ring.NewHeap(1024, ring.Meta{}), nil); err == nil {
		t.Error("attached after the end")
	}
}

func never(uint32, md.Channel) bool { return false }
