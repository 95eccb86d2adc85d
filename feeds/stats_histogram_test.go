package feeds

import (
	"testing"
	"time"

	"tickrelay/ring/md"
)

func TestHistogram(t *testing.T) {
	f := func(ns int64, bucket int) {
		t.Helper()
		h := new(Histogram)
		h.record(ns)
		for i := range h.Buckets {
			want := uint64(0)
			if i == bucket {
				want = 1
			}
			if h.Buckets[i].Load() != want {
				t.Errorf("%d ns: bucket %d (up to %d) has %d", ns, i, HistogramBounds[i], h.Buckets[i].Load())
			}
		}
	}
	f(-1, -1)
	f(0, 0)
	f(1000, 0)
	f(1001, 1)
	f(2000, 1)
	f(2001, 2)
	f(HistogramBounds[histogramBuckets-1], histogramBuckets-1)
	f(HistogramBounds[histogramBuckets-1]+1000, -1)
}

// TestLineWins: the line that is first wins, and its lead over the other is
// measured.
func TestLineWins(t *testing.T) {
	r := newEngineRig(t, Binance{}, func(c *EngineConfig) { c.Slots, c.Channels = 4, []md.Channel{md.ChannelTrades} })
	r.connect(0)
	r.connect(1)
	r.frameOn(0, tradeFrame(1, "10", "1"))
	r.frameOn(1, tradeFrame(1, "10", "1"))
	for id := 2; id < 12; id++ {
		r.frameOn(1, tradeFrame(id, "10", "1"))
		r.now += int64(2 * time.Millisecond)
		r.frameOn(0, tradeFrame(id, "10", "1"))
	}
	w := &r.eng.Stats().Lines
	if w[1].Wins.Load() != 10 || w[1].Leads.Load() != 10 || w[1].Lead.Load() != 10*int64(3*time.Millisecond) || w[0].Wins.Load() != 0 {
		t.Errorf("line 1: %d wins, lead %d ns in %d; line 0: %d wins", w[1].Wins.Load(), w[1].Lead.Load(), w[1].Leads.Load(), w[0].Wins.Load())
	}
}
