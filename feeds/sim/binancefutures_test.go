package sim_test

import (
	"encoding/json"
	"strings"
	"testing"

	"tickrelay/feeds/sim"
)

// TestBinanceFuturesClasses: streams come at the address of their class alone.
func TestBinanceFuturesClasses(t *testing.T) {
	x := openOf(t, "binance-usdm", sim.Options{}, []string{"BTC-USDT-PERP"})
	both := `{"method":"SUBSCRIBE","params":["btcusdt@aggTrade","btcusdt@depth@100ms"],"id":1}`
	for path, want := range map[string]string{"/public/ws": "depthUpdate", "/market/ws": "aggTrade", "/ws": "depthUpdate"} {
		c := dial(t, x.URL()+path, nil)
		c.send(both)
		c.next()
		x.run(2000)
		x.freeze(t)
		for range 3 {
			if frame := string(c.next()); !strings.HasPrefix(frame, `{"e":"`+want) {
				t.Errorf("%s: %s", path, frame)
			}
		}
		x.market.Resume()
	}
}

// TestBinanceFuturesChain: pu is the u before it.
func TestBinanceFuturesChain(t *testing.T) {
	x := openOf(t, "binance-coinm", sim.Options{}, []string{"BTC-USD-PERP"})
	c := dial(t, x.URL(), nil)
	c.send(`{"method":"SUBSCRIBE","params":["btcusd_perp@depth@100ms"],"id":1}`)
	c.next()
	x.run(2000)
	x.freeze(t)
	last := int64(0)
	for range 5 {
		var f struct {
			Symbol, Pair string
			First        int64 `json:"U"`
			Last         int64 `json:"u"`
			Previous     int64 `json:"pu"`
			S            string
			PS           string
		}
		if err := json.Unmarshal(c.next(), &f); err != nil || f.S != "BTCUSD_PERP" || f.PS != "BTCUSD" {
			t.Fatal(err, f)
		}
		if last != 0 && f.Previous != last || f.First > f.Last {
			t.Fatalf("%+v follows %d", f, last)
		}
		last = f.Last
	}
}
