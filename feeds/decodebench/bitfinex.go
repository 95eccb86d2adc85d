package decodebench

import (
	"fmt"

	"github.com/valyala/fastjson"

	"tickrelay/ring/md"
)

// bitfinexBench is Bitfinex': the book comes a level at a time, open interest
// with the funding. Frames name channels by the numbers of the first frames.
func bitfinexBench() venueBench {
	return venueBench{
		channels: []md.Channel{md.ChannelTrades, md.ChannelBook, md.ChannelTicker, md.ChannelFunding, md.ChannelLiquidations},
		frame:    func(g *generator, ch md.Channel) string { return g.bitfinex(ch, g.next()) },
		fast:     (*fast).bitfinex,
		prime: []string{
			`{"event":"subscribed","channel":"book","chanId":11,"symbol":"tBTCUSD","prec":"P0","freq":"F0","len":"250","pair":"BTCUSD"}`,
			`{"event":"subscribed","channel":"trades","chanId":12,"symbol":"tBTCUSD","pair":"BTCUSD"}`,
			`{"event":"subscribed","channel":"ticker","chanId":13,"symbol":"tBTCUSD","pair":"BTCUSD"}`,
			`{"event":"subscribed","channel":"status","chanId":14,"key":"deriv:tBTCF0:USTF0"}`,
			`{"event":"subscribed","channel":"status","chanId":15,"key":"liq:global"}`,
		},
	}
}

// bitfinexAmount is a size whose sign tells the side.
func (g *generator) bitfinexAmount() string {
	return [...]string{"", "-"}[g.r.IntN(2)] + g.trim(g.eight())
}

func (g *generator) bitfinex(ch md.Channel, ms uint64) string {
	tail := fmt.Sprintf("%d,%d]", g.seq, ms+2)
	switch ch {
	case md.ChannelTrades:
		return fmt.Sprintf(`[12,"te",[%d,%d,%s,%s],%s`, 382489563+g.seq, ms, g.bitfinexAmount(), g.price(), tail)
	case md.ChannelBook:
		return fmt.Sprintf(`[11,[%s,%d,%s],%s`, g.price(), g.r.IntN(8), g.bitfinexAmount(), tail)
	case md.ChannelTicker:
		return fmt.Sprintf(`[13,[%s,60.36709703,%s,48.50804052,-120,-0.0019,%s,459.39453471,%s,%s],%s`,
			g.price(), g.price(), g.price(), g.price(), g.price(), tail)
	case md.ChannelFunding:
		return fmt.Sprintf(`[14,[%d,null,%s,%s,null,101120.80328179,null,1763856000000,-0.0000%04d,9,null,0.00012,null,null,%s,null,null,%d.25851857,null,null,null,-0.0025,0.0025],%s`,
			ms, g.price(), g.price(), g.r.IntN(10000), g.price(), 3000+g.r.IntN(1000), tail)
	}
	return fmt.Sprintf(`[15,[["pos",%d,%d,null,"tBTCF0:USTF0",%s,%s,null,1,1,null,%s]],%s`,
		143679087+g.seq, ms, g.bitfinexAmount(), g.price(), g.price(), tail)
}

func (f *fast) bitfinex(v *fastjson.Value, ch md.Channel) {
	all := v.GetArray()
	if len(all) < 4 {
		f.bad = true
		return
	}
	x := all[1].GetArray()
	switch ch {
	case md.ChannelTrades:
		if x = all[2].GetArray(); len(x) < 4 {
			f.bad = true
			return
		}
		f.signedSide(md.Record{Kind: md.KindTrade, Side: md.SideBuy, TsEvent: f.time(x[1]), ID: x[0].GetUint64(), Count: 1}, x[3], x[2])
	case md.ChannelBook:
		if len(x) < 3 {
			f.bad = true
			return
		}
		r := md.Record{Kind: md.KindBook, Side: md.SideBid, TsEvent: f.time(all[3]), Count: uint32(x[1].GetUint())}
		f.signedSide(r, x[0], x[2])
		if last := &f.dst[len(f.dst)-1]; last.Count == 0 {
			last.Size, last.SizeExp = 0, 0
		}
	case md.ChannelTicker:
		if len(x) < 10 {
			f.bad = true
			return
		}
		f.listed(x, bitfinexStats[:], f.time(all[3]))
	case md.ChannelFunding:
		f.bitfinexDeriv(x)
	case md.ChannelLiquidations:
		for _, p := range x {
			e := p.GetArray()
			if len(e) < 12 || e[8].GetInt() != 1 {
				f.bad = true
				return
			}
			f.signedSide(md.Record{Kind: md.KindLiquidation, Side: md.SideBuy, TsEvent: f.time(e[2]), ID: e[1].GetUint64()}, e[11], e[5])
			last := &f.dst[len(f.dst)-1]
			last.Side = md.SideBuy + md.SideSell - last.Side // who was long sells
		}
	}
}

// listStat is an element of an array and the statistic that it holds.
type listStat struct {
	at   int
	stat uint8
}

var (
	bitfinexStats  = [...]listStat{{6, md.StatLast}, {7, md.StatVolume}, {8, md.StatHigh}, {9, md.StatLow}}
	bitfinexPrices = [...]listStat{{3, md.StatIndex}, {14, md.StatMark}}
)

func (f *fast) listed(x []*fastjson.Value, stats []listStat, ns int64) {
	for _, s := range stats {
		if n, ok := f.number(x[s.at]); ok {
			r := statistic(s.stat, n)
			r.TsEvent = ns
			f.dst = append(f.dst, r)
		}
	}
}

// signedSide adds a record whose side is the other one if its amount is negative.
func (f *fast) signedSide(r md.Record, price, amount *fastjson.Value) {
	f.event(r, price, amount)
	if last := &f.dst[len(f.dst)-1]; last.Size < 0 {
		last.Size, last.Side = -last.Size, md.SideBuy+md.SideSell-last.Side
	}
}

func (f *fast) bitfinexDeriv(x []*fastjson.Value) {
	if len(x) < 18 {
		f.bad = true
		return
	}
	ts := f.time(x[0])
	f.listed(x, bitfinexPrices[:], ts)
	r := md.Record{Kind: md.KindFunding, Level: md.FundingCurrent, TsEvent: ts, ID: uint64(f.time(x[7])), Count: 8 * 3600}
	f.event(r, x[11], nil)
	r.Level = md.FundingPredicted
	f.event(r, x[8], nil)
	f.event(md.Record{Kind: md.KindOpenInterest, Price: md.Absent, TsEvent: ts}, nil, x[17])
}
