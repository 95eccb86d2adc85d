package feeds

import (
	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// gateTradeKeys are the members of a trade, first of spot, then of futures.
var gateTradeKeys = jsonscan.Names("id", "create_time", "create_time_ms", "side", "currency_pair", "amount", "price",
	"size", "contract", "is_internal").
	Or("id", "id_market", "create_time", "create_time_ms", "side", "currency_pair", "amount", "price", "range").
	Or("size", "id", "create_time", "create_time_ms", "price", "contract", "is_internal")

// gateTrade decodes a trade. Futures tell the taker's side by the size's sign.
// Internal ones leave nothing.
func gateTrade(b []byte, i int, d *Decoded) int {
	r := d.slot(md.KindTrade)
	r.Count = 1
	var native []byte
	var ms int64
	var internal bool
	var got once
	k, at := jsonscan.First(b, i, gateTradeKeys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, gateTradeKeys, k) {
		if at < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		switch k {
		case 0:
			r.ID, i = jsonscan.Uint(b, at)
		case 1:
			r.TsEvent, i = seconds(b, at)
		case 2:
			ms, i = jsonscan.Millis(b, at)
		case 3:
			r.Side, i = aggressor(b, at)
		case 4, 8:
			native, i = jsonscan.Text(b, at)
		case 5, 7:
			r.Size, r.SizeExp, i = jsonscan.Number(b, at)
		case 6:
			r.Price, r.PriceExp, i = jsonscan.Number(b, at)
		case 9:
			internal, i = jsonscan.Bool(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
	}
	const spot, futures = 1 | 1<<3 | 1<<4 | 1<<5 | 1<<6, 1 | 1<<6 | 1<<7 | 1<<8
	switch {
	case at < 0 || !got.have(1<<1) && !got.have(1<<2):
		return jsonscan.Bad
	case got.have(futures) && !got.have(1<<5):
		if r.Side = md.SideBuy; r.Size < 0 {
			r.Side, r.Size = md.SideSell, -r.Size
		}
	case !got.have(spot) || got.have(1<<7) || r.Size < 0:
		return jsonscan.Bad
	}
	if internal {
		d.Recs = d.Recs[:len(d.Recs)-1]
		return at
	}
	if r.Size == 0 {
		return jsonscan.Bad
	}
	if ms > 0 {
		r.TsEvent = ms
	}
	d.event(md.ChannelTrades, native, nil, len(d.Recs)-1)
	return at
}

// gateTime reads a time in seconds or, as liquidations have it since 2026-08-20,
// in milliseconds, under the same name: told apart by magnitude.
func gateTime(b []byte, i int) (ns int64, next int) {
	const firstMillis = 100_000_000_000 // as seconds the year 5138
	if v, n := jsonscan.Uint(b, i); n >= 0 && v >= firstMillis {
		return jsonscan.Millis(b, i)
	}
	return seconds(b, i)
}

var gateLiquidationKeys = jsonscan.Names("price", "size", "time", "time_ms", "contract").
	Or("price", "size", "time_ms", "time", "contract")

func gateLiquidation(b []byte, i int, d *Decoded) int {
	r := d.slot(md.KindLiquidation)
	var native []byte
	var ms int64
	var got once
	k, at := jsonscan.First(b, i, gateLiquidationKeys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, gateLiquidationKeys, k) {
		if at < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		switch k {
		case 0:
			r.Price, r.PriceExp, i = jsonscan.Number(b, at)
		case 1:
			r.Size, r.SizeExp, i = jsonscan.Number(b, at)
		case 2:
			r.TsEvent, i = gateTime(b, at)
		case 3:
			ms, i = jsonscan.Millis(b, at)
		case 4:
			native, i = jsonscan.Text(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
	}
	if at < 0 || !got.have(1|1<<1|1<<4) || r.Size == 0 {
		return jsonscan.Bad
	}
	if r.Side = md.SideBuy; r.Size < 0 {
		r.Side, r.Size = md.SideSell, -r.Size
	}
	if ms > 0 {
		r.TsEvent = ms
	}
	d.event(md.ChannelLiquidations, native, nil, len(d.Recs)-1)
	return at
}

var (
	gateBookKeys  = jsonscan.Names("t", "e", "E", "s", "U", "u", "b", "a", "full", "l").Or("t", "s", "U")
	gateLevelKeys = jsonscan.Names("p", "s")
)

// gateLevels reads a side: arrays of price and size, or objects.
func gateLevels(b []byte, i int, d *Decoded, side uint8) int {
	if at := jsonscan.Space(b, max(i, 0)+1); i >= 0 && i < len(b) && b[i] == '[' && at < len(b) && b[at] == '{' {
		return d.levelObjects(b, i, side, gateLevelKeys)
	}
	return d.levels(b, i, side, false)
}

func gateBook(b []byte, i int, d *Decoded) int {
	from := len(d.Recs)
	var native []byte
	var ts int64
	var first, last uint64
	var full bool
	var got once
	k, at := jsonscan.First(b, i, gateBookKeys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, gateBookKeys, k) {
		if at < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		switch k {
		case 0:
			ts, i = jsonscan.Time(b, at)
		case 3:
			native, i = jsonscan.Text(b, at)
		case 4:
			first, i = jsonscan.Uint(b, at)
		case 5:
			last, i = jsonscan.Uint(b, at)
		case 6:
			i = gateLevels(b, at, d, md.SideBid)
		case 7:
			i = gateLevels(b, at, d, md.SideAsk)
		case 8:
			full, i = jsonscan.Bool(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
	}
	if at < 0 || !got.have(1<<3|1<<5) || last > 1<<63-1 || !full && !got.have(1<<4) || first > last {
		return jsonscan.Bad
	}
	if !got.have(1<<6) && !got.have(1<<7) {
		return jsonscan.Bad
	}
	d.stamp(from, ts, last)
	ev := d.event(md.ChannelBook, gateName(native), nil, from)
	ev.SeqFirst, ev.SeqLast = int64(first), int64(last)
	if full {
		ev.Action = ActionReplace
	}
	return at
}

var gateBBOKeys = jsonscan.Names("t", "u", "s", "b", "B", "a", "A")

// gateBBO decodes book_ticker; an empty side has an empty price.
func gateBBO(b []byte, i int, d *Decoded) int {
	from := len(d.Recs)
	bid, ask := d.quotes()
	var native []byte
	var ts int64
	var id uint64
	var got once
	k, at := jsonscan.First(b, i, gateBBOKeys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, gateBBOKeys, k) {
		if at < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		switch k {
		case 0:
			ts, i = jsonscan.Time(b, at)
		case 1:
			id, i = jsonscan.Uint(b, at)
		case 2:
			native, i = jsonscan.Text(b, at)
		case 3:
			bid.Price, bid.PriceExp, _, i = number(b, at)
		case 4:
			bid.Size, bid.SizeExp, _, i = number(b, at)
		case 5:
			ask.Price, ask.PriceExp, _, i = number(b, at)
		case 6:
			ask.Size, ask.SizeExp, _, i = number(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
	}
	if at < 0 || !got.have(1<<7-1<<1) || bid.Size < 0 || ask.Size < 0 || id > 1<<63-1 {
		return jsonscan.Bad
	}
	if id == 0 { // sent for contracts that have never had a book
		d.Recs = d.Recs[:from]
		return at
	}
	quote(bid, bid.Price, bid.Size, bid.PriceExp, bid.SizeExp)
	quote(ask, ask.Price, ask.Size, ask.PriceExp, ask.SizeExp)
	d.stamp(from, ts, id)
	d.event(md.ChannelBBO, native, nil, from).SeqLast = int64(id)
	return at
}

// gateTickerKeys are the members of a ticker, first of spot, then of futures.
var gateTickerKeys = jsonscan.Names("currency_pair", "last", "lowest_ask", "highest_bid", "change_percentage",
	"base_volume", "quote_volume", "high_24h", "low_24h",
	"contract", "funding_rate", "funding_rate_indicative", "mark_price", "index_price", "total_size",
	"volume_24h", "volume_24h_base", "volume_24h_quote", "volume_24h_settle").
	Or("contract", "last", "change_percentage", "total_size", "volume_24h", "volume_24h_base", "volume_24h_quote",
		"volume_24h_settle", "mark_price", "funding_rate", "funding_rate_indicative", "index_price", "quanto_base_rate",
		"low_24h", "high_24h")

// gateTickerStats maps the members above to what they are.
var gateTickerStats = [...]uint8{
	gateNative, md.StatLast, gateOther, gateOther, gateOther,
	md.StatVolume, md.StatTurnover, md.StatHigh, md.StatLow,
	gateNative, gateRate, gateNextRate, md.StatMark, md.StatIndex, gateOpen,
	md.StatVolume, gateOther, md.StatTurnover, gateOther,
}

// Members of a ticker that are no statistic, beside the Stat constants.
const (
	gateOther = iota + md.NumStats
	gateNative
	gateRate
	gateNextRate
	gateOpen
)

// gateTicker decodes a ticker: the statistics and, of futures, funding and open
// interest.
func gateTicker(b []byte, i int, d *Decoded) int {
	from := len(d.Recs)
	now := md.Record{Kind: md.KindFunding, Level: 1}
	next := md.Record{Kind: md.KindFunding, Level: 2}
	open := md.Record{Kind: md.KindOpenInterest, Price: md.Absent}
	var hasNow, hasNext, hasOpen bool
	var native []byte
	var got once
	k, at := jsonscan.First(b, i, gateTickerKeys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, gateTickerKeys, k) {
		if at < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		what := meaning(gateTickerStats[:], k, gateOther)
		switch what {
		case gateNative:
			native, i = jsonscan.Text(b, at)
		case gateRate:
			now.Price, now.PriceExp, hasNow, i = number(b, at)
		case gateNextRate:
			next.Price, next.PriceExp, hasNext, i = number(b, at)
		case gateOpen:
			open.Size, open.SizeExp, hasOpen, i = number(b, at)
		case gateOther:
			i = jsonscan.Skip(b, at)
		default:
			i = d.stat(b, at, what)
		}
		if i < 0 {
			return i
		}
	}
	if at < 0 || native == nil || open.Size < 0 {
		return jsonscan.Bad
	}
	if len(d.Recs) > from {
		d.event(md.ChannelTicker, native, nil, from)
	}
	from = len(d.Recs)
	if hasNow {
		d.add(now)
	}
	if hasNext {
		d.add(next)
	}
	if len(d.Recs) > from {
		d.event(md.ChannelFunding, native, nil, from)
	}
	if hasOpen {
		d.add(open)
		d.event(md.ChannelOpenInterest, native, nil, len(d.Recs)-1)
	}
	return at
}
