package decodebench

import (
	"fmt"
	"strings"

	"github.com/valyala/fastjson"

	"tickrelay/ring/md"
)

// bitstampBench is Bitstamp's, which has trades and the book.
func bitstampBench() venueBench {
	return venueBench{
		channels: []md.Channel{md.ChannelTrades, md.ChannelBook},
		frame:    func(g *generator, ch md.Channel) string { return g.bitstamp(ch, g.next()) },
		fast:     (*fast).bitstamp,
	}
}

func (g *generator) bitstamp(ch md.Channel, ms uint64) string {
	micro := ms*1000 + g.r.Uint64N(1000)
	if ch == md.ChannelTrades {
		size, price := g.eight(), g.price()
		return fmt.Sprintf(`{"data":{"id":%d,"timestamp":"%d","amount":%s,"amount_str":"%s","price":%s,"price_str":"%s","type":%d,"microtimestamp":"%d","buy_order_id":1443875737346049,"sell_order_id":1443875731320832},"channel":"live_trades_btcusd","event":"trade"}`,
			216000477+g.seq, ms/1000, g.trim(size), size, price, price, g.r.IntN(2), micro)
	}
	return fmt.Sprintf(`{"data":{"timestamp":"%d","microtimestamp":"%d","bids":%s,"asks":%s},"channel":"diff_order_book_btcusd","event":"data"}`,
		ms/1000, micro, g.bitstampLevels(), g.bitstampLevels())
}

func (g *generator) bitstampLevels() string {
	var all []string
	for range 5 + g.r.IntN(30) {
		all = append(all, fmt.Sprintf(`["%s","%s"]`, g.price(), g.eight()))
	}
	return "[" + strings.Join(all, ",") + "]"
}

func (f *fast) bitstamp(v *fastjson.Value, ch md.Channel) {
	d := v.Get("data")
	ts := f.integer(d.Get("microtimestamp")) * 1e3
	if ch == md.ChannelTrades {
		f.event(md.Record{Kind: md.KindTrade, Side: md.SideBuy + uint8(d.GetUint("type")), TsEvent: ts, ID: d.GetUint64("id"), Count: 1},
			d.Get("price_str"), d.Get("amount_str"))
		return
	}
	from := len(f.dst)
	f.levels(d.Get("bids"), md.SideBid)
	f.levels(d.Get("asks"), md.SideAsk)
	for k := range f.dst[from:] {
		f.dst[from+k].TsEvent = ts
	}
}
