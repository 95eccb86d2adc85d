package feeds

import (
	"slices"
	"testing"
	"time"

	"tickrelay/feeds/sim"
	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// silentAcks are the venues that confirm no subscription.
var silentAcks = map[string]string{
	"upbit": "a request is answered by data alone",
}

// TestConformance runs what every venue must do against its simulated exchange,
// over real sockets: subscribe and be confirmed, snapshots and changes until
// book and quotes agree, heartbeats, a request that the venue refuses, leaving
// an instrument and taking it back. Faults are TestFeedSurvivesFaults, lines
// TestFeedKilledPrimary, all at once TestChaos.
func TestConformance(t *testing.T) {
	for _, name := range sim.Venues() {
		t.Run(name, func(t *testing.T) {
			v := quick(t, name)
			if v.spec.PingEvery > 0 {
				v.spec.PingEvery = 400 * time.Millisecond // exchanges count them
			}
			var channels []md.Channel
			for _, c := range v.spec.Channels {
				if !slices.Contains(channels, c.Channel) {
					channels = append(channels, c.Channel)
				}
			}
			r := newRig(t, v, sim.Options{Checksums: true, TickerEvery: 20 * time.Millisecond},
				func(c *Config, _ *sim.Server) { c.Channels = channels })
			runFeed(t, r.feed)
			r.live()
			r.same()
			s := r.feed.Stats()
			if s.Acks.Load() == 0 && silentAcks[name] == "" {
				t.Error("no subscription was confirmed")
			}
			if n := s.VenueErrors.Load(); n != 0 {
				t.Errorf("the exchange refused %d requests", n)
			}
			for _, ch := range [...]md.Channel{md.ChannelBBO, md.ChannelTicker} {
				if v.spec.has(ch) {
					r.wait(ch.String(), func() bool {
						return r.seen.kinds[map[md.Channel]md.Kind{md.ChannelBBO: md.KindBBO, md.ChannelTicker: md.KindTicker}[ch]] > 0
					})
				}
			}
			if v.spec.PingEvery > 0 {
				sent := r.feed.Health().Lines[0].Sent
				r.wait("heartbeats", func() bool { return r.feed.Health().Lines[0].Sent > sent+1 })
			}
			r.refusedRequest()
			if h := r.feed.Health(); h.Lines[0].Connects != 1 || s.GapsTotal() != 0 {
				t.Errorf("%d connections, gaps %v", h.Lines[0].Connects, r.seen.gaps)
			}
			r.leaveAndReturn()
			if h := r.feed.Health(); h.Lines[0].Connects != 1 {
				t.Errorf("%d connections", h.Lines[0].Connects)
			}
		})
	}
}

// refusedRequest asks for what does not exist and wants everything else to go on.
func (r *rig) refusedRequest() {
	r.t.Helper()
	r.feed.loop.mail.call(func() {
		e := r.feed.loop.engine
		none := md.Instrument{Symbol: "NO-SUCH", Native: "NOSUCH", Kind: e.instruments[0].md.Kind}
		if !e.spec.ReplacesSubs {
			e.subscribe(0, []Sub{{md.ChannelTrades, &none}}, r.feed.loop.wall)
			r.feed.loop.settle()
		}
	})
	r.live()
}

// leaveAndReturn delists the second instrument and lists it again.
func (r *rig) leaveAndReturn() {
	r.t.Helper()
	symbols := r.market.Symbols()
	var list []md.Instrument
	catalogue := func(left ...string) {
		r.feed.loop.mail.call(func() {
			e := r.feed.loop.engine
			if list == nil {
				for _, in := range e.instruments {
					list = append(list, in.md)
				}
			}
			e.Catalogue(slices.DeleteFunc(slices.Clone(list), func(in md.Instrument) bool { return slices.Contains(left, in.Symbol) }))
			r.feed.loop.settle()
		})
	}
	catalogue(symbols[1])
	r.wait("the instrument to leave", func() bool { return r.reader(symbols[1]).State != book.Live })
	trades := r.seen.kinds[md.KindTrade]
	r.wait("the other to go on", func() bool { return r.seen.kinds[md.KindTrade] > trades+5 })
	if r.reader(symbols[0]).State != book.Live {
		r.t.Errorf("the book of %s is %s", symbols[0], r.reader(symbols[0]).State)
	}
	catalogue()
	r.live()
	r.same()
}
