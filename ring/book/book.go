package book

import "tickrelay/ring/md"

// Book is the price levels of one instrument. The zero Book is empty and ready
// for use, its exponents are to be set before the first level.
type Book struct {
	Bids, Asks Side
	// Every level's value is Price × 10^PriceExp and Size × 10^SizeExp. Change
	// them by Rescale while the book has levels.
	PriceExp, SizeExp int8
}

// Set applies one absolute level to side md.SideBid or md.SideAsk; Size 0
// deletes it. It reports whether the book changed: false for a deletion of what
// is not there, for a repetition, and for any other side.
func (b *Book) Set(side uint8, l Level) bool {
	switch side {
	case md.SideBid:
		return b.Bids.set(l, bidMask)
	case md.SideAsk:
		return b.Asks.set(l, askMask)
	}
	return false
}

// Get returns the level of a side at a price, false if there is none.
func (b *Book) Get(side uint8, price int64) (Level, bool) {
	s, mask := &b.Bids, bidMask
	if side == md.SideAsk {
		s, mask = &b.Asks, askMask
	}
	if i := s.find(price, mask); i < len(s.levels) && s.levels[i].Price == price {
		return s.levels[i], true
	}
	return Level{}, false
}

// Clear empties the book and keeps its memory and exponents.
func (b *Book) Clear() {
	b.Bids.levels = b.Bids.levels[:0]
	b.Asks.levels = b.Asks.levels[:0]
}

// Empty reports whether the book has no level at all.
func (b *Book) Empty() bool { return len(b.Bids.levels) == 0 && len(b.Asks.levels) == 0 }

// BestBid returns the highest bid, false if there is none.
func (b *Book) BestBid() (Level, bool) { return b.Bids.Best() }

// BestAsk returns the lowest ask, false if there is none.
func (b *Book) BestAsk() (Level, bool) { return b.Asks.Best() }

// Crossed reports whether the best bid is at or above the best ask.
func (b *Book) Crossed() bool {
	bid, ok1 := b.Bids.Best()
	ask, ok2 := b.Asks.Best()
	return ok1 && ok2 && bid.Price >= ask.Price
}

// Rescale moves every level to new exponents. It is exact: if one number does
// not fit there it returns false and the book is as it was.
func (b *Book) Rescale(priceExp, sizeExp int8) bool {
	if priceExp == b.PriceExp && sizeExp == b.SizeExp {
		return true
	}
	for _, s := range [...]*Side{&b.Bids, &b.Asks} {
		for i := range s.levels {
			l := &s.levels[i]
			_, ok1 := md.Rescale(l.Price, b.PriceExp, priceExp)
			_, ok2 := md.Rescale(l.Size, b.SizeExp, sizeExp)
			if !ok1 || !ok2 {
				return false
			}
		}
	}
	for _, s := range [...]*Side{&b.Bids, &b.Asks} {
		for i := range s.levels {
			l := &s.levels[i]
			l.Price, _ = md.Rescale(l.Price, b.PriceExp, priceExp)
			l.Size, _ = md.Rescale(l.Size, b.SizeExp, sizeExp)
		}
	}
	b.PriceExp, b.SizeExp = priceExp, sizeExp
	return true
}
