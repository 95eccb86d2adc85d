package decodebench

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/valyala/fastjson"

	"tickrelay/ring/md"
)

// deribitBench is Deribit's: funding and open interest come in its tickers,
// liquidations are trades with a mark.
func deribitBench() venueBench {
	return venueBench{
		channels: append(common[:4:4], md.ChannelLiquidations),
		frame:    func(g *generator, ch md.Channel) string { return g.deribit(ch, g.next()) },
		fast:     (*fast).deribit,
	}
}

func (g *generator) deribit(ch md.Channel, ms uint64) string {
	push := func(channel, data string) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","method":"subscription","params":{"channel":"%s","data":%s}}`, channel, data)
	}
	amount := func() string { return fmt.Sprintf("%d.0", 10*g.contracts()) }
	switch ch {
	case md.ChannelTrades, md.ChannelLiquidations:
		more := ""
		if ch == md.ChannelLiquidations {
			more = [...]string{`,"liquidation":"T"`, `,"liquidation":"M"`, `,"liquidation":"MT"`}[g.r.IntN(3)]
		}
		return push("trades.BTC-PERPETUAL.100ms", fmt.Sprintf(`[{"timestamp":%d,"price":%s,"amount":%s,"direction":"%s","index_price":%s,"instrument_name":"BTC-PERPETUAL","trade_seq":%d,"mark_price":%s,"tick_direction":2,"contracts":1.0,"trade_id":"%d"%s}]`,
			ms, g.price(), amount(), g.side(), g.price(), 271252854+g.seq, g.price(), 403691824+g.seq, more))
	case md.ChannelBook:
		return push("book.BTC-PERPETUAL.100ms", fmt.Sprintf(`{"timestamp":%d,"type":"change","change_id":%d,"instrument_name":"BTC-PERPETUAL","prev_change_id":%d,"bids":%s,"asks":%s}`,
			ms, 93000000009+g.seq, 93000000001+g.seq, g.deribitLevels(amount), g.deribitLevels(amount)))
	case md.ChannelBBO:
		return push("quote.BTC-PERPETUAL", fmt.Sprintf(`{"best_bid_amount":%s,"best_ask_amount":%s,"best_bid_price":%s,"best_ask_price":%s,"instrument_name":"BTC-PERPETUAL","timestamp":%d}`,
			amount(), amount(), g.price(), g.price(), ms))
	}
	return push("ticker.BTC-PERPETUAL.100ms", fmt.Sprintf(`{"timestamp":%d,"state":"open","stats":{"high":%s,"low":%s,"price_change":2.3275,"volume":11897.27640428,"volume_usd":1092371540.0,"volume_notional":1092371540.0},"index_price":%s,"instrument_name":"BTC-PERPETUAL","last_price":%s,"settlement_price":%s,"min_price":90897.5,"max_price":93666.5,"open_interest":%s,"mark_price":%s,"interest_value":0.0028213400122472977,"best_ask_price":%s,"best_bid_price":%s,"estimated_delivery_price":%s,"best_ask_amount":%s,"best_bid_amount":%s,"current_funding":0.0000%04d,"funding_8h":0.00001742}`,
		ms, g.price(), g.price(), g.price(), g.price(), g.price(), amount(), g.price(), g.price(), g.price(), g.price(), amount(), amount(), g.r.IntN(10000)))
}

func (g *generator) deribitLevels(amount func() string) string {
	var all []string
	for range 5 + g.r.IntN(30) {
		verb, a := [...]string{"new", "change", "delete"}[g.r.IntN(3)], amount()
		if verb == "delete" {
			a = "0.0"
		}
		all = append(all, fmt.Sprintf(`["%s",%s,%s]`, verb, g.price(), a))
	}
	return "[" + strings.Join(all, ",") + "]"
}

var (
	deribitStats   = []statKey{{"index_price", md.StatIndex}, {"last_price", md.StatLast}, {"mark_price", md.StatMark}}
	deribitStats24 = []statKey{{"high", md.StatHigh}, {"low", md.StatLow}, {"volume", md.StatVolume}, {"volume_notional", md.StatTurnover}}
)

func (f *fast) deribit(v *fastjson.Value, ch md.Channel) {
	d := v.Get("params", "data")
	switch ch {
	case md.ChannelTrades, md.ChannelLiquidations:
		f.deribitTrades(d)
	case md.ChannelBook:
		ts, id := f.time(d.Get("timestamp")), d.GetUint64("change_id")
		f.deribitLevels(d.GetArray("bids"), md.SideBid, ts, id)
		f.deribitLevels(d.GetArray("asks"), md.SideAsk, ts, id)
	case md.ChannelBBO:
		ts := f.time(d.Get("timestamp"))
		f.quote(md.SideBid, d.Get("best_bid_price"), d.Get("best_bid_amount"), ts, 0)
		f.quote(md.SideAsk, d.Get("best_ask_price"), d.Get("best_ask_amount"), ts, 0)
	case md.ChannelTicker:
		ts := f.time(d.Get("timestamp"))
		f.stats(d, deribitStats, ts)
		f.stats(d.Get("stats"), deribitStats24, ts)
		f.event(md.Record{Kind: md.KindOpenInterest, Price: md.Absent, TsEvent: ts}, nil, d.Get("open_interest"))
		f.event(md.Record{Kind: md.KindFunding, Level: md.FundingCurrent, TsEvent: ts, Count: 8 * 3600}, d.Get("current_funding"), nil)
		if bytes.Equal(d.GetStringBytes("state"), []byte("open")) {
			f.dst = append(f.dst, md.Record{Kind: md.KindStatus, Level: uint8(md.StatusTrading), TsEvent: ts})
		}
	}
}

func (f *fast) deribitLevels(all []*fastjson.Value, side uint8, ts int64, id uint64) {
	for _, l := range all {
		x := l.GetArray()
		if len(x) != 3 {
			f.bad = true
			return
		}
		f.level(side, x[1], x[2], ts, id)
		if bytes.Equal(x[0].GetStringBytes(), []byte("delete")) {
			last := &f.dst[len(f.dst)-1]
			last.Size, last.SizeExp = 0, 0
		}
	}
}

// deribitTrades reads trades and repeats those of forced orders, taker's first.
func (f *fast) deribitTrades(d *fastjson.Value) {
	for _, t := range d.GetArray() {
		f.event(md.Record{Kind: md.KindTrade, Side: sideOf(t.GetStringBytes("direction")), TsEvent: f.time(t.Get("timestamp")),
			ID: t.GetUint64("trade_seq"), Count: 1}, t.Get("price"), t.Get("amount"))
		forced := t.GetStringBytes("liquidation")
		if len(forced) == 0 {
			continue
		}
		r := f.dst[len(f.dst)-1]
		r.Kind, r.Count = md.KindLiquidation, 0
		if bytes.IndexByte(forced, 'T') >= 0 {
			f.dst = append(f.dst, r)
		}
		if bytes.IndexByte(forced, 'M') >= 0 {
			r.Side = md.SideBuy + md.SideSell - r.Side
			f.dst = append(f.dst, r)
		}
	}
}
