package sim

import "slices"

// ladder is one side of a book, best level first.
type ladder struct {
	bid    bool
	levels []Level
}

// better says whether price a is nearer to the touch than b.
func (l *ladder) better(a, b int64) bool {
	if l.bid {
		return a > b
	}
	return a < b
}

// find returns the index of price, or where it belongs.
func (l *ladder) find(price int64) (int, bool) {
	return slices.BinarySearchFunc(l.levels, price, func(lv Level, p int64) int {
		switch {
		case lv.Price == p:
			return 0
		case l.better(lv.Price, p):
			return -1
		}
		return 1
	})
}

// set replaces the level of lv.Price; size 0 takes it away.
func (l *ladder) set(lv Level) {
	i, found := l.find(lv.Price)
	switch {
	case lv.Size == 0 && found:
		l.levels = slices.Delete(l.levels, i, i+1)
	case lv.Size == 0:
	case found:
		l.levels[i] = lv
	default:
		l.levels = slices.Insert(l.levels, i, lv)
	}
}

// at returns the level of price, with size 0 if there is none.
func (l *ladder) at(price int64) Level {
	if i, found := l.find(price); found {
		return l.levels[i]
	}
	return Level{Price: price}
}

// best is the price at the touch.
func (l *ladder) best() int64 { return l.levels[0].Price }

// top is the first n levels at most.
func (l *ladder) top(n int) []Level { return l.levels[:min(n, len(l.levels))] }

// diff appends to dst what turns the levels from into to, both best first: the
// new sizes, and size 0 for what is gone.
func (l *ladder) diff(dst, from, to []Level) []Level {
	for len(from) > 0 || len(to) > 0 {
		switch {
		case len(to) == 0 || len(from) > 0 && l.better(from[0].Price, to[0].Price):
			dst = append(dst, Level{Price: from[0].Price})
			from = from[1:]
		case len(from) == 0 || from[0].Price != to[0].Price:
			dst = append(dst, to[0])
			to = to[1:]
		default:
			if from[0] != to[0] {
				dst = append(dst, to[0])
			}
			from, to = from[1:], to[1:]
		}
	}
	return dst
}
