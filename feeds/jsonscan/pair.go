package jsonscan

import (
	"math/bits"
	"unsafe"
)

// pairRoom is how many bytes the fast path of Pair may look at: two brackets
// and quotes, two numbers of 8 + 1 + 8 characters, three separators, and what a
// load of eight bytes reaches beyond.
const pairRoom = 2 + 17 + 3 + 17 + 1 + 8

// Pair reads the first two elements of the array at i, both decimals as Number
// reads them, and returns the index behind the second, where the array goes on
// or ends: a price level.
func Pair(b []byte, i int) (p, s int64, pe, se int8, next int) {
	if i < 0 || len(b)-i < pairRoom {
		return pairSlow(b, i)
	}
	// Every load below lies within pairRoom bytes of i, since each number that
	// was passed has at most eight digits before and after its point.
	q := unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i)
	if load16(q, 0) != '['|'"'<<8 {
		return pairSlow(b, i)
	}
	// Eight decimals are told apart by a branch, which predicts well for the
	// venues that always write them; any other number of digits goes through
	// arithmetic, since it does not predict.
	t := load64(q, 2) ^ zeros
	n := bits.TrailingZeros64(nonDigits(t)) >> 3
	at := 2 + n
	m := eight(t << (64 - 8*uint(n)))
	good := n - 1 // the sign bit of good gathers what is wrong
	if c := load8(q, at); c == '.' {
		f := load64(q, at+1) ^ zeros
		if x := nonDigits(f); x == 0 {
			m, pe, at = m*1e8+eight(f), -8, at+9
		} else {
			k := bits.TrailingZeros64(x) >> 3
			m, pe, at = m*tens[k&15]+eight(f<<(64-8*uint(k))), int8(-k), at+1+k
			good |= k - 1
		}
	}
	if good < 0 || load32(q, at)&0xFFFFFF != '"'|','<<8|'"'<<16 {
		return pairSlow(b, i)
	}
	p = int64(m)
	t = load64(q, at+3) ^ zeros
	n = bits.TrailingZeros64(nonDigits(t)) >> 3
	at += 3 + n
	m = eight(t << (64 - 8*uint(n)))
	good = n - 1
	if c := load8(q, at); c == '.' {
		f := load64(q, at+1) ^ zeros
		if x := nonDigits(f); x == 0 {
			m, se, at = m*1e8+eight(f), -8, at+9
		} else {
			k := bits.TrailingZeros64(x) >> 3
			m, se, at = m*tens[k&15]+eight(f<<(64-8*uint(k))), int8(-k), at+1+k
			good |= k - 1
		}
	}
	if good < 0 || load8(q, at) != '"' {
		return pairSlow(b, i)
	}
	return p, int64(m), pe, se, i + at + 1
}

func load8(p unsafe.Pointer, at int) byte    { return *(*byte)(unsafe.Add(p, at)) }
func load16(p unsafe.Pointer, at int) uint16 { return *(*uint16)(unsafe.Add(p, at)) }
func load32(p unsafe.Pointer, at int) uint32 { return *(*uint32)(unsafe.Add(p, at)) }
func load64(p unsafe.Pointer, at int) uint64 { return *(*uint64)(unsafe.Add(p, at)) }

// pairSlow is Pair for any spacing and any number.
func pairSlow(b []byte, i int) (p, s int64, pe, se int8, next int) {
	if uint(i) >= uint(len(b)) || b[i] != '[' {
		return 0, 0, 0, 0, Bad
	}
	if p, pe, i = Number(b, Space(b, i+1)); i < 0 {
		return 0, 0, 0, 0, i
	}
	i, more := Next(b, i, '[')
	if !more {
		return 0, 0, 0, 0, Bad
	}
	s, se, i = Number(b, i)
	return p, s, pe, se, i
}
