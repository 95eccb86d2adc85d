package sim

import "strings"

// binanceMarket is where Binance's markets differ.
type binanceMarket struct {
	futures  bool
	home     string // path of the WebSocket address
	rest     string // path below which REST is
	status   string // name of an instrument's state
	decimals int    // that numbers are padded to
	contract int    // contract size, 0 where sizes are in the base
	rate     int    // messages per second that a client may send
	// classes are the channels served below each path, where they are split: a
	// stream of another class stays mute there.
	classes map[string]map[string]bool
}

var binanceSpot = binanceMarket{home: "/stream", rest: "/api/v3", status: "status", decimals: binanceDecimals, rate: 5}

// binanceUSDM speaks of the futures margined in stablecoins
// (https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams).
func binanceUSDM() binanceMarket {
	set := func(names ...string) map[string]bool {
		m := map[string]bool{}
		for _, n := range names {
			m[n] = true
		}
		return m
	}
	return binanceMarket{futures: true, rest: "/fapi/v1", status: "status", rate: 10,
		classes: map[string]map[string]bool{
			"public": set("depth", "depth5", "depth10", "depth20", "bookTicker"),
			"market": set("aggTrade", "markPrice", "ticker", "forceOrder", "!contractInfo"),
		}}
}

// binanceCOINM speaks of the futures margined in the coin
// (https://developers.binance.com/docs/derivatives/coin-margined-futures/websocket-market-streams).
var binanceCOINM = binanceMarket{futures: true, home: "/ws", rest: "/dapi/v1", status: "contractStatus", contract: 100, rate: 10}

// served says whether a session gets the stream where it is connected.
func (b *binance) served(s *session, st *stream) bool {
	return len(b.market.classes) == 0 || b.market.classes[s.class][st.channel]
}

// name is what the market calls an instrument.
func (b *binance) name(in *instrument) string {
	switch {
	case b.market.contract > 0:
		return in.native() + "_" + in.suffix
	case in.suffix == "" || in.suffix == "PERP":
		return in.native()
	}
	return in.native() + "_" + in.suffix
}

// named appends the instrument, with its pair where the market tells it.
func (b *binance) named(dst []byte, in *instrument) []byte {
	dst = append(dst, `,"s":"`+b.name(in)+`"`...)
	if b.market.contract > 0 {
		dst = append(dst, `,"ps":"`+in.native()+`"`...)
	}
	return dst
}

// aggTrade is a fill as an aggregate of one.
func (b *binance) aggTrade(ev *Event, t Trade) []byte {
	d := integer([]byte(`{"e":"aggTrade"`), "E", millis(t.Time))
	d = b.named(d, ev.in)
	d = integer(d, "a", t.ID)
	d = field(d, "p", b.price, ev.in, t.Price)
	d = field(d, "q", b.size, ev.in, t.Size)
	d = integer(integer(d, "f", t.ID), "l", t.ID)
	d = integer(d, "T", millis(t.Time))
	if t.Buy {
		return append(d, `,"m":false}`...)
	}
	return append(d, `,"m":true}`...)
}

// mark is the mark price, which here is the last one, as is the index.
func (b *binance) mark(in *instrument, now int64) []byte {
	const eightHours = 8 * 3600 * 1000
	at := millis(now)
	d := integer([]byte(`{"e":"markPriceUpdate"`), "E", at)
	d = b.named(d, in)
	d = field(d, "p", b.price, in, in.stats.last)
	d = field(d, "P", b.price, in, in.stats.last)
	d = field(d, "i", b.price, in, in.stats.last)
	if in.suffix != "PERP" {
		return append(d, `,"r":"","T":0}`...)
	}
	d = append(d, `,"r":"0.00010000"`...)
	return append(integer(d, "T", at/eightHours*eightHours+eightHours), '}')
}

// forceOrder tells of a trade as if its taker had been forced.
func (b *binance) forceOrder(ev *Event, t Trade) []byte {
	at := millis(t.Time)
	side := strings.ToUpper(side(t.Buy))
	d := integer([]byte(`{"e":"forceOrder"`), "E", at)
	d = append(d, `,"o":{"S":"`+side+`"`...)
	d = b.named(d, ev.in)
	d = append(d, `,"o":"LIMIT","f":"IOC","X":"FILLED"`...)
	d = field(d, "q", b.size, ev.in, t.Size)
	d = field(d, "p", b.price, ev.in, t.Price)
	d = field(d, "ap", b.price, ev.in, t.Price)
	return append(integer(d, "T", at), "}}"...)
}
