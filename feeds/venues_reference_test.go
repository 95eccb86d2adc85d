package feeds

import (
	"bytes"
	"encoding/json"
	"math/big"
	"slices"
	"strings"
	"testing"

	"tickrelay/ring/md"
)

// refLevel is a number pair as text, as a decoder that knows nothing of ours
// sees it.
type refRecord struct {
	side  uint8
	price string
	size  string
}

// reference reads trades, books and bbo of a frame with encoding/json alone. It
// is written apart from the decoders, by document, for plainness.
func reference(t *testing.T, venue, frame string) (recs []refRecord, known bool) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(frame))
	dec.UseNumber()
	var root map[string]any
	if dec.Decode(&root) != nil {
		return nil, false
	}
	if venue == "binance" {
		ev := root
		if data, ok := root["data"].(map[string]any); ok {
			ev = data
		}
		return referenceBinance(ev)
	}
	arg, _ := root["arg"].(map[string]any)
	data, ok := root["data"].([]any)
	if !ok {
		return nil, false
	}
	channel, _ := arg["channel"].(string)
	for _, e := range data {
		switch channel {
		case "books", "books-l2-tbt":
			m := e.(map[string]any)
			recs = append(recs, refSide(m["asks"], md.SideAsk)...)
			recs = append(recs, refSide(m["bids"], md.SideBid)...)
		case "trade", "trades":
			switch x := e.(type) {
			case []any:
				recs = append(recs, refRecord{refAggressor(x[3]), x[1].(string), x[2].(string)})
			case map[string]any:
				price, size := x["px"], x["sz"]
				if venue == "bitget" {
					price, size = x["price"], x["size"]
				}
				recs = append(recs, refRecord{refAggressor(x["side"]), price.(string), size.(string)})
			}
		default:
			return nil, false
		}
	}
	if venue == "bitget" && channel == "trade" { // the newest first
		slices.Reverse(recs)
	}
	return recs, true
}

func referenceBinance(ev map[string]any) (recs []refRecord, known bool) {
	switch kind, _ := ev["e"].(string); {
	case kind == "depthUpdate":
		return append(refSide(ev["b"], md.SideBid), refSide(ev["a"], md.SideAsk)...), true
	case kind == "trade":
		side := md.SideBuy
		if ev["m"].(bool) {
			side = md.SideSell
		}
		return []refRecord{{side, ev["p"].(string), ev["q"].(string)}}, true
	case kind == "" && ev["B"] != nil:
		return []refRecord{
			{md.SideBid, ev["b"].(string), ev["B"].(string)},
			{md.SideAsk, ev["a"].(string), ev["A"].(string)},
		}, true
	}
	return nil, false
}

func refAggressor(v any) uint8 {
	if v.(string) == "buy" {
		return md.SideBuy
	}
	return md.SideSell
}

func refSide(v any, side uint8) (recs []refRecord) {
	for _, l := range v.([]any) {
		x := l.([]any)
		recs = append(recs, refRecord{side, x[0].(string), x[1].(string)})
	}
	return recs
}

// checkAgainstJSON compares each number of d with the reference: the same
// value by big.Rat and the same number of decimals.
func checkAgainstJSON(t *testing.T, line int, venue, frame string, d *Decoded) {
	t.Helper()
	compareReference(t, line, frame, d, func(t *testing.T, frame string) ([]refRecord, bool) { return reference(t, venue, frame) })
}

func compareReference(t *testing.T, line int, frame string, d *Decoded, reference func(*testing.T, string) ([]refRecord, bool)) {
	t.Helper()
	for k := range d.Recs {
		if err := d.Recs[k].Valid(); err != nil {
			t.Fatalf("line %d: %v\n%s", line, err, frame)
		}
	}
	want, known := reference(t, frame)
	if !known {
		return
	}
	if len(want) != len(d.Recs) {
		t.Fatalf("line %d: %d records, encoding/json finds %d\n%s", line, len(d.Recs), len(want), frame)
	}
	for k, w := range want {
		r := &d.Recs[k]
		if r.Side != w.side || !sameNumber(r.Price, r.PriceExp, w.price) || !sameNumber(r.Size, r.SizeExp, w.size) {
			t.Fatalf("line %d: record %d is %+v, want %+v", line, k, *r, w)
		}
	}
}

// sameNumber compares mant × 10^exp with a wire text, decimals included; the
// empty text is a number that is absent.
func sameNumber(mant int64, exp int8, text string) bool {
	if text == "" || mant == md.Absent {
		return text == "" && mant == md.Absent
	}
	if b := md.AppendFixed(nil, mant, exp); bytes.Equal(b, []byte(text)) {
		return true
	}
	want, ok := new(big.Rat).SetString(text)
	if !ok || strings.ContainsAny(text, "eE") == false && decimalsOf(text) != -int(exp) {
		return false
	}
	got, _ := new(big.Rat).SetString(string(md.AppendDecimal(nil, mant, exp)))
	return got.Cmp(want) == 0
}

func decimalsOf(text string) int {
	_, frac, _ := strings.Cut(text, ".")
	return len(frac)
}
