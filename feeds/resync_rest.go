package feeds

import (
	"errors"
	"slices"

	"tickrelay/ring/md"
)

// Bounds of what is held for a snapshot, in records (64 bytes). While no
// request is under way only the newest events matter, because the snapshot will
// be newer still; dropping older ones can cost another request, never an error.
const (
	heldIdle     = 2048
	heldFetching = 65536
)

// heldEvent is a decoded event that waits for a snapshot.
type heldEvent struct {
	ev   Event // without the slices of the frame
	recs int   // records that belong to it
	rx   int64
}

// heldEvents are the events of one book that wait, oldest first, their numbers
// as on the wire.
type heldEvents struct {
	events []heldEvent
	recs   []md.Record
}

func (h *heldEvents) clear() { h.events, h.recs = h.events[:0], h.recs[:0] }

// release gives the memory back: books wait seldom.
func (h *heldEvents) release() { *h = heldEvents{} }

// add appends an event; beyond most records the oldest events go, at least half
// of what is held, so that the cost stays linear.
func (h *heldEvents) add(ev *Event, recs []md.Record, rx int64, most int) {
	if len(h.recs)+len(recs) > most {
		n, cut := 0, 0
		for n < len(h.events) && (cut < len(h.recs)/2 || len(h.recs)-cut+len(recs) > most) {
			cut += h.events[n].recs
			n++
		}
		h.events = slices.Delete(h.events, 0, n)
		h.recs = slices.Delete(h.recs, 0, cut)
		if len(recs) > most {
			return
		}
	}
	kept := *ev
	kept.Native, kept.Class, kept.Text = nil, nil, nil
	h.events = append(h.events, heldEvent{kept, len(recs), rx})
	h.recs = append(h.recs, recs...)
}

// hold keeps an event for the snapshot that is wanted from now on.
func (e *Engine) hold(t *topic, ev *Event, recs []md.Record, rx int64) {
	most := heldIdle
	if t.book.resync.req != 0 {
		most = heldFetching
	}
	t.book.held.add(ev, recs, rx, most)
	if r := &t.book.resync; !r.wanted || r.req == 0 && r.attempt == 0 && r.due > e.now {
		e.wantBook(t, e.now, e.now)
	}
}

// fetching is a REST request under way; its topic is nil once nobody wants the
// answer.
type fetching struct {
	req  int
	t    *topic
	line int // whose standby book it is for, -1 for the book itself
	// vouched is the line whose stream was there when this was asked for, -1 for none.
	vouched int
}

// fetchBook asks for a snapshot if the rate limit allows.
func (e *Engine) fetchBook(t *topic, url string, now int64) {
	if e.cfg.SnapshotEvery > 0 {
		if now < e.nextFetch || len(e.fetches) >= maxFetching {
			e.limitedTo = max(e.nextFetch, now+int64(snapshotGrace)/10)
			return
		}
		e.nextFetch = now + int64(e.cfg.SnapshotEvery)
	}
	if t.book.resync.liveAt != 0 || t.book.resync.attempt > 0 {
		e.stats.Resyncs.Add(1)
	}
	e.lastReq++
	t.book.resync.req = e.lastReq
	e.fetches = append(e.fetches, fetching{e.lastReq, t, -1, e.vouched(t, e.upFor(t))})
	e.actions = append(e.actions, EngineAction{Kind: ActionFetch, URL: url, Req: e.lastReq})
}

// Snapshot takes the answer to ActionFetch req, or why there is none, at now
// (CLOCK_REALTIME ns). body is not kept. An answer that nobody waits for any
// more is dropped.
func (e *Engine) Snapshot(req int, body []byte, err error, now int64) {
	e.now = max(e.now, now)
	i := slices.IndexFunc(e.fetches, func(f fetching) bool { return f.req == req })
	if i < 0 {
		return
	}
	t, line, vouched := e.fetches[i].t, e.fetches[i].line, e.fetches[i].vouched
	e.fetches = slices.Delete(e.fetches, i, i+1)
	if line == auditLine {
		e.auditAnswer(t, body, err, now)
		return
	}
	if line >= 0 {
		e.standbySnapshot(t, line, vouched == line, body, err, now)
		return
	}
	r := &t.book.resync
	if r.req != req {
		return
	}
	r.req = 0
	if err != nil {
		e.stats.SnapshotsFailed.Add(1)
		e.log.Warn("no book snapshot", "topic", t.stats.name, "error", err, "attempt", r.attempt+1)
		r.failed(now, int64(e.cfg.RetryMost))
		return
	}
	e.snap.Reset()
	if err = e.venue.DecodeSnapshot(body, &t.inst.md, &e.snap); err == nil && len(e.snap.Events) != 1 {
		err = errors.New("not one book")
	}
	if err != nil {
		e.stats.Rejected[RejectSnapshot].Add(1)
		e.log.Warn("book snapshot refused", "topic", t.stats.name, "error", err)
		r.failed(now, int64(e.cfg.RetryMost))
		return
	}
	if !e.join(t, e.spec.BookTime == 0 || vouched >= 0 && vouched == e.upFor(t), now) {
		e.resync(now)
	}
}

// acked notes that the venue has said that a line carries a topic.
func (e *Engine) acked(line int, d *Decoded) {
	if in := e.lookup(d.Native, nil); in != nil && in.topics[d.Channel] != nil {
		in.topics[d.Channel].acked |= e.bit(line)
	}
}

// vouched is line, or -1 where a book's stream may not be there yet on it: the venue has
// neither sent anything nor said that it will. Only where events are ordered by time
// alone is that not seen by the first of them.
func (e *Engine) vouched(t *topic, line int) int {
	if line >= 0 && e.spec.BookTime != 0 && (t.acked|t.lines)&e.bit(line) == 0 {
		return -1
	}
	return line
}

// join sets the book to the snapshot in e.snap and applies the events held to
// it, by the venue's own rule; false if they do not fit together, or if nothing was held
// and the stream was not sure to be there when the snapshot was asked for.
func (e *Engine) join(t *topic, sure bool, now int64) bool {
	b := t.book
	base := &e.snap.Events[0]
	if len(b.held.events) == 0 && !sure {
		b.resync.failed(now, int64(e.cfg.RetryMost))
		return false
	}
	state := BookState{Seq: base.SeqLast, FromREST: true, Covered: len(b.held.events) == 0}
	if base.From < base.To {
		state.Time = e.snap.Recs[base.From].TsEvent
	}
	for i := range b.held.events {
		verdict := e.venue.Sequence(&state, &b.held.events[i].ev)
		if verdict == VerdictIgnore {
			state.Covered = true
			continue
		}
		if verdict != VerdictApply { // the snapshot is older than what is held
			e.stats.SnapshotsStale.Add(1)
			b.resync.failed(now, int64(e.cfg.RetryMost))
			return false
		}
		break
	}
	recs := e.snap.Recs[base.From:base.To]
	if !e.fitLevels(t.inst, recs) {
		e.stats.Rejected[RejectRange].Add(1)
		e.refuse(t, now)
		return true
	}
	b.book.Clear()
	b.book.PriceExp, b.book.SizeExp = t.inst.md.PriceExp, t.inst.md.SizeExp
	for i := range recs {
		if recs[i].Size != 0 {
			b.book.Set(recs[i].Side, level(&recs[i]))
		}
	}
	b.state = state
	return e.applyHeld(t, now)
}

// applyHeld brings a book just set up to date.
func (e *Engine) applyHeld(t *topic, rx int64) bool {
	b := t.book
	events, recs := b.held.events, b.held.recs
	b.held.release()
	for i := range events {
		h := &events[i]
		mine := recs[:h.recs]
		recs = recs[h.recs:]
		switch e.venue.Sequence(&b.state, &h.ev) {
		case VerdictIgnore:
			continue
		case VerdictApply:
			if _, ok := e.bookUpdate(t, &h.ev, mine, h.rx); !ok {
				return e.heldFailed(t)
			}
			rx = max(rx, h.rx)
		default:
			b.reset()
			return e.heldFailed(t)
		}
	}
	if b.book.Crossed() {
		e.stats.BooksCrossed.Add(1)
		return e.heldFailed(t)
	}
	e.bookBuilt(t, rx)
	return true
}

// heldFailed schedules another attempt, unless the topic was refused.
func (e *Engine) heldFailed(t *topic) bool {
	t.book.reset()
	if t.state == TopicRefused {
		return true
	}
	t.book.resync.failed(e.now, int64(e.cfg.RetryMost))
	return false
}
