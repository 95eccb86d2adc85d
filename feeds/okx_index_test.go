package feeds

import (
	"testing"

	"tickrelay/ring/md"
)

func TestOKXIndexOf(t *testing.T) {
	for native, want := range map[string]string{"BTC-USDT-SWAP": "BTC-USDT", "BTC-USD-260327": "BTC-USD", "BTC-USD_UM-SWAP": "BTC-USD",
		"BTC-USDT": "", "BTC-USD-260327-50000-C": "", "BTC": "", "": "", "--": ""} {
		if got := okxIndexOf(native); got != want {
			t.Errorf("%s follows %q, want %q", native, got, want)
		}
	}
}

// TestOKXIndex: one frame of an index reaches the topics of every contract on it,
// and the spot market of the same name not at all.
func TestOKXIndex(t *testing.T) {
	r := newEngineRig(t, OKX{}, func(c *EngineConfig) {
		c.Instruments, c.Channels = []string{"*"}, []md.Channel{md.ChannelTicker}
	})
	r.eng.Catalogue([]md.Instrument{{Symbol: "BTC-USDT", Native: "BTC-USDT", Kind: md.InstrumentSpot},
		{Symbol: "BTC-USDT-PERP", Native: "BTC-USDT-SWAP", Kind: md.InstrumentPerp},
		{Symbol: "BTC-USDT-260327", Native: "BTC-USDT-260327", Kind: md.InstrumentFuture}})
	r.eng.Start()
	r.connect(0)
	r.expectActions("requests", `"status"`,
		`"tickers","instId":"BTC-USDT"} "index-tickers","instId":"BTC-USDT"} "mark-price","instId":"BTC-USDT-260327"`)
	index := `{"arg":{"channel":"index-tickers","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","idxPx":"64011.2","open24h":"1","ts":"1763842100125"}]}`
	r.frame(index)
	r.expect("before the answers")
	for _, native := range []string{"BTC-USDT-SWAP", "BTC-USDT-260327"} {
		r.frame(`{"event":"subscribe","arg":{"channel":"mark-price","instId":"` + native + `"}}`)
	}
	r.frame(index)
	r.expect("both", `okx.ticker.BTC-USDT-PERP "index":"64011.2"`, `okx.ticker.BTC-USDT-260327 "index":"64011.2"`)
	conn := OKX{}.NewConn()
	var d Decoded
	if err := conn.Decode([]byte(`{"event":"subscribe","arg":{"channel":"mark-price","instId":"BTC-USDT-SWAP"}}`), &d); err != nil {
		t.Fatal(err)
	}
	frame := []byte(index)
	if n := testing.AllocsPerRun(100, func() {
		d.Reset()
		if conn.Decode(frame, &d) != nil || len(d.Events) != 1 {
			t.Fatal("not read")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestOKXStatus: maintenance of the WebSocket breaks what is shown, a plan does not.
func TestOKXStatus(t *testing.T) {
	r := newEngineRig(t, OKX{}, func(c *EngineConfig) { c.Channels = []md.Channel{md.ChannelTicker} })
	r.connect(0)
	r.frame(`{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{"instType":"SPOT","instId":"BTC-USDT","last":"5","ts":"1763842100125"}]}`)
	r.expect("shown", `"ticker"`)
	status := func(state, service string) string {
		return `{"arg":{"channel":"status"},"data":[{"title":"upgrade","state":"` + state + `","serviceType":"` + service + `","env":"1","ts":"1763842100125"}]}`
	}
	r.frame(status("scheduled", "0"))
	r.frame(status("ongoing", "3"))
	r.frame(status("completed", "0"))
	r.expect("goes on")
	r.frame(status("ongoing", "0"))
	r.expect("pauses", `"gap" "reason":"venue"`)
}

func FuzzDecodeOKX(f *testing.F) { fuzzVenue(f, OKX{}) }
