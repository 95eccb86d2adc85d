package feeds

import (
	"strings"
	"testing"

	"tickrelay/ring/md"
)

// TestEngineSharedStreams: a stream of the venue that serves several topics ends
// with the last of them, and is not asked for again with a further one.
func TestEngineSharedStreams(t *testing.T) {
	funding, ticker := []md.Channel{md.ChannelFunding}, []md.Channel{md.ChannelTicker}
	both := []md.Channel{md.ChannelFunding, md.ChannelTicker}
	for _, c := range []struct {
		venue  Venue
		symbol string
		native string
		kind   md.InstrumentKind
		acks   []string // what the venue answers
		shared string
		// The channels at first, one of them after it, both again and none of them.
		first, one, other []md.Channel
	}{
		{Deribit{}, "BTC-USD-PERP", "BTC-PERPETUAL", md.InstrumentPerpInverse, nil, "ticker.BTC-PERPETUAL.100ms", both, funding, ticker},
		{Deribit{}, "BTC-USD-PERP", "BTC-PERPETUAL", md.InstrumentPerpInverse, nil, "ticker.BTC-PERPETUAL.100ms", both, ticker, funding},
		{Bybit{BybitLinear}, "BTC-USDT-PERP", "BTCUSDT", md.InstrumentPerp, nil, "tickers.BTCUSDT", both, funding, ticker},
		{Bitget{}, "BTC-USDT-PERP", "BTCUSDT", md.InstrumentPerp, nil, `"ticker"`, both, ticker, funding},
		{GateioFutures{}, "BTC-USDT-PERP", "BTC_USDT", md.InstrumentPerp, nil, "futures.tickers", both, funding, ticker},
		{BinanceCOINM{}, "BTC-USD-PERP", "BTCUSD_PERP", md.InstrumentPerpInverse, nil, "btcusd_perp@markPrice@1s", both, funding, ticker},
		{Kraken{}, "BTC-USD", "BTC/USD", md.InstrumentSpot, nil, `"ticker"`,
			[]md.Channel{md.ChannelBBO, md.ChannelTicker}, []md.Channel{md.ChannelBBO}, ticker},
		{Bitfinex{}, "BTC-USD-PERP", "tBTCF0:USTF0", md.InstrumentPerp,
			[]string{`{"event":"subscribed","channel":"status","chanId":5,"key":"deriv:tBTCF0:USTF0"}`}, `"chanId":5`,
			[]md.Channel{md.ChannelFunding, md.ChannelOpenInterest}, funding, []md.Channel{md.ChannelOpenInterest}},
	} {
		t.Run(c.venue.Spec().Name, func(t *testing.T) {
			r := newEngineRig(t, c.venue, func(cfg *EngineConfig) { cfg.Instruments, cfg.Channels = []string{"*"}, c.first })
			r.eng.Catalogue([]md.Instrument{{Symbol: c.symbol, Native: c.native, Kind: c.kind}})
			r.eng.Start()
			r.connect(0)
			for _, ack := range c.acks {
				r.frame(ack)
			}
			r.actions()
			reselect := func(what string, channels []md.Channel, ends bool) {
				t.Helper()
				if err := r.eng.Reselect([]string{"*"}, channels, r.now); err != nil {
					t.Fatal(err)
				}
				r.settle()
				got := strings.Join(r.actions(), "\n")
				if strings.Contains(got, c.shared) != ends {
					t.Fatalf("%s: the stream %s in\n%s\nwant %v", what, c.shared, got, ends)
				}
			}
			reselect("one ends", c.one, false)
			reselect("it begins again", c.first, false)
			reselect("the other ends", c.other, false)
			reselect("all end", []md.Channel{md.ChannelTrades}, true)
		})
	}
}

// TestEngineChannelInTail: where requests name the channel last, a channel that comes
// beside another of the same instrument is asked for, and ends without it.
func TestEngineChannelInTail(t *testing.T) {
	for _, c := range []struct {
		venue        Venue
		book, trades string
	}{{Coinbase{}, `"level2"`, `"market_trades"`}, {CoinbaseExchange{}, `"level2_batch"`, `"matches"`}} {
		t.Run(c.venue.Spec().Name, func(t *testing.T) {
			books := []md.Channel{md.ChannelBook}
			r := newEngineRig(t, c.venue, func(cfg *EngineConfig) { cfg.Instruments, cfg.Channels = []string{"*"}, books })
			r.eng.Catalogue([]md.Instrument{{Symbol: "BTC-USD", Native: "BTC-USD", Kind: md.InstrumentSpot}})
			r.eng.Start()
			r.connect(0)
			r.actions()
			for _, step := range []struct {
				channels []md.Channel
				want     string
			}{{[]md.Channel{md.ChannelBook, md.ChannelTrades}, `"subscribe" ` + c.trades}, {tradesOnly, `"unsubscribe" ` + c.book}} {
				if err := r.eng.Reselect([]string{"*"}, step.channels, r.now); err != nil {
					t.Fatal(err)
				}
				r.settle()
				r.expectActions(step.want, step.want)
			}
		})
	}
}

// TestEngineSharedByInstruments: a stream of all instruments outlives one of them.
func TestEngineSharedByInstruments(t *testing.T) {
	r := newEngineRig(t, OKX{}, func(cfg *EngineConfig) {
		cfg.Instruments, cfg.Channels = []string{"*"}, []md.Channel{md.ChannelLiquidations}
	})
	btc := md.Instrument{Symbol: "BTC-USDT-PERP", Native: "BTC-USDT-SWAP", Kind: md.InstrumentPerp}
	eth := md.Instrument{Symbol: "ETH-USDT-PERP", Native: "ETH-USDT-SWAP", Kind: md.InstrumentPerp}
	r.eng.Catalogue([]md.Instrument{btc, eth})
	r.eng.Start()
	r.connect(0)
	r.actions()
	for _, symbols := range []string{"BTC-*", "*"} { // one ends, and is back
		if err := r.eng.Reselect([]string{symbols}, []md.Channel{md.ChannelLiquidations}, r.now); err != nil {
			t.Fatal(err)
		}
		r.settle()
		r.expectActions(symbols)
	}
	if err := r.eng.Narrow([]string{"nothing"}, []md.Channel{md.ChannelLiquidations}, r.now); err != nil {
		t.Fatal(err)
	}
	r.settle()
	r.expectActions("both end", `unsubscribe liquidation-orders`)
}
