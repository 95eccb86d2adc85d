package feeds

import (
	"encoding/json"
	"strings"
	"testing"

	"tickrelay/ring/md"
)

func gateioFixture() fixture {
	btc := subFor("BTC-USDT", "BTC_USDT", md.InstrumentSpot)
	eth := subFor("ETH-USDT", "ETH_USDT", md.InstrumentSpot)
	frames := func(op string) []string {
		return []string{
			`{"time":1763842100,"channel":"spot.trades","event":"` + op + `","payload":["BTC_USDT","ETH_USDT"],"id":1}`,
			`{"time":1763842100,"channel":"spot.order_book_update","event":"` + op + `","payload":["BTC_USDT","100ms"],"id":2}`,
			`{"time":1763842100,"channel":"spot.order_book_update","event":"` + op + `","payload":["ETH_USDT","100ms"],"id":3}`,
			`{"time":1763842100,"channel":"spot.book_ticker","event":"` + op + `","payload":["BTC_USDT"],"id":4}`,
			`{"time":1763842100,"channel":"spot.tickers","event":"` + op + `","payload":["BTC_USDT"],"id":5}`,
		}
	}
	dec := func(mant int64, exp int8) md.Decimal { return md.Decimal{Mant: mant, Exp: exp} }
	return fixture{
		venue: Gateio{},
		requests: []requestCase{{
			subs: []Sub{{md.ChannelBook, btc}, {md.ChannelTrades, btc}, {md.ChannelBBO, btc}, {md.ChannelTicker, btc},
				{md.ChannelBook, eth}, {md.ChannelTrades, eth}, {md.ChannelFunding, btc}, {md.ChannelLiquidations, btc}},
			subscribe: frames("subscribe"), unsubscribe: frames("unsubscribe"),
		}},
		catalogues: []catalogueCase{{
			body: `[{"id":"BTC_USDT","base":"BTC","quote":"USDT","fee":"0.2","min_quote_amount":"1","amount_precision":4,"precision":2,"trade_status":"tradable","sell_start":0,"buy_start":0},{"id":"OLD_USDT","base":"OLD","quote":"USDT","amount_precision":1,"precision":3,"trade_status":"untradable"},{"id":"X.Y_USDT","base":"X.Y","quote":"USDT","amount_precision":0,"precision":8,"trade_status":"buyable"}]`,
			want: []md.Instrument{
				{Kind: md.InstrumentSpot, Symbol: "BTC-USDT", Native: "BTC_USDT", PriceExp: -2, SizeExp: -4, Tick: dec(1, -2), Lot: dec(1, -4)},
				{Kind: md.InstrumentSpot, Symbol: "XdY-USDT", Native: "X.Y_USDT", PriceExp: -8, Tick: dec(1, -8), Lot: dec(1, 0)},
			},
		}},
		symbols: []symbolCase{
			{native: "BTC_USDT", symbol: "BTC-USDT", kind: md.InstrumentSpot},
			{native: "QTUM3S_USDT", symbol: "QTUM3S-USDT", kind: md.InstrumentSpot},
		},
		captures: []captureCase{{file: "gateio/spot_v4_2021-04-22.ndjson.gz",
			least: map[md.Channel]int{md.ChannelTrades: 9, md.ChannelBook: 300, md.ChannelTicker: 100}}},
		reference: referenceGate,
	}
}

func gateioFuturesFixture() fixture {
	btc := subFor("BTC-USDT-PERP", "BTC_USDT", md.InstrumentPerp)
	frames := func(op string) []string {
		return []string{
			`{"time":1763842100,"channel":"futures.trades","event":"` + op + `","payload":["BTC_USDT"],"id":1}`,
			`{"time":1763842100,"channel":"futures.order_book_update","event":"` + op + `","payload":["BTC_USDT","100ms"],"id":2}`,
			`{"time":1763842100,"channel":"futures.book_ticker","event":"` + op + `","payload":["BTC_USDT"],"id":3}`,
			`{"time":1763842100,"channel":"futures.tickers","event":"` + op + `","payload":["BTC_USDT"],"id":4}`,
			`{"time":1763842100,"channel":"futures.public_liquidates","event":"` + op + `","payload":["BTC_USDT"],"id":5}`,
		}
	}
	dec := func(mant int64, exp int8) md.Decimal { return md.Decimal{Mant: mant, Exp: exp} }
	return fixture{
		venue: GateioFutures{},
		requests: []requestCase{{
			subs: []Sub{{md.ChannelBook, btc}, {md.ChannelTrades, btc}, {md.ChannelBBO, btc}, {md.ChannelTicker, btc},
				{md.ChannelFunding, btc}, {md.ChannelOpenInterest, btc}, {md.ChannelLiquidations, btc}, {md.ChannelStatus, btc}},
			subscribe: frames("subscribe"), unsubscribe: frames("unsubscribe"),
		}},
		catalogues: []catalogueCase{{
			body: `[{"name":"BTC_USDT","type":"direct","quanto_multiplier":"0.0001","order_price_round":"0.1","order_size_min":1,"in_delisting":false,"funding_interval":28800},{"name":"BTC_USD","type":"inverse","quanto_multiplier":"0","order_price_round":"0.1","order_size_min":1},{"name":"PARTS_USDT","type":"direct","quanto_multiplier":"10","order_price_round":"0.001","order_size_min":"0.1"},{"name":"ETH_USDT","type":"direct","quanto_multiplier":"0.01","order_price_round":"0.01","order_size_min":"0","enable_decimal":true},{"name":"OLD_USDT","order_price_round":"0.1","in_delisting":true}]`,
			want: []md.Instrument{
				{Kind: md.InstrumentPerp, Symbol: "BTC-USDT-PERP", Native: "BTC_USDT", PriceExp: -1, Tick: dec(1, -1), Lot: dec(1, 0), ContractSize: dec(1, -4)},
				{Kind: md.InstrumentPerpInverse, Symbol: "BTC-USD-PERP", Native: "BTC_USD", PriceExp: -1, Tick: dec(1, -1), Lot: dec(1, 0), ContractSize: dec(1, 0)},
				{Kind: md.InstrumentPerp, Symbol: "PARTS-USDT-PERP", Native: "PARTS_USDT", PriceExp: -3, SizeExp: -1, Tick: dec(1, -3), Lot: dec(1, -1), ContractSize: dec(1, 1)},
				{Kind: md.InstrumentPerp, Symbol: "ETH-USDT-PERP", Native: "ETH_USDT", PriceExp: -2, SizeExp: -4, Tick: dec(1, -2), ContractSize: dec(1, -2)},
			},
		}},
		symbols: []symbolCase{
			{native: "BTC_USDT", symbol: "BTC-USDT-PERP", kind: md.InstrumentPerp},
			{native: "BTC_USD", symbol: "BTC-USD-PERP", kind: md.InstrumentPerpInverse},
			{native: "BTC_USDT_20260327", symbol: "BTC-USDT-260327", kind: md.InstrumentFuture},
			{native: "BTC_USD_20260327", symbol: "BTC-USD-260327", kind: md.InstrumentFutureInverse},
		},
		captures: []captureCase{{file: "gateio/futures_v4_2023-05-24.ndjson.gz",
			least: map[md.Channel]int{md.ChannelBook: 352, md.ChannelBBO: 140}}},
		reference: referenceGate,
	}
}

// referenceGate reads trades, books and quotes of both markets.
func referenceGate(t *testing.T, frame string) (recs []refRecord, known bool) {
	var root struct {
		Channel, Event string
		Result         json.RawMessage
	}
	if json.Unmarshal([]byte(frame), &root) != nil || root.Event != "update" {
		return nil, false
	}
	text := func(v any) string {
		if s, ok := v.(string); ok {
			return s
		}
		b, _ := json.Marshal(v)
		return string(b)
	}
	var one map[string]any
	var list []map[string]any
	if json.Unmarshal(root.Result, &one) == nil {
		list = append(list, one)
	} else if json.Unmarshal(root.Result, &list) != nil {
		return nil, false
	}
	for _, e := range list {
		if e["is_internal"] == true {
			continue
		}
		switch strings.TrimPrefix(strings.TrimPrefix(root.Channel, "spot."), "futures.") {
		case "trades":
			r := refRecord{md.SideBuy, text(e["price"]), text(e["amount"])}
			if e["side"] == "sell" {
				r.side = md.SideSell
			}
			if e["size"] != nil {
				var sold bool
				if r.size, sold = strings.CutPrefix(text(e["size"]), "-"); sold {
					r.side = md.SideSell
				}
			}
			recs = append(recs, r)
		case "order_book_update", "obu":
			for key, side := range map[string]uint8{"b": md.SideBid, "a": md.SideAsk} {
				if root.Channel == "futures.order_book_update" {
					var rows []any
					for _, l := range e[key].([]any) {
						o := l.(map[string]any)
						rows = append(rows, []any{text(o["p"]), text(o["s"])})
					}
					e[key] = rows
				}
				if side == md.SideBid && e[key] != nil {
					recs = append(refSide(e[key], side), recs...)
				}
			}
			if e["a"] != nil {
				recs = append(recs, refSide(e["a"], md.SideAsk)...)
			}
		case "book_ticker":
			recs = append(recs, refRecord{md.SideBid, text(e["b"]), text(e["B"])}, refRecord{md.SideAsk, text(e["a"]), text(e["A"])})
		default:
			return nil, false
		}
	}
	// The futures capture has asks before bids in some frames, as decoded.
	if i, j := strings.Index(frame, `"a":[`), strings.Index(frame, `"b":[`); i >= 0 && i < j {
		var bids, asks []refRecord
		for _, r := range recs {
			if r.side == md.SideBid {
				bids = append(bids, r)
			} else {
				asks = append(asks, r)
			}
		}
		recs = append(asks, bids...)
	}
	return recs, true
}

func TestGateCaptures(t *testing.T) {
	for _, c := range []struct {
		venue Venue
		file  string
		books uint64
	}{
		{Gateio{}, "gateio/spot_v4_2021-04-22.ndjson.gz", 10},
		{GateioFutures{}, "gateio/futures_v4_2023-05-24.ndjson.gz", 10},
	} {
		_, sum, err := normalizeBytes(t, c.venue, captureFile(t, c.file))
		if err != nil || sum.Rejected != 0 || sum.Gaps != 0 || sum.BooksCrossed != 0 || sum.BooksBuilt != c.books {
			t.Errorf("%s: %v\n%s", c.file, err, sum)
		}
	}
}

// TestGateInternalTrades: what the insurance fund takes over leaves nothing, and does
// not part the trades around it.
func TestGateInternalTrades(t *testing.T) {
	one := func(id, contract, more string) string {
		return `{"size":"-0.5","id":` + id + `,"create_time":1763842101,"price":"3187.6","contract":"` + contract + `"` + more + `}`
	}
	frame := `{"time":1763842101,"channel":"futures.trades","event":"update","result":[` +
		one("1", "ETH_USDT", `,"is_internal":false`) + "," + one("2", "BTC_USDT", `,"is_internal":true`) + "," + one("3", "ETH_USDT", "") + `]}`
	var d Decoded
	if err := (GateioFutures{}).Decode([]byte(frame), &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Events) != 1 || len(d.Recs) != 2 || d.Recs[0].ID != 1 || d.Recs[1].ID != 3 {
		t.Fatalf("%+v %+v", d.Events, d.Recs)
	}
	if r := d.Recs[1]; r.Side != md.SideSell || r.Size != 5 || r.SizeExp != -1 {
		t.Errorf("%+v", r)
	}
	d.Reset()
	frame = `{"time":1763842101,"channel":"futures.trades","event":"update","result":[` + one("2", "BTC_USDT", `,"is_internal":true`) + `]}`
	if err := (GateioFutures{}).Decode([]byte(frame), &d); err != nil || len(d.Events) != 0 || len(d.Recs) != 0 {
		t.Errorf("%v %+v %+v", err, d.Events, d.Recs)
	}
}

func TestGateSnapshot(t *testing.T) {
	in := subFor("BTC-USDT-PERP", "BTC_USDT", md.InstrumentPerp)
	var d Decoded
	if err := (GateioFutures{}).DecodeSnapshot([]byte(`{"current":1684930166.384,"update":1684930166.35,"asks":[{"s":803,"p":"0.2974"}],"id":7,"bids":[]}`), in, &d); err != nil {
		t.Fatal(err)
	}
	if ev := d.Events[0]; ev.SeqLast != 7 || ev.Action != ActionReplace || len(d.Recs) != 1 || d.Recs[0].Size != 803 {
		t.Errorf("%+v %+v", ev, d.Recs)
	}
	for _, body := range []string{``, `{}`, `{"id":1,"asks":[]}`, `{"id":1,"asks":[],"bids":[]`, `{"label":"X"}`, `{"id":1,"asks":[],"bids":[["1"]]}`} {
		d.Reset()
		if err := (Gateio{}).DecodeSnapshot([]byte(body), in, &d); err == nil {
			t.Errorf("accepted: %s", body)
		}
	}
}

func TestGateRefuses(t *testing.T) {
	head := func(channel, result string) string {
		return `{"time":1763842100,"channel":"` + channel + `","event":"update","result":` + result + `}`
	}
	for _, frame := range []string{
		head("spot.trades", `{"id":1,"create_time":1,"side":"buy","currency_pair":"A_B","amount":"1"}`),
		head("spot.trades", `{"id":1,"create_time":1,"side":"buy","currency_pair":"A_B","amount":"-1","price":"1"}`),
		head("spot.trades", `{"id":1,"create_time":1,"contract":"A_B","amount":"1","price":"1"}`),
		head("futures.trades", `[{"id":1,"contract":"A_B","size":1,"price":"1"}]`),
		head("spot.order_book_update", `{"t":1763842100000,"s":"A_B","U":2,"u":1,"b":[],"a":[]}`),
		head("spot.order_book_update", `{"t":1763842100000,"s":"A_B","u":1,"b":[],"a":[]}`),
		head("spot.order_book_update", `{"t":1763842100000,"s":"A_B","U":1,"u":1,"b":[["1","-1"]],"a":[]}`),
		head("spot.order_book_update", `{"t":1763842100000,"s":"A_B","U":1,"u":1,"b":[],"b":[],"a":[]}`),
		head("spot.book_ticker", `{"t":1763842100000,"u":1,"s":"A_B","b":"1","B":"1","a":"2"}`),
		head("futures.tickers", `[{"last":"1"}]`),
		head("futures.tickers", `[{"contract":"A_B","total_size":"-1"}]`),
		head("futures.trades", `[{"id":1,"create_time":1,"contract":"A_B","size":0,"price":"1"}]`),
		head("futures.trades", `[{"id":1,"create_time":1,"contract":"A_B","size":"-0.0","price":"1"}]`),
		head("futures.trades", `[{"id":1,"create_time":1,"contract":"A_B","size":1,"price":"1","is_internal":"no"}]`),
		head("spot.trades", `{"id":1,"create_time":1,"side":"buy","currency_pair":"A_B","amount":"0","price":"1"}`),
		head("futures.public_liquidates", `[{"contract":"A_B","size":1}]`),
		head("futures.public_liquidates", `[{"contract":"A_B","size":0,"price":"1","time":1763842100}]`),
	} {
		var d Decoded
		if err := (Gateio{}).Decode([]byte(frame), &d); err == nil {
			t.Errorf("accepted: %s", frame)
		}
	}
}

func FuzzDecodeGateio(f *testing.F)        { fuzzVenue(f, Gateio{}) }
func FuzzDecodeGateioFutures(f *testing.F) { fuzzVenue(f, GateioFutures{}) }
