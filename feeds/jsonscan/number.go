package jsonscan

import (
	"math"
	"math/bits"
	"unsafe"
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

// Number reads the decimal at i, a JSON number or a string that holds nothing
// else, as mant × 10^exp. Without e-notation exp is minus the number of
// decimals in the text; digits that no int64 holds are Range, unless zeros at
// the end are all that is too much, which then are left out.
func Number(b []byte, i int) (mant int64, exp int8, next int) {
	if i < 0 || len(b)-i < 1+8+1 || b[i] != '"' {
		return bare(b, i)
	}
	room := len(b) - i // no load below is at an index of room or beyond
	q := unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i)
	t := load64(q, 1) ^ zeros
	x := nonDigits(t)
	n := bits.TrailingZeros64(x) >> 3
	at := 1 + n
	if c := load8(q, at); c == '.' {
		if x &= x - 1; x != 0 && n != 0 {
			// The whole text is in the word: close the gap of the point.
			k := bits.TrailingZeros64(x) >> 3
			whole := uint64(1)<<((8*n)&63) - 1
			t = t&whole | t>>8&^whole
			if load8(q, 1+k) == '"' && k > n+1 {
				return int64(eight(t << ((72 - 8*k) & 63))), int8(n + 1 - k), i + k + 2
			}
			return numberSlow(b, i)
		}
	} else if c == '"' && n != 0 {
		return int64(eight(t << ((64 - 8*n) & 63))), 0, i + at + 1
	}
	if n == 0 {
		return words(b, i)
	}
	m := eight(t << ((64 - 8*n) & 63))
	if n == 8 {
		if m, n = further(q, at, room, m); n > 7 {
			return numberSlow(b, i)
		}
		at += n
	}
	if load8(q, at) == '.' {
		if room < at+1+8+1 {
			return numberSlow(b, i)
		}
		t = load64(q, at+1) ^ zeros
		n = bits.TrailingZeros64(nonDigits(t)) >> 3
		if n == 0 || at+n > 19 { // eighteen digits fit whatever they are
			return numberSlow(b, i)
		}
		m = m*tens[n&15] + eight(t<<((64-8*n)&63))
		exp, at = int8(-n), at+1+n
	}
	if load8(q, at) != '"' {
		return words(b, i)
	}
	return int64(m), exp, i + at + 1
}

// numberSlow is Number for any text.
func numberSlow(b []byte, i int) (mant int64, exp int8, next int) {
	if uint(i) >= uint(len(b)) {
		return 0, 0, Bad
	}
	if b[i] != '"' {
		return number(b, i, true)
	}
	mant, exp, next = number(b, i+1, false)
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

// uintRoom is how many bytes the fast path of Uint may look at: quotes and
// three words.
const uintRoom = 1 + 24 + 1

// Uint reads the integer at i, bare or as a string.
func Uint(b []byte, i int) (v uint64, next int) {
	if i < 0 || len(b)-i < uintRoom {
		return uintSlow(b, i)
	}
	// Each load lies within uintRoom bytes of i.
	q := unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i)
	at := 0
	first := load8(q, 0)
	quoted := first == '"'
	if quoted {
		at, first = 1, load8(q, 1)
	}
	t := load64(q, at) ^ zeros
	n := bits.TrailingZeros64(nonDigits(t)) >> 3
	if n == 0 || first == '0' && n != 1 {
		return uintSlow(b, i)
	}
	v = eight(t << ((64 - 8*n) & 63))
	at += n
	if n == 8 {
		t = load64(q, at) ^ zeros
		n = bits.TrailingZeros64(nonDigits(t)) >> 3
		v = v*tens[n&15] + eight(t<<uint(64-8*n))
		at += n
		if n == 8 {
			t = load64(q, at) ^ zeros
			if n = bits.TrailingZeros64(nonDigits(t)) >> 3; n > 3 {
				return uintSlow(b, i)
			}
			v = v*tens[n&15] + eight(t<<uint(64-8*n))
			at += n
		}
	}
	if quoted {
		if load8(q, at) != '"' {
			return uintSlow(b, i)
		}
		at++
	}
	return v, i + at
}

// uintSlow is Uint for any length.
func uintSlow(b []byte, i int) (v uint64, next int) {
	if uint(i) >= uint(len(b)) {
		return 0, Bad
	}
	quoted := b[i] == '"'
	if quoted {
		i++
	}
	start := i
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
	if i < 0 || len(b)-i < timeRoom {
		return timeSlow(b, i) // no load below is beyond these, but for the quote's
	}
	q := unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i)
	at := 0
	quoted := load8(q, 0) == '"'
	if quoted {
		if at = 1; len(b)-i == timeRoom {
			return timeSlow(b, i)
		}
	}
	// Thirteen digits, which milliseconds have from 2001 to 2286: those from 0
	// to 7 and from 5 to 12.
	x, y := load64(q, at)^zeros, load64(q, at+5)^zeros
	behind := load8(q, at+13)
	if nonDigits(x)|nonDigits(y) != 0 || quoted != (behind == '"') || behind-'0' <= 9 || x&0xFF == 0 {
		return timeSlow(b, i)
	}
	ms := eight(x)*1e5 + eight(y&^0xFFFFFF)
	if ms > maxMillis {
		return timeSlow(b, i)
	}
	if quoted {
		at++
	}
	return int64(ms) * 1e6, i + at + 13
}

// timeRoom is how many bytes the fast path of Time looks at, without a quote
// before the digits: thirteen of them and what follows.
const timeRoom = 13 + 1

// timeSlow is Time for any number of digits.
func timeSlow(b []byte, i int) (ns int64, next int) {
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

// Millis is Time for milliseconds that may have decimals; those finer than a
// nanosecond are cut off.
func Millis(b []byte, i int) (ns int64, next int) {
	const room = 1 + 13 + 1 + 8 + 1
	if i < 0 || len(b)-i < room {
		return millisSlow(b, i)
	}
	q := unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i)
	at := 0
	quoted := load8(q, 0) == '"'
	if quoted {
		at = 1
	}
	x, y := load64(q, at)^zeros, load64(q, at+5)^zeros
	if load8(q, at+13) != '.' || nonDigits(x)|nonDigits(y) != 0 || x&0xFF == 0 {
		return millisSlow(b, i)
	}
	f := load64(q, at+14) ^ zeros
	n := bits.TrailingZeros64(nonDigits(f)) >> 3
	at += 14 + n
	ms := eight(x)*1e5 + eight(y&^0xFFFFFF)
	if n == 0 || n > 6 || ms > maxMillis || quoted && load8(q, at) != '"' || !quoted && load8(q, at) != ',' {
		return millisSlow(b, i)
	}
	if quoted {
		at++
	}
	return int64(ms*1e6 + eight(f<<((64-8*n)&63))*tens[(6-n)&15]), i + at
}

// millisSlow is Millis for any number of digits.
func millisSlow(b []byte, i int) (ns int64, next int) {
	if ns, next = Time(b, i); next >= 0 && (next >= len(b) || b[next] != '.') {
		return ns, next
	}
	m, e, next := Number(b, i)
	if next < 0 {
		return 0, next
	}
	for e < -6 {
		m, e = m/10, e+1
	}
	for ; e > -6 && m <= math.MaxInt64/10; e-- {
		m *= 10
	}
	if m < 0 || m != 0 && e != -6 {
		return 0, Range
	}
	return m, next
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
