package relay

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"tickrelay/ring/md"
)

func newHistory(half, spare int) *history {
	return &history{half: half, spare: &spare, bytes: &atomic.Int64{}}
}

// told is what a reader at s is given, as "prev>seq" with g for gaps and s for snapshots.
func (y *history) told(s uint64) string {
	if !y.covers(s) {
		return "-"
	}
	var out []string
	y.since(s, func(prev uint64, ev []md.Record) {
		kind := ""
		switch {
		case ev[0].Kind == md.KindGap:
			kind = "g"
		case ev[0].Flags&md.FlagSnapshot != 0:
			kind = "s"
		}
		out = append(out, fmt.Sprintf("%d>%d%s", prev, ev[len(ev)-1].Seq, kind))
	})
	return strings.Join(out, " ")
}

func TestHistory(t *testing.T) {
	event := func(first, last uint64) (ev []md.Record) {
		for n := first; n <= last; n++ {
			ev = append(ev, md.Record{Kind: md.KindBook, Seq: n, Side: 1})
		}
		return ev
	}
	gap := func(first, last uint64) []md.Record {
		return []md.Record{{Kind: md.KindGap, ID: first, Seq: last}}
	}
	snapshot := func(seq uint64, n int) []md.Record {
		ev := make([]md.Record, n)
		for i := range ev {
			ev[i] = md.Record{Kind: md.KindBook, Flags: md.FlagSnapshot, Seq: seq}
		}
		return ev
	}
	f := func(y *history, s uint64, want string) {
		t.Helper()
		if got := y.told(s); got != want {
			t.Errorf("reader at %d is given %q, want %q", s, got, want)
		}
	}
	y := newHistory(64, 1000)
	y.reset(4)
	y.add(snapshot(4, 3)) // the first state: who is at 4 has it
	f(y, 3, "-")
	f(y, 4, "")
	y.add(event(5, 6))
	y.add(event(7, 7))
	f(y, 4, "4>6 6>7")
	f(y, 5, "4>6 6>7")
	f(y, 6, "6>7")
	f(y, 7, "")
	y.add(gap(8, 9))
	f(y, 9, "")
	y.add(snapshot(9, 2))
	f(y, 7, "7>9g 9>9s")
	f(y, 9, "9>9s")
	y.add(gap(10, 9)) // a producer that is gone: no number is known to be missing
	f(y, 9, "9>9s 9>9g")
	y.add(snapshot(12, 2))
	y.add(event(13, 13))
	f(y, 9, "9>9s 9>9g 9>12s 12>13")
	f(y, 12, "9>12s 12>13") // may have come in as 9>12 passed

	y = newHistory(3, 1000)
	y.add(event(1, 2))
	y.add(event(3, 3))
	y.add(gap(4, 4))
	f(y, 0, "0>2 2>3 3>4g")
	y.add(event(5, 5))
	y.add(event(6, 6))
	y.add(event(7, 7)) // 1 to 3 go
	f(y, 2, "-")
	f(y, 3, "3>4g 4>5 5>6 6>7")
	y.add(snapshot(7, 4)) // larger than a buffer
	f(y, 7, "-")
	f(y, 8, "")
	y.add(event(8, 8))
	f(y, 7, "-")
	f(y, 8, "")

	y = newHistory(3, 0) // no memory
	y.add(event(1, 1))
	f(y, 0, "-")
	f(y, 1, "")
	y.add(gap(2, 2))
	f(y, 2, "-")
}

// TestHistoryMemory: the bounds hold and nothing is allocated once they are reached.
func TestHistoryMemory(t *testing.T) {
	y := newHistory(128, 200)
	ev := []md.Record{{Kind: md.KindTrade}}
	add := func() {
		ev[0].Seq++
		y.add(ev)
	}
	for range 1000 {
		add()
	}
	if n := y.bytes.Load(); n > 200*md.RecordSize || n != int64(cap(y.old)+cap(y.cur))*md.RecordSize {
		t.Errorf("%d bytes counted, %d and %d records held", n, cap(y.old), cap(y.cur))
	}
	if !y.covers(1000-64) || y.covers(1000-200) {
		t.Errorf("covers from %d of 1000", y.lowest)
	}
	if a := testing.AllocsPerRun(1000, add); a != 0 {
		t.Errorf("%v allocations", a)
	}
}

func BenchmarkReplay(b *testing.B) {
	s, g := start(b, Limits{}, 1<<14)
	for i := range uint64(4000) {
		s.trade(btcTrades, i, 6412345)
	}
	eventually(b, "trades", func() bool { return g.hubStats.events.Load() >= 4000 })
	for f, name := range []string{"json", "binary"} {
		b.Run(name, func(b *testing.B) {
			g.http.inHub(func(h *hub) {
				st := h.byName[btcTrades].streams[0]
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					clear(h.replays)
					n = len(h.replay(st, format(f), 2000).data)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/2000, "ns/record")
				b.ReportMetric(float64(n)/2000, "B/record")
			})
		})
	}
}
