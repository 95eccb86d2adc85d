package feeds

import (
	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// Members of events in the order of the documents; both markets have them but
// for ps, the pair, which COIN-M alone sends.
var (
	binanceDepthKeys   = jsonscan.Names("e", "E", "T", "s", "U", "u", "pu", "b", "a", "ps").Or("e", "E", "T", "s", "ps", "U")
	binanceAggKeys     = jsonscan.Names("e", "E", "s", "a", "p", "q", "f", "l", "T", "m", "nq").Or("e", "E", "s", "ps", "a")
	binanceFutTrades   = jsonscan.Names("e", "E", "T", "s", "t", "p", "q", "X", "m")
	binanceFutBBOKeys  = jsonscan.Names("e", "u", "s", "b", "B", "a", "A", "T", "E", "ps").Or("e", "u", "s", "ps", "b")
	binanceMarkKeys    = jsonscan.Names("e", "E", "s", "p", "ap", "P", "i", "r", "T").Or("e", "E", "s", "ps", "p", "P")
	binanceForceKeys   = jsonscan.Names("e", "E", "o")
	binanceOrderKeys   = jsonscan.Names("s", "ps", "S", "o", "f", "q", "p", "ap", "X", "l", "z", "T").Or("s", "S")
	binanceContrKeys   = jsonscan.Names("e", "E", "s", "ps", "ct", "dt", "ot", "cs")
	binanceContrStates = [...]struct {
		name string
		md.Status
	}{
		{"TRADING", md.StatusTrading}, {"PENDING_TRADING", md.StatusPreOpen},
		{"PRE_SETTLE", md.StatusHalted}, {"SETTLING", md.StatusSettling},
		{"PRE_DELIVERING", md.StatusHalted}, {"DELIVERING", md.StatusSettling},
		{"DELIVERED", md.StatusClosed}, {"CLOSE", md.StatusClosed},
	}
)

func binanceFuturesDepth(b []byte, i int, d *Decoded) int {
	const needed = 1<<3 | 1<<4 | 1<<5 | 1<<7 | 1<<8
	from := len(d.Recs)
	var native []byte
	var sent, ts int64
	var first, last, prev uint64
	var got once
	keys := binanceDepthKeys
	k, at := jsonscan.First(b, i, keys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, keys, k) {
		if at < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		switch k {
		case 1:
			sent, i = jsonscan.Time(b, at)
		case 2:
			ts, i = jsonscan.Time(b, at)
		case 3:
			native, i = jsonscan.Text(b, at)
		case 4:
			first, i = jsonscan.Uint(b, at)
		case 5:
			last, i = jsonscan.Uint(b, at)
		case 6:
			prev, i = jsonscan.Uint(b, at)
		case 7:
			i = d.levels(b, at, md.SideBid, false)
		case 8:
			i = d.levels(b, at, md.SideAsk, false)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
	}
	if at < 0 || !got.have(needed) || first > last || last > 1<<63-1 || prev > 1<<63-1 {
		return jsonscan.Bad
	}
	if !got.have(1 << 6) { // the spot market's, which chains otherwise
		return unsupported
	}
	if ts == 0 {
		ts = sent
	}
	d.stamp(from, ts, last)
	ev := d.event(md.ChannelBook, native, nil, from)
	ev.SeqFirst, ev.SeqLast, ev.SeqPrev = int64(first), int64(last), int64(prev)
	return at
}

func binanceAggTrade(b []byte, i int, d *Decoded) int {
	const needed = 1<<2 | 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<9
	r := d.slot(md.KindTrade)
	var native []byte
	var first, last uint64
	var got once
	keys := binanceAggKeys
	k, at := jsonscan.First(b, i, keys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, keys, k) {
		if at < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		switch k {
		case 2:
			native, i = jsonscan.Text(b, at)
		case 3:
			r.ID, i = jsonscan.Uint(b, at)
		case 4:
			r.Price, r.PriceExp, i = jsonscan.Number(b, at)
		case 5:
			r.Size, r.SizeExp, i = jsonscan.Number(b, at)
		case 6:
			first, i = jsonscan.Uint(b, at)
		case 7:
			last, i = jsonscan.Uint(b, at)
		case 8:
			r.TsEvent, i = jsonscan.Time(b, at)
		case 9:
			r.Side, i = takerOf(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
	}
	if at < 0 || !got.have(needed) || r.Size < 0 || first > last {
		return jsonscan.Bad
	}
	r.Count = uint32(min(last-first, 1<<32-2) + 1)
	d.event(md.ChannelTrades, native, nil, len(d.Recs)-1)
	return at
}

// takerOf reads whether the buyer is the maker, which makes the seller the taker.
func takerOf(b []byte, i int) (side uint8, next int) {
	maker, i := jsonscan.Bool(b, i)
	if maker {
		return md.SideSell, i
	}
	return md.SideBuy, i
}

func binanceFuturesTrade(b []byte, i int, d *Decoded) int {
	const needed = 1<<2 | 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<8
	r := d.slot(md.KindTrade)
	r.Count = 1
	var native, x []byte
	var got once
	keys := binanceFutTrades
	k, at := jsonscan.First(b, i, keys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, keys, k) {
		if at < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		switch k {
		case 2:
			r.TsEvent, i = jsonscan.Time(b, at)
		case 3:
			native, i = jsonscan.Text(b, at)
		case 4:
			r.ID, i = jsonscan.Uint(b, at)
		case 5:
			r.Price, r.PriceExp, i = jsonscan.Number(b, at)
		case 6:
			r.Size, r.SizeExp, i = jsonscan.Number(b, at)
		case 7:
			x, i = jsonscan.Text(b, at)
		case 8:
			r.Side, i = takerOf(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
	}
	if at < 0 || !got.have(needed) || r.Size < 0 {
		return jsonscan.Bad
	}
	if x != nil && string(x) != "MARKET" {
		d.Recs = d.Recs[:len(d.Recs)-1]
		return at
	}
	d.event(md.ChannelTrades, native, nil, len(d.Recs)-1)
	return at
}

func binanceFuturesBBO(b []byte, i int, d *Decoded) int {
	const needed = 1<<7 - 1<<1
	from := len(d.Recs)
	bid, ask := d.quotes()
	var native []byte
	var sent, ts int64
	var id uint64
	var got once
	keys := binanceFutBBOKeys
	k, at := jsonscan.First(b, i, keys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, keys, k) {
		if at < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		switch k {
		case 1:
			id, i = jsonscan.Uint(b, at)
		case 2:
			native, i = jsonscan.Text(b, at)
		case 3:
			bid.Price, bid.PriceExp, i = jsonscan.Number(b, at)
		case 4:
			bid.Size, bid.SizeExp, i = jsonscan.Number(b, at)
		case 5:
			ask.Price, ask.PriceExp, i = jsonscan.Number(b, at)
		case 6:
			ask.Size, ask.SizeExp, i = jsonscan.Number(b, at)
		case 7:
			ts, i = jsonscan.Time(b, at)
		case 8:
			sent, i = jsonscan.Time(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
	}
	if at < 0 || !got.have(needed) || bid.Size < 0 || ask.Size < 0 || id > 1<<63-1 {
		return jsonscan.Bad
	}
	if ts == 0 {
		ts = sent
	}
	quote(bid, bid.Price, bid.Size, bid.PriceExp, bid.SizeExp)
	quote(ask, ask.Price, ask.Size, ask.PriceExp, ask.SizeExp)
	d.stamp(from, ts, id)
	d.event(md.ChannelBBO, native, nil, from).SeqLast = int64(id)
	return at
}

// binanceMark decodes markPriceUpdate: mark and index price, and of perpetuals
// the funding rate with its next time.
func binanceMark(b []byte, i int, d *Decoded) int {
	from := len(d.Recs)
	fund := md.Record{Kind: md.KindFunding, Level: 1}
	var native []byte
	var sent, next int64
	var rate bool
	var got once
	keys := binanceMarkKeys
	k, at := jsonscan.First(b, i, keys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, keys, k) {
		if at < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		switch k {
		case 1:
			sent, i = jsonscan.Time(b, at)
		case 2:
			native, i = jsonscan.Text(b, at)
		case 3:
			i = d.stat(b, at, md.StatMark)
		case 6:
			i = d.stat(b, at, md.StatIndex)
		case 7:
			fund.Price, fund.PriceExp, rate, i = number(b, at)
		case 8:
			next, i = instant(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
	}
	if at < 0 || !got.have(1<<1|1<<2) {
		return jsonscan.Bad
	}
	d.stamp(from, sent, 0)
	if len(d.Recs) > from {
		d.event(md.ChannelTicker, native, nil, from)
	}
	if rate && next > 0 { // of dated futures both are empty or 0
		fund.TsEvent, fund.ID = sent, uint64(next)
		d.add(fund)
		d.event(md.ChannelFunding, native, nil, len(d.Recs)-1)
	}
	return at
}

// binanceForceOrder decodes a forced order: its own side, price and size.
func binanceForceOrder(b []byte, i int, d *Decoded) int {
	var got once
	keys := binanceForceKeys
	k, at := jsonscan.First(b, i, keys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, keys, k) {
		if at < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		if k == 2 {
			i = binanceOrder(b, at, d)
		} else {
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
	}
	if !got.have(1 << 2) {
		return jsonscan.Bad
	}
	return at
}

func binanceOrder(b []byte, i int, d *Decoded) int {
	const needed = 1<<0 | 1<<2 | 1<<5 | 1<<6 | 1<<11
	r := d.slot(md.KindLiquidation)
	var native []byte
	var got once
	keys := binanceOrderKeys
	k, at := jsonscan.First(b, i, keys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, keys, k) {
		if at < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		switch k {
		case 0:
			native, i = jsonscan.Text(b, at)
		case 2:
			r.Side, i = aggressor(b, at)
		case 5:
			r.Size, r.SizeExp, i = jsonscan.Number(b, at)
		case 6:
			r.Price, r.PriceExp, i = jsonscan.Number(b, at)
		case 11:
			r.TsEvent, i = jsonscan.Time(b, at)
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
	d.event(md.ChannelLiquidations, native, nil, len(d.Recs)-1)
	return at
}

// binanceContract decodes contractInfo: an instrument's trading state.
func binanceContract(b []byte, i int, d *Decoded) int {
	var native, state []byte
	var ts int64
	var got once
	keys := binanceContrKeys
	k, at := jsonscan.First(b, i, keys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, keys, k) {
		if at < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		switch k {
		case 1:
			ts, i = jsonscan.Time(b, at)
		case 2:
			native, i = jsonscan.Text(b, at)
		case 7:
			state, i = jsonscan.Text(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
	}
	if at < 0 || !got.have(1<<1|1<<2|1<<7) {
		return jsonscan.Bad
	}
	for _, s := range binanceContrStates {
		if s.name == string(state) {
			d.status(native, s.Status, ts)
		}
	}
	return at
}
