package decodebench

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/valyala/fastjson"

	"tickrelay/ring/md"
)

// upbitBench is Upbit's: the book comes whole, 30 levels a side, and its first
// level is the bbo.
func upbitBench() venueBench {
	return venueBench{
		channels: []md.Channel{md.ChannelTrades, md.ChannelBook, md.ChannelTicker},
		frame:    func(g *generator, ch md.Channel) string { return g.upbit(ch, g.next()) },
		fast:     (*fast).upbit,
	}
}

// won is a price as Upbit writes it.
func (g *generator) won() string { return fmt.Sprintf("%d000.0", 127000+g.r.IntN(900)) }

func (g *generator) upbit(ch md.Channel, ms uint64) string {
	switch ch {
	case md.ChannelTrades:
		return fmt.Sprintf(`{"ty":"trade","cd":"KRW-BTC","tms":%d,"td":"2025-11-22","ttm":"20:08:20","ttms":%d,"tp":%s,"tv":%s,"ab":"%s","pcp":127000000.00000000,"c":"RISE","cp":345000.00000000,"sid":%d,"bap":127345000,"bas":0.1,"bbp":127344000,"bbs":0.2,"st":"REALTIME"}`,
			ms+23, ms, g.won(), g.eight(), [...]string{"ASK", "BID"}[g.r.IntN(2)], 17638421001000000+g.seq)
	case md.ChannelBook:
		var all []string
		for range 30 {
			all = append(all, fmt.Sprintf(`{"ap":%s,"bp":%s,"as":%s,"bs":%s}`, g.won(), g.won(), g.trim(g.eight()), g.trim(g.eight())))
		}
		return fmt.Sprintf(`{"ty":"orderbook","cd":"KRW-BTC","tms":%d,"tas":10.5,"tbs":20.25,"obu":[%s],"st":"REALTIME","lv":0}`, ms, strings.Join(all, ","))
	}
	return fmt.Sprintf(`{"ty":"ticker","cd":"KRW-BTC","op":%s,"hp":%s,"lp":%s,"tp":%s,"pcp":127000000.0,"atp":78039261076.51241,"c":"RISE","cp":345000.0,"scp":345000.0,"cr":0.0027,"scr":0.0027,"ab":"BID","tv":%s,"atv":612.5,"tdt":"20251122","ttm":"200820","ttms":%d,"aav":300.5,"abv":312.0,"h52wp":168000000.0,"h52wdt":"2025-10-09","l52wp":72000000.0,"l52wdt":"2024-11-24","ms":"ACTIVE","its":false,"dd":null,"mw":"NONE","tms":%d,"atp24h":178039261076.51241,"atv24h":1401.98765432,"st":"REALTIME"}`,
		g.won(), g.won(), g.won(), g.won(), g.eight(), ms, ms+28)
}

var upbitStats = []statKey{{"op", md.StatOpen}, {"hp", md.StatHigh}, {"lp", md.StatLow}, {"tp", md.StatLast},
	{"atp24h", md.StatTurnover}, {"atv24h", md.StatVolume}}

func (f *fast) upbit(v *fastjson.Value, ch md.Channel) {
	switch ch {
	case md.ChannelTrades:
		side := md.SideBuy
		if bytes.Equal(v.GetStringBytes("ab"), []byte("ASK")) {
			side = md.SideSell
		}
		f.event(md.Record{Kind: md.KindTrade, Side: side, TsEvent: f.time(v.Get("ttms")), ID: v.GetUint64("sid"), Count: 1}, v.Get("tp"), v.Get("tv"))
	case md.ChannelBook:
		f.upbitBook(v)
	case md.ChannelTicker:
		ts := f.time(v.Get("tms"))
		f.stats(v, upbitStats, ts)
		if bytes.Equal(v.GetStringBytes("ms"), []byte("ACTIVE")) && !v.GetBool("its") {
			f.dst = append(f.dst, md.Record{Kind: md.KindStatus, Level: uint8(md.StatusTrading), TsEvent: ts})
		}
	}
}

func (f *fast) upbitBook(v *fastjson.Value) {
	ts, units := f.time(v.Get("tms")), v.GetArray("obu")
	if len(units) == 0 || v.GetInt("lv") != 0 {
		f.bad = true
		return
	}
	from := len(f.dst)
	f.dst = append(f.dst, md.Record{Kind: md.KindBBO, Side: md.SideBid, TsEvent: ts}, md.Record{Kind: md.KindBBO, Side: md.SideAsk, TsEvent: ts})
	for _, u := range units {
		f.level(md.SideAsk, u.Get("ap"), u.Get("as"), ts, 0)
		f.level(md.SideBid, u.Get("bp"), u.Get("bs"), ts, 0)
	}
	for k, best := range [...]md.Record{f.dst[from+3], f.dst[from+2]} {
		best.Kind = md.KindBBO
		f.dst[from+k] = best
	}
}
