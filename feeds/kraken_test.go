package feeds

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"tickrelay/ring/md"
)

func krakenFixture() fixture {
	btc := subFor("BTC-USD", "BTC/USD", md.InstrumentSpot)
	eth := subFor("ETH-USD", "ETH/USD", md.InstrumentSpot)
	dec := func(mant int64, exp int8) md.Decimal { return md.Decimal{Mant: mant, Exp: exp} }
	return fixture{
		venue: Kraken{},
		requests: []requestCase{{
			subs: []Sub{{md.ChannelBook, btc}, {md.ChannelTrades, btc}, {md.ChannelBBO, btc}, {md.ChannelTicker, btc},
				{md.ChannelStatus, btc}, {md.ChannelBook, eth}, {md.ChannelStatus, eth}},
			subscribe: []string{
				`{"method":"subscribe","params":{"channel":"trade","snapshot":false,"symbol":["BTC/USD"]},"req_id":1}`,
				`{"method":"subscribe","params":{"channel":"book","depth":1000,"symbol":["BTC/USD","ETH/USD"]},"req_id":2}`,
				`{"method":"subscribe","params":{"channel":"ticker","event_trigger":"bbo","symbol":["BTC/USD"]},"req_id":3}`,
				`{"method":"subscribe","params":{"channel":"instrument"},"req_id":4}`,
			},
			unsubscribe: []string{
				`{"method":"unsubscribe","params":{"channel":"trade","snapshot":false,"symbol":["BTC/USD"]},"req_id":1}`,
				`{"method":"unsubscribe","params":{"channel":"book","depth":1000,"symbol":["BTC/USD","ETH/USD"]},"req_id":2}`,
				`{"method":"unsubscribe","params":{"channel":"ticker","event_trigger":"bbo","symbol":["BTC/USD"]},"req_id":3}`,
				`{"method":"unsubscribe","params":{"channel":"instrument"},"req_id":4}`,
			},
		}},
		catalogues: []catalogueCase{{
			body: `{"error":[],"result":{
				"XXBTZUSD":{"altname":"XBTUSD","wsname":"XBT/USD","base":"XXBT","quote":"ZUSD","pair_decimals":1,"lot_decimals":8,"tick_size":"0.1","status":"online"},
				"XDGEUR":{"altname":"XDGEUR","wsname":"XDG/EUR","pair_decimals":7,"lot_decimals":8,"tick_size":"0.0000005","status":"post_only"},
				"OLDUSD":{"altname":"OLDUSD","wsname":"OLD/USD","pair_decimals":2,"lot_decimals":8,"status":"delisted"},
				"AAVEAUD":{"altname":"AAVEAUD","wsname":"AAVE/AUD","pair_decimals":2,"lot_decimals":8},
				"XBTUSD.d":{"altname":"XBTUSD.d","pair_decimals":1,"lot_decimals":8}}}`,
			want: []md.Instrument{
				{Kind: md.InstrumentSpot, Symbol: "AAVE-AUD", Native: "AAVE/AUD", PriceExp: -2, SizeExp: -8, Tick: dec(1, -2), Lot: dec(1, -8)},
				{Kind: md.InstrumentSpot, Symbol: "DOGE-EUR", Native: "DOGE/EUR", PriceExp: -7, SizeExp: -8, Tick: dec(5, -7), Lot: dec(1, -8)},
				{Kind: md.InstrumentSpot, Symbol: "BTC-USD", Native: "BTC/USD", PriceExp: -1, SizeExp: -8, Tick: dec(1, -1), Lot: dec(1, -8)},
			},
		}},
		symbols: []symbolCase{
			{native: "BTC/USD", symbol: "BTC-USD", kind: md.InstrumentSpot},
			{native: "DOGE/USD", symbol: "DOGE-USD", kind: md.InstrumentSpot},
			{native: "ETHW/EUR", symbol: "ETHW-EUR", kind: md.InstrumentSpot},
			{native: "XBT/USD", symbol: "BTC-USD", kind: md.InstrumentSpot, oneWay: true},
			{native: "KSM/XBT", symbol: "KSM-BTC", kind: md.InstrumentSpot, oneWay: true},
			{native: "XDG/EUR", symbol: "DOGE-EUR", kind: md.InstrumentSpot, oneWay: true},
		},
		captures: []captureCase{{file: "kraken/v1_2021-04-17.ndjson.gz",
			least: map[md.Channel]int{md.ChannelTrades: 8, md.ChannelBook: 4279, md.ChannelTicker: 18}}},
		reference: referenceKraken,
	}
}

// referenceKraken reads v2 objects and v1 arrays.
func referenceKraken(t *testing.T, frame string) (recs []refRecord, known bool) {
	side := func(v any) uint8 {
		if s := v.(string); s == "buy" || s == "b" {
			return md.SideBuy
		}
		return md.SideSell
	}
	if strings.HasPrefix(frame, "[") {
		var root []any
		if json.Unmarshal([]byte(frame), &root) != nil || len(root) < 4 {
			return nil, false
		}
		channel := root[len(root)-2].(string)
		for _, part := range root[1 : len(root)-2] {
			switch x := part.(type) {
			case []any:
				if channel != "trade" {
					return nil, false
				}
				for _, e := range x {
					l := e.([]any)
					recs = append(recs, refRecord{side(l[3]), l[0].(string), l[1].(string)})
				}
			case map[string]any:
				if !strings.HasPrefix(channel, "book-") {
					return nil, false
				}
				for _, key := range []string{"as", "bs", "a", "b"} {
					if x[key] != nil {
						recs = append(recs, refSide(x[key], map[byte]uint8{'a': md.SideAsk, 'b': md.SideBid}[key[0]])...)
					}
				}
			}
		}
		return recs, true
	}
	var root struct {
		Channel string
		Data    json.RawMessage
	}
	if json.Unmarshal([]byte(frame), &root) != nil || root.Channel != "book" && root.Channel != "trade" {
		return nil, false
	}
	type level struct{ Price, Qty json.Number }
	var data []struct {
		level
		Side       string
		Bids, Asks []level
	}
	if json.Unmarshal(root.Data, &data) != nil {
		return nil, false
	}
	for _, e := range data {
		if root.Channel == "trade" {
			recs = append(recs, refRecord{side(e.Side), e.Price.String(), e.Qty.String()})
			continue
		}
		for _, l := range e.Bids {
			recs = append(recs, refRecord{md.SideBid, l.Price.String(), l.Qty.String()})
		}
		for _, l := range e.Asks {
			recs = append(recs, refRecord{md.SideAsk, l.Price.String(), l.Qty.String()})
		}
	}
	return recs, true
}

// TestKrakenChecksum sums a book whose sum was worked out by the document's steps
// with another program: Python's zlib.crc32 over the digits written out here.
func TestKrakenChecksum(t *testing.T) {
	frame := `{"channel":"book","type":"snapshot","data":[{"symbol":"A/B","bids":[{"price":0.5665,"qty":1831.1290},{"price":0.56640,"qty":0.00500000}],"asks":[{"price":0.5668,"qty":4410.79769741},{"price":1.0,"qty":2e-8}],"checksum":KRAKENSUM}]}`
	frame = strings.Replace(frame, "KRAKENSUM", "1858492610", 1)
	checkKrakenSum(t, frame)
}

// TestKrakenChecksumOfTheDocument sums the example of the document.
func TestKrakenChecksumOfTheDocument(t *testing.T) {
	text, err := os.ReadFile(captureFile(t, "kraken/v2_checksum_vector.json"))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct{ Frame string }
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	checkKrakenSum(t, doc.Frame)
}

func checkKrakenSum(t *testing.T, frame string) {
	t.Helper()
	var d Decoded
	if err := (Kraken{}).Decode([]byte(frame), &d); err != nil {
		t.Fatal(err)
	}
	for _, exp := range []int8{-8, -9} { // whatever the exponents of the book
		b := newTestBook(exp, exp)
		applyTest(t, b, &d.Events[0], d.Recs)
		if got := (Kraken{}).Checksum(b); got != d.Events[0].Checksum {
			t.Errorf("checksum %d, the venue says %d", got, d.Events[0].Checksum)
		}
	}
}

// TestKrakenCapture holds every book message of a session to its checksum.
func TestKrakenCapture(t *testing.T) {
	path := captureFile(t, "kraken/v1_2021-04-17.ndjson.gz")
	_, sum, err := normalizeBytes(t, Kraken{}, path)
	if err != nil || sum.Rejected != 0 || sum.Gaps != 0 || sum.BooksCrossed != 0 || sum.ChecksumsBad != 0 ||
		sum.ChecksumsOK != 4269 || sum.BooksBuilt != 10 {
		t.Errorf("%v\n%s", err, sum)
	}
}

func TestKrakenRefuses(t *testing.T) {
	for _, frame := range []string{
		`{"channel":"book","type":"update","data":[{"symbol":"A/B","bids":[],"asks":[]}]}`,                       // no checksum
		`{"channel":"book","type":"update","data":[{"symbol":"A/B","bids":[],"checksum":1}]}`,                    // no asks
		`{"channel":"book","type":"update","data":[{"symbol":"A/B","bids":[],"asks":[],"checksum":4294967296}]}`, // 33 bits
		`{"channel":"book","type":"update","data":[{"symbol":"A/B","bids":[{"price":1}],"asks":[],"checksum":1}]}`,
		`{"channel":"book","type":"update","data":[{"symbol":"A/B","bids":[{"price":1,"qty":-1}],"asks":[],"checksum":1}]}`,
		`{"channel":"book","type":"update","data":[{"symbol":"A/B","bids":[{"price":1,"qty":1,"qty":2}],"asks":[],"checksum":1}]}`,
		`{"channel":"book","type":"update","data":[{"symbol":"A/B","symbol":"C/D","bids":[],"asks":[],"checksum":1}]}`,
		`{"channel":"book","channel":"trade","type":"update","data":[]}`,
		`{"channel":"trade","type":"update","data":[{"symbol":"A/B","side":"buy","price":1,"qty":1,"ord_type":"limit","trade_id":1}]}`,
		`{"channel":"trade","type":"update","data":[{"symbol":"A/B","side":"buy","price":1,"qty":1,"ord_type":"limit","trade_id":1,"timestamp":"2026-13-09T21:05:48Z"}]}`,
		`{"channel":"ticker","type":"update","data":[{"symbol":"A/B","bid":1,"bid_qty":1,"ask":2}]}`,
		`[1,{"a":[["1","1","1.5"]],"as":[["1","1","1.5"]]},"book-10","A/B"]`,
		`[1,{"a":[["1","1"]]},"book-10","A/B"]`,
		`[1,{"a":[["1","1","1.5"]]},"book-x","A/B"]`,
		`[1,{"c":"1"},"book-10","A/B"]`,
		`[1,"book-10","A/B"]`, `[1,[["1","1","1.5"]],"trade","A/B"]`, `[]`,
	} {
		var d Decoded
		if err := (Kraken{}).Decode([]byte(frame), &d); err == nil {
			t.Errorf("accepted: %s", frame)
		}
	}
}

func TestKrakenSequence(t *testing.T) {
	v := Kraken{}
	if got := v.Sequence(&BookState{Empty: true}, &Event{}); got != VerdictIgnore {
		t.Errorf("an update before the snapshot: %d", got)
	}
	if got := v.Sequence(&BookState{Empty: true}, &Event{Action: ActionReplace}); got != VerdictApply {
		t.Errorf("a snapshot: %d", got)
	}
	if got := v.Sequence(&BookState{}, &Event{}); got != VerdictApply {
		t.Errorf("an update: %d", got)
	}
}

func FuzzDecodeKraken(f *testing.F) { fuzzVenue(f, Kraken{}) }
