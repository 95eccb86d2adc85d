package feeds

import (
	"encoding/json"
	"testing"

	"tickrelay/ring/md"
)

func hyperliquidFixture() fixture {
	btc := subFor("BTC-USD-PERP", "BTC", md.InstrumentPerp)
	spot := subFor("UBTC-USDC", "@142", md.InstrumentSpot)
	dec := func(mant int64, exp int8) md.Decimal { return md.Decimal{Mant: mant, Exp: exp} }
	all := func(method string) (frames []string) {
		for _, s := range []string{`"trades","coin":"BTC"`, `"l2Book","coin":"BTC"`, `"bbo","coin":"@142"`, `"activeAssetCtx","coin":"BTC"`} {
			frames = append(frames, `{"method":"`+method+`","subscription":{"type":`+s+`}}`)
		}
		return frames
	}
	return fixture{
		venue: Hyperliquid{},
		requests: []requestCase{{
			subs: []Sub{{md.ChannelTrades, btc}, {md.ChannelBook, btc}, {md.ChannelBBO, spot}, {md.ChannelTicker, btc}, {md.ChannelFunding, btc},
				{md.ChannelOpenInterest, btc}},
			subscribe: all("subscribe"), unsubscribe: all("unsubscribe"),
		}},
		catalogues: []catalogueCase{
			{
				body: `{"universe":[{"name":"BTC","szDecimals":5,"maxLeverage":40,"marginTableId":56},{"name":"kPEPE","szDecimals":0,"maxLeverage":10},
					{"name":"OLD","szDecimals":1,"isDelisted":true}],"marginTables":[]}`,
				want: []md.Instrument{
					{Kind: md.InstrumentPerp, Symbol: "BTC-USD-PERP", Native: "BTC", PriceExp: -1, SizeExp: -5, Tick: dec(1, -1), Lot: dec(1, -5), ContractSize: dec(1, 0)},
					{Kind: md.InstrumentPerp, Symbol: "kPEPE-USD-PERP", Native: "kPEPE", PriceExp: -6, Tick: dec(1, -6), Lot: dec(1, 0), ContractSize: dec(1, 0)},
				},
			},
			{
				body: `{"tokens":[{"name":"USDC","szDecimals":8,"index":0},{"name":"PURR","szDecimals":0,"index":1},{"name":"UBTC","szDecimals":5,"index":197},{"name":"UBTC","szDecimals":2,"index":300}],
					"universe":[{"name":"PURR/USDC","tokens":[1,0],"index":0,"isCanonical":true},{"name":"@142","tokens":[197,0],"index":142},{"name":"@200","tokens":[300,0],"index":200},{"name":"@201","tokens":[7,0]}]}`,
				want: []md.Instrument{
					{Kind: md.InstrumentSpot, Symbol: "PURR-USDC", Native: "PURR/USDC", PriceExp: -8, Tick: dec(1, -8), Lot: dec(1, 0)},
					{Kind: md.InstrumentSpot, Symbol: "UBTC-USDC", Native: "@142", PriceExp: -3, SizeExp: -5, Tick: dec(1, -3), Lot: dec(1, -5)},
				},
			},
		},
		symbols: []symbolCase{
			{native: "BTC", symbol: "BTC-USD-PERP", kind: md.InstrumentPerp},
			{native: "kPEPE", symbol: "kPEPE-USD-PERP", kind: md.InstrumentPerp},
			{native: "PURR/USDC", symbol: "PURR-USDC", kind: md.InstrumentSpot, oneWay: true},
		},
		captures: []captureCase{{file: "hyperliquid/btc_2025-01-26.ndjson.gz",
			least: map[md.Channel]int{md.ChannelTrades: 20, md.ChannelBook: 46 * 40}}},
		reference: referenceHyperliquid,
	}
}

func referenceHyperliquid(t *testing.T, frame string) (recs []refRecord, known bool) {
	type level struct{ Px, Sz, Side string }
	var root struct {
		Channel string
		Data    json.RawMessage
	}
	if json.Unmarshal([]byte(frame), &root) != nil {
		return nil, false
	}
	var data struct {
		Levels [2][]level
		BBO    [2]*level
	}
	switch root.Channel {
	case "trades":
		var trades []level
		if json.Unmarshal(root.Data, &trades) != nil {
			return nil, false
		}
		for _, x := range trades {
			recs = append(recs, refRecord{map[string]uint8{"B": md.SideBuy, "A": md.SideSell}[x.Side], x.Px, x.Sz})
		}
		return recs, true
	case "l2Book", "bbo":
		if json.Unmarshal(root.Data, &data) != nil {
			return nil, false
		}
		for k, side := range data.Levels {
			for _, x := range side {
				recs = append(recs, refRecord{md.SideBid + uint8(k), x.Px, x.Sz})
			}
		}
		return recs, root.Channel == "l2Book"
	}
	return nil, false
}

// TestHyperliquidHistory: the first trades of a coin on a connection are the past
// if they are of several times; after a resubscription they are again.
func TestHyperliquidHistory(t *testing.T) {
	trades := func(times ...string) []byte {
		text := `{"channel":"trades","data":[`
		for i, at := range times {
			if i > 0 {
				text += ","
			}
			text += `{"coin":"BTC","side":"B","px":"1","sz":"1","time":` + at + `,"hash":"0x0","tid":1}`
		}
		return []byte(text + "]}")
	}
	btc := subFor("BTC-USD-PERP", "BTC", md.InstrumentPerp)
	c := Hyperliquid{}.NewConn()
	for k, step := range []struct {
		frame []byte
		want  Action
	}{
		{trades("1786309549572", "1786309549573"), ActionReplace},
		{trades("1786309549574", "1786309549575"), ActionUpdate},
		{nil, 0},
		{trades("1786309549574", "1786309549579"), ActionReplace},
		{nil, 0},
		{trades("1786309549580", "1786309549580"), ActionUpdate}, // of one block: live
		{trades("1786309549581", "1786309549582"), ActionUpdate},
	} {
		if step.frame == nil {
			c.Unsubscribe(nil, []Sub{{md.ChannelTrades, btc}}, &Requests{ID: 1})
			continue
		}
		var d Decoded
		if err := c.Decode(step.frame, &d); err != nil || len(d.Events) != 1 || d.Events[0].Action != step.want {
			t.Errorf("step %d: %v, %+v", k, err, d.Events)
		}
	}
}

// TestHyperliquidCapture: whole books, none crossed.
func TestHyperliquidCapture(t *testing.T) {
	_, sum, err := normalizeBytes(t, Hyperliquid{}, captureFile(t, "hyperliquid/btc_2025-01-26.ndjson.gz"))
	if err != nil || sum.Rejected != 0 || sum.Gaps != 0 || sum.BooksCrossed != 0 || sum.BooksBuilt != 1 || sum.Stale != 0 || sum.History != 1 {
		t.Errorf("%v\n%s", err, sum)
	}
}

func TestHyperliquidSequence(t *testing.T) {
	v := Hyperliquid{}
	whole := Event{Action: ActionReplace, SeqLast: 9}
	for _, c := range []struct {
		book BookState
		want Verdict
	}{{BookState{Empty: true}, VerdictApply}, {BookState{Seq: 8}, VerdictApply}, {BookState{Seq: 9}, VerdictApply}, {BookState{Seq: 10}, VerdictIgnore}} {
		if got := v.Sequence(&c.book, &whole); got != c.want {
			t.Errorf("%+v: %d, want %d", c.book, got, c.want)
		}
	}
}

func TestHyperliquidRefuses(t *testing.T) {
	for _, frame := range []string{
		`{"channel":"l2Book","data":{"coin":"BTC","time":1786309548542}}`,
		`{"channel":"l2Book","data":{"coin":"BTC","time":1786309548542,"levels":[[]]}}`,
		`{"channel":"l2Book","data":{"coin":"BTC","time":1786309548542,"levels":[[],[],[]]}}`,
		`{"channel":"l2Book","data":{"coin":"BTC","coin":"ETH","time":1786309548542,"levels":[[],[]]}}`,
		`{"channel":"l2Book","data":{"coin":"BTC","time":1786309548542,"levels":[[{"px":"1","n":1}],[]]}}`,
		`{"channel":"l2Book","data":{"coin":"BTC","time":1786309548542,"levels":[[{"px":"1","sz":"-1","n":1}],[]]}}`,
		`{"channel":"trades","data":[{"coin":"BTC","side":"B","px":"1","sz":"1","time":1786309549572}]}`,
		`{"channel":"bbo","data":{"coin":"BTC","time":1786309548542,"bbo":[null]}}`,
		`{"channel":"bbo","data":{"coin":"BTC","time":1786309548542}}`,
		`{"channel":"activeAssetCtx","data":{"coin":"BTC"}}`, `{"channel":"pong","channel":"pong"}`, `[]`,
	} {
		var d Decoded
		if err := (Hyperliquid{}).Decode([]byte(frame), &d); err == nil {
			t.Errorf("accepted: %s", frame)
		}
	}
}

func FuzzDecodeHyperliquid(f *testing.F) { fuzzVenue(f, Hyperliquid{}) }
