package book

import (
	"math/rand/v2"
	"slices"
	"testing"

	"tickrelay/ring/md"
)

func TestChunkOrder(t *testing.T) {
	var b Book
	b.PriceExp, b.SizeExp = -2, -3
	for i := range int64(3) {
		b.Set(md.SideBid, Level{Price: 100 - i, Size: 1 + i, Count: 9})
	}
	b.Set(md.SideAsk, Level{Price: 101, Size: 7})
	var cur Cursor
	var got []md.Record
	dst := make([]md.Record, 3)
	for done := false; !done; {
		var n int
		n, done = b.Chunk(&cur, dst)
		got = append(got, dst[:n]...)
	}
	rec := func(side uint8, price, size int64, count uint32) md.Record {
		return md.Record{Kind: md.KindBook, Side: side, Price: price, Size: size, Count: count, PriceExp: -2, SizeExp: -3}
	}
	want := []md.Record{rec(md.SideBid, 100, 1, 9), rec(md.SideAsk, 101, 7, 0), rec(md.SideBid, 99, 2, 9), rec(md.SideBid, 98, 3, 9)}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
	if n, done := b.Chunk(&cur, dst); n != 0 || !done {
		t.Errorf("a finished walk gives %d, %v", n, done)
	}
	if n, done := new(Book).Chunk(new(Cursor), dst); n != 0 || !done {
		t.Errorf("an empty book gives %d, %v", n, done)
	}
}

// stream numbers records as a producer does.
type stream struct {
	r   Reader
	seq uint64
}

func (s *stream) live(rec md.Record) {
	s.seq++
	rec.Seq, rec.Flags = s.seq, md.FlagFirst|md.FlagLast
	s.r.Apply(&rec)
}

func (s *stream) snapshot(rec md.Record, flags md.Flags) {
	rec.Kind, rec.Seq, rec.Flags = md.KindBook, s.seq, md.FlagSnapshot|flags
	s.r.Apply(&rec)
}

// TestCursorConverges interleaves chunks of random length with random updates,
// and changes of exponent, and demands that the reader ends with the book.
func TestCursorConverges(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	dst := make([]md.Record, 16)
	for round := range 500 {
		b := Book{PriceExp: -2, SizeExp: -3}
		s := stream{seq: uint64(r.IntN(100))}
		spread := int64(1 + r.IntN(60))
		update := func() {
			side, l := randLevel(r, spread)
			if b.PriceExp == -4 {
				l.Price *= 100
			}
			if b.Set(side, l) {
				s.live(md.Record{Kind: md.KindBook, Side: side, Price: l.Price, Size: l.Size, Count: l.Count,
					PriceExp: b.PriceExp, SizeExp: b.SizeExp})
			}
		}
		for range r.IntN(300) {
			update()
		}
		if s.r.State != Empty || !s.r.Book.Empty() {
			t.Fatal("updates before any snapshot made a book")
		}
		s.snapshot(md.Record{Side: md.SideClear}, md.FlagFirst)
		var cur Cursor
		for done := false; !done; {
			var n int
			n, done = b.Chunk(&cur, dst[:1+r.IntN(len(dst))])
			for _, rec := range dst[:n] {
				s.snapshot(rec, 0)
			}
			if s.r.State != Building {
				t.Fatalf("round %d: %v amid a snapshot", round, s.r.State)
			}
			for range r.IntN(20) {
				update()
			}
			if r.IntN(20) == 0 {
				b.Rescale([]int8{-2, -4}[r.IntN(2)], -3)
			}
		}
		s.snapshot(md.Record{Side: md.SideEnd}, md.FlagLast)
		for range r.IntN(20) {
			update()
		}
		if s.r.State != Live || s.r.Seq != s.seq {
			t.Fatalf("round %d: %v at %d of %d", round, s.r.State, s.r.Seq, s.seq)
		}
		sameBook(t, &s.r.Book, &b)
	}
}

// sameBook compares values, whatever the exponents.
func sameBook(t *testing.T, got, want *Book) {
	t.Helper()
	for i, w := range [...]*Side{&want.Bids, &want.Asks} {
		g := [...]*Side{&got.Bids, &got.Asks}[i]
		if g.Len() != w.Len() {
			t.Fatalf("side %d: %d levels, want %d", i+1, g.Len(), w.Len())
		}
		for j := range w.Len() {
			a, b := g.At(j), w.At(j)
			if md.Cmp(a.Price, got.PriceExp, b.Price, want.PriceExp) != 0 || md.Cmp(a.Size, got.SizeExp, b.Size, want.SizeExp) != 0 ||
				a.Count != b.Count {
				t.Fatalf("side %d level %d: %+v, want %+v", i+1, j, a, b)
			}
		}
	}
}

// TestCursorUnderRescale: an exponent that the cursor's own price does not fit,
// since its level is gone, neither repeats nor skips a level.
func TestCursorUnderRescale(t *testing.T) {
	for _, side := range []uint8{md.SideBid, md.SideAsk} {
		b := Book{PriceExp: -2}
		sign := int64(1)
		if side == md.SideBid {
			sign = -1
		}
		b.Set(side, Level{Price: sign * 1005, Size: 1}) // 10.05 does not fit exponent 0
		b.Set(side, Level{Price: sign * 1100, Size: 2})
		b.Set(side, Level{Price: sign * 1200, Size: 3})
		var cur Cursor
		dst := make([]md.Record, 1)
		if n, done := b.Chunk(&cur, dst); n != 1 || done {
			t.Fatal(n, done)
		}
		b.Set(side, Level{Price: sign * 1005})
		if !b.Rescale(0, 0) {
			t.Fatal("not rescaled")
		}
		b.Set(side, Level{Price: sign * 10, Size: 9}) // nearer than the cursor
		dst = make([]md.Record, 5)
		n, done := b.Chunk(&cur, dst)
		if n != 2 || !done || dst[0].Price != sign*11 || dst[1].Price != sign*12 {
			t.Errorf("side %d: %d %v %+v", side, n, done, dst[:n])
		}
	}
}

// TestCursorRescaleKeepsPlace: the level last given is not given again when only
// its digits changed.
func TestCursorRescaleKeepsPlace(t *testing.T) {
	for _, side := range []uint8{md.SideBid, md.SideAsk} {
		b := Book{PriceExp: -2}
		b.Set(side, Level{Price: 1000, Size: 1})
		var cur Cursor
		dst := make([]md.Record, 1)
		if n, _ := b.Chunk(&cur, dst); n != 1 || !b.Rescale(0, 0) {
			t.Fatal(n)
		}
		if n, done := b.Chunk(&cur, dst); n != 0 || !done {
			t.Errorf("side %d: %d %v %+v", side, n, done, dst[:n])
		}
	}
}
