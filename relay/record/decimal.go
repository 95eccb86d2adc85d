package record

import (
	"encoding/binary"
	"math/bits"

	"tickrelay/ring/md"
)

// The DECIMAL columns: 38 digits, 18 of them behind the point, in every file, so that
// files of any day and venue can be read as one table.
const (
	decimalPrecision = 38
	decimalScale     = 18
	decimalSize      = 16 // bytes of 38 digits: big-endian two's complement
)

// 10^38 as two words.
const limitHi, limitLo = 0x4b3b4ca85a86c47a, 0x098a224000000000

// putDecimal writes mant × 10^exp as a DECIMAL(38,18); false if it has more digits than
// that on either side of the point. It never rounds.
func putDecimal(dst []byte, mant int64, exp int8) bool {
	if mant == md.Absent {
		return false
	}
	neg := mant < 0
	lo := uint64(mant)
	if neg {
		lo = -lo
	}
	var hi uint64
	k := int(exp) + decimalScale
	if lo == 0 {
		k = 0
	}
	for ; k < 0; k++ {
		if lo%10 != 0 {
			return false
		}
		lo /= 10
	}
	if k > decimalPrecision {
		return false
	}
	for ; k > 0; k -= min(k, 19) {
		var ok bool
		if hi, lo, ok = mul128(hi, lo, pow10[min(k, 19)]); !ok {
			return false
		}
	}
	if hi > limitHi || hi == limitHi && lo >= limitLo {
		return false
	}
	if neg {
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
	}
	binary.BigEndian.PutUint64(dst, hi)
	binary.BigEndian.PutUint64(dst[8:], lo)
	return true
}

// Decimal writes mant × 10^exp into dst, of 16 bytes, as a file's DECIMAL(38,18): scaled,
// big-endian, two's complement. It returns false, and what dst holds means nothing, if the
// number is md.Absent or does not fit exactly.
func Decimal(dst []byte, mant int64, exp int8) bool { return putDecimal(dst, mant, exp) }

// mul128 is the 128-bit product, false if it does not fit.
func mul128(hi, lo, by uint64) (h, l uint64, ok bool) {
	over, h1 := bits.Mul64(hi, by)
	h2, l := bits.Mul64(lo, by)
	h, carry := bits.Add64(h1, h2, 0)
	return h, l, over == 0 && carry == 0
}

var pow10 = [20]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19}
