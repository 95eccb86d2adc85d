package ring

import (
	"runtime/debug"
	"sync/atomic"
	"time"

	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// maxStateRecords bounds what starting or resuming one topic writes besides its
// last values: instrument, gap, heartbeat, gap or clear.
const maxStateRecords = 4

// Limits of what readers that join a broadcast ring cost those that are there:
// topics told in one turn, and ns between two sessions.
const (
	tellsPerTurn = 32
	rejoinEvery  = int64(50 * time.Millisecond)
)

// turn does what is due for one ring between batches. Nothing is staged in the
// Publisher, so last values, books and numbers agree.
func (r *Producer) turn(now int64) {
	if r.w.broken {
		return
	}
	if r.seg.shm != nil {
		defer r.catch(debug.SetPanicOnFault(true))
	}
	if g := atomic.LoadUint64(&r.seg.ctl.attachGen); g != r.gen {
		if r.w.cast {
			r.rejoin(g, now)
		} else {
			r.startSession(g, now)
		}
	}
	r.tells = tellsPerTurn
	if r.gen != 0 && !r.hi && (now >= r.beatAt || now < r.beatAt-r.pub.beatEvery) { // or the clock was set back
		r.beat(now)
	}
	r.resume()
	r.checkBroken()
	if !r.w.broken {
		r.w.commit()
	}
}

// startSession begins afresh for a consumer that just opened the ring, which
// skips what was written for the one before it, or for one that had a producer
// before, which reads on.
func (r *Producer) startSession(gen uint64, now int64) {
	r.gen, r.hi = gen, true
	r.walking = -1
	r.attention.clear()
	r.snaps.clear()
	clear(r.owedInstr)
	r.owed = 0
	r.beatAt = now
	for t := range r.topics {
		st := &r.topics[t]
		if st.mode != modeOff {
			st.mode, st.lost = modeUnstarted, 0
			r.attention.push(TopicID(t))
			r.oweChanged(r.pub.topics[t].instr)
		}
	}
	if !r.takeLeft(gen) {
		r.w.start(gen)
	}
}

// rejoin begins a session of a broadcast ring: everything is told once more, to
// all, while live records go on. Readers that are in the picture see numbers
// that they know and a snapshot of what they have.
func (r *Producer) rejoin(gen uint64, now int64) {
	if now < r.rejoinAt && now >= r.rejoinAt-rejoinEvery { // earlier than that: the clock was set back
		return // tried again in the next turn
	}
	if r.gen == 0 {
		r.takeLeft(gen)
	}
	r.gen, r.hi = gen, true
	r.rejoinAt = now + rejoinEvery
	for t := range r.topics {
		if r.topics[t].mode != modeOff {
			r.attention.push(TopicID(t))
			r.oweChanged(r.pub.topics[t].instr)
		}
	}
	r.w.start(gen)
}

// oweChanged makes sure that the reader gets an instrument's newest control
// record if there ever was one: it may have read the table before that change.
func (r *Producer) oweChanged(i int32) {
	if r.pub.instruments[i].rec.Kind != 0 && !r.owedInstr[i] {
		r.owedInstr[i] = true
		r.owed++
	}
}

// beat writes the stream's heartbeat if there is room; it is tried again else.
func (r *Producer) beat(now int64) {
	r.publishNumbers()
	if !r.w.room(1) {
		return
	}
	*r.w.slot() = r.pub.heartbeat(md.ChannelAll, now)
	r.beatAt = now + r.pub.beatEvery
}

// publishNumbers shows each topic's current number in the segment.
func (r *Producer) publishNumbers() {
	for t := range r.topics {
		if e := r.topics[t].counters; e != nil {
			atomic.StoreUint64(&e.seq, r.pub.topics[t].seq)
		}
	}
}

// resume starts and resumes topics as long as half the ring is free. Called
// only when every staged event was seen by every ring.
func (r *Producer) resume() {
	if r.gen == 0 {
		return
	}
	for r.attention.n > 0 || r.hi || len(r.due) > 0 {
		if r.w.cast && r.tells == 0 {
			return
		}
		if r.w.free() < r.w.cap/2 || r.w.broken {
			return
		}
		if r.hi {
			*r.w.slot() = r.pub.heartbeat(md.ChannelAll, r.pub.now)
			r.hi = false
			r.beatAt = r.pub.now + r.pub.beatEvery
			continue
		}
		if len(r.due) > 0 {
			*r.w.slot() = r.due[0]
			r.due = r.due[1:]
			continue
		}
		t := r.attention.first()
		if r.pub.topics[t].asleep {
			r.attention.pop()
			continue
		}
		if r.w.free() < maxStateRecords+maxSlots {
			return
		}
		r.attention.pop()
		r.tells--
		r.payInstrument(t)
		r.tell(t)
	}
}

// tell brings the reader up to date with a topic: where it is, what is missing,
// and its state if that can be trusted. The topic is live from then on.
func (r *Producer) tell(t TopicID) {
	st, tp := &r.topics[t], &r.pub.topics[t]
	suppressed := st.mode == modeSuppressed
	switch {
	case suppressed && st.lost > 0:
		*r.w.slot() = r.lossRecord(t)
	case !suppressed:
		r.payBefore(tp)
	}
	// Among a broadcast ring's readers may be one that joined since: a gap means
	// nothing to it before the topic's heartbeat.
	if !suppressed || r.w.cast {
		hb := r.w.slot()
		*hb = r.pub.heartbeat(tp.channel, r.pub.now)
		hb.Instrument, hb.Seq = tp.instrument, tp.seq
		if tp.broken {
			g := r.w.slot()
			*g = tp.gap
			g.Flags |= md.FlagSnapshot // it was numbered when it happened
		}
	}
	st.mode, st.lost = modeLive, 0
	switch {
	case tp.broken:
	case tp.src != nil && tp.built:
		*r.w.slot() = r.pub.bookMark(tp, md.SideClear)
		r.queueBook(t)
	case tp.valid != 0:
		r.tellValues(tp)
	}
}

// lossRecord is the gap of what a suppressed topic lost in this ring.
func (r *Producer) lossRecord(t TopicID) md.Record {
	st, tp := &r.topics[t], &r.pub.topics[t]
	g := r.pub.gapRecord(tp, md.GapOverrun, missing32(st.lost), tp.tsRecv)
	g.ID, g.Seq = st.lostFirst, st.lostLast
	if g.ID > g.Seq { // nothing but a gap without numbers
		g.ID, g.Flags = g.Seq, g.Flags|md.FlagSnapshot
	}
	return g
}

// tellValues writes a topic's last values as a snapshot.
func (r *Producer) tellValues(tp *topic) {
	var values [maxSlots]md.Record
	r.w.put(tp.appendValues(values[:0]))
}

// appendValues appends a topic's last values as a snapshot.
func (tp *topic) appendValues(dst []md.Record) []md.Record {
	from := len(dst)
	for i := range tp.last {
		if tp.valid&(1<<i) == 0 {
			continue
		}
		r := tp.last[i]
		r.Seq = tp.seq
		r.Flags = r.Flags&md.FlagIDHash | md.FlagSnapshot
		dst = append(dst, r)
	}
	dst[from].Flags |= md.FlagFirst
	dst[len(dst)-1].Flags |= md.FlagLast
	return dst
}

func missing32(n uint64) uint32 {
	if n >= md.UnknownMissing {
		return md.UnknownMissing
	}
	return uint32(n)
}

// walk writes up to budget levels of the book whose snapshot is due, only while
// half the ring is free. It returns how many, and whether there is more to do
// right now.
func (r *Producer) walk(budget int) (n int, more bool) {
	if r.gen == 0 || r.w.broken || budget <= 0 || !r.nextBook() {
		return 0, false
	}
	if r.seg.shm != nil {
		defer r.catch(debug.SetPanicOnFault(true))
	}
	free := r.w.free()
	if free <= r.w.cap/2 || r.w.broken {
		r.checkBroken()
		return 0, false
	}
	tp := &r.pub.topics[r.walking]
	// Half the ring stays free for live updates: one that does not fit would
	// restart the cursor, and a book larger than the ring would never end.
	dst := r.w.window(min(free-r.w.cap/2, uint64(budget)))
	n, done := tp.src.Chunk(&r.cursor, dst)
	for i := range dst[:n] {
		d := &dst[i]
		d.Flags, d.Venue, d.Instrument = md.FlagSnapshot, r.pub.venue, tp.instrument
		d.Seq, d.TsEvent, d.TsRecv = tp.seq, tp.tsEvent, tp.tsRecv
	}
	r.w.advance(n)
	r.w.count(cntLevels, uint64(n))
	if done {
		*r.w.slot() = r.pub.bookMark(tp, md.SideEnd)
		r.w.count(cntSnapshots, 1)
		r.topics[r.walking].count(func(e *topicEntry) *uint64 { return &e.snapshots }, 1)
		r.walking = -1
	}
	r.w.commit()
	return max(n, 1), r.walking >= 0 || r.snaps.n > 0
}

// nextBook makes sure that a cursor stands in a book, if any snapshot is due.
func (r *Producer) nextBook() bool {
	for r.walking < 0 && r.snaps.n > 0 {
		t := r.snaps.first()
		r.snaps.pop()
		if tp := &r.pub.topics[t]; r.topics[t].mode == modeLive && tp.built && !tp.broken {
			r.walking, r.cursor = t, book.Cursor{}
		}
	}
	return r.walking >= 0
}
