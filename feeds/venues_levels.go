package feeds

import (
	"encoding/binary"

	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// unsupported is the index that decoders of this package return, beside those
// of jsonscan, for a dialect that the venue's document does not list.
const unsupported = -3

// scanErr turns an index below zero into Decode's error.
func scanErr(i int) error {
	if i == unsupported {
		return ErrUnsupported
	}
	if err := jsonscan.Err(i); err != nil {
		return err
	}
	return jsonscan.ErrSyntax
}

// add appends r to the records.
func (d *Decoded) add(r md.Record) { d.Recs = append(d.Recs, r) }

// slot appends an empty record of a kind and returns it: records that are
// filled in place are not copied.
func (d *Decoded) slot(kind md.Kind) *md.Record {
	n := len(d.Recs)
	if n == cap(d.Recs) {
		d.Recs = append(d.Recs, md.Record{})
	}
	d.Recs = d.Recs[:n+1]
	r := &d.Recs[n]
	*r = md.Record{}
	r.Kind = kind
	return r
}

// event appends an event that owns the records from index from on.
func (d *Decoded) event(ch md.Channel, native, class []byte, from int) *Event {
	n := len(d.Events)
	if n == cap(d.Events) {
		d.Events = append(d.Events, Event{})
	}
	d.Events = d.Events[:n+1]
	ev := &d.Events[n]
	*ev = Event{}
	ev.Channel, ev.Native, ev.Class, ev.From, ev.To = ch, native, class, from, len(d.Recs)
	return ev
}

// stamp sets time and update id of the records from index from on, for frames
// that tell them behind the levels.
func (d *Decoded) stamp(from int, ts int64, id uint64) {
	recs := d.Recs[from:]
	for i := range recs {
		recs[i].TsEvent, recs[i].ID = ts, id
	}
}

// levels reads one side of a book, an array of arrays that begin with price
// and size; with orders the fourth element is the number of orders. Further
// elements are stepped over.
func (d *Decoded) levels(b []byte, i int, side uint8, orders bool) int {
	i, more := jsonscan.Open(b, i, '[')
	recs := d.Recs
	for more {
		p, s, pe, se, n := jsonscan.Pair(b, i)
		if n < 0 {
			return n
		}
		if s < 0 {
			return jsonscan.Bad
		}
		var count uint32
		if uint(n) < uint(len(b)) && b[n] == ']' {
			n++
		} else if count, n = levelRest(b, n, orders); n < 0 {
			return n
		}
		k := len(recs)
		if k < cap(recs) {
			recs = recs[:k+1]
		} else {
			recs = append(recs, md.Record{})
		}
		// Field by field: a composite literal would be built on the stack and
		// copied, which costs as much as the rest of the loop.
		r := &recs[k]
		r.Kind, r.Flags, r.Venue, r.Instrument = md.KindBook, 0, 0, 0
		r.Seq, r.TsEvent, r.TsRecv, r.Price = 0, 0, 0, p
		r.Size, r.ID = s, 0
		r.Side, r.Level, r.PriceExp, r.SizeExp, r.Count = side, 0, pe, se, count
		if uint(n)+1 < uint(len(b)) && b[n] == ',' && b[n+1] == '[' {
			i = n + 1
			continue
		}
		i, more = jsonscan.Next(b, n, '[')
	}
	d.Recs = recs
	return i
}

// levelRest reads what follows price and size in a level.
func levelRest(b []byte, i int, orders bool) (count uint32, next int) {
	// OKX: ,"0","12"] with the first of the two out of use.
	if orders && i+6 < len(b) && string(b[i:i+5]) == `,"0",` {
		v, n := jsonscan.Uint(b, i+5)
		if n >= 0 && v <= 1<<32-1 && n < len(b) && b[n] == ']' {
			return uint32(v), n + 1
		}
	}
	i, more := jsonscan.Next(b, i, '[')
	for at := 2; more; at++ {
		if orders && at == 3 {
			v, n := jsonscan.Uint(b, i)
			if n < 0 || v > 1<<32-1 {
				return 0, jsonscan.Bad
			}
			count, i = uint32(v), n
		} else if i = jsonscan.Skip(b, i); i < 0 {
			return 0, jsonscan.Bad
		}
		i, more = jsonscan.Next(b, i, '[')
	}
	return count, i
}

// quotes appends an empty bbo record of each side, to be filled in place.
func (d *Decoded) quotes() (bid, ask *md.Record) {
	n := len(d.Recs)
	if n+2 > cap(d.Recs) {
		d.Recs = append(d.Recs, md.Record{}, md.Record{})
	}
	d.Recs = d.Recs[:n+2]
	bid, ask = &d.Recs[n], &d.Recs[n+1]
	*bid, *ask = md.Record{}, md.Record{}
	bid.Kind, bid.Side = md.KindBBO, md.SideBid
	ask.Kind, ask.Side = md.KindBBO, md.SideAsk
	return bid, ask
}

// top reads the best level of a side, given as an array of levels, into a bbo
// record; an empty array is an empty side.
func top(b []byte, i int, r *md.Record, orders bool) int {
	i, more := jsonscan.Open(b, i, '[')
	if !more {
		r.Price, r.Size, r.Count = md.Absent, 0, 0
		return i
	}
	r.Count = 0
	if r.Price, r.Size, r.PriceExp, r.SizeExp, i = jsonscan.Pair(b, i); i < 0 {
		return i
	}
	if uint(i) < uint(len(b)) && b[i] == ']' {
		i++
	} else if r.Count, i = levelRest(b, i, orders); i < 0 {
		return i
	}
	if r.Size < 0 {
		return jsonscan.Bad
	}
	if uint(i) < uint(len(b)) && b[i] == ']' {
		return i + 1
	}
	for i, more = jsonscan.Next(b, i, '['); more; i, more = jsonscan.Next(b, i, '[') {
		if i = jsonscan.Skip(b, i); i < 0 {
			return i
		}
	}
	return i
}

// stat reads the value at i into a ticker record unless the venue has none. A
// number that no int64 holds (Bitget's index prices have up to 21 digits) costs
// this statistic alone and is counted.
func (d *Decoded) stat(b []byte, i int, stat uint8) int {
	v, e, n := jsonscan.Number(b, i)
	if n < 0 {
		if n == jsonscan.Range {
			d.Refused++
		} else if !jsonscan.IsNull(b, i) {
			return n
		}
		return jsonscan.Skip(b, i)
	}
	r := d.slot(md.KindTicker)
	r.Level = stat
	if stat == md.StatVolume || stat == md.StatTurnover {
		r.Price, r.Size, r.SizeExp = md.Absent, v, e
		if v < 0 {
			return jsonscan.Bad
		}
	} else {
		r.Price, r.PriceExp, r.Size = v, e, md.Absent
	}
	return n
}

// number reads the decimal at i; ok is false where the venue has none.
func number(b []byte, i int) (v int64, e int8, ok bool, next int) {
	if jsonscan.IsNull(b, i) {
		return 0, 0, false, jsonscan.Skip(b, i)
	}
	v, e, i = jsonscan.Number(b, i)
	return v, e, true, i
}

// instant reads the time at i, 0 where the venue has none.
func instant(b []byte, i int) (ns int64, next int) {
	if jsonscan.IsNull(b, i) {
		return 0, jsonscan.Skip(b, i)
	}
	return jsonscan.Time(b, i)
}

// aggressor reads a side given as the string "buy" or "sell" in any case.
func aggressor(b []byte, i int) (side uint8, next int) {
	if i >= 0 && len(b)-i >= 8 {
		// The letters lowered, the quotes as they are.
		w := binary.LittleEndian.Uint64(b[i:])
		if (w|0x20202000)&0xFFFFFFFFFF == '"'|'b'<<8|'u'<<16|'y'<<24|'"'<<32 {
			return md.SideBuy, i + 5
		}
		if (w|0x2020202000)&0xFFFFFFFFFFFF == '"'|'s'<<8|'e'<<16|'l'<<24|'l'<<32|'"'<<40 {
			return md.SideSell, i + 6
		}
	}
	t, i := jsonscan.Text(b, i)
	switch {
	case i < 0:
	case len(t) == 3 && t[0]|0x20 == 'b' && t[1]|0x20 == 'u' && t[2]|0x20 == 'y':
		return md.SideBuy, i
	case len(t) == 4 && t[0]|0x20 == 's' && t[1]|0x20 == 'e' && t[2]|0x20 == 'l' && t[3]|0x20 == 'l':
		return md.SideSell, i
	}
	return md.SideUnknown, i
}
