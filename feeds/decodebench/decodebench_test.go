package decodebench

import (
	"context"
	"os"
	"testing"
	"time"

	"tickrelay/feeds"
	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

func quick(t *testing.T, captures string) {
	t.Helper()
	r, err := Run(context.Background(), Config{Captures: captures, Rounds: 3, Slice: 100 * time.Microsecond})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range r.Rows {
		if row.Value <= 0 || row.BaselineValue <= 0 || row.Ratio <= 0 || row.Name == "" || row.Unit == "" {
			t.Errorf("incomplete row %+v", row)
		}
	}
	if want := 4*3 + 2; len(r.Rows) < want || r.Bench != "decode" {
		t.Errorf("%d rows, want %d at least", len(r.Rows), want)
	}
}

// TestRun measures briefly: every frame is accepted by all three readers and
// their records are equal.
func TestRun(t *testing.T) { quick(t, "") }

func TestRunCaptures(t *testing.T) {
	dir := os.Getenv("TICKRELAY_CAPTURES")
	if dir == "" {
		t.Skip("TICKRELAY_CAPTURES names no folder of recorded exchange traffic")
	}
	quick(t, dir)
}

// TestFrames holds the built-in frames to the venues' decoders and to sizes as
// in a market.
func TestFrames(t *testing.T) {
	for _, v := range measured() {
		sets, err := frameSets(v, Config{Seed: 3})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sets {
			for _, f := range s.frames {
				var d feeds.Decoded
				if err := v.Decode(f, &d); err != nil || len(d.Events) != 1 || d.Events[0].Channel != s.channel {
					t.Fatalf("%s %s: %v %+v: %s", s.venue, s.channel, err, d.Events, f)
				}
				if n := len(d.Recs); s.channel == md.ChannelBook && (n < 10 || n > 70) {
					t.Errorf("%s: a book update of %d levels", s.venue, n)
				}
			}
		}
	}
}

func TestCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, Config{}); err != context.Canceled {
		t.Errorf("%v", err)
	}
}

func TestPlainBook(t *testing.T) {
	var b plainBook
	for _, p := range [...]int64{5, 7, 6} {
		b.set(md.SideBid, book.Level{Price: p, Size: p})
		b.set(md.SideAsk, book.Level{Price: p + 10, Size: p})
	}
	b.set(md.SideBid, book.Level{Price: 6})
	if len(b.bids) != 2 || b.bids[0].Price != 7 || b.asks[0].Price != 15 || b.asks[2].Price != 17 {
		t.Errorf("%+v", b)
	}
}
