package feeds

import (
	"bytes"

	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// kucoinTradeKeys are the members of a trade, first of the futures.
var kucoinTradeKeys = jsonscan.Names("symbol", "sequence", "side", "size", "price", "takerOrderId", "makerOrderId", "tradeId", "ts").
	Or("makerOrderId", "price", "sequence", "side", "size", "symbol", "takerOrderId", "time", "tradeId", "type")

// trade decodes a match; its side is the taker's.
func (p *kucoinPush) trade(b []byte, i int, d *Decoded) int {
	const needed = 1<<2 | 1<<3 | 1<<4 | 1<<7
	r := d.slot(md.KindTrade)
	r.Count = 1
	var text []byte
	var got once
	k, at := jsonscan.First(b, i, kucoinTradeKeys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, kucoinTradeKeys, k) {
		if at < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		switch k {
		case 2:
			r.Side, i = aggressor(b, at)
		case 3:
			r.Size, r.SizeExp, i = jsonscan.Number(b, at)
		case 4:
			r.Price, r.PriceExp, i = jsonscan.Number(b, at)
		case 8, 9:
			r.TsEvent, i = jsonscan.Time(b, at)
		case 7:
			r.ID, text, i = jsonscan.ID(b, at)
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
	if text != nil {
		r.Flags = md.FlagIDHash
	}
	d.event(md.ChannelTrades, p.native, nil, len(d.Recs)-1).Text = text
	return at
}

var (
	kucoinUpdateKeys = jsonscan.Names("changes", "sequenceEnd", "sequenceStart", "symbol", "time")
	kucoinSideKeys   = jsonscan.Names("asks", "bids")
)

// changes decodes an update of level2. A price of 0 is no level.
func (p *kucoinPush) changes(b []byte, i int, d *Decoded) int {
	from := len(d.Recs)
	var ts int64
	var first, last uint64
	var got, sides once
	k, at := jsonscan.First(b, i, kucoinUpdateKeys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, kucoinUpdateKeys, k) {
		if at < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		switch k {
		case 0:
			i = kucoinSides(b, at, d, &sides)
		case 1:
			last, i = jsonscan.Uint(b, at)
		case 2:
			first, i = jsonscan.Uint(b, at)
		case 4:
			ts, i = jsonscan.Time(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
	}
	if at < 0 || !got.have(7) || first > last || last > 1<<63-1 {
		return jsonscan.Bad
	}
	d.stamp(from, ts, last)
	ev := d.event(md.ChannelBook, p.native, nil, from)
	ev.SeqFirst, ev.SeqLast = int64(first), int64(last)
	return at
}

// kucoinSides reads the members asks and bids and drops prices of 0.
func kucoinSides(b []byte, i int, d *Decoded, got *once) int {
	k, at := jsonscan.First(b, i, kucoinSideKeys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, kucoinSideKeys, k) {
		if at < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		from := len(d.Recs)
		switch k {
		case 0:
			i = d.levels(b, at, md.SideAsk, false)
		case 1:
			i = d.levels(b, at, md.SideBid, false)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
		kept := from
		for n := from; n < len(d.Recs); n++ {
			if d.Recs[n].Price != 0 {
				if kept != n {
					d.Recs[kept] = d.Recs[n]
				}
				kept++
			}
		}
		d.Recs = d.Recs[:kept]
	}
	return at
}

var kucoinWholeKeys = jsonscan.Names("asks", "bids", "timestamp", "sequence", "ts")

// whole decodes level2Depth50 and level2Depth5; those of futures have a number.
func (p *kucoinPush) whole(b []byte, i int, d *Decoded) int {
	from := len(d.Recs)
	var ts int64
	var seq uint64
	var got once
	k, at := jsonscan.First(b, i, kucoinWholeKeys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, kucoinWholeKeys, k) {
		if at < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		switch k {
		case 0:
			i = d.levels(b, at, md.SideAsk, false)
		case 1:
			i = d.levels(b, at, md.SideBid, false)
		case 2, 4:
			ts, i = jsonscan.Time(b, at)
		case 3:
			seq, i = jsonscan.Uint(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
	}
	if at < 0 || !got.have(3) || seq > 1<<63-1 {
		return jsonscan.Bad
	}
	d.stamp(from, ts, seq)
	ev := d.event(md.ChannelBook, p.native, nil, from)
	ev.Action, ev.SeqLast = ActionReplace, int64(seq)
	return at
}

var kucoinChangeKeys = jsonscan.Names("sequence", "change", "timestamp")

// change decodes level2 of the futures: one level, "price,side,size".
func (p *kucoinPush) change(b []byte, i int, d *Decoded) int {
	r := d.slot(md.KindBook)
	var got once
	k, at := jsonscan.First(b, i, kucoinChangeKeys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, kucoinChangeKeys, k) {
		if at < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		switch k {
		case 0:
			r.ID, i = jsonscan.Uint(b, at)
		case 1:
			var text []byte
			if text, i = jsonscan.Text(b, at); i >= 0 && !kucoinLevel(text, r) {
				return jsonscan.Bad
			}
		case 2:
			r.TsEvent, i = jsonscan.Time(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
	}
	if at < 0 || !got.have(3) || r.Size < 0 || r.ID > 1<<63-1 {
		return jsonscan.Bad
	}
	seq := int64(r.ID)
	if r.Price == 0 {
		d.Recs = d.Recs[:len(d.Recs)-1]
		d.event(md.ChannelBook, p.native, nil, len(d.Recs)).SeqLast = seq
	} else {
		d.event(md.ChannelBook, p.native, nil, len(d.Recs)-1).SeqLast = seq
	}
	d.Events[len(d.Events)-1].SeqFirst = seq
	return at
}

// kucoinLevel reads 0.21506,sell,0 into r. The numbers are looked at as JSON.
func kucoinLevel(text []byte, r *md.Record) bool {
	i := bytes.IndexByte(text, ',')
	j := bytes.LastIndexByte(text, ',')
	if i < 1 || j <= i || j == len(text)-1 {
		return false
	}
	var n, m int
	r.Price, r.PriceExp, n = jsonscan.Number(text[:i:i], 0)
	r.Size, r.SizeExp, m = jsonscan.Number(text, j+1)
	switch string(text[i+1 : j]) {
	case "buy":
		r.Side = md.SideBid
	case "sell":
		r.Side = md.SideAsk
	default:
		return false
	}
	return n == i && m == len(text)
}

// kucoinBBOKeys are the members of trade.ticker, then of tickerV2.
var kucoinBBOKeys = jsonscan.Names("bestAsk", "bestAskSize", "bestBid", "bestBidSize", "price", "sequence", "size", "time",
	"bestAskPrice", "bestBidPrice", "ts", "symbol").
	Or("symbol", "sequence", "bestBidSize", "bestBidPrice", "bestAskPrice", "bestAskSize", "ts")

func (p *kucoinPush) bbo(b []byte, i int, d *Decoded) int {
	from := len(d.Recs)
	bid, ask := d.quotes()
	var ts int64
	var seq uint64
	var got once
	k, at := jsonscan.First(b, i, kucoinBBOKeys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, kucoinBBOKeys, k) {
		if at < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		switch k {
		case 0, 8:
			ask.Price, ask.PriceExp, _, i = number(b, at)
		case 1:
			ask.Size, ask.SizeExp, _, i = number(b, at)
		case 2, 9:
			bid.Price, bid.PriceExp, _, i = number(b, at)
		case 3:
			bid.Size, bid.SizeExp, _, i = number(b, at)
		case 5:
			seq, i = jsonscan.Uint(b, at)
		case 7, 10:
			ts, i = jsonscan.Time(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
	}
	if at < 0 || !got.have(1<<1|1<<3) || bid.Size < 0 || ask.Size < 0 || seq > 1<<63-1 {
		return jsonscan.Bad
	}
	if !got.have(1) && !got.have(1<<8) || !got.have(1<<2) && !got.have(1<<9) {
		return jsonscan.Bad
	}
	quote(bid, bid.Price, bid.Size, bid.PriceExp, bid.SizeExp)
	quote(ask, ask.Price, ask.Size, ask.PriceExp, ask.SizeExp)
	d.stamp(from, ts, seq)
	d.event(md.ChannelBBO, p.native, nil, from).SeqLast = int64(seq)
	return at
}

// ticker decodes the snapshot of spot, whose statistics are in data of its own.
func (p *kucoinPush) ticker(b []byte, i int, d *Decoded) int {
	var got once
	k, at := jsonscan.First(b, i, kucoinTickerKeys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, kucoinTickerKeys, k) {
		if at < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		if k == 1 {
			i = p.statistics(b, at, d)
		} else {
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
	}
	if at < 0 || !got.have(1<<1) {
		return jsonscan.Bad
	}
	return at
}

var kucoinTickerKeys = jsonscan.Names("sequence", "data")

// kucoinStatKeys are the members of statistics: of spot's snapshot, of that of
// futures, and of mark and index prices.
var kucoinStatKeys = jsonscan.Names("lastTradedPrice", "open", "high", "low", "vol", "volValue", "datetime",
	"lastPrice", "price24HoursBefore", "highPrice", "lowPrice", "volume", "turnover", "ts",
	"markPrice", "indexPrice", "timestamp").
	Or("askSize", "averagePrice", "baseCurrency", "buy", "changePrice", "changeRate", "close", "datetime", "high",
		"lastTradedPrice", "low", "marketChange1h", "open", "symbol", "symbolCode", "trading", "vol", "volValue").
	Or("highPrice", "lastPrice", "lowPrice", "price24HoursBefore", "priceChg", "priceChgPct", "symbol", "ts", "turnover", "volume")

const kucoinTime = md.NumStats

// kucoinStats maps the members above to what they are.
var kucoinStats = [...]uint8{
	md.StatLast, md.StatOpen, md.StatHigh, md.StatLow, md.StatVolume, md.StatTurnover, kucoinTime,
	md.StatLast, md.StatOpen, md.StatHigh, md.StatLow, md.StatVolume, md.StatTurnover, kucoinTime,
	md.StatMark, md.StatIndex, kucoinTime,
}

func (p *kucoinPush) statistics(b []byte, i int, d *Decoded) int {
	from := len(d.Recs)
	var ts int64
	var got once
	k, at := jsonscan.First(b, i, kucoinStatKeys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, kucoinStatKeys, k) {
		switch {
		case at < 0 || !got.add(k):
			return jsonscan.Bad
		case uint(k) >= uint(len(kucoinStats)):
			i = jsonscan.Skip(b, at)
		case kucoinStats[k] == kucoinTime:
			ts, i = instant(b, at)
		default:
			i = d.stat(b, at, kucoinStats[k])
		}
		if i < 0 {
			return i
		}
	}
	if at < 0 || ts == 0 {
		return jsonscan.Bad
	}
	d.stamp(from, ts, 0)
	if len(d.Recs) > from {
		d.event(md.ChannelTicker, p.native, nil, from)
	}
	return at
}

var kucoinFundingKeys = jsonscan.Names("granularity", "fundingRate", "timestamp")

// funding decodes a rate: one told every minute is the prediction.
func (p *kucoinPush) funding(b []byte, i int, d *Decoded) int {
	const minute = 60_000
	r := d.slot(md.KindFunding)
	r.Level = 1
	var ms uint64
	var got once
	k, at := jsonscan.First(b, i, kucoinFundingKeys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, kucoinFundingKeys, k) {
		if at < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		switch k {
		case 0:
			ms, i = jsonscan.Uint(b, at)
		case 1:
			r.Price, r.PriceExp, i = jsonscan.Number(b, at)
		case 2:
			r.TsEvent, i = jsonscan.Time(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
	}
	if at < 0 || !got.have(7) || ms > 1<<40 {
		return jsonscan.Bad
	}
	if ms <= minute {
		r.Level = 2
	} else {
		r.Count = uint32(ms / 1000)
	}
	d.event(md.ChannelFunding, p.native, nil, len(d.Recs)-1)
	return at
}
