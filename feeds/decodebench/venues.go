package decodebench

import (
	"github.com/valyala/fastjson"

	"tickrelay/feeds"
	"tickrelay/ring/md"
)

// venueBench is what a venue's rows need. A file per family of venues has one.
type venueBench struct {
	// channels that have frames of their own; statistics that come in the frames
	// of another channel are measured there.
	channels []md.Channel
	// frame writes one frame of the documented shape.
	frame func(g *generator, ch md.Channel) string
	// fast fills f.dst with the records that the decoder finds in such a frame,
	// and sets f.bad where the shape is another.
	fast func(f *fast, v *fastjson.Value, ch md.Channel)
	// prime are frames that a connection must have seen first, where the venue is
	// stateful.
	prime []string
}

// benchOf finds the bench of a venue by its name, false where there is none.
func benchOf(name string) (venueBench, bool) {
	switch name {
	case "binance":
		return commonBench((*generator).binance), true
	case "bitget":
		return commonBench((*generator).bitget, md.ChannelFunding), true
	case "okx":
		return commonBench((*generator).okx, md.ChannelFunding, md.ChannelOpenInterest, md.ChannelLiquidations), true
	case "binance-usdm", "binance-coinm":
		return binanceFuturesBench(name == "binance-coinm"), true
	case "bybit", "bybit-linear", "bybit-inverse":
		return bybitBench(name), true
	case "gateio":
		return gateioBench(), true
	case "gateio-futures":
		return gateioFuturesBench(), true
	case "kucoin":
		return kucoinBench(), true
	case "kucoin-futures":
		return kucoinFuturesBench(), true
	case "deribit":
		return deribitBench(), true
	case "coinbase":
		return coinbaseBench(), true
	case "coinbase-exchange":
		return coinbaseExchangeBench(), true
	case "kraken":
		return krakenBench(), true
	case "kraken-futures":
		return krakenFuturesBench(), true
	case "bitstamp":
		return bitstampBench(), true
	case "hyperliquid":
		return hyperliquidBench(), true
	case "bitfinex":
		return bitfinexBench(), true
	case "upbit":
		return upbitBench(), true
	}
	return venueBench{}, false
}

// common are the channels of every market.
var common = []md.Channel{md.ChannelTrades, md.ChannelBook, md.ChannelBBO, md.ChannelTicker}

// hasStd reports whether encoding/json is measured too: the common channels of
// three venues show the order of the general parsers, which is the same
// everywhere.
func hasStd(name string, ch md.Channel) bool {
	return ch <= md.ChannelTicker && (name == "binance" || name == "bitget" || name == "okx")
}

// decoder is the venue's own, on a connection that has seen what it must.
func decoder(v feeds.Venue) (contender, error) {
	decode := v.Decode
	if s, ok := v.(feeds.Stateful); ok {
		decode = s.NewConn().Decode
	}
	var d feeds.Decoded
	b, _ := benchOf(v.Spec().Name)
	for _, f := range b.prime {
		d.Reset()
		if err := decode([]byte(f), &d); err != nil {
			return nil, err
		}
	}
	return func(frame []byte, dst []md.Record) ([]md.Record, error) {
		d.Recs = dst
		d.Reset()
		err := decode(frame, &d)
		return d.Recs, err
	}, nil
}
