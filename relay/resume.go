package relay

import (
	"github.com/gobwas/ws"

	"tickrelay/ring/md"
)

// resumePoint is where a client left a topic.
type resumePoint struct {
	topic md.Pattern
	epoch int64
	seq   uint64
}

// resumeOutcome says what a resumed topic got. The list is closed.
type resumeOutcome uint8

const (
	resumeNothing resumeOutcome = iota // nothing was missed
	resumeHistory                      // what was missed
	resumeState                        // the newest state instead: depth or conflation, nothing was lost
	resumeGap                          // a gap of known numbers
	resumeUnknown                      // another epoch, or a number that is not reached
	numResumeOutcomes
)

var resumeOutcomes = [numResumeOutcomes]string{"nothing", "history", "state", "gap", "unknown"}

// turnReplay bounds the bytes that are encoded from histories before the hub looks at
// its rings again, in whole requests. One request may cost Limits.QueueBytes.
const turnReplay = 4 << 20

// replaySize is about what a record takes in a format, in bytes.
var replaySize = [...]uint64{formatJSON: 220, formatBinary: md.RecordSize}

// replayKey names a replay, which many readers may want that were cut off together.
type replayKey struct {
	stream uint32
	format format
	from   uint64
	merged bool // of a slow reader: one message of all
}

// resume is subscribe for a reader that names its positions. Topics that only its
// patterns select are subscribed to afresh.
func (h *hub) resume(r *request) {
	k := h.clientOf(r)
	h.replayLeft = h.limits.QueueBytes
	fresh := r.patterns
	named := map[string]bool{}
	for _, p := range r.resume {
		r.patterns = append(r.patterns, p.topic)
		named[p.topic.String()] = true
	}
	if !h.permits(r) || !h.room(r, k, h.match(r.patterns, r.grant)) {
		return
	}
	var joined []*stream
	missed := map[*stream]resumePoint{}
	for _, t := range h.match(fresh, r.grant) {
		if named[t.name] {
			continue
		}
		st := h.streamOf(t, r.opt)
		if st == nil {
			h.refuse(r.conn, r.id, codeLimit, t.name+": too many pairs of depth and conflate_ms")
			return
		}
		joined = append(joined, st)
	}
	for _, p := range r.resume {
		t := h.byName[p.topic.String()]
		if t == nil || !t.live {
			continue
		}
		st := h.streamOf(t, r.opt)
		if st == nil {
			h.refuse(r.conn, r.id, codeLimit, t.name+": too many pairs of depth and conflate_ms")
			return
		}
		joined = append(joined, st)
		missed[st] = p
	}
	for _, p := range fresh {
		h.hold(r.conn, k, patternKey{p, r.opt})
	}
	for _, p := range r.resume {
		h.hold(r.conn, k, patternKey{p.topic, r.opt})
		if t := h.byName[p.topic.String()]; t == nil || !t.live {
			// Judged when the topic appears: the relay may have started just now.
			k.keepPoint(p.topic.String(), p)
		}
	}
	h.join(r, k, joined, missed)
}

// keepPoint remembers where a reader stands in a topic that does not exist now.
func (k *client) keepPoint(topic string, p resumePoint) {
	if k.points == nil {
		k.points = map[string]resumePoint{}
	}
	k.points[topic] = p
}

// startsAt is the number that the messages after a resumption connect to.
func (t *topic) startsAt(p resumePoint) uint64 {
	if p.epoch != t.epoch || p.seq > t.seq {
		return 0
	}
	return p.seq
}

// catchUp brings a reader that stopped at p to the stream's position: the gap, if one
// has to be made, goes out at once, and d takes the frame to begin with, if there is one,
// and the number that it leads to. now is the stream's state; of a plain stream it is made
// here, if the history will not do.
func (h *hub) catchUp(c *conn, d *delivery, st *stream, p resumePoint, now opening) {
	t := st.t
	form := c.format.plain()
	plain := st.opt == options{}
	held := p.epoch == t.epoch && p.seq <= t.seq && t.history.covers(p.seq)
	if plain && held && (t.seq-p.seq)*replaySize[form] > uint64(max(0, h.replayLeft)) {
		held = false // as much as one request may cost
	}
	if plain && !held {
		now = h.opening(st, form)
	}
	d.from = p.seq
	switch {
	case p.epoch != t.epoch || p.seq > t.seq:
		h.stats.resumed[resumeUnknown].Add(1)
		h.tellGap(c, st, min(1, t.seq), t.seq, md.UnknownMissing)
		d.from = t.seq
	case held && plain:
		now.frame = h.replay(st, form, p.seq)
	case held:
		now = h.replayState(c, st, p.seq, now)
	case p.seq < t.seq:
		h.stats.resumed[resumeGap].Add(1)
		h.tellGap(c, st, p.seq+1, t.seq, missing(p.seq+1, t.seq))
		d.from = t.seq
	default:
		if now.frame != nil && t.gap.Kind == 0 {
			now.frame = withPrev(now.frame, form, p.seq)
		}
		h.stats.resumed[resumeNothing].Add(1)
	}
	if now.frame != nil {
		d.from = max(d.from, now.frame.seq)
	}
	d.frame, d.owed = now.frame, now.owed
	// Of a book that is broken or being built there is nothing to send yet.
	d.rebase = st.state && !d.owed && d.from < st.last
}

// replay is what the history holds after s as one frame of several messages.
func (h *hub) replay(st *stream, f format, s uint64) *frame {
	key := replayKey{stream: st.id, format: f, from: s}
	if made := h.replays[key]; made != nil {
		h.stats.resumed[resumeHistory].Add(1)
		h.replayLeft -= len(made.data)
		return made
	}
	out := &frame{prev: s, seq: s}
	st.t.history.since(s, func(prev uint64, ev []md.Record) {
		if out.data == nil {
			out.data = make([]byte, 0, (st.t.seq-s+1)*(replaySize[f]+8))
		}
		if !holdsState(st.channel) && ev[0].Kind != md.KindGap {
			// One event may be several messages, of which the reader has some.
			for len(ev) > 1 && ev[0].Seq <= s {
				ev, prev = ev[1:], ev[0].Seq
			}
		}
		h.appendMessage(out, st, f, prev, ev)
	})
	if out.data == nil {
		h.stats.resumed[resumeNothing].Add(1)
		return nil
	}
	h.stats.resumed[resumeHistory].Add(1)
	h.stats.replayed.Add(uint64(len(out.data)))
	h.replays[key] = out
	h.replayLeft -= len(out.data)
	h.turnLeft -= len(out.data)
	return out
}

// appendMessage appends an event to a frame of several messages.
func (h *hub) appendMessage(out *frame, st *stream, f format, prev uint64, ev []md.Record) {
	out.seq = ev[len(ev)-1].Seq
	if ev[0].Kind == md.KindGap {
		out.hidden = addMissing(out.hidden, hiddenIn(&ev[0]))
	}
	if f == formatJSON {
		out.data = h.appendJSONFrames(out.data, st.topic, prev, ev)
		return
	}
	out.data = appendHeader(out.data, ws.OpBinary, len(ev)*md.RecordSize)
	out.data = append(out.data, md.AsBytes(ev)...)
}

// replayState serves a reader of a window or of conflated messages, of which there is
// no history: the gaps it missed, then the newest state as for a slow client, which is now.
func (h *hub) replayState(c *conn, st *stream, s uint64, now opening) opening {
	out := &frame{prev: s, seq: s}
	stale := s < st.last
	st.t.history.since(s, func(_ uint64, ev []md.Record) {
		if ev[0].Kind == md.KindGap {
			h.appendMessage(out, st, c.format.plain(), out.seq, ev)
		}
		stale = stale || ev[0].Kind == md.KindGap || ev[0].Flags&md.FlagSnapshot != 0
	})
	if !stale {
		h.stats.resumed[resumeNothing].Add(1)
		return opening{}
	}
	h.stats.resumed[resumeState].Add(1)
	state := now.frame
	if out.data != nil {
		now.frame = out
	}
	switch {
	case state == nil: // it follows when there is one
	case st.t.gap.Kind != 0:
		if out.data == nil {
			now.frame = nil
		}
	case out.data == nil:
		now.frame = withPrev(state, c.format, s)
	default:
		state = withPrev(state, c.format, out.seq)
		out.data = append(out.data, state.data...)
		out.seq = state.seq
	}
	return now
}

// tellGap sends one connection a gap of the numbers first … last.
func (h *hub) tellGap(c *conn, st *stream, first, last uint64, count uint32) {
	h.one[0] = md.Record{Kind: md.KindGap, Flags: md.FlagFirst | md.FlagLast, Venue: st.venue,
		Instrument: st.instrument, Seq: last, TsRecv: h.wall(), ID: first, Side: uint8(st.channel),
		Level: uint8(md.GapDisconnect), Count: count}
	prev := max(first, 1) - 1
	var f *frame
	if c.format.plain() == formatJSON {
		f = h.encodeJSON(st, prev, h.one[:])
	} else {
		f = h.encodeBinary(prev, h.one[:])
	}
	h.send(c, delivery{op: deliverAnswer, frame: f})
}

// resumeLater tells a reader what it has missed of a topic that it resumed before the
// topic appeared.
func (h *hub) resumeLater(c *conn, k *client, t *topic) {
	p, ok := k.points[t.name]
	if !ok {
		return
	}
	delete(k.points, t.name)
	st := k.streams.get(t)
	switch {
	case p.epoch != t.epoch || p.seq > t.seq:
		h.stats.resumed[resumeUnknown].Add(1)
		h.tellGap(c, st, min(1, t.seq), t.seq, md.UnknownMissing)
	case p.seq < t.seq:
		h.stats.resumed[resumeGap].Add(1)
		h.tellGap(c, st, p.seq+1, t.seq, missing(p.seq+1, t.seq))
	default:
		h.stats.resumed[resumeNothing].Add(1)
	}
}
