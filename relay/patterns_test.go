package relay

import (
	"testing"

	"tickrelay/ring/md"
)

// TestNewestOptionsCount: who subscribes again to what does not exist yet gets it with the
// newest options.
func TestNewestOptionsCount(t *testing.T) {
	const late = "binance.book.LATE-USDT"
	s, g := start(t, Limits{}, 4096)
	var clients []*wsClient
	for _, topics := range []string{late, "*.book.LATE-USDT"} {
		c := dial(t, g)
		for _, depth := range []int{2, 4, 3} {
			c.send(`{"op":"subscribe","topics":["%s"],"depth":%d}`, topics, depth)
			c.want("subscribed", "")
		}
		clients = append(clients, c)
	}
	s.add(md.VenueBinance, "LATE-USDT", md.ChannelBook)
	var levels []level
	for i := range int64(6) {
		levels = append(levels, level{md.SideBid, 9999 - i, 1}, level{md.SideAsk, 10001 + i, 1})
	}
	s.rebuild(late, levels...)
	for i, c := range clients {
		c.want("topic", "")
		if m := c.want("book", late); len(m.Bids) != 3 {
			t.Errorf("client %d: %d levels, want the 3 that were asked for last", i, len(m.Bids))
		}
	}
}
