package feeds

import (
	"testing"
	"time"

	"tickrelay/feeds/sim"
	"tickrelay/ring/md"
)

// lossy makes one frame in about a hundred never arrive on one of the lines,
// at random, whatever stream it is of.
func lossy(o *sim.Options) {
	o.Faults.Seed, o.Faults.Oldest = 5, true
	o.Faults.Every = map[sim.Fault]int{sim.FaultLose: 100}
}

// TestFeedTwoLossyLines: where ids tell events apart, what one of two lines
// loses no reader misses; and a line that is killed and comes back costs no gap.
func TestFeedTwoLossyLines(t *testing.T) {
	for _, name := range sim.Venues() {
		v := quick(t, name)
		if !v.spec.ConsecutiveTrades || !v.spec.MergeBooks {
			continue
		}
		t.Run(name, func(t *testing.T) {
			var o sim.Options
			lossy(&o)
			r := newRig(t, v, o, func(c *Config, _ *sim.Server) { c.Lines = 2 })
			runFeed(t, r.feed)
			r.wait("both lines", func() bool {
				h := r.feed.Health()
				return h.Lines[0].Frames > 50 && h.Lines[1].Frames > 50
			})
			r.live()
			clear(r.seen.gaps) // of before both lines brought everything
			s := r.feed.Stats()
			lost := func() uint64 { return r.server.Injected(sim.FaultLose) }
			before := lost()
			r.wait("losses", func() bool { return lost() > before+40 })
			r.server.Calm() // whoever is alone loses what it loses
			time.Sleep(20 * time.Millisecond)
			r.cutLine(1)
			r.wait("the line to come back", func() bool { return r.feed.Health().Lines[1].Connects == 2 })
			r.live()
			if n := len(r.seen.gaps); n != 0 {
				t.Errorf("gaps %v; %d events waited for the other line", r.seen.gaps, s.Parked.Load())
			}
			wins := [2]uint64{s.Lines[0].Wins.Load(), s.Lines[1].Wins.Load()}
			if wins[0] == 0 || wins[1] == 0 || s.Lines[0].Leads.Load()+s.Lines[1].Leads.Load() == 0 {
				t.Errorf("wins %v", wins)
			}
			t.Logf("parked %d, wins %v, lead %s over %d", s.Parked.Load(), wins,
				time.Duration(s.Lines[0].Lead.Load()), s.Lines[0].Leads.Load())
		})
	}
}

// TestFeedKilledPrimary: the line that is published is cut again and again; no
// book and no quote has a gap, and trades have one only where they have no ids.
func TestFeedKilledPrimary(t *testing.T) {
	for _, name := range sim.Venues() {
		t.Run(name, func(t *testing.T) {
			v := quick(t, name)
			r := newRig(t, v, sim.Options{Checksums: true}, func(c *Config, _ *sim.Server) { c.Lines = 2 })
			runFeed(t, r.feed)
			r.wait("both lines", func() bool {
				h := r.feed.Health()
				return h.Lines[0].Frames > 50 && h.Lines[1].Frames > 50
			})
			r.live()
			for cut := range 4 {
				line := cut % 2
				r.wait("standby books", func() bool { return r.covered(1 - line) })
				connects := r.feed.Health().Lines[line].Connects
				r.cutLine(line)
				r.wait("the line to come back", func() bool {
					h := r.feed.Health().Lines[line]
					return h.Connects > connects && h.Frames > 20
				})
				r.live()
			}
			r.same()
			ids := v.spec.ConsecutiveTrades || v.spec.RisingTrades || v.spec.UniqueTrades
			for reason, n := range r.seen.gaps {
				if trades := r.seen.tradeGaps[reason]; n != trades || ids {
					t.Errorf("%d gaps for %s, %d of them of trades", n, reason, trades)
				}
			}
		})
	}
}

// cutLine ends a connection as the network would.
func (r *rig) cutLine(line int) {
	r.feed.loop.mail.call(func() {
		r.feed.loop.session(line).fail(errAsked)
		r.feed.loop.settle()
	})
}

// covered reports whether a line could go on alone.
func (r *rig) covered(line int) (ok bool) {
	r.feed.loop.mail.call(func() {
		e := r.feed.loop.engine
		ok = true
		for _, t := range e.topics {
			if t.lines&e.bit(line) == 0 && t.ch != md.ChannelTicker {
				ok = false
			}
			if b := t.book; b != nil && t.owner != line && e.mergeOf(t, false) == mergeStandby &&
				(b.standby == nil || b.standby[line] == nil || !b.standby[line].live) {
				ok = false
			}
		}
	})
	return ok
}
