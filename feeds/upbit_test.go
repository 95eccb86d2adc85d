package feeds

import (
	"encoding/json"
	"errors"
	"testing"

	"tickrelay/ring/md"
)

func upbitFixture() fixture {
	btc := subFor("BTC-KRW", "KRW-BTC", md.InstrumentSpot)
	eth := subFor("ETH-BTC", "BTC-ETH", md.InstrumentSpot)
	return fixture{
		venue: Upbit{},
		requests: []requestCase{{
			subs: []Sub{{md.ChannelBook, btc}, {md.ChannelTrades, btc}, {md.ChannelBBO, btc}, {md.ChannelBBO, eth}, {md.ChannelTicker, btc}, {md.ChannelStatus, btc}},
			subscribe: []string{
				`[{"ticket":"tickrelay-1"},{"type":"trade","codes":["KRW-BTC"]},{"type":"orderbook","codes":["KRW-BTC.30","BTC-ETH.30"]},{"type":"ticker","codes":["KRW-BTC"]},{"format":"SIMPLE"}]`},
		}},
		catalogues: []catalogueCase{{
			body: `[{"market":"KRW-BTC","korean_name":"비트코인","english_name":"Bitcoin"},{"market":"NONE"}]`,
			want: []md.Instrument{{Kind: md.InstrumentSpot, Symbol: "BTC-KRW", Native: "KRW-BTC", PriceExp: -8, SizeExp: -8, Lot: md.Decimal{Mant: 1, Exp: -8}}},
		}},
		symbols: []symbolCase{
			{native: "KRW-BTC", symbol: "BTC-KRW", kind: md.InstrumentSpot},
			{native: "USDT-ETC", symbol: "ETC-USDT", kind: md.InstrumentSpot},
		},
		captures: []captureCase{{file: "upbit/v1_2021-04-17.ndjson.gz",
			least: map[md.Channel]int{md.ChannelTrades: 304, md.ChannelBBO: 2 * 145, md.ChannelBook: 145 * 20}}},
		reference: referenceUpbit,
	}
}

// referenceUpbit reads trades and books of SIMPLE.
func referenceUpbit(t *testing.T, frame string) (recs []refRecord, known bool) {
	var m struct {
		Ty     string
		Tp, Tv json.Number
		Ab     string
		Obu    []struct{ Ap, Bp, As, Bs json.Number }
	}
	if json.Unmarshal([]byte(frame), &m) != nil {
		return nil, false
	}
	switch m.Ty {
	case "trade":
		return []refRecord{{map[string]uint8{"BID": md.SideBuy, "ASK": md.SideSell}[m.Ab], m.Tp.String(), m.Tv.String()}}, true
	case "orderbook":
		if len(m.Obu) == 0 {
			return nil, false
		}
		u := m.Obu[0]
		recs = []refRecord{{md.SideBid, u.Bp.String(), u.Bs.String()}, {md.SideAsk, u.Ap.String(), u.As.String()}}
		for _, u := range m.Obu {
			recs = append(recs, refRecord{md.SideAsk, u.Ap.String(), u.As.String()}, refRecord{md.SideBid, u.Bp.String(), u.Bs.String()})
		}
		return recs, true
	}
	return nil, false
}

func TestUpbitCapture(t *testing.T) {
	path := captureFile(t, "upbit/v1_2021-04-17.ndjson.gz")
	_, sum, err := normalizeBytes(t, Upbit{}, path)
	if err != nil || sum.Rejected != 0 || sum.Gaps != 0 || sum.BooksCrossed != 0 || sum.BooksBuilt == 0 {
		t.Errorf("%v\n%s", err, sum)
	}
}

func TestUpbitRefuses(t *testing.T) {
	for _, frame := range []string{
		`{"ty":"trade","cd":"A-B","ttms":1763842100100,"tp":1,"tv":1,"ab":"BID"}`,
		`{"ty":"trade","cd":"A-B","ttms":1763842100100,"tp":1,"tp":1,"tv":1,"ab":"BID","sid":1}`,
		`{"ty":"trade","cd":"A-B","code":"A-B","ttms":1763842100100,"tp":1,"tv":1,"ab":"BID","sid":1}`,
		`{"ty":"trade","cd":"A-B","ttms":1763842100100,"tp":1,"tv":-1,"ab":"BID","sid":1}`,
		`{"ty":"orderbook","cd":"A-B","tms":1763842100100}`,
		`{"ty":"orderbook","cd":"A-B","tms":1763842100100,"obu":[{"ap":1,"bp":1,"as":1}]}`,
		`{"ty":"orderbook","cd":"A-B","tms":1763842100100,"obu":[{"ap":1,"bp":1,"as":1,"bs":-1}]}`,
		`{"ty":"orderbook","cd":"A-B","tms":1763842100100,"obu":[{"ap":1,"bp":1,"as":1,"bs":1,"bs":1}]}`,
		`{"ty":"ticker","cd":"A-B"}`, `{"ty":1}`,
	} {
		var d Decoded
		if err := (Upbit{}).Decode([]byte(frame), &d); err == nil {
			t.Errorf("accepted: %s", frame)
		}
	}
	var d Decoded
	if err := (Upbit{}).Decode([]byte(`[{"ty":"trade"}]`), &d); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a list: %v", err)
	}
}

func FuzzDecodeUpbit(f *testing.F) { fuzzVenue(f, Upbit{}) }
