package nettune

import (
	"time"

	"golang.org/x/sys/unix"
)

// acceptPause is how long a listener rests when descriptors have run out, so
// that a level-triggered Accept event does not spin the loop.
const acceptPause = 100 * time.Millisecond

// timers are a poller's few deadlines: connects under way and listeners at
// rest. They are scanned: there are many only while many connect.
type timers struct {
	dials []dialTimer
	rests []restTimer
}

type dialTimer struct {
	s  *kernelStream
	at time.Time
}

type restTimer struct {
	l  *kernelListener
	at time.Time
}

func (t *timers) active() bool { return len(t.dials)+len(t.rests) > 0 }

// bound shortens wait to the next deadline. It rounds up to a microsecond so
// that a poll does not return just before it.
func (t *timers) bound(now time.Time, wait time.Duration) time.Duration {
	limit := func(at time.Time) {
		d := max(at.Sub(now)+time.Microsecond, time.Microsecond)
		if wait < 0 || d < wait {
			wait = d
		}
	}
	for i := range t.dials {
		limit(t.dials[i].at)
	}
	for i := range t.rests {
		limit(t.rests[i].at)
	}
	return wait
}

// drop forgets the deadline of a stream.
func (t *timers) drop(s *kernelStream) {
	for i := range t.dials {
		if t.dials[i].s == s {
			last := len(t.dials) - 1
			t.dials[i] = t.dials[last]
			t.dials[last] = dialTimer{}
			t.dials = t.dials[:last]
			return
		}
	}
}

// fireTimers fails connects that took too long and wakes rested listeners.
func (p *kernelPoller) fireTimers(dst []Event, now time.Time) []Event {
	for i := 0; i < len(p.timers.dials); {
		d := p.timers.dials[i]
		if now.Before(d.at) {
			i++
			continue
		}
		dst = d.s.failDial(dst, ErrDialTimeout) // removes entry i
	}
	rests := p.timers.rests[:0]
	for _, r := range p.timers.rests {
		switch {
		case r.l.fd < 0:
		case now.Before(r.at):
			rests = append(rests, r)
		default:
			_ = p.ctl(unix.EPOLL_CTL_MOD, int(r.l.fd), unix.EPOLLIN, r.l.slot)
		}
	}
	p.timers.rests = rests
	return dst
}
