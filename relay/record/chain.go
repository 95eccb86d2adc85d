package record

import (
	"cmp"
	"maps"
	"slices"

	"tickrelay/ring/md"
)

// run is an interval of a topic's numbers of which records or gaps tell.
type run struct {
	from, next uint64 // next: the number after it
	open       bool   // it ends with a gap of unknown size
	name       string // of the file where it begins
}

// chains are the runs of a stream's topics, by topic and epoch. There is one of each where
// all is well; more where a clock was set back, so that later numbers are in earlier hours.
type chains map[string]map[int64][]run

// take takes a record's number.
func (c chains) take(name, topic string, r *md.Record, epoch int64) {
	from := r.Seq
	switch {
	case r.Kind == md.KindHeartbeat:
		from = r.Seq + 1
	case r.Flags&md.FlagSnapshot != 0:
		return
	case r.Kind == md.KindGap:
		from = r.ID
	}
	if c[topic] == nil {
		c[topic] = map[int64][]run{}
	}
	runs := c[topic][epoch]
	if n := len(runs); n == 0 || runs[n-1].open || runs[n-1].next != from {
		runs = append(runs, run{from: from, next: from, name: name})
		c[topic][epoch] = runs
	}
	last := &runs[len(runs)-1]
	if r.Kind == md.KindGap && r.Count == md.UnknownMissing {
		last.open = true
		return
	}
	last.next = r.Seq + 1
}

// forget makes anything follow: what is missing has been told.
func (c chains) forget() {
	for _, epochs := range c {
		for _, runs := range epochs {
			runs[len(runs)-1].open = true
		}
	}
}

// judge tells which numbers are missing and which are there twice.
func (c chains) judge(out *Checked) {
	for _, topic := range slices.Sorted(maps.Keys(c)) {
		for _, epoch := range slices.Sorted(maps.Keys(c[topic])) {
			runs := c[topic][epoch]
			slices.SortStableFunc(runs, func(a, b run) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.next, b.next)) })
			next, open := runs[0].from, false
			for _, r := range runs {
				switch {
				case r.from > next && !open:
					out.problem("%s: %s: numbers %d to %d are missing and no gap says so", r.name, topic, next, r.from-1)
				case r.from < next && r.next > r.from:
					out.problem("%s: %s: numbers %d to %d are there twice", r.name, topic, r.from, min(next, r.next)-1)
				}
				if r.next >= next {
					next, open = r.next, r.open
				}
			}
		}
	}
}
