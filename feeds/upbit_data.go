package feeds

import (
	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// Member names: those of SIMPLE in the venue's order, then those of DEFAULT. The
// tables beside them say what each is.
var (
	upbitTradeKeys = jsonscan.Names("ty", "cd", "tms", "td", "ttm", "ttms", "tp", "tv", "ab", "pcp", "c", "cp", "sid", "st",
		"type", "code", "timestamp", "trade_date", "trade_time", "trade_timestamp", "trade_price", "trade_volume", "ask_bid",
		"prev_closing_price", "change", "change_price", "sequential_id", "stream_type").
		Or("ty", "cd", "tms", "td", "ttm", "ttms", "tp", "tv", "ab", "pcp", "c", "cp", "sid", "bap", "bas", "bbp", "bbs", "st").
		Or("type", "code")
	upbitTradeIs = [...]uint8{0, upbitCode, 0, 0, 0, upbitTime, upbitPrice, upbitSize, upbitSide, 0, 0, 0, upbitID, upbitStream,
		0, upbitCode, 0, 0, 0, upbitTime, upbitPrice, upbitSize, upbitSide, 0, 0, 0, upbitID, upbitStream}
)

// What members of a trade are; 0 is stepped over.
const (
	upbitCode = iota + 1
	upbitTime
	upbitPrice
	upbitSize
	upbitSide
	upbitID
	upbitStream
)

func upbitTrade(b []byte, i int, d *Decoded) int {
	r := d.slot(md.KindTrade)
	r.Count = 1
	var native, stream, side []byte
	var got uint
	k, at := jsonscan.First(b, i, upbitTradeKeys)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		what := meaning(upbitTradeIs[:], k, 0)
		switch what {
		case upbitCode:
			native, i = jsonscan.Text(b, at)
		case upbitTime:
			r.TsEvent, i = jsonscan.Time(b, at)
		case upbitPrice:
			r.Price, r.PriceExp, i = jsonscan.Number(b, at)
		case upbitSize:
			r.Size, r.SizeExp, i = jsonscan.Number(b, at)
		case upbitSide:
			side, i = jsonscan.Text(b, at)
		case upbitID:
			r.ID, i = jsonscan.Uint(b, at)
		case upbitStream:
			stream, i = jsonscan.Text(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
		if what != 0 {
			if got>>what&1 != 0 {
				return jsonscan.Bad
			}
			got |= 1 << what
		}
		k, at = jsonscan.Member(b, i, upbitTradeKeys, k)
	}
	const needed = 1<<upbitCode | 1<<upbitTime | 1<<upbitPrice | 1<<upbitSize | 1<<upbitSide | 1<<upbitID
	if at < 0 || got&needed != needed || r.Size < 0 {
		return jsonscan.Bad
	}
	switch string(side) {
	case "ASK":
		r.Side = md.SideSell
	case "BID":
		r.Side = md.SideBuy
	}
	ev := d.event(md.ChannelTrades, native, nil, len(d.Recs)-1)
	if string(stream) == "SNAPSHOT" { // of before the subscription
		ev.Action = ActionReplace
	}
	return at
}

var upbitBookKeys = jsonscan.Names("ty", "cd", "tms", "tas", "tbs", "obu", "st", "lv",
	"type", "code", "timestamp", "total_ask_size", "total_bid_size", "orderbook_units", "stream_type", "level")

// upbitBook decodes orderbook: the bbo, which is the first level, then the book.
// With a level other than 0, which is never asked for, prices are grouped.
func upbitBook(b []byte, i int, d *Decoded) int {
	first := len(d.Recs)
	bid, ask := d.quotes()
	bid.Price, ask.Price = md.Absent, md.Absent
	var native []byte
	var ts, group int64
	var got uint
	k, at := jsonscan.First(b, i, upbitBookKeys)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		what := k
		if k >= 8 {
			what -= 8
		}
		switch what {
		case 1:
			native, i = jsonscan.Text(b, at)
		case 2:
			ts, i = jsonscan.Time(b, at)
		case 5:
			i = d.upbitUnits(b, at)
		case 7:
			group, _, i = jsonscan.Number(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
		if what >= 0 {
			if got>>uint(what)&1 != 0 {
				return jsonscan.Bad
			}
			got |= 1 << uint(what)
		}
		k, at = jsonscan.Member(b, i, upbitBookKeys, k)
	}
	if at < 0 || got&38 != 38 {
		return jsonscan.Bad
	}
	if group != 0 {
		d.Recs = d.Recs[:first]
		return at
	}
	for n := first + 2; n < len(d.Recs) && n < first+4; n++ { // the first unit has one level of each side at most
		if r := &d.Recs[n]; d.Recs[first+int(r.Side-md.SideBid)].Price == md.Absent {
			q := &d.Recs[first+int(r.Side-md.SideBid)]
			quote(q, r.Price, r.Size, r.PriceExp, r.SizeExp)
		}
	}
	d.stamp(first, ts, 0)
	d.event(md.ChannelBBO, native, nil, first).To = first + 2
	d.event(md.ChannelBook, native, nil, first+2).Action = ActionReplace
	return at
}

var (
	upbitUnitKeys = jsonscan.Names("ap", "bp", "as", "bs")
	upbitLongKeys = jsonscan.Names("ask_price", "bid_price", "ask_size", "bid_size")
)

// upbitUnits reads the levels: each unit has one of each side; a price of 0 is none.
func (d *Decoded) upbitUnits(b []byte, i int) int {
	i, more := jsonscan.Open(b, i, '[')
	for more {
		d.slot(md.KindBook)
		bid := d.slot(md.KindBook)
		ask := &d.Recs[len(d.Recs)-2] // the second slot may have moved the first
		n := upbitUsualUnit(b, i, upbitUnitKeys, ask, bid)
		if n < 0 {
			if n = upbitUnit(b, i, upbitUnitKeys, ask, bid); n == jsonscan.Closed {
				n = upbitUnit(b, i, upbitLongKeys, ask, bid)
			}
		}
		if n < 0 || ask.Size < 0 || bid.Size < 0 {
			return jsonscan.Bad
		}
		i = n
		ask.Side, bid.Side = md.SideAsk, md.SideBid
		if bid.Price == 0 {
			d.Recs = d.Recs[:len(d.Recs)-1]
		}
		if ask.Price == 0 {
			*ask = *bid
			d.Recs = d.Recs[:len(d.Recs)-1]
		}
		if uint(i)+1 < uint(len(b)) && b[i] == ',' && b[i+1] == '{' {
			i++
			continue
		}
		i, more = jsonscan.Next(b, i, '[')
	}
	return i
}

// upbitUsualUnit reads a unit whose members come in the venue's order and are all
// it has; a negative index says that it is otherwise.
func upbitUsualUnit(b []byte, i int, names jsonscan.NameList, ask, bid *md.Record) int {
	ask.Price, ask.PriceExp, i = jsonscan.Number(b, names[0].Opens(b, i))
	bid.Price, bid.PriceExp, i = jsonscan.Number(b, names[1].After(b, i))
	ask.Size, ask.SizeExp, i = jsonscan.Number(b, names[2].After(b, i))
	bid.Size, bid.SizeExp, i = jsonscan.Number(b, names[3].After(b, i))
	if i >= 0 && i < len(b) && b[i] == '}' {
		return i + 1
	}
	return jsonscan.Bad
}

// upbitUnit reads a unit in any order; Closed says that it lacks one of the names.
func upbitUnit(b []byte, i int, names jsonscan.NameList, ask, bid *md.Record) int {
	var got uint
	k, at := jsonscan.First(b, i, names)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		switch k {
		case 0:
			ask.Price, ask.PriceExp, i = jsonscan.Number(b, at)
		case 1:
			bid.Price, bid.PriceExp, i = jsonscan.Number(b, at)
		case 2:
			ask.Size, ask.SizeExp, i = jsonscan.Number(b, at)
		case 3:
			bid.Size, bid.SizeExp, i = jsonscan.Number(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return jsonscan.Bad
		}
		if k >= 0 {
			if got>>uint(k)&1 != 0 {
				return jsonscan.Bad
			}
			got |= 1 << uint(k)
		}
		k, at = jsonscan.Member(b, i, names, k)
	}
	if at >= 0 && got != 15 {
		return jsonscan.Closed
	}
	return at
}

// upbitTickerKeys are named like the others; upbitTickerIs says what each is.
var (
	upbitTickerKeys = jsonscan.Names(
		"ty", "cd", "op", "hp", "lp", "tp", "pcp", "atp", "c", "cp", "scp", "cr", "scr", "ab", "tv", "atv", "tdt", "ttm", "ttms",
		"aav", "abv", "h52wp", "h52wdt", "l52wp", "l52wdt", "ms", "its", "dd", "mw", "tms", "atp24h", "atv24h", "st", "code",
		"opening_price", "high_price", "low_price", "trade_price", "market_state", "is_trading_suspended", "timestamp",
		"acc_trade_price_24h", "acc_trade_volume_24h",
	)
	upbitTickerIs = [...]uint8{
		upbitOther, upbitName, md.StatOpen, md.StatHigh, md.StatLow, md.StatLast, upbitOther, upbitOther, upbitOther, upbitOther,
		upbitOther, upbitOther, upbitOther, upbitOther, upbitOther, upbitOther, upbitOther, upbitOther, upbitOther, upbitOther,
		upbitOther, upbitOther, upbitOther, upbitOther, upbitOther, upbitState, upbitHalt, upbitOther, upbitOther, upbitStamp,
		md.StatTurnover, md.StatVolume, upbitOther, upbitName, md.StatOpen, md.StatHigh, md.StatLow, md.StatLast, upbitState,
		upbitHalt, upbitStamp, md.StatTurnover, md.StatVolume,
	}
)

// Members of a ticker that are no statistic, beside the Stat constants.
const (
	upbitOther = iota + md.NumStats
	upbitName
	upbitState
	upbitHalt
	upbitStamp
)

// upbitTicker decodes ticker, whose open, high and low are of the day in UTC, and
// the market's state.
func upbitTicker(b []byte, i int, d *Decoded) int {
	from := len(d.Recs)
	var native, state []byte
	var ts int64
	var halted bool
	var got uint
	k, at := jsonscan.First(b, i, upbitTickerKeys)
	for k != jsonscan.Closed {
		if at < 0 {
			return at
		}
		what := meaning(upbitTickerIs[:], k, upbitOther)
		switch what {
		case upbitName:
			native, i = jsonscan.Text(b, at)
		case upbitState:
			state, i = jsonscan.Text(b, at)
		case upbitHalt:
			halted, i = jsonscan.Bool(b, at)
		case upbitStamp:
			ts, i = jsonscan.Time(b, at)
		case upbitOther:
			i = jsonscan.Skip(b, at)
		default:
			i = d.stat(b, at, what)
		}
		if i < 0 {
			return i
		}
		if what != upbitOther {
			if got>>what&1 != 0 {
				return jsonscan.Bad
			}
			got |= 1 << what
		}
		k, at = jsonscan.Member(b, i, upbitTickerKeys, k)
	}
	if at < 0 || native == nil || ts == 0 {
		return jsonscan.Bad
	}
	d.stamp(from, ts, 0)
	d.event(md.ChannelTicker, native, nil, from)
	d.status(native, upbitStatus(state, halted), ts)
	return at
}

func upbitStatus(state []byte, halted bool) md.Status {
	switch string(state) {
	case "ACTIVE":
		if halted {
			return md.StatusHalted
		}
		return md.StatusTrading
	case "PREVIEW":
		return md.StatusPreOpen
	case "DELISTED":
		return md.StatusClosed
	}
	return 0
}
