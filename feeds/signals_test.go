package feeds

import (
	"math/big"
	"math/rand/v2"
	"testing"

	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// TestRatio compares with arithmetic that cannot overflow.
func TestRatio(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		a, b := rnd.Uint64()>>rnd.IntN(64), rnd.Uint64()>>rnd.IntN(64)
		den := new(big.Int).Add(new(big.Int).SetUint64(a), new(big.Int).SetUint64(b))
		got, ok := ratio(a, b, a, b)
		if wantOK := den.Sign() > 0 && den.IsUint64(); ok != wantOK {
			t.Fatalf("%d, %d: %v", a, b, ok)
		}
		if !ok {
			continue
		}
		num := new(big.Int).Sub(new(big.Int).SetUint64(a), new(big.Int).SetUint64(b))
		want := num.Mul(num, big.NewInt(1e9)).Quo(num, den)
		if !want.IsInt64() || got != want.Int64() {
			t.Fatalf("%d, %d: %d, want %v", a, b, got, want)
		}
	}
}

// TestOrderFlow: the cases of the definition, one per line.
func TestOrderFlow(t *testing.T) {
	f := func(what string, was, is touch, num, den int64) {
		t.Helper()
		if got, ok := orderFlow(&was, &is); !ok || got != num*1e9/den {
			t.Errorf("%s: %d, want %d", what, got, num*1e9/den)
		}
	}
	was := touch{bid: 100, ask: 102, bidSize: 5, askSize: 7}
	f("nothing", was, was, 0, 24)
	f("bid grows", was, touch{bid: 100, ask: 102, bidSize: 8, askSize: 7}, 3, 27)
	f("bid shrinks", was, touch{bid: 100, ask: 102, bidSize: 1, askSize: 7}, -4, 20)
	f("ask grows", was, touch{bid: 100, ask: 102, bidSize: 5, askSize: 9}, -2, 26)
	f("bid rises", was, touch{bid: 101, ask: 102, bidSize: 2, askSize: 7}, 2, 21)
	f("bid falls", was, touch{bid: 99, ask: 102, bidSize: 2, askSize: 7}, -5, 21)
	f("ask rises", was, touch{bid: 100, ask: 103, bidSize: 5, askSize: 4}, 7, 21)
	f("ask falls", was, touch{bid: 100, ask: 101, bidSize: 5, askSize: 4}, -4, 21)
	f("both rise", was, touch{bid: 102, ask: 104, bidSize: 3, askSize: 1}, 10, 16)
}

func TestBookImbalance(t *testing.T) {
	var b book.Book
	for i := range int64(4) {
		b.Set(md.SideBid, book.Level{Price: 100 - i, Size: 10 * (i + 1)})
	}
	b.Set(md.SideAsk, book.Level{Price: 101, Size: 30})
	for _, c := range []struct {
		levels, used int
		num, den     int64
	}{{1, 1, -20, 40}, {2, 2, 0, 60}, {3, 3, 30, 90}, {64, 4, 70, 130}} {
		got, used, ok := bookImbalance(&b, c.levels)
		if !ok || used != c.used || got != c.num*1e9/c.den {
			t.Errorf("%d levels: %d of %d, want %d of %d", c.levels, got, used, c.num*1e9/c.den, c.used)
		}
	}
}

// signalRig is a live Binance book with signals over two levels.
func signalRig(t *testing.T) *engineRig {
	t.Helper()
	r := newEngineRig(t, Binance{}, func(c *EngineConfig) { c.Signals = 2 })
	r.connect(0)
	r.frame(depth(90, 100, `["10.0","1"]`, ``))
	r.snapshot(1, restBook(95, `["10.0","5"],["9.0","1"]`, `["11.0","2"]`), nil)
	r.actions()
	r.lines()
	return r
}

// TestSignals follows a book through the engine: what changes, what does not,
// gaps and a fresh start.
func TestSignals(t *testing.T) {
	r := signalRig(t)
	// bids 10:1 9:1, asks 11:2 → 11:2 12:4
	r.frame(depth(101, 101, ``, `["12.0","4"]`))
	r.expect("first event after the start: no flow yet",
		`binance.book.BTC-USDT`,
		`binance.signals.BTC-USDT "seq":1 obi "value":"-0.5" "levels":2`,
		`"seq":2 microprice "value":"-0.333333333" "levels":1`)
	r.frame(depth(102, 102, `["10.0","3"]`, ``)) // the touch grows by 2
	r.expect("flow", `binance.book.BTC-USDT`,
		`"seq":3 obi "value":"-0.2"`, `"seq":4 microprice "value":"0.2"`, `"seq":5 ofi "value":"0.25"`)
	r.frame(depth(103, 103, `["1.0","3"]`, ``))
	r.expect("beyond the levels taken nothing changes", `binance.book.BTC-USDT`)
	r.frame(depth(110, 111, `["9.0","3"]`, ``))
	lines := r.lines()
	if len(lines) != 2 {
		t.Fatal(lines)
	}
	r.tick(10e9)
	r.frame(depth(112, 112, `["9.0","4"]`, ``))
	r.snapshot(2, restBook(111, `["10.0","5"]`, `["11.0","5"]`), nil)
	r.lines()
	r.frame(depth(113, 113, `["10.0","15"]`, ``))
	r.expect("the first after the gap starts afresh", `binance.book.BTC-USDT`,
		`"seq":7 obi "value":"0.583333333"`, `"seq":8 microprice "value":"0.5"`)
}

// TestSignalsOff: without being asked for there is no such topic.
func TestSignalsOff(t *testing.T) {
	r := liveBinance(t)
	r.frame(depth(101, 101, ``, `["12.0","4"]`))
	r.expect("the book alone", `binance.book.BTC-USDT`)
	for _, h := range r.eng.Stats().Topics() {
		if h.Topic == "binance.signals.BTC-USDT" {
			t.Error(h)
		}
	}
}

// TestSignalsAllocs and cost: nothing is allocated in the hot loop.
func TestSignalsAllocs(t *testing.T) {
	r := signalRig(t)
	topic := r.eng.topics[0]
	for _, x := range r.eng.topics {
		if x.book != nil {
			topic = x
		}
	}
	size := int64(0)
	step := func() {
		size++
		topic.book.book.Set(md.SideBid, book.Level{Price: topic.book.book.Bids.At(0).Price, Size: 1 + size%9})
		r.eng.signals(topic.book.signals, &topic.book.book, 1, r.now)
		r.pub.Flush()
		r.cons.Poll(r.recs)
	}
	step()
	if n := testing.AllocsPerRun(1000, step); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSignals(b *testing.B) {
	r := newEngineRig(b, Binance{}, func(c *EngineConfig) { c.Signals = 5 })
	s := &signals{levels: 5, stats: &topicStats{}, id: r.pub.AddTopic(1, md.ChannelSignals, nil)}
	var bk book.Book
	for i := range int64(20) {
		bk.Set(md.SideBid, book.Level{Price: 100 - i, Size: 10 + i})
		bk.Set(md.SideAsk, book.Level{Price: 101 + i, Size: 12 + i})
	}
	b.ReportAllocs()
	n := int64(0)
	for b.Loop() {
		n++
		bk.Bids.At(0).Size = 1 + n%9
		r.eng.signals(s, &bk, 1, 1)
		r.pub.Flush()
		if n%64 == 0 {
			r.cons.Poll(r.recs)
		}
	}
}
