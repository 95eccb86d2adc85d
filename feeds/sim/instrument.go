package sim

import (
	"math/rand/v2"
	"slices"
)

// historyTrades is how many past trades an instrument remembers.
const historyTrades = 50

// instrument is the state of one listed instrument.
type instrument struct {
	listing
	bids, asks ladder
	depth      int   // levels of a side to keep to
	fair       int64 // what the price is drawn to, in 1/fairUnit ticks
	anchor     int64 // what fair reverts to, likewise
	seq        int64 // number of the last change of a level
	tradeID    int64
	history    []Trade // newest last, at most historyTrades
	stats      stats
}

// stats are the 24-hour statistics. A market opens with a made-up past day, so
// that none is zero.
type stats struct {
	open, high, low, last, lastSize int64
	volume                          int64 // in the base's units
	turnover                        int64 // in the quote's smallest price unit, whole
	turnoverRest                    int64 // what is left of it, × 10^sizeDecimals
	trades                          int64
	first                           int64 // first trade id of the window
	openTime                        int64 // ns
}

// newInstrument fills a book around the listing's opening price.
func newInstrument(l listing, depth int, rng *rand.Rand, now int64) *instrument {
	in := &instrument{
		listing: l, depth: depth,
		bids: ladder{bid: true}, asks: ladder{},
		fair: l.start / l.tick * fairUnit, anchor: l.start / l.tick * fairUnit,
		seq:     1_000_000 + rng.Int64N(50_000_000),
		tradeID: 1_000_000 + rng.Int64N(100_000_000),
	}
	for _, side := range []*ladder{&in.bids, &in.asks} {
		price := l.start / l.tick * l.tick
		for i := range depth {
			price += in.step(side, 1+in.gap(i, rng))
			if price <= 0 {
				break
			}
			side.levels = append(side.levels, in.order(price, rng))
		}
	}
	volume := l.unit * l.lot * (20_000 + rng.Int64N(5_000))
	in.stats = stats{
		open: l.start - l.start/97/l.tick*l.tick, high: l.start + l.start/41/l.tick*l.tick,
		low: l.start - l.start/53/l.tick*l.tick, last: l.start, lastSize: l.lot * l.unit,
		volume: volume, turnover: mulDiv(volume, l.start, pow10(l.sizeDecimals)), trades: 812_377,
		first: in.tradeID - 812_376, openTime: now - 24*3600*1e9,
	}
	side := rng.IntN(2) == 0
	in.history = append(in.history, Trade{ID: in.tradeID, Price: l.start, Size: l.lot * l.unit, Buy: side, Time: now})
	return in
}

// mulDiv is a × b / c for a, b ≥ 0 where a × b may not fit 63 bits but the
// result does.
func mulDiv(a, b, c int64) int64 { return a/c*b + a%c*b/c }

// step is n ticks away from the touch on side.
func (in *instrument) step(side *ladder, n int64) int64 {
	if side.bid {
		return -n * in.tick
	}
	return n * in.tick
}

// widest is the largest gap between levels in ticks, never so wide that bids
// would reach zero.
func (in *instrument) widest() int64 {
	return max(1, min(in.start/in.tick/int64(in.depth)/6, int64(in.depth)/2))
}

// gap is the distance in ticks from level i to the next: small near the touch,
// wide deep in the book.
func (in *instrument) gap(i int, rng *rand.Rand) int64 {
	return rng.Int64N(min(1+int64(i)/2, in.widest()) + 1)
}

// order is a new level at price.
func (in *instrument) order(price int64, rng *rand.Rand) Level {
	return Level{Price: price, Size: in.size(rng), Count: uint32(1 + rng.IntN(4))}
}

// size is the size of an order: mostly small, seldom large, some round.
func (in *instrument) size(rng *rand.Rand) int64 {
	n := 1 + rng.Int64N(in.unit)
	switch rng.IntN(10) {
	case 0:
		n *= 1 + rng.Int64N(20)
	case 1, 2:
		n = max(1, n/(1+rng.Int64N(100)))
	case 3:
		n = max(1, n/100) * 100
	}
	return n * in.lot
}

// traded counts a trade.
func (in *instrument) traded(t Trade) {
	s := &in.stats
	s.last, s.lastSize = t.Price, t.Size
	s.high, s.low = max(s.high, t.Price), min(s.low, t.Price)
	s.volume += t.Size
	s.trades++
	unit := pow10(in.sizeDecimals)
	s.turnover += mulDiv(t.Size, t.Price, unit)
	s.turnoverRest += t.Size % unit * t.Price % unit
	s.turnover += s.turnoverRest / unit
	s.turnoverRest %= unit
	if len(in.history) == historyTrades {
		in.history = append(in.history[:0], in.history[1:]...)
	}
	in.history = append(in.history, t)
}

// book copies the first n levels of each side.
func (in *instrument) book(n int) Book {
	return Book{
		Symbol: in.symbol, PriceExp: int8(-in.priceDecimals), SizeExp: int8(-in.sizeDecimals),
		Bids: slices.Clone(in.bids.top(n)), Asks: slices.Clone(in.asks.top(n)), Seq: in.seq,
	}
}
