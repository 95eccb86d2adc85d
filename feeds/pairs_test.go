package feeds

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tickrelay/ring/md"
)

// pairRow is one line of a file of pairs.
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
			rows := pairRows(t, f.name)
			readers := make([]*pairReader, len(f.venues))
			for k, v := range f.venues {
				readers[k] = newPairReader(v, f)
			}
			conventions := f.rows()
			differ, skipped := map[string]bool{}, map[string]bool{}
			for k := range rows {
				row, why := &rows[k], "no venue reads it"
				for _, r := range readers {
					var skips map[string]bool
					if why, skips = r.differs(row); why == "" {
						for s := range skips {
							skipped[s] = true
						}
						break
					}
				}
				convention := ""
				for _, c := range conventions {
					if strings.HasSuffix(row.Test, c) {
						convention = c
					}
				}
				switch {
				case why != "" && convention == "":
					t.Errorf("%s: %s\n%.900s\nwant %.600s", row.Test, why, row.Frame, row.Expected)
				case why == "" && convention != "":
					t.Errorf("%s is called a convention, and is equal", row.Test)
				case why != "":
					differ[row.Test] = true
				}
			}
			f.check(t, doc, len(differ), skipped)
			t.Logf("%d rows: %d equal, %d conventions; in the equal ones %q differ by convention",
				len(rows), len(rows)-len(differ), len(differ), f.skip)
		})
	}
}

// check holds the table of conventions to what was seen and to the documents.
func (f *pairFile) check(t *testing.T, doc []byte, differ int, skipped map[string]bool) {
	t.Helper()
	if want := len(f.rows()); differ != want {
		t.Errorf("%d rows differ, %d are named", differ, want)
	}
	named := f.conventions
	for _, s := range f.skip {
		named = append(named[:len(named):len(named)], "every "+s)
		if !skipped[s] {
			t.Errorf("%s is never different", s)
		}
	}
	for _, c := range named {
		if !bytes.Contains(doc, []byte("| "+f.name+", "+c+" |")) {
			t.Errorf("docs/venues-conventions.md has no row %q", f.name+", "+c)
		}
	}
}

// TestPairsLeaveOutNone: each file of pairs is compared, or known to be of an
// exchange or a market that is none of the venues here.
func TestPairsLeaveOutNone(t *testing.T) {
	dir := os.Getenv("TICKRELAY_CAPTURES")
	if dir == "" {
		t.Skip("TICKRELAY_CAPTURES names no folder of recorded exchange traffic")
	}
	known := map[string]bool{}
	for _, f := range pairFiles() {
		known[f.name] = true
	}
	files, err := filepath.Glob(filepath.Join(dir, "pairs", "*", "*.ndjson"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files of pairs below %s: %v", dir, err)
	}
	foreign := 0
	for _, file := range files {
		name := filepath.Base(filepath.Dir(file)) + "/" + strings.TrimSuffix(filepath.Base(file), ".ndjson")
		_, elsewhere := pairForeign[filepath.Base(name)]
		switch {
		case known[name] && elsewhere:
			t.Errorf("%s is compared and called foreign", name)
		case elsewhere:
			foreign++
		case !known[name]:
			t.Errorf("%s is not compared", name)
		}
	}
	t.Logf("%d files, %d compared, %d of other exchanges", len(files), len(files)-foreign, foreign)
}

// pairRows reads a file. A second row of one test is called "… (2)".
func pairRows(t *testing.T, name string) (rows []pairRow) {
	t.Helper()
	file, err := os.Open(captureFile(t, "pairs/"+name+".ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	sc := bufio.NewScanner(file)
	sc.Buffer(nil, 16<<20)
	seen := map[string]int{}
	for sc.Scan() {
		var row pairRow
		if err := json.Unmarshal(sc.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		if seen[row.Test]++; seen[row.Test] > 1 {
			row.Test += fmt.Sprintf(" (%d)", seen[row.Test])
		}
		rows = append(rows, row)
	}
	return rows
}

// pairReader decodes the rows of a file as one connection of a venue.
type pairReader struct {
	venue  Venue
	file   *pairFile
	decode func([]byte, *Decoded) error
	// said are the derivative values told by earlier rows, by symbol: tardis-node
	// repeats them, ours tells each once.
	said map[string]map[string]any
}

func newPairReader(v Venue, f pairFile) *pairReader {
	return &pairReader{v, &f, decoderOf(v), map[string]map[string]any{}}
}

// differs says what is not equal, "" if nothing is.
func (r *pairReader) differs(row *pairRow) (why string, skipped map[string]bool) {
	var d Decoded
	ack, frame := pairSubscribed(row.Frame)
	if ack != "" {
		if err := r.decode([]byte(ack), &d); err != nil {
			return err.Error(), nil
		}
		d.Reset()
	}
	err := r.decode([]byte(frame), &d)
	parser := strings.HasPrefix(r.file.name, "crypto-msg-parser/")
	if (err != nil || len(d.Events) == 0) && parser { // an answer of REST?
		var rest Decoded
		in := md.Instrument{Native: pairNative(row), Symbol: pairNative(row), Venue: r.venue.Spec().Venue}
		if r.venue.DecodeSnapshot([]byte(frame), &in, &rest) == nil {
			d, err = rest, nil
		}
	}
	if err != nil {
		return err.Error(), nil
	}
	if parser {
		return differsFromParser(&d, row, r.file.skip)
	}
	return r.differsFromTardis(&d, row)
}

// pairNative is the name that a row expects.
func pairNative(row *pairRow) string {
	var want map[string]any
	if json.Unmarshal(row.Expected, &want) != nil {
		return ""
	}
	for _, name := range []string{"[0].symbol", "extract_symbol"} {
		if s, ok := want[name].(string); ok {
			return s
		}
	}
	return ""
}

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
		fact := map[string]any{"native": string(ev.Native)}
		if len(recs) > 0 { // an event without records has no time
			fact["timestamp"] = recs[0].TsEvent
		}
		switch ev.Channel {
		case md.ChannelTrades, md.ChannelLiquidations:
			if ev.Action != ActionReplace {
				facts = append(facts, pairTrades(ev, recs)...)
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
			derivative["native"] = fact["native"]
			if len(recs) > 0 && recs[0].TsEvent != 0 {
				derivative["timestamp"] = recs[0].TsEvent
			}
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

func pairTrades(ev *Event, recs []md.Record) (facts []map[string]any) {
	kind := map[md.Channel]string{md.ChannelTrades: "trade", md.ChannelLiquidations: "liquidation"}[ev.Channel]
	for i := range recs {
		r := &recs[i]
		id := strconv.FormatUint(r.ID, 10)
		if r.Flags&md.FlagIDHash != 0 {
			id = string(ev.Text)
		}
		facts = append(facts, map[string]any{"type": kind, "timestamp": r.TsEvent, "id": id,
			"price": pairValue(r.Price, r.PriceExp), "amount": pairValue(r.Size, r.SizeExp), "side": pairSide(r.Side)})
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
		if fact["fundingTimestamp"] == nil && r.ID != 0 {
			fact["fundingTimestamp"] = int64(r.ID)
		}
	case r.Kind == md.KindTicker:
		name = map[uint8]string{md.StatLast: "lastPrice", md.StatMark: "markPrice", md.StatIndex: "indexPrice"}[r.Level]
	}
	if name != "" {
		fact[name] = pairValue(r.Price, r.PriceExp)
	}
}

// differsFromTardis wants every value expected among ours, and nothing of ours
// where nothing is expected.
func (r *pairReader) differsFromTardis(d *Decoded, row *pairRow) (string, map[string]bool) {
	var want []map[string]any
	if err := json.Unmarshal(row.Expected, &want); err != nil {
		return err.Error(), nil
	}
	facts := pairFacts(d)
	for _, f := range facts {
		r.remember(f)
	}
	if len(want) == 0 && len(facts) > 0 {
		return fmt.Sprintf("nothing is expected, there is %v", facts), nil
	}
	skipped := map[string]bool{}
	local, _ := time.Parse(time.RFC3339Nano, row.Local)
	for _, w := range want {
		if w["type"] == "option_summary" {
			w = pairOption(w)
		}
		why := fmt.Sprintf("no %v", w["type"])
		for k, f := range facts {
			if f["type"] != w["type"] {
				continue
			}
			if why = r.pairDiffers(f, w, local, skipped); why == "" {
				facts = append(facts[:k:k], facts[k+1:]...)
				break
			}
		}
		if kind, _ := w["type"].(string); why != "" && slices.Contains(r.file.skip, kind) {
			skipped[kind], why = true, ""
		}
		if why != "" {
			return why, nil
		}
	}
	return "", skipped
}

// pairOption is the part of an option's summary that there is a channel for.
func pairOption(w map[string]any) map[string]any {
	part := map[string]any{"type": "derivative_ticker"}
	for _, name := range []string{"timestamp", "lastPrice", "openInterest", "markPrice"} {
		part[name] = w[name]
	}
	return part
}

// remember adds what a row tells of a derivative to what is known of it.
func (r *pairReader) remember(f map[string]any) {
	native, _ := f["native"].(string)
	if f["type"] != "derivative_ticker" {
		return
	}
	if r.said[native] == nil {
		r.said[native] = map[string]any{}
	}
	for name, v := range f {
		r.said[native][name] = v
	}
}

// pairDiffers compares one event; a value that is null there was not asked for.
// Where the venue sends no time ours is 0, and theirs that of the receipt.
func (r *pairReader) pairDiffers(f, w map[string]any, local time.Time, skipped map[string]bool) string {
	for name, want := range w {
		got, told := f[name]
		if native, _ := f["native"].(string); !told && w["type"] == "derivative_ticker" && name != "timestamp" {
			got, told = r.said[native][name]
		}
		why := ""
		switch {
		case want == nil || name == "type" || name == "symbol" || name == "exchange" || name == "localTimestamp":
		case name == "timestamp" && !told:
		case name == "timestamp" || name == "fundingTimestamp":
			at, err := time.Parse(time.RFC3339Nano, want.(string))
			ns, _ := got.(int64)
			if err != nil || ns != at.UnixNano() && (ns != 0 || at.UnixMilli() != local.UnixMilli()) {
				why = fmt.Sprintf("%s is %v, want %v", name, got, want)
			}
		case !told || fmt.Sprint(got) != fmt.Sprint(want):
			why = fmt.Sprintf("%s is %v, want %v", name, got, want)
		}
		if why == "" {
			continue
		}
		kind, _ := w["type"].(string)
		at := slices.IndexFunc(r.file.skip, func(s string) bool { return s == name || s == kind+"."+name })
		if at < 0 {
			return why
		}
		skipped[r.file.skip[at]] = true
	}
	return ""
}
