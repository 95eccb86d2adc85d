package feeds

import (
	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// bitgetTicker decodes a ticker of any API version: one ticker event and, on
// futures, one of funding and one of open interest.
func bitgetTicker(b []byte, i int, d *Decoded, p *bitgetPush) int {
	from := len(d.Recs)
	fund := md.Record{Kind: md.KindFunding, Level: 1}
	open := md.Record{Kind: md.KindOpenInterest, Price: md.Absent}
	var hasFund, hasOpen bool
	var ts, next int64
	i, more := jsonscan.Open(b, i, '{')
	for more {
		key, at := jsonscan.Key(b, i)
		if at < 0 {
			return at
		}
		if stat, ok := bitgetStat(key); ok {
			i = d.stat(b, at, stat)
		} else {
			switch string(key) {
			case "fundingRate", "capitalRate":
				fund.Price, fund.PriceExp, hasFund, i = number(b, at)
			case "nextFundingTime", "nextSettleTime":
				next, i = instant(b, at)
			case "holdingAmount", "holding", "openInterest":
				open.Size, open.SizeExp, hasOpen, i = number(b, at)
			case "ts", "systemTime":
				ts, i = instant(b, at)
			default:
				i = jsonscan.Skip(b, at)
			}
		}
		if i < 0 {
			return i
		}
		i, more = jsonscan.Next(b, i, '{')
	}
	if i < 0 || hasOpen && open.Size < 0 {
		return jsonscan.Bad
	}
	if len(d.Recs) > from {
		d.stamp(from, ts, 0)
		d.event(md.ChannelTicker, p.native, p.class, from)
	}
	// Spot tickers have neither; v3 sends them empty there.
	if hasFund {
		fund.TsEvent, fund.ID = ts, uint64(next)
		d.add(fund)
		d.event(md.ChannelFunding, p.native, p.class, len(d.Recs)-1)
	}
	if hasOpen {
		open.TsEvent = ts
		d.add(open)
		d.event(md.ChannelOpenInterest, p.native, p.class, len(d.Recs)-1)
	}
	return i
}

// bitgetStat maps a ticker's key, in the words of v1, v2 or v3, to a statistic.
func bitgetStat(key []byte) (stat uint8, ok bool) {
	switch string(key) {
	case "last", "lastPr", "lastPrice":
		return md.StatLast, true
	case "open24h", "openPrice24h":
		return md.StatOpen, true
	case "high24h", "highPrice24h":
		return md.StatHigh, true
	case "low24h", "lowPrice24h":
		return md.StatLow, true
	case "baseVolume", "volume24h":
		return md.StatVolume, true
	case "quoteVolume", "turnover24h":
		return md.StatTurnover, true
	case "markPrice":
		return md.StatMark, true
	case "indexPrice":
		return md.StatIndex, true
	}
	return 0, false
}
