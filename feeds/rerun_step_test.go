package feeds

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tickrelay/feeds/capture"
	"tickrelay/feeds/sim"
	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// TestRerunOfClockSteps: a feed whose wall clock is set forwards and back, further back than
// it was, is recorded; books are broken meanwhile and come back. The recording run again fills
// a ring with the live bytes.
func TestRerunOfClockSteps(t *testing.T) {
	for _, name := range []string{"binance", "kraken"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var offset atomic.Int64
			start := time.Now()
			v := quick(t, name)
			r := newRig(t, v, sim.Options{}, func(c *Config, _ *sim.Server) {
				c.Limits.BookRetry = 500 * time.Millisecond
				c.Clock = func() (wall, mono int64) {
					now := time.Now()
					return now.UnixNano() + offset.Load(), int64(now.Sub(start)) + int64(time.Hour)
				}
			})
			live := &collector{c: r.seen.c, recs: make([]md.Record, 4096)}
			dir := t.TempDir()
			rec, err := RecordRaw(r.feed, RawConfig{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			stop := runFeed(t, r.feed)
			done := make(chan error, 1)
			go func() { done <- rec.Run(context.Background()) }()
			wait := func(what string, cond func() bool) {
				t.Helper()
				for deadline := time.Now().Add(30 * time.Second); !cond(); time.Sleep(time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatalf("waited in vain for %s: %+v", what, r.feed.Health())
					}
					live.through(r.seen)
				}
			}
			symbol := r.market.Symbols()[0]
			whole := func() bool { return r.reader(symbol).State == book.Live }
			wait("a book", whole)
			for _, step := range []time.Duration{time.Hour, -2 * time.Hour, 0} {
				offset.Store(int64(step))
				if err := r.server.Inject(sim.FaultGoingAway); err != nil {
					t.Fatal(err)
				}
				wait("a broken book", func() bool { return !whole() })
				wait("the book back", whole)
			}
			stop()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			live.pump()
			files := recordingsOf(t, dir, name)
			if len(files) < 3 {
				t.Errorf("%d files, want a new one wherever the hour changed", len(files))
			}
			if steps := countLines(t, files, capture.Step); steps != 3 {
				t.Errorf("%d lines tell of a step, want 3", steps)
			}
			recs, _, sum := rerunBytes(t, v, 0, files...)
			if sum.Inexact != "" {
				t.Errorf("inexact: %s", sum.Inexact)
			}
			compareRecords(t, live.all, recs)
		})
	}
}

// through keeps all that a rig's consumer gets, and shows it to the rig's books.
func (c *collector) through(s *sightings) {
	from := len(c.all)
	c.pump()
	for i := range c.all[from:] {
		s.take(&c.all[from+i])
	}
}

func countLines(t *testing.T, files []string, dir capture.Dir) (n int) {
	t.Helper()
	for _, path := range files {
		r, err := capture.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for l, err := r.Next(); err == nil; l, err = r.Next() {
			if l.Dir == dir {
				n++
			}
		}
	}
	return n
}

// TestRerunNeedsTheStep: a minute of silence is none if the clock was set by an hour; the
// recording says so, and without that line the run differs.
func TestRerunNeedsTheStep(t *testing.T) {
	const text = `{"recv_ns":1700000000000000000,"dir":"session","data":{"version":1,"venue":"okx","feed":"okx","epoch":"1700000000000000000","part":1,"engine":{"instruments":["BTC-USDT"],"channels":["trades"],"slots":2,"open":true,"silence_ns":60000000000,"retry_ns":1000000000,"catalogues":1}}}
{"recv_ns":1700000000000000001,"dir":"start"}
{"recv_ns":1700000000000000002,"conn":"0","dir":"connect","url":"ws://x"}
{"recv_ns":1700000000000000003,"conn":"0","frame":"{\"arg\":{\"channel\":\"trades\",\"instId\":\"BTC-USDT\"},\"data\":[{\"instId\":\"BTC-USDT\",\"tradeId\":\"1\",\"px\":\"1\",\"sz\":\"1\",\"side\":\"buy\",\"ts\":\"1700000000000\"}]}"}
{"recv_ns":1700000000000000004,"dir":"turn"}
{"recv_ns":1700003600000000005,"dir":"step","data":{"by_ns":"3600000000000"}}
{"recv_ns":1700003600000000006,"dir":"timer"}
{"recv_ns":1700003600000000007,"dir":"turn"}
{"recv_ns":1700003600000000008,"dir":"end"}
`
	v, _ := ByName("okx")
	run := func(text string, speed float64) ([]byte, Summary) {
		recs, _, sum := rerunBytes(t, v, speed, writeRecording(t, text))
		return recs, sum
	}
	with, sum := run(text, 1)
	if sum.Resyncs != 0 || sum.Records != 1 {
		t.Errorf("%d records, %d resyncs, want a trade and none", sum.Records, sum.Resyncs)
	}
	lines := strings.SplitAfter(text, "\n")
	without, sum := run(strings.Join(append(lines[:5:5], lines[6:]...), ""), 0)
	if sum.Resyncs == 0 || bytes.Equal(with, without) {
		t.Errorf("without the step: %d resyncs, the same records: %v", sum.Resyncs, bytes.Equal(with, without))
	}
	bad := writeRecording(t, strings.Replace(text, `{"by_ns":"3600000000000"}`, `{"by_ns":{}}`, 1))
	if _, err := Normalize(NormalizeConfig{Records: new(bytes.Buffer)}, []string{bad}); err == nil || !strings.Contains(err.Error(), "x.ndjson:6: step") {
		t.Errorf("a step that cannot be read: %v", err)
	}
}

func writeRecording(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.ndjson")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
