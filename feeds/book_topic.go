package feeds

import (
	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// bookTopic is what a topic of channel book has beside.
type bookTopic struct {
	book   Book
	state  BookState
	held   heldEvents // events that wait for a REST snapshot
	resync resync
	// standby are the books of other lines by slot, where books are not merged;
	// switchBy is the ns until which a switch to one of them waits, 0 if none does.
	standby  []*lineBook
	switchBy int64
	audit    *audit // under way, else nil
	auditAt  int64  // ns of the last one
	// mergedTo is the number up to which several lines brought the book: one that is left
	// alone may still bring what another was first with.
	mergedTo int64
	// signals derived from the book; nil: not asked for.
	signals *signals
}

// reset empties the book; only a snapshot can start it again.
func (b *bookTopic) reset() {
	b.book.Clear()
	b.state, b.mergedTo = BookState{Empty: true}, 0
	b.audit = nil
	b.held.clear()
}

// level is a book level made of a fitted record, see wireDigits.
func level(r *md.Record) book.Level {
	return book.Level{Price: r.Price, Size: r.Size, Count: r.Count, PriceDP: int8(r.Seq >> 8), SizeDP: int8(r.Seq)}
}

// bookEvent judges an event by the venue's sequence rule and does what follows.
func (e *Engine) bookEvent(t *topic, line int, ev *Event, recs []md.Record, rx int64) {
	b := t.book
	if t.state == TopicRefused {
		e.ignore(IgnoreRefused)
		return
	}
	if ev.Action == ActionReplace && t.state == TopicLive && line != t.owner && t.several() {
		e.ignore(IgnoreDuplicate) // a connection begins with a snapshot; the changes chain
		return
	}
	if e.turnedBack(&b.state, ev) && !e.turnBack(t, line, ev, rx) {
		return
	}
	switch e.venue.Sequence(&b.state, ev) {
	case VerdictIgnore:
		if b.state.Empty {
			e.ignore(IgnoreWaiting)
		} else {
			e.ignore(IgnoreStale)
			if ev.SeqLast < b.state.Seq && e.spec.BookTime == 0 && !t.stale(e.now) { // the venue's numbers began again
				e.breakBook(t, md.GapVenue, rx)
			}
		}
	case VerdictWait:
		e.hold(t, ev, recs, rx)
	case VerdictGap:
		if b.state.Empty {
			e.ignore(IgnoreWaiting)
			return
		}
		late := e.spec.MergeBooks && t.several() || ev.SeqLast <= b.mergedTo
		if ev.SeqLast != 0 && ev.SeqLast <= b.state.Seq && late && t.stale(e.now) {
			e.ignore(IgnoreDuplicate) // the other line was first
			return
		}
		if e.park(t, line, ev, recs, rx) {
			return
		}
		if !e.spec.MergeBooks && e.leaveOwner(t, e.now) {
			return
		}
		e.breakBook(t, md.GapSequence, rx)
		if e.venue.Sequence(&b.state, ev) == VerdictWait {
			e.hold(t, ev, recs, rx) // the first that the next snapshot is joined to
		}
	default:
		e.bookApply(t, ev, recs, rx)
	}
}

// bookApply applies an event that chains.
func (e *Engine) bookApply(t *topic, ev *Event, recs []md.Record, rx int64) {
	b := t.book
	if ev.Action == ActionReplace {
		e.bookReplace(t, ev, recs, rx)
		return
	}
	if b.state.Empty {
		e.ignore(IgnoreWaiting)
		return
	}
	if recs, ok := e.bookUpdate(t, ev, recs, rx); ok {
		if b.audit != nil {
			b.auditEvent(ev, recs, rx)
		}
		e.publish(t, recs, rx)
	}
}

// bookUpdate applies absolute sizes and checks the book; false if it is broken
// now. The records returned tell of levels that left the venue's depth, too.
func (e *Engine) bookUpdate(t *topic, ev *Event, recs []md.Record, rx int64) ([]md.Record, bool) {
	b := t.book
	if !e.fitLevels(t.inst, recs) {
		e.stats.Rejected[RejectRange].Add(1)
		e.refuse(t, rx)
		return nil, false
	}
	for i := range recs {
		b.book.Set(recs[i].Side, level(&recs[i]))
	}
	b.state.Seq, b.state.FromREST, t.staleRun = ev.SeqLast, false, 0
	e.noteMerged(t)
	if len(recs) > 0 {
		b.state.Time = recs[0].TsEvent
		if depth := e.depthOf(ev); depth != 0 && (b.book.Bids.Len() > depth || b.book.Asks.Len() > depth) {
			from := len(recs)
			e.diff = e.cut(&b.book, depth, append(e.diff[:0], recs...))
			for i := range e.diff[from:] {
				e.diff[from+i].TsEvent, e.diff[from+i].ID = recs[0].TsEvent, recs[0].ID
			}
			recs = e.diff
		}
	}
	return recs, e.checkBook(t, ev, rx)
}

// depthOf is how many levels a side of the venue's book has, 0 for no bound.
func (e *Engine) depthOf(ev *Event) int {
	if ev.Depth != 0 {
		return ev.Depth
	}
	return e.spec.BookDepth
}

// cut deletes the levels that a venue of bounded depth drops without saying so,
// and appends their deletions to dst.
func (e *Engine) cut(b *Book, depth int, dst []md.Record) []md.Record {
	if depth == 0 {
		return dst
	}
	for _, s := range [...]struct {
		levels *book.Side
		side   uint8
	}{{&b.Bids, md.SideBid}, {&b.Asks, md.SideAsk}} {
		for s.levels.Len() > depth {
			gone := *s.levels.At(s.levels.Len() - 1)
			gone.Size, gone.Count = 0, 0
			b.Set(s.side, gone)
			dst = append(dst, md.Record{Kind: md.KindBook, Side: s.side, Price: gone.Price, PriceExp: b.PriceExp, SizeExp: b.SizeExp})
		}
	}
	return dst
}

// fitLevels is fit for records of a book, keeping the decimals of the wire.
func (e *Engine) fitLevels(in *instrument, recs []md.Record) bool {
	for i := range recs {
		recs[i].Seq = wireDigits(&recs[i])
	}
	return e.fit(in, recs)
}

// checkBook compares the book with the venue's checksum, if the event has one,
// and with reason: bids are below asks.
func (e *Engine) checkBook(t *topic, ev *Event, rx int64) bool {
	b := t.book
	if ev.HasChecksum {
		if e.venue.Checksum(&b.book) != ev.Checksum {
			e.stats.ChecksumsBad.Add(1)
			e.breakBook(t, md.GapChecksum, rx)
			return false
		}
		e.stats.ChecksumsOK.Add(1)
	}
	if b.book.Crossed() {
		e.stats.BooksCrossed.Add(1)
		e.breakBook(t, md.GapChecksum, rx)
		return false
	}
	return true
}

// breakBook tells readers and starts to get the book back.
func (e *Engine) breakBook(t *topic, reason md.GapReason, rx int64) {
	old, now := t.owner, e.now
	e.breakTopic(t, reason, md.UnknownMissing, rx)
	if len(t.book.standby) > 0 {
		if e.adopt(t, now); t.owner != old && old >= 0 {
			lb := e.standbyBook(t, old, now)
			lb.reset(now)
			lb.due = now
		}
		return
	}
	e.wantBook(t, now, now)
}

// noteMerged notes how far several lines brought the book.
func (e *Engine) noteMerged(t *topic) {
	if e.spec.MergeBooks && t.several() {
		t.book.mergedTo = t.book.state.Seq
	}
}

// bookReplace takes the whole book: as a new start, or, where a live book is
// repeated, as the difference.
func (e *Engine) bookReplace(t *topic, ev *Event, recs []md.Record, rx int64) {
	b := t.book
	if !e.fitLevels(t.inst, recs) {
		e.stats.Rejected[RejectRange].Add(1)
		e.refuse(t, rx)
		return
	}
	live := !b.state.Empty && t.state == TopicLive
	into := &b.book
	if live {
		into = &e.spare
	}
	into.Clear()
	into.PriceExp, into.SizeExp = t.inst.md.PriceExp, t.inst.md.SizeExp
	for i := range recs {
		if recs[i].Size != 0 {
			into.Set(recs[i].Side, level(&recs[i]))
		}
	}
	if live {
		e.diff = difference(e.diff[:0], &b.book, into)
		b.book, e.spare = e.spare, b.book
	}
	b.state, b.audit = BookState{Seq: ev.SeqLast}, nil
	e.noteMerged(t)
	if len(recs) > 0 {
		b.state.Time = recs[0].TsEvent
	}
	if !e.checkBook(t, ev, rx) {
		return
	}
	if !live {
		e.bookBuilt(t, rx)
		return
	}
	if len(e.diff) == 0 {
		e.ignore(IgnoreUnchanged)
	}
	if len(recs) > 0 {
		for i := range e.diff {
			e.diff[i].TsEvent, e.diff[i].ID = recs[0].TsEvent, recs[0].ID
		}
	}
	e.publish(t, e.diff, rx)
}

// bookBuilt tells readers that the book is complete.
func (e *Engine) bookBuilt(t *topic, rx int64) {
	e.pub.Rebuilt(t.id, rx)
	e.stats.BooksBuilt.Add(1)
	t.stats.last.Store(rx)
	t.told = e.now
	t.setState(TopicLive)
	t.book.resync.done(e.now)
	e.dropResync(t)
}

// difference appends the records that turn old into new: both have the same
// exponents.
func difference(dst []md.Record, old, new *Book) []md.Record {
	dst = sideDifference(dst, md.SideBid, &old.Bids, &new.Bids, new)
	return sideDifference(dst, md.SideAsk, &old.Asks, &new.Asks, new)
}

// sideDifference walks both sides from the touch outwards at once.
func sideDifference(dst []md.Record, side uint8, old, new *book.Side, b *Book) []md.Record {
	add := func(l *book.Level, size int64, count uint32) {
		dst = append(dst, md.Record{Kind: md.KindBook, Side: side, Price: l.Price, Size: size, Count: count,
			PriceExp: b.PriceExp, SizeExp: b.SizeExp})
	}
	i, k := 0, 0
	for i < old.Len() || k < new.Len() {
		switch {
		case k == new.Len() || i < old.Len() && nearer(side, old.At(i).Price, new.At(k).Price):
			add(old.At(i), 0, 0)
			i++
		case i == old.Len() || nearer(side, new.At(k).Price, old.At(i).Price):
			add(new.At(k), new.At(k).Size, new.At(k).Count)
			k++
		default:
			if l := new.At(k); l.Size != old.At(i).Size || l.Count != old.At(i).Count {
				add(l, l.Size, l.Count)
			}
			i++
			k++
		}
	}
	return dst
}

// nearer reports whether price a is nearer to the touch than b.
func nearer(side uint8, a, b int64) bool {
	if side == md.SideBid {
		return a > b
	}
	return a < b
}
