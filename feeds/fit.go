package feeds

import (
	"math"

	"tickrelay/ring/md"
)

// Fitting brings the numbers of trades, quotes and book levels from the wire's
// exponents to the instrument's. Where that is not exact the instrument's
// exponents change, if every number that the book holds stays exact; nothing is
// ever rounded.

// span is the range of exponents at which some numbers are all exact: below lo
// one of them overflows, above hi one of them has digits left.
type span struct{ lo, hi int }

var anySpan = span{math.MinInt8, math.MaxInt8}

// add narrows s to what mant × 10^exp allows.
func (s *span) add(mant int64, exp int8) {
	if mant == 0 || mant == md.Absent {
		return
	}
	d := md.Decimal{Mant: mant, Exp: exp}.Strip()
	s.hi = min(s.hi, int(d.Exp))
	room := 0
	m := d.Mant
	if m < 0 {
		m = -m
	}
	for m <= math.MaxInt64/10 {
		m *= 10
		room++
	}
	s.lo = max(s.lo, int(d.Exp)-room)
}

// pick is the exponent in s that is nearest to now; false if s is empty.
func (s span) pick(now int8) (int8, bool) {
	return int8(max(s.lo, min(int(now), s.hi))), s.lo <= s.hi
}

// wireDigits packs the decimals that a level had on the wire. A book needs them
// for checksums; they travel in Seq, which the publisher sets only later.
func wireDigits(r *md.Record) uint64 {
	return uint64(uint8(-r.PriceExp))<<8 | uint64(uint8(-r.SizeExp))
}

// convert brings one record to exponents pe and se; false leaves it as it was.
func convert(r *md.Record, pe, se int8) bool {
	p, ok1 := r.Price, true
	if r.PriceExp != pe {
		p, ok1 = md.Rescale(r.Price, r.PriceExp, pe)
	}
	s, ok2 := r.Size, true
	if r.SizeExp != se {
		s, ok2 = md.Rescale(r.Size, r.SizeExp, se)
	}
	if !ok1 || !ok2 {
		return false
	}
	r.Price, r.Size, r.PriceExp, r.SizeExp = p, s, pe, se
	return true
}

// fit brings all of recs to the instrument's exponents, changing those where it
// must. False: no exponents hold recs together with the book; recs are then
// partly converted, each still being what it says.
func (e *Engine) fit(in *instrument, recs []md.Record) bool {
	pe, se := in.md.PriceExp, in.md.SizeExp
	for i := range recs {
		if !convert(&recs[i], pe, se) {
			return e.refit(in, recs)
		}
	}
	return true
}

// fitEach fits as many records from the front as can be and returns how many.
func (e *Engine) fitEach(t *topic, recs []md.Record) int {
	if e.fit(t.inst, recs) {
		return len(recs)
	}
	for i := range recs {
		if !e.fit(t.inst, recs[i:i+1]) {
			return i
		}
	}
	return len(recs)
}

// refit changes the instrument's exponents so that recs and the book fit.
func (e *Engine) refit(in *instrument, recs []md.Record) bool {
	price, size := anySpan, anySpan
	for i := range recs {
		price.add(recs[i].Price, recs[i].PriceExp)
		size.add(recs[i].Size, recs[i].SizeExp)
	}
	held := in.heldBook()
	if held != nil {
		for side := range 2 {
			s := &held.Bids
			if side == 1 {
				s = &held.Asks
			}
			for i := range s.Len() {
				l := s.At(i)
				price.add(l.Price, held.PriceExp)
				size.add(l.Size, held.SizeExp)
			}
		}
	}
	pe, ok1 := price.pick(in.md.PriceExp)
	se, ok2 := size.pick(in.md.SizeExp)
	if !ok1 || !ok2 || !e.setExponents(in, pe, se) {
		return false
	}
	for i := range recs {
		if !convert(&recs[i], pe, se) {
			return false
		}
	}
	return true
}

// setExponents moves an instrument, its book included, to other exponents and
// tells readers before the next record.
func (e *Engine) setExponents(in *instrument, pe, se int8) bool {
	held := in.heldBook()
	if held != nil && !held.Rescale(pe, se) {
		return false
	}
	entry, err := e.table.Update(in.md.ID, func(m *md.Instrument) { m.PriceExp, m.SizeExp = pe, se })
	if err != nil {
		e.stats.Rejected[RejectTable].Add(1)
		e.log.Error("exponents not changed", "instrument", in.md.Symbol, "error", err)
		return false
	}
	e.log.Info("exponents changed", "instrument", in.md.Symbol, "price", pe, "size", se)
	in.md = entry
	e.stats.Refits.Add(1)
	e.pub.InstrumentChanged(entry.ID, entry.Record())
	return true
}
