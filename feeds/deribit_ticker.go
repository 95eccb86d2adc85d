package feeds

import (
	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// deribitTickerKeys are the members of ticker as perpetuals have them; options
// lack some and have more in between.
var deribitTickerKeys = jsonscan.Names("timestamp", "state", "stats", "index_price", "instrument_name", "last_price",
	"settlement_price", "min_price", "max_price", "open_interest", "mark_price", "interest_value",
	"best_ask_price", "best_bid_price", "estimated_delivery_price", "best_ask_amount", "best_bid_amount",
	"current_funding", "funding_8h")

// deribitInterval is the time that current_funding is a rate for, in seconds:
// it accrues all the time.
const deribitInterval = 8 * 3600

// deribitTicker decodes ticker: statistics, open interest, funding and the
// instrument's state are events of their own.
func deribitTicker(b []byte, i int, d *Decoded) int {
	from := len(d.Recs)
	var native, state []byte
	var ts int64
	interest, funding := md.Record{Kind: md.KindOpenInterest, Price: md.Absent}, md.Record{Kind: md.KindFunding}
	var hasInterest, hasFunding bool
	var got uint
	k, at := jsonscan.First(b, i, deribitTickerKeys)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		switch k {
		case 0:
			ts, i = jsonscan.Time(b, at)
		case 1:
			state, i = jsonscan.Text(b, at)
		case 2:
			i = d.deribitStats(b, at)
		case 3:
			i = d.stat(b, at, md.StatIndex)
		case 4:
			native, i = jsonscan.Text(b, at)
		case 5:
			i = d.stat(b, at, md.StatLast)
		case 9:
			interest.Size, interest.SizeExp, hasInterest, i = number(b, at)
		case 10:
			i = d.stat(b, at, md.StatMark)
		case 17:
			funding.Price, funding.PriceExp, hasFunding, i = number(b, at)
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
		k, at = jsonscan.Member(b, i, deribitTickerKeys, k)
	}
	if at < 0 || got&17 != 17 || interest.Size < 0 {
		return jsonscan.Bad
	}
	d.stamp(from, ts, 0)
	d.event(md.ChannelTicker, native, nil, from)
	if hasInterest {
		interest.TsEvent = ts
		d.add(interest)
		d.event(md.ChannelOpenInterest, native, nil, len(d.Recs)-1)
	}
	if hasFunding {
		funding.TsEvent, funding.Level, funding.Count = ts, md.FundingCurrent, deribitInterval
		d.add(funding)
		d.event(md.ChannelFunding, native, nil, len(d.Recs)-1)
	}
	d.status(native, deribitStatus(state), ts)
	return at
}

var deribitStatKeys = jsonscan.Names("high", "low", "price_change", "volume", "volume_usd", "volume_notional")

// deribitStats reads the statistics of 24 hours: volume is in the base coin,
// volume_notional in the quote currency.
func (d *Decoded) deribitStats(b []byte, i int) int {
	var got uint
	k, at := jsonscan.First(b, i, deribitStatKeys)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		switch k {
		case 0:
			i = d.stat(b, at, md.StatHigh)
		case 1:
			i = d.stat(b, at, md.StatLow)
		case 3:
			i = d.stat(b, at, md.StatVolume)
		case 5:
			i = d.stat(b, at, md.StatTurnover)
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
		k, at = jsonscan.Member(b, i, deribitStatKeys, k)
	}
	return at
}

// deribitStatus maps the states of ticker and instrument.state, those of the order
// book's life since 2026-01 and the older ones; 0 for steps of an
// instrument's life that change nothing for trading.
func deribitStatus(state []byte) md.Status {
	switch string(state) {
	case "open", "started":
		return md.StatusTrading
	case "created":
		return md.StatusPreOpen
	case "settlement": // of a day too, after which it is open again
		return md.StatusSettling
	case "closed", "delivered", "deactivated", "terminated", "archivized":
		return md.StatusClosed
	case "halted", "inactive", "locked":
		return md.StatusHalted
	}
	return 0
}

var deribitStateKeys = jsonscan.Names("timestamp", "state", "instrument_name")

func deribitState(b []byte, i int, d *Decoded) int {
	var native, state []byte
	var ts int64
	var got uint
	k, at := jsonscan.First(b, i, deribitStateKeys)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		switch k {
		case 0:
			ts, i = jsonscan.Time(b, at)
		case 1:
			state, i = jsonscan.Text(b, at)
		case 2:
			native, i = jsonscan.Text(b, at)
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
		k, at = jsonscan.Member(b, i, deribitStateKeys, k)
	}
	if at < 0 || got != 7 {
		return jsonscan.Bad
	}
	d.status(native, deribitStatus(state), ts)
	return at
}

var deribitPlatformKeys = jsonscan.Names("price_index", "locked", "maintenance")

// deribitPlatform decodes platform_state: maintenance of the whole, or that the
// currency of an index is locked or open again.
func deribitPlatform(b []byte, i int, d *Decoded) int {
	var index []byte
	var on bool
	whole := i
	k, at := jsonscan.First(b, i, deribitPlatformKeys)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		switch k {
		case 0:
			index, i = jsonscan.Text(b, at)
		case 1, 2:
			if on, i = jsonscan.Bool(b, at); k == 2 && i >= 0 {
				d.Control, d.Text = ControlNotice, deribitOver
				if on {
					d.Control, d.Text = ControlMaintenance, deribitPause
				}
			}
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
		k, at = jsonscan.Member(b, i, deribitPlatformKeys, k)
	}
	if at >= 0 && index != nil && d.Control == ControlNone {
		d.Control, d.Text = ControlNotice, b[whole:at]
	}
	return at
}

var (
	deribitPause = []byte("maintenance")
	deribitOver  = []byte("maintenance is over")
)
