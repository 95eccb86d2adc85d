package decodebench

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/valyala/fastjson"

	"tickrelay/ring/md"
)

// coinbaseBench is that of Advanced Trade, which has no bbo.
func coinbaseBench() venueBench {
	return venueBench{
		channels: []md.Channel{md.ChannelTrades, md.ChannelBook, md.ChannelTicker},
		frame:    func(g *generator, ch md.Channel) string { return g.coinbase(ch, g.next()) },
		fast:     (*fast).coinbase,
	}
}

// coinbaseExchangeBench is that of Coinbase Exchange.
func coinbaseExchangeBench() venueBench {
	return venueBench{
		channels: []md.Channel{md.ChannelTrades, md.ChannelBook, md.ChannelTicker},
		frame:    func(g *generator, ch md.Channel) string { return g.coinbaseExchange(ch, g.next()) },
		fast:     (*fast).coinbaseExchange,
	}
}

func (g *generator) coinbase(ch md.Channel, ms uint64) string {
	push := func(channel, event string) string {
		stamp := strings.TrimSuffix(g.iso(ms+3), "Z")
		return fmt.Sprintf(`{"channel":"%s","client_id":"","timestamp":"%s%03dZ","sequence_num":%d,"events":[{"type":"update",%s}]}`,
			channel, stamp, g.r.IntN(1000), g.seq, event)
	}
	var all []string
	switch ch {
	case md.ChannelTrades:
		n := 1 + g.r.IntN(3)
		for k := range n { // the newest comes first
			all = append(all, fmt.Sprintf(`{"product_id":"BTC-USD","trade_id":"%d","price":"%s","size":"%s","time":"%s","side":"%s"}`,
				1068572090+100*g.seq+uint64(n-k), g.price(), g.size(), g.iso(ms), strings.ToUpper(g.side())))
		}
		return push("market_trades", `"trades":[`+strings.Join(all, ",")+"]")
	case md.ChannelBook:
		at := g.iso(ms) // that of all, as nearly always
		for range 10 + g.r.IntN(60) {
			side := [...]string{"bid", "offer"}[g.r.IntN(2)]
			all = append(all, fmt.Sprintf(`{"side":"%s","event_time":"%s","price_level":"%s","new_quantity":"%s"}`, side, at, g.price(), g.size()))
		}
		return push("l2_data", `"product_id":"BTC-USD","updates":[`+strings.Join(all, ",")+"]")
	}
	return push("ticker", fmt.Sprintf(`"tickers":[{"type":"ticker","product_id":"BTC-USD","price":"%s","volume_24_h":"19975.95927439","low_24_h":"%s","high_24_h":"%s","low_52_w":"49000.5","high_52_w":"126296","price_percent_chg_24_h":"0.02501394006035","best_bid":"%s","best_ask":"%s","best_bid_quantity":"%s","best_ask_quantity":"%s"}]`,
		g.price(), g.price(), g.price(), g.price(), g.price(), g.size(), g.size()))
}

var (
	coinbaseStats = []statKey{{"price", md.StatLast}, {"volume_24_h", md.StatVolume}, {"low_24_h", md.StatLow}, {"high_24_h", md.StatHigh}}
	exchangeStats = []statKey{{"price", md.StatLast}, {"open_24h", md.StatOpen}, {"volume_24h", md.StatVolume}, {"low_24h", md.StatLow},
		{"high_24h", md.StatHigh}}
)

func (f *fast) coinbase(v *fastjson.Value, ch md.Channel) {
	for _, e := range v.GetArray("events") {
		switch ch {
		case md.ChannelTrades:
			all := e.GetArray("trades")
			for k := len(all) - 1; k >= 0; k-- {
				f.coinbaseTrade(all[k])
			}
		case md.ChannelBook:
			for _, l := range e.GetArray("updates") {
				side := md.SideAsk
				if bytes.Equal(l.GetStringBytes("side"), []byte("bid")) {
					side = md.SideBid
				}
				f.level(side, l.Get("price_level"), l.Get("new_quantity"), f.iso(l.Get("event_time")), 0)
			}
		case md.ChannelTicker:
			ts := f.iso(v.Get("timestamp"))
			for _, t := range e.GetArray("tickers") {
				f.stats(t, coinbaseStats, ts)
			}
		}
	}
}

// coinbaseTrade reads a trade of either API, whose side is the maker's.
func (f *fast) coinbaseTrade(t *fastjson.Value) {
	side := md.SideBuy + md.SideSell - sideOf(t.GetStringBytes("side"))
	f.event(md.Record{Kind: md.KindTrade, Side: side, TsEvent: f.iso(t.Get("time")), ID: uint64(f.integer(t.Get("trade_id"))), Count: 1},
		t.Get("price"), t.Get("size"))
}

func (g *generator) coinbaseExchange(ch md.Channel, ms uint64) string {
	switch ch {
	case md.ChannelTrades:
		return fmt.Sprintf(`{"type":"match","trade_id":%d,"maker_order_id":"2a0da34e-61f7-4c36-88e5-c9dd15927b16","taker_order_id":"3c82abaa-c01e-4608-be59-6a1e69742891","side":"%s","size":"%s","price":"%s","product_id":"BTC-USD","sequence":%d,"time":"%s"}`,
			881614+g.seq, g.side(), g.size(), g.price(), 333938811+g.seq, g.iso(ms))
	case md.ChannelBook:
		var all []string
		for range 10 + g.r.IntN(60) {
			all = append(all, fmt.Sprintf(`["%s","%s","%s"]`, g.side(), g.price(), g.eight()))
		}
		return fmt.Sprintf(`{"type":"l2update","product_id":"BTC-USD","changes":[%s],"time":"%s"}`, strings.Join(all, ","), g.iso(ms))
	}
	return fmt.Sprintf(`{"type":"ticker","sequence":%d,"product_id":"BTC-USD","price":"%s","open_24h":"%s","volume_24h":"2867.54532609","low_24h":"%s","high_24h":"%s","volume_30d":"95579.57000000","best_bid":"%s","best_bid_size":"%s","best_ask":"%s","best_ask_size":"%s","side":"%s","time":"%s","trade_id":%d,"last_size":"%s"}`,
		333938811+g.seq, g.price(), g.price(), g.price(), g.price(), g.price(), g.eight(), g.price(), g.eight(), g.side(), g.iso(ms), 881614+g.seq, g.size())
}

func (f *fast) coinbaseExchange(v *fastjson.Value, ch md.Channel) {
	switch ch {
	case md.ChannelTrades:
		f.coinbaseTrade(v)
	case md.ChannelBook:
		ts := f.iso(v.Get("time"))
		for _, c := range v.GetArray("changes") {
			x := c.GetArray()
			if len(x) != 3 {
				f.bad = true
				return
			}
			f.level(sideOf(x[0].GetStringBytes()), x[1], x[2], ts, 0) // who buys bids
		}
	case md.ChannelTicker:
		f.stats(v, exchangeStats, f.iso(v.Get("time")))
	}
}
