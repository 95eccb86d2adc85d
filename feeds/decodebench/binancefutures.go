package decodebench

import (
	"fmt"

	"github.com/valyala/fastjson"

	"tickrelay/ring/md"
)

// binanceFuturesBench is that of both futures markets: COIN-M names the pair
// too, and its turnover is in the coin, which nobody reads.
func binanceFuturesBench(coin bool) venueBench {
	return venueBench{
		channels: append(common[:4:4], md.ChannelFunding, md.ChannelLiquidations),
		frame: func(g *generator, ch md.Channel) string {
			name := `"s":"BTCUSDT"`
			if coin {
				name = `"s":"BTCUSD_PERP","ps":"BTCUSD"`
			}
			return g.binanceFutures(ch, g.next(), name)
		},
		fast: func(f *fast, v *fastjson.Value, ch md.Channel) { f.binanceFutures(v, ch, coin) },
	}
}

func (g *generator) binanceFutures(ch md.Channel, ms uint64, name string) string {
	switch ch {
	case md.ChannelTrades:
		fills := g.r.IntN(6)
		return fmt.Sprintf(`{"e":"aggTrade","E":%d,%s,"a":%d,"p":"%s","q":"%s","f":%d,"l":%d,"T":%d,"m":%t}`,
			ms+3, name, 2933014000+g.seq, g.price(), g.size(), 6100000000+g.seq, 6100000000+g.seq+uint64(fills), ms, g.r.IntN(2) == 0)
	case md.ChannelBook:
		return fmt.Sprintf(`{"e":"depthUpdate","E":%d,"T":%d,%s,"U":%d,"u":%d,"pu":%d,"b":%s,"a":%s}`,
			ms+3, ms, name, 7390497796000+g.seq, 7390497796030+g.seq, 7390497795999+g.seq, g.levels(5+g.r.IntN(30)), g.levels(5+g.r.IntN(30)))
	case md.ChannelBBO:
		return fmt.Sprintf(`{"e":"bookTicker","u":%d,%s,"b":"%s","B":"%s","a":"%s","A":"%s","T":%d,"E":%d}`,
			7390497796000+g.seq, name, g.price(), g.size(), g.price(), g.size(), ms, ms+3)
	case md.ChannelFunding:
		return fmt.Sprintf(`{"e":"markPriceUpdate","E":%d,%s,"p":"%s000000","P":"%s","i":"%s","r":"0.000%05d","T":1763856000000}`,
			ms, name, g.price(), g.price(), g.price(), g.r.IntN(100000))
	case md.ChannelLiquidations:
		return fmt.Sprintf(`{"e":"forceOrder","E":%d,"o":{%s,"S":"%s","o":"LIMIT","f":"IOC","q":"%s","p":"%s","ap":"%s","X":"FILLED","l":"0.014","z":"0.014","T":%d}}`,
			ms+3, name, [...]string{"BUY", "SELL"}[g.r.IntN(2)], g.size(), g.price(), g.price(), ms)
	}
	return fmt.Sprintf(`{"e":"24hrTicker","E":%d,%s,"p":"-88.17","P":"-0.855","w":"%s","c":"%s","Q":"%s","o":"%s","h":"%s","l":"%s","v":"%d.%03d","q":"20702434912.13","O":%d,"C":%d,"F":148927,"L":181349,"n":32423}`,
		ms, name, g.price(), g.price(), g.size(), g.price(), g.price(), g.price(), g.r.IntN(1000000), g.r.IntN(1000), ms-86400000, ms)
}

var (
	binanceFuturesStats = []statKey{{"c", md.StatLast}, {"o", md.StatOpen}, {"h", md.StatHigh}, {"l", md.StatLow},
		{"v", md.StatVolume}, {"q", md.StatTurnover}}
	binanceMarkStats = []statKey{{"p", md.StatMark}, {"i", md.StatIndex}}
)

func (f *fast) binanceFutures(v *fastjson.Value, ch md.Channel, coin bool) {
	from := len(f.dst)
	switch ch {
	case md.ChannelTrades:
		side := md.SideBuy
		if v.GetBool("m") {
			side = md.SideSell
		}
		f.event(md.Record{Kind: md.KindTrade, Side: side, TsEvent: f.time(v.Get("T")), ID: v.GetUint64("a"),
			Count: uint32(v.GetUint64("l") - v.GetUint64("f") + 1)}, v.Get("p"), v.Get("q"))
	case md.ChannelBook:
		f.levels(v.Get("b"), md.SideBid)
		f.levels(v.Get("a"), md.SideAsk)
		f.stamp(from, v.GetInt64("T"), v.GetUint64("u"))
	case md.ChannelBBO:
		ts, id := f.time(v.Get("T")), v.GetUint64("u")
		f.quote(md.SideBid, v.Get("b"), v.Get("B"), ts, id)
		f.quote(md.SideAsk, v.Get("a"), v.Get("A"), ts, id)
	case md.ChannelTicker:
		keys := binanceFuturesStats
		if coin {
			keys = keys[:len(keys)-1]
		}
		f.stats(v, keys, f.time(v.Get("E")))
	case md.ChannelFunding:
		ts := f.time(v.Get("E"))
		f.stats(v, binanceMarkStats, ts)
		f.event(md.Record{Kind: md.KindFunding, Level: md.FundingCurrent, TsEvent: ts, ID: uint64(f.time(v.Get("T")))}, v.Get("r"), nil)
	case md.ChannelLiquidations:
		o := v.Get("o")
		f.event(md.Record{Kind: md.KindLiquidation, Side: sideOf(o.GetStringBytes("S")), TsEvent: f.time(o.Get("T"))}, o.Get("p"), o.Get("q"))
	}
}
