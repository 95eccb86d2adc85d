package feeds

import (
	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// bybitTradeKeys are the members of a trade in the order of contracts; spot has
// another.
var bybitTradeKeys = jsonscan.Names("T", "s", "S", "v", "p", "L", "i", "BT", "RPI", "seq").
	Or("i", "T", "p", "v", "S", "seq", "s", "BT", "RPI").Or("S", "s")

// bybitTrades decodes the trades of a frame, which are one event unless their
// ids are texts: an event carries one.
func bybitTrades(b []byte, i int, d *Decoded, p *bybitPush) int {
	from := len(d.Recs)
	i, more := jsonscan.Open(b, i, '[')
	for ; more; i, more = jsonscan.Next(b, i, '[') {
		var text []byte
		if text, i = bybitTrade(b, i, d); i < 0 {
			return i
		}
		if text != nil {
			if n := len(d.Recs) - 1; n > from {
				d.event(md.ChannelTrades, p.native, nil, from).To = n
				from = n
			}
			d.event(md.ChannelTrades, p.native, nil, from).Text = text
			from = len(d.Recs)
		}
	}
	if i >= 0 && len(d.Recs) > from {
		d.event(md.ChannelTrades, p.native, nil, from)
	}
	return i
}

func bybitTrade(b []byte, i int, d *Decoded) (text []byte, next int) {
	const needed = 1<<0 | 1<<2 | 1<<3 | 1<<4 | 1<<6
	r := d.slot(md.KindTrade)
	r.Count = 1
	var got once
	k, at := jsonscan.First(b, i, bybitTradeKeys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, bybitTradeKeys, k) {
		if at < 0 || !got.add(k) {
			return nil, jsonscan.Bad
		}
		switch k {
		case 0:
			r.TsEvent, i = jsonscan.Time(b, at)
		case 2:
			r.Side, i = aggressor(b, at)
		case 3:
			r.Size, r.SizeExp, i = jsonscan.Number(b, at)
		case 4:
			r.Price, r.PriceExp, i = jsonscan.Number(b, at)
		case 6:
			r.ID, text, i = jsonscan.ID(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return nil, i
		}
	}
	if at < 0 || !got.have(needed) || r.Size < 0 {
		return nil, jsonscan.Bad
	}
	if text != nil {
		r.Flags = md.FlagIDHash
	}
	return text, at
}

var bybitForcedKeys = jsonscan.Names("T", "s", "S", "v", "p")

func bybitLiquidations(b []byte, i int, d *Decoded, p *bybitPush) int {
	const needed = 1<<0 | 1<<2 | 1<<3 | 1<<4
	from := len(d.Recs)
	i, more := jsonscan.Open(b, i, '[')
	for ; more; i, more = jsonscan.Next(b, i, '[') {
		r := d.slot(md.KindLiquidation)
		var got once
		k, at := jsonscan.First(b, i, bybitForcedKeys)
		for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, bybitForcedKeys, k) {
			if at < 0 || !got.add(k) {
				return jsonscan.Bad
			}
			switch k {
			case 0:
				r.TsEvent, i = jsonscan.Time(b, at)
			case 2:
				r.Side, i = aggressor(b, at)
			case 3:
				r.Size, r.SizeExp, i = jsonscan.Number(b, at)
			case 4:
				r.Price, r.PriceExp, i = jsonscan.Number(b, at)
			default:
				i = jsonscan.Skip(b, at)
			}
			if i < 0 {
				return i
			}
		}
		if at < 0 || !got.have(needed) || r.Size < 0 || r.Side == md.SideUnknown {
			return jsonscan.Bad
		}
		r.Side = md.SideBuy + md.SideSell - r.Side // the position's to the order's
		i = at
	}
	if i >= 0 && len(d.Recs) > from {
		d.event(md.ChannelLiquidations, p.native, nil, from)
	}
	return i
}

// bybitTickerKeys are the members of tickers in the order of contracts.
var bybitTickerKeys = jsonscan.Names("symbol", "tickDirection", "price24hPcnt", "lastPrice", "prevPrice24h",
	"highPrice24h", "lowPrice24h", "prevPrice1h", "markPrice", "indexPrice", "openInterest", "openInterestValue",
	"turnover24h", "volume24h", "fundingIntervalHour", "fundingCap", "nextFundingTime", "fundingRate",
	"bid1Price", "bid1Size", "ask1Price", "ask1Size").
	Or("symbol", "lastPrice", "highPrice24h", "lowPrice24h", "prevPrice24h", "volume24h", "turnover24h", "price24hPcnt",
		"usdIndexPrice").
	Or("symbol", "nextFundingTime", "fundingRate").Or("symbol", "openInterest", "openInterestValue")

// bybitTickerStats maps the members above to what they are.
var bybitTickerStats = [...]uint8{
	bybitOther, bybitOther, bybitOther, md.StatLast, md.StatOpen,
	md.StatHigh, md.StatLow, bybitOther, md.StatMark, md.StatIndex, bybitOpen, bybitValue,
	md.StatTurnover, md.StatVolume, bybitHours, bybitOther, bybitNext, bybitRate,
	bybitOther, bybitOther, bybitOther, bybitOther,
}

// Members of a ticker that are no statistic, beside the Stat constants.
const (
	bybitOther = iota + md.NumStats
	bybitOpen
	bybitValue
	bybitHours
	bybitNext
	bybitRate
)

// ticker decodes a snapshot or a difference. Funding and open interest are told
// when one of their members came and all are known.
func (c *bybitConn) ticker(b []byte, i int, d *Decoded, p *bybitPush) int {
	from := len(d.Recs)
	seen := c.of(p.native)
	if p.snapshot {
		seen.hasRate, seen.next, seen.hours, seen.hasOpen, seen.hasValue = false, 0, 0, false, false
	}
	var funding, open bool
	var got once
	k, at := jsonscan.First(b, i, bybitTickerKeys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, bybitTickerKeys, k) {
		if at < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		what := meaning(bybitTickerStats[:], k, bybitOther)
		if what == md.StatTurnover && c.Category == BybitInverse {
			what = bybitOther
		}
		switch what {
		case bybitOther:
			i = jsonscan.Skip(b, at)
		case bybitOpen, bybitValue:
			i, open = seen.interest(b, at, what), true
		case bybitHours, bybitNext, bybitRate:
			i, funding = seen.funding(b, at, what), true
		default:
			i = d.stat(b, at, what)
		}
		if i < 0 {
			return i
		}
	}
	if at < 0 {
		return at
	}
	if len(d.Recs) > from {
		d.event(md.ChannelTicker, p.native, nil, from)
	}
	if c.Category != BybitSpot {
		c.tell(d, p, seen, funding, open)
	}
	return at
}

// interest reads a member of the open interest.
func (s *bybitSeen) interest(b []byte, i int, what uint8) int {
	v, e, has, i := number(b, i)
	if i >= 0 && v < 0 {
		return jsonscan.Bad
	}
	if what == bybitOpen {
		s.open, s.openExp, s.hasOpen = v, e, has
	} else {
		s.value, s.valueExp, s.hasValue = v, e, has
	}
	return i
}

// funding reads a member of the funding.
func (s *bybitSeen) funding(b []byte, i int, what uint8) int {
	switch what {
	case bybitNext:
		s.next, i = instant(b, i)
	case bybitRate:
		s.rate, s.rateExp, s.hasRate, i = number(b, i)
	default:
		s.hours = 0
		if jsonscan.IsNull(b, i) {
			return jsonscan.Skip(b, i)
		}
		var h uint64
		if h, i = jsonscan.Uint(b, i); h > 24*365 {
			return jsonscan.Bad
		}
		s.hours = int64(h)
	}
	return i
}

// tell adds the records of what changed and is known in full.
func (c *bybitConn) tell(d *Decoded, p *bybitPush, s *bybitSeen, funding, open bool) {
	if funding && s.hasRate && s.next > 0 { // dated futures have none
		r := d.slot(md.KindFunding)
		r.Level, r.ID, r.Count = 1, uint64(s.next), uint32(s.hours*3600)
		r.Price, r.PriceExp = s.rate, s.rateExp
		d.event(md.ChannelFunding, p.native, nil, len(d.Recs)-1)
	}
	if open && s.hasOpen {
		r := d.slot(md.KindOpenInterest)
		r.Size, r.SizeExp, r.Price = s.open, s.openExp, md.Absent
		if s.hasValue && c.Category == BybitLinear {
			r.Price, r.PriceExp = s.value, s.valueExp
		}
		d.event(md.ChannelOpenInterest, p.native, nil, len(d.Recs)-1)
	}
}
