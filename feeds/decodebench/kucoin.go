package decodebench

import (
	"bytes"
	"fmt"

	"github.com/valyala/fastjson"

	"tickrelay/ring/md"
)

// kucoinBench is that of spot, whose book comes whole, 50 levels a side.
func kucoinBench() venueBench {
	return venueBench{
		channels: common,
		frame:    func(g *generator, ch md.Channel) string { return g.kucoin(ch, g.next()) },
		fast:     (*fast).kucoin,
	}
}

// kucoinFuturesBench is that of futures, whose book comes a change at a time.
func kucoinFuturesBench() venueBench {
	return venueBench{
		channels: append(common[:4:4], md.ChannelFunding),
		frame:    func(g *generator, ch md.Channel) string { return g.kucoinFutures(ch, g.next()) },
		fast:     (*fast).kucoinFutures,
	}
}

func (g *generator) kucoin(ch md.Channel, ms uint64) string {
	push := func(topic, subject, data string) string {
		return fmt.Sprintf(`{"topic":"%s:BTC-USDT","type":"message","subject":"%s","data":%s}`, topic, subject, data)
	}
	switch ch {
	case md.ChannelTrades:
		return push("/market/match", "trade.l3match", fmt.Sprintf(`{"makerOrderId":"671b5007389355000701b1d3","price":"%s","sequence":"%d","side":"%s","size":"%s","symbol":"BTC-USDT","takerOrderId":"671b50161777ff00074c168d","time":"%d","tradeId":"%d","type":"match"}`,
			g.price(), 11067996711960577+g.seq, g.side(), g.size(), ms*1e6+g.r.Uint64N(1e6), 11067996711960577+g.seq))
	case md.ChannelBook:
		return push("/spotMarket/level2Depth50", "level2", fmt.Sprintf(`{"asks":%s,"bids":%s,"timestamp":%d}`, g.levels(50), g.levels(50), ms))
	case md.ChannelBBO:
		return push("/market/ticker", "trade.ticker", fmt.Sprintf(`{"bestAsk":"%s","bestAskSize":"%s","bestBid":"%s","bestBidSize":"%s","price":"%s","sequence":"%d","size":"%s","time":%d}`,
			g.price(), g.size(), g.price(), g.size(), g.price(), 14701689790+g.seq, g.size(), ms))
	}
	return push("/market/snapshot", "trade.snapshot", fmt.Sprintf(`{"sequence":"%d","data":{"askSize":0.5,"averagePrice":64000.1,"baseCurrency":"BTC","buy":%s,"changePrice":-120.5,"changeRate":-0.0018,"close":%s,"datetime":%d,"high":%s,"lastTradedPrice":%s,"low":%s,"marketChange1h":{"changePrice":1,"high":2},"open":%s,"symbol":"BTC-USDT","symbolCode":"BTC-USDT","trading":true,"vol":3986.74096943,"volValue":255187654.226912}}`,
		14701753564+g.seq, g.price(), g.price(), ms, g.price(), g.price(), g.price(), g.price()))
}

func (g *generator) kucoinFutures(ch md.Channel, ms uint64) string {
	seq := 1709400450243 + g.seq
	push := func(topic, subject, data string) string {
		return fmt.Sprintf(`{"topic":"%s:XBTUSDTM","type":"message","subject":"%s","sn":%d,"data":%s}`, topic, subject, seq, data)
	}
	switch ch {
	case md.ChannelTrades:
		return push("/contractMarket/execution", "match", fmt.Sprintf(`{"symbol":"XBTUSDTM","sequence":%d,"side":"%s","size":%d,"price":"%s","takerOrderId":"247822202957807616","makerOrderId":"247822167163555840","tradeId":"%d","ts":%d}`,
			seq, g.side(), g.contracts(), g.price(), seq, ms*1e6+g.r.Uint64N(1e6)))
	case md.ChannelBook:
		return push("/contractMarket/level2", "level2", fmt.Sprintf(`{"sequence":%d,"change":"%s,%s,%d","timestamp":%d}`,
			seq, g.price(), g.side(), g.contracts()-1, ms))
	case md.ChannelBBO:
		return push("/contractMarket/tickerV2", "tickerV2", fmt.Sprintf(`{"symbol":"XBTUSDTM","sequence":%d,"bestBidSize":%d,"bestBidPrice":"%s","bestAskPrice":"%s","bestAskSize":%d,"ts":%d}`,
			seq, g.contracts(), g.price(), g.price(), g.contracts(), ms*1e6+g.r.Uint64N(1e6)))
	case md.ChannelFunding:
		return fmt.Sprintf(`{"topic":"/contract/instrument:XBTUSDTM","type":"message","subject":"funding.rate","data":{"granularity":60000,"fundingRate":-0.000%03d,"timestamp":%d}}`,
			g.r.IntN(1000), ms)
	}
	return push("/contractMarket/snapshot", "snapshot.24h", fmt.Sprintf(`{"highPrice":%s,"lastPrice":%s,"lowPrice":%s,"price24HoursBefore":%s,"priceChg":-376.7,"priceChgPct":-0.0058,"symbol":"XBTUSDTM","ts":%d,"turnover":551607418.39,"volume":8566.321}`,
		g.price(), g.price(), g.price(), g.price(), ms*1e6))
}

var (
	kucoinStats = []statKey{{"lastTradedPrice", md.StatLast}, {"open", md.StatOpen}, {"high", md.StatHigh}, {"low", md.StatLow},
		{"vol", md.StatVolume}, {"volValue", md.StatTurnover}}
	kucoinFuturesStats = []statKey{{"lastPrice", md.StatLast}, {"price24HoursBefore", md.StatOpen}, {"highPrice", md.StatHigh},
		{"lowPrice", md.StatLow}, {"volume", md.StatVolume}, {"turnover", md.StatTurnover}}
)

func (f *fast) kucoin(v *fastjson.Value, ch md.Channel) {
	d := v.Get("data")
	from := len(f.dst)
	switch ch {
	case md.ChannelTrades:
		f.kucoinTrade(d, "time")
	case md.ChannelBook:
		f.levels(d.Get("asks"), md.SideAsk)
		f.levels(d.Get("bids"), md.SideBid)
		f.stamp(from, d.GetInt64("timestamp"), 0)
	case md.ChannelBBO:
		ts, id := f.time(d.Get("time")), uint64(f.integer(d.Get("sequence")))
		f.quote(md.SideBid, d.Get("bestBid"), d.Get("bestBidSize"), ts, id)
		f.quote(md.SideAsk, d.Get("bestAsk"), d.Get("bestAskSize"), ts, id)
	case md.ChannelTicker:
		d = d.Get("data")
		f.stats(d, kucoinStats, f.time(d.Get("datetime")))
	}
}

func (f *fast) kucoinTrade(d *fastjson.Value, ts string) {
	id, flags := f.id(d.Get("tradeId"))
	f.event(md.Record{Kind: md.KindTrade, Flags: flags, Side: sideOf(d.GetStringBytes("side")), TsEvent: f.time(d.Get(ts)), ID: id, Count: 1},
		d.Get("price"), d.Get("size"))
}

func (f *fast) kucoinFutures(v *fastjson.Value, ch md.Channel) {
	d := v.Get("data")
	switch ch {
	case md.ChannelTrades:
		f.kucoinTrade(d, "ts")
	case md.ChannelBook:
		f.kucoinChange(d)
	case md.ChannelBBO:
		ts, id := f.time(d.Get("ts")), d.GetUint64("sequence")
		f.quote(md.SideBid, d.Get("bestBidPrice"), d.Get("bestBidSize"), ts, id)
		f.quote(md.SideAsk, d.Get("bestAskPrice"), d.Get("bestAskSize"), ts, id)
	case md.ChannelTicker:
		f.stats(d, kucoinFuturesStats, f.time(d.Get("ts")))
	case md.ChannelFunding:
		r := md.Record{Kind: md.KindFunding, Level: md.FundingCurrent, TsEvent: f.time(d.Get("timestamp"))}
		if ms := d.GetUint64("granularity"); ms <= 60000 {
			r.Level = md.FundingPredicted
		} else {
			r.Count = uint32(ms / 1000)
		}
		f.event(r, d.Get("fundingRate"), nil)
	}
}

// kucoinChange reads "price,side,size".
func (f *fast) kucoinChange(d *fastjson.Value) {
	price, rest, _ := bytes.Cut(d.GetStringBytes("change"), []byte(","))
	side, size, ok := bytes.Cut(rest, []byte(","))
	p, err := md.ParseDecimal(price)
	s, err2 := md.ParseDecimal(size)
	f.bad = f.bad || !ok || err != nil || err2 != nil
	f.dst = append(f.dst, md.Record{Kind: md.KindBook, Side: sideOf(side), Price: p.Mant, PriceExp: p.Exp, Size: s.Mant, SizeExp: s.Exp,
		TsEvent: f.time(d.Get("timestamp")), ID: d.GetUint64("sequence")})
}
