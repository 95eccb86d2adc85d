package tune

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"tickrelay/nettune/tune/probe"
)

// hold takes or lets go of the wake-up latency.
func (t *trial) hold(on bool) (err error) {
	switch {
	case on && t.held == nil:
		t.held, err = HoldCPULatency(0)
	case !on && t.held != nil:
		err = t.held.Close()
		t.held = nil
	}
	return err
}

// switchTo brings a group's settings to their new or old values.
func (t *trial) switchTo(members []*Result, g Group, on bool) error {
	if g == GroupWakeup {
		if err := t.hold(on); err != nil {
			return err
		}
	}
	for i := range members {
		r := members[i]
		if !on { // in reverse, as Revert does
			r = members[len(members)-1-i]
		}
		value := r.Old
		if on {
			value = r.New
		}
		if err := t.h.Set(r.Key, value); err != nil {
			return fmt.Errorf("tune: %s: %w", r.Key, err)
		}
	}
	time.Sleep(t.c.Settle)
	return nil
}

// group tries one group.
func (t *trial) group(ctx context.Context, g Group) (GroupProof, error) {
	gp := GroupProof{Group: g}
	members := t.tryWrite(g)
	for i := range t.results {
		if t.results[i].Group == g {
			gp.Settings = append(gp.Settings, t.results[i])
		}
	}
	if g == GroupWakeup {
		if err := t.hold(true); err != nil {
			gp.Verdict, gp.Reason = Refused, err.Error()
			return gp, nil
		}
	} else if len(members) == 0 {
		gp.Verdict, gp.Reason = Refused, "no setting of the group could be written"
		return gp, nil
	}
	without, with, err := t.rounds(ctx, g, members)
	if ctx.Err() != nil {
		return gp, ctx.Err()
	}
	if err != nil {
		if serr := t.switchTo(members, g, false); serr != nil {
			return gp, serr
		}
		if _, perr := t.p.Round(ctx); perr != nil {
			return gp, fmt.Errorf("tune: the probe failed and does so without the group too: %w", perr)
		}
		gp.Verdict, gp.Reason = Broke, err.Error()
		return gp, nil
	}
	t.judge(&gp, without, with)
	if err := t.switchTo(members, g, gp.Verdict == Helps && g != GroupWakeup); err != nil {
		return gp, err
	}
	if gp.Verdict == Helps && g != GroupWakeup {
		gp.Kept = true
		for _, r := range members {
			t.keep[r.Key] = true
			t.j.find(r.Key).Read = r.Read
		}
		return gp, t.j.save()
	}
	return gp, nil
}

// tryWrite writes a group's settings once and returns those that took.
func (t *trial) tryWrite(g Group) []*Result {
	var out []*Result
	for i := range t.results {
		r := &t.results[i]
		if r.Group != g || r.Status != "" {
			continue
		}
		write(t.h, t.j.find(r.Key).Format, r)
		if r.Status == Done || r.Status == Adjusted {
			out = append(out, r)
		}
	}
	return out
}

// rounds measures pairs without and with the group.
func (t *trial) rounds(ctx context.Context, g Group, members []*Result) (without, with []probe.Round, err error) {
	for range t.proof.Rounds {
		first := t.rng.IntN(2) == 1
		for _, on := range []bool{first, !first} {
			if err := t.switchTo(members, g, on); err != nil {
				return nil, nil, err
			}
			r, err := t.p.Round(ctx)
			if err != nil {
				return nil, nil, err
			}
			if on {
				with = append(with, r)
			} else {
				without = append(without, r)
			}
		}
	}
	return without, with, nil
}

// judge compares the rounds and decides. Harm is judged at a level that is
// not shared among groups: keeping something harmful is the worse mistake.
func (t *trial) judge(gp *GroupProof, without, with []probe.Round) {
	names := probe.Metrics()
	var better, worse []string
	for m, name := range names {
		metric := compare(name, m, without, with)
		gp.Metrics = append(gp.Metrics, metric)
		if metric.PBetter <= t.proof.Alpha && metric.Gain >= t.c.MinEffect {
			better = append(better, fmt.Sprintf("%s %.0f%% better, p=%.2g", name, 100*metric.Gain, metric.PBetter))
		}
		if metric.PWorse <= (1-t.c.Confidence)/float64(len(names)) && -metric.Gain >= t.c.MinEffect {
			worse = append(worse, fmt.Sprintf("%s %.0f%% worse, p=%.2g", name, -100*metric.Gain, metric.PWorse))
		}
	}
	switch {
	case len(worse) > 0:
		gp.Verdict, gp.Reason = Harms, strings.Join(append(worse, better...), "; ")
	case len(better) > 0:
		gp.Verdict, gp.Reason = Helps, strings.Join(better, "; ")
		if gp.Group == GroupWakeup {
			gp.Reason += "; lasts only while the relay holds /dev/cpu_dma_latency"
		}
	default:
		gp.Verdict = NoEffect
		gp.Reason = fmt.Sprintf("no metric improved by %.0f%% at p ≤ %.2g", 100*t.c.MinEffect, t.proof.Alpha)
	}
}

// compare works on logarithms of ratios, so that a halving and a doubling
// weigh the same.
func compare(name string, m int, without, with []probe.Round) Metric {
	n := len(without)
	logs, back := make([]float64, n), make([]float64, n)
	a, b := make([]float64, n), make([]float64, n)
	for i := range n {
		a[i], b[i] = without[i][m], with[i][m]
		logs[i] = math.Log(a[i] / b[i])
		back[i] = -logs[i]
	}
	return Metric{Name: name, Before: median(a), After: median(b), Gain: 1 - math.Exp(-median(logs)),
		PBetter: probe.SignedRank(logs), PWorse: probe.SignedRank(back)}
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if len(s) == 0 {
		return 0
	}
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
