package jsonscan

import (
	"encoding/binary"
	"math"
	"math/bits"
)

const zeros = lows * '0'

// tens holds the powers of ten that a uint64 can hold, padded to 32 entries so
// that a masked index needs no bounds check.
var tens = [32]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9,
	1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19}

// nonDigits sets the high bit of each byte of t, text xor zeros, that is no digit.
func nonDigits(t uint64) uint64 {
	return ((t&^highs + lows*0x76) | t) & highs
}

// eight converts eight digits, given as their values with the first one in the
// lowest byte, in three multiplications.
func eight(t uint64) uint64 {
	t = t*10 + t>>8
	return ((t&0x000000FF000000FF)*0x000F424000000064 +
		(t>>16&0x000000FF000000FF)*0x0000271000000001) >> 32
}

// head converts the first n (0 to 8) of eight digit values.
func head(t uint64, n int) uint64 { return eight(t << (64 - 8*uint(n))) }

// Number reads the decimal at i, a JSON number or a string that holds nothing
// else, as mant × 10^exp. Without e-notation exp is minus the number of
// decimals in the text; digits that no int64 holds are Range, unless zeros at
// the end are all that is too much, which then are left out.
func Number(b []byte, i int) (mant int64, exp int8, next int) {
	if uint(i) >= uint(len(b)) {
		return 0, 0, Bad
	}
	if b[i] != '"' {
		return number(b, i, true)
	}
	i++
	// Fast path: up to eight digits, a point, up to eight digits, a quote.
	if j := i + 8; j <= len(b) {
		t := binary.LittleEndian.Uint64(b[i:j]) ^ zeros
		n := bits.TrailingZeros64(nonDigits(t)) >> 3
		j = i + n
		if n != 0 && j < len(b) {
			if b[j] == '"' {
				return int64(head(t, n)), 0, j + 1
			}
			if k := j + 9; b[j] == '.' && k < len(b) {
				f := binary.LittleEndian.Uint64(b[j+1:k]) ^ zeros
				m := bits.TrailingZeros64(nonDigits(f)) >> 3
				if j += m + 1; m != 0 && b[j] == '"' {
					return int64(head(t, n)*tens[m&15] + head(f, m)), int8(-m), j + 1
				}
			}
		}
	}
	mant, exp, next = number(b, i, false)
	if next >= 0 {
		if next >= len(b) || b[next] != '"' {
			return 0, 0, Bad
		}
		next++
	}
	return mant, exp, next
}

// number reads any decimal text at i. A bare number must not have leading
// zeros; inside strings they do no harm.
func number(b []byte, i int, bare bool) (mant int64, exp int8, next int) {
	neg := uint(i) < uint(len(b)) && b[i] == '-'
	if neg {
		i++
	}
	// m collects the digits up to the last that is not zero, pending counts
	// the zeros behind it.
	var m uint64
	pending, decimals, wide := 0, 0, false
	start := i
	for point := false; ; i++ {
		if uint(i) >= uint(len(b)) {
			break
		}
		c := b[i] - '0'
		if c > 9 {
			if b[i] != '.' || point || i == start {
				break
			}
			point, start = true, i+1
			continue
		}
		if point {
			decimals++
		} else if bare && i == start+1 && b[start] == '0' {
			return 0, 0, Bad
		}
		if pending++; c == 0 {
			continue
		}
		hi, lo := bits.Mul64(m, tens[min(pending, 20)&31])
		if hi != 0 || m != 0 && pending > 19 || lo > math.MaxUint64-uint64(c) {
			wide = true
		}
		m, pending = lo+uint64(c), 0
	}
	if i == start {
		return 0, 0, Bad
	}
	e := 0
	if i < len(b) && b[i]|0x20 == 'e' {
		if e, i = exponent(b, i+1); i < 0 {
			return 0, 0, Bad
		}
	}
	if wide || m > math.MaxInt64 {
		return 0, 0, Range
	}
	return fit(m, neg, pending, e-decimals, i)
}

// fit appends as many of the pending zeros to m as an int64 holds.
func fit(m uint64, neg bool, pending, e, i int) (mant int64, exp int8, next int) {
	if m == 0 {
		pending = 0
		e = max(min(e, math.MaxInt8), math.MinInt8)
	}
	for e += pending; pending > 0 && m <= math.MaxInt64/10; pending-- {
		m *= 10
		e--
	}
	if e < math.MinInt8 || e > math.MaxInt8 {
		return 0, 0, Range
	}
	mant = int64(m)
	if neg {
		mant = -mant
	}
	return mant, int8(e), i
}

// exponent reads what follows an 'e'; beyond ±9999 it stays there.
func exponent(b []byte, i int) (e, next int) {
	neg := false
	if i < len(b) && (b[i] == '+' || b[i] == '-') {
		neg = b[i] == '-'
		i++
	}
	start := i
	for ; uint(i) < uint(len(b)) && b[i]-'0' <= 9; i++ {
		e = min(e*10+int(b[i]-'0'), 9999)
	}
	if i == start {
		return 0, Bad
	}
	if neg {
		e = -e
	}
	return e, i
}

// Uint reads the integer at i, bare or as a string.
func Uint(b []byte, i int) (v uint64, next int) {
	if uint(i) >= uint(len(b)) {
		return 0, Bad
	}
	quoted := b[i] == '"'
	if quoted {
		i++
	}
	start := i
	if j := i + 8; j <= len(b) {
		t := binary.LittleEndian.Uint64(b[i:j]) ^ zeros
		n := bits.TrailingZeros64(nonDigits(t)) >> 3
		v = head(t, n)
		if i += n; n == 8 && j+8 <= len(b) {
			t = binary.LittleEndian.Uint64(b[j:j+8]) ^ zeros
			n = bits.TrailingZeros64(nonDigits(t)) >> 3
			v = v*tens[n&15] + head(t, n)
			i += n
		}
	}
	for ; uint(i) < uint(len(b)); i++ {
		c := b[i] - '0'
		if c > 9 {
			break
		}
		if v > math.MaxUint64/10 || v*10 > math.MaxUint64-uint64(c) {
			return 0, Range
		}
		v = v*10 + uint64(c)
	}
	if i == start || uint(start) < uint(len(b)) && b[start] == '0' && i != start+1 {
		return 0, Bad
	}
	if quoted {
		if uint(i) >= uint(len(b)) || b[i] != '"' {
			return 0, Bad
		}
		i++
	}
	return v, i
}

// Int reads the integer with an optional sign at i, bare or as a string.
func Int(b []byte, i int) (v int64, next int) {
	if uint(i) >= uint(len(b)) {
		return 0, Bad
	}
	quoted := b[i] == '"'
	if quoted {
		i++
	}
	neg := uint(i) < uint(len(b)) && b[i] == '-'
	if neg {
		i++
	}
	if uint(i) >= uint(len(b)) || b[i] == '"' {
		return 0, Bad
	}
	u, i := Uint(b, i)
	if i < 0 {
		return 0, i
	}
	if u > math.MaxInt64 {
		return 0, Range
	}
	if quoted {
		if uint(i) >= uint(len(b)) || b[i] != '"' {
			return 0, Bad
		}
		i++
	}
	if v = int64(u); neg {
		v = -v
	}
	return v, i
}

// Limits that tell the units of a time apart. Seconds are not told from
// milliseconds: no document that this is used for has them.
const (
	maxMillis = 9_200_000_000_000     // year 2261; in microseconds April 1970
	maxMicros = 9_200_000_000_000_000 // likewise
)

// Time reads the time since 1970 at i, a bare integer or a string of
// milliseconds, microseconds or nanoseconds, told apart by magnitude, as ns.
func Time(b []byte, i int) (ns int64, next int) {
	u, i := Uint(b, i)
	switch {
	case i < 0:
		return 0, i
	case u <= maxMillis:
		return int64(u) * 1e6, i
	case u <= maxMicros:
		return int64(u) * 1e3, i
	case u > math.MaxInt64:
		return 0, Range
	}
	return int64(u), i
}

// ID reads the identifier at i, an integer or a string. One that is the
// decimal text of a uint64 is returned as such; of any other it returns the
// 64-bit FNV-1a hash and the raw text.
func ID(b []byte, i int) (id uint64, text []byte, next int) {
	if id, next = Uint(b, i); next >= 0 {
		return id, nil, next
	}
	if text, next = Text(b, i); next < 0 || len(text) == 0 {
		return 0, nil, Bad
	}
	id = 14695981039346656037
	for _, c := range text {
		id = (id ^ uint64(c)) * 1099511628211
	}
	return id, text, next
}
