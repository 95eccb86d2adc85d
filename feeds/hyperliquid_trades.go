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
		if at = hyperliquidTradeKeys[k+1].After(b, i); at >= 0 {
			k++
		} else {
			k, at = jsonscan.Member(b, i, hyperliquidTradeKeys, k+1)
		}
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

// hyperliquidContext decodes {"coin","ctx"}: funding, which is paid every hour,
// open interest and statistics, three events. There is no time.
func hyperliquidContext(b []byte, i int, d *Decoded) int {
	native := jsonscan.Find(b, i, "coin")
	ctx := jsonscan.Find(b, i, "ctx")
	end := jsonscan.Skip(b, i)
	if native == nil || ctx == nil || end < 0 {
		return jsonscan.Bad
	}
	coin, n := jsonscan.Text(native, 0)
	if n < 0 {
		return n
	}
	from := len(d.Recs)
	funding := md.Record{Kind: md.KindFunding, Level: md.FundingCurrent, Count: 3600}
	open := md.Record{Kind: md.KindOpenInterest, Price: md.Absent}
	var hasFunding, hasOpen bool
	at := 0
	k, v := jsonscan.First(ctx, 0, hyperliquidContextKeys)
	for k != jsonscan.Closed {
		if v < 0 {
			return v
		}
		switch k {
		case 0:
			funding.Price, funding.PriceExp, hasFunding, at = number(ctx, v)
		case 1:
			open.Size, open.SizeExp, hasOpen, at = number(ctx, v)
		case 2:
			at = d.stat(ctx, v, md.StatOpen)
		case 3:
			at = d.stat(ctx, v, md.StatTurnover)
		case 5:
			at = d.stat(ctx, v, md.StatIndex)
		case 6:
			at = d.stat(ctx, v, md.StatMark)
		case 9:
			at = d.stat(ctx, v, md.StatVolume)
		default:
			at = jsonscan.Skip(ctx, v)
		}
		if at < 0 {
			return at
		}
		k, v = jsonscan.Member(ctx, at, hyperliquidContextKeys, k+1)
	}
	if v < 0 || open.Size < 0 {
		return jsonscan.Bad
	}
	if len(d.Recs) > from {
		d.event(md.ChannelTicker, coin, nil, from)
	}
	if hasFunding {
		d.add(funding)
		d.event(md.ChannelFunding, coin, nil, len(d.Recs)-1)
	}
	if hasOpen {
		d.add(open)
		d.event(md.ChannelOpenInterest, coin, nil, len(d.Recs)-1)
	}
	return end
}
