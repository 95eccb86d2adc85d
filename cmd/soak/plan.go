package soak

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Action is one fault of the plan, or the end of one that lasts.
type Action struct {
	At     float64 `json:"at_s"` // s into its storm
	Kind   string  `json:"kind"` // a Kind constant
	Target string  `json:"target,omitempty"`
	Fault  string  `json:"fault,omitempty"`   // of an exchange
	For    float64 `json:"for_s,omitempty"`   // s, where it lasts
	Step   float64 `json:"step_s,omitempty"`  // s, of a clock
	Done   float64 `json:"done_s,omitempty"`  // s into the run, when it was done
	Not    string  `json:"not_run,omitempty"` // why it could not be
}

// String is one line of a log.
func (a Action) String() string {
	s := fmt.Sprintf("%.1f s %s", a.Done, a.Kind)
	for _, w := range []string{a.Target, a.Fault} {
		if w != "" {
			s += " " + w
		}
	}
	if a.Step != 0 {
		s += fmt.Sprintf(" by %.0f s", a.Step)
	}
	if a.For != 0 {
		s += fmt.Sprintf(" for %.1f s", a.For)
	}
	if a.Not != "" {
		s += " not run: " + a.Not
	}
	return s
}

// What can go wrong.
const (
	KindExchange        = "exchange"         // a fault of a simulated exchange or of the way to it
	KindRestartExchange = "restart-exchange" // all its connections end, it comes back at once
	KindKillStrategy    = "kill-strategy"    // kill -9, started again
	KindPauseStrategy   = "pause-strategy"   // SIGSTOP: its rings overrun
	KindKillGateway     = "kill-gateway"     // kill -9, started again
	KindPauseGateway    = "pause-gateway"    // SIGSTOP
	KindTakeover        = "takeover"         // another gateway takes the socket over
	KindKillFeeds       = "kill-feeds"       // kill -9, started again: a new epoch
	KindKillClients     = "kill-clients"     // kill -9 of every good WebSocket client, started again
	KindFullShm         = "full-shm"         // no byte left in /dev/shm
	KindClockStep       = "clock-step"       // of the feeds' wall clock, and back
)

// The processes that strategies' faults happen to.
var strategyNames = []string{"alpha", "beta", "gamma"}

// storm is a time of faults, after which all is compared.
type storm struct {
	length  time.Duration
	actions []Action // by At
}

// stormLength is how long faults go on between two comparisons, in a run of that
// length.
func stormLength(run time.Duration) time.Duration {
	return min(max(run/8, 5*time.Second), 20*time.Second)
}

// makePlan draws the faults of every storm from the seed. The same seed, length and
// venues give the same plan. Processes whose memory is judged over the rest of the
// run are killed in the first sixth of the storms only, which may be the first third of the
// run: comparisons take their time.
func makePlan(seed uint64, run time.Duration, venues []venueInfo) []storm {
	rng := rand.New(rand.NewPCG(seed, 0x736f616b))
	length := stormLength(run)
	n := int(run/length) + 1
	storms := make([]storm, n)
	for i := range storms {
		s := storm{length: length}
		p := planner{rng, length, &s.actions}
		for range int(length / (500 * time.Millisecond)) {
			v := venues[rng.IntN(len(venues))]
			p.add(Action{Kind: KindExchange, Target: v.Name, Fault: v.Faults[rng.IntN(len(v.Faults))]})
		}
		p.add(Action{Kind: KindRestartExchange, Target: venues[rng.IntN(len(venues))].Name})
		victim := strategyNames[rng.IntN(len(strategyNames))]
		if victim == strategyNames[1] && i >= max(3, n/6) {
			victim = strategyNames[0] // one of them lives long enough to be judged
		}
		p.add(Action{Kind: KindKillStrategy, Target: victim})
		p.add(Action{Kind: KindPauseStrategy, Target: strategyNames[rng.IntN(len(strategyNames))], For: 0.2 + 2*rng.Float64()})
		p.add(Action{Kind: KindPauseStrategy, Target: strategyNames[2], For: 1 + 2*rng.Float64()}) // its rings are small
		p.sometimes(i, n)
		slices.SortStableFunc(s.actions, func(a, b Action) int {
			switch {
			case a.At < b.At:
				return -1
			case a.At > b.At:
				return 1
			}
			return 0
		})
		storms[i] = s
	}
	return storms
}

type planner struct {
	rng    *rand.Rand
	length time.Duration
	to     *[]Action
}

// add places an action somewhere in the first nine tenths of the storm.
func (p planner) add(a Action) {
	a.At = p.rng.Float64() * 0.9 * p.length.Seconds()
	*p.to = append(*p.to, a)
}

// sometimes adds what does not happen in every storm. In a run of three storms or
// more each kind happens.
func (p planner) sometimes(i, n int) {
	early := i < max(3, n/6) // comparisons take their time, too
	if i%2 == 0 {
		p.add(Action{Kind: KindClockStep, Step: 1 + p.rng.Float64()*3600, For: 0.5 + 2*p.rng.Float64()})
		p.add(Action{Kind: KindPauseGateway, For: 0.1 + p.rng.Float64()})
	}
	if early && i%2 == 1 {
		p.add(Action{Kind: KindKillClients})
	}
	if i%3 == 0 {
		p.add(Action{Kind: KindFullShm, For: 1 + 2*p.rng.Float64()})
	}
	if early && i%3 == 1 {
		p.add(Action{Kind: KindKillGateway})
	}
	if early && i%3 == 2 {
		p.add(Action{Kind: KindTakeover})
	}
	if i == 1 || early && i%8 == 4 {
		p.add(Action{Kind: KindKillFeeds})
	}
}
