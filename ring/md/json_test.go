package md

import (
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestAppendJSON(t *testing.T) {
	const head = `"topic":"okx.x.A-B","seq":9,"prev":7,"ts_event":"5","ts_recv":"6"`
	f := func(want string, event ...Record) {
		t.Helper()
		for i := range event {
			event[i].Seq, event[i].TsEvent, event[i].TsRecv = 9, 5, 6
		}
		want = strings.ReplaceAll(want, "HEAD", head)
		if got := string(AppendJSON([]byte("x"), "okx.x.A-B", 7, event)); got != "x"+want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	f(`{"type":"trade",HEAD,"id":"12345","price":"64123.45","size":"0.00123","side":"buy"}`,
		Record{Kind: KindTrade, Price: 6412345000000, PriceExp: -8, Size: 123, SizeExp: -5, ID: 12345, Side: SideBuy})
	f(`{"type":"trade",HEAD,"id":"0","price":"-1200","size":"2000","side":"unknown"}`,
		Record{Kind: KindTrade, Price: -12, PriceExp: 2, Size: 2, SizeExp: 3})
	f(`{"type":"trade",HEAD,"id":"#000000000000abcd","price":"1","size":"1","side":"sell"}`,
		Record{Kind: KindTrade, Flags: FlagIDHash, Price: 1, Size: 1, ID: 0xabcd, Side: SideSell})
	f(`{"type":"book",HEAD,"action":"update","bids":[["2","3"],["1","0"]],"asks":[["4.5","1"]]}`,
		Record{Kind: KindBook, Side: SideBid, Price: 2, Size: 3},
		Record{Kind: KindBook, Side: SideAsk, Price: 45, PriceExp: -1, Size: 1},
		Record{Kind: KindBook, Side: SideBid, Price: 1})
	f(`{"type":"book",HEAD,"action":"snapshot","bids":[["2","3"]],"asks":[]}`,
		Record{Kind: KindBook, Flags: FlagSnapshot | FlagFirst, Side: SideClear},
		Record{Kind: KindBook, Flags: FlagSnapshot, Side: SideBid, Price: 2, Size: 3},
		Record{Kind: KindBook, Flags: FlagSnapshot | FlagLast, Side: SideEnd})
	f(`{"type":"bbo",HEAD,"bid":["1","2"],"ask":["3","4"]}`,
		Record{Kind: KindBBO, Side: SideBid, Price: 1, Size: 2}, Record{Kind: KindBBO, Side: SideAsk, Price: 3, Size: 4})
	f(`{"type":"bbo",HEAD,"bid":null,"ask":["3","4"]}`,
		Record{Kind: KindBBO, Side: SideBid, Price: Absent}, Record{Kind: KindBBO, Side: SideAsk, Price: 3, Size: 4})
	f(`{"type":"bbo",HEAD,"bid":null,"ask":null}`,
		Record{Kind: KindBBO, Side: SideBid}, Record{Kind: KindBBO, Side: SideAsk, Price: Absent, Size: Absent})
	f(`{"type":"ticker",HEAD,"last":"1.5","volume":"7","index":"2"}`,
		Record{Kind: KindTicker, Level: StatLast, Price: 150, PriceExp: -2, Size: Absent},
		Record{Kind: KindTicker, Level: StatVolume, Price: Absent, Size: 7},
		Record{Kind: KindTicker, Level: StatIndex, Price: 2})
	f(`{"type":"funding",HEAD,"rate":"0.0001","next_ts":"8","interval_s":28800,"predicted":false}`,
		Record{Kind: KindFunding, Level: FundingCurrent, Price: 1, PriceExp: -4, ID: 8, Count: 28800})
	f(`{"type":"open_interest",HEAD,"size":"5","value":null}`, Record{Kind: KindOpenInterest, Price: Absent, Size: 5})
	f(`{"type":"liquidation",HEAD,"price":"5","size":"6","side":"sell","id":"7"}`,
		Record{Kind: KindLiquidation, Price: 5, Size: 6, Side: SideSell, ID: 7})
	f(`{"type":"status",HEAD,"status":"halted"}`, Record{Kind: KindStatus, Level: uint8(StatusHalted)})
	f(`{"type":"signal",HEAD,"signal":"obi","value":"0.25","levels":5}`,
		Record{Kind: KindSignal, Level: uint8(SignalOBI), Price: 250000000, PriceExp: SignalExp, Count: 5})
	candle := func(level uint8, price, size int64) Record {
		return Record{Kind: KindCandle, Flags: FlagClosed, Side: uint8(ChannelCandles1s), Level: level, Price: price, PriceExp: -1,
			Size: size, SizeExp: -2, ID: 9000000000, Count: 3}
	}
	f(`{"type":"candle",HEAD,"start":"9000000000","open":"1","high":"1.5","low":"0.9","close":"1.2","volume":"0.07","turnover":null,"trades":3,"closed":true,"incomplete":false}`,
		candle(CandleOpen, 10, Absent), candle(CandleHigh, 15, Absent), candle(CandleLow, 9, Absent), candle(CandleClose, 12, Absent),
		candle(CandleVolume, Absent, 7), candle(CandleTurnover, Absent, Absent))
	f(`{"type":"gap",HEAD,"reason":"sequence","first":"7","missed":3}`,
		Record{Kind: KindGap, Side: uint8(ChannelBook), Level: uint8(GapSequence), ID: 7, Count: 3})
	f(`{"type":"gap",HEAD,"reason":"disconnect","first":"9","missed":null}`,
		Record{Kind: KindGap, Side: uint8(ChannelBook), Level: uint8(GapDisconnect), ID: 9, Count: UnknownMissing})
	f(``)
}

// TestAppendJSONSplits: several trades in one event are several messages, whose
// numbers chain.
func TestAppendJSONSplits(t *testing.T) {
	event := []Record{{Kind: KindTrade, Seq: 8}, {Kind: KindTrade, Seq: 9}, {Kind: KindTrade, Seq: 10}}
	lines := strings.Split(string(AppendJSON(nil, "t", 5, event)), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines", len(lines))
	}
	for i, prev := range []string{"5", "8", "9"} {
		if want := fmt.Sprintf(`"seq":%d,"prev":%s,`, i+8, prev); !strings.Contains(lines[i], want) {
			t.Errorf("%s lacks %s", lines[i], want)
		}
	}
	g := func(want int, event ...Record) {
		t.Helper()
		if got := MessageLen(event); got != want {
			t.Errorf("MessageLen of %d %s: %d, want %d", len(event), event[0].Kind, got, want)
		}
	}
	book, bbo, stat := Record{Kind: KindBook}, Record{Kind: KindBBO}, Record{Kind: KindTicker}
	g(3, book, book, book)
	g(2, bbo, bbo, bbo)
	g(1, bbo)
	g(2, stat, stat, book)
	g(1, event...)
	if MessageLen(nil) != 0 {
		t.Error("a message of nothing")
	}
}

// TestAppendJSONIsJSON reads random events of every kind with encoding/json and
// compares the numbers with math/big.
func TestAppendJSONIsJSON(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 20_000 {
		rec := Record{Kind: Kind(r.IntN(14)), Flags: Flags(r.IntN(64)), Side: uint8(r.IntN(14)), Level: uint8(r.IntN(14)),
			Seq: r.Uint64(), TsEvent: r.Int64(), TsRecv: -r.Int64(), ID: r.Uint64(), Count: r.Uint32()}
		rec.Price, rec.PriceExp = randDecimal(r)
		rec.Size, rec.SizeExp = randDecimal(r)
		topic := "okx.book." + string([]byte{'"', '\\', 0, byte(r.IntN(256)), 'x', byte(r.IntN(256))})
		out := AppendJSON(nil, topic, r.Uint64(), []Record{rec})
		var m map[string]any
		if err := json.Unmarshal(out, &m); err != nil {
			t.Fatalf("%+v: %v: %s", rec, err, out)
		}
		if want := strings.ToValidUTF8(topic, "\ufffd"); m["topic"] != want && strings.Count(want, "\ufffd") < 1 {
			t.Fatalf("topic %q, want %q", m["topic"], want)
		}
		if m["ts_recv"] != fmt.Sprint(rec.TsRecv) {
			t.Fatalf("ts_recv %v, want %d", m["ts_recv"], rec.TsRecv)
		}
		if rec.Kind == KindTrade || rec.Kind == KindLiquidation {
			sameNumber(t, m["price"], rec.Price, rec.PriceExp)
			sameNumber(t, m["size"], rec.Size, rec.SizeExp)
		}
		if rec.Kind == KindBook && (rec.Side == SideBid || rec.Side == SideAsk) {
			level := m[map[uint8]string{SideBid: "bids", SideAsk: "asks"}[rec.Side]].([]any)[0].([]any)
			sameNumber(t, level[0], rec.Price, rec.PriceExp)
			sameNumber(t, level[1], rec.Size, rec.SizeExp)
		}
	}
}

func sameNumber(t *testing.T, got any, mant int64, exp int8) {
	t.Helper()
	s, _ := got.(string)
	v, ok := new(big.Rat).SetString(s)
	if !ok || v.Cmp(rat(mant, exp)) != 0 || strings.ContainsAny(s, "eE") {
		t.Fatalf("got %v for %d e %d", got, mant, exp)
	}
}

func TestTextUnknownCodes(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 5000 {
		rec := Record{Kind: Kind(r.IntN(256)), Flags: Flags(r.IntN(256)), Side: uint8(r.IntN(256)), Level: uint8(r.IntN(256)),
			Price: r.Int64(), Size: Absent, ID: r.Uint64(), PriceExp: int8(r.IntN(256) - 128)}
		line := string(AppendText(nil, "t", &rec))
		if !strings.HasPrefix(line, "t "+rec.Kind.String()+" ") || strings.ContainsAny(line, "\n\"") {
			t.Fatalf("%q", line)
		}
	}
}

func TestEncodeAllocs(t *testing.T) {
	recs, buf := oneOfEach(), make([]byte, 0, 4096)
	f := func(what string, run func()) {
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
	f("AppendJSON", func() { buf = AppendJSON(buf[:0], "okx.book.BTC-USDT", 1, recs) })
	f("AppendText", func() { buf = AppendText(buf[:0], "okx.book.BTC-USDT", &recs[0]) })
	f("Valid", func() {
		for i := range recs {
			if recs[i].Valid() != nil {
				t.Fatal(recs[i])
			}
		}
	})
	p, _ := ParsePattern("*.trades.>")
	f("Match", func() { p.Match("okx.trades.BTC-USDT") })
}

func BenchmarkAppendJSON(b *testing.B) {
	buf := make([]byte, 0, 1<<16)
	f := func(name string, event []Record) {
		for i := range event {
			event[i].Seq, event[i].TsEvent, event[i].TsRecv = 123456, 1763842100123000000, 1763842100123456789
			event[i].PriceExp, event[i].SizeExp = -8, -8
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				buf = AppendJSON(buf[:0], "binance.book.BTC-USDT", 123455, event)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(event)), "ns/record")
		})
	}
	level := func(i int) Record {
		return Record{Kind: KindBook, Side: uint8(1 + i&1), Price: 6412345000000 + int64(i)*1000000, Size: 123000 * int64(i+1)}
	}
	var levels []Record
	for i := range 20 {
		levels = append(levels, level(i))
	}
	trade := Record{Kind: KindTrade, Price: 6412345000000, Size: 123000, ID: 1234567890, Side: SideBuy}
	f("trade", []Record{trade})
	f("bbo", []Record{{Kind: KindBBO, Side: SideBid, Price: 6412345000000, Size: 123000}, {Kind: KindBBO, Side: SideAsk, Price: 6412346000000, Size: 123000}})
	f("book-20-levels", levels)

	type tradeJSON struct {
		Type, Topic               string
		Seq, Prev                 uint64
		TsEvent, TsRecv           string
		ID, Price, Size, SideName string
	}
	b.Run("trade-baseline-encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := json.Marshal(&tradeJSON{"trade", "binance.trades.BTC-USDT", 123456, 123455, "1763842100123000000",
				"1763842100123456789", "1234567890", Decimal{trade.Price, -8}.String(), Decimal{trade.Size, -8}.String(), "buy"}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
