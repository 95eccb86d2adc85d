package feeds

import (
	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// okxTickerKeys are the members of tickers and mark-price in the order of the
// document.
var okxTickerKeys = jsonscan.Names(
	"instType", "instId", "last", "lastSz", "askPx", "askSz", "bidPx", "bidSz",
	"open24h", "high24h", "low24h", "volCcy24h", "vol24h", "sodUtc0", "sodUtc8", "ts", "markPx",
)

// okxTickerStats maps the members above to what they are.
var okxTickerStats = [...]uint8{
	okxType, okxOther, md.StatLast, okxOther, okxOther, okxOther, okxOther, okxOther,
	md.StatOpen, md.StatHigh, md.StatLow, okxTurnover, md.StatVolume, okxOther, okxOther, okxTime, md.StatMark,
}

// Members of a ticker that are no statistic, beside the Stat constants.
const (
	okxOther = iota + md.NumStats
	okxType
	okxTurnover
	okxTime
)

// okxTicker decodes tickers and mark-price. vol24h is in base units on spot
// and contracts elsewhere; volCcy24h is a quote turnover on spot alone.
func okxTicker(b []byte, i int, d *Decoded, native []byte) int {
	from := len(d.Recs)
	var ts int64
	spot, turnover := false, 0
	k, at := jsonscan.First(b, i, okxTickerKeys)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		what := meaning(okxTickerStats[:], k, okxOther)
		switch what {
		case okxType:
			var t []byte
			t, i = jsonscan.Text(b, at)
			spot = string(t) == "SPOT"
		case okxTurnover:
			turnover, i = at, jsonscan.Skip(b, at)
		case okxTime:
			ts, i = jsonscan.Time(b, at)
		case okxOther:
			i = jsonscan.Skip(b, at)
		default:
			i = d.stat(b, at, what)
		}
		if i < 0 {
			return i
		}
		k, at = jsonscan.Member(b, i, okxTickerKeys, k)
	}
	i = at
	if i < 0 || ts == 0 {
		return jsonscan.Bad
	}
	if spot && turnover > 0 {
		if n := d.stat(b, turnover, md.StatTurnover); n < 0 {
			return n
		}
	}
	d.stamp(from, ts, 0)
	d.event(md.ChannelTicker, native, nil, from)
	return i
}

// okxFundingKeys are the members of a funding rate in the order in which they
// come.
var okxFundingKeys = jsonscan.Names("fundingRate", "fundingTime", "instId", "instType", "method", "maxFundingRate",
	"minFundingRate", "nextFundingRate", "nextFundingTime", "premium", "settFundingRate", "settState", "ts").
	Or("formulaType", "fundingRate", "fundingTime", "impactValue", "instId", "instType", "interestRate", "maxFundingRate",
		"method", "minFundingRate", "nextFundingRate")

func okxFunding(b []byte, i int, d *Decoded, native []byte) int {
	var ts, at, nextAt int64
	now := md.Record{Kind: md.KindFunding, Level: 1}
	next := md.Record{Kind: md.KindFunding, Level: 2}
	var hasNow, hasNext bool
	var got once
	k, v := jsonscan.First(b, i, okxFundingKeys)
	for ; k != jsonscan.Closed; k, v = jsonscan.Member(b, i, okxFundingKeys, k) {
		if v < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		switch k {
		case 0:
			now.Price, now.PriceExp, hasNow, i = number(b, v)
		case 1:
			at, i = instant(b, v)
		case 7:
			next.Price, next.PriceExp, hasNext, i = number(b, v)
		case 8:
			nextAt, i = instant(b, v)
		case 12:
			ts, i = instant(b, v)
		default:
			i = jsonscan.Skip(b, v)
		}
		if i < 0 {
			return i
		}
	}
	if v < 0 {
		return v
	}
	var interval uint32
	if nextAt > at && at > 0 {
		interval = uint32(min((nextAt-at)/1e9, 1<<31))
	}
	now.TsEvent, now.ID, now.Count = ts, uint64(at), interval
	next.TsEvent, next.ID, next.Count = ts, uint64(nextAt), interval
	from := len(d.Recs)
	if hasNow {
		d.add(now)
	}
	if hasNext {
		d.add(next)
	}
	if len(d.Recs) > from {
		d.event(md.ChannelFunding, native, nil, from)
	}
	return v
}

// okxOpenKeys are the members of an open interest in the order of the document.
var okxOpenKeys = jsonscan.Names("instType", "instId", "oi", "oiCcy", "oiUsd", "ts")

func okxOpenInterest(b []byte, i int, d *Decoded, native []byte) int {
	r := md.Record{Kind: md.KindOpenInterest, Price: md.Absent}
	has := false
	var got once
	k, at := jsonscan.First(b, i, okxOpenKeys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, okxOpenKeys, k) {
		if at < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		switch k {
		case 2:
			r.Size, r.SizeExp, has, i = number(b, at)
		case 5:
			r.TsEvent, i = jsonscan.Time(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
	}
	if at >= 0 && has {
		d.add(r)
		d.event(md.ChannelOpenInterest, native, nil, len(d.Recs)-1)
	}
	return at
}
