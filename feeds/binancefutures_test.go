package feeds

import (
	"encoding/json"
	"errors"
	"testing"

	"tickrelay/ring/md"
)

func binanceUSDMFixture() fixture {
	btc := subFor("BTC-USDT-PERP", "BTCUSDT", md.InstrumentPerp)
	dated := subFor("BTC-USDT-260327", "BTCUSDT_260327", md.InstrumentFuture)
	dated.Expiry = 1774598400000e6
	dec := func(mant int64, exp int8) md.Decimal { return md.Decimal{Mant: mant, Exp: exp} }
	return fixture{
		venue: BinanceUSDM{},
		requests: []requestCase{{
			subs:        []Sub{{md.ChannelBook, btc}, {md.ChannelBBO, btc}, {md.ChannelBook, dated}},
			subscribe:   []string{`{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms","btcusdt@bookTicker","btcusdt_260327@depth@100ms"],"id":1}`},
			unsubscribe: []string{`{"method":"UNSUBSCRIBE","params":["btcusdt@depth@100ms","btcusdt@bookTicker","btcusdt_260327@depth@100ms"],"id":1}`},
		}, {
			subs: []Sub{{md.ChannelTrades, btc}, {md.ChannelTicker, btc}, {md.ChannelFunding, btc}, {md.ChannelLiquidations, btc},
				{md.ChannelStatus, btc}, {md.ChannelFunding, dated}, {md.ChannelStatus, dated}, {md.ChannelOpenInterest, btc}},
			subscribe:   []string{`{"method":"SUBSCRIBE","params":["btcusdt@aggTrade","btcusdt@ticker","btcusdt@markPrice@1s","btcusdt@forceOrder","!contractInfo"],"id":1}`},
			unsubscribe: []string{`{"method":"UNSUBSCRIBE","params":["btcusdt@aggTrade","btcusdt@ticker","btcusdt@markPrice@1s","btcusdt@forceOrder","!contractInfo"],"id":1}`},
		}},
		catalogues: []catalogueCase{{
			body: `{"futuresType":"U_MARGINED","symbols":[
				{"symbol":"BTCUSDT","pair":"BTCUSDT","contractType":"PERPETUAL","deliveryDate":4133404800000,"status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","marginAsset":"USDT","filters":[{"filterType":"PRICE_FILTER","tickSize":"0.10"},{"filterType":"LOT_SIZE","stepSize":"0.001"},{"filterType":"MARKET_LOT_SIZE","stepSize":"0.010"}]},
				{"symbol":"BTCUSDT_260327","contractType":"CURRENT_QUARTER","deliveryDate":1774598400000,"status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","filters":[{"filterType":"PRICE_FILTER","tickSize":"0.10"},{"filterType":"LOT_SIZE","stepSize":"0.001"}]},
				{"symbol":"OLDUSDT","contractType":"PERPETUAL","status":"SETTLING","baseAsset":"OLD","quoteAsset":"USDT"}]}`,
			want: []md.Instrument{
				{Kind: md.InstrumentPerp, Symbol: "BTC-USDT-PERP", Native: "BTCUSDT", PriceExp: -1, SizeExp: -3, Tick: dec(1, -1), Lot: dec(1, -3), ContractSize: dec(1, 0)},
				{Kind: md.InstrumentFuture, Symbol: "BTC-USDT-260327", Native: "BTCUSDT_260327", PriceExp: -1, SizeExp: -3, Tick: dec(1, -1), Lot: dec(1, -3), ContractSize: dec(1, 0), Expiry: 1774598400000e6},
			},
		}},
		symbols: []symbolCase{
			{native: "BTCUSDT", symbol: "BTC-USDT-PERP", kind: md.InstrumentPerp},
			{native: "1000PEPEUSDC", symbol: "1000PEPE-USDC-PERP", kind: md.InstrumentPerp},
			{native: "ETHBTC", symbol: "ETH-BTC-PERP", kind: md.InstrumentPerp},
			{native: "BTCUSDT_260327", symbol: "BTC-USDT-260327", kind: md.InstrumentFuture},
		},
		captures: []captureCase{
			{file: "binance/usdm_2021-07-22_cf.ndjson.gz", least: map[md.Channel]int{md.ChannelTrades: 91, md.ChannelBook: 2000, md.ChannelBBO: 2 * 613}},
			{file: "binance/usdm_btcusdt_2024-08-08.ndjson.gz", least: map[md.Channel]int{md.ChannelTrades: 21313, md.ChannelBook: 100000, md.ChannelBBO: 2 * 66089}},
		},
		refused:   []string{"binance/spot_2021-10-12_cf.ndjson.gz"},
		reference: referenceBinanceFutures,
	}
}

func binanceCOINMFixture() fixture {
	btc := subFor("BTC-USD-PERP", "BTCUSD_PERP", md.InstrumentPerpInverse)
	dec := func(mant int64, exp int8) md.Decimal { return md.Decimal{Mant: mant, Exp: exp} }
	return fixture{
		venue: BinanceCOINM{},
		requests: []requestCase{{
			subs:        []Sub{{md.ChannelBook, btc}, {md.ChannelBBO, btc}, {md.ChannelTrades, btc}, {md.ChannelFunding, btc}, {md.ChannelTicker, btc}},
			subscribe:   []string{`{"method":"SUBSCRIBE","params":["btcusd_perp@depth@100ms","btcusd_perp@bookTicker","btcusd_perp@aggTrade","btcusd_perp@markPrice@1s","btcusd_perp@ticker"],"id":1}`},
			unsubscribe: []string{`{"method":"UNSUBSCRIBE","params":["btcusd_perp@depth@100ms","btcusd_perp@bookTicker","btcusd_perp@aggTrade","btcusd_perp@markPrice@1s","btcusd_perp@ticker"],"id":1}`},
		}},
		catalogues: []catalogueCase{{
			body: `{"symbols":[
				{"symbol":"BTCUSD_PERP","pair":"BTCUSD","contractType":"PERPETUAL","deliveryDate":4133404800000,"contractStatus":"TRADING","contractSize":100,"baseAsset":"BTC","quoteAsset":"USD","marginAsset":"BTC","filters":[{"filterType":"PRICE_FILTER","tickSize":"0.1"},{"filterType":"LOT_SIZE","stepSize":"1"}]},
				{"symbol":"ETHUSD_260327","contractType":"CURRENT_QUARTER","deliveryDate":1774598400000,"contractStatus":"TRADING","contractSize":10,"baseAsset":"ETH","quoteAsset":"USD","filters":[{"filterType":"PRICE_FILTER","tickSize":"0.01"},{"filterType":"LOT_SIZE","stepSize":"1"}]},
				{"symbol":"OLDUSD_PERP","contractStatus":"PENDING_TRADING","contractSize":10,"baseAsset":"OLD","quoteAsset":"USD"}]}`,
			want: []md.Instrument{
				{Kind: md.InstrumentPerpInverse, Symbol: "BTC-USD-PERP", Native: "BTCUSD_PERP", PriceExp: -1, Tick: dec(1, -1), Lot: dec(1, 0), ContractSize: dec(1, 2)},
				{Kind: md.InstrumentFutureInverse, Symbol: "ETH-USD-260327", Native: "ETHUSD_260327", PriceExp: -2, Tick: dec(1, -2), Lot: dec(1, 0), ContractSize: dec(1, 1), Expiry: 1774598400000e6},
			},
		}},
		symbols: []symbolCase{
			{native: "BTCUSD_PERP", symbol: "BTC-USD-PERP", kind: md.InstrumentPerpInverse},
			{native: "ETHUSD_260327", symbol: "ETH-USD-260327", kind: md.InstrumentFutureInverse},
		},
		captures: []captureCase{{file: "binance/coinm_btcusd_perp_2024-08-08.ndjson.gz",
			least: map[md.Channel]int{md.ChannelTrades: 5235, md.ChannelBook: 44795, md.ChannelBBO: 2 * 48355}}},
		reference: referenceBinanceFutures,
	}
}

// referenceBinanceFutures reads depth, trades and bookTicker.
func referenceBinanceFutures(t *testing.T, frame string) (recs []refRecord, known bool) {
	var root map[string]any
	if json.Unmarshal([]byte(frame), &root) != nil {
		return nil, false
	}
	if data, ok := root["data"].(map[string]any); ok {
		root = data
	}
	switch root["e"] {
	case "depthUpdate":
		return append(refSide(root["b"], md.SideBid), refSide(root["a"], md.SideAsk)...), true
	case "aggTrade", "trade":
		side := md.SideBuy
		if root["m"].(bool) {
			side = md.SideSell
		}
		return []refRecord{{side, root["p"].(string), root["q"].(string)}}, true
	case "bookTicker":
		return []refRecord{{md.SideBid, root["b"].(string), root["B"].(string)}, {md.SideAsk, root["a"].(string), root["A"].(string)}}, true
	}
	return nil, false
}

func TestBinanceFuturesSequence(t *testing.T) {
	rest, live := BookState{Seq: 160, FromREST: true}, BookState{Seq: 160}
	update := func(first, last, prev int64) Event { return Event{SeqFirst: first, SeqLast: last, SeqPrev: prev} }
	for _, c := range []struct {
		what  string
		book  BookState
		event Event
		want  Verdict
	}{
		{"snapshot", live, Event{Action: ActionReplace}, VerdictApply},
		{"before a snapshot", BookState{Empty: true}, update(1, 2, 0), VerdictWait},
		{"older than the snapshot", rest, update(150, 159, 149), VerdictIgnore},
		{"ends at the snapshot", rest, update(155, 160, 154), VerdictApply},
		{"around the snapshot", rest, update(158, 165, 157), VerdictApply},
		{"right behind the snapshot", rest, update(163, 165, 160), VerdictApply},
		{"begins after the snapshot", rest, update(163, 165, 162), VerdictGap},
		{"chains", live, update(163, 165, 160), VerdictApply},
		{"one missing", live, update(166, 170, 165), VerdictGap},
		{"overlaps without chaining", live, update(158, 165, 157), VerdictGap},
		{"repeated", live, update(155, 160, 154), VerdictIgnore},
	} {
		for _, v := range []Venue{BinanceUSDM{}, BinanceCOINM{}} {
			if got := v.Sequence(&c.book, &c.event); got != c.want {
				t.Errorf("%s, %s: %d, want %d", v.Spec().Name, c.what, got, c.want)
			}
		}
	}
}

func TestBinanceFuturesRefuse(t *testing.T) {
	for _, frame := range []string{
		`{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":5,"u":4,"pu":3,"b":[],"a":[]}`, // ends before it begins
		`{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":4,"u":4,"pu":3,"b":[]}`,
		`{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":4,"u":4,"pu":3,"b":[],"a":[],"b":[]}`,
		`{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":4,"u":4,"pu":3,"b":[["1","-1"]],"a":[]}`,
		`{"e":"aggTrade","E":1,"s":"BTCUSDT","p":"1","q":"1","f":1,"l":1,"T":1763842100120,"m":true}`, // no id
		`{"e":"aggTrade","E":1,"s":"BTCUSDT","a":1,"p":"1","q":"1","f":2,"l":1,"T":1763842100120,"m":true}`,
		`{"e":"aggTrade","E":1,"s":"BTCUSDT","a":1,"p":"1","q":"-1","f":1,"l":1,"T":1763842100120,"m":true}`,
		`{"e":"trade","E":1,"T":1763842100120,"s":"BTCUSDT","t":1,"p":"1","m":true}`,
		`{"e":"bookTicker","u":1,"s":"BTCUSDT","b":"1","B":"1","a":"2"}`,
		`{"e":"bookTicker","u":1,"u":1,"s":"BTCUSDT","b":"1","B":"1","a":"2","A":"1"}`,
		`{"e":"markPriceUpdate","s":"BTCUSDT","p":"1"}`,
		`{"e":"forceOrder","E":1}`,
		`{"e":"forceOrder","E":1,"o":{"s":"BTCUSDT","S":"SELL","q":"1"}}`,
		`{"e":"contractInfo","E":1,"s":"BTCUSDT"}`,
	} {
		var d Decoded
		for _, v := range []Venue{BinanceUSDM{}, BinanceCOINM{}} {
			if err := v.Decode([]byte(frame), &d); err == nil || errors.Is(err, ErrUnsupported) {
				t.Errorf("%s: %v: %s", v.Spec().Name, err, frame)
			}
			d.Reset()
		}
	}
}

// TestBinanceFuturesCaptures holds whole sessions to the rule.
func TestBinanceFuturesCaptures(t *testing.T) {
	for _, c := range []struct {
		venue Venue
		file  string
		books uint64
	}{
		{BinanceUSDM{}, "binance/usdm_2021-07-22_cf.ndjson.gz", 4},
		{BinanceUSDM{}, "binance/usdm_btcusdt_2024-08-08.ndjson.gz", 1},
		{BinanceCOINM{}, "binance/coinm_btcusd_perp_2024-08-08.ndjson.gz", 1},
	} {
		if raceEnabled && c.books == 1 {
			continue // minutes under the race detector, and the same way as the others
		}
		_, sum, err := normalizeBytes(t, c.venue, captureFile(t, c.file))
		if err != nil || sum.Rejected != 0 || sum.Gaps != 0 || sum.BooksCrossed != 0 || sum.BooksBuilt != c.books {
			t.Errorf("%s: %v\n%s", c.file, err, sum)
		}
	}
}

func FuzzDecodeBinanceUSDM(f *testing.F)  { fuzzVenue(f, BinanceUSDM{}) }
func FuzzDecodeBinanceCOINM(f *testing.F) { fuzzVenue(f, BinanceCOINM{}) }
