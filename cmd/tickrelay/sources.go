package main

import (
	"strings"

	"tickrelay/relay/bus"
	"tickrelay/ring"
	"tickrelay/ring/md"
)

// ringSource is what fills strategies' rings: a feed of this host, or a venue
// that comes over the bus. Each gives a strategy one ring.
type ringSource interface {
	Name() string // in the rings' names; one of a kind
	of() md.Venue
	// mayServe reports whether any of the patterns can match a topic of it, judged by
	// venue and channel: instruments may still be listed later.
	mayServe(patterns []string) bool
	// knows reports whether a topic that it may serve is one.
	knows(t md.Topic, table *md.TableView) bool
	topics(table *md.TableView) []string // that there are

	Attach(seg *ring.Segment, want func(instrument uint32, ch md.Channel) bool) (detach func(), err error)
	Select(seg *ring.Segment, want func(instrument uint32, ch md.Channel) bool) error
	Withdraw(seg *ring.Segment)
}

// sources are those of a list of feeds, and what comes over the bus.
func (r *relayd) sources(feeds []*feedUnit) []ringSource {
	var list []ringSource
	for _, f := range feeds {
		list = append(list, f)
	}
	for _, u := range r.bus.units {
		list = append(list, u)
	}
	return list
}

// source is the one of a name, nil if there is none.
func (r *relayd) source(name string) ringSource {
	for _, s := range r.sources(r.feeds()) {
		if s.Name() == name {
			return s
		}
	}
	return nil
}

func (f *feedUnit) of() md.Venue { return f.venue }

func (f *feedUnit) mayServe(patterns []string) bool {
	for _, p := range patterns {
		for _, ch := range f.channels {
			if prefixMatches(p, f.venue.String(), ch.String()) {
				return true
			}
		}
	}
	return false
}

func (f *feedUnit) knows(t md.Topic, table *md.TableView) bool {
	_, ok := table.Lookup(f.venue, t.Symbol)
	return ok
}

func (f *feedUnit) topics(table *md.TableView) []string {
	var out []string
	for id := range table.Len() {
		in, ok := table.Get(uint32(id))
		if !ok || in.Venue != f.venue {
			continue
		}
		for _, ch := range f.channels {
			out = append(out, md.Topic{Venue: f.venue, Channel: ch, Symbol: in.Symbol}.String())
		}
	}
	return out
}

// busUnit is a venue that comes over the bus.
type busUnit struct {
	in       *bus.Subscriber
	venue    md.Venue
	patterns []string // that are subscribed to
}

// busUnits are the venues of a Subscriber.
func busUnits(in *bus.Subscriber, patterns []md.Pattern) (list []*busUnit) {
	for _, st := range in.Venues() {
		u := &busUnit{in: in, venue: st.Venue}
		for _, p := range patterns {
			if v, err := bus.PatternVenue(p); err == nil && v == st.Venue {
				u.patterns = append(u.patterns, p.String())
			}
		}
		list = append(list, u)
	}
	return list
}

func (u *busUnit) Name() string { return busName(u.venue) }
func (u *busUnit) of() md.Venue { return u.venue }

func (u *busUnit) mayServe(patterns []string) bool {
	for _, p := range patterns {
		for _, own := range u.patterns {
			if patternsMeet(p, own) {
				return true
			}
		}
	}
	return false
}

func (u *busUnit) knows(t md.Topic, _ *md.TableView) bool { return u.in.Serves(t) }

func (u *busUnit) topics(*md.TableView) (out []string) {
	for _, t := range u.in.Topics(u.venue) {
		out = append(out, t.String())
	}
	return out
}

func (u *busUnit) Attach(seg *ring.Segment, want func(uint32, md.Channel) bool) (detach func(), err error) {
	return u.in.Attach(u.venue, seg, want)
}

func (u *busUnit) Select(seg *ring.Segment, want func(uint32, md.Channel) bool) error {
	return u.in.Select(u.venue, seg, want)
}

func (u *busUnit) Withdraw(seg *ring.Segment) { u.in.Detach(u.venue, seg) }

// patternsMeet reports whether a topic could match both patterns.
func patternsMeet(a, b string) bool {
	for {
		x, restA, moreA := strings.Cut(a, ".")
		y, restB, moreB := strings.Cut(b, ".")
		switch {
		case x == ">" || y == ">":
			return true
		case x != "*" && y != "*" && x != y, moreA != moreB:
			return false
		case !moreA:
			return true
		}
		a, b = restA, restB
	}
}
