package feeds

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tickrelay/ring/md"
)

// TestEngineBlindRefusal: a venue that refuses a request as a whole and does not say for
// which name. Within seconds every other name is subscribed, also on the next connection;
// the bad one alone is asked for again.
func TestEngineBlindRefusal(t *testing.T) {
	r := newEngineRig(t, CoinbaseExchange{}, func(c *EngineConfig) {
		c.Instruments, c.Channels = []string{"*"}, []md.Channel{md.ChannelTrades, md.ChannelTicker}
	})
	const names, bad = 60, 27
	var list []md.Instrument
	for i := range names {
		list = append(list, md.Instrument{Symbol: fmt.Sprintf("A%d-USD", i), Native: fmt.Sprintf("A%d-USD", i), Venue: md.VenueCoinbaseExchange})
	}
	r.eng.Catalogue(list)
	r.eng.Start()
	var have map[string]bool // what the venue has subscribed on the connection
	requests := 0
	venue := func() { // answers what was sent
		t.Helper()
		for _, a := range r.actions() {
			requests++
			unknown := strings.Contains(a, fmt.Sprintf(`"A%d-USD"`, bad))
			if unknown {
				r.frame(`{"type":"error","message":"Failed to subscribe","reason":"not a valid product"}`)
				continue
			}
			r.frame(`{"type":"subscriptions","channels":[]}`)
			for i := range names {
				name := fmt.Sprintf("A%d-USD", i)
				if !strings.Contains(a, `"`+name+`"`) {
					continue
				}
				if strings.Contains(a, "matches") {
					have["trades "+name] = true
					r.frame(fmt.Sprintf(`{"type":"last_match","trade_id":%d,"maker_order_id":"a","taker_order_id":"b","side":"sell","size":"1","price":"10","product_id":%q,"sequence":1,"time":"2026-01-02T03:04:05.000000Z"}`, i+1, name))
				} else {
					have["ticker "+name] = true
					r.frame(fmt.Sprintf(`{"type":"ticker","sequence":1,"product_id":%q,"price":"10","open_24h":"9","volume_24h":"1","low_24h":"8","high_24h":"11","time":"2026-01-02T03:04:05.000000Z"}`, name))
				}
			}
		}
	}
	for round, most := range []time.Duration{10 * time.Second, 14 * time.Second} {
		have, requests = map[string]bool{}, 0
		r.connect(0)
		for end := r.now + int64(most); r.now < end; {
			venue()
			r.tick(100 * time.Millisecond)
		}
		if len(have) != 2*(names-1) {
			t.Errorf("connection %d: %d streams after %v, want %d", round, len(have), most, 2*(names-1))
		}
		if requests > 4+2*maxPieces {
			t.Errorf("connection %d: %d requests", round, requests)
		}
		requests = 0
		for range 4 * 64 {
			r.tick(time.Second)
			venue()
		}
		if requests < 4 || requests > 16 {
			t.Errorf("connection %d: the bad name was asked for %d times in four minutes", round, requests)
		}
		r.disconnect(0)
		r.actions()
	}
}
