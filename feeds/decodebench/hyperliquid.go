package decodebench

import (
	"fmt"
	"strings"

	"github.com/valyala/fastjson"

	"tickrelay/ring/md"
)

// hyperliquidBench is Hyperliquid's: the book comes whole, 20 levels a side,
// funding and open interest in the frames of the statistics.
func hyperliquidBench() venueBench {
	return venueBench{
		channels: common,
		frame:    func(g *generator, ch md.Channel) string { return g.hyperliquid(ch, g.next()) },
		fast:     (*fast).hyperliquid,
	}
}

func (g *generator) hyperliquid(ch md.Channel, ms uint64) string {
	push := func(channel, data string) string { return fmt.Sprintf(`{"channel":"%s","data":%s}`, channel, data) }
	levels := func(n int) string {
		var all []string
		for range n {
			all = append(all, fmt.Sprintf(`{"px":"%d.0","sz":"%s","n":%d}`, 61000+g.r.IntN(900), g.size(), 1+g.r.IntN(1<<g.r.IntN(6))))
		}
		return strings.Join(all, ",")
	}
	switch ch {
	case md.ChannelTrades:
		var all []string
		for range 1 + g.r.IntN(3) {
			all = append(all, fmt.Sprintf(`{"coin":"BTC","side":"%s","px":"%d.0","sz":"%s","time":%d,"hash":"0xb2628bf07a30ffa6267904156eee1801610085114d2758aec6a6784d%08x","tid":%d,"users":["0xe9ed7e16612d676df804f5aecd16e1f9bf9ec9dd","0x6802b4267f7f2bf7003dcf993c51542245b38329"]}`,
				[...]string{"A", "B"}[g.r.IntN(2)], 61000+g.r.IntN(900), g.size(), ms, g.r.Uint32(), g.r.Uint64N(1<<50)))
		}
		return push("trades", "["+strings.Join(all, ",")+"]")
	case md.ChannelBook:
		return push("l2Book", fmt.Sprintf(`{"coin":"BTC","time":%d,"levels":[[%s],[%s]]}`, ms, levels(20), levels(20)))
	case md.ChannelBBO:
		return push("bbo", fmt.Sprintf(`{"coin":"BTC","time":%d,"bbo":[%s]}`, ms, levels(2)))
	}
	return push("activeAssetCtx", fmt.Sprintf(`{"coin":"BTC","ctx":{"funding":"0.0000%06d","openInterest":"%d.17682","prevDayPx":"%s","dayNtlVlm":"1516669192.195389","premium":"0.00008521","oraclePx":"%s","markPx":"%s","midPx":"%s","impactPxs":["%s","%s"],"dayBaseVlm":"19707.77457"}}`,
		g.r.IntN(1e6), 20000+g.r.IntN(9999), g.price(), g.price(), g.price(), g.price(), g.price(), g.price()))
}

var hyperliquidStats = []statKey{{"prevDayPx", md.StatOpen}, {"dayNtlVlm", md.StatTurnover}, {"oraclePx", md.StatIndex},
	{"markPx", md.StatMark}, {"dayBaseVlm", md.StatVolume}}

func (f *fast) hyperliquid(v *fastjson.Value, ch md.Channel) {
	d := v.Get("data")
	switch ch {
	case md.ChannelTrades:
		for _, t := range d.GetArray() {
			side := md.SideSell
			if s := t.GetStringBytes("side"); len(s) == 1 && s[0] == 'B' {
				side = md.SideBuy
			}
			f.event(md.Record{Kind: md.KindTrade, Side: side, TsEvent: f.time(t.Get("time")), ID: t.GetUint64("tid"), Count: 1}, t.Get("px"), t.Get("sz"))
		}
	case md.ChannelBook:
		ts := f.time(d.Get("time"))
		f.hyperliquidLevels(d.GetArray("levels", "0"), md.Record{Kind: md.KindBook, Side: md.SideBid, TsEvent: ts})
		f.hyperliquidLevels(d.GetArray("levels", "1"), md.Record{Kind: md.KindBook, Side: md.SideAsk, TsEvent: ts})
	case md.ChannelBBO:
		ts, both := f.time(d.Get("time")), d.GetArray("bbo")
		if len(both) != 2 {
			f.bad = true
			return
		}
		f.hyperliquidLevels(both[:1], md.Record{Kind: md.KindBBO, Side: md.SideBid, TsEvent: ts})
		f.hyperliquidLevels(both[1:], md.Record{Kind: md.KindBBO, Side: md.SideAsk, TsEvent: ts})
	case md.ChannelTicker:
		d = d.Get("ctx")
		f.stats(d, hyperliquidStats, 0)
		f.event(md.Record{Kind: md.KindFunding, Level: md.FundingCurrent, Count: 3600}, d.Get("funding"), nil)
		f.event(md.Record{Kind: md.KindOpenInterest, Price: md.Absent}, nil, d.Get("openInterest"))
	}
}

func (f *fast) hyperliquidLevels(all []*fastjson.Value, r md.Record) {
	for _, l := range all {
		r.Count = uint32(l.GetUint("n"))
		f.event(r, l.Get("px"), l.Get("sz"))
	}
}
