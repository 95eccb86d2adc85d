package feeds

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tickrelay/ring/md"
)

// TestEngineMuteLinesTakeTurns: where the newest connection takes the data over, each line
// is left later each time, not every 20 s for ever.
func TestEngineMuteLinesTakeTurns(t *testing.T) {
	r := newEngineRig(t, OKX{}, func(c *EngineConfig) {
		c.Silence, c.Slots, c.Channels = time.Minute, 2, []md.Channel{md.ChannelTrades}
	})
	connect := func(line int) {
		r.connect(line)
		r.frameOn(line, `{"event":"subscribe","arg":{"channel":"trades","instId":"BTC-USDT"}}`)
	}
	connect(0)
	connect(1)
	active, id := 1, 0
	for turn, want := range []int{20, 20, 40, 40, 80} {
		other := 1 - active
		left := 0
		for s := 1; s <= 100 && left == 0; s++ {
			id++
			r.frameOn(active, okxTradePush(id))
			r.tick(time.Second)
			for _, a := range r.actions() {
				if strings.HasPrefix(a, fmt.Sprintf("reconnect %d mute", other)) {
					left = s
				}
			}
		}
		if left < want-1 || left > want+2 {
			t.Fatalf("turn %d: the mute line is left after %d s, want some %d", turn, left, want)
		}
		r.disconnect(other)
		connect(other)
		active = other
	}
}
