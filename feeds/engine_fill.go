package feeds

import (
	"cmp"
	"slices"
	"time"

	"tickrelay/ring/md"
)

// fillWait is how long an event that leaves a hole waits for another line to
// bring what is missing, before the hole is told.
const fillWait = int64(250 * time.Millisecond)

// maxFill bounds the records that wait for a hole to be filled.
const maxFill = 8192

// filled stands for the line of an event that has waited: it may not wait
// again.
const filled = -1

// fill are the events of one topic that wait, of whatever line.
type fill struct {
	held heldEvents
	by   int64 // ns until which they wait, 0 if nothing does
	// They are of line, which takes over if the owner does not bring them: see
	// engine_takeover.go.
	takes bool
	line  int
}

// park lets an event wait that leaves a hole. False: nobody is there who could
// fill it, or too much waits already.
func (e *Engine) park(t *topic, line int, ev *Event, recs []md.Record, rx int64) bool {
	if line == filled || !t.several() || t.fill.by != 0 && e.now >= t.fill.by || len(t.fill.held.recs)+len(recs) > maxFill {
		return false
	}
	if t.fill.by == 0 {
		t.fill.by = e.now + fillWait
		e.filling = append(e.filling, t)
	}
	t.fill.held.add(ev, recs, rx, maxFill)
	e.stats.Parked.Add(1)
	return true
}

// follows reports whether a waiting event leaves no hole any more.
func (e *Engine) follows(t *topic, h *heldEvent, recs []md.Record) bool {
	if t.book != nil {
		return e.venue.Sequence(&t.book.state, &h.ev) != VerdictGap
	}
	return len(recs) == 0 || recs[0].ID <= t.lastID+1
}

// waiting is one event of a fill with its records.
type waiting struct {
	h    *heldEvent
	recs []md.Record
}

func (f *fill) each(do func(w waiting) bool) {
	at := 0
	for i := range f.held.events {
		h := &f.held.events[i]
		if !do(waiting{h, f.held.recs[at : at+h.recs]}) {
			return
		}
		at += h.recs
	}
}

// unpark hands on what leaves no hole any more, and everything once the wait is
// over. A hole is rare enough to allocate for.
func (e *Engine) unpark(t *topic, now int64) {
	if t.fill.by == 0 {
		return
	}
	if t.fill.takes {
		if now >= t.fill.by {
			e.takeOver(t, now)
		}
		return
	}
	over, some := now >= t.fill.by, false
	var list []waiting
	t.fill.each(func(w waiting) bool {
		some = some || e.follows(t, w.h, w.recs)
		list = append(list, w)
		return true
	})
	if !over && !some {
		return
	}
	number := func(w waiting) uint64 {
		if t.book == nil && len(w.recs) > 0 {
			return w.recs[0].ID
		}
		return uint64(w.h.ev.SeqLast)
	}
	slices.SortStableFunc(list, func(a, b waiting) int { return cmp.Compare(number(a), number(b)) })
	by := t.fill.by
	e.dropFill(t)
	var still fill
	for _, w := range list {
		if !over && !e.follows(t, w.h, w.recs) {
			still.held.add(&w.h.ev, w.recs, w.h.rx, maxFill)
			continue
		}
		if t.book != nil {
			e.bookEvent(t, filled, &w.h.ev, w.recs, w.h.rx)
		} else {
			e.trades(t, filled, &w.h.ev, w.recs, w.h.rx)
		}
	}
	if len(still.held.events) > 0 {
		still.by = by
		t.fill = still
		e.filling = append(e.filling, t)
	}
}

// tickFill ends the waits that are over.
func (e *Engine) tickFill(now int64) {
	for _, t := range slices.Clone(e.filling) {
		if now >= t.fill.by {
			e.unpark(t, now)
		}
	}
}

// dropFills forgets what waits in a part that has no line: nobody can fill the holes.
func (e *Engine) dropFills(part int) {
	for _, t := range slices.Clone(e.filling) {
		if t.part == part {
			e.dropFill(t)
		}
	}
}

// dropFill forgets what waits for a hole in t.
func (e *Engine) dropFill(t *topic) {
	if t.fill.by == 0 {
		return
	}
	t.fill = fill{}
	if i := slices.Index(e.filling, t); i >= 0 {
		e.filling = slices.Delete(e.filling, i, i+1)
	}
}
