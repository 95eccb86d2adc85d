package jsonscan

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"unsafe"
)

// Results below zero of every function that returns an index.
const (
	Bad   = -1 // not well-formed, or not of the kind that was asked for
	Range = -2 // well-formed, but the number does not fit
)

// MaxDepth bounds the nesting that Skip follows. No market data frame nests
// deeper than six.
const MaxDepth = 64

// Errors that Err returns.
var (
	ErrSyntax = errors.New("malformed frame")
	ErrRange  = errors.New("number out of range")
)

// Err translates an index below zero; it is nil for any other.
func Err(i int) error {
	switch {
	case i >= 0:
		return nil
	case i == Range:
		return ErrRange
	}
	return ErrSyntax
}

// Space returns the index of the first byte at or after i that is not JSON
// white space, at most len(b).
func Space(b []byte, i int) int {
	if uint(i) < uint(len(b)) && b[i] > ' ' {
		return i
	}
	return space(b, i)
}

func space(b []byte, i int) int {
	for uint(i) < uint(len(b)) {
		switch b[i] {
		case ' ', '\t', '\n', '\r':
			i++
		default:
			return i
		}
	}
	return i
}

// Open steps into the object or array (open is '{' or '[') at i: more tells
// whether it has a first member, which then starts at next; else next is
// behind the closing byte.
func Open(b []byte, i int, open byte) (next int, more bool) {
	if uint(i) >= uint(len(b)) || b[i] != open {
		return Bad, false
	}
	i = Space(b, i+1)
	if uint(i) >= uint(len(b)) {
		return Bad, false
	}
	if b[i] == open+2 { // '{'+2 is '}', '['+2 is ']'
		return i + 1, false
	}
	return i, true
}

// Next steps over what follows a member of the object or array that open
// began: behind a comma more is true and next is the following member's first
// byte, behind the closing byte more is false.
func Next(b []byte, i int, open byte) (next int, more bool) {
	if uint(i) >= uint(len(b)) {
		return Bad, false
	}
	c := b[i]
	if c <= ' ' {
		if i = space(b, i); i >= len(b) {
			return Bad, false
		}
		c = b[i]
	}
	if c == ',' {
		return Space(b, i+1), true
	}
	if c == open+2 {
		return i + 1, false
	}
	return Bad, false
}

// End reports whether only white space is left from i on.
func End(b []byte, i int) bool { return i >= 0 && Space(b, i) == len(b) }

// Key reads the member name and the colon at i and returns the name's raw text
// and the index of the member's value.
func Key(b []byte, i int) (key []byte, next int) {
	// Fast path: a name of at most sixteen plain bytes, no white space.
	if i >= 0 && len(b)-i >= 1+16+3+1 && b[i] == '"' {
		q := unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i)
		n := 0
		m := special(load64(q, 1))
		if m == 0 {
			n, m = 8, special(load64(q, 9))
		}
		if m != 0 {
			n += bits.TrailingZeros64(m) >> 3
			if load16(q, 1+n) == '"'|':'<<8 && load8(q, 3+n) > ' ' {
				return b[i+1 : i+1+n], i + 3 + n
			}
		}
	}
	return keySlow(b, i)
}

func keySlow(b []byte, i int) (key []byte, next int) {
	key, i = Text(b, i)
	if uint(i) >= uint(len(b)) {
		return nil, Bad
	}
	if b[i] != ':' {
		if i = space(b, i); i >= len(b) || b[i] != ':' {
			return nil, Bad
		}
	}
	return key, Space(b, i+1)
}

// Literal steps over text at i, which is Bad if something else is there.
func Literal(b []byte, i int, text string) int {
	if i < 0 || len(b)-i < len(text) || string(b[i:i+len(text)]) != text {
		return Bad
	}
	return i + len(text)
}

const (
	lows  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special sets a byte's high bit where w has a quote, a backslash, a control
// character or, harmlessly for who looks at the first one, a byte behind one of
// these or beyond ASCII.
func special(w uint64) uint64 {
	return (((w ^ lows*'"') - lows) | ((w ^ lows*'\\') - lows) | (w - lows*0x20)) & highs
}

// Text reads the string at i and returns its raw text, escapes not resolved.
func Text(b []byte, i int) (text []byte, next int) {
	if uint(i) >= uint(len(b)) || b[i] != '"' {
		return nil, Bad
	}
	i++
	for j := i; ; j += 8 {
		if j+8 > len(b) {
			return textSlow(b, i, j)
		}
		w := binary.LittleEndian.Uint64(b[j : j+8])
		m := special(w)
		if m == 0 {
			continue
		}
		j += bits.TrailingZeros64(m) >> 3
		if uint(j) < uint(len(b)) && b[j] == '"' {
			return b[i:j], j + 1
		}
		return textSlow(b, i, j)
	}
}

// textSlow finishes Text byte by byte from j, in a string that began at i.
func textSlow(b []byte, i, j int) (text []byte, next int) {
	for ; uint(j) < uint(len(b)); j++ {
		switch c := b[j]; {
		case c == '"':
			return b[i:j], j + 1
		case c < 0x20:
			return nil, Bad
		case c == '\\':
			if j++; uint(j) >= uint(len(b)) {
				return nil, Bad
			}
			switch b[j] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				if j+4 >= len(b) || !hex(b[j+1]) || !hex(b[j+2]) || !hex(b[j+3]) || !hex(b[j+4]) {
					return nil, Bad
				}
				j += 4
			default:
				return nil, Bad
			}
		}
	}
	return nil, Bad
}

func hex(c byte) bool {
	return c-'0' <= 9 || c|0x20 >= 'a' && c|0x20 <= 'f'
}

// IsNull reports whether the value at i is null or the empty string, which is
// how venues say that they have no value.
func IsNull(b []byte, i int) bool {
	if uint(i) >= uint(len(b)) {
		return false
	}
	switch b[i] {
	case 'n':
		return len(b)-i >= 4 && string(b[i:i+4]) == "null"
	case '"':
		return len(b)-i >= 2 && b[i+1] == '"'
	}
	return false
}

// Bool reads the true or false at i.
func Bool(b []byte, i int) (v bool, next int) {
	if uint(i) < uint(len(b)) && b[i] == 't' {
		return true, Literal(b, i, "true")
	}
	if uint(i) < uint(len(b)) {
		return false, Literal(b, i, "false")
	}
	return false, Bad
}

// Skip steps over the value at i, checking that it is well-formed.
func Skip(b []byte, i int) int {
	if uint(i) >= uint(len(b)) {
		return Bad
	}
	switch c := b[i]; {
	case c == '"':
		return skipText(b, i)
	case c == '-' || c-'0' <= 9:
		return skipNumber(b, i)
	case c == '{' || c == '[':
		return skipNested(b, i)
	}
	return skipWord(b, i)
}

// skipText is Skip for a string. The end of one of up to fifteen bytes, which
// are of mixed length, is found without a branch that does not predict.
func skipText(b []byte, i int) int {
	if len(b)-i < 1+16 {
		_, i = Text(b, i)
		return i
	}
	q := unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i)
	m, at := special(load64(q, 1)), 1
	if w := special(load64(q, 9)); m == 0 {
		m, at = w, 9
	}
	for ; m == 0; m = special(load64(q, at)) {
		if at += 8; len(b)-i < at+8 {
			_, i = textSlow(b, i+1, i+at)
			return i
		}
	}
	if at += bits.TrailingZeros64(m) >> 3; load8(q, at) == '"' {
		return i + at + 1
	}
	_, i = textSlow(b, i+1, i+at)
	return i
}

// skipWord is Skip for true, false and null.
func skipWord(b []byte, i int) int {
	switch b[i] {
	case 't':
		return Literal(b, i, "true")
	case 'f':
		return Literal(b, i, "false")
	case 'n':
		return Literal(b, i, "null")
	}
	return Bad
}

// digits steps over the digits at i.
func digits(b []byte, i int) int {
	for len(b)-i >= 8 {
		n := bits.TrailingZeros64(nonDigits(binary.LittleEndian.Uint64(b[i:])^zeros)) >> 3
		if i += n; n < 8 {
			return i
		}
	}
	for uint(i) < uint(len(b)) && b[i]-'0' <= 9 {
		i++
	}
	return i
}

func skipNumber(b []byte, i int) int {
	if b[i] == '-' {
		i++
	}
	n := digits(b, i)
	if n == i || n > i+1 && b[i] == '0' {
		return Bad
	}
	if i = n; i < len(b) && b[i] == '.' {
		if n = digits(b, i+1); n == i+1 {
			return Bad
		}
		i = n
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if n = digits(b, i); n == i {
			return Bad
		}
		i = n
	}
	return i
}

// skipNested steps over an object or array without recursion; the low bit of
// stack says whether the innermost open one is an object.
func skipNested(b []byte, i int) int {
	var stack uint64
	for depth := 0; ; {
		if uint(i) >= uint(len(b)) {
			return Bad
		}
		more := false
		switch c := b[i]; {
		case c == '"':
			i = skipText(b, i)
		case c == '-' || c-'0' <= 9:
			i = skipNumber(b, i)
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				return Bad
			}
			stack <<= 1
			if c == '{' {
				stack |= 1
			}
			if i, more = Open(b, i, c); i < 0 {
				return Bad
			}
			if !more {
				stack >>= 1
				depth--
			}
		default:
			i = skipWord(b, i)
		}
		if i < 0 {
			return Bad
		}
		for !more {
			if depth == 0 {
				return i
			}
			if i, more = Next(b, i, '['|byte(stack&1)<<5); i < 0 {
				return Bad
			}
			if !more {
				stack >>= 1
				depth--
			}
		}
		if stack&1 == 1 {
			if _, i = Key(b, i); i < 0 {
				return Bad
			}
		}
	}
}

// Find returns the text from the value of the member called name on, in the
// object at i, or nil if it has none or is malformed before it.
func Find(b []byte, i int, name string) []byte {
	i, more := Open(b, i, '{')
	for more {
		key, at := Key(b, i)
		if at < 0 || at >= len(b) {
			return nil
		}
		if string(key) == name {
			return b[at:]
		}
		if i = Skip(b, at); i < 0 {
			return nil
		}
		i, more = Next(b, i, '{')
	}
	return nil
}
