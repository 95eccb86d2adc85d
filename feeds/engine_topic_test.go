package feeds

import (
	"strings"
	"testing"
	"time"

	"tickrelay/ring/md"
)

// TestEngineTradesChain: consecutive ids make losses exact and repetitions
// known.
func TestEngineTradesChain(t *testing.T) {
	r := liveBinance(t)
	r.frame(tradeFrame(8, "10.5", "1"))
	r.frame(tradeFrame(8, "10.5", "1"))
	r.frame(tradeFrame(6, "10.5", "1"))
	r.expect("repeated", `trade "id":"8"`)
	r.frame(tradeFrame(12, "10.5", "1"))
	r.expect("three missing", `gap trades "seq":3 "reason":"sequence" "missed":3`, `trade "seq":4 "id":"12"`)

	r.disconnect(0)
	r.lines()
	r.connect(0)
	r.frame(tradeFrame(12, "10.5", "1"))
	r.frame(tradeFrame(13, "10.5", "1"))
	r.expect("nothing was lost", `trade "seq":5,"prev":4 "id":"13"`)
	r.disconnect(0)
	r.lines()
	r.connect(0)
	r.frame(tradeFrame(15, "10.5", "1"))
	r.expect("one was lost", `gap trades "reason":"disconnect" "missed":1`, `trade "id":"15"`)
	if n := r.eng.Stats().Ignored[IgnoreDuplicate].Load(); n != 3 {
		t.Errorf("%d duplicates, want 3", n)
	}
}

// TestEngineTradesRise: OKX pushes the last trade again at each subscription; the
// ids grow, so it is published once.
func TestEngineTradesRise(t *testing.T) {
	r := newEngineRig(t, OKX{}, nil)
	r.connect(0)
	trade := func(id string) string {
		return `{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"` + id +
			`","px":"10.5","sz":"2","side":"buy","ts":"1700000000000"}]}`
	}
	r.frame(trade("41"))
	r.frame(trade("45"))
	r.expect("two trades", `trade "seq":1 "id":"41"`, `trade "seq":2 "id":"45"`)
	r.disconnect(0)
	r.expect("lost", `gap trades "reason":"disconnect" "missed":null`)
	r.connect(0)
	r.frame(trade("45"))
	r.expect("the last one again")
	r.frame(trade("47"))
	r.expect("news", `trade "id":"47"`)
	if n := r.eng.Stats().Ignored[IgnoreDuplicate].Load(); n != 1 {
		t.Errorf("%d duplicates, want 1", n)
	}
}

// TestEngineTradesWithoutChain: where ids tell nothing, a lost connection means
// a gap of unknown size, and history is not news.
func TestEngineTradesWithoutChain(t *testing.T) {
	r := newEngineRig(t, Bitget{}, nil)
	r.connect(0)
	trade := func(action, id string) string {
		return `{"action":"` + action + `","arg":{"instType":"SPOT","channel":"trade","instId":"BTCUSDT"},"data":[` +
			`{"ts":"1700000000000","price":"10.5","size":"2","side":"buy","tradeId":"` + id + `"}],"ts":1700000000001}`
	}
	r.frame(trade("snapshot", "41"))
	r.expect("history")
	r.disconnect(0)
	r.expect("nothing was published")
	r.connect(0)
	r.frame(trade("update", "42"))
	r.expect("news", `trade "id":"42" "side":"buy"`)
	r.disconnect(0)
	r.expect("lost", `gap trades "reason":"disconnect" "missed":null`)
	r.connect(0)
	r.frame(trade("snapshot", "43"))
	r.expect("history")
	r.frame(trade("update", "44"))
	r.expect("recovered", `trade "seq":3,"prev":2 "id":"44"`)
	if n := r.eng.Stats().Ignored[IgnoreHistory].Load(); n != 2 {
		t.Errorf("%d of history, want 2", n)
	}
}

func TestEngineQuotes(t *testing.T) {
	r := liveBinance(t)
	r.frame(quoteFrame(99, "9.0", "11.0"))
	r.expect("older")
	r.frame(quoteFrame(100, "10.0", "11.0"))
	r.expect("the same again")
	r.frame(quoteFrame(101, "10.1", "11.0"))
	r.expect("newer", `bbo "bid":["10.1","1"],"ask":["11","2"]`)
	for range maxStaleRun {
		r.frame(quoteFrame(5, "10.2", "11.0"))
	}
	r.frame(quoteFrame(5, "10.2", "11.0"))
	r.expect("a line that lags")
	r.tick(time.Minute)
	r.actions()
	r.frame(quoteFrame(5, "10.2", "11.0"))
	r.expect("the venue's numbers began again", `gap bbo "reason":"venue"`, `bbo "bid":["10.2","1"]`)
	s := r.eng.Stats()
	if s.Ignored[IgnoreStale].Load() != maxStaleRun+2 || s.Ignored[IgnoreDuplicate].Load() != 1 {
		t.Errorf("stale %d, duplicates %d", s.Ignored[IgnoreStale].Load(), s.Ignored[IgnoreDuplicate].Load())
	}
}

// TestEngineOneSidedQuote waits for the second side and then always tells both.
func TestEngineOneSidedQuote(t *testing.T) {
	r := liveBinance(t)
	in := r.eng.instruments[0]
	tp := in.topics[md.ChannelBBO]
	tp.forget()
	one := func(side uint8, price int64) {
		r.eng.quote(tp, 0, []md.Record{{Kind: md.KindBBO, Side: side, Price: price, Size: 1}}, r.now)
		r.settle()
	}
	one(md.SideAsk, 11)
	r.expect("one side")
	one(md.SideBid, 10)
	r.expect("both", `"bid":["10","1"],"ask":["11","1"]`)
	one(md.SideAsk, 12)
	r.expect("both again", `"bid":["10","1"],"ask":["12","1"]`)
}

func TestEngineTickerTellsChanges(t *testing.T) {
	r := liveBinance(t)
	tick := func(last, high string) string {
		return `{"e":"24hrTicker","E":1700000000000,"s":"BTCUSDT","c":"` + last + `","o":"9","h":"` + high + `","l":"8","v":"5","q":"50"}`
	}
	r.frame(tick("10", "12"))
	r.expect("all", `ticker "last":"10","open":"9","high":"12","low":"8","volume":"5","turnover":"50"`)
	r.frame(tick("10.00", "12.0"))
	r.expect("nothing new")
	r.frame(tick("11", "12.0"))
	if got := r.lines(); len(got) != 1 || !strings.Contains(got[0], `"last":"11"}`) {
		t.Fatalf("one changed: %v", got)
	}
	r.disconnect(0)
	r.lines()
	r.connect(0)
	r.frame(tick("11", "12"))
	r.expect("after a gap all is news", `ticker "last":"11","open":"9","high":"12"`)
	if n := r.eng.Stats().Ignored[IgnoreUnchanged].Load(); n != 1 {
		t.Errorf("%d unchanged, want 1", n)
	}
}

// TestEngineCountsStatisticsLeftOut: one with more digits than an int64 holds
// costs itself alone and is counted.
func TestEngineCountsStatisticsLeftOut(t *testing.T) {
	r := liveBinance(t)
	r.frame(`{"e":"24hrTicker","E":1700000000000,"s":"BTCUSDT","c":"76671.4381686055379793","o":"9","h":"12","l":"8","v":"5","q":"50"}`)
	r.expect("the rest", `ticker "open":"9","high":"12","low":"8","volume":"5","turnover":"50"`)
	if n := r.eng.Stats().Rejected[RejectRange].Load(); n != 1 {
		t.Errorf("%d out of range, want 1", n)
	}
}

// TestEngineGarbage: one bad frame is counted, many end the connection, none
// stops the others.
func TestEngineGarbage(t *testing.T) {
	r := liveBinance(t)
	for i := range maxRejects {
		if err := r.eng.Frame(0, []byte(`{"e":"trade","s":`), r.now); err == nil {
			t.Fatal("accepted")
		}
		r.settle()
		if got := r.actions(); (len(got) == 1) != (i == maxRejects-1) {
			t.Fatalf("after %d: %v", i+1, got)
		}
	}
	if n := r.eng.Stats().Rejected[RejectMalformed].Load(); n != maxRejects {
		t.Errorf("%d refused", n)
	}
	r.frame(tradeFrame(8, "10.5", "1"))
	r.expect("goes on", `trade "id":"8"`)
}

// TestEngineRefit: a finer digit lowers the exponent, a number too large raises
// it, and the book moves along exactly, snapshot included.
func TestEngineRefit(t *testing.T) {
	r := newEngineRig(t, Binance{}, nil)
	r.eng.Catalogue([]md.Instrument{{Venue: md.VenueBinance, Kind: md.InstrumentSpot, Symbol: "BTC-USDT", Native: "BTCUSDT", PriceExp: -1, SizeExp: 0}})
	r.connect(0)
	r.frame(depth(90, 100, `["10.1","1"]`, ``))
	r.snapshot(1, restBook(95, `["10.0","5"]`, `["11.0","2"]`), nil)
	r.lines()
	r.frame(depth(101, 101, `["10.25","1.5"]`, ``))
	r.expect("finer", `"update" [["10.25","1.5"]]`, `"snapshot" [["10.25","1.5"],["10.1","1"],["10","5"]] [["11","2"]]`)
	in, _ := r.table.Get(0)
	if in.PriceExp != -2 || in.SizeExp != -1 || r.eng.Stats().Refits.Load() != 1 {
		t.Fatalf("exponents %d %d after %d refits", in.PriceExp, in.SizeExp, r.eng.Stats().Refits.Load())
	}
	r.frame(depth(102, 102, `["10.25","0"]`, ``))
	r.frame(tradeFrame(1, "10", "9000000000000000000"))
	if in, _ = r.table.Get(0); in.SizeExp != 0 {
		t.Fatalf("size exponent %d", in.SizeExp)
	}
	got := r.lines()
	if len(got) != 3 || !strings.Contains(got[2], `snapshot`) || !strings.Contains(got[1], `"size":"9000000000000000000"`) {
		t.Fatalf("larger: %v", got)
	}
}

// TestEngineRange: what no exponent holds beside the others is told, and the
// book stays broken, whatever snapshots come.
func TestEngineRange(t *testing.T) {
	r := liveBinance(t)
	r.frame(depth(101, 101, `["9","0.00000000000000001"],["8","900000000000000000"]`, ``))
	r.expect("refused", `gap book "reason":"range"`)
	r.frame(depth(102, 102, `["9","1"]`, ``))
	r.tick(time.Minute)
	r.expect("for good")
	r.expectActions("no more snapshots")
	r.frame(tradeFrame(8, "10", "0.00000000000000001"))
	r.expect("the book holds nothing any more", `trade "size":"0.00000000000000001"`)
	r.disconnect(0)
	r.connect(0)
	r.frame(depth(110, 110, `["9","1"]`, ``))
	r.expect("still", `gap bbo`)
	if h := r.eng.Stats().Topics(); h[1].State != TopicRefused || h[1].Gaps != 1 {
		t.Errorf("health %+v", h[1])
	}
}

func TestEngineRangeOfTrade(t *testing.T) {
	r := liveBinance(t)
	r.frame(depth(101, 101, `["9","900000000000000000"]`, ``))
	r.lines()
	r.frame(tradeFrame(8, "10", "0.00000000000000001"))
	r.expect("a trade that does not fit beside the book", `gap trades "reason":"range" "missed":1`)
	r.frame(tradeFrame(9, "10", "1"))
	if got := r.lines(); len(got) != 1 || !strings.Contains(got[0], `"id":"9"`) {
		t.Errorf("the next one: %v", got)
	}
}
