package feeds

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tickrelay/ring/md"
)

// TestEngineSnapshotBeforeStream: a book from REST whose own subscription was refused or
// not answered yet when the snapshot was asked for is not shown, nor continued by the
// first update that comes: what changed between is not known.
func TestEngineSnapshotBeforeStream(t *testing.T) {
	ack := func(pair string) string {
		return `{"event":"bts:subscription_succeeded","channel":"diff_order_book_` + pair + `","data":{}}`
	}
	for _, c := range []struct {
		name         string
		before, late string // frames before and after the snapshot was asked for
		live         bool
	}{
		{"confirmed", ack("btcusd"), "", true},
		{"refused", `{"event":"bts:error","channel":"","data":{"code":4009,"message":"busy"}}`, "", false},
		{"another pair's book", ack("ethusd"), "", false},
		{"its trades", `{"event":"bts:subscription_succeeded","channel":"live_trades_btcusd","data":{}}`, "", false},
		{"no longer", `{"event":"bts:unsubscription_succeeded","channel":"diff_order_book_btcusd","data":{}}`, "", false},
		{"too late", `{"event":"bts:heartbeat","channel":"","data":{"status":"success"}}`, ack("btcusd"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newEngineRig(t, Bitstamp{}, func(cfg *EngineConfig) {
				cfg.Instruments, cfg.Channels = []string{"BTC-USD"}, []md.Channel{md.ChannelBook}
			})
			r.eng.Start()
			r.connect(0)
			r.frame(c.before)
			r.tick(1500 * time.Millisecond)
			if c.late != "" {
				r.frame(c.late)
			}
			at := int64(1_763_842_100_000_000)
			snapshot := fmt.Sprintf(`{"timestamp":"%d","microtimestamp":"%d","bids":[["10","1"]],"asks":[["11","1"]]}`, at/1e6, at)
			r.snapshot(1, snapshot, nil)
			live := func(when string, want bool) {
				t.Helper()
				if got := r.eng.topics[0].state == TopicLive; got != want {
					t.Errorf("%s: live is %v after %q", when, got, r.lines())
				}
			}
			live("snapshot", c.live)
			r.frame(fmt.Sprintf(`{"event":"data","channel":"diff_order_book_btcusd","data":{"timestamp":"%d","microtimestamp":"%d","bids":[["10","3"]],"asks":[]}}`,
				at/1e6+7, at+7_000_000))
			live("update", c.live)
			if c.live {
				return
			}
			r.tick(10 * time.Second) // by then another snapshot has been asked for
			r.snapshot(2, strings.ReplaceAll(snapshot, fmt.Sprint(at), fmt.Sprint(at+8_000_000)), nil)
			live("another snapshot", true)
		})
	}
}
