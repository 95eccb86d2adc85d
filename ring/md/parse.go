package md

import "math"

// ParseDecimal reads a number as venues send it: optional sign, digits with at
// most one point, optional decimal exponent ("61737.63000000", "-5", "1.1e-7").
// Trailing zeros are kept (Exp is minus the number of decimals) unless only
// their removal makes the number fit. The result is exact, or the error is
// ErrRange; ErrSyntax for anything else. It allocates nothing.
func ParseDecimal(b []byte) (Decimal, error) {
	return parseAny(b)
}

// parseAny reads any legal number, of any length.
func parseAny(b []byte) (Decimal, error) {
	i, neg := 0, false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		i, neg = 1, b[0] == '-'
	}
	var (
		m       uint64 // digits so far, without the zeros pending
		zeros   int    // zeros seen since, which only a later digit makes significant
		decs    int    // digits after the point
		digits  int
		point   bool
		tooLong bool
	)
	for ; i < len(b); i++ {
		c := b[i]
		if c == '.' && !point {
			point = true
			continue
		}
		c -= '0'
		if c > 9 {
			break
		}
		digits++
		if point {
			decs++
		}
		if c == 0 {
			if m != 0 {
				zeros++
			}
			continue
		}
		for ; zeros >= 0; zeros-- {
			add := uint64(0)
			if zeros == 0 {
				add = uint64(c)
			}
			if m > (math.MaxInt64-add)/10 {
				tooLong = true
				break
			}
			m = m*10 + add
		}
		zeros = 0
	}
	if digits == 0 {
		return Decimal{}, ErrSyntax
	}
	exp, ok := parseExponent(b[i:])
	if !ok {
		return Decimal{}, ErrSyntax
	}
	if tooLong {
		return Decimal{}, ErrRange
	}
	return assemble(m, zeros, exp-decs, neg)
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

// parseExponent reads "", "e5", "E-07"; values beyond ±maxExponent saturate.
func parseExponent(b []byte) (int, bool) {
	const maxExponent = 1 << 40 // more than any text is long
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
		c -= '0'
		if c > 9 {
			return 0, false
		}
		v = min(v*10+int(c), maxExponent)
	}
	if neg {
		v = -v
	}
	return v, true
}
