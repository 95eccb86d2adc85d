package feeds

import (
	"fmt"
	"math"
	"time"

	"tickrelay/nettune"
	"tickrelay/ring"
)

// never is a deadline that does not come.
const never = int64(math.MaxInt64)

// timer does what is due at the loop's time and returns when it is next.
func (s *session) timer() int64 {
	now := s.l.mono
	if now >= s.until {
		s.expired()
	}
	if s.state != LineLive {
		return s.until
	}
	if err := s.send(now); err != nil {
		s.fail(err)
		return s.until
	}
	spec := s.l.spec
	next := s.out.next
	if spec.DeadAfter > 0 {
		dead := s.heardAt + int64(spec.DeadAfter)
		if now >= dead {
			s.fail(fmt.Errorf("%w: %s", errSilent, time.Duration(now-s.heardAt).Round(time.Millisecond)))
			return s.until
		}
		next = min(next, dead)
	}
	if now >= s.ageAt {
		s.ageAt = now + int64(time.Minute)
		s.l.relieve(s, "before the venue's daily cut")
	}
	if now >= s.namesAt {
		s.refreshNames()
	}
	check := s.checkRelief(now)
	if s.state != LineLive {
		return s.until
	}
	return min(next, s.ageAt, s.namesAt, check)
}

// expired ends a state that lasted too long.
func (s *session) expired() {
	switch s.state {
	case LineBackoff:
		s.leaveBackoff()
	case LineResolving:
		s.fail(fmt.Errorf("feeds: %s: no answer from the name service", s.host()))
	case LineDialling:
		s.fail(nettune.ErrDialTimeout)
	case LineProxy:
		s.fail(fmt.Errorf("%w: no answer", errProxy))
	case LineTLS:
		s.fail(nettune.ErrHandshakeTimeout)
	case LineHandshaking:
		s.fail(errHandshakeTimeout)
	}
}

// leaveBackoff dials as soon as the budget allows it. The budget is asked only
// now: a token taken ahead of its time would make other lines wait.
func (s *session) leaveBackoff() {
	if !s.l.mayTry(s) {
		s.until = s.l.mono + int64(s.l.cfg.Backoff.Cap)
		return
	}
	if !s.granted {
		s.granted = true
		if at := s.l.cfg.Budget.take(s.l.mono); at > s.l.mono {
			s.until = at
			return
		}
	}
	s.granted = false
	if s.tried > 0 {
		s.dial()
	} else {
		s.start()
	}
}

// outbox is what waits to be sent: venues count our frames and cut who sends
// too many, heartbeats included.
type outbox struct {
	queue  []outgoing
	freeAt int64 // mono ns from which the next frame may be sent
	pingAt int64 // mono ns of the next heartbeat, never if none
	next   int64 // mono ns at which send has something to do
}

type outgoing struct {
	frame []byte
	at    int64 // mono ns before which it is not sent
}

func (o *outbox) reset(now int64, spec *Spec) {
	o.queue, o.freeAt, o.pingAt = o.queue[:0], now, never
	if spec.PingEvery > 0 {
		o.pingAt = now + int64(spec.PingEvery)
	}
	o.next = o.pingAt
}

// add queues a copy of frame.
func (o *outbox) add(frame []byte, at int64) {
	o.queue = append(o.queue, outgoing{append([]byte(nil), frame...), at})
	o.next = min(o.next, max(at, o.freeAt))
}

// send writes what is due at now and sets out.next.
func (s *session) send(now int64) error {
	o, spec := &s.out, s.l.spec
	if now >= o.pingAt && now >= o.freeAt {
		var err error
		if spec.Ping != nil {
			err = s.conn.WriteText(spec.Ping)
		} else {
			err = s.conn.Ping(nil)
		}
		if err != nil {
			return err
		}
		o.pingAt = now + int64(spec.PingEvery)
		o.freeAt = now + int64(spec.SendEvery)
		s.stats.sent.Add(1)
	}
	for len(o.queue) > 0 && now >= o.freeAt && now >= o.queue[0].at {
		if err := s.conn.WriteText(o.queue[0].frame); err != nil {
			return err
		}
		if s.l.journal != nil {
			s.l.journal.sent(s.line, o.queue[0].frame, s.l.wall)
		}
		if len(s.l.taps) > 0 {
			s.l.tap(s.line, ring.FrameSent, 1, o.queue[0].frame, s.l.wall)
		}
		o.queue = append(o.queue[:0], o.queue[1:]...)
		o.freeAt = now + int64(spec.SendEvery)
		s.stats.sent.Add(1)
	}
	o.next = max(o.pingAt, o.freeAt)
	if o.pingAt == never {
		o.next = never
	}
	if len(o.queue) > 0 {
		o.next = min(o.next, max(o.freeAt, o.queue[0].at))
	}
	return nil
}
