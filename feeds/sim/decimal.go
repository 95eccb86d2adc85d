package sim

import "strconv"

// The simulation formats its own decimals, independent of the code that reads
// them.

// appendFixed appends v × 10^-decimals with all its decimals: 6412345 with 4
// is "641.2345", 5 with 8 "0.00000005".
func appendFixed(dst []byte, v int64, decimals int) []byte {
	if v < 0 {
		dst = append(dst, '-')
		v = -v
	}
	digits := strconv.AppendInt(make([]byte, 0, 20), v, 10)
	if decimals <= 0 {
		dst = append(dst, digits...)
		if v != 0 {
			for range -decimals {
				dst = append(dst, '0')
			}
		}
		return dst
	}
	if len(digits) <= decimals {
		dst = append(dst, '0', '.')
		for range decimals - len(digits) {
			dst = append(dst, '0')
		}
		return append(dst, digits...)
	}
	point := len(digits) - decimals
	dst = append(dst, digits[:point]...)
	dst = append(dst, '.')
	return append(dst, digits[point:]...)
}

// appendPadded is appendFixed with zeros after the decimals up to width of them.
func appendPadded(dst []byte, v int64, decimals, width int) []byte {
	dst = appendFixed(dst, v, decimals)
	if decimals <= 0 && width > 0 {
		dst, decimals = append(dst, '.'), 0
	}
	for range width - decimals {
		dst = append(dst, '0')
	}
	return dst
}

// appendShort is appendFixed without trailing zeros behind the point.
func appendShort(dst []byte, v int64, decimals int) []byte {
	for decimals > 0 && v%10 == 0 {
		v, decimals = v/10, decimals-1
	}
	return appendFixed(dst, v, decimals)
}

// pow10 is 10^n for 0 ≤ n ≤ 18.
func pow10(n int) int64 {
	p := int64(1)
	for range n {
		p *= 10
	}
	return p
}
