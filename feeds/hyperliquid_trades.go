package feeds

import (
	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

var hyperliquidTradeKeys = jsonscan.Names("coin", "side", "px", "sz", "time", "hash", "tid", "users")

// hyperliquidTrades decodes trades; those of one coin in a row are one event.
func hyperliquidTrades(b []byte, i int, d *Decoded) int {
	recs, events := len(d.Recs), len(d.Events)
	i, more := jsonscan.Open(b, i, '[')
	for more {
		if i = hyperliquidTrade(b, i, d); i < 0 {
			return i
		}
		i, more = jsonscan.Next(b, i, '[')
	}
	if i >= 0 {
		d.joinTrades(recs, events, false)
	}
	return i
}

// hyperliquidTrade decodes a trade as an event; side is the aggressor's, B for
// bought and A for sold.
func hyperliquidTrade(b []byte, i int, d *Decoded) int {
	r := d.slot(md.KindTrade)
	r.Count = 1
	var native []byte
	var got uint
	k, at := jsonscan.First(b, i, hyperliquidTradeKeys)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		switch k {
		case 0:
			native, i = jsonscan.Text(b, at)
		case 1:
			var side []byte
			side, i = jsonscan.Text(b, at)
			switch string(side) {
			case "B":
				r.Side = md.SideBuy
			case "A":
				r.Side = md.SideSell
			}
		case 2:
			r.Price, r.PriceExp, i = jsonscan.Number(b, at)
		case 3:
			r.Size, r.SizeExp, i = jsonscan.Number(b, at)
		case 4:
			r.TsEvent, i = jsonscan.Time(b, at)
		case 6:
			r.ID, i = jsonscan.Uint(b, at)
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
		k, at = jsonscan.Member(b, i, hyperliquidTradeKeys, k)
	}
	const needed = 1 | 1<<1 | 1<<2 | 1<<3 | 1<<4 | 1<<6
	if at < 0 || got&needed != needed || r.Size < 0 {
		return jsonscan.Bad
	}
	d.event(md.ChannelTrades, native, nil, len(d.Recs)-1)
	return at
}

// hyperliquidContextKeys are the members of a context that are numbers of
// interest.
var hyperliquidContextKeys = jsonscan.Names("funding", "openInterest", "prevDayPx", "dayNtlVlm", "premium", "oraclePx",
	"markPx", "midPx", "impactPxs", "dayBaseVlm")

// hyperliquidAssetKeys are the members around a context.
var hyperliquidAssetKeys = jsonscan.Names("coin", "ctx")

// hyperliquidAsset is what a context says beside the statistics.
type hyperliquidAsset struct {
	funding, open md.Record
	has           once // of the context's members
}

// hyperliquidContext decodes {"coin","ctx"}: funding, which is paid every hour,
// open interest and statistics, three events. There is no time.
func hyperliquidContext(b []byte, i int, d *Decoded) int {
	from := len(d.Recs)
	a := hyperliquidAsset{
		funding: md.Record{Kind: md.KindFunding, Level: md.FundingCurrent, Count: 3600},
		open:    md.Record{Kind: md.KindOpenInterest, Price: md.Absent},
	}
	var coin []byte
	var got once
	k, at := jsonscan.First(b, i, hyperliquidAssetKeys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, hyperliquidAssetKeys, k) {
		if at < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		switch k {
		case 0:
			coin, i = jsonscan.Text(b, at)
		case 1:
			i = a.read(b, at, d)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
	}
	if at < 0 || !got.have(3) || a.open.Size < 0 {
		return jsonscan.Bad
	}
	if len(d.Recs) > from {
		d.event(md.ChannelTicker, coin, nil, from)
	}
	if a.has.have(1) {
		d.add(a.funding)
		d.event(md.ChannelFunding, coin, nil, len(d.Recs)-1)
	}
	if a.has.have(1 << 1) {
		d.add(a.open)
		d.event(md.ChannelOpenInterest, coin, nil, len(d.Recs)-1)
	}
	return at
}

// read reads the context; statistics become records at once.
func (a *hyperliquidAsset) read(b []byte, i int, d *Decoded) int {
	var got once
	k, at := jsonscan.First(b, i, hyperliquidContextKeys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, hyperliquidContextKeys, k) {
		if at < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		told := true
		switch k {
		case 0:
			a.funding.Price, a.funding.PriceExp, told, i = number(b, at)
		case 1:
			a.open.Size, a.open.SizeExp, told, i = number(b, at)
		case 2:
			i = d.stat(b, at, md.StatOpen)
		case 3:
			i = d.stat(b, at, md.StatTurnover)
		case 5:
			i = d.stat(b, at, md.StatIndex)
		case 6:
			i = d.stat(b, at, md.StatMark)
		case 9:
			i = d.stat(b, at, md.StatVolume)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
		if told {
			a.has.add(k)
		}
	}
	return at
}
