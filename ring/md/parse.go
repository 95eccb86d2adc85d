package md

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// ParseDecimal reads a number as venues send it: optional sign, digits with at
// most one point, optional decimal exponent ("61737.63000000", "-5", "1.1e-7").
// Trailing zeros are kept (Exp is minus the number of decimals) unless only
// their removal makes the number fit. The result is exact, or the error is
// ErrRange; ErrSyntax for anything else. It allocates nothing.
func ParseDecimal(b []byte) (Decimal, error) {
	n := len(b)
	if n > 18 {
		return parseAny(b) // more digits than surely fit
	}
	var m uint64
	i := 0
	for ; i < n; i++ {
		c := b[i] - '0'
		if c > 9 {
			break
		}
		m = m*10 + uint64(c)
	}
	if i == 0 || i < n && b[i] != '.' {
		return parseAny(b) // a sign, an exponent, or no number
	}
	if i == n {
		return Decimal{Mant: int64(m)}, nil
	}
	i++
	decs := n - i
	// Eight decimals is what many venues send: all at once, beside the loop above.
	if decs >= 8 {
		if x := binary.LittleEndian.Uint64(b[i:]); notDigits(x) == 0 {
			m = m*1e8 + eightDigits(x)
			i += 8
		}
	}
	for ; i < n; i++ {
		c := b[i] - '0'
		if c > 9 {
			return parseAny(b)
		}
		m = m*10 + uint64(c)
	}
	return Decimal{Mant: int64(m), Exp: -int8(decs)}, nil
}

const (
	bytes06 = 0x0606060606060606
	bytesF0 = 0xf0f0f0f0f0f0f0f0
	bytes30 = 0x3030303030303030 // "00000000"
)

// notDigits is 0 if all bytes of x are '0' to '9'.
func notDigits(x uint64) uint64 {
	return (x&bytesF0 | (x+bytes06)&bytesF0>>4) ^ 0x3333333333333333
}

// eightDigits is the value of eight digits, the first in the lowest byte.
func eightDigits(x uint64) uint64 {
	x -= bytes30
	x = x*10 + x>>8 // pairs in the even bytes
	const pair = 0x000000ff000000ff
	return (x&pair*(100+1000000<<32) + x>>16&pair*(1+10000<<32)) >> 32
}

// parseAny reads any legal number, of any length.
func parseAny(b []byte) (Decimal, error) {
	i, neg := 0, false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		i, neg = 1, b[0] == '-'
	}
	var (
		m      uint64 // digits so far, without the zeros pending
		zeros  int    // zeros seen since, which only a later digit makes significant
		decs   int    // digits after the point
		digits int
		point  bool
		long   bool // more digits than fit
	)
	for ; i < len(b); i++ {
		c := b[i]
		if c == '.' && !point {
			point = true
			continue
		}
		if c -= '0'; c > 9 {
			break
		}
		digits++
		if point {
			decs++
		}
		if c == 0 {
			zeros++
			continue
		}
		if !long {
			m, long = appendDigit(m, zeros, c)
			zeros = 0
		}
	}
	if digits == 0 {
		return Decimal{}, ErrSyntax
	}
	exp, ok := parseExponent(b[i:])
	if !ok {
		return Decimal{}, ErrSyntax
	}
	if long {
		return Decimal{}, ErrRange
	}
	return assemble(m, zeros, exp-decs, neg)
}

// appendDigit is m followed by zeros and the digit c, or true if that does not
// fit.
func appendDigit(m uint64, zeros int, c byte) (uint64, bool) {
	if m == 0 {
		return uint64(c), false
	}
	if zeros > 18 {
		return m, true
	}
	hi, lo := bits.Mul64(m, pow10[zeros+1])
	if hi != 0 || lo > math.MaxInt64-uint64(c) {
		return m, true
	}
	return lo + uint64(c), false
}

// assemble makes ± m × 10^(zeros+exp) with as many of the zeros in the mantissa
// as fit.
func assemble(m uint64, zeros, exp int, neg bool) (Decimal, error) {
	if m == 0 {
		return Decimal{Exp: int8(max(math.MinInt8, min(exp, 0)))}, nil
	}
	for zeros > 0 && m <= math.MaxInt64/10 {
		m, zeros = m*10, zeros-1
	}
	exp += zeros
	for exp > math.MaxInt8 && m <= math.MaxInt64/10 {
		m, exp = m*10, exp-1
	}
	for exp < math.MinInt8 && m%10 == 0 {
		m, exp = m/10, exp+1
	}
	if exp < math.MinInt8 || exp > math.MaxInt8 {
		return Decimal{}, ErrRange
	}
	d := Decimal{Mant: int64(m), Exp: int8(exp)}
	if neg {
		d.Mant = -d.Mant
	}
	return d, nil
}

// parseExponent reads "", "e5", "E-07". Values that no length of text could
// bring back into range saturate.
func parseExponent(b []byte) (int, bool) {
	const most = 1 << 40
	if len(b) == 0 {
		return 0, true
	}
	if b[0]|0x20 != 'e' {
		return 0, false
	}
	b = b[1:]
	neg := false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		neg, b = b[0] == '-', b[1:]
	}
	if len(b) == 0 {
		return 0, false
	}
	v := 0
	for _, c := range b {
		if c -= '0'; c > 9 {
			return 0, false
		}
		v = min(v*10+int(c), most)
	}
	if neg {
		v = -v
	}
	return v, true
}
