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
		if left < want-1 || left > want+7 {
			t.Fatalf("turn %d: the mute line is left after %d s, want some %d to %d", turn, left, want, want+5)
		}
		r.disconnect(other)
		connect(other)
		active = other
	}
}

// TestEngineMuteBesideAnswers: what a line brings because it was asked, of a market in
// which nothing happens, does not make another line mute.
func TestEngineMuteBesideAnswers(t *testing.T) {
	r := newEngineRig(t, OKX{}, func(c *EngineConfig) {
		c.Silence, c.Slots, c.Channels = time.Minute, 2, []md.Channel{md.ChannelTrades}
	})
	r.connect(1)
	r.frameOn(1, okxTradePush(1))
	for range 30 { // the other comes and goes; the last trade is pushed each time
		r.connect(0)
		r.frameOn(0, okxTradePush(1))
		r.tick(time.Second)
		r.frameOn(0, okxTradePush(1))
		r.tick(time.Second)
		r.disconnect(0)
		if got := strings.Join(r.actions(), "\n"); strings.Contains(got, "reconnect 1") {
			t.Fatal(got)
		}
	}
	r.connect(0) // it stays, and its market is lively
	for id := range 40 {
		r.frameOn(0, okxTradePush(id))
		r.tick(time.Second)
	}
	if got := strings.Join(r.actions(), "\n"); !strings.Contains(got, "reconnect 1 mute") {
		t.Errorf("the mute line is kept: %s", got)
	}
}
