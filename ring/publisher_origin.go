package ring

import (
	"sync/atomic"

	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// This file is for publishers whose records were numbered elsewhere: on another
// host, by the feed's own Publisher. Epoch and numbers are kept, so that a
// reader may go from host to host. Begin, Relay, Skip and Stale take the place
// of Publish and Gap; a topic uses the one or the other.

// Begin makes seq a new topic's number, without a gap: its first record here
// will be seq + 1. Call it after AddTopic, before the next Turn, and for each
// topic again after Restart.
func (p *Publisher) Begin(t TopicID, seq uint64) {
	p.Flush()
	p.topics[t].seq, p.topics[t].asleep = seq, false
	for _, r := range p.rings {
		st := &r.topics[t]
		if st.mode == modeLive {
			st.mode = modeUnstarted
		}
		if st.mode != modeOff && r.gen != 0 {
			r.attention.push(t)
		}
	}
}

// Relay stages one event as Publish does, but keeps the numbers that its
// records have. They must go on where the topic stands and be consecutive:
// else nothing is staged and Relay returns false; see Skip.
func (p *Publisher) Relay(t TopicID, event []md.Record) bool {
	tp := &p.topics[t]
	for i := range event {
		if event[i].Seq != tp.seq+1+uint64(i) {
			return false
		}
	}
	if len(event) == 0 {
		return true
	}
	if len(p.b.recs)+len(event) > maxStaged {
		p.Flush()
	}
	from := len(p.b.recs)
	p.b.recs = append(p.b.recs, event...)
	staged := p.b.recs[from:]
	for i := range staged {
		r := &staged[i]
		r.Venue, r.Instrument = p.venue, tp.instrument
		r.Flags &= md.FlagIDHash | md.FlagConflated | md.FlagRecovered
	}
	p.stageEvent(t, from)
	return true
}

// Skip stages a gap of the numbers after the topic's own up to seq, which they
// become: records up to it did not reach us, or the origin says so itself.
// missing is how many records that are, md.UnknownMissing if nobody knows. The
// topic is broken as after Gap. A seq that is not beyond the topic's does
// nothing.
func (p *Publisher) Skip(t TopicID, seq uint64, reason md.GapReason, missing uint32, tsRecv int64) {
	if tp := &p.topics[t]; seq > tp.seq {
		first := tp.seq + 1
		tp.seq = seq
		p.stageGap(t, first, reason, missing, 0, tsRecv)
	}
}

// Stale stages a gap that takes no number (FlagSnapshot; first and last are the
// topic's present number): the origin cannot be heard, so that what is held may
// not be current. The topic is broken until Rebuilt, State or its next value.
func (p *Publisher) Stale(t TopicID, reason md.GapReason, tsRecv int64) {
	p.stageGap(t, p.topics[t].seq, reason, md.UnknownMissing, md.FlagSnapshot, tsRecv)
}

// State stages a topic's present values, told by the origin; they belong to the
// topic's present number and take none. For channels that hold a state, books
// excepted (Rebuilt).
func (p *Publisher) State(t TopicID, values []md.Record) {
	tp := &p.topics[t]
	if tp.last == nil || len(values) == 0 {
		return
	}
	tp.valid = 0
	for i := range values {
		slot := slotOf(&values[i])
		tp.last[slot] = values[i]
		tp.last[slot].Venue, tp.last[slot].Instrument = p.venue, tp.instrument
		tp.valid |= 1 << slot
		tp.tsEvent, tp.tsRecv = values[i].TsEvent, values[i].TsRecv
	}
	tp.broken, tp.recovering = false, 0
	from := len(p.b.recs)
	p.b.recs = tp.appendValues(p.b.recs)
	p.b.ops = append(p.b.ops, op{kind: opState, topic: t, from: from, to: len(p.b.recs)})
	p.b.plain = false
}

// Rebuilding stages a clear without levels: the book is being completed, and
// updates flow meanwhile. Rebuilt must follow; before it no ring gets a
// snapshot.
func (p *Publisher) Rebuilding(t TopicID, tsRecv int64) {
	tp := &p.topics[t]
	tp.built, tp.broken, tp.recovering = false, false, 0
	tp.tsRecv = tsRecv
	rec := p.bookMark(tp, md.SideClear)
	p.stage(op{kind: opEmpty, topic: t}, &rec)
}

// Restart begins another epoch. Every topic that had a number or a state ends
// with a gap of unknown size in the old one. Rings are told the new epoch, and
// nothing of a topic before its Begin.
func (p *Publisher) Restart(epoch int64, tsRecv int64) {
	for t := range p.topics {
		if tp := &p.topics[t]; tp.seq > 0 || tp.built || tp.valid != 0 {
			p.Gap(TopicID(t), md.GapDisconnect, md.UnknownMissing, tsRecv)
		}
	}
	p.Flush()
	p.epoch = epoch
	for t := range p.topics {
		tp := &p.topics[t]
		tp.seq, tp.tsEvent, tp.tsRecv, tp.gap = 0, 0, 0, md.Record{}
		tp.built, tp.broken, tp.valid, tp.recovering = false, false, 0, 0
		tp.asleep = true
	}
	for _, r := range p.rings {
		r.restart(epoch)
	}
}

// Room is how many records the ring can take now, MaxCapacity if nobody reads
// it. For publishers that can wait, as one that works through a history can;
// their goroutine calls it.
func (r *Producer) Room() int {
	if r.gen == 0 || r.w.broken {
		return MaxCapacity
	}
	return int(r.w.free())
}

// restart has a ring told everything anew, the epoch first.
func (r *Producer) restart(epoch int64) {
	atomic.StoreInt64(&r.seg.hdr.epoch, epoch)
	r.walking, r.cursor = -1, book.Cursor{}
	r.attention.clear()
	r.snaps.clear()
	r.before, r.due = nil, nil
	for t := range r.topics {
		st := &r.topics[t]
		if st.mode == modeOff {
			continue
		}
		st.mode, st.lost = modeUnstarted, 0
	}
	r.hi = r.gen != 0
}

// state writes a topic's values, or has them written when there is room.
func (r *Producer) state(t TopicID, recs []md.Record) {
	if r.topics[t].mode != modeLive {
		return // starting or resuming tells them
	}
	if !r.room(t, uint64(len(recs))) {
		r.suppress(t)
		return
	}
	r.payInstrument(t)
	r.w.put(recs)
}

// emptyBook writes a clear that no snapshot follows yet.
func (r *Producer) emptyBook(t TopicID, clear *md.Record) {
	r.stopBook(t)
	if r.topics[t].mode != modeLive {
		return
	}
	if !r.room(t, 1) {
		r.suppress(t)
		return
	}
	r.payInstrument(t)
	*r.w.slot() = *clear
}
