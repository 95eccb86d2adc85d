package feeds

import (
	"tickrelay/ring/md"
)

// lineBook is the book that a line keeps on standby, because the venue's book
// events of two connections cannot be merged one by one.
type lineBook struct {
	book  Book
	state BookState
	held  heldEvents // that wait for a REST snapshot
	live  bool
	run   quietRun
	due   int64 // ns of the next attempt to get a snapshot, 0 while none is needed
	tries int
}

func (b *lineBook) reset(now int64) {
	b.book.Clear()
	b.state = BookState{Empty: true}
	b.held.clear()
	b.live, b.run = false, quietRun{}
	if b.due == 0 {
		b.due = now + int64(restoreWait)
	}
}

// outdated empties a line's standby book, because an event of that line goes elsewhere or
// nowhere: it would lack that event, and not every venue's numbers would show it.
func (b *bookTopic) outdated(slot int, now int64) {
	if slot < len(b.standby) && b.standby[slot] != nil && !b.standby[slot].state.Empty {
		b.standby[slot].reset(now)
	}
}

// standbyBook is the book of a line that is not the owner.
func (e *Engine) standbyBook(t *topic, line int, now int64) *lineBook {
	b := t.book
	if b.standby == nil {
		b.standby = make([]*lineBook, e.cfg.Slots)
	}
	s := &b.standby[line%e.cfg.Slots]
	if *s == nil {
		*s = &lineBook{}
		(*s).reset(now)
	}
	return *s
}

// standbyEvent applies an event of a line that is not the owner to that line's
// own book, by the same rules.
func (e *Engine) standbyEvent(t *topic, line int, ev *Event, recs []md.Record, now int64) {
	lb := e.standbyBook(t, line, now)
	if e.turnedBack(&lb.state, ev) {
		lb.reset(now)
	}
	switch e.venue.Sequence(&lb.state, ev) {
	case VerdictIgnore:
		return
	case VerdictWait:
		if lb.due == 0 { // nothing in band will bring the snapshot
			lb.due = now + int64(snapshotGrace)
		}
		lb.held.add(ev, recs, now, heldIdle)
		return
	case VerdictGap:
		lb.reset(now)
		return
	}
	if !e.standbyApply(t, lb, ev, recs) {
		lb.reset(now)
		return
	}
	lb.live, lb.due, lb.tries = true, 0, 0
	n := lb.run.add(t.ownerAt)
	switch {
	case t.owner < 0:
		e.bookStandIn(t, now)
	case lb.state.Time > t.book.state.Time && e.ownerQuiet(t, n, now):
		e.log.Info("the owner of a book is silent, another line takes over", "topic", t.stats.name, "line", line)
		old := t.owner
		t.owner = -1
		if e.bookStandIn(t, now) {
			e.standbyBook(t, old, now).reset(now)
		}
	}
}

// standbyApply applies an event that chains and checks the book.
func (e *Engine) standbyApply(t *topic, lb *lineBook, ev *Event, recs []md.Record) bool {
	if ev.Action != ActionReplace && lb.state.Empty || !e.fitLevels(t.inst, recs) {
		return false
	}
	b := &lb.book
	in := &t.inst.md
	switch {
	case ev.Action == ActionReplace:
		b.Clear()
		b.PriceExp, b.SizeExp = in.PriceExp, in.SizeExp
	case !b.Rescale(in.PriceExp, in.SizeExp):
		return false
	}
	for i := range recs {
		b.Set(recs[i].Side, level(&recs[i]))
	}
	lb.state.Seq, lb.state.FromREST, lb.state.Empty = ev.SeqLast, false, false
	if len(recs) > 0 {
		lb.state.Time = recs[0].TsEvent
	}
	e.diff = e.cut(b, e.depthOf(ev), e.diff[:0])
	if ev.HasChecksum && e.venue.Checksum(b) != ev.Checksum {
		e.stats.ChecksumsBad.Add(1)
		return false
	}
	return !b.Crossed()
}

// bookStandIn publishes the difference between the book of the owner that was
// and the most recent standby, which is the owner from then on. While the
// standby's venue time is behind what was published nothing is; its next events
// call again, and Tick ends the wait.
func (e *Engine) bookStandIn(t *topic, now int64) bool {
	b := t.book
	best := -1
	for slot, lb := range b.standby {
		line := t.part*e.cfg.Slots + slot
		if lb == nil || !lb.live || line >= len(e.lines) || !e.lines[line].usable() {
			continue
		}
		if best < 0 || lb.state.Time > b.standby[best].state.Time {
			best = slot
		}
	}
	if best < 0 || t.state != TopicLive {
		return false
	}
	lb := b.standby[best]
	if lb.state.Time < b.state.Time {
		if b.switchBy == 0 {
			b.switchBy = now + switchWait
			e.switching = append(e.switching, t)
		}
		if now < b.switchBy {
			return true
		}
		return false
	}
	if !lb.book.Rescale(t.inst.md.PriceExp, t.inst.md.SizeExp) || !b.book.Rescale(t.inst.md.PriceExp, t.inst.md.SizeExp) {
		return false
	}
	e.endSwitch(t)
	e.diff = difference(e.diff[:0], &b.book, &lb.book)
	b.book, lb.book = lb.book, b.book
	b.state, b.audit = lb.state, nil
	lb.reset(now)
	lb.due = 0
	t.owner, t.ownerAt = t.part*e.cfg.Slots+best, now
	e.stats.Switches.Add(1)
	for i := range e.diff {
		e.diff[i].TsEvent = b.state.Time
	}
	e.publish(t, e.diff, now)
	return true
}

// leaveOwner makes another line the owner of a book because the owner's own has
// a hole; false if there is none.
func (e *Engine) leaveOwner(t *topic, now int64) bool {
	old := t.owner
	if old < 0 || !e.others(t, old) {
		return false
	}
	t.owner = -1
	if !e.bookStandIn(t, now) {
		t.owner = old
		return false
	}
	lb := e.standbyBook(t, old, now)
	lb.reset(now)
	lb.due = now // its own must come back
	return true
}

func (e *Engine) endSwitch(t *topic) {
	if t.book.switchBy == 0 {
		return
	}
	t.book.switchBy = 0
	for i := range e.switching {
		if e.switching[i] == t {
			e.switching = append(e.switching[:i], e.switching[i+1:]...)
			return
		}
	}
}

// tickSwitches ends waits for a standby that did not reach the venue time that
// was published: readers get a gap and the standby's book as a snapshot.
func (e *Engine) tickSwitches(now int64) {
	for i := 0; i < len(e.switching); i++ {
		t := e.switching[i]
		if now < t.book.switchBy {
			continue
		}
		if e.bookStandIn(t, now) {
			i--
			continue
		}
		e.endSwitch(t)
		i--
		e.breakTopic(t, md.GapDisconnect, md.UnknownMissing, now)
		e.adopt(t, now)
	}
}

// adopt starts a broken book from a standby; without one it is asked for.
func (e *Engine) adopt(t *topic, now int64) {
	b := t.book
	if t.inst.gone {
		return
	}
	for slot, lb := range b.standby {
		line := t.part*e.cfg.Slots + slot
		if lb == nil || !lb.live || line >= len(e.lines) || !e.lines[line].usable() ||
			!lb.book.Rescale(t.inst.md.PriceExp, t.inst.md.SizeExp) {
			continue
		}
		b.book, lb.book = lb.book, b.book
		b.state = lb.state
		lb.reset(now)
		lb.due = 0
		t.owner, t.ownerAt = line, now
		e.bookBuilt(t, now)
		return
	}
	if e.upFor(t) >= 0 {
		e.wantBook(t, now, now)
	}
}

// tickStandbys asks for the snapshots that standby books lack, as far as the
// limits allow.
func (e *Engine) tickStandbys(now int64) {
	if e.spec.MergeBooks || e.cfg.Slots < 2 || now < e.nextStandby {
		return
	}
	e.nextStandby = now + scanEvery
	for _, t := range e.topics {
		if t.book == nil || t.state != TopicLive || t.inst.gone {
			continue
		}
		for slot, lb := range t.book.standby {
			line := t.part*e.cfg.Slots + slot
			if lb == nil || lb.live || line == t.owner || lb.due == 0 || now < lb.due || line >= len(e.lines) ||
				!e.lines[line].usable() {
				continue
			}
			url := e.venue.SnapshotURL(e.cfg.REST, &t.inst.md)
			if url != "" && (now < e.nextFetch || len(e.fetches) >= maxFetching) {
				// As soon as the limits allow; no attempt was made.
				e.nextStandby = max(e.nextFetch, now+int64(snapshotGrace)/10)
				continue
			}
			lb.tries++
			lb.due = now + min(int64(restoreWait)<<min(lb.tries, 10), int64(e.cfg.RetryMost))
			if url != "" {
				e.fetchStandby(t, line, url, now)
			} else if e.mayResubscribe(now) {
				e.renew(line, []Sub{{t.ch, &t.inst.md}}, now)
				e.stats.Resyncs.Add(1)
			}
		}
	}
}

// fetchStandby asks for a REST snapshot for a standby book.
func (e *Engine) fetchStandby(t *topic, line int, url string, now int64) {
	if e.cfg.REST == "" || now < e.nextFetch || len(e.fetches) >= maxFetching {
		return
	}
	e.nextFetch = now + int64(max(0, e.cfg.SnapshotEvery))
	e.lastReq++
	e.fetches = append(e.fetches, fetching{e.lastReq, t, line, e.vouched(t, line)})
	e.actions = append(e.actions, EngineAction{Kind: ActionFetch, URL: url, Req: e.lastReq})
}

// standbySnapshot takes the answer to fetchStandby.
func (e *Engine) standbySnapshot(t *topic, line int, sure bool, body []byte, err error, now int64) {
	if err != nil {
		e.stats.SnapshotsFailed.Add(1)
		return
	}
	e.snap.Reset()
	if err := e.venue.DecodeSnapshot(body, &t.inst.md, &e.snap); err != nil || len(e.snap.Events) != 1 {
		e.stats.Rejected[RejectSnapshot].Add(1)
		return
	}
	e.joinStandby(t, line, sure, now)
}

// joinStandby sets a standby book to the snapshot in e.snap and applies what
// was held to it, as join does.
func (e *Engine) joinStandby(t *topic, line int, sure bool, now int64) {
	lb := e.standbyBook(t, line, now)
	if lb.live || line == t.owner || len(lb.held.events) == 0 && !sure {
		return
	}
	base := &e.snap.Events[0]
	held := lb.held
	lb.held = heldEvents{}
	if !e.standbyApply(t, lb, base, e.snap.Recs[base.From:base.To]) {
		lb.reset(now)
		return
	}
	lb.state.FromREST, lb.state.Covered = true, len(held.events) == 0
	at := 0
	for i := range held.events {
		h := &held.events[i]
		recs := held.recs[at : at+h.recs]
		at += h.recs
		switch e.venue.Sequence(&lb.state, &h.ev) {
		case VerdictIgnore:
			lb.state.Covered = true
			continue
		case VerdictApply:
			if e.standbyApply(t, lb, &h.ev, recs) {
				continue
			}
		}
		// Most likely the snapshot is older than what was held: what is held from
		// now on is older than the next one.
		lb.reset(now)
		if lb.tries <= reconnectAfter {
			lb.due = now + int64(snapshotGrace)
		}
		return
	}
	lb.live, lb.due, lb.tries = true, 0, 0
}
