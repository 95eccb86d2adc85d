package feeds

import (
	"slices"

	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// bitgetTrades decodes the array of trades at i as one event: the newest comes
// first there, here last. A trade whose id is no number is an event of its own,
// since an event carries one text.
func bitgetTrades(b []byte, i int, d *Decoded, p *bitgetPush) int {
	from := len(d.Recs)
	recs, events := from, len(d.Events)
	i, more := jsonscan.Open(b, i, '[')
	for more {
		var text []byte
		if uint(i) < uint(len(b)) && b[i] == '[' {
			i = bitgetOldTrade(b, i, d)
		} else {
			text, i = bitgetTrade(b, i, d)
		}
		if i < 0 {
			return i
		}
		if text != nil {
			if n := len(d.Recs) - 1; n > from {
				d.event(md.ChannelTrades, p.native, p.class, from).To = n
				from = n
			}
			d.event(md.ChannelTrades, p.native, p.class, from).Text = text
			from = len(d.Recs)
		}
		i, more = jsonscan.Next(b, i, '[')
	}
	if i >= 0 && len(d.Recs) > from {
		d.event(md.ChannelTrades, p.native, p.class, from)
	}
	if i >= 0 {
		d.turnTrades(recs, events)
	}
	return i
}

// turnTrades puts the oldest of the trades from recs on first, which events from
// events on cover, unless their times or ids show that it is so already.
func (d *Decoded) turnTrades(recs, events int) {
	for k := recs + 1; k < len(d.Recs); k++ {
		a, z := &d.Recs[k-1], &d.Recs[k]
		if a.TsEvent < z.TsEvent || a.TsEvent == z.TsEvent && a.ID < z.ID && (a.Flags|z.Flags)&md.FlagIDHash == 0 {
			return
		}
	}
	slices.Reverse(d.Recs[recs:])
	slices.Reverse(d.Events[events:])
	for k := events; k < len(d.Events); k++ {
		ev := &d.Events[k]
		ev.From, ev.To = recs+len(d.Recs)-ev.To, recs+len(d.Recs)-ev.From
	}
}

// bitgetTradeKeys are the members of a trade of v2 in the order of the
// document, then those of v3.
var bitgetTradeKeys = jsonscan.Names("ts", "price", "size", "side", "tradeId", "i", "p", "v", "S", "T")

// bitgetUsualTrade reads the members that nearly every trade begins with into r
// and returns the index behind the last of them, or a negative one.
func bitgetUsualTrade(b []byte, i int, r *md.Record) int {
	n := bitgetTradeKeys
	r.TsEvent, i = jsonscan.Time(b, n[0].Opens(b, i))
	r.Price, r.PriceExp, i = jsonscan.Number(b, n[1].After(b, i))
	r.Size, r.SizeExp, i = jsonscan.Number(b, n[2].After(b, i))
	r.Side, i = aggressor(b, n[3].After(b, i))
	r.ID, i = jsonscan.Uint(b, n[4].After(b, i))
	return i
}

// bitgetTrade decodes a trade of v2 {"ts","price","size","side","tradeId"} or
// v3 {"i","p","v","S","T"}.
func bitgetTrade(b []byte, i int, d *Decoded) (text []byte, next int) {
	r := d.slot(md.KindTrade)
	r.Count = 1
	var got uint
	var k, at int
	if n := bitgetUsualTrade(b, i, r); n >= 0 {
		got = 7
		k, at = jsonscan.Member(b, n, bitgetTradeKeys, 4)
	} else {
		*r = md.Record{Kind: md.KindTrade, Count: 1}
		k, at = jsonscan.First(b, i, bitgetTradeKeys)
	}
	for k != jsonscan.Closed {
		if at < 0 {
			return nil, at
		}
		switch k {
		case 0, 9: // ts
			r.TsEvent, i = jsonscan.Time(b, at)
			got |= 1
		case 1, 6: // price
			r.Price, r.PriceExp, i = jsonscan.Number(b, at)
			got |= 2
		case 2, 7: // size
			r.Size, r.SizeExp, i = jsonscan.Number(b, at)
			got |= 4
		case 3, 8: // side
			r.Side, i = aggressor(b, at)
		case 4, 5: // id
			r.ID, text, i = jsonscan.ID(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return nil, i
		}
		k, at = jsonscan.Member(b, i, bitgetTradeKeys, k)
	}
	i = at
	if i < 0 || got != 7 || r.Size < 0 {
		return nil, jsonscan.Bad
	}
	if text != nil {
		r.Flags = md.FlagIDHash
	}
	return text, i
}

// bitgetOldTrade decodes a trade of v1, ["ts","price","size","side"].
func bitgetOldTrade(b []byte, i int, d *Decoded) int {
	r := d.slot(md.KindTrade)
	r.Count = 1
	i, more := jsonscan.Open(b, i, '[')
	at := 0
	for ; more; at++ {
		switch at {
		case 0:
			r.TsEvent, i = jsonscan.Time(b, i)
		case 1:
			r.Price, r.PriceExp, i = jsonscan.Number(b, i)
		case 2:
			r.Size, r.SizeExp, i = jsonscan.Number(b, i)
		case 3:
			r.Side, i = aggressor(b, i)
		default:
			i = jsonscan.Skip(b, i)
		}
		if i < 0 {
			return i
		}
		i, more = jsonscan.Next(b, i, '[')
	}
	if i < 0 || at < 4 || r.Size < 0 {
		return jsonscan.Bad
	}
	return i
}
