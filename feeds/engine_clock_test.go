package feeds

import (
	"fmt"
	"testing"
	"time"

	"tickrelay/ring/md"
)

// step sets the wall clock.
func (r *engineRig) step(d time.Duration) {
	r.now += int64(d)
	r.eng.Stepped(int64(d))
}

// before hands over a frame that was received before the clock was set forward by d.
func (r *engineRig) before(d time.Duration, line int, text string) {
	r.tb.Helper()
	if err := r.eng.Frame(line, []byte(text), r.now-int64(d)); err != nil {
		r.tb.Fatal(err)
	}
	r.settle()
}

// TestClockStepHandOver: whether a line that is up since a while covers what another
// brought is not another question after the clock was set.
func TestClockStepHandOver(t *testing.T) {
	for _, d := range []time.Duration{time.Hour, -time.Hour} {
		r := newEngineRig(t, Binance{}, func(c *EngineConfig) { c.Channels = []md.Channel{md.ChannelTrades} })
		r.connect(0)
		r.frameOn(0, tradeFrame(7, "10", "1"))
		r.now += int64(time.Second)
		r.connect(1)
		if !r.eng.Covers(0, 1) {
			t.Fatal("a line that was up all the while does not cover a quiet topic")
		}
		r.step(d)
		if !r.eng.Covers(0, 1) {
			t.Errorf("after a step by %v it does not any more", d)
		}
		r.frameOn(0, tradeFrame(8, "10", "1"))
		if r.eng.Covers(0, 1) {
			t.Fatal("a line covers a trade that it did not bring")
		}
		r.step(d)
		if r.eng.Covers(0, 1) {
			t.Errorf("after a step by %v it does", d)
		}
	}
}

// TestClockStepHole: an event that was received before the clock was set forward waits for
// another line as long as any.
func TestClockStepHole(t *testing.T) {
	r := newEngineRig(t, Binance{}, func(c *EngineConfig) { c.Channels = []md.Channel{md.ChannelTrades} })
	r.connect(0)
	r.connect(1)
	r.frameOn(0, tradeFrame(7, "10", "1"))
	r.frameOn(1, tradeFrame(7, "10", "1"))
	r.lines()
	r.step(time.Hour)
	r.before(time.Hour, 0, tradeFrame(9, "10", "1"))
	r.tick(100 * time.Millisecond)
	r.expect("it waits")
	r.frameOn(1, tradeFrame(8, "10", "1"))
	r.expect("filled", `"id":"8"`, `"id":"9"`)
}

// TestClockStepOwner: an owner whose last event was received before the clock was set
// forward is not silent.
func TestClockStepOwner(t *testing.T) {
	push := func(last, ms int) string {
		return fmt.Sprintf(`{"action":"snapshot","arg":{"instType":"SPOT","channel":"ticker","instId":"BTCUSDT"},"data":[{"instId":"BTCUSDT","lastPr":"%d","ts":"%d"}],"ts":%[2]d}`,
			last, 1700000000000+ms)
	}
	r := newEngineRig(t, Bitget{}, func(c *EngineConfig) { c.Channels = []md.Channel{md.ChannelTicker} })
	r.connect(0)
	r.connect(1)
	r.frameOn(0, push(10, 0))
	r.lines()
	r.step(time.Hour)
	r.before(time.Hour, 0, push(11, 100))
	r.expect("the owner's", `"last":"11"`)
	for i := range 5 {
		r.frameOn(1, push(12, 200+i))
	}
	r.expect("the other line waits")
	if n := r.eng.Stats().Switches.Load(); n != 0 {
		t.Errorf("%d switches", n)
	}
}
