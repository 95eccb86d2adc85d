package feeds

import (
	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// krakenFuturesTickerKeys are the members of ticker: first those whose value is a
// number, in the order of krakenFuturesValue, then the others.
var krakenFuturesTickerKeys = jsonscan.Names(
	"bid", "ask", "bid_size", "ask_size", "last", "open", "high", "low", "volume", "volumeQuote",
	"markPrice", "index", "openInterest", "relative_funding_rate", "relative_funding_rate_prediction",
	"time", "feed", "product_id", "next_funding_rate_time", "suspended", "post_only")

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

// krakenFuturesTick is a ticker as it was read.
type krakenFuturesTick struct {
	v               [krakenFuturesNums]int64
	e               [krakenFuturesNums]int8
	has             uint // bit per number
	native          []byte
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
		if i = t.member(b, at, k, d); i < 0 {
			return i
		}
		if k >= 0 {
			if got>>uint(k)&1 != 0 {
				return jsonscan.Bad
			}
			got |= 1 << uint(k)
		}
		k, at = jsonscan.Member(b, i, keys, k+1)
	}
	if at < 0 || t.native == nil || t.v[krakenFuturesBidSize] < 0 || t.v[krakenFuturesAskSize] < 0 {
		return jsonscan.Bad
	}
	t.events(d)
	return at
}

// member reads the value of a member.
func (t *krakenFuturesTick) member(b []byte, at, k int, d *Decoded) (next int) {
	switch k {
	case krakenFuturesNums:
		t.ts, next = jsonscan.Time(b, at)
	case krakenFuturesNums + 2:
		t.native, next = jsonscan.Text(b, at)
	case krakenFuturesNums + 3:
		t.next, next = instant(b, at)
	case krakenFuturesNums + 4:
		t.suspended, next = jsonscan.Bool(b, at)
		t.hasStatus = true
	case krakenFuturesNums + 5:
		t.post, next = jsonscan.Bool(b, at)
	default:
		if uint(k) >= krakenFuturesNums || jsonscan.IsNull(b, at) {
			return jsonscan.Skip(b, at)
		}
		if t.v[k], t.e[k], next = jsonscan.Number(b, at); next == jsonscan.Range {
			d.Refused++
			return jsonscan.Skip(b, at)
		}
		t.has |= 1 << uint(k)
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
