package book

import (
	"bytes"
	"strconv"

	"tickrelay/ring/md"
)

// AppendMid appends the text of half of best bid plus best ask, exact for every
// book: one digit more than the prices have. Nothing if a side is empty.
func (b *Book) AppendMid(dst []byte) []byte {
	bid, ok1 := b.Bids.Best()
	ask, ok2 := b.Asks.Best()
	if !ok1 || !ok2 {
		return dst
	}
	return appendHalf(dst, bid.Price, ask.Price, b.PriceExp)
}

// appendHalf appends (x + y) / 2 × 10^exp; x + y may need 65 bits.
func appendHalf(dst []byte, x, y int64, exp int8) []byte {
	floor := x&y + (x^y)>>1 // of half the sum, without the carry
	if (x^y)&1 == 0 {
		return md.AppendDecimal(dst, floor, exp)
	}
	if floor < 0 { // its distance from zero is half more than that of floor + 1
		dst = append(dst, '-')
		floor = -(floor + 1)
	}
	var room [24]byte
	digits := append(strconv.AppendInt(room[:0], floor, 10), '5')
	digits = bytes.TrimLeft(digits, "0")
	e := int(exp) - 1
	switch point := len(digits) + e; {
	case e >= 0:
		return append(append(dst, digits...), bytes.Repeat([]byte{'0'}, e)...)
	case point > 0:
		dst = append(append(dst, digits[:point]...), '.')
		return append(dst, digits[point:]...)
	default:
		dst = append(append(dst, "0."...), bytes.Repeat([]byte{'0'}, -point)...)
		return append(dst, digits...)
	}
}
