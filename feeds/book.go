package feeds

import (
	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// Book is the price-level book that an engine keeps for one instrument: levels
// at the instrument's exponents, and per level the decimals that the wire had,
// from which a checksum's text is made again.
type Book struct {
	book.Book
}

// AppendPrice appends the price of l, a level of b, with the digits of the
// wire, trailing zeros included.
func (b *Book) AppendPrice(dst []byte, l *book.Level) []byte {
	return appendWire(dst, l.Price, b.PriceExp, l.PriceDP)
}

// AppendSize is AppendPrice for the size.
func (b *Book) AppendSize(dst []byte, l *book.Level) []byte {
	return appendWire(dst, l.Size, b.SizeExp, l.SizeDP)
}

// appendWire writes mant × 10^exp with places decimals. The venue's own number
// had no more than that, so the change of exponent is exact.
func appendWire(dst []byte, mant int64, exp, places int8) []byte {
	if m, ok := md.Rescale(mant, exp, -places); ok {
		return md.AppendFixed(dst, m, -places)
	}
	return md.AppendDecimal(dst, mant, exp)
}
