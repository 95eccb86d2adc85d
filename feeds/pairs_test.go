package feeds

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"tickrelay/ring/md"
)

// pairFile is a file of messages with the values that another project makes of
// them, below pairs/ in the folder of recorded traffic.
type pairFile struct {
	name   string // below pairs/, without ".ndjson"
	venues []Venue
	// conventions are the rows, by the end of their test's name, where values
	// differ on purpose. docs/venues-conventions.md says why, row by row.
	conventions []string
}

// pairFiles are all that hold messages of venues here.
func pairFiles() []pairFile {
	return []pairFile{
		{"tardis-node/kraken", []Venue{Kraken{}}, []string{"kraken messages 8", "kraken v2 messages 6"}},
		{"tardis-node/cryptofacilities", []Venue{KrakenFutures{}}, []string{"messages 11", "messages 13"}},
		{"tardis-node/coinbase", []Venue{CoinbaseExchange{}}, []string{"messages 6", "messages 7", "messages 9"}},
		{"tardis-node/binance-futures", []Venue{BinanceUSDM{}}, []string{"messages 1", "messages 4", "messages 6", "messages 7", "messages 9", "messages 10", "messages 15"}},
		{"tardis-node/binance-delivery", []Venue{BinanceCOINM{}}, []string{"messages 2", "messages 6", "messages 7", "messages 8", "messages 12"}},
		{"tardis-node/bybit-spot", []Venue{Bybit{}}, []string{"messages 3", "messages 4", "messages 9"}},
		{"tardis-node/gate-io", []Venue{Gateio{}}, []string{"messages 1", "messages 2", "messages 4", "messages 5", "messages 6"}},
		{"tardis-node/gate-io-futures", []Venue{GateioFutures{}}, []string{"messages 3", "messages 4", "messages 11", "messages 14"}},
		{"tardis-node/kucoin", []Venue{Kucoin{}}, []string{"messages 8", "messages 9", "messages 11", "messages 12", "messages 13", "messages 15"}},
		{"tardis-node/kucoin-futures", []Venue{KucoinFutures{}}, []string{"messages 2", "messages 4", "messages 11", "messages 12", "messages 13", "messages 14"}},
		{"tardis-node/bitstamp", []Venue{Bitstamp{}}, []string{"messages 3", "messages 5"}},
		{"tardis-node/hyperliquid", []Venue{Hyperliquid{}}, []string{"messages 3"}},
		{"crypto-msg-parser/kraken", []Venue{Kraken{}, KrakenFutures{}},
			[]string{"candlestick::spot", "l2_snapshot::spot", "l2_snapshot::inverse_swap"}},
		{"crypto-msg-parser/coinbase_pro", []Venue{CoinbaseExchange{}}, []string{"trade"}},
		{"crypto-msg-parser/bitstamp", []Venue{Bitstamp{}}, []string{"l2_topk", "l2_snapshot"}},
	}
}

// pairRow is one line of such a file.
type pairRow struct {
	Test     string `json:"source_test"`
	Local    string `json:"local_timestamp"`
	Frame    string
	Expected json.RawMessage
}

// TestPairs decodes the messages and compares values with those of the other
// project, number by number. A row that differs must be a named convention, and a
// convention must differ.
func TestPairs(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "docs", "venues-conventions.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range pairFiles() {
		t.Run(f.name, func(t *testing.T) {
			rows, differ := 0, map[string]bool{}
			for _, row := range pairRows(t, f.name) {
				rows++
				why := "no venue reads it"
				for _, v := range f.venues {
					if why = differsFrom(v, f.name, &row); why == "" {
						break
					}
				}
				convention := ""
				for _, c := range f.conventions {
					if strings.HasSuffix(row.Test, c) {
						convention = c
					}
				}
				switch {
				case why != "" && convention == "":
					t.Errorf("%s: %s\n%.600s\nwant %.600s", row.Test, why, row.Frame, row.Expected)
				case why == "" && convention != "":
					t.Errorf("%s is called a convention, and is equal", row.Test)
				case why != "":
					differ[convention] = true
				}
			}
			for _, c := range f.conventions {
				if !differ[c] {
					t.Errorf("no row %q", c)
				}
				if !bytes.Contains(doc, []byte("| "+f.name+", "+c+" |")) {
					t.Errorf("docs/venues-conventions.md has no row %q", f.name+", "+c)
				}
			}
			t.Logf("%d rows, %d of them conventions", rows, len(differ))
		})
	}
}

func pairRows(t *testing.T, name string) (rows []pairRow) {
	t.Helper()
	file, err := os.Open(captureFile(t, "pairs/"+name+".ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	sc := bufio.NewScanner(file)
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		var row pairRow
		if err := json.Unmarshal(sc.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

// differsFrom says what is not equal, "" if nothing is.
func differsFrom(v Venue, file string, row *pairRow) string {
	var d Decoded
	if err := decodeOf(v)([]byte(row.Frame), &d); err != nil {
		return err.Error()
	}
	if strings.HasPrefix(file, "tardis-node/") {
		return differsFromTardis(&d, row)
	}
	return differsFromParser(&d, row)
}

// decodeOf is decoderOf without what a connection remembers: rows stand alone.
func decodeOf(v Venue) func([]byte, *Decoded) error { return v.Decode }

// pairValue is a record's price or size as that float which is nearest.
func pairValue(mant int64, exp int8) float64 {
	f, _ := strconv.ParseFloat(string(md.AppendDecimal(nil, mant, exp)), 64)
	return f
}

func pairSide(side uint8) string {
	return map[uint8]string{md.SideBuy: "buy", md.SideSell: "sell", md.SideUnknown: "unknown"}[side]
}

// pairFacts are our events in the words of tardis-node: of each a map of names
// to numbers and texts. History is not told, like there.
func pairFacts(d *Decoded) (facts []map[string]any) {
	derivative := map[string]any{"type": "derivative_ticker"}
	for k := range d.Events {
		ev := &d.Events[k]
		recs := d.Recs[ev.From:ev.To]
		fact := map[string]any{}
		if len(recs) > 0 { // an event without records has no time
			fact["timestamp"] = recs[0].TsEvent
		}
		switch ev.Channel {
		case md.ChannelTrades, md.ChannelLiquidations:
			if ev.Action == ActionReplace {
				continue
			}
			for i := range recs {
				r := &recs[i]
				kind := map[md.Channel]string{md.ChannelTrades: "trade", md.ChannelLiquidations: "liquidation"}[ev.Channel]
				facts = append(facts, map[string]any{"type": kind, "timestamp": r.TsEvent, "id": strconv.FormatUint(r.ID, 10),
					"price": pairValue(r.Price, r.PriceExp), "amount": pairValue(r.Size, r.SizeExp), "side": pairSide(r.Side)})
			}
			continue
		case md.ChannelBook:
			fact["type"], fact["isSnapshot"] = "book_change", ev.Action == ActionReplace
			sides := map[uint8][]any{md.SideBid: {}, md.SideAsk: {}}
			for i := range recs {
				r := &recs[i]
				sides[r.Side] = append(sides[r.Side], map[string]any{"price": pairValue(r.Price, r.PriceExp), "amount": pairValue(r.Size, r.SizeExp)})
			}
			fact["bids"], fact["asks"] = sides[md.SideBid], sides[md.SideAsk]
		case md.ChannelBBO:
			fact["type"] = "book_ticker"
			for i, side := range []string{"bid", "ask"} {
				fact[side+"Price"], fact[side+"Amount"] = pairValue(recs[i].Price, recs[i].PriceExp), pairValue(recs[i].Size, recs[i].SizeExp)
			}
		default:
			derivative["timestamp"] = fact["timestamp"]
			for i := range recs {
				pairStatistic(derivative, &recs[i])
			}
			continue
		}
		facts = append(facts, fact)
	}
	if len(derivative) > 1 {
		facts = append(facts, derivative)
	}
	return facts
}

func pairStatistic(fact map[string]any, r *md.Record) {
	name := ""
	switch {
	case r.Kind == md.KindOpenInterest:
		fact["openInterest"] = pairValue(r.Size, r.SizeExp)
	case r.Kind == md.KindFunding && r.Level == md.FundingCurrent:
		name = "fundingRate"
		if r.ID != 0 {
			fact["fundingTimestamp"] = int64(r.ID)
		}
	case r.Kind == md.KindFunding:
		name = "predictedFundingRate"
	case r.Kind == md.KindTicker:
		name = map[uint8]string{md.StatLast: "lastPrice", md.StatMark: "markPrice", md.StatIndex: "indexPrice"}[r.Level]
	}
	if name != "" {
		fact[name] = pairValue(r.Price, r.PriceExp)
	}
}

// differsFromTardis wants every value expected among ours, and nothing of ours
// where nothing is expected.
func differsFromTardis(d *Decoded, row *pairRow) string {
	var want []map[string]any
	if err := json.Unmarshal(row.Expected, &want); err != nil {
		return err.Error()
	}
	facts := pairFacts(d)
	if len(want) == 0 && len(facts) > 0 {
		return fmt.Sprintf("nothing is expected, there is %v", facts)
	}
	local, _ := time.Parse(time.RFC3339Nano, row.Local)
	for _, w := range want {
		why := fmt.Sprintf("no %v", w["type"])
		for k, f := range facts {
			if f["type"] != w["type"] {
				continue
			}
			if why = pairDiffers(f, w, local); why == "" {
				facts = append(facts[:k:k], facts[k+1:]...)
				break
			}
		}
		if why != "" {
			return why
		}
	}
	return ""
}

// pairDiffers compares one event; a value that is null there was not asked for.
// Where the venue sends no time ours is 0, and theirs that of the receipt.
func pairDiffers(f, w map[string]any, local time.Time) string {
	for name, want := range w {
		got, told := f[name]
		switch {
		case want == nil || name == "type" || name == "symbol" || name == "exchange" || name == "localTimestamp":
		case name == "timestamp" && !told:
		case name == "timestamp" || name == "fundingTimestamp":
			at, err := time.Parse(time.RFC3339Nano, want.(string))
			ns, _ := got.(int64)
			if err != nil || ns != at.UnixNano() && (ns != 0 || at.UnixMilli() != local.UnixMilli()) {
				return fmt.Sprintf("%s is %v, want %v", name, got, want)
			}
		case !told || fmt.Sprint(got) != fmt.Sprint(want):
			return fmt.Sprintf("%s is %v, want %v", name, got, want)
		}
	}
	return ""
}

// differsFromParser compares with the values that crypto-msg-parser's tests
// assert: paths such as [0].bids[2].price.
func differsFromParser(d *Decoded, row *pairRow) string {
	var want map[string]any
	if err := json.Unmarshal(row.Expected, &want); err != nil {
		return err.Error()
	}
	if len(d.Events) == 0 {
		return "nothing is read"
	}
	got := map[string]any{}
	recs := d.Recs[d.Events[0].From:d.Events[0].To]
	native := string(d.Events[0].Native)
	if len(recs) > 0 {
		ms := recs[0].TsEvent / 1e6
		got["[0].timestamp"], got["extract_timestamp"], got["extract_symbol"] = ms, ms, native
	}
	got["[0].seq_id"] = d.Events[0].SeqLast
	switch d.Events[0].Channel {
	case md.ChannelTrades:
		r := &recs[0]
		got["[0].price"], got["[0].side"] = pairValue(r.Price, r.PriceExp), pairSide(r.Side)
		got["[0].quantity"] = pairValue(r.Size, r.SizeExp)
	case md.ChannelBook:
		n := [3]int{}
		for i := range recs {
			r := &recs[i]
			at := fmt.Sprintf("[0].%s[%d].", [3]string{"", "bids", "asks"}[r.Side], n[r.Side])
			n[r.Side]++
			got[at+"price"], got[at+"quantity"] = pairValue(r.Price, r.PriceExp), pairValue(r.Size, r.SizeExp)
		}
		got["[0].bids.length"], got["[0].asks.length"] = n[md.SideBid], n[md.SideAsk]
	}
	contracts := false // then the other quantities are computed there
	for name := range want {
		contracts = contracts || strings.HasSuffix(name, "quantity_contract") && want[name] != nil
	}
	for name, w := range want {
		quantity := ""
		if at := strings.Index(name, "quantity_"); at >= 0 {
			quantity, name = name[at+len("quantity_"):], name[:at]+"quantity"
		}
		switch {
		case w == nil, quantity == "quote", quantity == "base" && contracts, name == "[0].pair", name == "[0].msg_type":
		default:
			if _, ok := w.(float64); ok {
				if g, isInt := got[name].(int64); isInt {
					got[name] = float64(g)
				} else if g, isInt := got[name].(int); isInt {
					got[name] = float64(g)
				}
			}
			if got[name] != w {
				return fmt.Sprintf("%s is %v, want %v", name, got[name], w)
			}
		}
	}
	return ""
}
