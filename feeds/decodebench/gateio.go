package decodebench

import (
	"fmt"
	"strings"

	"github.com/valyala/fastjson"

	"tickrelay/ring/md"
)

// gateioBench is that of spot.
func gateioBench() venueBench {
	return venueBench{
		channels: common,
		frame:    func(g *generator, ch md.Channel) string { return g.gateio(ch, g.next()) },
		fast:     (*fast).gateio,
	}
}

// gateioFuturesBench is that of futures, whose tickers tell funding and open
// interest too.
func gateioFuturesBench() venueBench {
	return venueBench{
		channels: append(common[:4:4], md.ChannelLiquidations),
		frame:    func(g *generator, ch md.Channel) string { return g.gateioFutures(ch, g.next()) },
		fast:     (*fast).gateio,
	}
}

func gatePush(channel string, ms uint64, result string) string {
	return fmt.Sprintf(`{"time":%d,"time_ms":%d,"channel":"%s","event":"update","result":%s}`, ms/1000, ms+3, channel, result)
}

func (g *generator) gateio(ch md.Channel, ms uint64) string {
	switch ch {
	case md.ChannelTrades:
		return gatePush("spot.trades", ms, fmt.Sprintf(`{"id":%d,"id_market":%d,"create_time":%d,"create_time_ms":"%d.%06d","side":"%s","currency_pair":"BTC_USDT","amount":"%s","price":"%s","range":"2390902-2390902"}`,
			9309143071+g.seq, 9012+g.seq, ms/1000, ms, g.r.IntN(1e6), g.side(), g.size(), g.price()))
	case md.ChannelBook:
		return gatePush("spot.order_book_update", ms, fmt.Sprintf(`{"t":%d,"e":"depthUpdate","E":%d,"s":"BTC_USDT","U":%d,"u":%d,"b":%s,"a":%s}`,
			ms, ms/1000, 28776301000+g.seq, 28776301030+g.seq, g.levels(5+g.r.IntN(30)), g.levels(5+g.r.IntN(30))))
	case md.ChannelBBO:
		return gatePush("spot.book_ticker", ms, fmt.Sprintf(`{"t":%d,"u":%d,"s":"BTC_USDT","b":"%s","B":"%s","a":"%s","A":"%s"}`,
			ms, 28776301000+g.seq, g.price(), g.size(), g.price(), g.size()))
	}
	return gatePush("spot.tickers", ms, fmt.Sprintf(`{"currency_pair":"BTC_USDT","last":"%s","lowest_ask":"%s","highest_bid":"%s","change_percentage":"-0.91","base_volume":"1862.8005","quote_volume":"119449288.9235","high_24h":"%s","low_24h":"%s"}`,
		g.price(), g.price(), g.price(), g.price(), g.price()))
}

func (g *generator) gateioFutures(ch md.Channel, ms uint64) string {
	signed := func() int { return g.contracts() * (1 - 2*g.r.IntN(2)) }
	levels := func() string {
		var all []string
		for range 5 + g.r.IntN(30) {
			all = append(all, fmt.Sprintf(`{"p":"%s","s":%d}`, g.price(), g.contracts()-1))
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	switch ch {
	case md.ChannelTrades:
		return gatePush("futures.trades", ms, fmt.Sprintf(`[{"size":%d,"id":%d,"create_time":%d,"create_time_ms":%d,"price":"%s","contract":"BTC_USDT"}]`,
			signed(), 527753479+g.seq, ms/1000, ms, g.price()))
	case md.ChannelBook:
		return gatePush("futures.order_book_update", ms, fmt.Sprintf(`{"t":%d,"s":"BTC_USDT","U":%d,"u":%d,"b":%s,"a":%s}`,
			ms, 92517661101+g.seq, 92517661113+g.seq, levels(), levels()))
	case md.ChannelBBO:
		return gatePush("futures.book_ticker", ms, fmt.Sprintf(`{"t":%d,"u":%d,"s":"BTC_USDT","b":"%s","B":%d,"a":"%s","A":%d}`,
			ms, 92517661101+g.seq, g.price(), g.contracts(), g.price(), g.contracts()))
	case md.ChannelLiquidations:
		return gatePush("futures.public_liquidates", ms, fmt.Sprintf(`[{"price":"%s","size":%d,"time_ms":%d,"time":%d,"contract":"BTC_USDT"}]`,
			g.price(), signed(), ms, ms/1000))
	}
	return gatePush("futures.tickers", ms, fmt.Sprintf(`[{"contract":"BTC_USDT","last":"%s","change_percentage":"-1.3224","total_size":"%d","volume_24h":"155496714","volume_24h_base":"15549","volume_24h_quote":"998360157","volume_24h_settle":"998360157","mark_price":"%s","funding_rate":"0.0000%02d","funding_rate_indicative":"-0.00012","index_price":"%s","quanto_base_rate":"","low_24h":"%s","high_24h":"%s"}]`,
		g.price(), 153482780+g.r.IntN(100000), g.price(), g.r.IntN(100), g.price(), g.price(), g.price()))
}

var (
	gateStats = []statKey{{"last", md.StatLast}, {"high_24h", md.StatHigh}, {"low_24h", md.StatLow},
		{"base_volume", md.StatVolume}, {"quote_volume", md.StatTurnover}}
	gateFuturesStats = []statKey{{"last", md.StatLast}, {"high_24h", md.StatHigh}, {"low_24h", md.StatLow},
		{"mark_price", md.StatMark}, {"index_price", md.StatIndex}, {"volume_24h", md.StatVolume}, {"volume_24h_quote", md.StatTurnover}}
)

func (f *fast) gateio(v *fastjson.Value, ch md.Channel) {
	d := v.Get("result")
	from := len(f.dst)
	switch ch {
	case md.ChannelTrades:
		if d.Type() == fastjson.TypeArray {
			for _, t := range d.GetArray() {
				f.signed(md.Record{Kind: md.KindTrade, TsEvent: f.time(t.Get("create_time_ms")), ID: t.GetUint64("id"), Count: 1}, t)
			}
			return
		}
		ms, _ := f.number(d.Get("create_time_ms"))
		ns, ok := md.Rescale(ms.Mant, ms.Exp, -6)
		f.bad = f.bad || !ok
		f.event(md.Record{Kind: md.KindTrade, Side: sideOf(d.GetStringBytes("side")), TsEvent: ns, ID: d.GetUint64("id"), Count: 1},
			d.Get("price"), d.Get("amount"))
	case md.ChannelBook:
		if f.venue == "gateio" {
			f.levels(d.Get("b"), md.SideBid)
			f.levels(d.Get("a"), md.SideAsk)
			f.stamp(from, d.GetInt64("t"), d.GetUint64("u"))
			return
		}
		ts, id := f.time(d.Get("t")), d.GetUint64("u")
		for _, l := range d.GetArray("b") {
			f.level(md.SideBid, l.Get("p"), l.Get("s"), ts, id)
		}
		for _, l := range d.GetArray("a") {
			f.level(md.SideAsk, l.Get("p"), l.Get("s"), ts, id)
		}
	case md.ChannelBBO:
		ts, id := f.time(d.Get("t")), d.GetUint64("u")
		f.quote(md.SideBid, d.Get("b"), d.Get("B"), ts, id)
		f.quote(md.SideAsk, d.Get("a"), d.Get("A"), ts, id)
	case md.ChannelTicker:
		f.gateTickers(d, f.time(v.Get("time_ms")))
	case md.ChannelLiquidations:
		for _, t := range d.GetArray() {
			f.signed(md.Record{Kind: md.KindLiquidation, TsEvent: f.time(t.Get("time_ms"))}, t)
		}
	}
}

// signed adds a record whose side is the sign of its size.
func (f *fast) signed(r md.Record, t *fastjson.Value) {
	f.event(r, t.Get("price"), t.Get("size"))
	last := &f.dst[len(f.dst)-1]
	if last.Side = md.SideBuy; last.Size < 0 {
		last.Side, last.Size = md.SideSell, -last.Size
	}
}

func (f *fast) gateTickers(d *fastjson.Value, ns int64) {
	if d.Type() != fastjson.TypeArray {
		f.stats(d, gateStats, ns)
		return
	}
	for _, t := range d.GetArray() {
		f.stats(t, gateFuturesStats, ns)
		f.event(md.Record{Kind: md.KindFunding, Level: md.FundingCurrent, TsEvent: ns}, t.Get("funding_rate"), nil)
		f.event(md.Record{Kind: md.KindFunding, Level: md.FundingPredicted, TsEvent: ns}, t.Get("funding_rate_indicative"), nil)
		f.event(md.Record{Kind: md.KindOpenInterest, Price: md.Absent, TsEvent: ns}, nil, t.Get("total_size"))
	}
}
