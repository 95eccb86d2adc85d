package feeds

import (
	"fmt"
	"testing"
	"time"

	"tickrelay/ring/md"
)

// TestEngineSnapshotBeforeStream: a book from REST whose subscription was refused is
// not continued by the first update that comes: what changed between is not known.
func TestEngineSnapshotBeforeStream(t *testing.T) {
	for _, refused := range []bool{true, false} {
		r := newEngineRig(t, Bitstamp{}, func(c *EngineConfig) {
			c.Instruments, c.Channels = []string{"BTC-USD"}, []md.Channel{md.ChannelBook}
		})
		r.eng.Start()
		r.connect(0)
		if refused {
			r.frame(`{"event":"bts:error","channel":"","data":{"code":4009,"message":"busy"}}`)
		} else {
			r.frame(`{"event":"bts:subscription_succeeded","channel":"diff_order_book_btcusd","data":{}}`)
		}
		r.tick(1500 * time.Millisecond)
		at := int64(1_763_842_100_000_000)
		r.snapshot(1, fmt.Sprintf(`{"timestamp":"%d","microtimestamp":"%d","bids":[["10","1"]],"asks":[["11","1"]]}`, at/1e6, at), nil)
		r.lines()
		r.frame(fmt.Sprintf(`{"event":"data","channel":"diff_order_book_btcusd","data":{"timestamp":"%d","microtimestamp":"%d","bids":[["10","3"]],"asks":[]}}`,
			at/1e6+7, at+7_000_000))
		if live := r.eng.topics[0].state == TopicLive; live == refused {
			t.Errorf("refused %v: live is %v after %q", refused, live, r.lines())
		}
	}
}

// TestBitfinexChannelsPerConnection: the venue allows 25 channels on a connection, and a
// perpetual's ticker takes two.
func TestBitfinexChannelsPerConnection(t *testing.T) {
	r := newEngineRig(t, Bitfinex{}, func(c *EngineConfig) { c.Instruments, c.Channels = []string{"*"}, []md.Channel{md.ChannelTicker} })
	var list []md.Instrument
	for i := range 25 {
		list = append(list, md.Instrument{Symbol: fmt.Sprintf("A%c-USD-PERP", 'A'+i), Native: fmt.Sprintf("tA%cF0:USTF0", 'A'+i), Kind: md.InstrumentPerp})
	}
	r.eng.Catalogue(list)
	r.eng.Start()
	all := 0
	for part := range r.eng.parts {
		r.settle()
		r.actions()
		r.connect(part * r.eng.cfg.Slots)
		n := len(r.actions()) - 1 // the first is conf
		if all += n; n > 25 {
			t.Errorf("part %d: %d channels", part, n)
		}
	}
	if all != 50 {
		t.Errorf("%d channels, want 50", all)
	}
}
