package tune

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"tickrelay/nettune/tune/probe"
)

// Probe measures one round. probe.Config is one.
type Probe interface {
	Round(ctx context.Context) (probe.Round, error)
}

// ProveConfig says how groups are tried.
type ProveConfig struct {
	Journal    string        // file; default JournalPath
	Profile    string        // name, for the journal
	Confidence float64       // that no useless group is kept, over all groups together; default 0.95
	MinEffect  float64       // least improvement of a metric worth keeping; default 0.03
	Rounds     int           // pairs of rounds per group; default what Confidence needs and four more
	Settle     time.Duration // pause after switching; default 20 ms
	Disruptive bool          // also try rings and offloads: with many devices each switch takes the link down
	Wakeup     bool          // also try holding the wake-up latency at 0
	Seed       uint64        // of the order within pairs; default 1
	Progress   func(string)  // a line per group; may be nil
}

func (c ProveConfig) withDefaults(h *Host) ProveConfig {
	if c.Journal == "" {
		c.Journal = JournalPath(h)
	}
	if c.Confidence == 0 {
		c.Confidence = 0.95
	}
	if c.MinEffect == 0 {
		c.MinEffect = 0.03
	}
	if c.Settle == 0 {
		c.Settle = 20 * time.Millisecond
	}
	if c.Seed == 0 {
		c.Seed = 1
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	return c
}

// Verdict is what Prove decided about a group.
type Verdict string

// Verdicts.
const (
	Helps    Verdict = "helps"     // kept
	NoEffect Verdict = "no effect" // reverted
	Harms    Verdict = "harms"     // reverted: some metric became worse
	Refused  Verdict = "refused"   // nothing of the group could be written
	Broke    Verdict = "broke"     // the probe failed with it; reverted
	Skipped  Verdict = "skipped"   // not tried: disruptive
)

// Metric compares one figure without and with a group.
type Metric struct {
	Name    string  `json:"name"`
	Before  float64 `json:"before_ns"` // median of the rounds
	After   float64 `json:"after_ns"`
	Gain    float64 `json:"gain"`     // 0.5: the median pair halves its time; negative: worse
	PBetter float64 `json:"p_better"` // chance of such a gain if the group does nothing
	PWorse  float64 `json:"p_worse"`
}

// GroupProof is the outcome for one group.
type GroupProof struct {
	Group    Group    `json:"group"`
	Verdict  Verdict  `json:"verdict"`
	Reason   string   `json:"reason"`
	Kept     bool     `json:"kept"`
	Settings []Result `json:"settings,omitempty"`
	Metrics  []Metric `json:"metrics,omitempty"`
}

// Proof is the outcome of Prove.
type Proof struct {
	Confidence float64      `json:"confidence"`
	Alpha      float64      `json:"alpha"` // level of each single test, so that all together keep Confidence
	Rounds     int          `json:"rounds"`
	Groups     []GroupProof `json:"groups"`
}

// Prove tries the groups of a plan one after the other: rounds without and
// with the group take turns in random order within each pair, and Wilcoxon's
// signed-rank test compares the pairs. A group stays if some metric improves by
// MinEffect at the corrected level and none becomes worse; everything else is
// written back. Groups kept are in force while later ones are tried. Old values
// are journalled first, so Revert cleans up after a crash.
func Prove(ctx context.Context, h *Host, plan []Change, p Probe, c ProveConfig) (proof *Proof, err error) {
	c = c.withDefaults(h)
	proof = &Proof{Confidence: c.Confidence, Groups: []GroupProof{}}
	plan = proof.spare(plan, c.Disruptive)
	groups := trialGroups(plan, c.Wakeup)
	if proof.Rounds, proof.Alpha, err = design(c, len(groups)); err != nil || len(groups) == 0 {
		return proof, err
	}
	if c.Wakeup && !h.Live() {
		return nil, errors.New("tune: the wake-up latency can be tried on this machine only, not on a tree")
	}
	unlock, err := lockJournal(c.Journal)
	if err != nil {
		return nil, err
	}
	defer unlock()
	t, err := newTrial(h, plan, p, c, proof)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.finish()) }()
	if _, err := p.Round(ctx); err != nil { // warm-up, and is the peer there at all
		return nil, err
	}
	for _, g := range groups {
		gp, err := t.group(ctx, g)
		if ctx.Err() != nil {
			return proof, fmt.Errorf("tune: interrupted, the group on trial is written back: %w", ctx.Err())
		}
		if err != nil {
			return proof, err
		}
		proof.Groups = append(proof.Groups, gp)
		c.Progress(fmt.Sprintf("%s: %s (%s)", gp.Group, gp.Verdict, gp.Reason))
	}
	return proof, nil
}

// spare takes the groups out of the plan whose every switch may take a link
// down, unless they are wanted.
func (p *Proof) spare(plan []Change, wanted bool) []Change {
	if wanted {
		return plan
	}
	return slices.DeleteFunc(slices.Clone(plan), func(ch Change) bool {
		if ch.Group != GroupRings && ch.Group != GroupOffloads {
			return false
		}
		if !slices.ContainsFunc(p.Groups, func(g GroupProof) bool { return g.Group == ch.Group }) {
			p.Groups = append(p.Groups, GroupProof{Group: ch.Group, Verdict: Skipped,
				Reason: "each switch may take the link down for a moment; name the group to try it"})
		}
		return true
	})
}

// trialGroups are the plan's groups in the order of Groups.
func trialGroups(plan []Change, wakeup bool) []Group {
	var out []Group
	for _, g := range Groups() {
		if slices.ContainsFunc(plan, func(ch Change) bool { return ch.Group == g }) || wakeup && g == GroupWakeup {
			out = append(out, g)
		}
	}
	return out
}

// design divides the allowed error among all tests (Bonferroni) and finds how
// many pairs can reach the level at all: the least p of n pairs is 2^-n.
func design(c ProveConfig, groups int) (rounds int, alpha float64, err error) {
	if c.Confidence <= 0.5 || c.Confidence >= 1 || c.MinEffect < 0 || c.MinEffect >= 1 {
		return 0, 0, fmt.Errorf("tune: confidence %v must lie between 0.5 and 1, least effect %v between 0 and 1", c.Confidence, c.MinEffect)
	}
	alpha = (1 - c.Confidence) / float64(max(groups, 1)*len(probe.Metrics()))
	least := int(math.Ceil(-math.Log2(alpha)))
	switch {
	case c.Rounds == 0:
		rounds = least + 4
	case c.Rounds < least || c.Rounds > probe.MaxPairs:
		return 0, 0, fmt.Errorf("tune: %d rounds cannot show anything at confidence %v over %d groups: %d to %d are needed",
			c.Rounds, c.Confidence, groups, least, probe.MaxPairs)
	default:
		rounds = c.Rounds
	}
	return rounds, alpha, nil
}

// trial is the state of a Prove under way.
type trial struct {
	h       *Host
	p       Probe
	c       ProveConfig
	proof   *Proof
	j       *journal
	prior   []entry // the journal's before
	results []Result
	keep    map[string]bool // keys that stay
	held    io.Closer
	rng     *rand.Rand
}

func newTrial(h *Host, plan []Change, p Probe, c ProveConfig, proof *Proof) (*trial, error) {
	t := &trial{h: h, p: p, c: c, proof: proof, keep: map[string]bool{}, rng: rand.New(rand.NewPCG(c.Seed, 0))}
	old, err := loadJournal(c.Journal)
	if err == nil {
		t.prior = old.entries
	}
	t.j, t.results, err = prepare(h, plan, ApplyConfig{Journal: c.Journal, Profile: c.Profile})
	if err != nil {
		return nil, err
	}
	if err := t.j.save(); err != nil {
		return nil, fmt.Errorf("tune: journal: %w", err)
	}
	return t, nil
}

// before is what a setting held when Prove began; false if the plan does not
// change it.
func (t *trial) before(key string) (string, bool) {
	for _, r := range t.results {
		if r.Key == key {
			return r.Old, r.Old != "" && r.Old != r.New
		}
	}
	return "", false
}

// finish writes back what is not kept and leaves only that in the journal.
func (t *trial) finish() error {
	errs := []error{t.hold(false)}
	var entries []entry
	for i := range t.j.entries {
		e := t.j.entries[i]
		old, touched := t.before(e.Key)
		if t.keep[e.Key] || !touched {
			entries = append(entries, e)
			continue
		}
		if i := slices.IndexFunc(t.prior, func(p entry) bool { return p.Key == e.Key }); i >= 0 {
			entries = append(entries, t.prior[i])
		}
		e.Old = old
		if r := restore(t.h, &entry{Key: e.Key, Format: e.Format, Old: e.Old}, true); r.Status == Failed || r.Status == Ignored {
			errs = append(errs, fmt.Errorf("tune: %s stays at %s instead of %s: %s", e.Key, r.Read, e.Old, r.Error))
			if !slices.ContainsFunc(entries, func(x entry) bool { return x.Key == e.Key }) {
				entries = append(entries, e)
			}
		}
	}
	t.j.entries = entries
	if len(entries) == 0 && t.j.dropIn == nil {
		return errors.Join(append(errs, t.j.remove())...)
	}
	return errors.Join(append(errs, t.j.save())...)
}
