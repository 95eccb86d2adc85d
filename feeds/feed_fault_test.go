package feeds

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tickrelay/feeds/sim"
	"tickrelay/ring/md"
)

// TestFeedSurvivesFaults injects one fault into each venue's real connection
// and wants it counted under its name, told as a gap where data was lost, and
// right books afterwards.
func TestFeedSurvivesFaults(t *testing.T) {
	for _, c := range []struct {
		name   string
		fault  sim.Fault
		venues []string
		edit   func(*tuned, *sim.Options)
		gap    md.GapReason         // 0 where nothing is lost
		count  func(f *Feed) uint64 // what must have grown
	}{
		{name: "cut in mid-frame", fault: sim.FaultCutMidFrame, gap: md.GapDisconnect, count: faultCounter(FaultCutMidFrame)},
		{name: "close frame", fault: sim.FaultGoingAway, gap: md.GapDisconnect, count: faultCounter(FaultClosed)},
		{name: "frame beyond MaxFrame", fault: sim.FaultHugeFrame, gap: md.GapDisconnect, count: faultCounter(FaultTooBig)},
		{name: "silent peer", fault: sim.FaultSilent, gap: md.GapDisconnect, count: faultCounter(FaultSilent),
			edit: func(v *tuned, o *sim.Options) {
				v.spec.DeadAfter = 700 * time.Millisecond
				o.Faults.For = 300 * time.Millisecond
			}},
		{name: "garbage", fault: sim.FaultGarbage, count: func(f *Feed) uint64 { return f.Stats().RejectedTotal() }},
		{name: "duplicate", fault: sim.FaultDuplicate},
		{name: "stall", fault: sim.FaultStall, edit: brief},
		{name: "slow drip", fault: sim.FaultSlowDrip, edit: brief},
		{name: "announced end", fault: sim.FaultNotice, venues: []string{"binance", "binance-usdm", "binance-coinm", "okx", "bitfinex"}, edit: brief,
			count: func(f *Feed) uint64 { return f.Health().Lines[0].Connects }},
		{name: "missing update", fault: sim.FaultMissingSeq, gap: md.GapSequence,
			count: func(f *Feed) uint64 { return f.Stats().Gaps[md.GapSequence].Load() }},
		{name: "wrong checksum", fault: sim.FaultBadChecksum, venues: []string{"bitget", "okx", "kraken", "bitfinex"}, gap: md.GapChecksum,
			edit:  func(_ *tuned, o *sim.Options) { o.Checksums = true },
			count: func(f *Feed) uint64 { return f.Stats().ChecksumsBad.Load() }},
	} {
		venues := c.venues
		if venues == nil {
			venues = sim.Venues()
		}
		for _, name := range venues {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				v, o := quick(t, name), sim.Options{}
				if c.edit != nil {
					c.edit(v, &o)
				}
				r := newRig(t, v, o, nil)
				runFeed(t, r.feed)
				r.live()
				r.same()
				before, connects := uint64(0), r.feed.Health().Lines[0].Connects
				if c.count != nil {
					before = c.count(r.feed)
				}
				if err := r.server.Inject(c.fault); err != nil && c.venues == nil {
					t.Skip(err) // makes no sense at this venue
				} else if err != nil {
					t.Fatal(err)
				}
				r.wait("the fault to be counted", func() bool { return c.count == nil || c.count(r.feed) > before })
				if c.gap != 0 {
					r.wait("the gap", func() bool { return r.seen.gaps[c.gap] > 0 })
				}
				r.live()
				r.same()
				if h := r.feed.Health().Lines[0]; c.gap == md.GapDisconnect && h.Connects <= connects {
					t.Errorf("%d connections, had %d before the fault", h.Connects, connects)
				}
			})
		}
	}
}

// brief makes lasting faults short.
func brief(_ *tuned, o *sim.Options) { o.Faults.For = 200 * time.Millisecond }

// TestFeedSurvivesManyFaults injects faults in a seeded order, faster than some
// can be mended. Afterwards books are right, and no number was skipped or
// repeated without a gap on the way. Faults that make the engine suspect the
// venue's books come once each: it gives a venue whose books keep breaking time.
func TestFeedSurvivesManyFaults(t *testing.T) {
	often := []sim.Fault{sim.FaultCutMidFrame, sim.FaultGarbage, sim.FaultHugeFrame, sim.FaultDuplicate, sim.FaultStall,
		sim.FaultSlowDrip, sim.FaultRefuse, sim.FaultGoingAway, sim.FaultNotice, sim.FaultSilent}
	faults := slices.Concat(often, often, often, []sim.Fault{sim.FaultBadChecksum, sim.FaultMissingSeq, sim.FaultReorder})
	for _, name := range sim.Venues() {
		t.Run(name, func(t *testing.T) {
			v, o := quick(t, name), sim.Options{Checksums: true, Faults: sim.Faults{For: 50 * time.Millisecond}}
			v.spec.DeadAfter = 500 * time.Millisecond
			r := newRig(t, v, o, nil)
			runFeed(t, r.feed)
			r.live()
			rng := rand.New(rand.NewPCG(9, 9))
			injected := 0
			for _, i := range rng.Perm(len(faults)) {
				if r.server.Inject(faults[i]) == nil {
					injected++
				}
				for end := time.Now().Add(time.Duration(rng.IntN(80)) * time.Millisecond); time.Now().Before(end); time.Sleep(time.Millisecond) {
					r.seen.pump()
				}
			}
			if injected < 25 {
				t.Errorf("only %d faults happened", injected)
			}
			r.live()
			r.live()
			r.same()
		})
	}
}

func faultCounter(fault Fault) func(*Feed) uint64 {
	return func(f *Feed) uint64 { return f.Health().Lines[0].Faults[fault.String()] }
}
