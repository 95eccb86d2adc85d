package feeds

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"tickrelay/ring/md"
)

// pairNames matches what tardis-node's recorder appends to Bitfinex's frames.
var pairNames = regexp.MustCompile(`^\[(\d+),.*,"(book|raw_book|trades|ticker|status|liquidations)","([^"]*)"\]$`)

// pairSubscribed makes of a recorder's names of Bitfinex's channels what the venue
// says: ack comes before, with the number that the frame sent then has.
// crypto-msg-parser's recorder puts the subscription in the place of the number,
// tardis-node's appends channel and symbol.
func pairSubscribed(frame string) (ack, sent string) {
	if m := pairNames.FindStringSubmatch(frame); m != nil {
		what := `"channel":"` + m[2] + `","symbol":"t` + m[3] + `","prec":"P0"`
		switch m[2] {
		case "raw_book":
			what = `"channel":"book","symbol":"t` + m[3] + `","prec":"R0"`
		case "status":
			what = `"channel":"status","key":"deriv:t` + m[3] + `"`
		case "liquidations":
			what = `"channel":"status","key":"liq:global"`
		case "ticker":
			if !strings.Contains(m[3], ":") && len(m[3]) < 6 { // of a currency that is lent
				what = `"channel":"ticker","symbol":"f` + m[3] + `"`
			}
		}
		return `{"event":"subscribed","chanId":` + m[1] + `,` + what + `}`, frame
	}
	end := strings.Index(frame, "}")
	if !strings.HasPrefix(frame, `[{"`) || end < 0 || !strings.Contains(frame[:end], `"channel"`) {
		return "", frame
	}
	return `{"event":"subscribed","chanId":7,` + frame[2:end] + "}", "[7" + frame[end+1:]
}

// parserValues are our values under the names that crypto-msg-parser's tests
// assert: paths such as [0].bids[2].price.
func parserValues(d *Decoded) map[string]any {
	got := map[string]any{"length": float64(0)}
	n := 0
	var latest int64
	for k := range d.Events {
		ev := &d.Events[k]
		recs := d.Recs[ev.From:ev.To]
		for i := range recs {
			latest = max(latest, recs[i].TsEvent/1e6)
		}
		got["extract_symbol"] = string(ev.Native)
		switch ev.Channel {
		case md.ChannelTrades:
			for i := range recs {
				parserTrade(got, n, ev, &recs[i])
				n++
			}
		case md.ChannelBook, md.ChannelBBO:
			parserBook(got, fmt.Sprintf("[%d].", n), ev, recs)
			n++
		case md.ChannelFunding:
			parserFunding(got, fmt.Sprintf("[%d].", n), recs)
			n++
		}
	}
	if latest > 0 {
		got["extract_timestamp"] = float64(latest)
	}
	got["length"] = float64(n)
	return got
}

func parserTrade(got map[string]any, n int, ev *Event, r *md.Record) {
	at := fmt.Sprintf("[%d].", n)
	got[at+"timestamp"], got[at+"symbol"] = float64(r.TsEvent/1e6), string(ev.Native)
	got[at+"price"], got[at+"side"] = pairValue(r.Price, r.PriceExp), pairSide(r.Side)
	got[at+"quantity"] = pairValue(r.Size, r.SizeExp)
}

func parserBook(got map[string]any, at string, ev *Event, recs []md.Record) {
	if len(recs) > 0 && recs[0].TsEvent != 0 {
		got[at+"timestamp"] = float64(recs[0].TsEvent / 1e6)
	}
	got[at+"symbol"] = string(ev.Native)
	got[at+"seq_id"], got[at+"id"], got[at+"prev_seq_id"] = float64(ev.SeqLast), float64(ev.SeqLast), float64(ev.SeqPrev)
	levels := [3]int{}
	for i := range recs {
		r := &recs[i]
		price, size := pairValue(r.Price, r.PriceExp), pairValue(r.Size, r.SizeExp)
		side := [3]string{"", "bid", "ask"}[r.Side]
		got[at+side+"_price"], got[at+side+"_quantity"] = price, size
		level := fmt.Sprintf("%s%ss[%d].", at, side, levels[r.Side])
		got[level+"price"], got[level+"quantity"] = price, size
		levels[r.Side]++
	}
	got[at+"bids.length"], got[at+"asks.length"] = float64(levels[md.SideBid]), float64(levels[md.SideAsk])
}

func parserFunding(got map[string]any, at string, recs []md.Record) {
	for i := range recs {
		r := &recs[i]
		if r.Level == md.FundingPredicted {
			got[at+"estimated_rate"] = pairValue(r.Price, r.PriceExp)
			continue
		}
		got[at+"timestamp"] = float64(r.TsEvent / 1e6)
		got[at+"funding_rate"], got[at+"funding_time"] = pairValue(r.Price, r.PriceExp), float64(r.ID/1e6)
	}
}

// parserQuantity matches the names of quantities: theirs are in the base, the
// quote and in contracts, ours is the one that the venue sends.
var parserQuantity = regexp.MustCompile(`^(.*quantity)_(base|quote|contract)$`)

// differsFromParser compares all values expected but those in skip.
func differsFromParser(d *Decoded, row *pairRow, skip []string) (why string, skipped map[string]bool) {
	var want map[string]any
	if err := json.Unmarshal(row.Expected, &want); err != nil {
		return err.Error(), nil
	}
	if len(d.Events) == 0 {
		return "nothing is read", nil
	}
	got := parserValues(d)
	contracts := false // then the other quantities are computed there
	for name := range want {
		contracts = contracts || strings.HasSuffix(name, "quantity_contract") && want[name] != nil
	}
	skipped = map[string]bool{}
	for name, w := range want {
		unit := ""
		if m := parserQuantity.FindStringSubmatch(name); m != nil {
			name, unit = m[1], m[2]
		}
		switch {
		case w == nil, unit == "quote", unit == "base" && contracts:
		case name == "[0].pair", name == "[0].msg_type", name == "extract_symbol" && w == "NONE":
		case pairEqual(got[name], w):
		default:
			why := fmt.Sprintf("%s is %v, want %v", name, got[name], w)
			if s := parserSkips(name, skip); s != "" {
				skipped[s] = true
				continue
			}
			return why, nil
		}
	}
	return "", skipped
}

// parserSkips returns which of skip a name ends with.
func parserSkips(name string, skip []string) string {
	for _, s := range skip {
		if strings.HasSuffix(name, s) {
			return s
		}
	}
	return ""
}

// pairEqual compares as floats what are numbers on both sides.
func pairEqual(got, want any) bool {
	if got == want {
		return true
	}
	g, err1 := strconv.ParseFloat(fmt.Sprint(got), 64)
	w, err2 := strconv.ParseFloat(fmt.Sprint(want), 64)
	return err1 == nil && err2 == nil && g == w
}
