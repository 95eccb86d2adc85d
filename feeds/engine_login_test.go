package feeds

import (
	"testing"

	"tickrelay/ring/md"
)

// TestEngineLoginRefused: a log-in is sent once on a connection, so a refused one
// needs another connection; nothing is subscribed without it.
func TestEngineLoginRefused(t *testing.T) {
	v, err := Deribit{}.WithCredentials(Credentials{Key: "AMANDA", Secret: "AMANDASECRECT"})
	if err != nil {
		t.Fatal(err)
	}
	r := newEngineRig(t, v, func(c *EngineConfig) { c.Instruments, c.Channels = []string{"BTC-USD-PERP"}, tradesOnly })
	r.eng.Start()
	r.connect(0)
	r.expectActions("greeting", "set_heartbeat", "public/auth")
	r.frame(`{"jsonrpc":"2.0","id":2,"error":{"code":10028,"message":"too_many_requests"}}`)
	r.tick(3e9)
	r.expectActions("refused", "reconnect")
	r.disconnect(0)
	r.connect(0)
	r.expectActions("again", "set_heartbeat", "public/auth")
	r.frame(`{"jsonrpc":"2.0","id":2,"result":{"access_token":"x"}}`)
	r.expectActions("taken", "trades.BTC-PERPETUAL.raw")
}

// TestEngineKindWithoutCatalogue: where a venue's perpetuals are inverse, its own rule
// tells it, not the symbol.
func TestEngineKindWithoutCatalogue(t *testing.T) {
	for _, c := range []struct {
		venue  Venue
		symbol string
		want   md.InstrumentKind
	}{
		{Deribit{}, "BTC-USD-PERP", md.InstrumentPerpInverse},
		{OKX{}, "BTC-USD-PERP", md.InstrumentPerpInverse},
		{OKX{}, "BTC-USDT-PERP", md.InstrumentPerp},
		{BinanceCOINM{}, "BTC-USD-PERP", md.InstrumentPerpInverse},
		{Binance{}, "BTC-USDT", md.InstrumentSpot},
	} {
		r := newEngineRig(t, c.venue, func(cfg *EngineConfig) { cfg.Instruments, cfg.Channels = []string{c.symbol}, tradesOnly })
		r.eng.Start()
		r.connect(0)
		if len(r.eng.instruments) != 1 || r.eng.instruments[0].md.Kind != c.want {
			t.Errorf("%s %s: %d instruments, want kind %v", c.venue.Spec().Name, c.symbol, len(r.eng.instruments), c.want)
		}
	}
}
