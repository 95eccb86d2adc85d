package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tickrelay/relay/record"
	"tickrelay/ring"
	"tickrelay/ring/md"
)

// recordedRelay is a configuration of a relay of its own on a simulated exchange, with a
// block record:.
func recordedRelay(t *testing.T, recordBlock string) (file, name string) {
	t.Helper()
	srv := exchange(t, 300)
	name = fmt.Sprintf("rec-%d", os.Getpid())
	t.Cleanup(func() { os.RemoveAll(filepath.Join(ring.DefaultBase, name)) })
	file = writeFile(t, "c.yaml", fmt.Sprintf(`relay: %s
listen: 127.0.0.1:0
socket: %s
feeds:
- {venue: binance, url: "%s", rest: "%s", instruments: [BTC-USDT, ETH-USDT], channels: [trades, book, bbo]}
record: %s
`, name, filepath.Join(t.TempDir(), "s"), srv.URL(), srv.REST(), recordBlock))
	return file, name
}

// recordedSome waits until a recording holds n records of every channel.
func recordedSome(t *testing.T, dir string, n int64) {
	t.Helper()
	waitFor(t, "records in "+dir, func() bool {
		hours, err := record.List(dir)
		channels := map[string]int64{}
		for _, h := range hours {
			channels[h.Channel.String()] += h.Rows + h.Open
		}
		return err == nil && channels["trades"] >= n && channels["book"] >= n && channels["bbo"] >= n
	})
}

// counted has the counts of record verify by channel. A recorder may be at work.
func counted(t *testing.T, dir string) map[string]verifiedCounts {
	t.Helper()
	out, errs, code := tickrelay(t, "record", "verify", "--json", dir)
	var got verifiedRecording
	if err := json.Unmarshal([]byte(out), &got); code != exitDone || err != nil || len(got.Problems) > 0 {
		t.Fatalf("exit %d, %v\n%s%s", code, err, out, errs)
	}
	all, by := int64(0), map[string]verifiedCounts{}
	for _, c := range got.Channels {
		all, by[c.Channel] = all+c.Rows, c.verifiedCounts
	}
	if all != got.Rows {
		t.Errorf("%d records of channels, %d in all", all, got.Rows)
	}
	return by
}

// agreed is counted of a recording at rest, which must be what ls counts and a scan gives.
func agreed(t *testing.T, dir string) map[string]verifiedCounts {
	t.Helper()
	by := counted(t, dir)
	hours, err := record.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	listed, scanned := map[string]int64{}, map[string]int64{}
	for _, h := range hours {
		listed[h.Channel.String()] += h.Rows + h.Open
	}
	err = record.Scan(t.Context(), dir, record.Query{}, func(e record.Event) error {
		scanned[e.Topic.Channel.String()] += int64(len(e.Records))
		return nil
	})
	if err != nil || len(by) != len(listed) {
		t.Fatalf("%v; %d channels verified, %d listed", err, len(by), len(listed))
	}
	for ch, c := range by {
		if c.Rows != listed[ch] || c.Rows != scanned[ch] {
			t.Errorf("%s: verify counts %d records, ls %d, a scan gives %d", ch, c.Rows, listed[ch], scanned[ch])
		}
	}
	return by
}

func verified(t *testing.T, dir string) string {
	t.Helper()
	out, errs, code := tickrelay(t, "record", "verify", dir)
	if code != exitDone || !strings.Contains(out, "problems 0\n") {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	return out
}

// TestRunRecords: tickrelay run with record: in the same process, stopped by Ctrl-C.
func TestRunRecords(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "rec")
	file, _ := recordedRelay(t, fmt.Sprintf("{dir: %q, topics: [\"binance.>\"]}", dir))
	p := start(t, "run", "-c", file)
	p.line("socket ")
	recordedSome(t, dir, 50)
	if _, errs, code := tickrelay(t, "record", "-c", file); code != exitFailed || !strings.Contains(errs, "record.apart: true") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if code := p.stop(); code != exitDone {
		t.Fatalf("exit %d\n%s", code, p.errors())
	}
	verified(t, dir)
	hours, err := record.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range hours {
		if h.Open != 0 {
			t.Errorf("%s %d: %d records are still open", h.Channel, h.Start, h.Open)
		}
	}
	out, errs, code := tickrelay(t, "record", "ls", "--json", dir)
	var list []listedHour
	if err := json.Unmarshal([]byte(out), &list); code != exitDone || err != nil || len(list) != len(hours) {
		t.Errorf("exit %d, %v: %s%s", code, err, out, errs)
	}
}

// TestRecordApart: a recorder of its own, killed and started again, over the control
// socket; then what users do with a recording.
func TestRecordApart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "rec")
	file, _ := recordedRelay(t, fmt.Sprintf("{dir: %q, apart: true}", dir))
	early := start(t, "record", "-c", file) // before there is a relay
	relay := start(t, "run", "-c", file)
	relay.line("socket ")
	recordedSome(t, dir, 50)
	if _, errs, code := tickrelay(t, "record", "-c", file); code != exitFailed || !strings.Contains(errs, "another recorder writes there") {
		t.Errorf("exit %d: %s", code, errs)
	}
	listed, err := record.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := early.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-early.exited
	left := agreed(t, dir) // as the kill has left it
	for _, h := range listed {
		ch := h.Channel.String()
		if c := left[ch]; c.Rows < h.Rows+h.Open {
			t.Errorf("%s: %d records were there before the kill, %d after it", ch, h.Rows+h.Open, c.Rows)
		}
	}
	second := start(t, "record", "-c", file, "--metrics", "127.0.0.1:0")
	second.line("recording to ")
	for ch, c := range counted(t, dir) { // while it is at work
		if c.Rows < left[ch].Rows {
			t.Errorf("%s: %d records were left by the kill, %d recovered", ch, left[ch].Rows, c.Rows)
		}
	}
	recordedSome(t, dir, 100)
	if code := second.stop(); code != exitDone || !strings.Contains(second.errors(), "recovered what the recorder before had open") {
		t.Errorf("exit %d: %s", code, second.errors())
	}
	if code := relay.stop(); code != exitDone {
		t.Errorf("relay: exit %d", code)
	}
	before, counts := verified(t, dir), agreed(t, dir)
	if strings.Contains(before, "gaps 0\n") {
		t.Error("nothing was missed while no recorder ran?")
	}
	if out, errs, code := tickrelay(t, "record", "compact", dir); code != exitDone || !strings.HasPrefix(out, "hours ") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if after := verified(t, dir); after != before || !maps.Equal(agreed(t, dir), counts) {
		t.Errorf("compacted: %s\nbefore: %s", after, before)
	}
	out, errs, code := tickrelay(t, "record", "convert", "--topics", "binance.trades.*", dir)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	// A trade and a gap are a line each; a heartbeat is none.
	if c := counts["trades"]; code != exitDone || c.Rows < 100 || int64(len(lines)) != c.Rows-c.Heartbeats {
		t.Fatalf("exit %d, %d lines of %+v: %s", code, len(lines), c, errs)
	}
	gaps := uint64(0)
	for _, l := range lines {
		var m struct{ Type, Topic, Price string }
		if err := json.Unmarshal([]byte(l), &m); err != nil || m.Type != "gap" && (m.Type != "trade" || m.Price == "") {
			t.Fatalf("%v: %s", err, l)
		}
		if m.Type == "gap" {
			gaps++
		}
	}
	if c := counts["trades"]; gaps != c.Gaps || c.State != 0 {
		t.Errorf("%d gaps in lines of %+v", gaps, c)
	}
}

// TestRecordDamaged: a file that cannot be read is named, the others are read all the
// same, and the exit code tells.
func TestRecordDamaged(t *testing.T) {
	dir := t.TempDir()
	hour := func(venue, name string) string {
		path := filepath.Join(dir, venue, "trades", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	bad := hour("okx", "2026-11-28T15.parquet")
	if err := os.WriteFile(bad, []byte("PAR1 and then nothing"), 0o644); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 28, 15, 1, 0, 0, time.UTC).UnixNano()
	rec, err := record.New(record.Config{Dir: dir, MinFree: 1, Topics: []string{"binance.>"}, Now: func() int64 { return at }})
	if err != nil {
		t.Fatal(err)
	}
	aside := bad + ".damaged"
	if _, err := os.Stat(aside); err != nil || rec.Stats().Damaged.Load() != 1 {
		t.Fatal(err, rec.Stats().Damaged.Load())
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := rec.Run(ended, oneTrade(t, at)); err != nil { // it takes what waits in the ring
		t.Fatal(err)
	}
	if err := os.Rename(aside, bad); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"ls":            "binance  trades   2026-11-28T15  1      2        0",
		"ls --json":     `"venue":"binance","channel":"trades","hour":"2026-11-28T15:00:00Z","files":1,"records":2`,
		"verify":        "records 2\n",
		"verify --json": `"venue":"binance","channel":"trades","hours":1,"records":2`,
		"convert":       `"topic":"binance.trades.BTC-USDT","seq":1`,
	} {
		out, errs, code := tickrelay(t, append(append([]string{"record"}, strings.Fields(args)...), dir)...)
		if code != exitFailed || !strings.Contains(out, want) || !strings.Contains(errs, bad) {
			t.Errorf("%s: exit %d, no %q\n%s%s", args, code, want, out, errs)
		}
	}
	out, errs, code := tickrelay(t, "record", "compact", dir)
	if code != exitFailed || !strings.Contains(out, "hours 1\n") || !strings.Contains(errs, filepath.Base(aside)) {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	if out, errs, code = tickrelay(t, "record", "verify", dir); code != exitFailed || !strings.Contains(errs, aside) {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	if err := os.Remove(aside); err != nil {
		t.Fatal(err)
	}
	verified(t, dir)
}

// oneTrade is a ring with a topic's heartbeat and one trade.
func oneTrade(t *testing.T, at int64) record.Source {
	t.Helper()
	table, err := md.CreateTable(make([]byte, md.TableSize(4)), 4, 1)
	if err != nil {
		t.Fatal(err)
	}
	id, err := table.Add(md.Instrument{Venue: md.VenueBinance, Symbol: "BTC-USDT", PriceExp: -2, SizeExp: -5})
	if err != nil {
		t.Fatal(err)
	}
	seg := ring.NewHeap(64, ring.Meta{})
	c, err := ring.OpenConsumer(seg)
	if err != nil {
		t.Fatal(err)
	}
	pub := ring.NewPublisher(ring.PublisherConfig{Venue: md.VenueBinance, Epoch: at})
	if _, err := pub.Attach(seg, func(uint32, md.Channel) bool { return true }); err != nil {
		t.Fatal(err)
	}
	rec := md.Record{Kind: md.KindTrade, Flags: md.FlagFirst | md.FlagLast, Venue: md.VenueBinance, Instrument: id, Seq: 1, TsRecv: at, TsEvent: at, Price: 6412345, Size: 7, PriceExp: -2, SizeExp: -5, Side: md.SideBuy}
	topic := pub.AddTopic(id, md.ChannelTrades, nil)
	for pub.Turn(at) { // the ring begins with the topic's number
	}
	pub.Publish(topic, []md.Record{rec})
	pub.Flush()
	return record.NewRings(table.View(), c)
}

// TestRecordUsage: wrong flags and a wrong configuration say what is wrong.
func TestRecordUsage(t *testing.T) {
	f := func(code int, want string, args ...string) {
		t.Helper()
		_, errs, got := tickrelay(t, args...)
		if got != code || !strings.Contains(errs, want) {
			t.Errorf("%v: exit %d, want %d with %q\n%s", args, got, code, want, errs)
		}
	}
	f(exitUsage, "one of -c FILE", "record")
	f(exitUsage, "--dir DIR is needed", "record", "--attach", "x")
	f(exitUsage, "unknown venue", "record", "--attach", "x", "--dir", t.TempDir(), "--topics", "nyse.>")
	f(exitUsage, "with -c", "record", "-c", "x", "--dir", "y")
	f(exitUsage, "--from", "record", "convert", "--from", "yesterday", t.TempDir())
	f(exitFailed, "no such file", "record", "ls", filepath.Join(t.TempDir(), "none"))
	f(exitUsage, "unknown command", "record", "lst")
	_, err := parseConfig("x.yaml", []byte("feeds:\n- {venue: okx, instruments: [BTC-USDT]}\nrecord:\n  topics: [\"okc.>\"]\n  keep_age: 3\n  row_group: 10\n  seal: 2h\n  sync: never\n  kep_mb: 3\n"))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{`x.yaml:3: record: dir is missing`, `record.topics[0]: `, `x.yaml:5: record.keep_age: "3": want a time of 1h0m0s or more`,
		`x.yaml:6: record.row_group: 10: want 1024`, `x.yaml:7: record.seal: "2h": want a time of 1s to 1h0m0s`, `x.yaml:8: record.sync: "never"`, `unknown key "kep_mb" in record, did you mean "keep_mb"?`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
}

// TestProgress: lines where there is no terminal, none for short work.
func TestProgress(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, "work", 10)
	p.set(5, 10)
	p.end()
	if out.Len() > 0 {
		t.Errorf("short work told of itself: %q", out.String())
	}
	p = newProgress(&out, "work", 10)
	p.start = p.start.Add(-time.Minute)
	p.told = p.start
	p.set(5, 10)
	p.add(5)
	p.end()
	p.end()
	if got := out.String(); got != "work: 5 of 10 (50 %), 1m0s left\nwork: 10 in 1m0s\n" && !strings.HasPrefix(got, "work: 5 of 10 (50 %), 1m0s left\nwork: 10 in 1m0.") {
		t.Errorf("%q", got)
	}
}

// TestTimeFlag: a time that nanoseconds do not hold is refused, not another one.
func TestTimeFlag(t *testing.T) {
	for _, text := range []string{"9999-12-31T00:00:00Z", "1600-01-01T00:00:00Z", "tomorrow"} {
		if at, err := timeFlag("to", text); err == nil {
			t.Errorf("%s: %d", text, at)
		}
	}
	if at, err := timeFlag("to", "2026-11-28T15:00:00Z"); err != nil || at != 1795878000e9 {
		t.Error(at, err)
	}
}
