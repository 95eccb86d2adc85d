package jsonscan

import (
	"math/bits"
	"unsafe"
)

// bareRoom is how many bytes the fast path of bare may look at: seven digits, a
// point, eight decimals, and what a load reaches beyond.
const bareRoom = 8 + 8 + 1 + 1

// bare is Number for a number without quotes.
func bare(b []byte, i int) (mant int64, exp int8, next int) {
	if i < 0 || len(b)-i < bareRoom {
		return number(b, i, true)
	}
	q := unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i)
	t := load64(q, 0) ^ zeros
	n := bits.TrailingZeros64(nonDigits(t)) >> 3
	if n == 0 || n == 8 || t&0xFF == 0 && n != 1 { // no digit, many of them, or a zero that leads
		return number(b, i, true)
	}
	m, at := eight(t<<((64-8*n)&63)), n
	if load8(q, n) == '.' {
		f := load64(q, n+1) ^ zeros
		k := bits.TrailingZeros64(nonDigits(f)) >> 3
		if k == 0 {
			return number(b, i, true)
		}
		m, exp, at = m*tens[k&15]+eight(f<<((64-8*k)&63)), int8(-k), n+1+k
	}
	switch load8(q, at) {
	case ',', '}', ']':
		return int64(m), exp, i + at
	}
	return number(b, i, true)
}
