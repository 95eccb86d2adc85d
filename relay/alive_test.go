package relay

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tickrelay/ring/md"
)

func TestAlive(t *testing.T) {
	tab := newTable(t)
	var other atomic.Bool // a loop besides the gateway's hangs
	g := gateway(t, Config{Table: tab.View(), Shards: 2, Alive: func(context.Context) error {
		if other.Load() {
			return errors.New("feed x does not respond")
		}
		return nil
	}})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for g.shards[0].turns.Load() == 0 || g.shards[1].turns.Load() == 0 || g.hub.turns.Load() == 0 {
		time.Sleep(time.Millisecond) // loops begin
		g.shards[0].poller.Wake()
		g.shards[1].poller.Wake()
		if ctx.Err() != nil {
			t.Fatal("the loops do not begin")
		}
	}
	if err := g.Alive(ctx); err != nil {
		t.Error(err)
	}
	// A hub that is held in a request hangs until it is let go.
	hold, held := make(chan struct{}), make(chan struct{})
	g.hub.inbox.put(request{op: requestCall, call: func(*hub) { close(held); <-hold }})
	<-held
	short, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	defer stop()
	if err := g.Alive(short); err == nil || !strings.Contains(err.Error(), "hub does not respond") {
		t.Errorf("a hub that hangs: %v", err)
	}
	if code, _, body := get(t, g, "/healthz"); code != 503 || !strings.Contains(body, "hub does not respond") {
		t.Errorf("/healthz of a hub that hangs: %d %s", code, body)
	}
	close(hold)
	if err := g.Alive(ctx); err != nil {
		t.Error(err)
	}
	other.Store(true)
	if code, _, body := get(t, g, "/healthz"); code != 503 || body != "feed x does not respond\n" {
		t.Errorf("/healthz of a feed that hangs: %d %s", code, body)
	}
}

// TestDeliverSeconds: what is sent at once is timed, by venue and channel; what waits
// on purpose is not.
func TestDeliverSeconds(t *testing.T) {
	tab := newTable(t)
	s := newSource(t, tab, md.VenueBinance)
	s.add(md.VenueBinance, "BTC-USDT", md.ChannelTrades, md.ChannelBBO)
	g := gateway(t, Config{Table: tab.View()}, s.ring(4096))
	awaitTopics(t, g, 2)
	c := dial(t, g)
	c.send(`{"op":"subscribe","id":1,"topics":["binance.trades.BTC-USDT"]}`)
	c.send(`{"op":"subscribe","id":2,"topics":["binance.bbo.BTC-USDT"],"conflate_ms":1}`)
	for range 2 {
		if m := c.next(); m.Op != "subscribed" {
			t.Fatalf("%+v", m)
		}
	}
	for i := range uint64(5) {
		s.trade("binance.trades.BTC-USDT", i+1, 100)
		c.want("trade", "binance.trades.BTC-USDT")
	}
	s.quote("binance.bbo.BTC-USDT", 99, 101)
	c.want("bbo", "binance.bbo.BTC-USDT")
	want := `tickrelay_deliver_seconds_count{channel="trades",venue="binance"} 5` + "\n"
	eventually(t, want, func() bool { _, _, body := get(t, g, "/metrics"); return strings.Contains(body, want) })
	if _, _, body := get(t, g, "/metrics"); strings.Contains(body, `deliver_seconds_count{channel="bbo"`) {
		t.Error("a conflated stream is timed")
	}
}

func TestLatencyBuckets(t *testing.T) {
	var l latency
	for _, c := range []struct {
		ns     int64
		bucket int
	}{{0, 0}, {1, 0}, {1000, 0}, {1001, 1}, {2000, 1}, {2001, 2}, {1000 << 25, 25}, {1000<<25 + 1000, latencyBuckets}, {1 << 62, latencyBuckets}} {
		before := l.buckets[c.bucket].Load()
		l.record(c.ns)
		if l.buckets[c.bucket].Load() != before+1 {
			t.Errorf("%d ns is not in bucket %d", c.ns, c.bucket)
		}
	}
	if l.record(-1); l.negative.Load() != 1 {
		t.Error("a negative time is not counted as such")
	}
}
