package feeds

import (
	"math/bits"
	"time"

	"tickrelay/ring/md"
)

// Several lines may carry one topic. Where the venue's ids tell events apart,
// whatever line is first is published, and what one line lost waits a moment
// for another to bring it (engine_fill.go). Where they do not, one line, the
// owner, is published, and the others keep what they said on standby: on a
// switch only the difference is published.

// Pace of switches between lines.
const (
	// quietOwner is how long an owner may be silent, while another line brings
	// several events, before that one becomes the owner.
	quietOwner      = int64(time.Second)
	quietOwnerLeast = 3
	// ownerPatience is how long an owner of events without ids may be silent
	// while another line is not.
	ownerPatience = int64(10 * time.Second)
	// switchWait is how long a switch waits for the standby to reach the venue
	// time that was published.
	switchWait = int64(2 * time.Second)
)

// second takes an event of a line that is not the owner of t; false where it
// ends on standby.
func (e *Engine) second(t *topic, line int, ev *Event, recs []md.Record, rx int64) bool {
	how := e.mergeOf(t, len(recs) > 0 && recs[0].ID != 0)
	if t.book != nil && ev.SeqLast == 0 {
		how = mergeStandby
	}
	switch how {
	case mergeChain, mergeUnique:
		return true
	case mergeStandby:
		if t.book != nil {
			if t.state == TopicLive {
				e.standbyEvent(t, line, ev, recs, e.now)
			}
			break
		}
		if !e.keepValues(t, line, recs, e.now) {
			break
		}
		e.valuesOf(t, line, e.now)
		return false
	case mergeNone: // the owner alone, unless it has fallen silent: what it did not bring is missing
		e.noteLast(t, line, recs)
		if e.now-t.ownerAt > ownerPatience && e.parkTakeOver(t, line, ev, recs, rx) {
			return false
		}
	}
	e.ignore(IgnoreStandby)
	return false
}

// others reports whether lines beside line bring the topic.
func (e *Engine) others(t *topic, line int) bool { return t.lines&^e.bit(line) != 0 }

// several reports whether more than one line brings the topic.
func (t *topic) several() bool { return bits.OnesCount32(t.lines) > 1 }

// merge says how the events of several lines are brought together.
type merge uint8

const (
	mergeNone    merge = iota // nothing tells repetitions: only the owner counts
	mergeChain                // consecutive ids: holes show
	mergeUnique               // ids without order: repetitions show
	mergeStandby              // each line keeps its own state
)

// mergeOf is how events of t are merged; withID says that the event has an id.
func (e *Engine) mergeOf(t *topic, withID bool) merge {
	switch t.ch {
	case md.ChannelTrades:
		switch {
		case e.spec.ConsecutiveTrades:
			return mergeChain
		case withID && (e.spec.RisingTrades || e.spec.UniqueTrades):
			return mergeUnique
		}
		return mergeNone
	case md.ChannelLiquidations:
		return mergeNone
	case md.ChannelBook:
		if e.spec.MergeBooks && (t.book.state.Empty || t.book.state.Seq != 0) { // Bitget does not always number
			return mergeChain
		}
	case md.ChannelBBO:
		if withID {
			return mergeChain
		}
	}
	return mergeStandby
}

// lineGone does what is due when a line no longer brings t. A topic whose owner went
// before, and that others went on with, is lost with the last of them.
func (e *Engine) lineGone(t *topic, line int, reason md.GapReason, now int64) {
	if t.owner == line || t.owner < 0 && t.lines == 0 {
		e.ownerLost(t, line, reason, now)
	}
}

// ownerLost finds t another owner after its line was lost or lost its place; t
// is broken only if nobody can go on without a hole.
func (e *Engine) ownerLost(t *topic, line int, reason md.GapReason, now int64) {
	t.owner = -1
	rest := e.others(t, line)
	switch e.mergeOf(t, t.withIDs()) {
	case mergeChain:
		if rest {
			return // the others go on; a hole would show
		}
		if t.ch == md.ChannelTrades {
			t.deferred = t.deferred || t.lastID != 0 // the next id tells how many are missing; none may be
			return
		}
	case mergeUnique:
		if rest {
			return
		}
	case mergeStandby:
		if rest && t.state == TopicLive && e.standIn(t, now) {
			return
		}
	}
	e.breakTopic(t, reason, md.UnknownMissing, now)
	if t.fill.takes {
		e.takeOver(t, now)
	}
	if t.book != nil && e.spec.BookTime != 0 {
		t.book.resync.req = 0 // what was held for the answer is gone, and no number would show it
	}
	if t.book != nil && t.state != TopicRefused && e.upFor(t) >= 0 {
		e.wantBook(t, now, now)
	}
}

// withIDs reports whether the events of t had ids so far.
func (t *topic) withIDs() bool { return t.lastID != 0 || t.seen != nil && t.seen.n > 0 }

// standIn makes a standby the owner, at once or as soon as its venue time has
// reached what was published; false if there is none that could.
func (e *Engine) standIn(t *topic, now int64) bool {
	if t.book != nil {
		return e.bookStandIn(t, now)
	}
	return e.valuesStandIn(t, now)
}

// standby is what a line that is not the owner of a topic of values said last.
type standby struct {
	last []md.Record
	have uint16
	run  quietRun
}

// quietRun counts the events of a standby since the owner's last one.
type quietRun struct {
	n     int
	since int64 // ownerAt at which n began
}

func (q *quietRun) add(ownerAt int64) int {
	if q.since != ownerAt {
		*q = quietRun{since: ownerAt}
	}
	q.n++
	return q.n
}

// keepValues notes the values of an event for the case of a switch, and reports
// whether the owner has been silent for so long that the line is to be
// believed now.
func (e *Engine) keepValues(t *topic, line int, recs []md.Record, now int64) bool {
	slot := line % e.cfg.Slots
	if t.standbys == nil {
		t.standbys = make([]standby, e.cfg.Slots)
	}
	s := &t.standbys[slot]
	if s.last == nil {
		s.last = make([]md.Record, len(t.last))
	}
	for i := range recs {
		k := t.slotOf(&recs[i])
		s.last[k] = recs[i]
		s.have |= 1 << k
	}
	return e.ownerQuiet(t, s.run.add(t.ownerAt), now)
}

func (e *Engine) ownerQuiet(t *topic, n int, now int64) bool {
	return n >= quietOwnerLeast && now-t.ownerAt > quietOwner
}

// valuesStandIn makes the first line the owner that has said something.
func (e *Engine) valuesStandIn(t *topic, now int64) bool {
	for slot := range t.standbys {
		line := t.part*e.cfg.Slots + slot
		if t.lines&e.bit(line) == 0 || line >= len(e.lines) || !e.lines[line].usable() || t.standbys[slot].have == 0 {
			continue
		}
		e.valuesOf(t, line, now)
		return true
	}
	return false
}

// valuesOf makes a line on standby the owner and publishes what it said last, of whatever
// event, where that differs and is not older.
func (e *Engine) valuesOf(t *topic, line int, now int64) {
	s := &t.standbys[line%e.cfg.Slots]
	t.owner, t.ownerAt = line, now
	e.stats.Switches.Add(1)
	e.diff = e.diff[:0]
	for k := range s.last {
		if s.have&(1<<k) == 0 || t.have&(1<<k) != 0 && s.last[k].TsEvent < t.last[k].TsEvent {
			continue
		}
		e.diff = append(e.diff, s.last[k])
	}
	s.have = 0
	if t.ch == md.ChannelBBO {
		e.quote(t, line, e.diff, now)
	} else {
		e.values(t, line, e.diff, now)
	}
}

// slotOf is the index in last of a value.
func (t *topic) slotOf(r *md.Record) int {
	switch t.ch {
	case md.ChannelBBO:
		return int(r.Side-md.SideBid) & 1
	case md.ChannelStatus, md.ChannelOpenInterest:
		return 0
	}
	return int(r.Level) & (md.NumStats - 1)
}
