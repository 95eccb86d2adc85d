package soak

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tickrelay/feeds/sim"
)

// explainWithin is how long after a fault that takes an update away unseen a book may
// differ for it: the next update of the same book tells, and the market makes some within
// the second.
const explainWithin = 30 * time.Second

// hidden is a fault that nobody can see before the next update.
type hidden struct {
	at    time.Time
	fault string
}

// hides says that an exchange's fault takes the last thing sent away without a sign.
func hides(a Action) bool {
	return a.Kind == KindExchange && slices.Contains([]string{sim.FaultLose.String(), sim.FaultMissingSeq.String(), sim.FaultReorder.String(),
		sim.FaultTruncate.String(), sim.FaultCorrupt.String(), sim.FaultSilent.String(), sim.FaultMute.String()}, a.Fault)
}

// hide notes such a fault.
func (s *soak) hide(a Action) {
	if hides(a) {
		s.hid[a.Target] = hidden{time.Now(), a.Fault}
	}
}

// Difference is a book that did not equal the exchange's at once, with the fault that
// is the reason.
type Difference struct {
	Into  float64 `json:"into_s"`
	Who   string  `json:"who"`
	Topic string  `json:"topic"`
	Fault string  `json:"fault,omitempty"` // "": none
	Ago   float64 `json:"ago_s,omitempty"` // s from the fault to the comparison
}

// explain holds the books that are whole and yet not the exchange's against the faults.
// One that no fault explains is a violation, even if the next update sets it right. Slow
// clients may be behind still and are held to the last comparison alone.
func (s *soak) explain() {
	told := map[string]bool{}
	for _, p := range s.readers {
		if p.compare == nil || p.compare.Why == "" {
			continue
		}
		s.cfg.Log.Info("compared once more", "reader", p.name, "why", p.compare.Why)
		if p.name == slowClients {
			continue
		}
		for _, topic := range p.compare.Wrong {
			if told[p.name+topic] {
				continue
			}
			told[p.name+topic] = true
			s.res.checks[Explained]++
			venue, _, _ := strings.Cut(topic, ".")
			d := Difference{Into: round(time.Since(s.begun).Seconds(), 1), Who: p.name, Topic: topic}
			if h, ok := s.hid[venue]; ok && time.Since(h.at) < explainWithin {
				d.Fault, d.Ago = h.fault, round(time.Since(h.at).Seconds(), 1)
			} else {
				s.violation(Explained, p.name, topic, fmt.Sprintf("the book is not the exchange's, and no fault of the last %s explains it: %s", explainWithin, p.compare.Why))
			}
			s.res.Differences = append(s.res.Differences, d)
		}
	}
}
