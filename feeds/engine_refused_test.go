package feeds

import (
	"strings"
	"testing"

	"tickrelay/ring/md"
)

const badFrame = `{"data":[{"px":"10.`

// refuse hands the rig a frame that no decoder takes.
func (r *engineRig) refuse(line int) {
	r.tb.Helper()
	if err := r.eng.Frame(line, []byte(badFrame), r.now); err == nil {
		r.tb.Fatal("accepted")
	}
	r.settle()
}

// TestEngineRefusedFrameTold: what a frame would have said is lost. Numbered books and
// trades show that themselves; of trades whose ids have holes a gap is told.
func TestEngineRefusedFrameTold(t *testing.T) {
	r := newEngineRig(t, OKX{}, func(c *EngineConfig) { c.Channels = []md.Channel{md.ChannelTrades, md.ChannelBook} })
	r.connect(0)
	r.frame(okxPush("snapshot", "-1", "10", `["10","5","0","1"]`, `["11","2","0","1"]`, "0"))
	r.frame(okxTradePush(1))
	r.lines()
	r.actions()
	r.refuse(0)
	got := r.lines()
	if len(got) != 1 || !strings.Contains(got[0], `"gap"`) || !strings.Contains(got[0], "okx.trades.BTC-USDT") {
		t.Errorf("told %q, want a gap of the trades", got)
	}
	if a := r.actions(); len(a) != 0 {
		t.Errorf("did %q", a)
	}
	r.refuse(0)
	if got := r.lines(); len(got) != 0 {
		t.Errorf("told again: %q", got)
	}
	r.frame(okxTradePush(3))
	if got := r.lines(); len(got) != 1 || !strings.Contains(got[0], `"trade"`) {
		t.Errorf("after it %q, want the trade", got)
	}
}

// TestEngineRefusedFrameOfBlindBook: Kraken numbers nothing and its checksum is of ten
// levels. A lost update of the eleventh is never seen, so the connection is made anew.
func TestEngineRefusedFrameOfBlindBook(t *testing.T) {
	for _, v := range []Venue{Kraken{}, CoinbaseExchange{}, Bitstamp{}} {
		t.Run(v.Spec().Name, func(t *testing.T) {
			r := newEngineRig(t, v, func(c *EngineConfig) { c.Channels = []md.Channel{md.ChannelTrades, md.ChannelBook} })
			in := entry("BTC-USDT", "XX")
			in.Venue = v.Spec().Venue
			r.eng.Catalogue([]md.Instrument{in})
			r.connect(0)
			r.settle()
			r.actions()
			for _, tp := range r.eng.topics {
				tp.lines |= r.eng.bit(0) // something came over this line
			}
			if len(r.eng.topics) == 0 {
				t.Fatal("no topics")
			}
			r.refuse(0)
			if a := r.actions(); len(a) != 1 || !strings.HasPrefix(a[0], "reconnect 0") {
				t.Errorf("did %q, want the connection made anew", a)
			}
		})
	}
}
