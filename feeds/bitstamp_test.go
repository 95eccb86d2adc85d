package feeds

import (
	"encoding/json"
	"strings"
	"testing"

	"tickrelay/ring/md"
)

func bitstampFixture() fixture {
	btc := subFor("BTC-USD", "btcusd", md.InstrumentSpot)
	dec := func(mant int64, exp int8) md.Decimal { return md.Decimal{Mant: mant, Exp: exp} }
	return fixture{
		venue: Bitstamp{},
		requests: []requestCase{{
			subs: []Sub{{md.ChannelBook, btc}, {md.ChannelTrades, btc}},
			subscribe: []string{`{"event":"bts:subscribe","data":{"channel":"diff_order_book_btcusd"}}`,
				`{"event":"bts:subscribe","data":{"channel":"live_trades_btcusd"}}`},
			unsubscribe: []string{`{"event":"bts:unsubscribe","data":{"channel":"diff_order_book_btcusd"}}`,
				`{"event":"bts:unsubscribe","data":{"channel":"live_trades_btcusd"}}`},
		}},
		catalogues: []catalogueCase{
			{
				body: `[{"name":"BTC/USD","market_symbol":"btcusd","base_currency":"BTC","base_decimals":8,"counter_currency":"USD","counter_decimals":0,"trading":"Enabled","market_type":"SPOT"},
					{"name":"BTC/USD-PERP","market_symbol":"btcusd-perp","base_decimals":8,"counter_decimals":0,"trading":"Enabled","market_type":"PERPETUAL"},
					{"name":"OLD/USD","market_symbol":"oldusd","base_decimals":8,"counter_decimals":2,"trading":"Disabled","market_type":"SPOT"}]`,
				want: []md.Instrument{{Kind: md.InstrumentSpot, Symbol: "BTC-USD", Native: "btcusd", SizeExp: -8, Tick: dec(1, 0), Lot: dec(1, -8)}},
			},
			{
				body: `[{"trading": "Enabled", "base_decimals": 8, "url_symbol": "dotusd", "name": "DOT/USD", "counter_decimals": 2}]`,
				want: []md.Instrument{{Kind: md.InstrumentSpot, Symbol: "DOT-USD", Native: "dotusd", PriceExp: -2, SizeExp: -8, Tick: dec(1, -2), Lot: dec(1, -8)}},
			},
		},
		symbols: []symbolCase{
			{native: "btcusd", symbol: "BTC-USD", kind: md.InstrumentSpot},
			{native: "dotusd", symbol: "DOT-USD", kind: md.InstrumentSpot},
			{native: "usdtusd", symbol: "USDT-USD", kind: md.InstrumentSpot},
			{native: "usdcusdt", symbol: "USDC-USDT", kind: md.InstrumentSpot},
			{native: "eurusd", symbol: "EUR-USD", kind: md.InstrumentSpot},
			{native: "linketh", symbol: "LINK-ETH", kind: md.InstrumentSpot},
		},
		captures: []captureCase{{file: "bitstamp/v2_2022-01-05.ndjson.gz",
			least: map[md.Channel]int{md.ChannelTrades: 10, md.ChannelBook: 1000}}},
		reference: referenceBitstamp,
	}
}

func referenceBitstamp(t *testing.T, frame string) (recs []refRecord, known bool) {
	var root struct {
		Event, Channel string
		Data           json.RawMessage
	}
	if json.Unmarshal([]byte(frame), &root) != nil {
		return nil, false
	}
	var data struct {
		Bids, Asks []any
		Price      string `json:"price_str"`
		Size       string `json:"amount_str"`
		Type       int
	}
	if json.Unmarshal(root.Data, &data) != nil {
		return nil, false
	}
	switch {
	case strings.HasPrefix(root.Channel, "diff_order_book_") && root.Event == "data":
		return append(refSide(data.Bids, md.SideBid), refSide(data.Asks, md.SideAsk)...), true
	case strings.HasPrefix(root.Channel, "live_trades_") && root.Event == "trade":
		return []refRecord{{[]uint8{md.SideBuy, md.SideSell}[data.Type], data.Price, data.Size}}, true
	}
	return nil, false
}

// TestBitstampCapture joins the changes of a session to its REST snapshots.
func TestBitstampCapture(t *testing.T) {
	_, sum, err := normalizeBytes(t, Bitstamp{}, captureFile(t, "bitstamp/v2_2022-01-05.ndjson.gz"))
	if err != nil || sum.Rejected != 0 || sum.Gaps != 0 || sum.BooksCrossed != 0 || sum.BooksBuilt != 9 || sum.Duplicates != 0 {
		t.Errorf("%v\n%s", err, sum)
	}
}

func TestBitstampSequence(t *testing.T) {
	v := Bitstamp{}
	for _, c := range []struct {
		what  string
		book  BookState
		event Event
		want  Verdict
	}{
		{"no snapshot yet", BookState{Empty: true}, Event{SeqLast: 5}, VerdictWait},
		{"snapshot", BookState{Empty: true}, Event{Action: ActionReplace, SeqLast: 5}, VerdictApply},
		{"older than the snapshot", BookState{Seq: 9, FromREST: true}, Event{SeqLast: 8}, VerdictIgnore},
		{"of the snapshot", BookState{Seq: 9, FromREST: true}, Event{SeqLast: 9}, VerdictIgnore},
		{"the first one held is newer than the snapshot", BookState{Seq: 9, FromREST: true}, Event{SeqLast: 10}, VerdictGap},
		{"newer, and older ones were held", BookState{Seq: 9, FromREST: true, Covered: true}, Event{SeqLast: 10}, VerdictApply},
		{"later", BookState{Seq: 9}, Event{SeqLast: 10}, VerdictApply},
		{"repeated", BookState{Seq: 9}, Event{SeqLast: 9}, VerdictIgnore},
		{"time goes back", BookState{Seq: 9}, Event{SeqLast: 8}, VerdictGap},
	} {
		if got := v.Sequence(&c.book, &c.event); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}

func TestBitstampSnapshot(t *testing.T) {
	in := subFor("BTC-USD", "btcusd", md.InstrumentSpot)
	if got := (Bitstamp{}).SnapshotURL("http://x", in); got != "http://x/api/v2/order_book/btcusd/" {
		t.Error(got)
	}
	var d Decoded
	body := `{"timestamp": "1786309548", "microtimestamp": "1786309548436165", "bids": [["65083.66", "0.20371215"]], "asks": [["65083.67", "0.3"], ["65084", "1"]]}`
	if err := (Bitstamp{}).DecodeSnapshot([]byte(body), in, &d); err != nil {
		t.Fatal(err)
	}
	if ev := d.Events[0]; len(d.Events) != 1 || ev.SeqLast != 1786309548436165 || ev.Action != ActionReplace || ev.To != 3 || string(ev.Native) != "btcusd" {
		t.Errorf("%+v", d.Events)
	}
	for cut := range body {
		d.Reset()
		if err := (Bitstamp{}).DecodeSnapshot([]byte(body[:cut]), in, &d); err == nil {
			t.Fatalf("%q is accepted", body[:cut])
		}
	}
	d.Reset()
	if err := (Bitstamp{}).DecodeSnapshot([]byte(`{"status":"error","reason":"Invalid pair"}`), in, &d); err == nil || !strings.Contains(err.Error(), "Invalid pair") {
		t.Errorf("an error answer gives %v", err)
	}
}

func TestBitstampRefuses(t *testing.T) {
	for _, frame := range []string{
		`{"data":{"timestamp":"1","bids":[],"asks":[]},"channel":"diff_order_book_btcusd","event":"data"}`,
		`{"data":{"microtimestamp":"1786309548436165","bids":[]},"channel":"diff_order_book_btcusd","event":"data"}`,
		`{"data":{"microtimestamp":"1786309548436165","bids":[["1","-1"]],"asks":[]},"channel":"diff_order_book_btcusd","event":"data"}`,
		`{"data":{"microtimestamp":"9786309548436165000","bids":[],"asks":[]},"channel":"diff_order_book_btcusd","event":"data"}`,
		`{"data":{"microtimestamp":"1","microtimestamp":"1","bids":[],"asks":[]},"channel":"diff_order_book_btcusd","event":"data"}`,
		`{"data":"","channel":"diff_order_book_btcusd","event":"data"}`,
		`{"data":{"id":1,"amount_str":"1","price_str":"1","type":2,"microtimestamp":"1"},"channel":"live_trades_btcusd","event":"trade"}`,
		`{"data":{"id":1,"amount_str":"1","type":0,"microtimestamp":"1"},"channel":"live_trades_btcusd","event":"trade"}`,
		`{"event":"data","event":"data"}`, `[]`,
	} {
		var d Decoded
		if err := (Bitstamp{}).Decode([]byte(frame), &d); err == nil {
			t.Errorf("accepted: %s", frame)
		}
	}
}

func FuzzDecodeBitstamp(f *testing.F) { fuzzVenue(f, Bitstamp{}) }
