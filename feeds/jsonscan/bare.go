package jsonscan

import (
	"math/bits"
	"unsafe"
)

// bareRoom is how many bytes the fast path of bare may look at: seven digits, a
// point, eight decimals, and what a load reaches beyond.
const bareRoom = 8 + 8 + 1 + 1

// bare is Number for a number without quotes or sign, of the usual length.
func bare(b []byte, i int) (mant int64, exp int8, next int) {
	if i < 0 || len(b)-i < bareRoom {
		return words(b, i)
	}
	q := unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i)
	t := load64(q, 0) ^ zeros
	n := bits.TrailingZeros64(nonDigits(t)) >> 3
	if n == 0 || n == 8 || t&0xFF == 0 && n != 1 { // no digit, many of them, or a zero that leads
		return words(b, i)
	}
	m, at := eight(t<<((64-8*n)&63)), n
	if load8(q, n) == '.' {
		f := load64(q, n+1) ^ zeros
		k := bits.TrailingZeros64(nonDigits(f)) >> 3
		if k == 0 {
			return words(b, i)
		}
		m, exp, at = m*tens[k&15]+eight(f<<((64-8*k)&63)), int8(-k), n+1+k
	}
	switch load8(q, at) {
	case ',', '}', ']':
		return int64(m), exp, i + at
	}
	return words(b, i)
}

// words is Number for up to fifteen digits before the point and fifteen behind
// it, eighteen together, with a sign or without, bare or as a string.
func words(b []byte, i int) (mant int64, exp int8, next int) {
	room := len(b) - i // no load below is at an index of room or beyond
	if i < 0 || room < 2+8+1 {
		return numberSlow(b, i)
	}
	q := unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i)
	at := 0
	quoted := load8(q, 0) == '"'
	if quoted {
		at = 1
	}
	neg := load8(q, at) == '-'
	if neg {
		at++
	}
	start := at
	t := load64(q, at) ^ zeros
	n := bits.TrailingZeros64(nonDigits(t)) >> 3
	if n == 0 || t&0xFF == 0 && n != 1 && !quoted { // no digit, or a zero that leads
		return numberSlow(b, i)
	}
	m := eight(t << ((64 - 8*n) & 63))
	at += n
	if n == 8 {
		if m, n = further(q, at, room, m); n > 7 {
			return numberSlow(b, i)
		}
		at += n
	}
	if load8(q, at) == '.' {
		if at++; room < at+8+1 {
			return numberSlow(b, i)
		}
		t = load64(q, at) ^ zeros
		if n = bits.TrailingZeros64(nonDigits(t)) >> 3; n == 0 {
			return numberSlow(b, i)
		}
		m = m*tens[n&15] + eight(t<<((64-8*n)&63))
		exp, at = int8(-n), at+n
		if n == 8 && load8(q, at)-'0' <= 9 {
			if m, n = further(q, at, room, m); n > 7 {
				return numberSlow(b, i)
			}
			exp, at = exp-int8(n), at+n
		}
		if at-start > 19 { // eighteen digits fit whatever they are
			return numberSlow(b, i)
		}
	}
	c := load8(q, at)
	if quoted {
		at++
	}
	if quoted != (c == '"') || !quoted && c != ',' && c != '}' && c != ']' {
		return numberSlow(b, i)
	}
	if mant = int64(m); neg {
		mant = -mant
	}
	return mant, exp, i + at
}

// further appends to m the digits at q + at, n of them; more than seven are too
// many, and so said where the text ends before the word does.
func further(q unsafe.Pointer, at, room int, m uint64) (v uint64, n int) {
	if room < at+8+1 {
		return 0, 8
	}
	t := load64(q, at) ^ zeros
	n = bits.TrailingZeros64(nonDigits(t)) >> 3
	return m*tens[n&15] + eight(t<<uint(64-8*n)), n
}
