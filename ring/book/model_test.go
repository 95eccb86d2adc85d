package book

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"tickrelay/ring/md"
)

// model is a book without any cleverness.
type model [2]map[int64]Level

func newModel() model { return model{map[int64]Level{}, map[int64]Level{}} }

func (m model) set(side uint8, l Level) bool {
	levels := m[side-1]
	old, ok := levels[l.Price]
	if l.Size == 0 {
		delete(levels, l.Price)
		return ok
	}
	levels[l.Price] = l
	return !ok || old != l
}

// sorted gives a side's levels from the best.
func (m model) sorted(side uint8) []Level {
	keys := slices.Sorted(maps.Keys(m[side-1]))
	if side == md.SideBid {
		slices.Reverse(keys)
	}
	var out []Level
	for _, k := range keys {
		out = append(out, m[side-1][k])
	}
	return out
}

func levels(s *Side) []Level {
	var out []Level
	for i := range s.Len() {
		out = append(out, *s.At(i))
	}
	return out
}

func (m model) compare(t *testing.T, b *Book) {
	t.Helper()
	if got, want := levels(&b.Bids), m.sorted(md.SideBid); !slices.Equal(got, want) {
		t.Fatalf("bids\n%v\nwant\n%v", got, want)
	}
	if got, want := levels(&b.Asks), m.sorted(md.SideAsk); !slices.Equal(got, want) {
		t.Fatalf("asks\n%v\nwant\n%v", got, want)
	}
}

// randLevel clusters near the touch; the two sides overlap now and then.
func randLevel(r *rand.Rand, spread int64) (uint8, Level) {
	side := uint8(1 + r.IntN(2))
	dist := int64(r.ExpFloat64() * float64(spread))
	price := 1000 + dist
	if side == md.SideBid {
		price = 1000 - dist
	}
	l := Level{Price: price, Count: uint32(r.IntN(3))}
	if r.IntN(3) > 0 {
		l.Size = int64(1 + r.IntN(4))
	}
	return side, l
}

func TestBookAgainstModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, spread := range []int64{2, 20, 400} {
		var b Book
		m := newModel()
		for i := range 6_000 {
			side, l := randLevel(r, spread)
			if got, want := b.Set(side, l), m.set(side, l); got != want {
				t.Fatalf("step %d: Set(%d, %+v) = %v, want %v", i, side, l, got, want)
			}
			if got, ok := b.Get(side, l.Price); ok != (l.Size != 0) || ok && got != l {
				t.Fatalf("step %d: Get gives %+v, %v after %+v", i, got, ok, l)
			}
			if i%50 == 0 {
				m.compare(t, &b)
			}
			if r.IntN(5000) == 0 {
				b.Clear()
				m = newModel()
			}
			bids, asks := m.sorted(md.SideBid), m.sorted(md.SideAsk)
			if i%50 == 0 && b.Crossed() != (len(bids) > 0 && len(asks) > 0 && bids[0].Price >= asks[0].Price) {
				t.Fatalf("step %d: crossed is %v", i, b.Crossed())
			}
		}
		m.compare(t, &b)
	}
}

func TestBookEdges(t *testing.T) {
	var b Book
	if !b.Empty() || b.Crossed() {
		t.Error("the zero book is not empty")
	}
	if _, ok := b.BestBid(); ok {
		t.Error("an empty side has a best")
	}
	if b.Set(md.SideClear, Level{Price: 1, Size: 1}) || b.Set(md.SideEnd, Level{Price: 1, Size: 1}) || !b.Empty() {
		t.Error("a level on neither side was set")
	}
	const least, most = -1 << 63, 1<<63 - 1
	m := newModel()
	for _, p := range []int64{0, most, least, -1, 1, most - 1, least + 1} {
		for _, side := range []uint8{md.SideBid, md.SideAsk} {
			b.Set(side, Level{Price: p, Size: 1})
			m.set(side, Level{Price: p, Size: 1})
		}
	}
	m.compare(t, &b)
	bid, _ := b.BestBid()
	ask, _ := b.BestAsk()
	if bid.Price != most || ask.Price != least || !b.Crossed() {
		t.Errorf("best %d and %d", bid.Price, ask.Price)
	}
	// Digits of the wire are part of a level: a checksum depends on them.
	if !b.Set(md.SideBid, Level{Price: 0, Size: 1, PriceDP: 2}) || b.Set(md.SideBid, Level{Price: 0, Size: 1, PriceDP: 2}) {
		t.Error("a change of digits alone was not seen, or a repetition was")
	}
}

func TestRescale(t *testing.T) {
	var b Book
	b.PriceExp, b.SizeExp = -2, -3
	b.Set(md.SideBid, Level{Price: 100, Size: 2000, PriceDP: 2})
	b.Set(md.SideBid, Level{Price: 90, Size: 3000})
	b.Set(md.SideAsk, Level{Price: 110, Size: 1000, Count: 4})
	before := [2][]Level{levels(&b.Bids), levels(&b.Asks)}
	f := func(pe, se int8, want bool) {
		t.Helper()
		if got := b.Rescale(pe, se); got != want {
			t.Errorf("Rescale(%d, %d) = %v", pe, se, got)
		}
	}
	f(0, -3, false)   // 90 and 110 are no whole hundreds
	f(-2, 1, false)   // sizes are no whole tens
	f(-1, -25, false) // too large
	if !slices.Equal(levels(&b.Bids), before[0]) || !slices.Equal(levels(&b.Asks), before[1]) || b.PriceExp != -2 || b.SizeExp != -3 {
		t.Fatal("a refused change left traces")
	}
	f(-1, 0, true)
	if l, _ := b.BestBid(); l != (Level{Price: 10, Size: 2, PriceDP: 2}) {
		t.Errorf("bid %+v", l)
	}
	f(-4, -8, true)
	if l, _ := b.BestAsk(); l != (Level{Price: 11000, Size: 100000000, Count: 4}) {
		t.Errorf("ask %+v", l)
	}
	f(-2, -3, true)
	if !slices.Equal(levels(&b.Bids), before[0]) {
		t.Error("there and back is not the same")
	}
}
