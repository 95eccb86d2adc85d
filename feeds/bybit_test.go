package feeds

import (
	"encoding/json"
	"strings"
	"testing"

	"tickrelay/ring/md"
)

func bybitFixtures() []fixture {
	dec := func(mant int64, exp int8) md.Decimal { return md.Decimal{Mant: mant, Exp: exp} }
	spot := subFor("BTC-USDT", "BTCUSDT", md.InstrumentSpot)
	perp := subFor("BTC-USDT-PERP", "BTCUSDT", md.InstrumentPerp)
	dated := subFor("BTC-USDT-251226", "BTCUSDT-26DEC25", md.InstrumentFuture)
	dated.Expiry = 1766736000000e6
	coin := subFor("BTC-USD-PERP", "BTCUSD", md.InstrumentPerpInverse)
	all := func(in *md.Instrument) (subs []Sub) {
		for _, ch := range []md.Channel{md.ChannelBook, md.ChannelTrades, md.ChannelBBO, md.ChannelTicker, md.ChannelFunding,
			md.ChannelOpenInterest, md.ChannelLiquidations, md.ChannelStatus} {
			subs = append(subs, Sub{ch, in})
		}
		return subs
	}
	return []fixture{{
		venue: Bybit{},
		requests: []requestCase{{
			subs:        all(spot),
			subscribe:   []string{`{"req_id":"1","op":"subscribe","args":["orderbook.200.BTCUSDT","publicTrade.BTCUSDT","orderbook.1.BTCUSDT","tickers.BTCUSDT"]}`},
			unsubscribe: []string{`{"req_id":"1","op":"unsubscribe","args":["orderbook.200.BTCUSDT","publicTrade.BTCUSDT","orderbook.1.BTCUSDT","tickers.BTCUSDT"]}`},
		}, {
			subs: append(all(spot), append(all(subFor("A-USDT", "AUSDT", md.InstrumentSpot)), all(subFor("B-USDT", "BUSDT", md.InstrumentSpot))...)...),
			subscribe: []string{
				`{"req_id":"1","op":"subscribe","args":["orderbook.200.BTCUSDT","publicTrade.BTCUSDT","orderbook.1.BTCUSDT","tickers.BTCUSDT","orderbook.200.AUSDT","publicTrade.AUSDT","orderbook.1.AUSDT","tickers.AUSDT","orderbook.200.BUSDT","publicTrade.BUSDT"]}`,
				`{"req_id":"2","op":"subscribe","args":["orderbook.1.BUSDT","tickers.BUSDT"]}`},
			unsubscribe: []string{
				`{"req_id":"1","op":"unsubscribe","args":["orderbook.200.BTCUSDT","publicTrade.BTCUSDT","orderbook.1.BTCUSDT","tickers.BTCUSDT","orderbook.200.AUSDT","publicTrade.AUSDT","orderbook.1.AUSDT","tickers.AUSDT","orderbook.200.BUSDT","publicTrade.BUSDT"]}`,
				`{"req_id":"2","op":"unsubscribe","args":["orderbook.1.BUSDT","tickers.BUSDT"]}`},
		}},
		catalogues: []catalogueCase{{
			body: `{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[{"symbol":"BTCUSDT","baseCoin":"BTC","quoteCoin":"USDT","status":"Trading","lotSizeFilter":{"basePrecision":"0.000001","quotePrecision":"0.0000001"},"priceFilter":{"tickSize":"0.01"}},{"symbol":"OLDUSDT","baseCoin":"OLD","quoteCoin":"USDT","status":"Closed"}]},"time":1}`,
			want: []md.Instrument{{Kind: md.InstrumentSpot, Symbol: "BTC-USDT", Native: "BTCUSDT", PriceExp: -2, SizeExp: -6, Tick: dec(1, -2), Lot: dec(1, -6)}},
		}},
		symbols: []symbolCase{
			{native: "BTCUSDT", symbol: "BTC-USDT", kind: md.InstrumentSpot},
			{native: "ETHBTC", symbol: "ETH-BTC", kind: md.InstrumentSpot},
		},
		reference: referenceBybit,
	}, {
		venue: Bybit{BybitLinear},
		requests: []requestCase{{
			subs:        append(all(perp), Sub{md.ChannelFunding, dated}, Sub{md.ChannelLiquidations, dated}),
			subscribe:   []string{`{"req_id":"1","op":"subscribe","args":["orderbook.200.BTCUSDT","publicTrade.BTCUSDT","orderbook.1.BTCUSDT","tickers.BTCUSDT","allLiquidation.BTCUSDT","allLiquidation.BTCUSDT-26DEC25"]}`},
			unsubscribe: []string{`{"req_id":"1","op":"unsubscribe","args":["orderbook.200.BTCUSDT","publicTrade.BTCUSDT","orderbook.1.BTCUSDT","tickers.BTCUSDT","allLiquidation.BTCUSDT","allLiquidation.BTCUSDT-26DEC25"]}`},
		}},
		catalogues: []catalogueCase{{
			body: `{"retCode":0,"result":{"category":"linear","nextPageCursor":"first%3DBTC&x","list":[
				{"symbol":"BTCPERP","contractType":"LinearPerpetual","status":"Trading","baseCoin":"BTC","quoteCoin":"USDC","deliveryTime":"0","priceFilter":{"tickSize":"0.10"},"lotSizeFilter":{"qtyStep":"0.001"}},
				{"symbol":"BTCUSDT-26DEC25","contractType":"LinearFutures","status":"Trading","baseCoin":"BTC","quoteCoin":"USDT","deliveryTime":"1766736000000","priceFilter":{"tickSize":"0.5"},"lotSizeFilter":{"qtyStep":"0.001"}},
				{"symbol":"NEWUSDT","contractType":"LinearPerpetual","status":"PreLaunch","baseCoin":"NEW","quoteCoin":"USDT"}]}}`,
			want: []md.Instrument{
				{Kind: md.InstrumentPerp, Symbol: "BTC-USDC-PERP", Native: "BTCPERP", PriceExp: -1, SizeExp: -3, Tick: dec(1, -1), Lot: dec(1, -3), ContractSize: dec(1, 0)},
				{Kind: md.InstrumentFuture, Symbol: "BTC-USDT-251226", Native: "BTCUSDT-26DEC25", PriceExp: -1, SizeExp: -3, Tick: dec(5, -1), Lot: dec(1, -3), ContractSize: dec(1, 0), Expiry: 1766736000000e6},
			},
			more: "&cursor=first%253DBTC%26x",
		}},
		symbols: []symbolCase{
			{native: "BTCUSDT", symbol: "BTC-USDT-PERP", kind: md.InstrumentPerp},
			{native: "BTCPERP", symbol: "BTC-USDC-PERP", kind: md.InstrumentPerp},
			{native: "BTCUSDT-26DEC25", symbol: "BTC-USDT-251226", kind: md.InstrumentFuture},
			{native: "ETH-27MAR26", symbol: "ETH-USDC-260327", kind: md.InstrumentFuture},
		},
		captures: []captureCase{
			{file: "bybit/v5_linear_2026-08-09.ndjson.gz", least: map[md.Channel]int{md.ChannelTrades: 102, md.ChannelBook: 1594,
				md.ChannelTicker: 200, md.ChannelFunding: 4, md.ChannelOpenInterest: 4}},
			{file: "bybit/v5_linear_ob1_2025-06-13.ndjson.gz", least: map[md.Channel]int{md.ChannelBBO: 2 * 198}},
		},
		reference: referenceBybit,
	}, {
		venue: Bybit{BybitInverse},
		requests: []requestCase{{
			subs:        []Sub{{md.ChannelBook, coin}},
			subscribe:   []string{`{"req_id":"1","op":"subscribe","args":["orderbook.200.BTCUSD"]}`},
			unsubscribe: []string{`{"req_id":"1","op":"unsubscribe","args":["orderbook.200.BTCUSD"]}`},
		}},
		catalogues: []catalogueCase{{
			body: `{"retCode":0,"result":{"category":"inverse","nextPageCursor":"","list":[
				{"symbol":"BTCUSD","contractType":"InversePerpetual","status":"Trading","baseCoin":"BTC","quoteCoin":"USD","deliveryTime":"0","priceFilter":{"tickSize":"0.10"},"lotSizeFilter":{"qtyStep":"1"}},
				{"symbol":"BTCUSDZ25","contractType":"InverseFutures","status":"Trading","baseCoin":"BTC","quoteCoin":"USD","deliveryTime":"1766736000000","priceFilter":{"tickSize":"0.50"},"lotSizeFilter":{"qtyStep":"1"}}]}}`,
			want: []md.Instrument{
				{Kind: md.InstrumentPerpInverse, Symbol: "BTC-USD-PERP", Native: "BTCUSD", PriceExp: -1, Tick: dec(1, -1), Lot: dec(1, 0), ContractSize: dec(1, 0)},
				{Kind: md.InstrumentFutureInverse, Symbol: "BTC-USD-251226", Native: "BTCUSDZ25", PriceExp: -1, Tick: dec(5, -1), Lot: dec(1, 0), ContractSize: dec(1, 0), Expiry: 1766736000000e6},
			},
		}},
		symbols: []symbolCase{
			{native: "BTCUSD", symbol: "BTC-USD-PERP", kind: md.InstrumentPerpInverse},
			{native: "BTCUSDZ25", symbol: "BTC-USD-251226", kind: md.InstrumentFutureInverse},
			{native: "ETHUSDH26", symbol: "ETH-USD-260327", kind: md.InstrumentFutureInverse},
		},
		reference: referenceBybit,
	}}
}

// referenceBybit reads trades, whole books and whole quotes.
func referenceBybit(t *testing.T, frame string) (recs []refRecord, known bool) {
	var root struct {
		Topic, Type string
		Data        json.RawMessage
	}
	if json.Unmarshal([]byte(frame), &root) != nil {
		return nil, false
	}
	switch {
	case strings.HasPrefix(root.Topic, "publicTrade."):
		var data []struct {
			Side  string `json:"S"`
			Size  string `json:"v"`
			Price string `json:"p"`
		}
		if json.Unmarshal(root.Data, &data) != nil {
			return nil, false
		}
		for _, e := range data {
			recs = append(recs, refRecord{map[string]uint8{"Buy": md.SideBuy, "Sell": md.SideSell}[e.Side], e.Price, e.Size})
		}
		return recs, true
	case strings.HasPrefix(root.Topic, "orderbook.1."):
		return nil, false
	case strings.HasPrefix(root.Topic, "orderbook."):
		var data map[string]any
		if json.Unmarshal(root.Data, &data) != nil {
			return nil, false
		}
		return append(refSide(data["b"], md.SideBid), refSide(data["a"], md.SideAsk)...), true
	}
	return nil, false
}

func TestBybitSequence(t *testing.T) {
	v := Bybit{}
	live := BookState{Seq: 160}
	for _, c := range []struct {
		what  string
		book  BookState
		event Event
		want  Verdict
	}{
		{"snapshot", live, Event{Action: ActionReplace, SeqLast: 1}, VerdictApply},
		{"in flight before the snapshot", BookState{Empty: true}, Event{SeqLast: 161}, VerdictIgnore},
		{"chains", live, Event{SeqLast: 161}, VerdictApply},
		{"one missing", live, Event{SeqLast: 162}, VerdictGap},
		{"repeated", live, Event{SeqLast: 160}, VerdictIgnore},
	} {
		if got := v.Sequence(&c.book, &c.event); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}

func TestBybitRefuses(t *testing.T) {
	for _, frame := range []string{
		`{"topic":"orderbook.200.A","type":"delta","ts":1763842100456,"data":{"s":"A","b":[],"u":1}}`,
		`{"topic":"orderbook.200.A","type":"delta","ts":1763842100456,"data":{"s":"A","b":[],"a":[]}}`,
		`{"topic":"orderbook.200.A","type":"delta","ts":1763842100456,"data":{"s":"A","b":[],"a":[],"b":[],"u":1}}`,
		`{"topic":"orderbook.200.A","topic":"orderbook.200.B","type":"delta","data":{"b":[],"a":[],"u":1}}`,
		`{"topic":"publicTrade.A","type":"snapshot","data":[{"T":1763842100456,"S":"Buy","v":"1","i":"1"}]}`,
		`{"topic":"publicTrade.A","type":"snapshot","data":[{"T":1763842100456,"S":"Buy","v":"-1","p":"1","i":"1"}]}`,
		`{"topic":"allLiquidation.A","type":"snapshot","data":[{"T":1763842100456,"S":"Hold","v":"1","p":"1"}]}`,
		`{"topic":"tickers.A","type":"snapshot","data":{"openInterest":"-1"}}`,
		`{"topic":"tickers.A","type":"snapshot","data":{"fundingIntervalHour":"8.5"}}`,
	} {
		var d Decoded
		if err := (Bybit{BybitLinear}).NewConn().Decode([]byte(frame), &d); err == nil {
			t.Errorf("accepted: %s", frame)
		}
	}
}

func TestBybitCapture(t *testing.T) {
	for file, books := range map[string]uint64{"bybit/v5_linear_2026-08-09.ndjson.gz": 4, "bybit/v5_linear_ob1_2025-06-13.ndjson.gz": 0} {
		_, sum, err := normalizeBytes(t, Bybit{BybitLinear}, captureFile(t, file))
		if err != nil || sum.Rejected != 0 || sum.Gaps != 0 || sum.BooksCrossed != 0 || sum.BooksBuilt != books {
			t.Errorf("%s: %v\n%s", file, err, sum)
		}
	}
}

// TestBybitDepth: the levels that leave the depth are told, so that no more than
// the subscribed ones are held.
func TestBybitDepth(t *testing.T) {
	books := map[string]*Book{}
	var d Decoded
	decode := Bybit{BybitLinear}.NewConn().Decode
	captures(t, "bybit/v5_linear_2026-08-09.ndjson.gz", func(n int, l *captureLine) {
		d.Reset()
		if l.Dir != "recv" || decode(l.bytes(t), &d) != nil {
			return
		}
		for k := range d.Events {
			ev := &d.Events[k]
			if ev.Channel != md.ChannelBook {
				continue
			}
			b := books[string(ev.Native)]
			if b == nil {
				b = newTestBook(-9, -9)
				books[string(ev.Native)] = b
			}
			applyTest(t, b, ev, d.Recs)
			if b.Bids.Len() > 200 || b.Asks.Len() > 200 {
				t.Fatalf("line %d: %s has %d and %d levels", n, ev.Native, b.Bids.Len(), b.Asks.Len())
			}
		}
	})
}

func TestBybitCatalogueOfTheCapture(t *testing.T) {
	lists := 0
	captures(t, "bybit/v5_linear_2026-08-09.rest.ndjson.gz", func(n int, l *captureLine) {
		v := Bybit{}
		if strings.Contains(l.URL, "category=linear") {
			v.Category = BybitLinear
		}
		total := 0
		if _, err := v.DecodeCatalogue([]byte(l.Body), func(in md.Instrument) {
			total++
			if native, ok := v.Native(in.Symbol); !ok || native != in.Native {
				t.Errorf("%s is %q in the list, %q by rule", in.Symbol, in.Native, native)
			}
			if in.Tick.Mant <= 0 || in.Lot.Mant <= 0 || md.CheckToken(in.Symbol) != nil {
				t.Errorf("%+v", in)
			}
		}); err != nil || total < 500 {
			t.Errorf("line %d: %d instruments, %v", n, total, err)
		}
		lists++
	})
	if lists != 2 {
		t.Errorf("%d lists", lists)
	}
}

func FuzzDecodeBybit(f *testing.F)        { fuzzVenue(f, Bybit{}) }
func FuzzDecodeBybitLinear(f *testing.F)  { fuzzVenue(f, Bybit{BybitLinear}) }
func FuzzDecodeBybitInverse(f *testing.F) { fuzzVenue(f, Bybit{BybitInverse}) }
