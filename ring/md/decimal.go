package md

import (
	"errors"
	"math"
	"math/bits"
)

// Decimal is the exact number Mant × 10^Exp. Mant is never Absent in a number
// that this package produced.
type Decimal struct {
	Mant int64
	Exp  int8
}

// Errors of ParseDecimal.
var (
	ErrSyntax = errors.New("md: not a decimal number")
	ErrRange  = errors.New("md: number does not fit 63 bits and an exponent of -128 to 127 exactly")
)

// pow10 holds the powers of ten that fit a uint64.
var pow10 = [20]uint64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9,
	1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
}

// abs is |v| without overflow at the least int64.
func abs(v int64) uint64 {
	if v < 0 {
		return -uint64(v)
	}
	return uint64(v)
}

// Rescale gives the mantissa of mant × 10^from at exponent to: exact, or
// false if it is no whole number there or does not fit. Absent stays Absent.
func Rescale(mant int64, from, to int8) (int64, bool) {
	if from == to || mant == 0 || mant == Absent {
		return mant, true
	}
	d := int(from) - int(to)
	if d > 0 {
		if d > 18 {
			return 0, false
		}
		hi, lo := bits.Mul64(abs(mant), pow10[d])
		if hi != 0 || lo > math.MaxInt64 {
			return 0, false
		}
		if mant < 0 {
			return -int64(lo), true
		}
		return int64(lo), true
	}
	if d < -18 {
		return 0, false
	}
	p := int64(pow10[-d])
	q := mant / p
	return q, q*p == mant
}

// Strip gives the same number without trailing zeros in the mantissa, as far
// as the exponent's range allows. Zero becomes 0 × 10^0.
func (d Decimal) Strip() Decimal {
	if d.Mant == 0 {
		return Decimal{}
	}
	for d.Exp < math.MaxInt8 {
		q := d.Mant / 10
		if q*10 != d.Mant {
			break
		}
		d.Mant, d.Exp = q, d.Exp+1
	}
	return d
}

// Append appends the shortest exact text of d, see AppendDecimal.
func (d Decimal) Append(dst []byte) []byte { return AppendDecimal(dst, d.Mant, d.Exp) }

// String is the shortest exact text of d, see AppendDecimal.
func (d Decimal) String() string { return string(d.Append(nil)) }

// Cmp compares a × 10^aExp with b × 10^bExp: -1, 0 or +1, exact for every input.
func Cmp(aMant int64, aExp int8, bMant int64, bExp int8) int {
	if aExp == bExp || aMant == 0 || bMant == 0 || (aMant < 0) != (bMant < 0) {
		return cmpInt(aMant, bMant)
	}
	// Same sign, neither zero: compare the magnitudes at the lower exponent.
	var c int
	if d := int(aExp) - int(bExp); d > 0 {
		c = cmpScaled(abs(aMant), d, abs(bMant))
	} else {
		c = -cmpScaled(abs(bMant), -d, abs(aMant))
	}
	if aMant < 0 {
		return -c
	}
	return c
}

// cmpScaled compares a × 10^d with b, a > 0.
func cmpScaled(a uint64, d int, b uint64) int {
	if d > 19 {
		return 1 // a × 10^20 is more than any uint64
	}
	hi, lo := bits.Mul64(a, pow10[d])
	switch {
	case hi != 0 || lo > b:
		return 1
	case lo < b:
		return -1
	}
	return 0
}

func cmpInt(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
