package soak

import (
	"context"
	"fmt"
	"strings"
	"time"
)

const (
	// settleWithin is how long books may take to be whole again after the faults.
	settleWithin = 120 * time.Second
	// calmRate is the pace of the market, in events per second, until all is whole.
	calmRate = 5 * RealPace
	// leftWithin is how long comparisons wait until the feeds have left connections on
	// which an exchange sends no data any more, be it beside one that brings everything.
	leftWithin = 60 * time.Second
	// soonWithin is the same where another try follows: less than the feeds' patience
	// with silent instruments (Hurried), so that no subscription made anew mends what
	// is wrong before it was seen.
	soonWithin = 6 * time.Second
	// equalWithin is how long readers may take to have read what was sent before the
	// market was frozen.
	equalWithin = 60 * time.Second
)

// storm lets the faults of a plan happen at their times.
func (s *soak) storm(ctx context.Context, n int, st storm) {
	began := time.Now()
	next := 0
	s.until(ctx, st.length, func() bool {
		for next < len(st.actions) && time.Since(began).Seconds() >= st.actions[next].At {
			a := st.actions[next]
			next++
			s.act(ctx, n, a)
		}
		return false
	})
	// What lasts ends now.
	s.until(ctx, 10*time.Second, func() bool { return !s.lasting() })
	s.endFaults()
}

// check waits until every book is whole, stops the market and holds every reader's
// books against the exchanges', level by level. Where the last thing that an exchange
// sent was lost with the fault, a reader can know only by the next one: so the market
// goes on a little, longer each time, and all is compared again. What is still not
// equal then is wrong.
func (s *soak) check(ctx context.Context, n int) {
	s.calm = true
	began := time.Now()
	// At full pace slow clients would be behind for ever.
	pace := s.rate
	s.setRate(min(pace, calmRate))
	defer func() {
		s.setRate(pace)
		s.exchanges.tell(order{Op: "resume"})
		s.calm = false
		s.res.Calms = append(s.res.Calms, [2]float64{began.Sub(s.begun).Seconds(), time.Since(s.begun).Seconds()})
	}()
	for try := 1; ; try++ {
		// What the readers said of themselves is a second old.
		pause := time.Now()
		told := pause
		s.res.checks[Left] += uint64(s.res.exchange.Withheld)
		settled := s.until(ctx, settleWithin, func() bool {
			if time.Since(told) > 20*time.Second {
				told = time.Now()
				s.cfg.Log.Info("waiting until all is whole again", "for", time.Since(pause).Round(time.Second), "what", s.notWhole())
			}
			if time.Since(pause) < time.Duration(try)*1500*time.Millisecond || s.missing() != "" {
				return false
			}
			return s.res.exchange.Withheld == 0 || time.Since(pause) > leftWithin
		})
		if ctx.Err() != nil {
			return
		}
		for _, p := range s.readers {
			s.res.checks[Whole] += uint64(s.wants(p))
		}
		if !settled {
			s.unsettled()
		}
		whole := time.Now()
		s.until(ctx, dwellFor, func() bool { return false })
		if x := &s.res.exchange; x.Withheld > 0 {
			s.violation(Left, "feeds", "", fmt.Sprintf("%d connections that give no data are still held after %s: %s", x.Withheld, leftWithin, strings.Join(x.Mute, ", ")))
		}
		if !s.freeze(ctx, n*maxTries+try, whole) {
			return
		}
		last := !settled || try == maxTries
		if s.equal(ctx, n*maxTries+try, last) {
			s.res.Comparisons++
			s.res.Repeated += try - 1
			s.point()
			return
		}
		if last || ctx.Err() != nil {
			return
		}
		s.explain()
		s.exchanges.tell(order{Op: "resume"})
	}
}

// maxTries bounds the comparisons between two storms.
const maxTries = 6

// unsettled reports who still has books that are not whole.
func (s *soak) unsettled() {
	for _, p := range s.readers {
		if p.last == nil || p.last.Live < s.wants(p) {
			s.violation(Whole, p.name, "", fmt.Sprintf("books are not whole %s after the faults: %s", settleWithin, liveText(p)))
		}
	}
}

// freeze stops the market; the exchanges tell their books, and what was traded since all was
// whole.
func (s *soak) freeze(ctx context.Context, n int, whole time.Time) bool {
	s.frozen = nil
	s.exchanges.tell(order{Op: "freeze", N: n, Since: whole.UnixNano()})
	if s.until(ctx, equalWithin, func() bool { return s.frozen != nil && s.frozen.N == n }) && s.frozen.Error == "" {
		return true
	}
	if ctx.Err() == nil {
		why := "no answer"
		if s.frozen != nil {
			why = s.frozen.Error
		}
		s.violation(Equal, "exchanges", "", "the market was not frozen: "+why)
	}
	return false
}

func liveText(p *proc) string {
	if p.last == nil {
		return "it said nothing yet"
	}
	return fmt.Sprintf("%d of %d are", p.last.Live, p.last.Books)
}

// wants is how many books a reader must have.
func (s *soak) wants(p *proc) int {
	books := 0
	for _, v := range s.venues {
		books += len(v.Symbols)
	}
	switch p.name {
	case "clients":
		return 3 * books // once in binary, once in JSON, once as windows
	case slowClients:
		return 5 * books
	}
	return books
}

// notWhole says what is missing until every process is up, every book live, and the feeds
// have left every connection on which an exchange sends no data any more.
func (s *soak) notWhole() string {
	if why := s.missing(); why != "" {
		return why
	}
	if x := &s.res.exchange; x.Withheld > 0 {
		return fmt.Sprintf("%d connections that give no data are still held: %s", x.Withheld, strings.Join(x.Mute, ", "))
	}
	return ""
}

// missing is the same of processes and books alone.
func (s *soak) missing() string {
	switch {
	case !s.gateway.ready:
		return "the gateway is starting"
	case !s.feeds.ready:
		return "the feeds are starting"
	}
	for _, p := range s.readers {
		if !p.ready || p.last == nil || p.last.Live < s.wants(p) {
			return fmt.Sprintf("books of %s: %s", p.name, liveText(p))
		}
		if p.last.Sessions < p.attach {
			return p.name + " has not attached to the new feeds yet"
		}
	}
	return ""
}

// equal asks every reader until its books equal the exchanges'. Unless it is final
// it gives up soon, and a difference is no violation yet.
func (s *soak) equal(ctx context.Context, n int, final bool) bool {
	within := soonWithin
	if final {
		within = equalWithin
	}
	path := s.frozen.Path
	asked := map[*proc]time.Time{}
	done := map[*proc]bool{}
	equal := s.until(ctx, within, func() bool {
		for _, p := range s.readers {
			if done[p] {
				continue
			}
			if p.compare != nil && p.of == n {
				if p.compare.Why == "" {
					done[p] = true
					s.res.Books += uint64(p.compare.Books)
					s.res.Levels += uint64(p.compare.Levels)
					s.res.checks[Equal] += uint64(p.compare.Levels)
					s.res.checks[Brought] += uint64(p.compare.Lasts)
					continue
				}
				if time.Since(asked[p]) < 200*time.Millisecond {
					continue
				}
				asked[p] = time.Time{}
			}
			if asked[p].IsZero() {
				asked[p] = time.Now()
				p.tell(order{Op: "compare", N: n, Path: path})
			}
		}
		return len(done) == len(s.readers)
	})
	if !equal && final && ctx.Err() == nil {
		for _, p := range s.readers {
			if !done[p] {
				why, rule := "no answer", Equal
				if p.compare != nil {
					why = p.compare.Why
					if len(p.compare.Wrong) == 0 && len(p.compare.Late) > 0 {
						rule = Brought
					}
				}
				s.violation(rule, p.name, "", fmt.Sprintf("what is held is not the exchanges' %s after the market stood still: %s", equalWithin, why))
			}
		}
	}
	return equal
}
