package feeds

import (
	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

var deribitBookKeys = jsonscan.Names("timestamp", "type", "change_id", "prev_change_id", "instrument_name", "bids", "asks").
	Or("timestamp", "type", "change_id", "instrument_name", "prev_change_id", "bids", "asks")

// deribitBook decodes the data of book: a message without prev_change_id is a
// snapshot, even one from before type was sent.
func deribitBook(b []byte, i int, d *Decoded) int {
	from := len(d.Recs)
	var native, kind []byte
	var ts int64
	var id, prev uint64
	var got uint
	k, at := jsonscan.First(b, i, deribitBookKeys)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		switch k {
		case 0:
			ts, i = jsonscan.Time(b, at)
		case 1:
			kind, i = jsonscan.Text(b, at)
		case 2:
			id, i = jsonscan.Uint(b, at)
		case 3:
			prev, i = jsonscan.Uint(b, at)
		case 4:
			native, i = jsonscan.Text(b, at)
		case 5:
			i = d.deribitLevels(b, at, md.SideBid)
		case 6:
			i = d.deribitLevels(b, at, md.SideAsk)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
		if k >= 0 {
			if got>>uint(k)&1 != 0 {
				return jsonscan.Bad
			}
			got |= 1 << uint(k)
		}
		k, at = jsonscan.Member(b, i, deribitBookKeys, k)
	}
	const needed = 1 | 1<<2 | 1<<4 | 1<<5 | 1<<6
	if at < 0 || got&needed != needed || id > 1<<63-1 || prev > 1<<63-1 {
		return jsonscan.Bad
	}
	d.stamp(from, ts, id)
	ev := d.event(md.ChannelBook, native, nil, from)
	ev.SeqLast, ev.SeqPrev = int64(id), int64(prev)
	if string(kind) == "snapshot" || got>>3&1 == 0 {
		ev.Action, ev.SeqPrev = ActionReplace, 0
	}
	return at
}

// deribitLevels reads a side: ["new" | "change" | "delete", price, amount].
func (d *Decoded) deribitLevels(b []byte, i int, side uint8) int {
	i, more := jsonscan.Open(b, i, '[')
	for more {
		gone, n := deribitVerb(b, i)
		if n < 0 {
			return n
		}
		r := d.slot(md.KindBook)
		r.Side = side
		if r.Price, r.PriceExp, i = jsonscan.Number(b, n); i < 0 {
			return i
		}
		if uint(i)+1 < uint(len(b)) && b[i] == ',' && b[i+1] > ' ' {
			i++
		} else if i, more = jsonscan.Next(b, i, '['); !more {
			return jsonscan.Bad
		}
		if r.Size, r.SizeExp, i = jsonscan.Number(b, i); i < 0 {
			return i
		}
		if r.Size < 0 {
			return jsonscan.Bad
		}
		if gone {
			r.Size, r.SizeExp = 0, 0
		}
		if uint(i) < uint(len(b)) && b[i] == ']' {
			i++
		} else if i, more = jsonscan.Next(b, i, '['); more || i < 0 {
			return jsonscan.Bad
		}
		if uint(i)+1 < uint(len(b)) && b[i] == ',' && b[i+1] == '[' {
			i++
			continue
		}
		i, more = jsonscan.Next(b, i, '[')
	}
	return i
}

// deribitVerb steps into a level and over what is done with it, to the price.
func deribitVerb(b []byte, i int) (gone bool, next int) {
	if uint(i)+10 < uint(len(b)) {
		switch t := b[i : i+10]; {
		case string(t) == `["change",` && b[i+10] > ' ':
			return false, i + 10
		case string(t) == `["delete",` && b[i+10] > ' ':
			return true, i + 10
		case string(t[:7]) == `["new",` && t[7] > ' ':
			return false, i + 7
		}
	}
	i, more := jsonscan.Open(b, i, '[')
	if !more {
		return false, jsonscan.Bad
	}
	verb, i := jsonscan.Text(b, i)
	switch string(verb) {
	case "new", "change":
	case "delete":
		gone = true
	default:
		return false, jsonscan.Bad
	}
	if i, more = jsonscan.Next(b, i, '['); !more {
		return false, jsonscan.Bad
	}
	return gone, i
}

// deribitTrades decodes trades; those of one instrument in a row are one event.
// The liquidations among them follow as events of their own.
func deribitTrades(b []byte, i int, d *Decoded) int {
	first, forced := len(d.Events), false
	i, more := jsonscan.Open(b, i, '[')
	for more {
		var native []byte
		if native, i = deribitTrade(b, i, d); i < 0 {
			return i
		}
		forced = forced || d.Recs[len(d.Recs)-1].Level != 0
		if n := len(d.Events); n > first && string(d.Events[n-1].Native) == string(native) {
			d.Events[n-1].To++
		} else {
			d.event(md.ChannelTrades, native, nil, len(d.Recs)-1)
		}
		i, more = jsonscan.Next(b, i, '[')
	}
	if forced {
		d.deribitLiquidations(first)
	}
	return i
}

var deribitTradeKeys = jsonscan.Names("timestamp", "price", "amount", "direction", "index_price", "instrument_name",
	"trade_seq", "mark_price", "tick_direction", "contracts", "trade_id", "liquidation", "iv")

// What deribitTrade leaves in Level of a trade of which an order was forced.
const (
	deribitTaker = 1 << iota
	deribitMaker
)

// deribitTrade decodes a trade; direction is the taker's.
func deribitTrade(b []byte, i int, d *Decoded) (native []byte, next int) {
	r := d.slot(md.KindTrade)
	r.Count = 1
	var got uint
	k, at := jsonscan.First(b, i, deribitTradeKeys)
	for k != jsonscan.Closed {
		if at < 0 {
			return nil, at
		}
		switch k {
		case 0:
			r.TsEvent, i = jsonscan.Time(b, at)
		case 1:
			r.Price, r.PriceExp, i = jsonscan.Number(b, at)
		case 2:
			r.Size, r.SizeExp, i = jsonscan.Number(b, at)
		case 3:
			r.Side, i = aggressor(b, at)
		case 5:
			native, i = jsonscan.Text(b, at)
		case 6:
			r.ID, i = jsonscan.Uint(b, at)
		case 11:
			r.Level, i = deribitForced(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return nil, i
		}
		if k >= 0 {
			if got>>uint(k)&1 != 0 {
				return nil, jsonscan.Bad
			}
			got |= 1 << uint(k)
		}
		k, at = jsonscan.Member(b, i, deribitTradeKeys, k)
	}
	const needed = 1 | 1<<1 | 1<<2 | 1<<3 | 1<<5 | 1<<6
	if at < 0 || got&needed != needed || r.Size < 0 {
		return nil, jsonscan.Bad
	}
	return native, at
}

// deribitForced reads whose order was a liquidation: M, T, or MT for both.
func deribitForced(b []byte, i int) (who uint8, next int) {
	t, next := jsonscan.Text(b, i)
	for _, c := range t {
		switch c {
		case 'T':
			who |= deribitTaker
		case 'M':
			who |= deribitMaker
		}
	}
	return who, next
}

// deribitLiquidations repeats trades with a forced order as liquidations with the
// side of that order, one event per trade event from the first one on.
func (d *Decoded) deribitLiquidations(first int) {
	for n, events := first, len(d.Events); n < events; n++ {
		from := len(d.Recs)
		for k := d.Events[n].From; k < d.Events[n].To; k++ {
			who := d.Recs[k].Level
			d.Recs[k].Level = 0
			for _, w := range [...]uint8{deribitTaker, deribitMaker} {
				if who&w == 0 || d.Recs[k].Side == md.SideUnknown {
					continue
				}
				r := d.Recs[k]
				r.Kind, r.Count = md.KindLiquidation, 0
				if w == deribitMaker {
					r.Side = md.SideBuy + md.SideSell - r.Side
				}
				d.add(r)
			}
		}
		if len(d.Recs) > from {
			d.event(md.ChannelLiquidations, d.Events[n].Native, nil, from)
		}
	}
}

var deribitQuoteKeys = jsonscan.Names("best_bid_amount", "best_ask_amount", "best_bid_price", "best_ask_price",
	"instrument_name", "timestamp")

// deribitQuote decodes quote; an empty side has amount 0.
func deribitQuote(b []byte, i int, d *Decoded) int {
	from := len(d.Recs)
	bid, ask := d.quotes()
	var native []byte
	var ts, amount int64
	var exp int8
	var got uint
	k, at := jsonscan.First(b, i, deribitQuoteKeys)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		switch k {
		case 0, 1:
			if amount, exp, _, i = number(b, at); i < 0 || amount < 0 {
				return jsonscan.Bad
			}
			r := bid
			if k == 1 {
				r = ask
			}
			r.Size, r.SizeExp = amount, exp
		case 2:
			bid.Price, bid.PriceExp, _, i = number(b, at)
		case 3:
			ask.Price, ask.PriceExp, _, i = number(b, at)
		case 4:
			native, i = jsonscan.Text(b, at)
		case 5:
			ts, i = jsonscan.Time(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
		if k >= 0 {
			if got>>uint(k)&1 != 0 {
				return jsonscan.Bad
			}
			got |= 1 << uint(k)
		}
		k, at = jsonscan.Member(b, i, deribitQuoteKeys, k)
	}
	if at < 0 || got != 63 {
		return jsonscan.Bad
	}
	quote(bid, bid.Price, bid.Size, bid.PriceExp, bid.SizeExp)
	quote(ask, ask.Price, ask.Size, ask.PriceExp, ask.SizeExp)
	d.stamp(from, ts, 0)
	d.event(md.ChannelBBO, native, nil, from)
	return at
}
