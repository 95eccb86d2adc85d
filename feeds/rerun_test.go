package feeds

import (
	"bytes"
	"context"
	"flag"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"tickrelay/feeds/sim"
	"tickrelay/ring"
	"tickrelay/ring/md"
)

// recordingsOf lists the files of a feed's recording in their order.
func recordingsOf(t testing.TB, dir, feed string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, feed, "*.ndjson*"))
	if err != nil {
		t.Fatal(err)
	}
	all = slices.DeleteFunc(all, func(s string) bool { return bytes.Contains([]byte(filepath.Base(s)), []byte(".rest.")) })
	slices.Sort(all)
	return all
}

// rerunBytes runs a recording again and returns the records and the JSON lines.
func rerunBytes(t testing.TB, v Venue, speed float64, files ...string) (recs, lines []byte, sum Summary) {
	t.Helper()
	var records, out bytes.Buffer
	sum, err := Normalize(NormalizeConfig{Venue: v, Out: &out, Records: &records, Speed: speed}, files)
	if err != nil {
		t.Fatal(err)
	}
	return records.Bytes(), out.Bytes(), sum
}

// collector keeps every record of a ring.
type collector struct {
	c    *ring.Consumer
	recs []md.Record
	all  []md.Record
}

func (c *collector) pump() {
	for {
		n, err := c.c.Poll(c.recs)
		c.all = append(c.all, c.recs[:n]...)
		if n == 0 || err != nil {
			return
		}
	}
}

var rerunAll = flag.Bool("rerun-all", false, "run TestRerunIsTheLiveRun at every venue, not at four")

// TestRerunIsTheLiveRun: feeds on simulated exchanges on which everything goes
// wrong, two lines each, are recorded; the recording run again fills a ring with
// the very bytes that the live one had: numbers, times, snapshots, heartbeats.
func TestRerunIsTheLiveRun(t *testing.T) {
	for _, name := range sim.Venues() {
		if !*rerunAll && !slices.Contains([]string{"binance", "okx", "kraken", "coinbase"}, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testRerun(t, name)
		})
	}
}

func testRerun(t *testing.T, name string) {
	v := quick(t, name)
	v.spec.DeadAfter = 1500 * time.Millisecond
	every := map[sim.Fault]int{}
	for _, f := range sim.AllFaults() {
		every[f] = 1500
	}
	every[sim.FaultHugeFrame], every[sim.FaultSilent], every[sim.FaultMute] = 30000, 20000, 20000
	dir := t.TempDir()
	var rec *RawRecorder
	var table *md.Table
	r := newRig(t, v, sim.Options{Checksums: true, Faults: sim.Faults{Seed: 5, Every: every, For: 100 * time.Millisecond, Possible: true}},
		func(c *Config, _ *sim.Server) {
			c.Lines = 2
			c.Limits.BookRetry = 500 * time.Millisecond
			c.Limits.Audit = time.Second
			table = c.Table
			if _, err := table.Add(md.Instrument{Venue: v.spec.Venue, Symbol: "ANOTHER-FEEDS"}); err != nil {
				t.Fatal(err)
			}
		})
	live := &collector{c: r.seen.c, recs: make([]md.Record, 4096)}
	var err error
	if rec, err = RecordRaw(r.feed, RawConfig{Dir: dir, Every: 2 * time.Second}); err != nil {
		t.Fatal(err)
	}
	stop := runFeed(t, r.feed)
	done := make(chan error, 1)
	go func() { done <- rec.Run(context.Background()) }()
	began := time.Now()
	for time.Since(began) < 4*time.Second {
		live.pump()
		time.Sleep(time.Millisecond)
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	live.pump()
	if lost := rec.Stats().Lost.Load(); lost != 0 {
		t.Fatalf("%d lines lost", lost)
	}
	files := recordingsOf(t, dir, name)
	if len(files) < 2 {
		t.Errorf("%d files, want a new one every two seconds", len(files))
	}
	recs, lines, sum := rerunBytes(t, v, 0, files...)
	if sum.Inexact != "" {
		t.Errorf("inexact: %s", sum.Inexact)
	}
	compareRecords(t, live.all, recs)
	st := r.feed.Stats()
	if sum.Records != st.Records.Load() || sum.Gaps != st.GapsTotal() || sum.Frames != st.Frames.Load() || sum.Records == 0 {
		t.Errorf("records %d gaps %d frames %d, live %d %d %d", sum.Records, sum.Gaps, sum.Frames, st.Records.Load(), st.GapsTotal(), st.Frames.Load())
	}
	again, lines2, _ := rerunBytes(t, v, 0, files...)
	if !bytes.Equal(recs, again) || !bytes.Equal(lines, lines2) {
		t.Error("a second run made something else")
	}
	t.Logf("%d files, %d frames, %d records, %d gaps, %d reconnects", len(files), sum.Frames, len(live.all), sum.Gaps, st.Reconnects.Load())
}

// compareRecords names the first record that differs.
func compareRecords(t *testing.T, live []md.Record, recs []byte) {
	t.Helper()
	want := md.AsBytes(live)
	if bytes.Equal(want, recs) {
		return
	}
	n := 0
	for n+md.RecordSize <= min(len(want), len(recs)) && bytes.Equal(want[n:n+md.RecordSize], recs[n:n+md.RecordSize]) {
		n += md.RecordSize
	}
	show := func(b []byte) []byte { return b[n:min(n+2*md.RecordSize, len(b))] }
	t.Fatalf("record %d of %d (live) and %d (rerun) differs:\n%x\n%x", n/md.RecordSize, len(want)/md.RecordSize, len(recs)/md.RecordSize, show(want), show(recs))
}
