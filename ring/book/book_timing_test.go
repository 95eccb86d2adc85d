package book

import (
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	"tickrelay/ring/md"
)

// The load is absolute levels around a still touch: distances from it are
// exponential with a mean of 5 ticks (what a liquid book's diffs look like) or
// uniform over the depth. A moving touch, longer distances and cold caches make
// real books slower; all rows see the same operations.

const benchDepth = 5000 // levels per side at the start

type op struct {
	side uint8
	l    Level
}

func benchOps(deep bool) []op {
	r := rand.New(rand.NewPCG(9, 9))
	ops := make([]op, 1<<14)
	for i := range ops {
		dist := int64(r.ExpFloat64() * 5)
		if deep {
			dist = r.Int64N(benchDepth)
		}
		o := op{side: uint8(1 + i&1), l: Level{Price: 1_000_000 - dist, Size: int64(1 + r.IntN(1000))}}
		if o.side == md.SideAsk {
			o.l.Price = 1_000_001 + dist
		}
		if r.IntN(5) == 0 {
			o.l.Size = 0
		}
		ops[i] = o
	}
	return ops
}

func fill(set func(uint8, Level)) {
	for i := range int64(benchDepth) {
		set(md.SideBid, Level{Price: 1_000_000 - i, Size: 1})
		set(md.SideAsk, Level{Price: 1_000_001 + i, Size: 1})
	}
}

// bestFirst is the plain baseline: a slice sorted best-first and a binary
// search over all of it.
type bestFirst [2][]Level

func (b *bestFirst) set(side uint8, l Level) {
	s := &b[side-1]
	i := sort.Search(len(*s), func(i int) bool {
		if side == md.SideBid {
			return (*s)[i].Price <= l.Price
		}
		return (*s)[i].Price >= l.Price
	})
	found := i < len(*s) && (*s)[i].Price == l.Price
	switch {
	case found && l.Size == 0:
		*s = slices.Delete(*s, i, i+1)
	case found:
		(*s)[i] = l
	case l.Size != 0:
		*s = slices.Insert(*s, i, l)
	}
}

func BenchmarkSet(b *testing.B) {
	run := func(name string, ops []op, set func(uint8, Level)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			fill(set)
			i := 0
			for b.Loop() {
				o := &ops[i&(len(ops)-1)]
				set(o.side, o.l)
				i++
			}
		})
	}
	for _, deep := range []bool{false, true} {
		where := "near"
		if deep {
			where = "deep"
		}
		ops := benchOps(deep)
		var ours Book
		run(where+"/book", ops, func(side uint8, l Level) { ours.Set(side, l) })
		var plain bestFirst
		run(where+"/baseline-best-first", ops, plain.set)
		m := newModel()
		run(where+"/baseline-map-unsorted", ops, func(side uint8, l Level) { m.set(side, l) })
	}
}

func BenchmarkChunk(b *testing.B) {
	var bk Book
	fill(func(side uint8, l Level) { bk.Set(side, l) })
	dst := make([]md.Record, 256)
	var cur Cursor
	total := 0
	b.ReportAllocs()
	for b.Loop() {
		n, done := bk.Chunk(&cur, dst)
		if total += n; done {
			cur = Cursor{}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(total), "ns/level")
}

func BenchmarkReader(b *testing.B) {
	s := stream{}
	s.snapshot(md.Record{Side: md.SideClear}, md.FlagFirst)
	fill(func(side uint8, l Level) { s.snapshot(lv(side, l.Price, l.Size), 0) })
	s.snapshot(md.Record{Side: md.SideEnd}, md.FlagLast)
	ops := benchOps(false)
	b.ReportAllocs()
	rec := md.Record{Kind: md.KindBook}
	i := 0
	for b.Loop() {
		o := &ops[i&(len(ops)-1)]
		rec.Side, rec.Price, rec.Size = o.side, o.l.Price, o.l.Size
		s.live(rec)
		i++
	}
}

func TestAllocs(t *testing.T) {
	s := stream{}
	s.snapshot(md.Record{Side: md.SideClear}, md.FlagFirst)
	fill(func(side uint8, l Level) { s.snapshot(lv(side, l.Price, l.Size), 0) })
	s.snapshot(md.Record{Side: md.SideEnd}, md.FlagLast)
	ops, dst := benchOps(true), make([]md.Record, 256)
	var cur Cursor
	i := 0
	if n := testing.AllocsPerRun(1000, func() {
		o := &ops[i&(len(ops)-1)]
		i++
		s.live(lv(o.side, o.l.Price, o.l.Size))
		if _, done := s.r.Book.Chunk(&cur, dst); done {
			cur = Cursor{}
		}
	}); n != 0 {
		t.Errorf("%v allocations per update and chunk", n)
	}
	if s.r.State != Live {
		t.Error(s.r.State)
	}
	if n := testing.AllocsPerRun(10, func() { s.r.Book.Rescale(-1, -2); s.r.Book.Rescale(0, 0); s.r.Book.Clear() }); n != 0 {
		t.Errorf("%v allocations per rescale", n)
	}
}
