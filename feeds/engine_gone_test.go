package feeds

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tickrelay/ring/md"
)

// TestEngineDelistedWhileFetching: the answer to a request for a book that left the
// catalogue meanwhile does not show that book as current; listed again it comes back.
func TestEngineDelistedWhileFetching(t *testing.T) {
	r := newEngineRig(t, Binance{}, func(c *EngineConfig) { c.Channels = []md.Channel{md.ChannelBook} })
	list := []md.Instrument{{Symbol: "BTC-USDT", Native: "BTCUSDT", Venue: md.VenueBinance, PriceExp: -2, SizeExp: -2}}
	r.eng.Catalogue(list)
	r.eng.Start()
	r.connect(0)
	r.frame(depth(90, 100, `["10.0","1"]`, ``))
	r.actions()
	r.eng.Catalogue([]md.Instrument{{Symbol: "ETH-USDT", Native: "ETHUSDT", Venue: md.VenueBinance}})
	r.snapshot(1, restBook(95, `["10.0","5"]`, `["11.0","2"]`), nil)
	r.tick(5 * time.Second)
	r.expect("no book")
	r.actions()
	r.eng.Catalogue(list)
	r.settle()
	r.actions()
	r.frame(depth(190, 200, `["10.0","1"]`, ``))
	r.expectActions("listed again", "fetch 2")
	r.snapshot(2, restBook(195, `["10.0","5"]`, `["11.0","2"]`), nil)
	r.expect("the book", "snapshot")
}

// TestEngineLaggingValues: a line that takes over and lags does not bring back what was
// true before: its values count from where the lost line's end.
func TestEngineLaggingValues(t *testing.T) {
	push := func(last, ms int) string {
		return fmt.Sprintf(`{"action":"snapshot","arg":{"instType":"SPOT","channel":"ticker","instId":"BTCUSDT"},"data":[{"instId":"BTCUSDT","lastPr":"%d","ts":"%d"}],"ts":%[2]d}`,
			last, 1700000000000+ms)
	}
	r := newEngineRig(t, Bitget{}, func(c *EngineConfig) { c.Channels = []md.Channel{md.ChannelTicker} })
	r.connect(0)
	r.connect(1)
	r.frameOn(0, push(10, 0))
	r.frameOn(1, push(10, 0))
	r.frameOn(0, push(11, 100))
	r.frameOn(0, push(12, 200))
	r.lines()
	r.disconnect(0)
	r.frameOn(1, push(11, 100))
	r.expect("of before")
	r.frameOn(1, push(12, 200))
	r.expect("known")
	r.frameOn(1, push(13, 300))
	r.expect("on", `"last":"13"`)
	if n := r.eng.Stats().Ignored[IgnoreStale].Load(); n != 1 {
		t.Errorf("%d ignored as older", n)
	}
}

// TestEngineMuteOwnerOfChanges: where a venue sends only what changed, a line that takes
// over from a silent owner brings all that changed meanwhile, not the last of it alone.
func TestEngineMuteOwnerOfChanges(t *testing.T) {
	push := func(kind, values string, ms int) string {
		return fmt.Sprintf(`{"topic":"tickers.BTCUSDT","type":%q,"data":{"symbol":"BTCUSDT",%s},"cs":1,"ts":%d}`, kind, values, 1700000000000+ms)
	}
	r := newEngineRig(t, Bybit{BybitLinear}, func(c *EngineConfig) {
		c.Channels, c.Instruments = []md.Channel{md.ChannelTicker}, []string{"BTC-USDT-PERP"}
	})
	r.connect(0)
	r.connect(1)
	for line := range 2 {
		r.frameOn(line, push("snapshot", `"lastPrice":"10","highPrice24h":"20","lowPrice24h":"5"`, 0))
	}
	r.lines()
	r.now += int64(2 * time.Second)
	r.frameOn(1, push("delta", `"highPrice24h":"21"`, 2000))
	r.frameOn(1, push("delta", `"lowPrice24h":"4"`, 2001))
	r.frameOn(1, push("delta", `"lastPrice":"11"`, 2002))
	r.expect("all of it", `"high":"21" "low":"4"`, `"last":"11"`)
	r.frameOn(1, push("delta", `"lastPrice":"12"`, 2003))
	r.expect("on", `"last":"12"`)
}

// TestEngineLimitedBooksWait: a book that waits for the limit of requests wakes nobody
// before the limit allows one, and is asked for then.
func TestEngineLimitedBooksWait(t *testing.T) {
	r := newEngineRig(t, Binance{}, func(c *EngineConfig) {
		c.Channels, c.Instruments = []md.Channel{md.ChannelBook}, []string{"BTC-USDT", "ETH-USDT"}
	})
	r.connect(0)
	r.actions()
	r.frame(depth(90, 100, `["10.0","1"]`, ``))
	r.frame(strings.Replace(depth(90, 100, `["10.0","1"]`, ``), "BTC", "ETH", 1))
	r.expectActions("one of both", "fetch 1 symbol=BTCUSDT")
	r.eng.Tick(r.now)
	at := r.eng.NextTick()
	if d := time.Duration(at - r.now); d < 50*time.Millisecond {
		t.Errorf("looks again after %v", d)
	}
	r.now = at
	r.eng.Tick(r.now)
	r.settle()
	r.expectActions("the other one", "fetch 2 symbol=ETHUSDT")
}

// TestEnginePartOfCatalogue: while one of the venue's lists could not be read, what the
// configuration names of it is subscribed and stays so; once it is there it counts.
func TestEnginePartOfCatalogue(t *testing.T) {
	list := func(names ...string) (all []md.Instrument) {
		for _, n := range names {
			all = append(all, md.Instrument{Symbol: n + "-USDT", Native: n + "USDT", Venue: md.VenueBinance})
		}
		return all
	}
	for _, started := range []bool{false, true} {
		r := newEngineRig(t, Binance{}, func(c *EngineConfig) {
			c.Channels, c.Instruments = []md.Channel{md.ChannelTrades}, []string{"BTC-USDT", "ETH-USDT"}
		})
		if started {
			r.eng.Start()
			r.connect(0)
			r.frame(tradeFrame(7, "10", "1"))
			r.lines()
		}
		r.eng.takeCatalogue(list("ETH"), false)
		if !started {
			r.eng.Start()
			r.connect(0)
		}
		if a := strings.Join(r.actions(), " "); !strings.Contains(a, "btcusdt@trade") || strings.Contains(a, "UNSUBSCRIBE") {
			t.Fatalf("started %v: did %s", started, a)
		}
		r.frame(tradeFrame(8, "10", "1"))
		r.expect("goes on", `"id":"8"`)
		r.eng.Catalogue(list("ETH", "BTC"))
		r.frame(tradeFrame(9, "10", "1"))
		r.expect("listed", `"id":"9"`)
		r.expectActions("nothing to do")
		r.eng.takeCatalogue(list("ETH"), false)
		r.settle()
		r.expect("delisted: it was whole before", `gap "venue"`)
	}
}
