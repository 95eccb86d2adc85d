package feeds

import (
	"hash/crc32"
	"strconv"

	"tickrelay/ring/book"
)

// krakenTop is how many levels of each side Kraken sums up, whatever the depth.
const krakenTop = 10

// Checksum implements Venue: CRC-32 (IEEE) over the ten best asks, then the ten
// best bids, each price and size with the digits of the wire but neither point
// nor leading zeros (Doc, "Checksum"). That is the mantissa as it was sent.
func (Kraken) Checksum(b *Book) int64 {
	t := checksumTexts.Get().(*checksumText)
	dst := t.buf[:0]
	for _, side := range [...]*book.Side{&b.Asks, &b.Bids} {
		for i := range min(side.Len(), krakenTop) {
			l := side.At(i)
			dst = strconv.AppendUint(dst, wireMantissa(l.Price, b.PriceExp, l.PriceDP), 10)
			dst = strconv.AppendUint(dst, wireMantissa(l.Size, b.SizeExp, l.SizeDP), 10)
		}
	}
	sum := int64(crc32.ChecksumIEEE(dst))
	checksumTexts.Put(t)
	return sum
}

// wireMantissa is mant × 10^exp as an integer of units of 10^-dp, as it came.
func wireMantissa(mant int64, exp, dp int8) uint64 {
	u, d := uint64(max(mant, -mant)), int(dp)+int(exp)
	if d < 0 {
		return u / powersOf10[min(-d, 19)]
	}
	return u * powersOf10[min(d, 19)]
}

// checksummed is the sequence rule of books that have no numbers: a snapshot
// begins them, and the checksum, or nothing, judges the rest.
func checksummed(b *BookState, ev *Event) Verdict {
	if ev.Action != ActionReplace && b.Empty { // in flight from before a resubscription
		return VerdictIgnore
	}
	return VerdictApply
}
