package feeds

import (
	"encoding/json"
	"testing"

	"tickrelay/ring/md"
)

func krakenFuturesFixture() fixture {
	perp := subFor("BTC-USD-PERP", "PF_XBTUSD", md.InstrumentPerp)
	inv := subFor("BTC-USD-PERP-INV", "PI_XBTUSD", md.InstrumentPerpInverse)
	dec := func(mant int64, exp int8) md.Decimal { return md.Decimal{Mant: mant, Exp: exp} }
	all := func(event string) []string {
		return []string{
			`{"event":"` + event + `","feed":"trade","product_ids":["PF_XBTUSD"]}`,
			`{"event":"` + event + `","feed":"book","product_ids":["PF_XBTUSD","PI_XBTUSD"]}`,
			`{"event":"` + event + `","feed":"ticker","product_ids":["PF_XBTUSD"]}`,
		}
	}
	return fixture{
		venue: KrakenFutures{},
		requests: []requestCase{{
			subs: []Sub{{md.ChannelTrades, perp}, {md.ChannelLiquidations, perp}, {md.ChannelBook, perp}, {md.ChannelBook, inv},
				{md.ChannelTicker, perp}, {md.ChannelFunding, perp}, {md.ChannelOpenInterest, perp}, {md.ChannelBBO, perp}, {md.ChannelStatus, perp}},
			subscribe: all("subscribe"), unsubscribe: all("unsubscribe"),
		}},
		catalogues: []catalogueCase{{
			body: `{"result":"success","serverTime":"2026-08-09T21:05:48.000Z","instruments":[
				{"symbol":"PF_XBTUSD","type":"flexible_futures","tickSize":0.5,"contractSize":1,"tradeable":true,"contractValueTradePrecision":4,"base":"BTC","quote":"USD"},
				{"symbol":"PF_PEPEUSD","type":"flexible_futures","tickSize":1e-9,"contractSize":1,"tradeable":true,"contractValueTradePrecision":-3},
				{"symbol":"fi_xbtusd_210924","type":"futures_inverse","lastTradingTime":"2021-09-24T15:00:00.000Z","tickSize":0.5,"contractSize":1,"tradeable":true},
				{"symbol":"PI_XBTUSD","type":"futures_inverse","tickSize":0.5,"contractSize":1,"tradeable":false},
				{"symbol":"in_xbtusd","type":"spot index","tradeable":false}]}`,
			want: []md.Instrument{
				{Kind: md.InstrumentPerp, Symbol: "BTC-USD-PERP", Native: "PF_XBTUSD", PriceExp: -1, SizeExp: -4, Tick: dec(5, -1), Lot: dec(1, -4), ContractSize: dec(1, 0)},
				{Kind: md.InstrumentPerp, Symbol: "PEPE-USD-PERP", Native: "PF_PEPEUSD", PriceExp: -9, Tick: dec(1, -9), Lot: dec(1, 3), ContractSize: dec(1, 0)},
				{Kind: md.InstrumentFutureInverse, Symbol: "BTC-USD-210924-INV", Native: "FI_XBTUSD_210924", PriceExp: -1, Tick: dec(5, -1), Lot: dec(1, 0), ContractSize: dec(1, 0), Expiry: 1632495600e9},
			},
		}},
		symbols: []symbolCase{
			{native: "PF_XBTUSD", symbol: "BTC-USD-PERP", kind: md.InstrumentPerp},
			{native: "PI_XBTUSD", symbol: "BTC-USD-PERP-INV", kind: md.InstrumentPerpInverse},
			{native: "PF_SOLUSD", symbol: "SOL-USD-PERP", kind: md.InstrumentPerp},
			{native: "PV_XRPXBT", symbol: "XRP-BTC-PERP", kind: md.InstrumentPerp},
			{native: "FI_ETHUSD_211231", symbol: "ETH-USD-211231-INV", kind: md.InstrumentFutureInverse},
			{native: "FF_XBTUSD_261225", symbol: "BTC-USD-261225", kind: md.InstrumentFuture},
			{native: "FV_XRPXBT_180615", symbol: "XRP-BTC-180615", kind: md.InstrumentFuture},
		},
		captures: []captureCase{{file: "kraken_futures/v1_2021-07-22.ndjson.gz",
			least: map[md.Channel]int{md.ChannelTrades: 1003, md.ChannelBook: 7014, md.ChannelTicker: 107}}},
		reference: referenceKrakenFutures,
	}
}

func referenceKrakenFutures(t *testing.T, frame string) (recs []refRecord, known bool) {
	type entry struct {
		Event, Feed, Side, Type string
		Price, Qty              json.Number
	}
	var root struct {
		entry
		Bids, Asks, Trades []entry
	}
	if json.Unmarshal([]byte(frame), &root) != nil || root.Event != "" {
		return nil, false
	}
	side := func(s string) uint8 { return map[string]uint8{"buy": md.SideBuy, "sell": md.SideSell}[s] }
	switch root.Feed {
	case "book", "trade":
		r := refRecord{side(root.Side), root.Price.String(), root.Qty.String()}
		if recs = []refRecord{r}; root.Type == "liquidation" {
			recs = append(recs, r)
		}
		return recs, true
	case "book_snapshot", "trade_snapshot":
		for _, e := range root.Bids {
			recs = append(recs, refRecord{md.SideBid, e.Price.String(), e.Qty.String()})
		}
		for _, e := range root.Asks {
			recs = append(recs, refRecord{md.SideAsk, e.Price.String(), e.Qty.String()})
		}
		for _, e := range root.Trades {
			recs = append(recs, refRecord{side(e.Side), e.Price.String(), e.Qty.String()})
		}
		return recs, true
	}
	return nil, false
}

func TestKrakenFuturesSequence(t *testing.T) {
	v := KrakenFutures{}
	for _, c := range []struct {
		what  string
		book  BookState
		event Event
		want  Verdict
	}{
		{"no snapshot yet", BookState{Empty: true}, Event{SeqLast: 5}, VerdictIgnore},
		{"snapshot", BookState{Seq: 9}, Event{Action: ActionReplace, SeqLast: 5}, VerdictApply},
		{"chains", BookState{Seq: 9}, Event{SeqLast: 10}, VerdictApply},
		{"repeated", BookState{Seq: 9}, Event{SeqLast: 9}, VerdictIgnore},
		{"one missing", BookState{Seq: 9}, Event{SeqLast: 11}, VerdictGap},
	} {
		if got := v.Sequence(&c.book, &c.event); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}

// TestKrakenFuturesCapture holds every book message of a session to its number.
func TestKrakenFuturesCapture(t *testing.T) {
	_, sum, err := normalizeBytes(t, KrakenFutures{}, captureFile(t, "kraken_futures/v1_2021-07-22.ndjson.gz"))
	if err != nil || sum.Rejected != 0 || sum.Gaps != 0 || sum.BooksCrossed != 0 || sum.BooksBuilt != 10 || sum.Stale != 0 || sum.History != 10 {
		t.Errorf("%v\n%s", err, sum)
	}
}

func TestKrakenFuturesRefuses(t *testing.T) {
	for _, frame := range []string{
		`{"feed":"book","product_id":"PF_XBTUSD","side":"sell","price":1,"qty":0}`,
		`{"feed":"book","product_id":"PF_XBTUSD","side":"hold","seq":1,"price":1,"qty":0}`,
		`{"feed":"book","product_id":"PF_XBTUSD","side":"sell","seq":1,"price":1,"qty":-1}`,
		`{"feed":"book","product_id":"PF_XBTUSD","side":"sell","seq":1,"price":1,"price":2,"qty":1}`,
		`{"feed":"book_snapshot","product_id":"PF_XBTUSD","seq":1,"bids":[]}`,
		`{"feed":"trade","product_id":"PF_XBTUSD","side":"sell","seq":1,"price":1,"qty":1}`,
		`{"feed":"trade_snapshot","product_id":"PF_XBTUSD","trades":[{"seq":1}]}`,
		`{"feed":"ticker","bid":1}`, `{"feed":"ticker","product_id":"PF_XBTUSD","bid":1,"bid":2}`, `[]`,
	} {
		var d Decoded
		if err := (KrakenFutures{}).Decode([]byte(frame), &d); err == nil {
			t.Errorf("accepted: %s", frame)
		}
	}
}

func FuzzDecodeKrakenFutures(f *testing.F) { fuzzVenue(f, KrakenFutures{}) }
