package bus

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"tickrelay/ring/md"
)

func testConfig(url string) Config {
	return Config{URL: url, Lease: time.Second, Stream: Stream{Name: "history", Memory: true}}
}

func TestThereAndBack(t *testing.T) {
	srv := natsOne(t, nil)
	cfg := testConfig(srv.URL())
	src := newSource(t, 3, 1<<12)
	src.start()
	p, stop := src.publish(cfg)
	k := subscribe(t, cfg, 7)
	for range 50 {
		src.tick()
	}
	eventually(t, "the same book and quote", func() bool { return k.agrees(src) })
	for range 50 {
		src.tick()
	}
	eventually(t, "the same book and quote later", func() bool { return k.agrees(src) })
	if n, _ := k.lost(md.ChannelBook); n != 0 {
		t.Errorf("%d gaps without a loss", n)
	}
	in, _ := k.table.Get(7)
	if in.Native != "BTCUSDT" || in.PriceExp != -2 || in.Tick != (md.Decimal{Mant: 1, Exp: -2}) {
		t.Errorf("the instrument arrived as %+v", in)
	}
	if e := uint64(p.Stats().Epoch.Load()); e != k.epoch {
		t.Errorf("published under epoch %d, read %d", e, k.epoch)
	}
	stop()
	eventually(t, "silence is told", func() bool {
		stale := 0
		k.read(func() {
			for i := range k.gaps {
				if k.gaps[i].Flags&md.FlagSnapshot != 0 {
					stale++
				}
			}
		})
		return stale == 3
	})
}

// TestLossOnTheBus drops messages between the hosts: each loss has its gap, and
// the book comes back by a key-frame.
func TestLossOnTheBus(t *testing.T) {
	srv := natsOne(t, nil)
	cfg := testConfig(srv.URL())
	src := newSource(t, 0, 1<<12)
	src.start()
	src.publish(cfg)
	k := subscribe(t, cfg, 1)
	src.tick()
	eventually(t, "the first book", func() bool { return k.agrees(src) })
	v := k.s.byVenue[md.VenueBinance]
	skip := func(n int, then bool) { // the loop loses what comes while its patterns match nothing
		var had []md.Pattern
		_ = k.s.do(func() error { had, v.patterns = v.patterns, nil; return nil })
		for range n {
			src.tick()
		}
		sent := time.Now()
		eventually(t, "the messages have passed", func() bool {
			done := false
			_ = k.s.do(func() error { done = v.heard.After(sent) && len(k.s.in) == 0; return nil })
			return done
		})
		_ = k.s.do(func() error { v.patterns = had; return nil })
		if then {
			src.tick()
		}
		eventually(t, "the same book after a loss", func() bool { return k.agrees(src) })
	}
	skip(5, true)  // noticed by the next message
	skip(4, false) // noticed by a heartbeat
	for c, per := range map[md.Channel]uint64{md.ChannelTrades: 1, md.ChannelBook: 1, md.ChannelBBO: 2} {
		// A record that came before the key-frame was asked for may be counted with it.
		if gaps, n := k.lost(c); gaps != 2 || n != 9*per {
			t.Errorf("%s: %d gaps of %d numbers, want 2 of %d", c, gaps, n, 9*per)
		}
	}
}

// TestConnectionLost: messages that pass while a gateway is not connected are a
// gap, and numbers that are the same afterwards none.
func TestConnectionLost(t *testing.T) {
	srv := natsOne(t, nil)
	cfg := testConfig(srv.URL())
	src := newSource(t, 0, 1<<12)
	src.start()
	src.publish(cfg)
	k := subscribe(t, cfg, 1)
	src.tick()
	eventually(t, "the first book", func() bool { return k.agrees(src) })
	for range 3 {
		if err := k.s.nc.ForceReconnect(); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			src.tick()
		}
		eventually(t, "the same book after a reconnection", func() bool { return k.agrees(src) })
	}
}

// TestSlowBus stops NATS under a publisher: the feed goes on, what the ring
// cannot hold is a gap that the gateway gets with its numbers.
func TestSlowBus(t *testing.T) {
	srv := natsOne(t, nil)
	cfg := testConfig(srv.URL())
	src := newSource(t, 0, 256)
	src.start()
	p, _ := src.publish(cfg)
	k := subscribe(t, cfg, 1)
	src.tick()
	eventually(t, "the first book", func() bool { return k.agrees(src) })
	before := 0 // the first trade may have been sent before the gateway listened
	k.read(func() { before = k.trades })
	hold := make(chan struct{})
	p.mu.Lock() // the publisher's loop stands still at its next look at requests
	go func() { <-hold; p.mu.Unlock() }()
	began := time.Now()
	for range 1000 {
		src.tick()
	}
	if d := time.Since(began); d > 20*time.Second {
		t.Errorf("the feed took %s for 1000 events beside a bus that stands still", d)
	}
	close(hold)
	eventually(t, "the same book after an overrun", func() bool { return k.agrees(src) })
	gaps, n := k.lost(md.ChannelTrades)
	if gaps == 0 {
		t.Fatal("no gap for what the ring could not hold")
	}
	k.read(func() {
		trades := uint64(k.trades - before)
		if trades+n != 1000 {
			t.Errorf("%d trades and %d in gaps, published 1000", trades, n)
		}
		for _, g := range k.gaps {
			if g.Channel() == md.ChannelTrades && md.GapReason(g.Level) != md.GapOverrun {
				t.Errorf("reason %d", g.Level)
			}
		}
	})
}

// TestHistory: a gateway that starts late has what the stream holds.
func TestHistory(t *testing.T) {
	srv := natsOne(t, nil)
	cfg := testConfig(srv.URL())
	src := newSource(t, 0, 1<<12)
	src.start()
	p, _ := src.publish(cfg)
	eventually(t, "leading", func() bool { return p.Stats().Epoch.Load() != 0 })
	js, err := p.data.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stream", func() bool { _, err := js.StreamInfo("history"); return err == nil })
	for range 100 {
		src.tick()
	}
	eventually(t, "the stream has them", func() bool {
		i, err := js.StreamInfo("history", &nats.StreamInfoRequest{SubjectsFilter: "binance.trades.>"})
		return err == nil && i.State.Subjects["binance.trades."+testSymbol] > 0 && p.Stats().Records.Load() == 400
	})
	k := subscribe(t, cfg, 1)
	<-k.s.Warm()
	eventually(t, "all trades of the past", func() bool {
		n := 0
		k.read(func() { n = k.trades })
		return n == 100 && k.agrees(src)
	})
	src.tick()
	eventually(t, "and the next", func() bool { return k.agrees(src) })
	if gaps, _ := k.lost(md.ChannelTrades); gaps != 0 {
		t.Errorf("%d gaps between history and live", gaps)
	}
}
