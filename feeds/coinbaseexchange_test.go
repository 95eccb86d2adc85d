package feeds

import (
	"encoding/json"
	"testing"

	"tickrelay/ring/md"
)

func coinbaseExchangeFixture() fixture {
	btc := subFor("BTC-USD", "BTC-USD", md.InstrumentSpot)
	eth := subFor("ETH-USD", "ETH-USD", md.InstrumentSpot)
	dec := func(mant int64, exp int8) md.Decimal { return md.Decimal{Mant: mant, Exp: exp} }
	all := func(kind string) []string {
		return []string{
			`{"type":"` + kind + `","product_ids":["BTC-USD"],"channels":["matches","heartbeat"]}`,
			`{"type":"` + kind + `","product_ids":["BTC-USD","ETH-USD"],"channels":["level2_batch"]}`,
			`{"type":"` + kind + `","product_ids":["ETH-USD"],"channels":["ticker"]}`,
			`{"type":"` + kind + `","product_ids":[],"channels":["status"]}`,
		}
	}
	return fixture{
		venue: CoinbaseExchange{},
		requests: []requestCase{{
			subs: []Sub{{md.ChannelBook, btc}, {md.ChannelTrades, btc}, {md.ChannelStatus, btc}, {md.ChannelStatus, eth},
				{md.ChannelBook, eth}, {md.ChannelTicker, eth}},
			subscribe: all("subscribe"), unsubscribe: all("unsubscribe"),
		}},
		catalogues: []catalogueCase{{
			body: `[{"id":"BTC-USD","base_currency":"BTC","quote_currency":"USD","quote_increment":"0.01","base_increment":"0.00000001","status":"online","trading_disabled":false},
				{"id":"OLD-USD","quote_increment":"0.01","base_increment":"0.1","status":"delisted"},
				{"id":"NO-USD","quote_increment":"0.01","base_increment":"0.1","status":"online","trading_disabled":true}]`,
			want: []md.Instrument{
				{Kind: md.InstrumentSpot, Symbol: "BTC-USD", Native: "BTC-USD", PriceExp: -2, SizeExp: -8, Tick: dec(1, -2), Lot: dec(1, -8)},
			},
		}},
		symbols: []symbolCase{{native: "YFI-BTC", symbol: "YFI-BTC", kind: md.InstrumentSpot}},
		captures: []captureCase{{file: "coinbase/exchange_level2_2021-04-17.ndjson.gz",
			least: map[md.Channel]int{md.ChannelTrades: 107, md.ChannelBook: 9719, md.ChannelTicker: 5 * 107}}},
		refused:   []string{"coinbase/advanced_2026-08-09_first450.ndjson.gz"},
		reference: referenceCoinbaseExchange,
	}
}

func referenceCoinbaseExchange(t *testing.T, frame string) (recs []refRecord, known bool) {
	var root struct {
		Type, Side, Price, Size string
		Changes                 [][3]string
		Asks, Bids              []any
	}
	if json.Unmarshal([]byte(frame), &root) != nil {
		return nil, false
	}
	switch root.Type {
	case "l2update":
		for _, c := range root.Changes {
			recs = append(recs, refRecord{map[string]uint8{"buy": md.SideBid, "sell": md.SideAsk}[c[0]], c[1], c[2]})
		}
		return recs, true
	case "snapshot":
		return append(refSide(root.Asks, md.SideAsk), refSide(root.Bids, md.SideBid)...), true
	case "match", "last_match":
		return []refRecord{{map[string]uint8{"buy": md.SideSell, "sell": md.SideBuy}[root.Side], root.Price, root.Size}}, true
	}
	return nil, false
}

// TestCoinbaseExchangeCapture: ten books, of which none is ever crossed.
func TestCoinbaseExchangeCapture(t *testing.T) {
	_, sum, err := normalizeBytes(t, CoinbaseExchange{}, captureFile(t, "coinbase/exchange_level2_2021-04-17.ndjson.gz"))
	if err != nil || sum.Rejected != 0 || sum.Gaps != 0 || sum.BooksCrossed != 0 || sum.BooksBuilt != 10 || sum.Resyncs != 0 || sum.History != 10 {
		t.Errorf("%v\n%s", err, sum)
	}
}

// TestCoinbaseExchangeLogin compares a signature with one made by OpenSSL:
// printf %s 1763842100GET/users/self/verify | openssl dgst -sha256 -hmac secret -binary | base64
func TestCoinbaseExchangeLogin(t *testing.T) {
	v, err := CoinbaseExchange{}.WithCredentials(Credentials{Key: "k", Secret: "c2VjcmV0", Passphrase: `p"`})
	if err != nil {
		t.Fatal(err)
	}
	btc := subFor("BTC-USD", "BTC-USD", md.InstrumentSpot)
	rq := Requests{ID: 1, Now: 1763842100123456789}
	compareFrames(t, "level2", v.Subscribe(nil, []Sub{{md.ChannelBook, btc}}, &rq), []string{
		`{"type":"subscribe","product_ids":["BTC-USD"],"channels":["level2"],"signature":"rsmAcXWAAUJ28afGQ+h+Fcwbzxu00KUdj0vJ4ejYEVc=","key":"k","passphrase":"p\"","timestamp":"1763842100"}`})
	for _, c := range []Credentials{{}, {Key: "k", Secret: "c2VjcmV0"}, {Key: "k", Secret: "?", Passphrase: "p"}, {Secret: "c2VjcmV0", Passphrase: "p"}} {
		if _, err := (CoinbaseExchange{}).WithCredentials(c); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}

func TestCoinbaseExchangeSequence(t *testing.T) {
	v := CoinbaseExchange{}
	for _, c := range []struct {
		book  BookState
		event Event
		want  Verdict
	}{
		{BookState{Empty: true}, Event{SeqLast: 5}, VerdictIgnore},
		{BookState{Seq: 9}, Event{Action: ActionReplace}, VerdictApply},
		{BookState{Seq: 9}, Event{SeqLast: 9}, VerdictApply},
		{BookState{Seq: 9}, Event{SeqLast: 8}, VerdictGap},
	} {
		if got := v.Sequence(&c.book, &c.event); got != c.want {
			t.Errorf("%+v %+v: %d, want %d", c.book, c.event, got, c.want)
		}
	}
}

func TestCoinbaseExchangeRefuses(t *testing.T) {
	for _, frame := range []string{
		`{"type":"l2update","product_id":"BTC-USD","changes":[["buy","1","1"]]}`,
		`{"type":"l2update","changes":[],"time":"2026-08-09T21:05:48Z"}`,
		`{"type":"l2update","product_id":"BTC-USD","changes":[["hold","1","1"]],"time":"2026-08-09T21:05:48Z"}`,
		`{"type":"l2update","product_id":"BTC-USD","changes":[["buy","1","-1"]],"time":"2026-08-09T21:05:48Z"}`,
		`{"type":"l2update","product_id":"BTC-USD","changes":[["buy","1"]],"time":"2026-08-09T21:05:48Z"}`,
		`{"type":"snapshot","product_id":"BTC-USD","asks":[]}`,
		`{"type":"snapshot","product_id":"YFI-USD","asks":[["40584.89","0.039985"]],"bids":[["40531.19","0.-10000"]]}`,
		`{"type":"match","trade_id":1,"side":"sell","size":"1","product_id":"BTC-USD","time":"2026-08-09T21:05:48Z"}`,
		`{"type":"ticker","price":"1"}`, `{"type":"ticker","type":"ticker"}`, `[]`,
	} {
		var d Decoded
		if err := (CoinbaseExchange{}).Decode([]byte(frame), &d); err == nil {
			t.Errorf("accepted: %s", frame)
		}
	}
}

func FuzzDecodeCoinbaseExchange(f *testing.F) { fuzzVenue(f, CoinbaseExchange{}) }
