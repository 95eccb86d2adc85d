package soak

import "time"

// pace finds how fast a market this host takes: faster while processors have time
// to spare and readers keep up, slower as soon as either is not so.
type pace struct {
	auto bool
	last idle
}

const (
	leastIdle = 0.06                   // share of the processors' time
	mostLate  = 100 * time.Millisecond // p99 of the strategies
	leastRate = RealPace / 2
	mostRate  = 200_000
)

// first is the rate to begin with, in events per second.
func (p *pace) first(speed float64) float64 {
	p.last = readIdle()
	if p.auto = speed == 0; p.auto {
		return 5 * RealPace
	}
	return speed * RealPace
}

// next is the rate for the coming second.
func (p *pace) next(rate float64, lateUS float64, calm bool) (next, idleShare float64) {
	now := readIdle()
	idleShare = now.since(p.last)
	p.last = now
	switch {
	case !p.auto || calm:
		return rate, idleShare
	case idleShare < leastIdle || lateUS > float64(mostLate.Microseconds()):
		rate *= 0.93
	default:
		rate *= 1.04
	}
	return min(max(rate, leastRate), mostRate), idleShare
}

// setRate tells the exchanges.
func (s *soak) setRate(r float64) {
	if s.rate != r {
		s.rate = r
		s.exchanges.tell(order{Op: "rate", Rate: r})
	}
}
