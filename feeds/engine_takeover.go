package feeds

import "tickrelay/ring/md"

// Events without ids, liquidations above all, are rare: an owner that brought none for
// long is more often in a quiet market than mute. What another line brings then waits as
// long as a hole does for the owner to bring it too.

// parkTakeOver lets an event of line wait for the owner, which has been silent for long.
// False: another line's wait already.
func (e *Engine) parkTakeOver(t *topic, line int, ev *Event, recs []md.Record, rx int64) bool {
	f := &t.fill
	if f.by != 0 && f.line != line || ev.Action == ActionReplace {
		return false
	}
	if f.by == 0 {
		*f = fill{by: e.now + fillWait, takes: true, line: line}
		e.filling = append(e.filling, t)
	}
	f.held.add(ev, recs, rx, maxFill)
	e.stats.Parked.Add(1)
	return true
}

// takeOver publishes what waits and makes its line the owner: the one that was did not
// bring it, and what that one missed before is not known.
func (e *Engine) takeOver(t *topic, now int64) {
	f := t.fill
	e.dropFill(t)
	up := e.lines[f.line].up
	if up {
		e.breakTopic(t, md.GapDisconnect, md.UnknownMissing, now)
		t.owner, t.ownerAt = f.line, now
		e.stats.Switches.Add(1)
	}
	f.each(func(w waiting) bool {
		e.trades(t, f.line, &w.h.ev, w.recs, w.h.rx)
		return true
	})
	if !up { // whoever is next is the owner
		e.breakTopic(t, md.GapDisconnect, md.UnknownMissing, now)
		t.owner = -1
	}
}

// ownerBrings notes an event of the owner: nobody takes its place.
func (e *Engine) ownerBrings(t *topic) {
	t.ownerAt = e.now
	if t.fill.takes {
		e.dropFill(t)
	}
}
