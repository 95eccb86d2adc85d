package decodebench

import (
	"fmt"

	"github.com/valyala/fastjson"

	"tickrelay/ring/md"
)

// bitgetContract is a ticker of futures: funding and open interest beside the
// statistics. It stands for both channels.
func (g *generator) bitgetContract(ms uint64) string {
	return fmt.Sprintf(`{"action":"snapshot","arg":{"instType":"USDT-FUTURES","channel":"ticker","instId":"BTCUSDT"},"data":[{"instId":"BTCUSDT","lastPr":"%s","bidPr":"%s","askPr":"%s","bidSz":"%s","askSz":"%s","open24h":"%s","high24h":"%s","low24h":"%s","change24h":"-0.00002","fundingRate":"-0.0000%02d","nextFundingTime":"1763856000000","markPrice":"%s","indexPrice":"%s","holdingAmount":"%d.502","baseVolume":"56368.900","quoteVolume":"3500152429.961","openUtc":"%s","symbolType":1,"symbol":"BTCUSDT","deliveryPrice":"0","ts":"%d"}],"ts":%d}`,
		g.price(), g.price(), g.price(), g.size(), g.size(), g.price(), g.price(), g.price(), g.r.IntN(100),
		g.price(), g.price(), 20000+g.r.IntN(999), g.price(), ms, ms+2)
}

func (g *generator) okxContract(ch md.Channel, ms uint64) string {
	head := func(channel string) string {
		return fmt.Sprintf(`{"arg":{"channel":"%s","instId":"BTC-USDT-SWAP"},"data":[`, channel)
	}
	switch ch {
	case md.ChannelFunding:
		return head("funding-rate") + fmt.Sprintf(`{"fundingRate":"0.000%013d","fundingTime":"1763856000000","instId":"BTC-USDT-SWAP","instType":"SWAP","method":"current_period","maxFundingRate":"0.00375","minFundingRate":"-0.00375","nextFundingRate":"","nextFundingTime":"1763884800000","premium":"0.0001233824646391","settFundingRate":"0.0001699799259033","settState":"settled","ts":"%d"}]}`,
			g.r.Int64N(1e13), ms)
	case md.ChannelOpenInterest:
		return head("open-interest") + fmt.Sprintf(`{"instType":"SWAP","instId":"BTC-USDT-SWAP","oi":"%d.%02d","oiCcy":"27001.55","oiUsd":"1750000123.4","ts":"%d"}]}`,
			2700000+g.r.IntN(9999), g.r.IntN(100), ms)
	}
	return `{"arg":{"channel":"liquidation-orders","instType":"SWAP"},"data":[` + fmt.Sprintf(`{"details":[{"bkLoss":"0","bkPx":"%s","ccy":"","posSide":"short","side":"%s","sz":"1%s","ts":"%d"}],"instFamily":"BTC-USDT","instId":"BTC-USDT-SWAP","instType":"SWAP","uly":"BTC-USDT"}]}`,
		g.price(), g.side(), g.size(), ms)
}

var bitgetContractStats = []statKey{{"lastPr", md.StatLast}, {"open24h", md.StatOpen}, {"high24h", md.StatHigh}, {"low24h", md.StatLow},
	{"baseVolume", md.StatVolume}, {"quoteVolume", md.StatTurnover}, {"markPrice", md.StatMark}, {"indexPrice", md.StatIndex}}

// contract reads what Bitget and OKX tell of contracts alone.
func (f *fast) contract(v *fastjson.Value, ch md.Channel) {
	d := v.Get("data", "0")
	ts := f.time(d.Get("ts"))
	switch {
	case f.venue == "bitget":
		f.stats(d, bitgetContractStats, ts)
		f.event(md.Record{Kind: md.KindFunding, Level: md.FundingCurrent, TsEvent: ts, ID: uint64(f.time(d.Get("nextFundingTime")))},
			d.Get("fundingRate"), nil)
		f.event(md.Record{Kind: md.KindOpenInterest, Price: md.Absent, TsEvent: ts}, nil, d.Get("holdingAmount"))
	case ch == md.ChannelFunding:
		f.okxFunding(d, ts)
	case ch == md.ChannelOpenInterest:
		f.event(md.Record{Kind: md.KindOpenInterest, Price: md.Absent, TsEvent: ts}, nil, d.Get("oi"))
	case ch == md.ChannelLiquidations:
		for _, o := range d.GetArray("details") {
			f.event(md.Record{Kind: md.KindLiquidation, Side: sideOf(o.GetStringBytes("side")), TsEvent: f.time(o.Get("ts"))},
				o.Get("bkPx"), o.Get("sz"))
		}
	}
}

// okxFunding reads the rate and, where it is told, the next one.
func (f *fast) okxFunding(d *fastjson.Value, ts int64) {
	at, next := f.time(d.Get("fundingTime")), f.time(d.Get("nextFundingTime"))
	interval := uint32((next - at) / 1e9)
	f.event(md.Record{Kind: md.KindFunding, Level: md.FundingCurrent, TsEvent: ts, ID: uint64(at), Count: interval}, d.Get("fundingRate"), nil)
	if n, ok := f.number(d.Get("nextFundingRate")); ok {
		f.dst = append(f.dst, md.Record{Kind: md.KindFunding, Level: md.FundingPredicted, TsEvent: ts, ID: uint64(next), Count: interval,
			Price: n.Mant, PriceExp: n.Exp})
	}
}
