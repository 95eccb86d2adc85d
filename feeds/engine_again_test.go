package feeds

import (
	"fmt"
	"testing"
	"time"

	"tickrelay/ring/md"
)

// tradeAt is a trade of Binance at ms after the first.
func tradeAt(id, ms int) string {
	return fmt.Sprintf(`{"e":"trade","E":%d,"s":"BTCUSDT","t":%d,"p":"10","q":"1","T":%[1]d,"m":true,"M":true}`, 1700000000000+ms, id)
}

// okxTradeAt is a trade of OKX at ms after the first.
func okxTradeAt(id, ms int) string {
	return fmt.Sprintf(`{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"%d","px":"10","sz":"1","side":"buy","ts":"%d","count":"1"}]}`,
		id, 1700000000000+ms)
}

// TestEngineTradesBeginAgain: where a venue's trade ids begin again, trades go on with the
// first that is a second younger than all others, with a gap; what a second line repeats of
// before, late or out of order, is neither taken for that nor published twice.
func TestEngineTradesBeginAgain(t *testing.T) {
	for _, c := range []struct {
		venue Venue
		trade func(id, ms int) string
	}{{Binance{}, tradeAt}, {OKX{}, okxTradeAt}} {
		t.Run(c.venue.Spec().Name, func(t *testing.T) {
			r := newEngineRig(t, c.venue, func(cfg *EngineConfig) { cfg.Channels = []md.Channel{md.ChannelTrades} })
			r.connect(0)
			r.connect(1)
			for i := range 50 {
				r.frameOn(0, c.trade(100+i, 100*i))
			}
			r.lines()
			for i := range 40 { // 1 s behind
				r.frameOn(1, c.trade(100+i, 100*i))
			}
			r.frameOn(1, c.trade(138, 3800))
			r.frameOn(1, c.trade(137, 3700))
			r.expect("repeated")
			r.frameOn(0, c.trade(1, 5950))
			r.frameOn(0, c.trade(2, 5960))
			r.expect("ids began again", `gap "reason":"venue"`, `"id":"1"`, `"id":"2"`)
			for i := range 10 {
				r.frameOn(1, c.trade(140+i, 4000+100*i))
			}
			r.frameOn(1, c.trade(1, 5950))
			r.tick(time.Second)
			r.expect("the second line was late")
			r.frameOn(1, c.trade(3, 5970))
			r.frameOn(0, c.trade(3, 5970))
			r.expect("on", `"id":"3"`)
			r.disconnect(1)
			r.frameOn(0, c.trade(1, 7000))
			r.expect("and again, on one line", `gap "reason":"venue"`, `"id":"1"`)
		})
	}
}

// TestEngineTradeIDsUsedAgain: ids that the memory of trades still holds are used again.
func TestEngineTradeIDsUsedAgain(t *testing.T) {
	trade := func(id, ms int) string {
		return fmt.Sprintf(`{"time":1,"channel":"spot.trades","event":"update","result":{"id":%d,"create_time":1700000000,"create_time_ms":"%d.0","side":"sell","currency_pair":"BTC_USDT","amount":"1","price":"10"}}`,
			id, 1700000000000+ms)
	}
	r := newEngineRig(t, Gateio{}, func(cfg *EngineConfig) { cfg.Channels = []md.Channel{md.ChannelTrades} })
	r.connect(0)
	for i := range 3 {
		r.frame(trade(1+i, 10*i))
	}
	r.lines()
	r.frame(trade(2, 10))
	r.expect("repeated")
	for i := range 3 {
		r.frame(trade(1+i, 2000+10*i))
	}
	r.expect("used again", `gap "reason":"venue"`, `"id":"1"`, `"id":"2"`, `"id":"3"`)
}

// TestEngineTradesBeginAgainAfterLoss: the venue's ids begin again while no line is up.
func TestEngineTradesBeginAgainAfterLoss(t *testing.T) {
	r := newEngineRig(t, Binance{}, func(cfg *EngineConfig) { cfg.Channels = []md.Channel{md.ChannelTrades} })
	r.connect(0)
	r.frame(tradeAt(1000, 0))
	r.disconnect(0)
	r.connect(0)
	r.lines()
	r.frame(tradeAt(7, 60000))
	r.frame(tradeAt(8, 60001))
	r.expect("goes on at once", `gap "reason":"venue"`, `"id":"7"`, `"id":"8"`)
}
