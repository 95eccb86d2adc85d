package bus

import (
	"errors"
	"fmt"
	"slices"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// A gateway of this process gets the history, and the history waits for it. A
// strategy must not take what is minutes old for the market, and a slow one must
// not keep anybody waiting: its ring is alive from the start and silent until the
// history is in, then begins with every topic's number and state.

// laterRing is a ring that waits for that.
type laterRing struct {
	p    *ring.Producer
	want wantFunc
}

// wantFunc says which topics a ring carries; nil: all.
type wantFunc = func(instrument uint32, ch md.Channel) bool

func nothing(uint32, md.Channel) bool { return false }

var errEnded = errors.New("bus: the subscriber has ended")

// do runs f where the loop's things are its own: here before Run, else in the
// loop, for which it waits.
func (s *Subscriber) do(f func() error) error {
	s.mu.Lock()
	if !s.running {
		defer s.mu.Unlock()
		return f()
	}
	s.mu.Unlock()
	var err error
	done := make(chan struct{})
	select {
	case s.mail <- func() { err = f(); close(done) }:
	case <-s.ended:
		return errEnded
	}
	select {
	case <-done:
		return err
	case <-s.ended:
		return errEnded
	}
}

func (s *Subscriber) venue(of md.Venue) (*inVenue, error) {
	if v := s.byVenue[of]; v != nil {
		return v, nil
	}
	return nil, fmt.Errorf("bus: nothing of %s is subscribed to", of)
}

// Attach makes a ring carry a venue's topics, those that want accepts, from the
// end of the history on. The ring must not have a producer: ring.ErrBusy.
// detach ends the ring.
func (s *Subscriber) Attach(venue md.Venue, seg *ring.Segment, want func(uint32, md.Channel) bool) (detach func(), err error) {
	v, err := s.venue(venue)
	if err != nil {
		return nil, err
	}
	err = s.do(func() error {
		if s.warmed {
			_, err := v.pub.Attach(seg, want)
			return err
		}
		p, err := v.pub.Attach(seg, nothing)
		if err == nil {
			v.later = append(v.later, laterRing{p, want})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return func() { s.Detach(venue, seg) }, nil
}

// AttachWithHistory is Attach for a ring that gets the history too, which waits
// for its reader. Call it before Run.
func (s *Subscriber) AttachWithHistory(venue md.Venue, seg *ring.Segment) error {
	v, err := s.venue(venue)
	if err != nil {
		return err
	}
	return s.do(func() error {
		p, err := v.pub.Attach(seg, nil)
		if err == nil {
			v.paced = append(v.paced, p)
		}
		return err
	})
}

// Detach ends a ring: its reader drains it and finds the producer gone. A ring
// that is not attached is left alone.
func (s *Subscriber) Detach(venue md.Venue, seg *ring.Segment) {
	v, err := s.venue(venue)
	if err != nil {
		return
	}
	_ = s.do(func() error { // ended: Run has detached all
		if p := v.producer(seg); p != nil {
			v.later = slices.DeleteFunc(v.later, func(l laterRing) bool { return l.p == p })
			v.paced = slices.DeleteFunc(v.paced, func(x *ring.Producer) bool { return x == p })
			v.pub.Detach(p)
		}
		return nil
	})
}

// Select changes which topics an attached ring carries.
func (s *Subscriber) Select(venue md.Venue, seg *ring.Segment, want func(uint32, md.Channel) bool) error {
	v, err := s.venue(venue)
	if err != nil {
		return err
	}
	return s.do(func() error {
		p := v.producer(seg)
		if p == nil {
			return fmt.Errorf("bus: ring %s is not attached", seg.Name())
		}
		for i := range v.later {
			if v.later[i].p == p {
				v.later[i].want = want
				return nil
			}
		}
		v.pub.Select(p, want)
		return nil
	})
}

// Serves reports whether a topic may come: it is subscribed to, and its origin
// has it, as far as that is known.
func (s *Subscriber) Serves(t md.Topic) (ok bool) {
	v, err := s.venue(t.Venue)
	if err != nil || !v.wants(t) {
		return false
	}
	_ = s.do(func() error {
		ok = v.topics[t] != nil || !v.listed
		return nil
	})
	return ok
}

// Topics are those of a venue that have come so far, in no order.
func (s *Subscriber) Topics(venue md.Venue) (list []md.Topic) {
	v, err := s.venue(venue)
	if err != nil {
		return nil
	}
	_ = s.do(func() error {
		for t := range v.topics {
			list = append(list, t)
		}
		return nil
	})
	return list
}

func (v *inVenue) producer(seg *ring.Segment) *ring.Producer {
	for _, p := range v.pub.Rings() {
		if p.Segment() == seg {
			return p
		}
	}
	return nil
}

// warmRings begins the rings that waited for the end of the history.
func (s *Subscriber) warmRings() {
	s.warmed = true
	for _, v := range s.venues {
		for _, l := range v.later {
			v.pub.Select(l.p, l.want)
		}
		v.later, v.paced = nil, nil
	}
}
