package feeds

import (
	"testing"
	"time"

	"tickrelay/ring/md"
)

// TestEngineUpbitQuietTrades: Upbit acknowledges nothing. The last trade, which it sends
// at once, is the answer; it is history and not published.
func TestEngineUpbitQuietTrades(t *testing.T) {
	r := newEngineRig(t, Upbit{}, func(c *EngineConfig) { c.Instruments, c.Channels = []string{"BTC-KRW"}, tradesOnly })
	r.eng.Start()
	r.connect(0)
	r.expectActions("subscribes", `{"type":"trade","codes":["KRW-BTC"]}`)
	r.frame(`{"ty":"trade","cd":"KRW-BTC","tms":1763842100200,"ttms":1763842100100,"tp":5,"tv":1,"ab":"BID","sid":9,"st":"SNAPSHOT"}`)
	for _, l := range r.lines() {
		t.Errorf("published %s", l)
	}
	r.tick(2 * 15 * time.Second)
	r.expectActions("quiet")
	if r.eng.topics[0].ch != md.ChannelTrades || r.eng.stats.Ignored[IgnoreHistory].Load() != 1 {
		t.Error("the trade was not told as history")
	}
}
