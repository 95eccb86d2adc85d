package feeds

import "tickrelay/ring/md"

// A planned hand-over: line ends, and other, connected beside it, goes on.

// Covers reports whether other can go on alone where line ends: whatever line
// brought since other is up, other has brought as well, books in full.
func (e *Engine) Covers(line, other int) bool {
	if other >= len(e.lines) || !e.lines[other].usable() || !e.lines[other].ready {
		return false
	}
	for _, t := range e.carried(line) {
		if t.state == TopicLive && t.lines&e.bit(line) != 0 && !e.covers(t, line, other) {
			return false
		}
	}
	return true
}

func (e *Engine) covers(t *topic, line, other int) bool {
	if t.book != nil && e.mergeOf(t, false) == mergeStandby {
		b := t.book.standby
		return t.owner != line || b != nil && b[other%e.cfg.Slots] != nil && b[other%e.cfg.Slots].live
	}
	if e.quietSince(t, other) {
		return true
	}
	if t.lines&e.bit(other) == 0 {
		return false
	}
	return e.mergeOf(t, t.withIDs()) != mergeNone || t.owner != line || t.inStep(line%e.cfg.Slots, other%e.cfg.Slots)
}

// quietSince reports whether nothing of t came since a line is up.
func (e *Engine) quietSince(t *topic, line int) bool {
	return t.told < e.lines[line].since
}

// HandOver moves what line owns, and what was quiet, to other; call it right
// before line is closed, and after Covers.
func (e *Engine) HandOver(line, other int) {
	for _, t := range e.carried(line) {
		if t.lines&e.bit(line) == 0 {
			continue
		}
		how := e.mergeOf(t, t.withIDs())
		if t.book != nil && how == mergeStandby {
			continue // the difference is published when the line is lost
		}
		quiet := e.quietSince(t, other)
		if quiet {
			t.lines |= e.bit(other)
		}
		if t.owner == line && (quiet || how == mergeNone && t.inStep(line%e.cfg.Slots, other%e.cfg.Slots)) {
			t.owner, t.ownerAt = other, e.now
		}
	}
}

// noteLast keeps the last record that a line brought of a topic whose events
// have no ids: two lines that brought the same one last are in step.
func (e *Engine) noteLast(t *topic, line int, recs []md.Record) {
	if len(recs) == 0 || line < 0 {
		return
	}
	if t.standbys == nil {
		t.standbys = make([]standby, e.cfg.Slots)
	}
	s := &t.standbys[line%e.cfg.Slots]
	if s.last == nil {
		s.last = make([]md.Record, 1)
	}
	s.last[0], s.have = recs[len(recs)-1], 1
}

// inStep reports whether two lines brought the same record last.
func (t *topic) inStep(a, b int) bool {
	if t.standbys == nil || t.standbys[a].have == 0 || t.standbys[b].have == 0 {
		return false
	}
	x, y := &t.standbys[a].last[0], &t.standbys[b].last[0]
	return x.TsEvent == y.TsEvent && x.Side == y.Side && md.Cmp(x.Price, x.PriceExp, y.Price, y.PriceExp) == 0 &&
		md.Cmp(x.Size, x.SizeExp, y.Size, y.SizeExp) == 0
}
