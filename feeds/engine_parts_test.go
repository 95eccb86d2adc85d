package feeds

import (
	"fmt"
	"strings"
	"testing"

	"tickrelay/ring/md"
)

// TestEngineStreamsPerConnection: what a venue bounds are its streams. Some channels take
// two, some streams serve several channels.
func TestEngineStreamsPerConnection(t *testing.T) {
	perp := func(v Venue, base string) md.Instrument {
		in := md.Instrument{Symbol: base + "-USDT-PERP", Kind: md.InstrumentPerp, Venue: v.Spec().Venue}
		in.Native, _ = v.Native(in.Symbol)
		return in
	}
	for _, c := range []struct {
		venue       Venue
		channels    []md.Channel
		instruments int
		streams     int // of all instruments
		parts       int
	}{
		{Bitfinex{}, []md.Channel{md.ChannelTicker}, 25, 50, 3},                                            // ticker and deriv:
		{Bitfinex{}, []md.Channel{md.ChannelTicker, md.ChannelFunding, md.ChannelOpenInterest}, 12, 24, 1}, // the same two
		{KucoinFutures{}, []md.Channel{md.ChannelTicker, md.ChannelFunding}, 151, 302, 2},                  // snapshot and instrument
		{BinanceUSDM{}, []md.Channel{md.ChannelTicker, md.ChannelFunding}, 513, 1026, 2},                   // ticker and markPrice
		{BinanceCOINM{}, []md.Channel{md.ChannelStatus}, 1100, 1, 1},                                       // one for all
	} {
		t.Run(c.venue.Spec().Name, func(t *testing.T) {
			r := newEngineRig(t, c.venue, func(cfg *EngineConfig) { cfg.Instruments, cfg.Channels = []string{"*"}, c.channels })
			var err error
			if r.eng.table, err = md.CreateTable(make([]byte, md.TableSize(2048)), 2048, 1); err != nil {
				t.Fatal(err)
			}
			var list []md.Instrument
			for i := range c.instruments {
				list = append(list, perp(c.venue, fmt.Sprintf("A%c%c", 'A'+i/26, 'A'+i%26)))
			}
			r.eng.Catalogue(list)
			r.eng.Start()
			if len(r.eng.parts) != c.parts {
				t.Errorf("%d parts, want %d", len(r.eng.parts), c.parts)
			}
			all := 0
			for i := range r.eng.parts {
				n := len(r.eng.parts[i].streams)
				if all += n; n > c.venue.Spec().SubsPerConn {
					t.Errorf("part %d: %d streams, allowed are %d", i, n, c.venue.Spec().SubsPerConn)
				}
			}
			if all != c.streams {
				t.Errorf("%d streams, want %d", all, c.streams)
			}
			r.eng.giveUp(r.now)
			for i := range r.eng.parts {
				if n := len(r.eng.parts[i].streams); n != 0 {
					t.Errorf("part %d: %d streams left", i, n)
				}
			}
		})
	}
}

// TestBitfinexChannelsPerConnection: no more is asked for on a connection than the
// venue's 25 channels.
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
		n := 0
		for _, a := range r.actions() {
			if strings.Contains(a, `"event":"subscribe"`) {
				n++
			}
		}
		if all += n; n > 25 {
			t.Errorf("part %d: %d channels", part, n)
		}
	}
	if all != 50 {
		t.Errorf("%d channels, want 50", all)
	}
}
