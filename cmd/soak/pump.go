package soak

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// until takes what the processes say until cond holds, and is false if that is not so
// within the time or before ctx ends.
func (s *soak) until(ctx context.Context, within time.Duration, cond func() bool) bool {
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if cond() {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-deadline.C:
			return cond()
		case x := <-s.ch:
			s.heard(x)
		case x := <-s.scrapes:
			s.stage(x)
		case now := <-tick.C:
			s.due(now)
		}
	}
}

// due does what its time has come for: lasting faults' ends, and the reading of
// every second.
func (s *soak) due(now time.Time) {
	for {
		i := slices.IndexFunc(s.later, func(t timed) bool { return !t.at.After(now) })
		if i < 0 {
			break
		}
		do := s.later[i].do
		s.later = slices.Delete(s.later, i, i+1)
		do()
	}
	if !s.closing && !s.res.Started.IsZero() && now.Sub(s.begun).Seconds() >= float64(len(s.res.Samples)+1) {
		s.sample()
	}
}

// after ends a lasting fault later.
func (s *soak) after(d time.Duration, do func()) {
	s.later = append(s.later, timed{time.Now().Add(d), true, do})
}

// lasting says that a fault goes on.
func (s *soak) lasting() bool {
	return slices.ContainsFunc(s.later, func(t timed) bool { return t.ends })
}

// endFaults ends those that go on, at once.
func (s *soak) endFaults() {
	later := s.later
	s.later = nil
	for _, t := range later {
		if t.ends {
			t.do()
		} else {
			s.later = append(s.later, t)
		}
	}
}

// heard takes what a process said.
func (s *soak) heard(x said) {
	p := x.p
	switch {
	case x.end:
		p.exited = true
		s.res.checks[Alive]++
		if !p.leaving {
			s.violation(Alive, p.name, "", fmt.Sprintf("the process has ended by itself: %v\n%s", x.err, p.log.String()))
			s.revive(p)
		} else {
			s.res.add(p) // its counts will not grow any more
		}
	case x.line != "":
		// The relay's own processes: the last line of their welcome.
		if strings.HasPrefix(x.line, "socket ") {
			p.ready = true
		}
	default:
		s.message(p, x.m)
	}
}

func (s *soak) message(p *proc, m message) {
	switch m.Type {
	case "ready":
		p.ready = true
		if m.Venues != nil {
			s.venues = m.Venues
		}
	case "frozen":
		s.frozen = &m
	case "failed":
		s.violation(Formed, p.name, "", m.Error)
	case "violation":
		v := *m.Found
		v.Into = v.Time.Sub(s.begun).Seconds()
		s.report(v)
	case "compared":
		p.compare, p.of = m.Compared, m.N
	case "stats":
		if m.Exchange != nil {
			s.res.exchange = *m.Exchange
		}
		if m.Reader != nil {
			p.last = m.Reader
		}
	}
}

// violation reports one that this process found.
func (s *soak) violation(i Invariant, who, topic, what string) {
	s.report(Violation{Invariant: i, Time: time.Now(), Into: time.Since(s.begun).Seconds(), Who: who, Topic: topic, What: what})
}

// maxViolations bounds what is kept; all are counted.
const maxViolations = 1000

func (s *soak) report(v Violation) {
	v.During = strings.Join(s.recent, ", ")
	s.res.violated[v.Invariant]++
	if s.res.Violated++; s.res.Violated <= maxViolations {
		s.res.Violations = append(s.res.Violations, v)
		fmt.Fprintf(s.cfg.Progress, "VIOLATION seed %d, %.1f s: %s: %s: %s %s (after %s)\n", s.cfg.Seed, v.Into, v.Invariant, v.Who, v.Topic, v.What, v.During)
	}
}

// happened notes a fault, for the violations that may follow.
func (s *soak) happened(what string) {
	if s.recent = append(s.recent, what); len(s.recent) > 6 {
		s.recent = slices.Delete(s.recent, 0, len(s.recent)-6)
	}
}

// revive starts again what has ended by itself, so that one fault does not hide
// others.
func (s *soak) revive(p *proc) {
	s.res.add(p)
	var err error
	switch i := slices.Index(s.readers, p); {
	case i >= 0:
		err = s.startReader(i)
	case p == s.gateway:
		err = s.startGateway()
	case p == s.feeds:
		err = s.startFeeds()
	}
	if err != nil {
		s.violation(Alive, p.name, "", "cannot be started again: "+err.Error())
	}
}
