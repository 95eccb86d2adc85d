package feeds

import (
	"slices"
	"time"

	"tickrelay/ring/md"
)

// An audit compares a live book with a fresh REST snapshot of the venue, level by
// level, at the snapshot's own number: the book as it was when the snapshot was
// asked for is kept, with the events since, and brought to that number.

// auditDepth is how many levels of a side an audit compares at most.
const auditDepth = 1000

// audit is one that is under way.
type audit struct {
	req  int
	book Book
	seq  int64
	held heldEvents
}

// auditWait is how long an answer may take before the audit is given up.
const auditWait = int64(30 * time.Second)

// tickAudits begins the audits that are due, one at a time, as far as the limits
// of REST requests allow.
func (e *Engine) tickAudits(now int64) {
	if e.cfg.Audit <= 0 || e.cfg.REST == "" || now < e.nextAudit {
		return
	}
	if t := e.auditing; t != nil {
		if now < t.book.auditAt+auditWait {
			return
		}
		t.book.audit, e.auditing = nil, nil
	}
	for _, t := range e.topics {
		if t.book == nil || t.state != TopicLive || t.inst.gone || t.book.auditAt != 0 && now < t.book.auditAt+int64(e.cfg.Audit) {
			continue
		}
		if t.book.auditAt == 0 { // not in its first seconds
			t.book.auditAt = now - int64(e.cfg.Audit) + int64(e.cfg.Audit)/8
			continue
		}
		e.beginAudit(t, now)
		return
	}
}

func (e *Engine) beginAudit(t *topic, now int64) {
	b := t.book
	url := e.venue.SnapshotURL(e.cfg.REST, &t.inst.md)
	if url == "" || now < e.nextFetch || len(e.fetches) >= maxFetching {
		b.auditAt = now - int64(e.cfg.Audit) + scanEvery
		if url == "" {
			b.auditAt = now
		}
		return
	}
	e.nextFetch = now + int64(max(0, e.cfg.SnapshotEvery))
	e.lastReq++
	a := &audit{req: e.lastReq, seq: b.state.Seq}
	a.book.PriceExp, a.book.SizeExp = b.book.PriceExp, b.book.SizeExp
	for i := range b.book.Bids.Len() {
		a.book.Set(md.SideBid, *b.book.Bids.At(i))
	}
	for i := range b.book.Asks.Len() {
		a.book.Set(md.SideAsk, *b.book.Asks.At(i))
	}
	b.audit, b.auditAt, e.auditing = a, now, t
	e.fetches = append(e.fetches, fetching{req: e.lastReq, t: t, line: auditLine})
	e.actions = append(e.actions, EngineAction{Kind: ActionFetch, URL: url, Req: e.lastReq})
}

// auditLine marks a request as an audit's.
const auditLine = -2

// auditEvent keeps an event that the book has applied.
func (b *bookTopic) auditEvent(ev *Event, recs []md.Record, rx int64) {
	if len(b.audit.held.recs)+len(recs) > heldFetching {
		b.audit = nil // too much has happened to tell
		return
	}
	b.audit.held.add(ev, recs, rx, heldFetching)
}

// auditAnswer takes the snapshot.
func (e *Engine) auditAnswer(t *topic, body []byte, err error, now int64) {
	a := t.book.audit
	t.book.audit, e.auditing = nil, nil
	if a == nil || t.state != TopicLive {
		return
	}
	if err != nil {
		e.stats.SnapshotsFailed.Add(1)
		return
	}
	e.snap.Reset()
	if err := e.venue.DecodeSnapshot(body, &t.inst.md, &e.snap); err != nil || len(e.snap.Events) != 1 {
		e.stats.Rejected[RejectSnapshot].Add(1)
		return
	}
	base := &e.snap.Events[0]
	if !a.advance(base.SeqLast) {
		e.stats.AuditsOpen.Add(1)
		return
	}
	recs := e.snap.Recs[base.From:base.To]
	if why := a.compare(recs); why != "" {
		e.stats.AuditsBad.Add(1)
		e.log.Error("the book differs from the venue's snapshot", "topic", t.stats.name, "number", base.SeqLast, "difference", why)
		e.breakBook(t, md.GapVenue, now)
		return
	}
	e.stats.AuditsOK.Add(1)
}

// advance brings the kept book to number seq; false if it cannot be told what the
// book was then.
func (a *audit) advance(seq int64) bool {
	if seq < a.seq {
		return false
	}
	recs := a.held.recs
	for i := range a.held.events {
		h := &a.held.events[i]
		mine := recs[:h.recs]
		recs = recs[h.recs:]
		if h.ev.SeqLast > seq {
			return h.ev.SeqFirst == 0 || h.ev.SeqFirst > seq
		}
		if !a.apply(mine) {
			return false
		}
		a.seq = h.ev.SeqLast
	}
	return a.seq == seq // the event that brings the book there is still to come
}

func (a *audit) apply(recs []md.Record) bool {
	for i := range recs {
		r := recs[i]
		if !convert(&r, a.book.PriceExp, a.book.SizeExp) {
			return false
		}
		a.book.Set(r.Side, level(&r))
	}
	return true
}

// compare names the first level at which the kept book differs from the
// snapshot's records, "" if none does.
func (a *audit) compare(recs []md.Record) string {
	var other Book
	other.PriceExp, other.SizeExp = a.book.PriceExp, a.book.SizeExp
	for i := range recs {
		r := recs[i]
		if !convert(&r, other.PriceExp, other.SizeExp) {
			return "a number that the instrument's exponents do not hold: " + string(md.AppendDecimal(nil, r.Price, r.PriceExp))
		}
		if r.Size != 0 {
			other.Set(r.Side, level(&r))
		}
	}
	for _, side := range []uint8{md.SideBid, md.SideAsk} {
		mine, theirs := &a.book.Bids, &other.Bids
		if side == md.SideAsk {
			mine, theirs = &a.book.Asks, &other.Asks
		}
		for i := range min(mine.Len(), theirs.Len(), auditDepth) {
			x, y := mine.At(i), theirs.At(i)
			if x.Price != y.Price || x.Size != y.Size {
				text := slices.Concat([]byte(md.BookSideName(side)+" "), md.AppendDecimal(nil, x.Price, other.PriceExp), []byte(" × "),
					md.AppendDecimal(nil, x.Size, other.SizeExp), []byte(", the venue has "), md.AppendDecimal(nil, y.Price, other.PriceExp),
					[]byte(" × "), md.AppendDecimal(nil, y.Size, other.SizeExp))
				return string(text)
			}
		}
		if (mine.Len() == 0) != (theirs.Len() == 0) {
			return md.BookSideName(side) + " side is empty on one of them"
		}
	}
	return ""
}
