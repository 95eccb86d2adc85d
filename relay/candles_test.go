package relay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"tickrelay/ring/md"
)

// candleHub is a hub without rings and shards that only makes candles.
func candleHub(t testing.TB, bytes int) (*hub, *topic) {
	t.Helper()
	limits := Limits{CandleBytes: bytes}.withDefaults()
	table, err := md.CreateTable(make([]byte, md.TableSize(4)), 4, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.Add(md.Instrument{Venue: md.VenueBinance, Kind: md.InstrumentSpot, Symbol: "BTC-USDT", Native: "BTCUSDT"}); err != nil {
		t.Fatal(err)
	}
	h := newHub(&Config{Table: table.View(), Limits: limits}, &hubStats{})
	trades := h.topicOf(0, md.ChannelTrades)
	trades.begin(1, 0)
	return h, trades
}

func tradeAt(at int64, price, size int64) md.Record {
	return md.Record{Kind: md.KindTrade, Flags: md.FlagFirst | md.FlagLast, TsEvent: at, TsRecv: at + 5, Price: price, PriceExp: -2,
		Size: size, SizeExp: -3, Count: 1}
}

// barTrade gives a trade the topic's next number.
func barTrade(h *hub, t *topic, r md.Record) {
	t.seq++
	r.Seq = t.seq
	h.candleTrades(t, []md.Record{r})
}

func bars(s *series) string {
	var b strings.Builder
	for i := s.first; i < len(s.bars); i++ {
		c := &s.bars[i]
		fmt.Fprintf(&b, "%d:", c.start/1e9)
		for v := range c.mant {
			if c.mant[v] == md.Absent {
				b.WriteString(" -")
				continue
			}
			b.WriteByte(' ')
			b.Write(md.AppendDecimal(nil, c.mant[v], c.exp[v]))
		}
		fmt.Fprintf(&b, " n%d", c.count)
		if c.closed {
			b.WriteString(" closed")
		}
		if c.partial {
			b.WriteString(" partial")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

const second = int64(time.Second)

func TestCandles(t *testing.T) {
	h, trades := candleHub(t, 0)
	at := 1000 * second
	barTrade(h, trades, tradeAt(at+1, 1000, 1000))
	barTrade(h, trades, tradeAt(at+2, 1200, 500))
	barTrade(h, trades, tradeAt(at+3, 900, 500))
	barTrade(h, trades, tradeAt(at+second, 1100, 2000))
	s := trades.candles[0]
	want := "1000: 10 12 9 9 2 20.5 n3 closed partial\n1001: 11 11 11 11 2 22 n1\n"
	if got := bars(s); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := bars(trades.candles[1]); got != "960: 10 12 9 11 4 42.5 n4 partial\n" {
		t.Errorf("minute: %s", got)
	}
	// A late trade amends its bar: earlier than the first it is the open, between
	// two it is neither open nor close.
	barTrade(h, trades, tradeAt(at, 1300, 1000))
	barTrade(h, trades, tradeAt(at-2*second+5, 700, 1000)) // a bar before the first is too late
	barTrade(h, trades, tradeAt(at+4*second, 1500, 1000))
	barTrade(h, trades, tradeAt(at+2*second, 1400, 1000)) // into a second that had none
	want = "1000: 13 13 9 9 3 33.5 n4 closed partial\n1001: 11 11 11 11 2 22 n1 closed\n" +
		"1002: 14 14 14 14 1 14 n1 closed\n1004: 15 15 15 15 1 15 n1\n"
	if got := bars(s); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if n := h.stats.candles.late.Load(); n == 0 {
		t.Error("a trade too late for any bar is not counted")
	}
	// A gap marks the running bar and the next.
	h.candleGap(trades)
	barTrade(h, trades, tradeAt(at+6*second, 1500, 1000))
	barTrade(h, trades, tradeAt(at+7*second, 1500, 1000))
	if got := bars(s); !strings.Contains(got, "1004: 15 15 15 15 1 15 n1 closed partial") || !strings.Contains(got, "1006: 15 15 15 15 1 15 n1 closed partial") ||
		!strings.HasSuffix(got, "1007: 15 15 15 15 1 15 n1\n") {
		t.Errorf("after a gap\n%s", got)
	}
}

// TestCandlesWithoutVenueTime uses the time of reception.
func TestCandlesWithoutVenueTime(t *testing.T) {
	h, trades := candleHub(t, 0)
	r := tradeAt(0, 100, 1)
	r.TsRecv = 77*second + 5
	barTrade(h, trades, r)
	if got := bars(trades.candles[0]); !strings.HasPrefix(got, "77:") {
		t.Error(got)
	}
}

// TestCandleSums: what no int64 holds is absent, nothing is rounded.
func TestCandleSums(t *testing.T) {
	h, trades := candleHub(t, 0)
	r := tradeAt(second, math.MaxInt64-1, math.MaxInt64-2)
	barTrade(h, trades, r)
	barTrade(h, trades, r)
	if got := bars(trades.candles[0]); !strings.HasSuffix(got, " - - n2 partial\n") {
		t.Error(got)
	}
	barTrade(h, trades, tradeAt(2*second, 1, 1))
	if n := h.stats.candles.inexact.Load(); n != 1 {
		t.Errorf("%d bars are counted", n)
	}
}

// TestCandlesModel compares random trades with sums of rationals.
func TestCandlesModel(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 1))
		h, trades := candleHub(t, 0)
		type bar struct {
			open, high, low, close, volume, turnover *big.Rat
			n                                        int
		}
		model := map[int64]*bar{}
		at := 1000 * second
		for range 500 {
			at += rng.Int64N(second / 5)
			r := tradeAt(at, 1+rng.Int64N(1e7), rng.Int64N(1e4))
			r.PriceExp, r.SizeExp = int8(-rng.IntN(4)), int8(-rng.IntN(5))
			barTrade(h, trades, r)
			p, _ := new(big.Rat).SetString(string(md.AppendDecimal(nil, r.Price, r.PriceExp)))
			q, _ := new(big.Rat).SetString(string(md.AppendDecimal(nil, r.Size, r.SizeExp)))
			b := model[at/second]
			if b == nil {
				b = &bar{open: p, high: p, low: p, volume: new(big.Rat), turnover: new(big.Rat)}
				model[at/second] = b
			}
			if p.Cmp(b.high) > 0 {
				b.high = p
			}
			if p.Cmp(b.low) < 0 {
				b.low = p
			}
			b.close, b.n = p, b.n+1
			b.volume.Add(b.volume, q)
			b.turnover.Add(b.turnover, new(big.Rat).Mul(p, q))
		}
		s := trades.candles[0]
		if len(s.bars) != len(model) {
			t.Fatalf("%d bars, want %d", len(s.bars), len(model))
		}
		for i := range s.bars {
			c := &s.bars[i]
			b := model[c.start/second]
			for v, want := range []*big.Rat{b.open, b.high, b.low, b.close, b.volume, b.turnover} {
				got, ok := new(big.Rat).SetString(string(md.AppendDecimal(nil, c.mant[v], c.exp[v])))
				if !ok || got.Cmp(want) != 0 || int(c.count) != b.n {
					t.Fatalf("seed %d, bar %d: %s is %v, want %v", seed, c.start/second, md.CandleName(uint8(v)), got, want)
				}
			}
		}
	}
}

// TestCandlesMemory: a topic keeps a day, and less where memory is short.
func TestCandlesMemory(t *testing.T) {
	h, trades := candleHub(t, 0)
	for i := range int64(100_000) {
		barTrade(h, trades, tradeAt((1000+i)*second, 100, 1))
	}
	s := trades.candles[0]
	if n := len(s.bars) - s.first; n != 86400 {
		t.Errorf("%d bars of a day", n)
	}
	if got := h.stats.candles.bytes.Load(); got < int64(n(s))*candleSize || got > 256<<20 {
		t.Errorf("%d bytes", got)
	}
	h, trades = candleHub(t, 1<<20)
	for i := range int64(50_000) {
		barTrade(h, trades, tradeAt((1000+i)*second, 100, 1))
	}
	if got := h.stats.candles.bytes.Load(); got > 1<<20 || h.stats.candles.dropped.Load() == 0 {
		t.Errorf("%d bytes, %d bars dropped", got, h.stats.candles.dropped.Load())
	}
	if s := trades.candles[0]; n(s) < 1000 || s.bars[len(s.bars)-1].start != 50_999*second {
		t.Errorf("%d bars left", n(s))
	}
}

// TestLateCandlesMemory: bars that late trades make are held to the same bound.
func TestLateCandlesMemory(t *testing.T) {
	const bound = 1 << 20
	h, trades := candleHub(t, bound)
	barTrade(h, trades, tradeAt(1000*second, 100, 1))
	for i := int64(0); i < 60_000; i += 30 {
		barTrade(h, trades, tradeAt((1000+i+30)*second, 100, 1))
		for late := int64(29); late > 0; late-- {
			barTrade(h, trades, tradeAt((1000+i+late)*second, 100, 1))
		}
	}
	var held int64
	for _, s := range trades.candles {
		held += int64(cap(s.bars)) * candleSize
		for i := s.first + 1; i < len(s.bars); i++ {
			if s.bars[i].start != s.bars[i-1].start+s.every {
				t.Fatalf("bar %d after %d", s.bars[i].start, s.bars[i-1].start)
			}
		}
	}
	if got := h.stats.candles.bytes.Load(); got != held || held > bound || h.stats.candles.dropped.Load() == 0 {
		t.Errorf("%d bytes held, %d counted, want at most %d; %d bars dropped", held, got, bound, h.stats.candles.dropped.Load())
	}
	if s := trades.candles[0]; n(s) < 1000 || s.bars[len(s.bars)-1].start != 61_000*second {
		t.Errorf("%d bars left", n(s))
	}
}

func n(s *series) int { return len(s.bars) - s.first }

// TestCandleTradesDoNotAllocate: a trade in a running bar costs no memory.
func TestCandleTradesDoNotAllocate(t *testing.T) {
	h, trades := candleHub(t, 0)
	r := []md.Record{tradeAt(1000*second, 100, 1)}
	h.candleTrades(trades, r)
	if got := testing.AllocsPerRun(1000, func() { h.candleTrades(trades, r) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkCandleTrade(b *testing.B) {
	h, trades := candleHub(b, 0)
	r := []md.Record{tradeAt(1000*second, 6412345, 123)}
	b.ReportAllocs()
	for b.Loop() {
		r[0].TsEvent += second / 100
		h.candleTrades(trades, r)
	}
}

// TestCandlesOverTheWire: a subscriber gets the bars so far, then the running one
// as it changes, then its end, in both formats; HTTP has the same.
func TestCandlesOverTheWire(t *testing.T) {
	s, g := start(t, Limits{}, 4096)
	s.trade(btcTrades, 1, 1)
	eventually(t, "trade counted", func() bool { return g.hubStats.events.Load() > 0 })
	c := dial(t, g)
	topic := strings.Replace(btcTrades, ".trades.", ".candles_1s.", 1)
	c.send(`{"op":"subscribe","id":1,"topics":["%s"]}`, topic)
	c.want("subscribed", "")
	type candleMessage struct {
		Type, Topic, Start, Open, High, Low, Close, Volume string
		Seq, Prev                                          uint64
		Trades                                             int
		Closed, Incomplete                                 bool
	}
	next := func() (m candleMessage) {
		t.Helper()
		for {
			_, text, err := c.read()
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(text, &m); err != nil {
				t.Fatal(err)
			}
			if m.Type == "candle" && m.Topic == topic {
				return m
			}
		}
	}
	m := next()
	if m.Trades != 1 || !m.Incomplete || m.Open == "" || m.Open != m.Close {
		t.Errorf("first %+v", m)
	}
	for seq := m.Seq; !m.Closed; seq = m.Seq { // by the clock alone
		if m = next(); m.Prev > seq {
			t.Errorf("prev %d follows %d", m.Prev, seq)
		}
	}
	status, body, err := fasthttp.Get(nil, "http://"+g.Addr().String()+"/api/v1/candles/"+strings.Replace(strings.Replace(topic, ".candles_1s.", "/", 1), ".", "/", 1)+"?interval=1s")
	if err != nil || status != 200 || !bytes.Contains(body, []byte(`"closed":true`)) {
		t.Errorf("%d %s %v", status, body, err)
	}
	for query, want := range map[string]int{"?interval=2s": 400, "?limit=0": 400, "?limit=99999": 400, "?from=x": 400, "?to=-1": 400, "?interval=1m": 200, "?interval=1s&from=0&to=1": 200} {
		if status, body, _ := fasthttp.Get(nil, "http://"+g.Addr().String()+"/api/v1/candles/binance/BTC-USDT"+query); status != want {
			t.Errorf("%s: %d %s", query, status, body)
		}
	}
	if status, _, _ := fasthttp.Get(nil, "http://"+g.Addr().String()+"/api/v1/candles/binance/NO-SUCH"); status != 404 {
		t.Errorf("no such candles: %d", status)
	}
}

func TestCandleQueries(t *testing.T) {
	_, trades := candleHub(t, 0)
	h, _ := candleHub(t, 0)
	_ = trades
	_, tr := h, h.topicOf(0, md.ChannelTrades)
	for i := range int64(10) {
		barTrade(h, tr, tradeAt((100+i)*second, 100+i, 1))
	}
	s := tr.candles[0]
	f := func(q candleQuery, first, n int64) {
		t.Helper()
		recs := s.between(q)
		if int64(len(recs)) != n*md.NumCandle || n > 0 && recs[0].ID != uint64(first*second) {
			t.Errorf("%+v: %d records", q, len(recs))
		}
	}
	f(candleQuery{to: math.MaxInt64, limit: 3}, 107, 3)
	f(candleQuery{from: 102 * second, to: math.MaxInt64, limit: 3}, 102, 3)
	f(candleQuery{from: 102 * second, to: 104 * second, limit: 30}, 102, 2)
	f(candleQuery{from: 104 * second, to: 102 * second, limit: 30}, 0, 0)
	f(candleQuery{from: 1000 * second, to: math.MaxInt64, limit: 30}, 0, 0)
}

func FuzzCandleQuery(f *testing.F) {
	f.Add("interval=1s&from=1&to=2&limit=3")
	f.Add("limit=-1&from=99999999999999999999")
	f.Fuzz(func(t *testing.T, query string) {
		args := new(fasthttp.Args)
		args.Parse(query)
		q, wrong := parseCandleQuery(args)
		if wrong == "" && (q.limit < 1 || q.limit > maxCandleAnswer || q.from < 0 || q.to < 0) {
			t.Errorf("%q: %+v", query, q)
		}
	})
}

// TestCandlesOfAFarFuture: one trade with a time that cannot be does not end the day's
// bars, nor make every later trade a late one.
func TestCandlesOfAFarFuture(t *testing.T) {
	h, trades := candleHub(t, 0)
	now := 1_000_000 * second
	barTrade(h, trades, tradeAt(now, 100, 1))
	far := tradeAt(now+1000*24*3600*second, 101, 1)
	far.TsRecv = now + second
	barTrade(h, trades, far)
	barTrade(h, trades, tradeAt(now+2*second, 102, 1))
	s := trades.candles[0]
	if n := len(s.bars) - s.first; n != 3 || s.bars[s.first].start != now || s.bars[s.first+1].start != now+second || s.running() == nil {
		t.Errorf("bars:\n%s", bars(s))
	}
}
