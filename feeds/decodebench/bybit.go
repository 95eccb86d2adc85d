package decodebench

import (
	"fmt"
	"strings"

	"github.com/valyala/fastjson"

	"tickrelay/ring/md"
)

// bybitHours is the funding interval that the tickers' snapshots tell and their
// differences leave out.
const bybitHours = 8

// bybitBench is that of the three markets. Contracts have a ticker before the
// differences of funding and open interest.
func bybitBench(name string) venueBench {
	b := venueBench{
		channels: common,
		frame:    func(g *generator, ch md.Channel) string { return g.bybit(ch, g.next()) },
		fast:     (*fast).bybit,
	}
	if name != "bybit" {
		b.channels = append(common[:4:4], md.ChannelFunding, md.ChannelOpenInterest, md.ChannelLiquidations)
		b.prime = []string{`{"topic":"tickers.BTCUSDT","type":"snapshot","data":{"symbol":"BTCUSDT","lastPrice":"65114.30","openInterest":"59891.732","openInterestValue":"3899996265.01","fundingIntervalHour":"8","nextFundingTime":"1763856000000","fundingRate":"0.0001"},"cs":1,"ts":1763842100000}`}
	}
	return b
}

func (g *generator) bybit(ch md.Channel, ms uint64) string {
	spot := g.venue == "bybit"
	push := func(topic, kind, data, more string) string {
		if spot {
			return fmt.Sprintf(`{"topic":"%s.BTCUSDT","ts":%d,"type":"%s","data":%s%s}`, topic, ms+2, kind, data, more)
		}
		return fmt.Sprintf(`{"topic":"%s.BTCUSDT","type":"%s","ts":%d,"data":%s%s}`, topic, kind, ms+2, data, more)
	}
	ticker := func(kind, data string) string {
		return fmt.Sprintf(`{"topic":"tickers.BTCUSDT","type":"%s","data":{"symbol":"BTCUSDT",%s},"cs":%d,"ts":%d}`, kind, data, 753843907770+g.seq, ms)
	}
	cts := fmt.Sprintf(`,"cts":%d`, ms)
	switch ch {
	case md.ChannelTrades:
		var all []string
		for range 1 + g.r.IntN(3) {
			all = append(all, g.bybitTrade(ms))
		}
		return push("publicTrade", "snapshot", "["+strings.Join(all, ",")+"]", "")
	case md.ChannelBook:
		return push("orderbook.200", "delta", fmt.Sprintf(`{"s":"BTCUSDT","b":%s,"a":%s,"u":%d,"seq":%d}`,
			g.levels(5+g.r.IntN(30)), g.levels(5+g.r.IntN(30)), 20404755+g.seq, 4281281875+g.seq), cts)
	case md.ChannelBBO:
		return push("orderbook.1", "snapshot", fmt.Sprintf(`{"s":"BTCUSDT","b":[["%s","1%s"]],"a":[["%s","1%s"]],"u":%d,"seq":%d}`,
			g.price(), g.size(), g.price(), g.size(), 20404755+g.seq, 4281281875+g.seq), cts)
	case md.ChannelFunding:
		return ticker("delta", fmt.Sprintf(`"nextFundingTime":"1763884800000","fundingRate":"0.000%05d"`, g.r.IntN(100000)))
	case md.ChannelOpenInterest:
		return ticker("delta", fmt.Sprintf(`"openInterest":"%d.%03d","openInterestValue":"%d.%02d"`,
			50000+g.r.IntN(9999), g.r.IntN(1000), 3899996265+g.r.IntN(100000), g.r.IntN(100)))
	case md.ChannelLiquidations:
		return push("allLiquidation", "snapshot", fmt.Sprintf(`[{"T":%d,"s":"BTCUSDT","S":"%s","v":"%s","p":"%s"}]`, ms, g.bybitSide(), g.size(), g.price()), "")
	}
	if spot {
		return fmt.Sprintf(`{"topic":"tickers.BTCUSDT","ts":%d,"type":"snapshot","cs":%d,"data":{"symbol":"BTCUSDT","lastPrice":"%s","highPrice24h":"%s","lowPrice24h":"%s","prevPrice24h":"%s","volume24h":"6780.866843","turnover24h":"434946438.4","price24hPcnt":"0.0196","usdIndexPrice":"%s"}}`,
			ms, 2588407389+g.seq, g.price(), g.price(), g.price(), g.price(), g.price())
	}
	return ticker("snapshot", fmt.Sprintf(`"tickDirection":"ZeroPlusTick","price24hPcnt":"0.001624","lastPrice":"%s","prevPrice24h":"%s","highPrice24h":"%s","lowPrice24h":"%s","prevPrice1h":"%s","markPrice":"%s","indexPrice":"%s","openInterest":"%d.732","openInterestValue":"3899996265.01","turnover24h":"1142118412.9021","volume24h":"17573.9120","fundingIntervalHour":"8","fundingCap":"0.005","nextFundingTime":"1763856000000","fundingRate":"0.000%05d","bid1Price":"%s","bid1Size":"%s","ask1Price":"%s","ask1Size":"%s","preOpenPrice":"","preQty":"","curPreListingPhase":""`,
		g.price(), g.price(), g.price(), g.price(), g.price(), g.price(), g.price(), 50000+g.r.IntN(9999), g.r.IntN(100000), g.price(), g.size(), g.price(), g.size()))
}

func (g *generator) bybitSide() string { return [...]string{"Buy", "Sell"}[g.r.IntN(2)] }

// bybitTrade is a trade: on spot its id is a number, of contracts a UUID.
func (g *generator) bybitTrade(ms uint64) string {
	if g.venue == "bybit" {
		return fmt.Sprintf(`{"i":"%d","T":%d,"p":"%s","v":"%s","S":"%s","seq":%d,"s":"BTCUSDT","BT":false,"RPI":false}`,
			2290000000041223440+g.r.Uint64N(1e9), ms, g.price(), g.size(), g.bybitSide(), 4281281879+g.seq)
	}
	return fmt.Sprintf(`{"T":%d,"s":"BTCUSDT","S":"%s","v":"%s","p":"%s","L":"ZeroMinusTick","i":"%08x-%04x-5%03x-8%03x-%012x","BT":false,"RPI":false,"seq":%d}`,
		ms, g.bybitSide(), g.size(), g.price(), g.r.Uint32(), g.r.IntN(1<<16), g.r.IntN(1<<12), g.r.IntN(1<<12), g.r.Uint64N(1<<48), 753843954913+g.seq)
}

var bybitStats = []statKey{{"lastPrice", md.StatLast}, {"prevPrice24h", md.StatOpen}, {"highPrice24h", md.StatHigh},
	{"lowPrice24h", md.StatLow}, {"markPrice", md.StatMark}, {"indexPrice", md.StatIndex},
	{"volume24h", md.StatVolume}, {"turnover24h", md.StatTurnover}}

func (f *fast) bybit(v *fastjson.Value, ch md.Channel) {
	d := v.Get("data")
	from := len(f.dst)
	switch ch {
	case md.ChannelTrades:
		for _, t := range d.GetArray() {
			id, flags := f.id(t.Get("i"))
			f.event(md.Record{Kind: md.KindTrade, Flags: flags, Side: sideOf(t.GetStringBytes("S")), TsEvent: f.time(t.Get("T")), ID: id, Count: 1},
				t.Get("p"), t.Get("v"))
		}
	case md.ChannelBook:
		f.levels(d.Get("b"), md.SideBid)
		f.levels(d.Get("a"), md.SideAsk)
		f.stamp(from, v.GetInt64("cts"), d.GetUint64("u"))
	case md.ChannelBBO:
		ts, id := f.time(v.Get("cts")), d.GetUint64("u")
		bid, ask := d.Get("b", "0"), d.Get("a", "0")
		f.quote(md.SideBid, bid.Get("0"), bid.Get("1"), ts, id)
		f.quote(md.SideAsk, ask.Get("0"), ask.Get("1"), ts, id)
	case md.ChannelLiquidations:
		for _, t := range d.GetArray() {
			side := md.SideBuy + md.SideSell - sideOf(t.GetStringBytes("S"))
			f.event(md.Record{Kind: md.KindLiquidation, Side: side, TsEvent: f.time(t.Get("T"))}, t.Get("p"), t.Get("v"))
		}
	default:
		f.bybitTicker(d, f.time(v.Get("ts")))
	}
}

func (f *fast) bybitTicker(d *fastjson.Value, ns int64) {
	stats := bybitStats
	if f.venue == "bybit-inverse" { // its turnover is in the coin
		stats = stats[:len(stats)-1]
	}
	f.stats(d, stats, ns)
	if rate := d.Get("fundingRate"); rate != nil {
		f.event(md.Record{Kind: md.KindFunding, Level: md.FundingCurrent, TsEvent: ns, ID: uint64(f.time(d.Get("nextFundingTime"))),
			Count: bybitHours * 3600}, rate, nil)
	}
	if open := d.Get("openInterest"); open != nil {
		r := md.Record{Kind: md.KindOpenInterest, TsEvent: ns, Price: md.Absent}
		value := d.Get("openInterestValue")
		if f.venue == "bybit-inverse" {
			value = nil
		}
		f.event(r, value, open)
	}
}
