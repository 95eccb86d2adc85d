package book

// Level is one price of a book: 24 bytes.
type Level struct {
	Price, Size int64  // mantissas at the book's exponents
	Count       uint32 // orders, 0 if the venue does not say
	// Decimals that the wire had, for checksums over the venue's own text; 0
	// where nobody needs them.
	PriceDP, SizeDP int8
}

// Side is one side of a book, best level first when read by At.
type Side struct {
	levels []Level // best last: most updates are near the touch and move little
}

// Len is the number of levels.
func (s *Side) Len() int { return len(s.levels) }

// At returns the i-th level counted from the best, which is 0. It panics if i
// is not below Len. The pointer is good until the book next changes.
func (s *Side) At(i int) *Level { return &s.levels[len(s.levels)-1-i] }

// Best returns the best level, false if the side is empty.
func (s *Side) Best() (Level, bool) {
	if n := len(s.levels); n > 0 {
		return s.levels[n-1], true
	}
	return Level{}, false
}

// A side is sorted ascending by price^mask: bids have mask 0, and asks mask -1,
// since ^price falls where price rises, without overflow.
const (
	bidMask int64 = 0
	askMask int64 = -1
)

// find returns the index of the first level, in memory order, whose key is at
// least price^mask. It looks at the touch first and doubles its stride away
// from there: the cost grows with the logarithm of the distance from the best,
// not of the book's depth.
func (s *Side) find(price, mask int64) int {
	key := price ^ mask
	lv := s.levels
	hi := len(lv) // every level at or above hi has a key of at least key
	step := 1
	for hi-step >= 0 && lv[hi-step].Price^mask >= key {
		hi -= step
		step <<= 1
	}
	lo := max(hi-step+1, 0) // every level below lo has a smaller key
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if lv[mid].Price^mask < key {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// set applies one absolute level and reports whether the side changed.
func (s *Side) set(l Level, mask int64) bool {
	i := s.find(l.Price, mask)
	if i < len(s.levels) && s.levels[i].Price == l.Price {
		if l.Size == 0 {
			s.levels = s.levels[:i+copy(s.levels[i:], s.levels[i+1:])]
			return true
		}
		if s.levels[i] == l {
			return false
		}
		s.levels[i] = l
		return true
	}
	if l.Size == 0 {
		return false
	}
	s.levels = append(s.levels, l)
	if i < len(s.levels)-1 {
		copy(s.levels[i+1:], s.levels[i:])
		s.levels[i] = l
	}
	return true
}
