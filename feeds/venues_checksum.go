package feeds

import (
	"hash/crc32"
	"sync"

	"tickrelay/ring/book"
)

// checksumDepth is how many levels of each side OKX and Bitget sum up.
const checksumDepth = 25

// checksumText is the buffer of one checksum: 100 numbers of at most 40 bytes.
// The CRC is called through a function variable, so a buffer on the stack would
// be moved to the heap each time.
type checksumText struct{ buf [4 * checksumDepth * 48]byte }

var checksumTexts = sync.Pool{New: func() any { return new(checksumText) }}

// interleavedChecksum is the checksum of OKX (until 2026) and Bitget: CRC-32
// (IEEE) as a signed number over "bidPrice:bidSize:askPrice:askSize:…" of the
// 25 best levels, each number with the digits of the wire; where one side has
// fewer levels the other goes on alone.
func interleavedChecksum(b *Book) int64 {
	t := checksumTexts.Get().(*checksumText)
	dst := t.buf[:0]
	bids, asks := min(b.Bids.Len(), checksumDepth), min(b.Asks.Len(), checksumDepth)
	for i := range max(bids, asks) {
		if i < bids {
			dst = appendLevel(dst, b, b.Bids.At(i))
		}
		if i < asks {
			dst = appendLevel(dst, b, b.Asks.At(i))
		}
	}
	if len(dst) > 0 {
		dst = dst[:len(dst)-1]
	}
	sum := int64(int32(crc32.ChecksumIEEE(dst)))
	checksumTexts.Put(t)
	return sum
}

func appendLevel(dst []byte, b *Book, l *book.Level) []byte {
	dst = append(appendWire(dst, l.Price, b.PriceExp, l.PriceDP), ':')
	return append(appendWire(dst, l.Size, b.SizeExp, l.SizeDP), ':')
}

// pairs holds the two digits of 0 to 99.
const pairs = "00010203040506070809101112131415161718192021222324252627282930313233343536373839" +
	"40414243444546474849505152535455565758596061626364656667686970717273747576777879" +
	"8081828384858687888990919293949596979899"

// appendWire appends mant × 10^exp with exactly dp decimals, as the venue wrote
// it. The value has no finer digits, since it came with dp of them.
func appendWire(dst []byte, mant int64, exp int8, dp int8) []byte {
	if mant < 0 {
		dst, mant = append(dst, '-'), -mant
	}
	u, d := uint64(mant), int(dp)+int(exp)
	if d < 0 {
		u /= powersOf10[min(-d, 19)]
	} else {
		u *= powersOf10[min(d, 19)]
	}
	var tmp [48]byte
	i := len(tmp)
	if dp != 0 {
		scale := powersOf10[min(max(dp, 0), 19)]
		whole := u / scale
		frac := u - whole*scale
		for n := int(dp); n > 1; n -= 2 {
			q := frac / 100
			r := (frac - q*100) * 2
			i -= 2
			tmp[i], tmp[i+1] = pairs[r], pairs[r+1]
			frac = q
		}
		if dp&1 != 0 {
			i--
			tmp[i] = '0' + byte(frac)
		}
		i--
		tmp[i] = '.'
		u = whole
	}
	for u >= 100 {
		q := u / 100
		r := (u - q*100) * 2
		i -= 2
		tmp[i], tmp[i+1] = pairs[r], pairs[r+1]
		u = q
	}
	i -= 2
	tmp[i], tmp[i+1] = pairs[u*2], pairs[u*2+1]
	if u < 10 {
		i++
	}
	return append(dst, tmp[i:]...)
}

var powersOf10 = [20]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9,
	1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19}
