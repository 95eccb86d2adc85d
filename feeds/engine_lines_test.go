package feeds

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tickrelay/ring/md"
)

// TestEngineTwoLines: ids merge trades, quotes and books of both lines; what
// one loses the other fills, and losing one loses nothing.
func TestEngineTwoLines(t *testing.T) {
	r := liveBinance(t)
	r.connect(1)
	r.frameOn(1, tradeFrame(8, "10", "1"))
	r.frameOn(0, tradeFrame(8, "10", "1"))
	r.frameOn(0, tradeFrame(9, "10", "1"))
	r.frameOn(1, tradeFrame(9, "10", "1"))
	r.expect("merged", `"id":"8"`, `"id":"9"`)
	r.frameOn(1, tradeFrame(12, "10", "1"))
	r.frameOn(0, tradeFrame(10, "10", "1"))
	r.frameOn(0, tradeFrame(11, "10", "1"))
	r.frameOn(0, tradeFrame(12, "10", "1"))
	r.expect("a line that is ahead loses nothing", `"id":"10"`, `"id":"11"`, `"id":"12"`)
	r.frameOn(1, quoteFrame(103, "10", "12"))
	r.frameOn(0, quoteFrame(102, "10", "13"))
	r.frameOn(0, quoteFrame(103, "10", "12"))
	r.expect("newest", `bbo "ask":["12","2"]`)
	r.frameOn(1, depth(101, 101, `["9.5","1"]`, ``))
	r.frameOn(0, depth(101, 101, `["9.5","1"]`, ``))
	r.frameOn(0, depth(103, 103, `["9.4","1"]`, ``))
	r.expect("first arrival", `"update" ["9.5","1"]`)
	r.frameOn(1, depth(102, 102, `["9.3","1"]`, ``))
	r.expect("a hole filled from the other line", `"update" ["9.3","1"]`, `"update" ["9.4","1"]`)
	r.actions()
	r.disconnect(0)
	r.expect("nothing depended on it")
	r.frameOn(1, depth(104, 104, `["9.5","2"]`, ``))
	r.frameOn(1, tradeFrame(13, "10", "1"))
	r.expect("nothing is missing", `"update" ["9.5","2"]`, `"id":"13"`)
	r.expectActions("nothing to repair")
	if n := r.eng.Stats().Gaps[md.GapSequence].Load() + r.eng.Stats().Gaps[md.GapDisconnect].Load(); n != 0 {
		t.Errorf("%d gaps", n)
	}
}

// TestEngineHoleNobodyFills: both lines lost the same; the wait ends and the
// loss is told.
func TestEngineHoleNobodyFills(t *testing.T) {
	r := liveBinance(t)
	r.connect(1)
	r.actions()
	r.frameOn(1, tradeFrame(8, "10", "1"))
	r.frameOn(1, depth(101, 101, `["9.5","1"]`, ``))
	r.lines()
	r.frameOn(0, tradeFrame(11, "10", "1"))
	r.frameOn(1, tradeFrame(12, "10", "1"))
	r.frameOn(0, depth(103, 103, `["9.4","1"]`, ``))
	r.expect("waiting")
	r.tick(time.Second)
	r.expect("told", `gap "missed":2 "sequence"`, `"id":"11"`, `"id":"12"`, `gap binance.book "sequence"`)
	r.tick(3 * time.Second)
	r.expectActions("book", "fetch 2")
}

// TestEngineRandomLosses: two lines lose frames of their own, at random and out
// of step; what at least one brought is published once, in order, without a gap.
func TestEngineRandomLosses(t *testing.T) {
	for seed := range 50 {
		r := liveBinance(t)
		r.connect(1)
		rng := randomOf(uint64(seed))
		at := [2]int{8, 8}
		r.frameOn(1, tradeFrame(7, "10", "1")) // both bring the topic
		r.frameOn(1, depth(100, 100, `["9.5","1"]`, ``))
		lost := map[int]bool{}
		for at[0] < 200 || at[1] < 200 {
			line := rng.IntN(2)
			if at[line]-at[1-line] > 5 || at[line] >= 200 {
				line = 1 - line
			}
			id := at[line]
			at[line]++
			if rng.IntN(10) == 0 && !lost[id] {
				lost[id] = true
				continue
			}
			r.frameOn(line, tradeFrame(id, "10", "1"))
			r.frameOn(line, depth(93+id, 93+id, fmt.Sprintf(`["9.%d","1"]`, id%9), ``))
		}
		next := map[string]int{"trade": 8}
		books := 0
		for _, l := range r.lines() {
			switch {
			case strings.Contains(l, `"gap"`):
				t.Fatalf("seed %d: %s", seed, l)
			case strings.Contains(l, `"trade"`):
				if !strings.Contains(l, fmt.Sprintf(`"id":"%d"`, next["trade"])) {
					t.Fatalf("seed %d: want trade %d: %s", seed, next["trade"], l)
				}
				next["trade"]++
			case strings.Contains(l, `"book"`):
				books++
			}
		}
		if next["trade"] != 200 || books != 192 {
			t.Fatalf("seed %d: trades up to %d, %d book events", seed, next["trade"], books)
		}
	}
}

// unnumberedBook is a push of Bitget without numbers: such books cannot be merged.
func unnumberedBook(action, bids, asks string, ms int) string {
	return fmt.Sprintf(`{"action":%q,"arg":{"instType":"SPOT","channel":"books","instId":"BTCUSDT"},"data":[{"asks":[%s],"bids":[%s],"ts":"%d"}],"ts":%d}`,
		action, asks, bids, 1700000000000+ms, 1700000000000+ms)
}

// TestEngineStandbyBook: where nothing tells events of two lines apart, each
// keeps its own book; a switch publishes the difference once the other has
// reached the venue time that was published.
func TestEngineStandbyBook(t *testing.T) {
	r := newEngineRig(t, Bitget{}, func(c *EngineConfig) { c.Channels = []md.Channel{md.ChannelBook} })
	r.connect(0)
	r.connect(1)
	r.frameOn(0, unnumberedBook("snapshot", `["10","1"],["9","1"]`, `["11","1"]`, 0))
	r.frameOn(1, unnumberedBook("snapshot", `["10","1"],["9","1"]`, `["11","1"]`, 0))
	r.frameOn(0, unnumberedBook("update", `["9.5","1"]`, ``, 100))
	r.frameOn(1, unnumberedBook("update", `["9.5","1"]`, ``, 100))
	r.frameOn(0, unnumberedBook("update", `["9","0"]`, ``, 200))
	r.lines()
	r.disconnect(0)
	r.expect("the standby is behind: nothing yet")
	r.frameOn(1, unnumberedBook("update", `["9","0"]`, ``, 200))
	r.expect("the same as published")
	r.frameOn(1, unnumberedBook("update", `["9.6","2"]`, ``, 300))
	r.expect("on", `"update" ["9.6","2"]`)
	s := r.eng.Stats()
	if s.Switches.Load() != 1 || s.Gaps[md.GapDisconnect].Load() != 0 {
		t.Errorf("%d switches, %d gaps", s.Switches.Load(), s.Gaps[md.GapDisconnect].Load())
	}
	// The line comes back as a standby, the owner falls silent, and then it
	// takes over with what the other did not tell.
	r.connect(0)
	r.frameOn(0, unnumberedBook("snapshot", `["10","1"],["9.5","1"],["9.6","2"]`, `["11","1"]`, 300))
	r.expect("standby")
	for i := range 5 {
		r.now += int64(500 * time.Millisecond)
		r.frameOn(0, unnumberedBook("update", fmt.Sprintf(`["9.7","%d"]`, i+1), ``, 400+i))
	}
	got := r.lines()
	if len(got) == 0 || !strings.Contains(got[0], `["9.7"`) || !strings.Contains(got[0], "update") || s.Switches.Load() != 2 {
		t.Errorf("%d switches, %q", s.Switches.Load(), got)
	}
	// A checksum that fails on the owner costs a gap, and the standby's book is
	// there at once: here there is none that is live.
	r.disconnect(0)
	r.expect("nobody has a book", `gap "disconnect"`)
}

// TestEngineStandbyNeverCatchesUp: after a while the loss is told and the
// standby's book is shown as a snapshot.
func TestEngineStandbyNeverCatchesUp(t *testing.T) {
	r := newEngineRig(t, Bitget{}, func(c *EngineConfig) { c.Channels = []md.Channel{md.ChannelBook} })
	r.connect(0)
	r.connect(1)
	r.frameOn(0, unnumberedBook("snapshot", `["10","1"]`, `["11","1"]`, 0))
	r.frameOn(1, unnumberedBook("snapshot", `["10","1"]`, `["11","1"]`, 0))
	r.frameOn(0, unnumberedBook("update", `["9.5","1"]`, ``, 100))
	r.lines()
	r.disconnect(0)
	r.tick(3 * time.Second)
	r.expect("told", `gap "disconnect"`, `"snapshot" [["10","1"]]`)
}

// TestEngineStandbyValues: a ticker goes over to the other line with what that
// one said last.
func TestEngineStandbyValues(t *testing.T) {
	push := func(last string, ms int) string {
		return fmt.Sprintf(`{"action":"snapshot","arg":{"instType":"SPOT","channel":"ticker","instId":"BTCUSDT"},"data":[{"instId":"BTCUSDT","lastPr":"%s","open24h":"9","ts":"%d"}],"ts":%d}`,
			last, 1700000000000+ms, 1700000000000+ms)
	}
	r := newEngineRig(t, Bitget{}, func(c *EngineConfig) { c.Channels = []md.Channel{md.ChannelTicker} })
	r.connect(0)
	r.connect(1)
	r.frameOn(0, push("10", 0))
	r.frameOn(1, push("10", 0))
	r.frameOn(1, push("11", 100))
	r.expect("the owner alone", `"last":"10"`)
	r.disconnect(0)
	r.expect("what the owner did not say", `"last":"11"`)
	r.frameOn(1, push("12", 200))
	r.expect("on", `"last":"12"`)
}

// TestEngineRisingTradesOfTwoLines: ids with holes: what one line lost comes
// late from the other, nothing comes twice.
func TestEngineRisingTradesOfTwoLines(t *testing.T) {
	r := newEngineRig(t, OKX{}, func(c *EngineConfig) { c.Channels = []md.Channel{md.ChannelTrades} })
	r.connect(0)
	r.connect(1)
	r.frameOn(0, okxTradePush(3))
	r.frameOn(1, okxTradePush(3))
	r.frameOn(0, okxTradePush(9))
	r.frameOn(1, okxTradePush(5))
	r.frameOn(1, okxTradePush(9))
	r.frameOn(0, okxTradePush(5))
	r.expect("once each", `"id":"3"`, `"id":"9"`, `"id":"5"`)
	r.disconnect(0)
	r.frameOn(1, okxTradePush(12))
	r.expect("no gap", `"id":"12"`)
	r.disconnect(1)
	r.expect("now there is", `gap "disconnect"`)
}

// TestEngineAllLinesLost: with the last of its lines a topic is broken, also if that line
// brought nothing of it after the owner was lost; what was parked makes no book of REST
// while there is no line.
func TestEngineAllLinesLost(t *testing.T) {
	r := newEngineRig(t, OKX{}, func(c *EngineConfig) { c.Channels = []md.Channel{md.ChannelTrades} })
	r.connect(0)
	r.connect(1)
	r.frameOn(0, okxTradePush(3))
	r.frameOn(1, okxTradePush(3))
	r.expect("a trade", `"id":"3"`)
	r.disconnect(0)
	r.expect("the other line goes on")
	r.disconnect(1)
	r.expect("trades", `gap "disconnect"`)

	r = liveBinance(t)
	r.connect(1)
	r.frameOn(1, tradeFrame(7, "10.5", "1"))
	r.frameOn(1, quoteFrame(100, "10.0", "11.0"))
	r.frameOn(1, depth(90, 100, `["10.0","1"]`, ``))
	r.expect("nothing new")
	r.frameOn(0, depth(103, 103, `["9.4","1"]`, ``)) // parked
	r.actions()
	r.disconnect(0)
	r.disconnect(1)
	r.expect("book and quotes", `binance.book gap "disconnect"`, `binance.bbo gap "disconnect"`)
	r.tick(2 * time.Second)
	r.expectActions("nothing is asked for without a line")
	r.expect("nothing is shown")
	r.connect(0)
	r.frame(tradeFrame(9, "10.5", "1"))
	r.expect("the trade that is missing is told", `binance.trades gap "missed":1`, `"id":"9"`)
}

// TestEngineMaintenanceOnTwoLines: a notice that comes on every line breaks what they
// brought together, one that comes on one line alone does not.
func TestEngineMaintenanceOnTwoLines(t *testing.T) {
	r := newEngineRig(t, OKX{}, func(c *EngineConfig) { c.Channels = []md.Channel{md.ChannelTrades} })
	r.connect(0)
	r.connect(1)
	r.frameOn(0, okxTradePush(3))
	r.frameOn(1, okxTradePush(3))
	r.lines()
	notice := `{"arg":{"channel":"status"},"data":[{"title":"upgrade","state":"ongoing","serviceType":"0","env":"1","ts":"1700000000000"}]}`
	trades := func() int {
		n := 0
		for _, l := range r.lines() {
			if strings.Contains(l, "okx.trades") && strings.Contains(l, `"venue"`) {
				n++
			}
		}
		return n
	}
	r.frameOn(0, notice)
	if n := trades(); n != 0 {
		t.Errorf("%d gaps after a notice on one line", n)
	}
	r.frameOn(1, notice)
	if n := trades(); n != 1 {
		t.Errorf("%d gaps after a notice on both lines, want 1", n)
	}
}

// TestSeen compares the memory of trades with a map over far more than it
// holds, and counts allocations.
func TestSeen(t *testing.T) {
	s := new(seen)
	var order []tradeKey
	have := map[tradeKey]bool{}
	rng := randomOf(3)
	for range 200_000 {
		k := tradeKey{id: rng.Uint64N(9000), text: rng.Uint64N(2)}
		if got := s.add(k); got == have[k] {
			t.Fatalf("%v: new %v, remembered %v", k, got, have[k])
		}
		if !have[k] {
			have[k] = true
			order = append(order, k)
			if len(order) > seenTrades {
				delete(have, order[0])
				order = order[1:]
			}
		}
	}
	id := uint64(1 << 40)
	if n := testing.AllocsPerRun(10_000, func() { id++; s.add(tradeKey{id: id}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestEngineParts: subscriptions beyond what the venue allows on a connection
// go to further parts; a part's line carries that part alone.
func TestEngineParts(t *testing.T) {
	v := &tuned{Binance{}, *Binance{}.Spec()}
	v.spec.SubsPerConn = 3
	r := newEngineRig(t, v, func(c *EngineConfig) {
		c.Slots, c.Channels = 2, []md.Channel{md.ChannelTrades, md.ChannelBBO}
		c.Instruments = []string{"BTC-USDT", "ETH-USDT"}
	})
	r.eng.Start()
	r.settle()
	opened := r.actions()
	if len(opened) != 1 {
		t.Fatalf("opened %q", opened)
	}
	r.connect(0)
	r.connect(2)
	r.expectActions("three and one", `send 0 "btcusdt@trade","btcusdt@bookTicker","ethusdt@trade"`, `send 2 ["ethusdt@bookTicker"]`)
	r.frameOn(2, strings.Replace(quoteFrame(5, "10", "11"), "BTC", "ETH", 1))
	r.frameOn(0, tradeFrame(1, "10", "1"))
	r.lines()
	r.disconnect(2)
	r.expect("only what it carried", `gap binance.bbo.ETH-USDT`)
	r.frameOn(0, tradeFrame(2, "10", "1"))
	r.expect("the rest goes on", `"id":"2"`)
}
