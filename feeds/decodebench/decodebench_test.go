package decodebench

import (
	"context"
	"encoding/json"
	"os"
	"slices"
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
	if want := 4*3*3 + 2; len(r.Rows) < want || r.Bench != "decode" {
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

// TestFrames holds the built-in frames to the venues' decoders, to the channel
// that they stand for and to sizes as in a market.
func TestFrames(t *testing.T) {
	for _, v := range feeds.Venues() {
		if _, ok := benchOf(v.Spec().Name); !ok {
			t.Errorf("%s is not measured", v.Spec().Name)
		}
	}
	for _, v := range measured() {
		sets, err := frameSets(v, Config{Seed: 3})
		if err != nil {
			t.Fatal(err)
		}
		b, _ := benchOf(v.Spec().Name)
		if len(sets) != len(b.channels) || len(sets) < 2 {
			t.Errorf("%s: %d sets of frames", v.Spec().Name, len(sets))
		}
		decode := v.Decode
		if s, ok := v.(feeds.Stateful); ok {
			decode = s.NewConn().Decode
		}
		var d feeds.Decoded
		for _, f := range b.prime {
			if err := decode([]byte(f), &d); err != nil {
				t.Fatal(err)
			}
			d.Reset()
		}
		for _, s := range sets {
			if !slices.ContainsFunc(v.Spec().Channels, func(c feeds.ChannelSpec) bool { return c.Channel == s.channel }) {
				t.Errorf("%s lists no %s", s.venue, s.channel)
			}
			for _, f := range s.frames {
				d.Reset()
				if err := decode(f, &d); err != nil || d.Refused > 0 || len(d.Recs) > 100 ||
					!slices.ContainsFunc(d.Events, func(e feeds.Event) bool { return e.Channel == s.channel && e.To > e.From }) {
					t.Fatalf("%s %s: %v %+v: %s", s.venue, s.channel, err, d.Events, f)
				}
			}
		}
	}
}

// TestUnequal: a baseline that finds another value ends the run.
func TestUnequal(t *testing.T) {
	for _, v := range measured() {
		sets, err := frameSets(v, Config{Seed: 5})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sets {
			all, err := readers(v, s.channel)
			if err != nil {
				t.Fatal(err)
			}
			right := all[1].read
			all[1].read = func(frame []byte, dst []md.Record) ([]md.Record, error) {
				dst, err := right(frame, dst)
				dst[len(dst)-1].TsEvent++
				return dst, err
			}
			if _, _, err := compare(s, all); err == nil {
				t.Errorf("%s %s: a wrong time is not found", s.venue, s.channel)
			}
		}
	}
}

// TestNewestFirst: a frame of several trades of Bitget, the newest first, is read
// alike by all, the oldest first.
func TestNewestFirst(t *testing.T) {
	const frame = `{"action":"update","arg":{"instType":"SPOT","channel":"trade","instId":"BTCUSDT"},"data":[` +
		`{"ts":"1700000000002","price":"37001.5","size":"0.2","side":"sell","tradeId":"12"},` +
		`{"ts":"1700000000001","price":"37001.4","size":"0.1","side":"buy","tradeId":"11"}],"ts":1700000000003}`
	v, _ := feeds.ByName("bitget")
	all, err := readers(v, md.ChannelTrades)
	if err != nil || len(all) != 3 {
		t.Fatalf("%d readers, %v", len(all), err)
	}
	for _, r := range all {
		recs, err := r.read([]byte(frame), nil)
		if err != nil || len(recs) != 2 || recs[0].ID != 11 || recs[1].ID != 12 {
			t.Errorf("%s: %+v, %v", r.name, recs, err)
		}
	}
}

func TestMedianRow(t *testing.T) {
	for _, c := range []struct {
		ratios []float64
		want   float64
		met    bool
	}{{[]float64{0.5, 0.1, 0.2}, 0.2, true}, {[]float64{0.5, 0.25, 0.75, 0.1}, 0.375, false}} {
		if r := medianRow(c.ratios); r.Ratio != c.want || r.Met != c.met {
			t.Errorf("%v: %+v", c.ratios, r)
		}
	}
}

// TestSliceGone has a slice that is over before the first lap, as on a loaded
// machine: every figure is still a number.
func TestSliceGone(t *testing.T) {
	r, err := Run(context.Background(), Config{Rounds: 3, Slice: 1, Venues: []string{"bitstamp"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
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
