package feeds

import (
	"hash/crc32"
	"strconv"

	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// bitfinexLevels reads [price, count, amount], or an array of them, which is the
// whole book. A count of 0 deletes.
func (d *Decoded) bitfinexLevels(b []byte, i int) (whole bool, next int) {
	in, more := jsonscan.Open(b, i, '[')
	if !more {
		return true, in
	}
	if in >= len(b) || b[in] != '[' {
		return false, d.bitfinexLevel(b, i)
	}
	for i = in; more; {
		if i = d.bitfinexLevel(b, i); i < 0 {
			return true, i
		}
		i, more = bitfinexNext(b, i)
	}
	return true, i
}

func (d *Decoded) bitfinexLevel(b []byte, i int) int {
	i, more := jsonscan.Open(b, i, '[')
	if !more {
		return jsonscan.Bad
	}
	r := d.slot(md.KindBook)
	if r.Price, r.PriceExp, i = jsonscan.Number(b, i); i < 0 {
		return i
	}
	if i, more = bitfinexNext(b, i); !more {
		return jsonscan.Bad
	}
	count, i := jsonscan.Uint(b, i)
	if i < 0 || count > 1<<32-1 {
		return jsonscan.Bad
	}
	if i, more = bitfinexNext(b, i); !more {
		return jsonscan.Bad
	}
	var ask bool
	if r.Size, r.SizeExp, ask, i = bitfinexAmount(b, i); i < 0 {
		return i
	}
	r.Side, r.Count = md.SideBid, uint32(count)
	if ask {
		r.Side = md.SideAsk
	}
	if count == 0 {
		r.Size, r.SizeExp = 0, 0
	}
	return bitfinexRest(b, i)
}

// bitfinexTrade reads [id, ms, amount, price]; a negative amount was sold.
func (d *Decoded) bitfinexTrade(b []byte, i int) int {
	i, more := jsonscan.Open(b, i, '[')
	if !more {
		return jsonscan.Bad
	}
	r := d.slot(md.KindTrade)
	r.Count = 1
	if r.ID, i = jsonscan.Uint(b, i); i < 0 {
		return i
	}
	if i, more = bitfinexNext(b, i); !more {
		return jsonscan.Bad
	}
	if r.TsEvent, i = jsonscan.Time(b, i); i < 0 {
		return i
	}
	if i, more = bitfinexNext(b, i); !more {
		return jsonscan.Bad
	}
	var sold bool
	if r.Size, r.SizeExp, sold, i = bitfinexAmount(b, i); i < 0 {
		return i
	}
	r.Side = md.SideBuy
	if sold {
		r.Side = md.SideSell
	}
	if i, more = bitfinexNext(b, i); !more {
		return jsonscan.Bad
	}
	if r.Price, r.PriceExp, i = jsonscan.Number(b, i); i < 0 {
		return i
	}
	return bitfinexRest(b, i)
}

// bitfinexTicker reads [bid, bid size, ask, ask size, change, relative change,
// last, volume, high, low].
func (d *Decoded) bitfinexTicker(b []byte, i int) int {
	i, more := jsonscan.Open(b, i, '[')
	at := 0
	for ; more; at++ {
		switch at {
		case 6:
			i = d.stat(b, i, md.StatLast)
		case 7:
			i = d.stat(b, i, md.StatVolume)
		case 8:
			i = d.stat(b, i, md.StatHigh)
		case 9:
			i = d.stat(b, i, md.StatLow)
		default:
			i = jsonscan.Skip(b, i)
		}
		if i < 0 {
			return i
		}
		i, more = bitfinexNext(b, i)
	}
	if i >= 0 && at < 10 {
		return jsonscan.Bad
	}
	return i
}

// bitfinexInterval is the time between fundings, in seconds.
const bitfinexInterval = 8 * 3600

// bitfinexDeriv reads a perpetual's status and what ends the frame. Elements are
// 0 time, 3 spot price, 7 time of the next funding, 8 what has accrued for it, 11
// the rate of the present period, 14 mark price, 17 open interest.
func (d *Decoded) bitfinexDeriv(b []byte, i int, native []byte) int {
	from := len(d.Recs)
	now, next := md.Record{Kind: md.KindFunding, Level: md.FundingCurrent}, md.Record{Kind: md.KindFunding, Level: md.FundingPredicted}
	interest := md.Record{Kind: md.KindOpenInterest, Price: md.Absent}
	var hasNow, hasNext, hasInterest bool
	var ts, at int64
	i, more := jsonscan.Open(b, i, '[')
	for k := 0; more; k++ {
		switch k {
		case 0:
			ts, i = instant(b, i)
		case 3:
			i = d.stat(b, i, md.StatIndex)
		case 7:
			at, i = instant(b, i)
		case 8:
			next.Price, next.PriceExp, hasNext, i = number(b, i)
		case 11:
			now.Price, now.PriceExp, hasNow, i = number(b, i)
		case 14:
			i = d.stat(b, i, md.StatMark)
		case 17:
			interest.Size, interest.SizeExp, hasInterest, i = number(b, i)
		default:
			i = jsonscan.Skip(b, i)
		}
		if i < 0 {
			return i
		}
		i, more = bitfinexNext(b, i)
	}
	if i < 0 || interest.Size < 0 {
		return jsonscan.Bad
	}
	d.stamp(from, ts, 0)
	if len(d.Recs) > from {
		d.event(md.ChannelTicker, native, nil, from)
	}
	from = len(d.Recs)
	for _, f := range [...]struct {
		r   *md.Record
		has bool
	}{{&now, hasNow}, {&next, hasNext}} {
		if f.has {
			f.r.TsEvent, f.r.ID, f.r.Count = ts, uint64(at), bitfinexInterval
			d.add(*f.r)
		}
	}
	if len(d.Recs) > from {
		d.event(md.ChannelFunding, native, nil, from)
	}
	if hasInterest {
		interest.TsEvent = ts
		d.add(interest)
		d.event(md.ChannelOpenInterest, native, nil, len(d.Recs)-1)
	}
	return bitfinexTail(b, i, d, nil)
}

// bitfinexForced reads liquidations: arrays of "pos", 1 position, 2 ms, 4 symbol,
// 5 amount, 6 base price, 8 whether it was executed, 11 price of execution. Those
// executed are told; the sign of the amount is the position's.
func (d *Decoded) bitfinexForced(b []byte, i int) int {
	i, more := jsonscan.Open(b, i, '[')
	for more {
		var native []byte
		r := md.Record{Kind: md.KindLiquidation}
		var done uint64
		var short, priced bool
		var in bool
		i, in = jsonscan.Open(b, i, '[')
		for k := 0; in; k++ {
			switch k {
			case 1:
				r.ID, i = jsonscan.Uint(b, i)
			case 2:
				r.TsEvent, i = jsonscan.Time(b, i)
			case 4:
				native, i = jsonscan.Text(b, i)
			case 5:
				r.Size, r.SizeExp, short, i = bitfinexAmount(b, i)
			case 8:
				done, i = jsonscan.Uint(b, i)
			case 11:
				r.Price, r.PriceExp, priced, i = number(b, i)
			default:
				i = jsonscan.Skip(b, i)
			}
			if i < 0 {
				return i
			}
			i, in = bitfinexNext(b, i)
		}
		if i < 0 {
			return i
		}
		if r.Side = md.SideSell; short {
			r.Side = md.SideBuy
		}
		if done == 1 && priced && len(native) > 1 {
			d.add(r)
			d.event(md.ChannelLiquidations, native, nil, len(d.Recs)-1)
		}
		i, more = bitfinexNext(b, i)
	}
	return i
}

// Checksum implements Venue: CRC-32 (IEEE) as a signed number over the 25 best
// levels, bid and ask in turn, each as price:amount, the amounts of asks negative,
// numbers as JavaScript writes them (page "WebSocket Checksum").
func (Bitfinex) Checksum(b *Book) int64 {
	t := checksumTexts.Get().(*checksumText)
	dst := t.buf[:0]
	for k := range checksumDepth {
		for n, s := range [...]*book.Side{&b.Bids, &b.Asks} {
			if k >= s.Len() {
				continue
			}
			l := s.At(k)
			dst = append(appendScript(dst, l.Price, b.PriceExp), ':')
			if n == 1 {
				dst = append(dst, '-')
			}
			dst = append(appendScript(dst, l.Size, b.SizeExp), ':')
		}
	}
	if len(dst) > 0 {
		dst = dst[:len(dst)-1]
	}
	sum := int64(int32(crc32.ChecksumIEEE(dst)))
	checksumTexts.Put(t)
	return sum
}

// appendScript appends mant × 10^exp as JavaScript does (ECMA-262,
// Number::toString): without zeros at its end, and below 10^-6 with an exponent.
func appendScript(dst []byte, mant int64, exp int8) []byte {
	if mant == 0 {
		return append(dst, '0')
	}
	if mant < 0 {
		dst, mant = append(dst, '-'), -mant
	}
	for mant%10 == 0 {
		mant, exp = mant/10, exp+1
	}
	var tmp [20]byte
	text := strconv.AppendInt(tmp[:0], mant, 10)
	point := len(text) + int(exp) // digits before the point
	switch {
	case exp >= 0 && point <= 21:
		dst = append(dst, text...)
		for range exp {
			dst = append(dst, '0')
		}
	case point > 0 && point <= 21:
		dst = append(append(append(dst, text[:point]...), '.'), text[point:]...)
	case point > -6 && point <= 0:
		dst = append(dst, '0', '.')
		for range -point {
			dst = append(dst, '0')
		}
		dst = append(dst, text...)
	default:
		dst = append(dst, text[0])
		if len(text) > 1 {
			dst = append(append(dst, '.'), text[1:]...)
		}
		dst = append(dst, 'e')
		if point > 0 {
			dst = append(dst, '+')
		}
		dst = strconv.AppendInt(dst, int64(point-1), 10)
	}
	return dst
}
