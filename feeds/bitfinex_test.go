package feeds

import (
	"encoding/json"
	"strings"
	"testing"

	"tickrelay/ring/md"
)

func bitfinexFixture() fixture {
	btc := subFor("BTC-USD", "tBTCUSD", md.InstrumentSpot)
	perp := subFor("BTC-USDT-PERP", "tBTCF0:USTF0", md.InstrumentPerp)
	lot := md.Decimal{Mant: 1, Exp: -8}
	return fixture{
		venue: Bitfinex{},
		requests: []requestCase{{
			subs: []Sub{{md.ChannelBook, btc}, {md.ChannelTrades, btc}, {md.ChannelTicker, btc}, {md.ChannelFunding, btc}, {md.ChannelTicker, perp},
				{md.ChannelFunding, perp}, {md.ChannelOpenInterest, perp}, {md.ChannelLiquidations, perp}},
			subscribe: []string{
				`{"event":"subscribe","channel":"book","symbol":"tBTCUSD","prec":"P0","freq":"F0","len":"250"}`,
				`{"event":"subscribe","channel":"trades","symbol":"tBTCUSD"}`,
				`{"event":"subscribe","channel":"ticker","symbol":"tBTCUSD"}`,
				`{"event":"subscribe","channel":"ticker","symbol":"tBTCF0:USTF0"}`,
				`{"event":"subscribe","channel":"status","key":"deriv:tBTCF0:USTF0"}`,
				`{"event":"subscribe","channel":"status","key":"liq:global"}`,
			},
		}},
		catalogues: []catalogueCase{
			{body: `[["AAVE:USD","BTCUSD","BTCUST"]]`, want: []md.Instrument{
				{Kind: md.InstrumentSpot, Symbol: "AAVE-USD", Native: "tAAVE:USD", PriceExp: -8, SizeExp: -8, Lot: lot},
				{Kind: md.InstrumentSpot, Symbol: "BTC-USD", Native: "tBTCUSD", PriceExp: -8, SizeExp: -8, Lot: lot},
				{Kind: md.InstrumentSpot, Symbol: "BTC-USDT", Native: "tBTCUST", PriceExp: -8, SizeExp: -8, Lot: lot}}},
			{body: `[["ETHF0:BTCF0"]]`, want: []md.Instrument{
				{Kind: md.InstrumentPerp, Symbol: "ETH-BTC-PERP", Native: "tETHF0:BTCF0", PriceExp: -8, SizeExp: -8, Lot: lot, ContractSize: md.Decimal{Mant: 1}}}},
		},
		symbols: []symbolCase{
			{native: "tBTCUSD", symbol: "BTC-USD", kind: md.InstrumentSpot},
			{native: "tBTCUST", symbol: "BTC-USDT", kind: md.InstrumentSpot},
			{native: "tAVAX:UDC", symbol: "AVAX-USDC", kind: md.InstrumentSpot},
			{native: "tIOTETH", symbol: "IOTA-ETH", kind: md.InstrumentSpot},
			{native: "tBTCF0:USTF0", symbol: "BTC-USDT-PERP", kind: md.InstrumentPerp},
			{native: "tDOGEF0:USTF0", symbol: "DOGE-USDT-PERP", kind: md.InstrumentPerp},
		},
		captures: []captureCase{{file: "bitfinex/v2_2021-04-17.ndjson.gz",
			least: map[md.Channel]int{md.ChannelBook: 1593, md.ChannelTicker: 4 * 21}}},
		reference: referenceBitfinex,
	}
}

// referenceBitfinex reads te and what looks like a book, which no other channel
// of spot does: three numbers, the second whole.
func referenceBitfinex(t *testing.T, frame string) (recs []refRecord, known bool) {
	var root []json.RawMessage
	if json.Unmarshal([]byte(frame), &root) != nil || len(root) < 2 {
		return nil, false
	}
	number := func(n json.Number) (string, bool) { s, neg := strings.CutPrefix(n.String(), "-"); return s, neg }
	if string(root[1]) == `"te"` {
		var x []json.Number
		if json.Unmarshal(root[2], &x) != nil {
			return nil, false
		}
		size, sold := number(x[2])
		return []refRecord{{map[bool]uint8{false: md.SideBuy, true: md.SideSell}[sold], x[3].String(), size}}, true
	}
	var levels [][]json.Number
	if json.Unmarshal(root[1], &levels) != nil {
		levels = make([][]json.Number, 1)
		if json.Unmarshal(root[1], &levels[0]) != nil {
			return nil, false
		}
	}
	for _, x := range levels {
		if len(x) != 3 {
			return nil, false
		}
		size, ask := number(x[2])
		if x[1] == "0" {
			size = "0"
		}
		recs = append(recs, refRecord{map[bool]uint8{false: md.SideBid, true: md.SideAsk}[ask], x[0].String(), size})
	}
	return recs, true
}

func TestBitfinexConnection(t *testing.T) {
	var rq Requests
	c := Bitfinex{}.NewConn()
	for _, frame := range goldenFrames(t, "bitfinex") {
		var d Decoded
		if err := c.Decode(frame, &d); err != nil {
			t.Fatalf("%v: %s", err, frame)
		}
	}
	btc := subFor("BTC-USD", "tBTCUSD", md.InstrumentSpot)
	compareFrames(t, "unsubscribe", c.Unsubscribe(nil, []Sub{{md.ChannelTrades, btc}, {md.ChannelBook, btc}, {md.ChannelTicker, btc}}, &rq),
		[]string{`{"event":"unsubscribe","chanId":12}`, `{"event":"unsubscribe","chanId":11}`})
	// The same numbers mean nothing on another connection.
	var d Decoded
	if err := (Bitfinex{}).NewConn().Decode([]byte(`[11,[64122,0,1],3,1763842100125]`), &d); err != nil || len(d.Events) != 0 || d.ConnSeq != 3 || !d.HasConnSeq {
		t.Errorf("%v %+v", err, d)
	}
	compareFrames(t, "open", Bitfinex{}.Open(nil, &rq), []string{`{"event":"conf","flags":229376}`})
}

// TestBitfinexChecksum sums a book whose sum was worked out by the document's
// steps with another program: String(number) of JavaScript, by the language's rules and Python's zlib.crc32.
func TestBitfinexChecksum(t *testing.T) {
	c := Bitfinex{}.NewConn()
	var d Decoded
	for _, frame := range []string{
		`{"event":"subscribed","channel":"book","chanId":1,"symbol":"tAAABBB","prec":"P0"}`,
		`[1,[[6000.5,1,0.00000012],[5999,2,1.5],[6001,1,-10],[6002,3,-19203.444049780002],[6003,3,-1e-8]],1]`} {
		d.Reset()
		if err := c.Decode([]byte(frame), &d); err != nil {
			t.Fatal(err)
		}
	}
	for _, exp := range []int8{-12, -13} { // whatever the exponents of the book
		b := newTestBook(-9, exp)
		applyTest(t, b, &d.Events[0], d.Recs)
		if got := (Bitfinex{}).Checksum(b); got != 2137631746 {
			t.Errorf("checksum %d", got)
		}
	}
}

func TestAppendScript(t *testing.T) {
	for _, c := range []struct {
		mant int64
		exp  int8
		want string
	}{{0, 0, "0"}, {1, -6, "0.000001"}, {1, -7, "1e-7"}, {12, -8, "1.2e-7"}, {120, -8, "0.0000012"}, {-64123450, -3, "-64123.45"},
		{5, 3, "5000"}, {1, 21, "1e+21"}, {1, 20, "100000000000000000000"}, {123, -2, "1.23"}, {100, -2, "1"}} {
		if got := string(appendScript(nil, c.mant, c.exp)); got != c.want {
			t.Errorf("%d e%d is %s, want %s", c.mant, c.exp, got, c.want)
		}
	}
}

func TestBitfinexCapture(t *testing.T) {
	path := captureFile(t, "bitfinex/v2_2021-04-17.ndjson.gz")
	_, sum, err := normalizeBytes(t, Bitfinex{}, path)
	if err != nil || sum.Rejected != 0 || sum.Gaps != 0 || sum.BooksCrossed != 0 || sum.BooksBuilt != 7 {
		t.Errorf("%v\n%s", err, sum)
	}
}

func TestBitfinexRefuses(t *testing.T) {
	decode := primed(t, Bitfinex{})
	for _, frame := range []string{
		`[]`, `[11]`, `["a",1]`, `[11,[1,2]]`, `[11,[1,-2,3]]`, `[11,[1,2,"-3"]]`, `[11,[[1,2,3],4]]`, `[11,"cs",4294967296]`, `[11,"cs"]`,
		`[12,"te",[1,1763842100131,1]]`, `[12,"te",[1,1763842100131,--1,1]]`, `[13,[1,2,3]]`, `[15,["pos"]]`,
		`{"event":"info","event":"pong"}`, `{"event":"subscribed","chanId":-1}`,
	} {
		var d Decoded
		if err := decode([]byte(frame), &d); err == nil {
			t.Errorf("accepted: %s", frame)
		}
	}
}

func FuzzDecodeBitfinex(f *testing.F) { fuzzVenue(f, Bitfinex{}) }
