package tune

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"tickrelay/nettune/tune/probe"
)

// modelProbe makes rounds of what a tree holds: a model of a host on which some
// settings matter.
type modelProbe struct {
	h      *Host
	rng    *rand.Rand
	effect map[string]func(value string, r *probe.Round) // by key
	rounds int
	fail   func(round int) error
}

func (m *modelProbe) Round(ctx context.Context) (probe.Round, error) {
	m.rounds++
	if m.fail != nil {
		if err := m.fail(m.rounds); err != nil {
			return probe.Round{}, err
		}
	}
	r := probe.Round{20e3, 60e3, 900e3, 800e3}
	for i := range r {
		r[i] *= 1 + 0.2*m.rng.Float64() // noise well above the least effect
	}
	for key, f := range m.effect {
		v, err := m.h.Get(key)
		if err != nil {
			return r, err
		}
		f(strings.Join(strings.Fields(v), " "), &r)
	}
	return r, ctx.Err()
}

func scale(bad string, metric int, by float64) func(string, *probe.Round) {
	return func(v string, r *probe.Round) {
		if v == bad {
			r[metric] *= by
		}
	}
}

// proveTree runs Prove on the numa2 tree with a model.
func proveTree(t *testing.T, seed uint64, c ProveConfig, fail func(int) error) (*Host, string, map[string]string, *Proof, error) {
	t.Helper()
	h, dir := fixture(t, "numa2")
	before := snapshot(t, dir)
	plan, err := Plan(h, Options{Profile: builtIn(t, "low-latency"),
		Groups: []Group{GroupBuffers, GroupKeepalive, GroupKernel, GroupTCP, GroupSteering}})
	if err != nil {
		t.Fatal(err)
	}
	c.Settle = time.Nanosecond
	m := &modelProbe{h: h, rng: rand.New(rand.NewPCG(seed, 7)), fail: fail, effect: map[string]func(string, *probe.Round){
		sysctlPath("net.core.rmem_max"):             scale("212992", 2, 3), // buffers help the burst down
		sysctlPath("kernel.timer_migration"):        scale("0", 1, 1.8),    // harms p99
		sysctlPath("net.ipv4.tcp_autocorking"):      scale("1", 0, 1.5),    // tcp helps p50 …
		sysctlPath("net.ipv4.tcp_mtu_probing"):      scale("1", 3, 1.7),    // … and harms the burst up
		sysctlPath("net.ipv4.tcp_keepalive_probes"): scale("none", 0, 1),   // nothing
	}}
	proof, err := Prove(context.Background(), h, plan, m, c)
	return h, dir, before, proof, err
}

func TestProveDecides(t *testing.T) {
	for seed := range uint64(5) {
		h, dir, before, proof, err := proveTree(t, seed, ProveConfig{Seed: seed + 1}, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := map[Group]Verdict{GroupBuffers: Helps, GroupKeepalive: NoEffect, GroupKernel: Harms, GroupTCP: Harms, GroupSteering: NoEffect}
		for _, g := range proof.Groups {
			if g.Verdict != want[g.Group] || g.Kept != (g.Verdict == Helps) || len(g.Metrics) != 4 || g.Reason == "" {
				t.Errorf("seed %d: %s: %s kept %v: %s", seed, g.Group, g.Verdict, g.Kept, g.Reason)
			}
		}
		if len(proof.Groups) != len(want) || proof.Rounds < 12 || proof.Alpha > 0.05/20+1e-9 {
			t.Errorf("seed %d: %d groups, %d rounds, level %v", seed, len(proof.Groups), proof.Rounds, proof.Alpha)
		}
		for _, d := range differences(before, snapshot(t, dir)) {
			if !strings.Contains(d, "rmem") && !strings.Contains(d, "wmem") {
				t.Errorf("seed %d: not put back: %s", seed, d)
			}
		}
		v, err := Verify(h, "")
		if err != nil || len(v) != 4 {
			t.Errorf("seed %d: the journal holds %d settings, %v", seed, len(v), err)
		}
		wantStatus(t, "verify", v, Kept)
		if _, err := Revert(context.Background(), h, RevertConfig{}); err != nil {
			t.Fatal(err)
		}
		if diff := differences(before, snapshot(t, dir)); len(diff) > 0 {
			t.Errorf("seed %d: after revert %v", seed, diff)
		}
	}
}

// TestProveNeverKeepsNoise repeats a proof of nothing: at 95 % one group in
// twenty proofs may be kept; twelve of sixty would be a broken test.
func TestProveNeverKeepsNoise(t *testing.T) {
	kept, proofs := 0, 60
	rng := rand.New(rand.NewPCG(3, 3))
	for range proofs {
		n, alpha, err := design(ProveConfig{Confidence: 0.95}, 1)
		if err != nil {
			t.Fatal(err)
		}
		tr := trial{c: ProveConfig{Confidence: 0.95, MinEffect: 0.0001}, proof: &Proof{Alpha: alpha}}
		noise := func() []probe.Round {
			out := make([]probe.Round, n)
			for i := range out {
				for m := range out[i] {
					out[i][m] = 1000 * (1 + rng.ExpFloat64())
				}
			}
			return out
		}
		var gp GroupProof
		tr.judge(&gp, noise(), noise())
		if gp.Verdict == Helps {
			kept++
		}
	}
	if kept > 9 {
		t.Errorf("%d of %d proofs of nothing kept the group", kept, proofs)
	}
}

// TestProveInterrupted fails rounds at every stage; nothing may stay changed.
func TestProveInterrupted(t *testing.T) {
	lost := errors.New("connection lost")
	for _, at := range []int{1, 2, 3, 30, 61, 100} {
		h, dir, before, _, err := proveTree(t, 1, ProveConfig{}, func(round int) error {
			if round >= at {
				return lost
			}
			return nil
		})
		if !errors.Is(err, lost) {
			t.Errorf("lost from round %d on: %v", at, err)
		}
		diff := differences(before, snapshot(t, dir))
		for _, d := range diff { // what was proven before stays, and is in the journal
			if !strings.Contains(d, "mem") {
				t.Errorf("lost from round %d on: %s", at, d)
			}
		}
		if _, err := os.Stat(JournalPath(h)); (err == nil) != (len(diff) > 0) {
			t.Errorf("lost from round %d on: %d changes, journal %v", at, len(diff), err)
		}
	}
	// A single failure condemns the group that was on trial, not the proof.
	_, _, _, proof, err := proveTree(t, 1, ProveConfig{}, func(round int) error {
		if round == 5 {
			return lost
		}
		return nil
	})
	if err != nil || proof.Groups[0].Verdict != Broke || proof.Groups[0].Kept || len(proof.Groups) != 5 {
		t.Errorf("%+v, %v", proof, err)
	}
}

func TestProveRefusesPoorDesigns(t *testing.T) {
	f := func(c ProveConfig, want string) {
		t.Helper()
		_, dir, before, _, err := proveTree(t, 1, c, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
		if diff := differences(before, snapshot(t, dir)); len(diff) > 0 {
			t.Error(diff)
		}
	}
	f(ProveConfig{Rounds: 3}, "3 rounds cannot show anything")
	f(ProveConfig{Confidence: 1}, "between 0.5 and 1")
	f(ProveConfig{Confidence: 0.2}, "between 0.5 and 1")
	f(ProveConfig{MinEffect: 2}, "least effect")
	f(ProveConfig{Wakeup: true}, "on this machine only")
}

// TestProveSparesLinks tries rings and offloads only when asked.
func TestProveSparesLinks(t *testing.T) {
	f := func(disruptive bool, want Verdict) {
		t.Helper()
		h, dir := fixture(t, "numa2")
		before := snapshot(t, dir)
		plan, err := Plan(h, Options{Profile: builtIn(t, "low-latency"), Groups: []Group{GroupRings, GroupOffloads}})
		if err != nil || len(plan) != 2 {
			t.Fatalf("%+v, %v", plan, err)
		}
		m := &modelProbe{h: h, rng: rand.New(rand.NewPCG(1, 1))}
		proof, err := Prove(context.Background(), h, plan, m, ProveConfig{Settle: time.Nanosecond, Disruptive: disruptive})
		if err != nil || len(proof.Groups) != 2 || (m.rounds == 0) == disruptive {
			t.Fatalf("%+v, %v, %d rounds", proof, err, m.rounds)
		}
		for _, g := range proof.Groups {
			if g.Verdict != want {
				t.Errorf("disruptive %v: %s: %s, want %s", disruptive, g.Group, g.Verdict, want)
			}
		}
		if diff := differences(before, snapshot(t, dir)); len(diff) > 0 {
			t.Error(diff)
		}
	}
	f(false, Skipped)
	f(true, NoEffect)
}

// TestProveOverJournal keeps what an earlier apply had journalled.
func TestProveOverJournal(t *testing.T) {
	h, dir, before, _ := applied(t, "numa2", "conservative", ApplyConfig{})
	mid := snapshot(t, dir)
	plan, err := Plan(h, Options{Profile: builtIn(t, "low-latency"), Groups: []Group{GroupBuffers, GroupKernel}})
	if err != nil {
		t.Fatal(err)
	}
	m := &modelProbe{h: h, rng: rand.New(rand.NewPCG(1, 1))}
	if _, err := Prove(context.Background(), h, plan, m, ProveConfig{Settle: time.Nanosecond}); err != nil {
		t.Fatal(err)
	}
	if diff := differences(mid, snapshot(t, dir)); len(diff) > 0 {
		t.Errorf("a proof of nothing changed %v", diff)
	}
	if v, err := Verify(h, ""); err != nil {
		t.Fatal(err)
	} else {
		wantStatus(t, "verify", v, Kept)
	}
	if _, err := Revert(context.Background(), h, RevertConfig{}); err != nil {
		t.Fatal(err)
	}
	if diff := differences(before, snapshot(t, dir)); len(diff) > 0 {
		t.Error(diff)
	}
}
