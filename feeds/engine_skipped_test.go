package feeds

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tickrelay/ring/md"
)

// TestEngineStandbySkipped: what a line brings while its topic is broken is in nobody's
// book, and no number of the venue says so: its standby book is not believed afterwards.
func TestEngineStandbySkipped(t *testing.T) {
	r := newEngineRig(t, CoinbaseExchange{}, func(c *EngineConfig) {
		c.Silence, c.Slots, c.Channels = 10*time.Second, 2, []md.Channel{md.ChannelBook}
	})
	at := func() string { return time.Unix(0, r.now).UTC().Format("2006-01-02T15:04:05.000000Z") }
	snapshot := func(line int, bids string) {
		r.frameOn(line, fmt.Sprintf(`{"type":"snapshot","product_id":"BTC-USDT","asks":[["20","1"]],"bids":[%s],"time":"%s"}`, bids, at()))
	}
	update := func(line int, change string) {
		r.frameOn(line, fmt.Sprintf(`{"type":"l2update","product_id":"BTC-USDT","changes":[%s],"time":"%s"}`, change, at()))
	}
	for line := range 2 {
		r.connect(line)
	}
	for line := range 2 {
		snapshot(line, `["10","1"],["9","1"]`)
		update(line, `["buy","8","1"]`)
	}
	r.tick(12 * time.Second) // both are silent; the owner is subscribed to again
	update(1, `["buy","9","0"]`)
	snapshot(0, `["10","1"],["8","1"]`)
	for range 3 {
		for line := range 2 {
			update(line, `["buy","8","2"]`)
		}
	}
	r.lines()
	r.disconnect(0)
	update(1, `["buy","8","3"]`)
	for _, l := range r.lines() {
		if strings.Contains(l, `"9"`) {
			t.Errorf("a level that is gone for long: %s", l)
		}
	}
}

// TestEngineClockSetForward: frames that were received before the clock was set forward teach
// the watchdog no pause of that length.
func TestEngineClockSetForward(t *testing.T) {
	r := newEngineRig(t, OKX{}, func(c *EngineConfig) { c.Silence, c.Channels = 10*time.Second, []md.Channel{md.ChannelTrades} })
	r.connect(0)
	id := 0
	trade := func(ago time.Duration) {
		id++
		if err := r.eng.Frame(0, []byte(okxTradePush(id)), r.now-int64(ago)); err != nil {
			t.Fatal(err)
		}
		r.settle()
	}
	lively := func(ago time.Duration) {
		for range 30 {
			trade(ago)
			r.tick(100 * time.Millisecond)
		}
	}
	for range 40 { // the connection is older than the step is long
		lively(0)
	}
	for _, by := range []time.Duration{time.Minute, -time.Minute} {
		r.now += int64(by)
		r.eng.Stepped(int64(by))
		lively(max(0, by))
	}
	lively(0)
	if n := r.eng.Stats().Silences.Load(); n != 0 {
		t.Errorf("%d alarms in a lively market", n)
	}
	r.actions()
	r.tick(30 * time.Second)
	if got := strings.Join(r.actions(), "\n"); !strings.Contains(got, "reconnect 0 no data") {
		t.Errorf("30 s after it fell mute: %s", got)
	}
}
