package feeds

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"tickrelay/ring/md"
)

func kucoinFixture() fixture {
	btc := subFor("BTC-USDT", "BTC-USDT", md.InstrumentSpot)
	eth := subFor("ETH-USDT", "ETH-USDT", md.InstrumentSpot)
	frames := func(op string) []string {
		return []string{
			`{"type":"` + op + `","topic":"/market/match:BTC-USDT,ETH-USDT","privateChannel":false,"response":true,"id":"1"}`,
			`{"type":"` + op + `","topic":"/spotMarket/level2Depth50:BTC-USDT","privateChannel":false,"response":true,"id":"2"}`,
			`{"type":"` + op + `","topic":"/market/ticker:BTC-USDT","privateChannel":false,"response":true,"id":"3"}`,
			`{"type":"` + op + `","topic":"/market/snapshot:BTC-USDT","privateChannel":false,"response":true,"id":"4"}`,
		}
	}
	dec := func(mant int64, exp int8) md.Decimal { return md.Decimal{Mant: mant, Exp: exp} }
	return fixture{
		venue: Kucoin{},
		requests: []requestCase{{
			subs: []Sub{{md.ChannelBook, btc}, {md.ChannelTrades, btc}, {md.ChannelBBO, btc}, {md.ChannelTicker, btc},
				{md.ChannelTrades, eth}, {md.ChannelFunding, btc}},
			subscribe: frames("subscribe"), unsubscribe: frames("unsubscribe"),
		}},
		catalogues: []catalogueCase{{
			body: `{"code":"200000","data":[{"symbol":"BTC-USDT","name":"BTC-USDT","baseCurrency":"BTC","quoteCurrency":"USDT","baseIncrement":"0.00000001","priceIncrement":"0.1","enableTrading":true},{"symbol":"OLD-USDT","baseIncrement":"1","priceIncrement":"1","enableTrading":false}]}`,
			want: []md.Instrument{{Kind: md.InstrumentSpot, Symbol: "BTC-USDT", Native: "BTC-USDT", PriceExp: -1, SizeExp: -8, Tick: dec(1, -1), Lot: dec(1, -8)}},
		}},
		symbols: []symbolCase{{native: "BTC-USDT", symbol: "BTC-USDT", kind: md.InstrumentSpot}},
		captures: []captureCase{{file: "kucoin/spot_2021-04-25.ndjson.gz",
			least: map[md.Channel]int{md.ChannelTrades: 18, md.ChannelBook: 2000, md.ChannelBBO: 2 * 830}}},
		reference: referenceKucoin,
	}
}

func kucoinFuturesFixture() fixture {
	btc := subFor("BTC-USDT-PERP", "XBTUSDTM", md.InstrumentPerp)
	frames := func(op string) []string {
		return []string{
			`{"type":"` + op + `","topic":"/contractMarket/execution:XBTUSDTM","privateChannel":false,"response":true,"id":"1"}`,
			`{"type":"` + op + `","topic":"/contractMarket/level2:XBTUSDTM","privateChannel":false,"response":true,"id":"2"}`,
			`{"type":"` + op + `","topic":"/contractMarket/tickerV2:XBTUSDTM","privateChannel":false,"response":true,"id":"3"}`,
			`{"type":"` + op + `","topic":"/contractMarket/snapshot:XBTUSDTM","privateChannel":false,"response":true,"id":"4"}`,
			`{"type":"` + op + `","topic":"/contract/instrument:XBTUSDTM","privateChannel":false,"response":true,"id":"5"}`,
		}
	}
	dec := func(mant int64, exp int8) md.Decimal { return md.Decimal{Mant: mant, Exp: exp} }
	return fixture{
		venue: KucoinFutures{},
		requests: []requestCase{{
			subs: []Sub{{md.ChannelBook, btc}, {md.ChannelTrades, btc}, {md.ChannelBBO, btc}, {md.ChannelTicker, btc},
				{md.ChannelFunding, btc}, {md.ChannelOpenInterest, btc}},
			subscribe: frames("subscribe"), unsubscribe: frames("unsubscribe"),
		}},
		catalogues: []catalogueCase{{
			body: `{"code":"200000","data":[
				{"symbol":"XBTUSDTM","type":"FFWCSX","expireDate":null,"baseCurrency":"XBT","quoteCurrency":"USDT","isInverse":false,"multiplier":0.001,"tickSize":0.1,"lotSize":1,"status":"Open"},
				{"symbol":"XBTUSDM","expireDate":null,"baseCurrency":"XBT","quoteCurrency":"USD","isInverse":true,"multiplier":-1.0,"tickSize":0.1,"lotSize":1,"status":"Open"},
				{"symbol":"XBTMH26","type":"FFICSX","expireDate":1774598400000,"baseCurrency":"XBT","quoteCurrency":"USD","isInverse":true,"multiplier":-1.0,"tickSize":0.5,"lotSize":1,"status":"Open"},
				{"symbol":"OLDUSDTM","baseCurrency":"OLD","quoteCurrency":"USDT","multiplier":1,"tickSize":1E-5,"lotSize":1,"status":"Paused"}]}`,
			want: []md.Instrument{
				{Kind: md.InstrumentPerp, Symbol: "BTC-USDT-PERP", Native: "XBTUSDTM", PriceExp: -1, Tick: dec(1, -1), Lot: dec(1, 0), ContractSize: dec(1, -3)},
				{Kind: md.InstrumentPerpInverse, Symbol: "BTC-USD-PERP", Native: "XBTUSDM", PriceExp: -1, Tick: dec(1, -1), Lot: dec(1, 0), ContractSize: dec(1, 0)},
				{Kind: md.InstrumentFutureInverse, Symbol: "BTC-USD-260327", Native: "XBTMH26", PriceExp: -1, Tick: dec(5, -1), Lot: dec(1, 0), ContractSize: dec(1, 0), Expiry: 1774598400000e6},
			},
		}},
		symbols: []symbolCase{
			{native: "XBTUSDTM", symbol: "BTC-USDT-PERP", kind: md.InstrumentPerp},
			{native: "XBTUSDM", symbol: "BTC-USD-PERP", kind: md.InstrumentPerpInverse},
			{native: "ETHUSDM", symbol: "ETH-USD-PERP", kind: md.InstrumentPerpInverse},
			{native: "SOLUSDCM", symbol: "SOL-USDC-PERP", kind: md.InstrumentPerp},
			{native: "XBTMH26", symbol: "BTC-USD-260327", kind: md.InstrumentFutureInverse},
		},
		reference: referenceKucoin,
	}
}

// referenceKucoin reads matches, updates of level2 and tickers.
func referenceKucoin(t *testing.T, frame string) (recs []refRecord, known bool) {
	var root struct {
		Subject string
		Data    map[string]any
	}
	if json.Unmarshal([]byte(frame), &root) != nil {
		return nil, false
	}
	text := func(key string) string {
		s, _ := root.Data[key].(string)
		return s
	}
	switch root.Subject {
	case "trade.l3match":
		return []refRecord{{map[string]uint8{"buy": md.SideBuy, "sell": md.SideSell}[text("side")], text("price"), text("size")}}, true
	case "trade.ticker":
		return []refRecord{{md.SideBid, text("bestBid"), text("bestBidSize")}, {md.SideAsk, text("bestAsk"), text("bestAskSize")}}, true
	case "trade.l2update":
		changes := root.Data["changes"].(map[string]any)
		recs = append(refSide(changes["asks"], md.SideAsk), refSide(changes["bids"], md.SideBid)...)
		recs = slices.DeleteFunc(recs, func(r refRecord) bool { return r.price == "0" })
		if strings.Index(frame, `"bids":`) < strings.Index(frame, `"asks":`) {
			slices.SortStableFunc(recs, func(a, b refRecord) int { return int(a.side) - int(b.side) })
		}
		return recs, true
	}
	return nil, false
}

func TestKucoinCapture(t *testing.T) {
	_, sum, err := normalizeBytes(t, Kucoin{}, captureFile(t, "kucoin/spot_2021-04-25.ndjson.gz"))
	if err != nil || sum.Rejected != 0 || sum.Gaps != 0 || sum.BooksCrossed != 0 || sum.BooksBuilt != 9 {
		t.Errorf("%v\n%s", err, sum)
	}
}

func TestKucoinEndpoint(t *testing.T) {
	answer := `{"code":"200000","data":{"token":"a b/c","instanceServers":[{"endpoint":"wss://ws-api-spot.kucoin.com/","encrypt":true,"protocol":"websocket","pingInterval":18000}]}}`
	for ws, want := range map[string]string{
		"":                        "wss://ws-api-spot.kucoin.com/?connectId=1-2&token=a+b%2Fc",
		"ws://127.0.0.1:99/x?y=1": "ws://127.0.0.1:99/x?connectId=1-2&token=a+b%2Fc&y=1",
	} {
		if got, err := (Kucoin{}).Endpoint([]byte(answer), ws, "1-2"); err != nil || got != want {
			t.Errorf("%q: %q %v, want %q", ws, got, err, want)
		}
	}
	for _, body := range []string{``, `{}`, `{"code":"429000","msg":"Too many requests"}`, `{"code":"200000","data":{"token":"x","instanceServers":[]}}`,
		`{"code":"200000","data":{"token":"x","instanceServers":[{"endpoint":"%"}]}}`} {
		if got, err := (KucoinFutures{}).Endpoint([]byte(body), "", "1"); err == nil {
			t.Errorf("%s gives %q", body, got)
		}
	}
	if rq := (Kucoin{}).Bootstrap("https://x"); rq.URL != "https://x/api/v1/bullet-public" || rq.Body == nil {
		t.Errorf("%+v", rq)
	}
}

func TestKucoinRefuses(t *testing.T) {
	push := func(topic, subject, data string) string {
		return `{"topic":"` + topic + `:XBTUSDTM","type":"message","subject":"` + subject + `","data":` + data + `}`
	}
	for _, frame := range []string{
		push("/market/match", "trade.l3match", `{"price":"1","size":"1","side":"buy"}`),
		push("/market/match", "trade.l3match", `{"price":"1","size":"-1","side":"buy","tradeId":"1"}`),
		push("/market/level2", "trade.l2update", `{"changes":{"asks":[],"bids":[]},"sequenceStart":2,"sequenceEnd":1}`),
		push("/market/level2", "trade.l2update", `{"changes":{"asks":[],"asks":[]},"sequenceStart":1,"sequenceEnd":1}`),
		push("/market/level2", "trade.l2update", `{"sequenceStart":1,"sequenceEnd":1}`),
		push("/spotMarket/level2Depth50", "level2", `{"asks":[]}`),
		push("/contractMarket/level2", "level2", `{"sequence":1,"change":"1,hold,1"}`),
		push("/contractMarket/level2", "level2", `{"sequence":1,"change":"1,buy"}`),
		push("/contractMarket/level2", "level2", `{"sequence":1,"change":"1,buy,1,2"}`),
		push("/contractMarket/level2", "level2", `{"sequence":1,"change":"1,buy,-1"}`),
		push("/contractMarket/level2", "level2", `{"sequence":1,"change":",buy,1"}`),
		push("/contractMarket/level2", "level2", `{"change":"1,buy,1"}`),
		push("/market/ticker", "trade.ticker", `{"bestAsk":"1","bestAskSize":"1","bestBid":"1"}`),
		push("/market/snapshot", "trade.snapshot", `{"sequence":"1"}`),
		push("/contractMarket/snapshot", "snapshot.24h", `{"lastPrice":1}`),
		push("/contract/instrument", "funding.rate", `{"granularity":60000,"timestamp":1}`),
	} {
		var d Decoded
		if err := (KucoinFutures{}).Decode([]byte(frame), &d); err == nil {
			t.Errorf("accepted: %s", frame)
		}
	}
}

func TestKucoinSnapshot(t *testing.T) {
	in := subFor("BTC-USDT-PERP", "XBTUSDTM", md.InstrumentPerp)
	var d Decoded
	if err := (KucoinFutures{}).DecodeSnapshot([]byte(`{"code":"200000","data":{"symbol":"XBTUSDTM","sequence":100,"asks":[["5000.5",1000]],"bids":[["5000.0","20"],["4999",1]],"ts":1763842100400000000}}`), in, &d); err != nil {
		t.Fatal(err)
	}
	if ev := d.Events[0]; ev.SeqLast != 100 || ev.Action != ActionReplace || len(d.Recs) != 3 || d.Recs[0].TsEvent != 1763842100400000000 {
		t.Errorf("%+v %+v", ev, d.Recs)
	}
	for _, body := range []string{``, `{}`, `{"code":"400100","msg":"x"}`, `{"data":null}`, `{"data":{"sequence":1,"asks":[]}}`, `{"data":{"sequence":1,"asks":[],"bids":[]}`, `{"data":{"sequence":1,"asks":[["1"]],"bids":[]}}`} {
		d.Reset()
		if err := (Kucoin{}).DecodeSnapshot([]byte(body), in, &d); err == nil {
			t.Errorf("accepted: %s", body)
		}
	}
}

func FuzzDecodeKucoin(f *testing.F)        { fuzzVenue(f, Kucoin{}) }
func FuzzDecodeKucoinFutures(f *testing.F) { fuzzVenue(f, KucoinFutures{}) }
