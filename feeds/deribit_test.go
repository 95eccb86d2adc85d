package feeds

import (
	"encoding/json"
	"strings"
	"testing"

	"tickrelay/ring/md"
)

func deribitFixture() fixture {
	btc := subFor("BTC-USD-PERP", "BTC-PERPETUAL", md.InstrumentPerpInverse)
	put := subFor("BTC-USD-210924-8000-P", "BTC-24SEP21-8000-P", md.InstrumentOption)
	dec := func(mant int64, exp int8) md.Decimal { return md.Decimal{Mant: mant, Exp: exp} }
	one := dec(1, 0)
	return fixture{
		venue: Deribit{},
		requests: []requestCase{{
			subs: []Sub{{md.ChannelBook, btc}, {md.ChannelTrades, btc}, {md.ChannelLiquidations, btc}, {md.ChannelBBO, btc},
				{md.ChannelTicker, btc}, {md.ChannelFunding, btc}, {md.ChannelOpenInterest, put}, {md.ChannelStatus, btc}, {md.ChannelStatus, put}},
			subscribe: []string{`{"jsonrpc":"2.0","method":"public/subscribe","params":{"channels":["book.BTC-PERPETUAL.100ms","trades.BTC-PERPETUAL.100ms","quote.BTC-PERPETUAL","ticker.BTC-PERPETUAL.100ms","ticker.BTC-24SEP21-8000-P.100ms","platform_state","instrument.state.any.any"]},"id":1}`},
			unsubscribe: []string{
				`{"jsonrpc":"2.0","method":"public/unsubscribe","params":{"channels":["book.BTC-PERPETUAL.100ms","trades.BTC-PERPETUAL.100ms","quote.BTC-PERPETUAL","ticker.BTC-PERPETUAL.100ms","ticker.BTC-24SEP21-8000-P.100ms"]},"id":1}`},
		}},
		catalogues: []catalogueCase{{
			body: `{"jsonrpc":"2.0","result":[
				{"tick_size":0.0005,"strike":8000.0,"settlement_period":"month","quote_currency":"BTC","option_type":"put","min_trade_amount":0.1,"kind":"option","is_active":true,"instrument_name":"BTC-24SEP21-8000-P","expiration_timestamp":1632470400000,"contract_size":1.0,"base_currency":"BTC"},
				{"tick_size":0.5,"settlement_period":"perpetual","quote_currency":"USD","min_trade_amount":10.0,"kind":"future","future_type":"reversed","is_active":true,"instrument_name":"BTC-PERPETUAL","expiration_timestamp":32503708800000,"contract_size":10.0},
				{"tick_size":0.5,"settlement_period":"month","min_trade_amount":10,"kind":"future","is_active":true,"instrument_name":"BTC-25MAR22","expiration_timestamp":1648195200000},
				{"tick_size":1e-4,"settlement_period":"perpetual","min_trade_amount":1,"kind":"future","future_type":"linear","is_active":true,"instrument_name":"UNI_USDC-PERPETUAL","expiration_timestamp":32503708800000},
				{"tick_size":0.01,"min_trade_amount":0.001,"kind":"spot","is_active":true,"instrument_name":"BTC_USDC","expiration_timestamp":32503708800000},
				{"tick_size":0.5,"min_trade_amount":10,"kind":"future_combo","is_active":true,"instrument_name":"BTC-FS-25MAR22_PERP"},
				{"tick_size":0.5,"min_trade_amount":10,"kind":"future","is_active":false,"instrument_name":"BTC-25MAR21"}]}`,
			want: []md.Instrument{
				{Kind: md.InstrumentOption, Symbol: "BTC-USD-210924-8000-P", Native: "BTC-24SEP21-8000-P", PriceExp: -4, SizeExp: -1,
					Tick: dec(5, -4), Lot: dec(1, -1), ContractSize: one, Expiry: 1632470400000e6},
				{Kind: md.InstrumentPerpInverse, Symbol: "BTC-USD-PERP", Native: "BTC-PERPETUAL", PriceExp: -1, Tick: dec(5, -1), Lot: dec(1, 1), ContractSize: one},
				{Kind: md.InstrumentFutureInverse, Symbol: "BTC-USD-220325", Native: "BTC-25MAR22", PriceExp: -1, Tick: dec(5, -1), Lot: dec(1, 1),
					ContractSize: one, Expiry: 1648195200000e6},
				{Kind: md.InstrumentPerp, Symbol: "UNI-USDC-PERP", Native: "UNI_USDC-PERPETUAL", PriceExp: -4, Tick: dec(1, -4), Lot: one, ContractSize: one},
				{Kind: md.InstrumentSpot, Symbol: "BTC-USDC", Native: "BTC_USDC", PriceExp: -2, SizeExp: -3, Tick: dec(1, -2), Lot: dec(1, -3)},
			},
		}},
		symbols: []symbolCase{
			{native: "BTC-PERPETUAL", symbol: "BTC-USD-PERP", kind: md.InstrumentPerpInverse},
			{native: "ETH_USDC-PERPETUAL", symbol: "ETH-USDC-PERP", kind: md.InstrumentPerp},
			{native: "BTC-25MAR22", symbol: "BTC-USD-220325", kind: md.InstrumentFutureInverse},
			{native: "BTC_USDC-5JUN26", symbol: "BTC-USDC-260605", kind: md.InstrumentFuture},
			{native: "ETH-9MAR24-310-P", symbol: "ETH-USD-240309-310-P", kind: md.InstrumentOption},
			{native: "MATIC_USDC-9MAR24-1d02-C", symbol: "MATIC-USDC-240309-1d02-C", kind: md.InstrumentOption},
			{native: "BTC_USDC", symbol: "BTC-USDC", kind: md.InstrumentSpot},
			{native: "USDC_USD", symbol: "USDC-USD", kind: md.InstrumentSpot},
		},
		captures: []captureCase{{file: "deribit/v2_options_2021-07-22.ndjson.gz",
			least: map[md.Channel]int{md.ChannelBook: 100, md.ChannelTicker: 178, md.ChannelOpenInterest: 89, md.ChannelStatus: 89}}},
		reference: referenceDeribit,
	}
}

// referenceDeribit reads book, trades and quote.
func referenceDeribit(t *testing.T, frame string) (recs []refRecord, known bool) {
	var root struct {
		Params struct {
			Channel string
			Data    json.RawMessage
		}
	}
	if json.Unmarshal([]byte(frame), &root) != nil {
		return nil, false
	}
	type pair [3]json.RawMessage
	switch kind, _, _ := strings.Cut(root.Params.Channel, "."); kind {
	case "book":
		var data struct{ Bids, Asks []pair }
		if json.Unmarshal(root.Params.Data, &data) != nil {
			return nil, false
		}
		for side, levels := range map[uint8][]pair{md.SideBid: data.Bids, md.SideAsk: data.Asks} {
			for _, l := range levels {
				size := string(l[2])
				if string(l[0]) == `"delete"` {
					size = "0"
				}
				recs = append(recs, refRecord{side, string(l[1]), size})
			}
		}
		// Maps have no order: bids come first in all frames of the venue.
		var sorted []refRecord
		for _, side := range [...]uint8{md.SideBid, md.SideAsk} {
			for _, r := range recs {
				if r.side == side {
					sorted = append(sorted, r)
				}
			}
		}
		return sorted, true
	case "trades":
		var data []struct {
			Direction     string
			Price, Amount json.Number
			Liquidation   string
		}
		if json.Unmarshal(root.Params.Data, &data) != nil {
			return nil, false
		}
		for _, e := range data {
			if e.Liquidation != "" {
				return nil, false
			}
			recs = append(recs, refRecord{refAggressor(e.Direction), e.Price.String(), e.Amount.String()})
		}
		return recs, true
	}
	return nil, false
}

func TestDeribitSequence(t *testing.T) {
	v := Deribit{}
	for _, c := range []struct {
		what  string
		book  BookState
		event Event
		want  Verdict
	}{
		{"snapshot", BookState{Empty: true}, Event{Action: ActionReplace, SeqLast: 5}, VerdictApply},
		{"snapshot over a live book", BookState{Seq: 9}, Event{Action: ActionReplace, SeqLast: 5}, VerdictApply},
		{"no snapshot yet", BookState{Empty: true}, Event{SeqLast: 6, SeqPrev: 5}, VerdictIgnore},
		{"chains", BookState{Seq: 5}, Event{SeqLast: 9, SeqPrev: 5}, VerdictApply},
		{"one missing", BookState{Seq: 5}, Event{SeqLast: 9, SeqPrev: 7}, VerdictGap},
		{"repeated", BookState{Seq: 9}, Event{SeqLast: 9, SeqPrev: 5}, VerdictIgnore},
		{"jumps over", BookState{Seq: 6}, Event{SeqLast: 9, SeqPrev: 5}, VerdictGap},
	} {
		if got := v.Sequence(&c.book, &c.event); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}

// TestDeribitLogin logs in as the page on authentication says; the signature was
// worked out with another program (Python's hmac).
func TestDeribitLogin(t *testing.T) {
	if _, err := (Deribit{}).WithCredentials(Credentials{Key: "k"}); err == nil || strings.Contains(err.Error(), `"k"`) {
		t.Errorf("a key alone: %v", err)
	}
	v, err := Deribit{}.WithCredentials(Credentials{Key: "AMANDA", Secret: "AMANDASECRECT"})
	if err != nil {
		t.Fatal(err)
	}
	rq := Requests{ID: 1, Now: 1576074319000_000000}
	compareFrames(t, "log-in", v.(Opener).Open(nil, &rq), []string{
		`{"jsonrpc":"2.0","id":1,"method":"public/set_heartbeat","params":{"interval":10}}`,
		`{"jsonrpc":"2.0","id":2,"method":"public/auth","params":{"grant_type":"client_signature","client_id":"AMANDA","timestamp":1576074319000,"nonce":"bz2npuojkwsg","data":"","signature":"5489e487ae1ace96b89a2d84bce9ed90517e9c44195e67f1174b5eae6ebfb247"}}`,
	})
	btc := subFor("BTC-USD-PERP", "BTC-PERPETUAL", md.InstrumentPerpInverse)
	compareFrames(t, "raw", v.Subscribe(nil, []Sub{{md.ChannelBook, btc}}, &rq), []string{
		`{"jsonrpc":"2.0","method":"public/subscribe","params":{"channels":["book.BTC-PERPETUAL.raw"]},"id":3}`})
	if s := v.Spec(); !s.WaitReady || !s.MergeBooks {
		t.Errorf("%+v", s)
	}
	rq.ID = 1
	compareFrames(t, "no log-in", Deribit{}.Open(nil, &rq), []string{
		`{"jsonrpc":"2.0","id":1,"method":"public/set_heartbeat","params":{"interval":10}}`})
}

func TestDeribitCapture(t *testing.T) {
	path := captureFile(t, "deribit/v2_options_2021-07-22.ndjson.gz")
	_, sum, err := normalizeBytes(t, Deribit{}, path)
	if err != nil || sum.Rejected != 0 || sum.Gaps != 0 || sum.BooksCrossed != 0 || sum.BooksBuilt != 10 {
		t.Errorf("%v\n%s", err, sum)
	}
}

func TestDeribitRefuses(t *testing.T) {
	push := func(channel, data string) string {
		return `{"jsonrpc":"2.0","method":"subscription","params":{"channel":"` + channel + `","data":` + data + `}}`
	}
	for _, frame := range []string{
		push("book.A-B.raw", `{"timestamp":1763842100223,"type":"change","change_id":9,"instrument_name":"A-B","bids":[]}`),
		push("book.A-B.raw", `{"timestamp":1763842100223,"type":"change","change_id":9,"change_id":9,"instrument_name":"A-B","bids":[],"asks":[]}`),
		push("book.A-B.raw", `{"timestamp":1763842100223,"type":"change","change_id":9,"instrument_name":"A-B","bids":[["new",1]],"asks":[]}`),
		push("book.A-B.raw", `{"timestamp":1763842100223,"type":"change","change_id":9,"instrument_name":"A-B","bids":[["new",1,2,3]],"asks":[]}`),
		push("book.A-B.raw", `{"timestamp":1763842100223,"type":"change","change_id":9,"instrument_name":"A-B","bids":[["new",1,-2]],"asks":[]}`),
		push("book.A-B.raw", `{"timestamp":1763842100223,"type":"change","change_id":9,"instrument_name":"A-B","bids":[["nope",1,2]],"asks":[]}`),
		push("trades.A-B.raw", `[{"timestamp":1763842100223,"price":1,"amount":1,"direction":"buy","instrument_name":"A-B"}]`),
		push("trades.A-B.raw", `[{"timestamp":1763842100223,"price":1,"price":1,"amount":1,"direction":"buy","instrument_name":"A-B","trade_seq":1}]`),
		push("quote.A-B", `{"timestamp":1763842100223,"best_bid_price":1,"best_bid_amount":1,"instrument_name":"A-B"}`),
		push("ticker.A-B.raw", `{"timestamp":1763842100223}`),
		`{"method":"subscription","params":{"channel":"book.A"}}`,
		`{"method":"subscription","params":{"channel":"book.A","channel":"book.A","data":1}}`,
		`{"method":"a","method":"b"}`,
	} {
		var d Decoded
		if err := (Deribit{}).Decode([]byte(frame), &d); err == nil {
			t.Errorf("accepted: %s", frame)
		}
	}
}

func FuzzDecodeDeribit(f *testing.F) { fuzzVenue(f, Deribit{}) }
