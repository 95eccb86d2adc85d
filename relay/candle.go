package relay

import (
	"math"
	"math/bits"

	"tickrelay/ring/md"
)

// candle is one closed or running bar. Each value keeps its own exponent, so that
// a bar stays exact when the instrument's exponents change in its middle.
type candle struct {
	start  int64 // ns
	from   int64 // ns, time of the first trade
	to     int64 // ns, time of the last trade
	mant   [md.NumCandle]int64
	exp    [md.NumCandle]int8
	count  uint32
	closed bool
	// partial: trades of the bar's time may be missing.
	partial bool
}

// begin makes c the bar at start with its first trade.
func (c *candle) begin(start, at int64, r *md.Record, partial bool) {
	*c = candle{start: start, from: at, to: at, partial: partial}
	for _, v := range [...]uint8{md.CandleOpen, md.CandleHigh, md.CandleLow} {
		c.mant[v], c.exp[v] = r.Price, r.PriceExp
	}
	c.add(at, r)
}

// add takes a trade into the bar, at its time.
func (c *candle) add(at int64, r *md.Record) {
	if md.Cmp(r.Price, r.PriceExp, c.mant[md.CandleHigh], c.exp[md.CandleHigh]) > 0 {
		c.mant[md.CandleHigh], c.exp[md.CandleHigh] = r.Price, r.PriceExp
	}
	if md.Cmp(r.Price, r.PriceExp, c.mant[md.CandleLow], c.exp[md.CandleLow]) < 0 {
		c.mant[md.CandleLow], c.exp[md.CandleLow] = r.Price, r.PriceExp
	}
	if at >= c.to {
		c.mant[md.CandleClose], c.exp[md.CandleClose], c.to = r.Price, r.PriceExp, at
	}
	if at < c.from {
		c.mant[md.CandleOpen], c.exp[md.CandleOpen], c.from = r.Price, r.PriceExp, at
	}
	c.sum(md.CandleVolume, r.Size, r.SizeExp, true)
	m, e, ok := product(r.Price, r.PriceExp, r.Size, r.SizeExp)
	c.sum(md.CandleTurnover, m, e, ok)
	if c.count++; c.count == 0 {
		c.count = math.MaxUint32
	}
}

// sum adds to a quantity, which is absent for the rest of the bar once no int64
// holds it.
func (c *candle) sum(v uint8, mant int64, exp int8, ok bool) {
	if c.count == 0 {
		if c.mant[v], c.exp[v] = mant, exp; !ok {
			c.mant[v] = md.Absent
		}
		return
	}
	if c.mant[v] == md.Absent {
		return
	}
	if ok {
		c.mant[v], c.exp[v], ok = plus(c.mant[v], c.exp[v], mant, exp)
	}
	if !ok {
		c.mant[v], c.exp[v] = md.Absent, 0
	}
}

// plus adds two decimals exactly; false if no int64 holds the sum.
func plus(a int64, ae int8, b int64, be int8) (int64, int8, bool) {
	if ae != be {
		x, y := md.Decimal{Mant: a, Exp: ae}, md.Decimal{Mant: b, Exp: be}
		e := min(ae, be)
		var ok1, ok2 bool
		a, ok1 = md.Rescale(a, ae, e)
		b, ok2 = md.Rescale(b, be, e)
		if !ok1 || !ok2 { // without the zeros at their ends they may fit
			x, y = x.Strip(), y.Strip()
			e = min(x.Exp, y.Exp)
			if a, ok1 = md.Rescale(x.Mant, x.Exp, e); ok1 {
				b, ok2 = md.Rescale(y.Mant, y.Exp, e)
			}
			if !ok1 || !ok2 {
				return 0, 0, false
			}
		}
		ae = e
	}
	s := a + b
	if (a^s)&(b^s) < 0 || s == md.Absent {
		return 0, 0, false
	}
	return s, ae, true
}

// product multiplies two decimals exactly; false if no int64 holds it.
func product(p int64, pe int8, s int64, se int8) (int64, int8, bool) {
	neg := (p < 0) != (s < 0)
	hi, lo := bits.Mul64(magnitude(p), magnitude(s))
	e := int(pe) + int(se)
	for hi != 0 || lo > math.MaxInt64 || e < math.MinInt8 {
		qhi, rest := hi/10, hi%10
		qlo, rem := bits.Div64(rest, lo, 10)
		if rem != 0 || e == math.MaxInt8 {
			return 0, 0, false
		}
		hi, lo, e = qhi, qlo, e+1
	}
	if e > math.MaxInt8 {
		return 0, 0, false
	}
	if neg {
		return -int64(lo), int8(e), true
	}
	return int64(lo), int8(e), true
}

func magnitude(v int64) uint64 {
	if v < 0 {
		return uint64(-v)
	}
	return uint64(v)
}

// records appends the bar's records, one per value.
func (c *candle) records(dst []md.Record, like *md.Record) []md.Record {
	flags := like.Flags
	if c.closed {
		flags |= md.FlagClosed
	}
	if c.partial {
		flags |= md.FlagPartial
	}
	for v := range uint8(md.NumCandle) {
		r := *like
		r.Kind, r.Flags, r.ID, r.Level, r.Count = md.KindCandle, flags, uint64(c.start), v, c.count
		if md.CandleIsQuantity(v) {
			r.Price, r.Size, r.SizeExp = md.Absent, c.mant[v], c.exp[v]
		} else {
			r.Price, r.PriceExp, r.Size = c.mant[v], c.exp[v], md.Absent
		}
		dst = append(dst, r)
	}
	return dst
}
