package feeds

import (
	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// bitgetTickerKeys are the members of a ticker in the order of the documents:
// of v2, then what v1 and v3 call otherwise.
var bitgetTickerKeys = jsonscan.Names(
	"instId", "lastPr", "open24h", "high24h", "low24h", "change24h", "bidPr", "askPr", "bidSz", "askSz",
	"baseVolume", "quoteVolume", "openUtc", "changeUtc24h", "ts",
	"fundingRate", "nextFundingTime", "markPrice", "indexPrice", "holdingAmount",
	"last", "bestBid", "bestAsk", "capitalRate", "nextSettleTime", "systemTime", "holding",
	"lastPrice", "openPrice24h", "highPrice24h", "lowPrice24h", "volume24h", "turnover24h", "openInterest",
).Or("instId", "lastPr", "bidPr", "askPr", "bidSz", "askSz", "open24h", "high24h", "low24h", "change24h", "fundingRate",
	"nextFundingTime", "markPrice", "indexPrice", "holdingAmount", "baseVolume", "quoteVolume", "openUtc", "symbolType",
	"symbol", "deliveryPrice", "ts")

// bitgetTickerStats maps the members above to what they are.
var bitgetTickerStats = [...]uint8{
	bitgetOther, md.StatLast, md.StatOpen, md.StatHigh, md.StatLow,
	bitgetOther, bitgetOther, bitgetOther, bitgetOther, bitgetOther,
	md.StatVolume, md.StatTurnover, bitgetOther, bitgetOther, bitgetTime,
	bitgetRate, bitgetNext, md.StatMark, md.StatIndex, bitgetOpen,
	md.StatLast, bitgetOther, bitgetOther, bitgetRate, bitgetNext, bitgetTime, bitgetOpen,
	md.StatLast, md.StatOpen, md.StatHigh, md.StatLow, md.StatVolume, md.StatTurnover, bitgetOpen,
}

// Members of a ticker that are no statistic, beside the Stat constants.
const (
	bitgetOther = iota + md.NumStats
	bitgetTime
	bitgetRate
	bitgetNext
	bitgetOpen
)

// bitgetTicker decodes a ticker of any API version: one ticker event and, on
// futures, one of funding and one of open interest.
func bitgetTicker(b []byte, i int, d *Decoded, p *bitgetPush) int {
	from := len(d.Recs)
	fund := md.Record{Kind: md.KindFunding, Level: 1}
	open := md.Record{Kind: md.KindOpenInterest, Price: md.Absent}
	var hasFund, hasOpen bool
	var ts, next int64
	k, at := jsonscan.First(b, i, bitgetTickerKeys)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		what := meaning(bitgetTickerStats[:], k, bitgetOther)
		switch what {
		case bitgetTime:
			ts, i = instant(b, at)
		case bitgetRate:
			fund.Price, fund.PriceExp, hasFund, i = number(b, at)
		case bitgetNext:
			next, i = instant(b, at)
		case bitgetOpen:
			open.Size, open.SizeExp, hasOpen, i = number(b, at)
		case bitgetOther:
			i = jsonscan.Skip(b, at)
		default:
			i = d.stat(b, at, what)
		}
		if i < 0 {
			return i
		}
		k, at = jsonscan.Member(b, i, bitgetTickerKeys, k)
	}
	i = at
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
