package decodebench

import (
	"math/rand/v2"
	"slices"
	"sort"
	"time"

	"tickrelay/ring/book"
	"tickrelay/ring/md"
	"tickrelay/ring/ringbench"
)

// bookDepth is how many levels a side holds while it is measured: what OKX and
// Bitget send as a whole, and somewhat below Binance.
const bookDepth = 400

// bookRows measures applying levels to a book, without decoding: updates as
// dense near the touch as in a market, and spread evenly over the book.
func bookRows(c Config) []ringbench.Row {
	return []ringbench.Row{
		bookRow(c, "book, updates near the touch", func(r *rand.Rand) int64 { return int64(r.ExpFloat64() * 12) }),
		bookRow(c, "book, updates anywhere", func(r *rand.Rand) int64 { return r.Int64N(bookDepth) }),
	}
}

func bookRow(c Config, name string, distance func(*rand.Rand) int64) ringbench.Row {
	r := rand.New(rand.NewPCG(c.Seed, 7))
	const mid = 6_173_763
	updates := make([]md.Record, 8192)
	for k := range updates {
		u := &updates[k]
		u.Side = md.SideBid + uint8(k&1)
		u.Price = mid - 1 - min(distance(r), bookDepth-1)
		if u.Side == md.SideAsk {
			u.Price = 2*mid - u.Price
		}
		if r.IntN(3) != 0 { // a third of a market's updates delete
			u.Size = 1 + r.Int64N(1e9)
		}
	}
	var ours book.Book
	var plain plainBook
	for i := range int64(bookDepth) {
		for side, p := range map[uint8]int64{md.SideBid: mid - 1 - i, md.SideAsk: mid + 1 + i} {
			ours.Set(side, book.Level{Price: p, Size: 1 + i})
			plain.set(side, book.Level{Price: p, Size: 1 + i})
		}
	}
	x, y := applyRounds(c, updates,
		func(u *md.Record) { ours.Set(u.Side, book.Level{Price: u.Price, Size: u.Size}) },
		func(u *md.Record) { plain.set(u.Side, book.Level{Price: u.Price, Size: u.Size}) })
	mine, base := summary(x), summary(y)
	return ringbench.Row{Name: name, Unit: "ns/level", Value: mine.p50, P50: mine.p50, P99: mine.p99, P999: mine.p999,
		Baseline: "sorted slice, best first, binary search", BaselineValue: base.p50, Ratio: mine.p50 / base.p50,
		Goal: "<=1", Met: mine.p50 <= base.p50}
}

// applyRounds applies all updates to both books in turn and returns the ns per
// update of each round.
func applyRounds(c Config, updates []md.Record, ours, plain func(*md.Record)) (x, y []float64) {
	lap := func(f func(*md.Record)) float64 {
		start := time.Now()
		for k := range updates {
			f(&updates[k])
		}
		return float64(time.Since(start)) / float64(len(updates))
	}
	for round := range c.Rounds + 1 {
		a, b := lap(ours), lap(plain)
		if round > 0 { // the first one warms up
			x, y = append(x, a), append(y, b)
		}
	}
	return x, y
}

// plainBook is the book that one writes first.
type plainBook struct{ bids, asks []book.Level }

func (b *plainBook) set(side uint8, l book.Level) {
	s, better := &b.bids, func(a, c int64) bool { return a > c }
	if side == md.SideAsk {
		s, better = &b.asks, func(a, c int64) bool { return a < c }
	}
	i := sort.Search(len(*s), func(i int) bool { return !better((*s)[i].Price, l.Price) })
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
