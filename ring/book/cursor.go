package book

import (
	"sort"

	"tickrelay/ring/md"
)

// Cursor is the place of a snapshot's walk through a book. The zero Cursor
// stands before the touch. It holds prices, not indices, so the book may change
// in any way between two chunks.
type Cursor struct {
	bid, ask place
	askNext  bool // whose turn it is
}

// place is the last price emitted on one side.
type place struct {
	price   int64
	exp     int8
	started bool
}

// Chunk fills dst with the book's next levels from the touch outwards, one of
// each side in turn, each strictly beyond the last one that the cursor gave on
// its side. It returns how many, and done when neither side has more. Kind,
// Side, Price, Size, both exponents and Count are set, all else is zero.
//
// Levels that appear on the near side of the cursor are not given: whoever gets
// the chunks must get every change made since the first one as well, in order.
// dst must not be empty.
func (b *Book) Chunk(cur *Cursor, dst []md.Record) (n int, done bool) {
	bid := b.Bids.beyond(&cur.bid, bidMask, b.PriceExp)
	ask := b.Asks.beyond(&cur.ask, askMask, b.PriceExp)
	for n < len(dst) && (bid > 0 || ask > 0) {
		if ask > 0 && (cur.askNext || bid == 0) {
			ask--
			b.emit(&dst[n], &cur.ask, md.SideAsk, &b.Asks.levels[ask])
			cur.askNext = false
		} else {
			bid--
			b.emit(&dst[n], &cur.bid, md.SideBid, &b.Bids.levels[bid])
			cur.askNext = true
		}
		n++
	}
	return n, bid == 0 && ask == 0
}

// beyond returns how many levels of s lie strictly beyond p, counted from the
// worst: they are levels[:beyond].
func (s *Side) beyond(p *place, mask int64, exp int8) int {
	if !p.started {
		return len(s.levels)
	}
	if p.exp == exp {
		return s.find(p.price, mask)
	}
	// The exponent changed under the cursor and its price may not fit the new one.
	return sort.Search(len(s.levels), func(i int) bool {
		c := md.Cmp(s.levels[i].Price, exp, p.price, p.exp)
		if mask == askMask {
			return c <= 0
		}
		return c >= 0
	})
}

func (b *Book) emit(r *md.Record, p *place, side uint8, l *Level) {
	*r = md.Record{
		Kind: md.KindBook, Side: side, Price: l.Price, Size: l.Size,
		PriceExp: b.PriceExp, SizeExp: b.SizeExp, Count: l.Count,
	}
	*p = place{price: l.Price, exp: b.PriceExp, started: true}
}
