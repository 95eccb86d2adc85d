package md

import "strconv"

// AppendDecimal appends the shortest exact text of mant × 10^exp, without
// exponent form: "64123.45", "0.00000011", "-5", "1200". It allocates only if
// dst must grow.
func AppendDecimal(dst []byte, mant int64, exp int8) []byte {
	dst = AppendFixed(dst, mant, exp)
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
// whole number.
func AppendFixed(dst []byte, mant int64, exp int8) []byte {
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
