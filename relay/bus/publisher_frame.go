package bus

import (
	"slices"
	"time"

	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// frame is a key-frame that is to be sent.
type frame struct {
	t  *outTopic
	to string // a gateway's id, or all
}

// frameQueue holds each key-frame once.
type frameQueue struct {
	wait []frame
	in   map[frame]bool
}

func newFrameQueue() frameQueue { return frameQueue{in: map[frame]bool{}} }

func (q *frameQueue) len() int { return len(q.wait) }

func (q *frameQueue) push(f frame) {
	if q.in[f] || f.to != toAll && q.in[frame{f.t, toAll}] {
		return
	}
	q.in[f] = true
	q.wait = append(q.wait, f)
}

func (q *frameQueue) pop() frame {
	f := q.wait[0]
	q.wait = q.wait[1:]
	delete(q.in, f)
	return f
}

func (q *frameQueue) clear() {
	q.wait = q.wait[:0]
	clear(q.in)
}

// sendFrames sends key-frames, about as many records as budget, and reports whether
// others can be sent at once. Nothing is staged, so each is the state after the last
// record that was sent. In the middle of an event, which a full read can cut, there is
// no state to show: such a topic's frames wait for the event's end.
func (p *Publisher) sendFrames(budget int) (more bool) {
	for range p.frames.len() {
		if budget <= 0 {
			return true
		}
		f := p.frames.pop()
		if f.t.open {
			p.frames.push(f)
			continue
		}
		recs, ok := f.t.state(p.scratch[:0])
		p.scratch = recs
		if ok {
			p.sendFrame(&f, recs)
			p.stats.KeyFrames.Add(1)
		}
		budget -= len(recs) + 1
	}
	return false
}

// state appends what a key-frame of the topic holds: its book, its values, or
// the gap that makes them unknown; nothing where the number is all there is. It
// returns false while a book is being built: its end sends a key-frame.
func (t *outTopic) state(dst []md.Record) ([]md.Record, bool) {
	from := len(dst)
	switch {
	case t.gap.Kind != 0 && t.stateful():
		g := t.gap
		g.ID, g.Seq = t.seq, t.seq
		dst = append(dst, g)
	case t.book != nil:
		if t.book.State != book.Live {
			return dst, false
		}
		dst = appendBook(dst, t.book)
	default:
		for i := range t.values {
			if t.valid&(1<<i) != 0 {
				dst = append(dst, t.values[i])
			}
		}
	}
	for i := range dst[from:] {
		r := &dst[from+i]
		r.Venue, r.Seq = t.topic.Venue, t.seq
		r.Flags = r.Flags&md.FlagIDHash | md.FlagSnapshot
	}
	if len(dst) > from {
		dst[from].Flags |= md.FlagFirst
		dst[len(dst)-1].Flags |= md.FlagLast
	}
	return dst, true
}

const bookChunk = 512

// appendBook appends clear, every level from the touch outwards, and end.
func appendBook(dst []md.Record, r *book.Reader) []md.Record {
	b := &r.Book
	mark := md.Record{Kind: md.KindBook, Side: md.SideClear, TsEvent: r.TsEvent, TsRecv: r.TsRecv, PriceExp: b.PriceExp, SizeExp: b.SizeExp}
	dst = append(dst, mark)
	var cur book.Cursor
	for done := false; !done; {
		from := len(dst)
		dst = slices.Grow(dst, bookChunk)[:from+bookChunk]
		var n int
		n, done = b.Chunk(&cur, dst[from:])
		dst = dst[:from+n]
		for i := range dst[from:] {
			dst[from+i].TsEvent, dst[from+i].TsRecv = r.TsEvent, r.TsRecv
		}
	}
	mark.Side = md.SideEnd
	return append(dst, mark)
}

// sendFrame sends a key-frame in messages of bounded size. Their heartbeats
// count the parts in Count and mark the first and the last one.
func (p *Publisher) sendFrame(f *frame, recs []md.Record) {
	subject := p.sub.keyFrame(f.to, f.t.topic.String())
	msg := make([]md.Record, 0, min(len(recs)+1, maxBatch))
	for part := uint32(0); ; part++ {
		n := min(len(recs), maxBatch-1)
		h := header(f.t.topic, p.leading, f.t.seq, time.Now().UnixNano())
		h.Count, h.Flags = part, 0
		if part == 0 {
			h.Flags |= md.FlagFirst
		}
		if n == len(recs) {
			h.Flags |= md.FlagLast
		}
		msg = append(append(msg[:0], h), recs[:n]...)
		p.send(subject, md.AsBytes(msg), 0)
		if recs = recs[n:]; len(recs) == 0 {
			return
		}
	}
}
