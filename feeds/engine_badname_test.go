package feeds

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"tickrelay/ring/md"
)

var requestNumber = regexp.MustCompile(`"(?:id|req_id)":"?(\d+)`)

// TestEngineOneBadName: venues that refuse a request as a whole for one name are asked
// for the others one by one; only the bad one is refused, and tried again by itself.
func TestEngineOneBadName(t *testing.T) {
	for _, c := range []struct {
		venue                           Venue
		good, bad, ack, refusal, refuse string // "#" is the request's number
		ready                           string
	}{
		{Gateio{}, "A_USDT", "X_USDT", `{"time":1,"id":#,"channel":"spot.trades","event":"subscribe","error":null,"result":{"status":"success"}}`,
			`{"time":1,"id":#,"channel":"spot.trades","event":"subscribe","error":{"code":2,"message":"unknown currency pair X_USDT"},"result":{"status":"fail"}}`, "", ""},
		{Bybit{BybitLinear}, "AUSDT", "XUSDT", `{"success":true,"ret_msg":"","conn_id":"1","req_id":"#","op":"subscribe"}`,
			`{"success":false,"ret_msg":"error:handler not found,topic:publicTrade.XUSDT","conn_id":"1","req_id":"#","op":"subscribe"}`,
			`{"success":false,"ret_msg":"error:already subscribed,topic:publicTrade.AUSDT","conn_id":"1","req_id":"#","op":"subscribe"}`, ""},
		{Kucoin{}, "A-USDT", "X-USDT", `{"id":"#","type":"ack"}`,
			`{"id":"#","type":"error","code":404,"data":"topic /market/match:X-USDT is not found"}`, "", `{"id":"hello","type":"welcome"}`},
	} {
		t.Run(c.venue.Spec().Name, func(t *testing.T) {
			r := newEngineRig(t, c.venue, func(cfg *EngineConfig) {
				cfg.Instruments, cfg.Channels = []string{"*"}, []md.Channel{md.ChannelTrades}
			})
			r.eng.Catalogue([]md.Instrument{{Symbol: "A-USDT", Native: c.good, Venue: c.venue.Spec().Venue},
				{Symbol: "X-USDT", Native: c.bad, Venue: c.venue.Spec().Venue}})
			r.eng.Start()
			r.connect(0)
			if c.ready != "" {
				r.frame(c.ready)
			}
			one := func(what string, want ...string) (ids []string) {
				t.Helper()
				acts := r.actions()
				if len(acts) != len(want) {
					t.Fatalf("%s: did %q, want %q", what, acts, want)
				}
				for i, a := range acts {
					m := requestNumber.FindStringSubmatch(a)
					if m == nil || !strings.Contains(a, want[i]) || len(want) > 1 && strings.Contains(a, want[1-i]) {
						t.Fatalf("%s: did %q, want %q", what, acts, want)
					}
					ids = append(ids, m[1])
				}
				return ids
			}
			answer := func(text, id string) { r.frame(strings.ReplaceAll(text, "#", id)) }
			r.settle()
			first := r.actions()
			last := first[len(first)-1]
			if !strings.Contains(last, c.good) || !strings.Contains(last, c.bad) {
				t.Fatalf("asked %q", first)
			}
			answer(c.refusal, requestNumber.FindStringSubmatch(last)[1])
			ids := one("after the refusal", c.good, c.bad)
			good := c.ack
			if c.refuse != "" {
				good = c.refuse // which is as good as an acknowledgement
			}
			answer(good, ids[0])
			answer(c.refusal, ids[1])
			if n := r.eng.Stats().VenueErrors.Load(); n < 2 {
				t.Errorf("%d errors counted", n)
			}
			for range 3 {
				r.tick(70 * time.Second)
				ids = one("again", c.bad)
				answer(c.refusal, ids[0])
			}
			r.tick(70 * time.Second)
			answer(c.ack, one("listed", c.bad)[0])
			r.tick(3 * time.Minute)
			if a := r.actions(); len(a) != 0 {
				t.Errorf("afterwards %q", a)
			}
		})
	}
}

// TestEngineBadNameWithdrawn: a name that is no longer wanted is not asked for again.
func TestEngineBadNameWithdrawn(t *testing.T) {
	r := newEngineRig(t, Gateio{}, func(cfg *EngineConfig) {
		cfg.Instruments, cfg.Channels = []string{"*"}, []md.Channel{md.ChannelTrades}
	})
	in := func(name string) md.Instrument {
		return md.Instrument{Symbol: name + "-USDT", Native: name + "_USDT", Venue: md.VenueGateio}
	}
	r.eng.Catalogue([]md.Instrument{in("A"), in("X")})
	r.eng.Start()
	r.connect(0)
	r.actions()
	for id := range 3 { // the request for both, then those for each
		r.frame(fmt.Sprintf(`{"time":1,"id":%d,"channel":"spot.trades","event":"subscribe","error":{"code":2,"message":"unknown"},"result":{"status":"fail"}}`, 1+id))
	}
	r.actions()
	r.eng.Catalogue([]md.Instrument{in("A")})
	r.settle()
	r.actions()
	r.tick(10 * time.Second)
	a := r.actions()
	if len(a) != 1 || !strings.Contains(a[0], "A_USDT") || strings.Contains(a[0], "X_USDT") {
		t.Errorf("did %q, want A asked for once more", a)
	}
}
