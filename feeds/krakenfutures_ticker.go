package feeds

import (
	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// krakenFuturesTickerKeys are the members of ticker in the order in which they
// come.
var krakenFuturesTickerKeys = jsonscan.Names(
	"time", "product_id", "funding_rate", "funding_rate_prediction", "relative_funding_rate",
	"relative_funding_rate_prediction", "next_funding_rate_time", "feed", "bid", "ask", "bid_size", "ask_size",
	"volume", "dtm", "leverage", "index", "premium", "last", "change", "suspended", "tag", "pair", "openInterest",
	"markPrice", "maturityTime", "post_only", "volumeQuote", "open", "high", "low")

// krakenFuturesTickerUse maps the members above to what they are.
var krakenFuturesTickerUse = [...]uint8{
	krakenFuturesTickTime, krakenFuturesTickName, krakenFuturesTickOther, krakenFuturesTickOther, krakenFuturesRate,
	krakenFuturesNext, krakenFuturesTickNext, krakenFuturesTickFeed, krakenFuturesBid, krakenFuturesAsk, krakenFuturesBidSize, krakenFuturesAskSize,
	krakenFuturesLast + md.StatVolume, krakenFuturesTickOther, krakenFuturesTickOther, krakenFuturesLast + md.StatIndex,
	krakenFuturesTickOther, krakenFuturesLast + md.StatLast, krakenFuturesTickOther, krakenFuturesTickSuspended,
	krakenFuturesTickOther, krakenFuturesTickOther, krakenFuturesOI,
	krakenFuturesLast + md.StatMark, krakenFuturesTickOther, krakenFuturesTickPost, krakenFuturesLast + md.StatTurnover,
	krakenFuturesLast + md.StatOpen, krakenFuturesLast + md.StatHigh, krakenFuturesLast + md.StatLow,
}

// Numbers of a ticker.
const (
	krakenFuturesBid = iota
	krakenFuturesAsk
	krakenFuturesBidSize
	krakenFuturesAskSize
	krakenFuturesLast // and those behind it, up to index: statistics
	krakenFuturesOI   = krakenFuturesLast + md.NumStats
	krakenFuturesRate = krakenFuturesOI + 1
	krakenFuturesNext = krakenFuturesRate + 1
	krakenFuturesNums = krakenFuturesNext + 1
)

// Members of a ticker that are no numbers, behind those that are.
const (
	krakenFuturesTickOther = krakenFuturesNums + iota
	krakenFuturesTickTime
	krakenFuturesTickName
	krakenFuturesTickFeed
	krakenFuturesTickNext
	krakenFuturesTickSuspended
	krakenFuturesTickPost
)

// krakenFuturesTick is a ticker as it was read.
type krakenFuturesTick struct {
	v               [krakenFuturesNums]int64
	e               [krakenFuturesNums]int8
	has             uint // bit per number
	native, feed    []byte
	ts, next        int64
	suspended, post bool
	hasStatus       bool
}

// krakenFuturesTicker decodes ticker and ticker_lite, which has neither sizes nor
// a time. A number that no int64 holds is left out and counted.
func krakenFuturesTicker(b []byte, i int, d *Decoded) int {
	var t krakenFuturesTick
	var got uint
	keys := krakenFuturesTickerKeys
	k, at := jsonscan.First(b, i, keys)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		use := meaning(krakenFuturesTickerUse[:], k, krakenFuturesTickOther)
		if i = t.member(b, at, use, d); i < 0 {
			return i
		}
		if k >= 0 {
			if got>>uint(k)&1 != 0 {
				return jsonscan.Bad
			}
			got |= 1 << uint(k)
		}
		k, at = jsonscan.Member(b, i, keys, k)
	}
	if at < 0 || t.native == nil || string(t.feed) != "ticker" && string(t.feed) != "ticker_lite" || t.v[krakenFuturesBidSize] < 0 || t.v[krakenFuturesAskSize] < 0 {
		return jsonscan.Bad
	}
	t.events(d)
	return at
}

// member reads the value of a member.
func (t *krakenFuturesTick) member(b []byte, at int, use uint8, d *Decoded) (next int) {
	switch use {
	case krakenFuturesTickTime:
		t.ts, next = jsonscan.Time(b, at)
	case krakenFuturesTickName:
		t.native, next = jsonscan.Text(b, at)
	case krakenFuturesTickFeed:
		t.feed, next = jsonscan.Text(b, at)
	case krakenFuturesTickNext:
		t.next, next = instant(b, at)
	case krakenFuturesTickSuspended:
		t.suspended, next = jsonscan.Bool(b, at)
		t.hasStatus = true
	case krakenFuturesTickPost:
		t.post, next = jsonscan.Bool(b, at)
	case krakenFuturesTickOther:
		return jsonscan.Skip(b, at)
	default:
		if jsonscan.IsNull(b, at) {
			return jsonscan.Skip(b, at)
		}
		if t.v[use], t.e[use], next = jsonscan.Number(b, at); next == jsonscan.Range {
			d.Refused++
			return jsonscan.Skip(b, at)
		}
		t.has |= 1 << use
	}
	return next
}

// events adds what the ticker tells, channel by channel.
func (t *krakenFuturesTick) events(d *Decoded) {
	const quotes = 1<<(krakenFuturesAskSize+1) - 1
	from := len(d.Recs)
	add := func(ch md.Channel) {
		if len(d.Recs) > from {
			d.stampTimes(from, t.ts)
			d.event(ch, t.native, nil, from)
			from = len(d.Recs)
		}
	}
	if t.has&quotes == quotes {
		bid, ask := d.quotes()
		quote(bid, t.v[krakenFuturesBid], t.v[krakenFuturesBidSize], t.e[krakenFuturesBid], t.e[krakenFuturesBidSize])
		quote(ask, t.v[krakenFuturesAsk], t.v[krakenFuturesAskSize], t.e[krakenFuturesAsk], t.e[krakenFuturesAskSize])
		add(md.ChannelBBO)
	}
	for s := range uint8(md.NumStats) {
		k := krakenFuturesLast + int(s)
		if t.has>>k&1 != 0 {
			d.statistic(s, t.v[k], t.e[k])
		}
	}
	add(md.ChannelTicker)
	for level, k := range [...]int{md.FundingCurrent: krakenFuturesRate, md.FundingPredicted: krakenFuturesNext} {
		if level > 0 && t.has>>k&1 != 0 {
			r := d.slot(md.KindFunding)
			r.Level, r.Price, r.PriceExp = uint8(level), t.v[k], t.e[k]
			if r.Level == md.FundingCurrent {
				r.ID = uint64(max(t.next, 0))
			}
		}
	}
	add(md.ChannelFunding)
	if t.has>>krakenFuturesOI&1 != 0 && t.v[krakenFuturesOI] >= 0 {
		r := d.slot(md.KindOpenInterest)
		r.Price, r.Size, r.SizeExp = md.Absent, t.v[krakenFuturesOI], t.e[krakenFuturesOI]
		add(md.ChannelOpenInterest)
	}
	if t.hasStatus {
		s := md.StatusTrading
		switch {
		case t.suspended:
			s = md.StatusHalted
		case t.post:
			s = md.StatusPostOnly
		}
		d.status(t.native, s, t.ts)
	}
}

// stampTimes sets the time of the records from index from on.
func (d *Decoded) stampTimes(from int, ts int64) {
	for i := range d.Recs[from:] {
		d.Recs[from+i].TsEvent = ts
	}
}

// statistic adds a ticker record of a value that was read already; negative
// quantities are left out.
func (d *Decoded) statistic(stat uint8, v int64, e int8) {
	quantity := stat == md.StatVolume || stat == md.StatTurnover
	if quantity && v < 0 {
		return
	}
	r := d.slot(md.KindTicker)
	r.Level = stat
	if quantity {
		r.Price, r.Size, r.SizeExp = md.Absent, v, e
	} else {
		r.Price, r.PriceExp, r.Size = v, e, md.Absent
	}
}
