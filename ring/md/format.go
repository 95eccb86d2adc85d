package md

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"strconv"
)

// AppendDecimal appends the shortest exact text of mant × 10^exp, without
// exponent form: "64123.45", "0.00000011", "-5", "1200". It allocates only if
// dst must grow; give dst 40 bytes of room to spare.
func AppendDecimal(dst []byte, mant int64, exp int8) []byte {
	if u := abs(mant); u < 1e16 && exp <= 0 && exp >= -15 {
		return appendWords(dst, u, mant < 0, uint(-exp), true)
	}
	dst = appendAny(dst, mant, exp)
	if exp >= 0 {
		return dst
	}
	n := len(dst)
	for dst[n-1] == '0' {
		n--
	}
	if dst[n-1] == '.' {
		n--
	}
	return dst[:n]
}

// AppendFixed appends mant × 10^exp with all -exp decimals, trailing zeros
// included: (6412345000000, -8) is "64123.45000000". With exp ≥ 0 it is a
// whole number. Allocation as AppendDecimal.
func AppendFixed(dst []byte, mant int64, exp int8) []byte {
	if u := abs(mant); u < 1e16 && exp <= 0 && exp >= -15 {
		return appendWords(dst, u, mant < 0, uint(-exp), false)
	}
	return appendAny(dst, mant, exp)
}

// appendWords appends u < 10^16 with decs ≤ 15 decimals: sixteen digits are made
// in two words, moved to the front and stored twice, the second time one byte
// further from where the point goes.
func appendWords(dst []byte, u uint64, neg bool, decs uint, strip bool) []byte {
	const room = 1 + 16 + 1 + 16 // sign, digits, point, digits again
	at := len(dst)
	if cap(dst)-at < room {
		dst = slices.Grow(dst, room)
	}
	p := dst[at : at+room]
	sign := uint(0)
	if neg {
		p[0], sign = '-', 1
	}
	lo, hi := digitBytes(u/1e8), digitBytes(u%1e8)

	last := uint(16) // end of the digits that matter
	if strip && decs > 0 {
		if hi != 0 {
			last -= uint(bits.LeadingZeros64(hi)) / 8
		} else {
			last = 8 - uint(bits.LeadingZeros64(lo))/8
		}
	}
	first := uint(bits.TrailingZeros64(lo)) / 8
	if lo == 0 {
		first = 8 + uint(bits.TrailingZeros64(hi))/8
	}
	point := 16 - decs
	first = min(first, point-1) // at least one digit before the point

	lo, hi = shiftBytes(lo|bytes30, hi|bytes30, first)
	whole := point - first
	binary.LittleEndian.PutUint64(p[sign:], lo)
	binary.LittleEndian.PutUint64(p[sign+8:], hi)
	end := sign + whole
	if last > point {
		lo, hi = shiftBytes(lo, hi, whole)
		f := p[end:]
		f[0] = '.'
		binary.LittleEndian.PutUint64(f[1:], lo)
		binary.LittleEndian.PutUint64(f[9:], hi)
		end += 1 + last - point
	}
	return dst[:at+int(end)]
}

// shiftBytes drops the first n < 16 of the sixteen bytes lo, hi. Shift counts
// are masked because that is free and a count that may reach 64 is not.
func shiftBytes(lo, hi uint64, n uint) (uint64, uint64) {
	s := 8 * n & 63
	if n >= 8 {
		return hi >> s, 0
	}
	return lo>>s | hi<<1<<(63-s&63), hi >> s
}

// digitBytes gives the eight digits of v < 10^8, the first in the lowest byte,
// as values 0 to 9.
func digitBytes(v uint64) uint64 {
	x := v/10000 | v%10000<<32
	q := x * 10486 >> 20 & 0x0000007f0000007f // two lanes / 100
	x = q | (x-100*q)<<16
	q = x * 103 >> 10 & 0x000f000f000f000f // four lanes / 10
	return q | (x-10*q)<<8
}

// appendAny is AppendFixed for any number.
func appendAny(dst []byte, mant int64, exp int8) []byte {
	if mant < 0 {
		dst = append(dst, '-')
	}
	u := abs(mant)
	if exp >= 0 {
		dst = strconv.AppendUint(dst, u, 10)
		if u != 0 {
			for range exp {
				dst = append(dst, '0')
			}
		}
		return dst
	}
	d := -int(exp)
	var buf [20]byte
	digits := strconv.AppendUint(buf[:0], u, 10)
	if n := len(digits); n > d {
		dst = append(dst, digits[:n-d]...)
		dst = append(dst, '.')
		return append(dst, digits[n-d:]...)
	}
	dst = append(dst, '0', '.')
	for range d - len(digits) {
		dst = append(dst, '0')
	}
	return append(dst, digits...)
}
