package feeds

import (
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
		{name: "missing update", fault: sim.FaultMissingSeq, gap: md.GapSequence,
			count: func(f *Feed) uint64 { return f.Stats().Gaps[md.GapSequence].Load() }},
		{name: "wrong checksum", fault: sim.FaultBadChecksum, venues: []string{"bitget", "okx"}, gap: md.GapChecksum,
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
				if err := r.server.Inject(c.fault); err != nil {
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

func faultCounter(fault Fault) func(*Feed) uint64 {
	return func(f *Feed) uint64 { return f.Health().Lines[0].Faults[fault.String()] }
}
