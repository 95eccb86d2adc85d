package decodebench

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/valyala/fastjson"

	"tickrelay/ring/md"
)

// krakenBench is that of spot, version 2: the bbo comes in the tickers.
func krakenBench() venueBench {
	return venueBench{
		channels: []md.Channel{md.ChannelTrades, md.ChannelBook, md.ChannelTicker},
		frame:    func(g *generator, ch md.Channel) string { return g.kraken(ch, g.next()) },
		fast:     (*fast).kraken,
	}
}

// krakenFuturesBench is that of futures: the book comes a level at a time, bbo,
// funding and open interest in the tickers, liquidations are trades with a mark.
func krakenFuturesBench() venueBench {
	return venueBench{
		channels: []md.Channel{md.ChannelTrades, md.ChannelBook, md.ChannelTicker, md.ChannelLiquidations},
		frame:    func(g *generator, ch md.Channel) string { return g.krakenFutures(ch, g.next()) },
		fast:     (*fast).krakenFutures,
	}
}

func (g *generator) kraken(ch md.Channel, ms uint64) string {
	push := func(channel, data string) string {
		return fmt.Sprintf(`{"channel":"%s","type":"update","data":[%s]}`, channel, data)
	}
	switch ch {
	case md.ChannelTrades:
		var all []string
		for k := range 1 + g.r.IntN(3) {
			all = append(all, fmt.Sprintf(`{"symbol":"BTC/USD","side":"%s","price":%s,"qty":%s,"ord_type":"market","trade_id":%d,"timestamp":"%s"}`,
				g.side(), g.price(), g.eight(), 81240002+g.seq+uint64(k), g.iso(ms)))
		}
		return push("trade", strings.Join(all, ","))
	case md.ChannelBook:
		return push("book", fmt.Sprintf(`{"symbol":"BTC/USD","bids":%s,"asks":%s,"checksum":%d,"timestamp":"%s"}`,
			g.krakenLevels(), g.krakenLevels(), g.r.Uint32(), g.iso(ms)))
	}
	return push("ticker", fmt.Sprintf(`{"symbol":"BTC/USD","bid":%s,"bid_qty":%s,"ask":%s,"ask_qty":%s,"last":%s,"volume":2867.54532609,"vwap":64982.1,"low":%s,"high":%s,"change":-62.4,"change_pct":-0.10,"timestamp":"%s"}`,
		g.price(), g.eight(), g.price(), g.eight(), g.price(), g.price(), g.price(), g.iso(ms)))
}

func (g *generator) krakenLevels() string {
	var all []string
	for range 5 + g.r.IntN(30) {
		all = append(all, fmt.Sprintf(`{"price":%s,"qty":%s}`, g.price(), g.eight()))
	}
	return "[" + strings.Join(all, ",") + "]"
}

var krakenStats = []statKey{{"last", md.StatLast}, {"volume", md.StatVolume}, {"low", md.StatLow}, {"high", md.StatHigh}}

func (f *fast) kraken(v *fastjson.Value, ch md.Channel) {
	for _, d := range v.GetArray("data") {
		ts := f.iso(d.Get("timestamp"))
		switch ch {
		case md.ChannelTrades:
			f.event(md.Record{Kind: md.KindTrade, Side: sideOf(d.GetStringBytes("side")), TsEvent: ts, ID: d.GetUint64("trade_id"), Count: 1},
				d.Get("price"), d.Get("qty"))
		case md.ChannelBook:
			_ = d.GetUint64("checksum")
			for _, l := range d.GetArray("bids") {
				f.level(md.SideBid, l.Get("price"), l.Get("qty"), ts, 0)
			}
			for _, l := range d.GetArray("asks") {
				f.level(md.SideAsk, l.Get("price"), l.Get("qty"), ts, 0)
			}
		case md.ChannelTicker:
			f.quote(md.SideBid, d.Get("bid"), d.Get("bid_qty"), ts, 0)
			f.quote(md.SideAsk, d.Get("ask"), d.Get("ask_qty"), ts, 0)
			f.stats(d, krakenStats, ts)
		}
	}
}

func (g *generator) krakenFutures(ch md.Channel, ms uint64) string {
	quantity := func() string { return fmt.Sprintf("%d.0", g.contracts()) }
	trade := func(kind string) string {
		return fmt.Sprintf(`{"feed":"trade","product_id":"PI_XBTUSD","uid":"05af78ac-a774-478c-a50c-8b9c234e071e","side":"%s","type":"%s","seq":%d,"time":%d,"qty":%s,"price":%s}`,
			g.side(), kind, 655508+g.seq, ms, quantity(), g.price())
	}
	switch ch {
	case md.ChannelTrades:
		return trade("fill")
	case md.ChannelLiquidations:
		return trade("liquidation")
	case md.ChannelBook:
		return fmt.Sprintf(`{"feed":"book","product_id":"PF_XBTUSD","side":"%s","seq":%d,"price":%s,"qty":%s,"timestamp":%d}`,
			g.side(), 91193+g.seq, g.price(), g.size(), ms)
	}
	return fmt.Sprintf(`{"time":%d,"product_id":"PF_XBTUSD","funding_rate":0.%03d,"funding_rate_prediction":-0.42,"relative_funding_rate":0.00000%04d,"relative_funding_rate_prediction":-0.000006459,"next_funding_rate_time":1763845200000,"feed":"ticker","bid":%s,"ask":%s,"bid_size":%s,"ask_size":%s,"volume":2412.7311,"dtm":0,"leverage":"50x","index":%s,"premium":-0.1,"last":%s,"change":-0.9974549819855386,"suspended":false,"tag":"perpetual","pair":"XBT:USD","openInterest":%d.0943,"markPrice":%d.68641534714,"maturityTime":0,"post_only":false,"volumeQuote":156983012.5,"open":%s,"high":%s,"low":%s}`,
		ms, g.r.IntN(1000), g.r.IntN(10000), g.price(), g.price(), g.size(), g.size(), g.price(), g.price(), 1000+g.r.IntN(1000), 61000+g.r.IntN(900), g.price(), g.price(), g.price())
}

var krakenFuturesStats = []statKey{{"volume", md.StatVolume}, {"index", md.StatIndex}, {"last", md.StatLast}, {"markPrice", md.StatMark},
	{"volumeQuote", md.StatTurnover}, {"open", md.StatOpen}, {"high", md.StatHigh}, {"low", md.StatLow}}

func (f *fast) krakenFutures(v *fastjson.Value, ch md.Channel) {
	switch ch {
	case md.ChannelTrades, md.ChannelLiquidations:
		f.event(md.Record{Kind: md.KindTrade, Side: sideOf(v.GetStringBytes("side")), TsEvent: f.time(v.Get("time")), ID: v.GetUint64("seq"), Count: 1},
			v.Get("price"), v.Get("qty"))
		if bytes.Equal(v.GetStringBytes("type"), []byte("liquidation")) {
			r := f.dst[len(f.dst)-1]
			r.Kind, r.Count = md.KindLiquidation, 0
			f.dst = append(f.dst, r)
		}
	case md.ChannelBook:
		f.level(sideOf(v.GetStringBytes("side")), v.Get("price"), v.Get("qty"), f.time(v.Get("timestamp")), v.GetUint64("seq"))
	case md.ChannelTicker:
		f.krakenFuturesTicker(v)
	}
}

func (f *fast) krakenFuturesTicker(v *fastjson.Value) {
	ts := f.time(v.Get("time"))
	f.quote(md.SideBid, v.Get("bid"), v.Get("bid_size"), ts, 0)
	f.quote(md.SideAsk, v.Get("ask"), v.Get("ask_size"), ts, 0)
	f.stats(v, krakenFuturesStats, ts)
	f.event(md.Record{Kind: md.KindFunding, Level: md.FundingCurrent, TsEvent: ts, ID: uint64(f.time(v.Get("next_funding_rate_time")))},
		v.Get("relative_funding_rate"), nil)
	f.event(md.Record{Kind: md.KindFunding, Level: md.FundingPredicted, TsEvent: ts}, v.Get("relative_funding_rate_prediction"), nil)
	f.event(md.Record{Kind: md.KindOpenInterest, Price: md.Absent, TsEvent: ts}, nil, v.Get("openInterest"))
	status := md.StatusTrading
	switch {
	case v.GetBool("suspended"):
		status = md.StatusHalted
	case v.GetBool("post_only"):
		status = md.StatusPostOnly
	}
	f.dst = append(f.dst, md.Record{Kind: md.KindStatus, Level: uint8(status), TsEvent: ts})
}
