package relay

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strconv"
	"time"

	"github.com/gobwas/ws"

	"tickrelay/ring/md"
)

// options are what a subscription may ask for. As part of a stream they are
// normalised: depth is of books only, conflation of channels that hold state.
type options struct {
	depth    int           // levels per side, 0 for the whole book
	conflate time.Duration // least time between messages, 0 for every event
	policy   policy        // of the subscription; no stream's
}

func (o options) normal(c md.Channel) options {
	o.policy = policyConflate
	if c != md.ChannelBook {
		o.depth = 0
	}
	if !holdsState(c) || c == md.ChannelCandles1s || c == md.ChannelCandles1m { // candles have a pace of their own
		o.conflate = 0
	}
	return o
}

// streamInfo is what shards need to know of a stream; it never changes.
type streamInfo struct {
	id         uint32
	topic      string
	venue      md.Venue
	instrument uint32
	channel    md.Channel
	state      bool // holdsState(channel): conflates instead of gapping
}

// stream is one topic with one set of options: the sequence of messages that all
// its subscribers share.
type stream struct {
	streamInfo
	t    *topic
	opt  options
	last uint64 // seq of the last message, where prev of the next one comes from

	window  window      // with depth: what the subscribers hold
	shown   bool        // with depth: window is valid
	pending []md.Record // with conflation: events since the last message
	restart bool        // with conflation: the next message is a snapshot
	due     int64       // with conflation: when the next message may go, mono ns
	queued  bool        // is in hub.paced

	subs   [numFormats]int    // subscribers by format
	shards []int              // subscribers by shard
	mask   uint64             // shards that have any
	cache  [numFormats]*frame // snapshot at the present position
}

// idle reports whether nobody would see the stream's messages. The plain one is never
// idle: the history is made of it.
func (st *stream) idle() bool { return st.subscribers() == 0 && st.opt != options{} }

// subscribers of all formats.
func (st *stream) subscribers() (n int) {
	for _, k := range st.subs {
		n += k
	}
	return n
}

// add counts a subscriber, or with n = -1 takes one off.
func (st *stream) add(n int, f format, shard int) {
	st.subs[f] += n
	st.shards[shard] += n
	st.mask &^= 1 << shard
	if st.shards[shard] > 0 {
		st.mask |= 1 << shard
	}
}

// event passes a live event that the topic has applied on to the stream.
func (h *hub) event(st *stream, ev []md.Record) {
	st.cache = [numFormats]*frame{}
	switch {
	case st.idle():
		st.last = st.t.seq
		st.shown, st.pending = false, st.pending[:0]
	case st.t.book != nil && !st.t.complete():
		// Being built: the snapshot at its end tells all.
	case st.opt.conflate > 0:
		if st.opt.depth == 0 {
			st.pending = append(st.pending, ev...)
		}
		h.pace(st)
	case st.opt.depth > 0:
		h.emitWindow(st)
	default:
		h.emit(st, ev)
	}
}

// snapshot passes the topic's fresh state on to the stream.
func (h *hub) snapshot(st *stream) {
	st.cache = [numFormats]*frame{}
	st.pending = st.pending[:0]
	if st.idle() {
		st.last, st.shown = st.t.seq, false
		return
	}
	st.restart = true
	if st.opt.conflate > 0 {
		h.pace(st)
		return
	}
	h.emitSnapshot(st)
}

// gap passes a gap of the topic on to the stream.
func (h *hub) gap(st *stream, r *md.Record) {
	st.cache = [numFormats]*frame{}
	st.pending, st.shown, st.restart = st.pending[:0], false, true
	if st.idle() {
		st.last = st.t.seq
		return
	}
	h.one[0] = *r
	if g := &h.one[0]; st.last+1 < g.ID { // what a book took while it was being built, no snapshot will tell
		g.ID, g.Count = st.last+1, addMissing(g.Count, missing(st.last+1, g.ID-1))
	}
	h.emit(st, h.one[:])
}

func (h *hub) emitSnapshot(st *stream) {
	st.restart = false
	if st.opt.depth > 0 {
		st.window.set(&st.t.book.Book, st.opt.depth)
		st.shown = true
	}
	h.scratch = st.t.appendSnapshot(h.scratch[:0], st.opt.depth)
	if len(h.scratch) > 0 {
		h.emit(st, h.scratch)
	}
}

// emitWindow sends what changed inside the window, if anything did.
func (h *hub) emitWindow(st *stream) {
	if !st.shown || st.restart {
		h.emitSnapshot(st)
		return
	}
	h.scratch = st.window.diff(h.scratch[:0], st.t.book, st.opt.depth)
	if len(h.scratch) == 0 {
		return
	}
	st.t.stamp(h.scratch, md.FlagConflated)
	h.emit(st, h.scratch)
}

// pace sends a conflated stream's message when it is due, or plans it.
func (h *hub) pace(st *stream) {
	if h.now >= st.due {
		h.emitPaced(st)
		return
	}
	if !st.queued {
		st.queued = true
		h.paced = append(h.paced, st)
	}
}

func (h *hub) emitPaced(st *stream) {
	switch {
	case st.subscribers() == 0:
		// Whoever left before its turn has missed this, should it come back.
		st.last, st.shown, st.pending = st.t.seq, false, st.pending[:0]
		return
	case !st.t.complete():
		st.pending = st.pending[:0]
		return
	case st.restart:
		st.pending = st.pending[:0]
		h.emitSnapshot(st)
	case st.opt.depth > 0:
		h.emitWindow(st)
	case len(st.pending) > 0:
		recs := merge(st.pending)
		st.t.stamp(recs, md.FlagConflated)
		h.emit(st, recs)
		st.pending = st.pending[:0]
	}
	st.due = h.now + int64(st.opt.conflate)
}

// emit encodes one message, once per format that is wanted, and hands it to the
// shards that have subscribers.
func (h *hub) emit(st *stream, ev []md.Record) {
	seq := ev[len(ev)-1].Seq
	if st.opt == (options{}) {
		st.t.history.add(ev)
	}
	if st.mask == 0 {
		st.last = seq
		return
	}
	d := delivery{op: deliverEvent, stream: st.id, info: &st.streamInfo, from: st.receivedAt(ev)}
	for f := range formatJSONDeflate {
		packed := st.subs[f.deflated()] > 0
		if st.subs[f] == 0 && !packed {
			continue
		}
		d.frames[f] = h.encode(st, f, st.last, ev)
		if packed {
			d.frames[f.deflated()] = h.packer.pack(d.frames[f], &h.stats.deflate)
		}
	}
	st.last = seq
	h.stage(st, d)
}

// stage puts d into the batches of the shards that have subscribers.
func (h *hub) stage(st *stream, d delivery) {
	for m := st.mask; m != 0; m &= m - 1 {
		s := h.shards[bits.TrailingZeros64(m)]
		s.staged = append(s.staged, d)
	}
}

// encodeJSON makes the frame in the size that it needs.
func (h *hub) encodeJSON(st *stream, prev uint64, ev []md.Record) *frame {
	return &frame{prev: prev, seq: ev[len(ev)-1].Seq, data: h.appendJSONFrames(nil, st.topic, prev, ev)}
}

// appendJSONFrames appends an event. One of which JSON makes several messages (trades
// of one match) becomes as many WebSocket frames in a row.
func (h *hub) appendJSONFrames(dst []byte, topic string, prev uint64, ev []md.Record) []byte {
	for len(ev) > 0 {
		n := md.MessageLen(ev)
		h.text = md.AppendJSON(h.text[:headerRoom], topic, prev, ev[:n])
		made := putHeader(ws.OpText, h.text)
		if dst == nil {
			dst = bytes.Clone(made)
		} else {
			dst = append(dst, made...)
		}
		prev, ev = ev[n-1].Seq, ev[n:]
	}
	return dst
}

func (h *hub) encodeBinary(prev uint64, ev []md.Record) *frame {
	b := md.AsBytes(ev)
	buf := make([]byte, headerRoom+len(b))
	copy(buf[headerRoom:], b)
	f := newFrame(ws.OpBinary, buf)
	f.prev, f.seq = prev, ev[len(ev)-1].Seq
	return f
}

// current is the frame that brings one subscriber to the stream's position: a
// snapshot, the gap if the state is not known, or nil if there is nothing to say.
// It is made once per position, however many subscribers ask.
func (h *hub) current(st *stream, f format) *frame {
	if st.cache[f] != nil {
		return st.cache[f]
	}
	t := st.t
	var ev []md.Record
	prev := st.last
	switch {
	case t.gap.Kind == md.KindGap:
		// What went by since does not reach this reader either.
		gap := t.gap
		if gap.Count != md.UnknownMissing {
			gap.Count = uint32(min(uint64(gap.Count)+t.seq-gap.Seq, md.UnknownMissing-1))
		}
		gap.Seq = t.seq
		h.one[0] = gap
		ev, prev = h.one[:], max(gap.ID, 1)-1
	case !holdsState(t.channel) || !t.complete():
		return nil
	default:
		ev = h.position(st)
	}
	if len(ev) == 0 {
		return nil
	}
	made := h.encode(st, f.plain(), prev, ev)
	h.stateLeft -= len(made.data)
	if f.deflates() {
		h.stateLeft -= deflateCost * len(made.data)
		made = h.packer.pack(made, &h.stats.deflate)
	}
	st.cache[f] = made
	return made
}

// encode makes the frame of one message in one format.
func (h *hub) encode(st *stream, f format, prev uint64, ev []md.Record) *frame {
	h.stats.encoded[f].Add(1)
	var made *frame
	if f == formatJSON {
		made = h.encodeJSON(st, prev, ev)
	} else {
		made = h.encodeBinary(prev, ev)
	}
	made.delta = ev[0].Kind != md.KindGap && ev[0].Flags&md.FlagSnapshot == 0
	if ev[0].Kind == md.KindGap {
		made.hidden = hiddenIn(&ev[0])
	}
	return made
}

// position is the stream's state as its other subscribers hold it. A stream that
// waits for its turn is first brought up to date, for all of them.
func (h *hub) position(st *stream) []md.Record {
	if st.opt.conflate > 0 && (len(st.pending) > 0 || st.queued || st.restart) {
		h.emitPaced(st)
	}
	if st.opt.depth > 0 && !st.shown {
		st.window.set(&st.t.book.Book, st.opt.depth)
		st.shown = true
	}
	st.restart = false
	h.scratch = st.t.appendSnapshot(h.scratch[:0], st.opt.depth)
	return h.scratch
}

// withPrev is a snapshot for one subscriber who was conflated: prev becomes the seq
// of the last message that it was sent.
func withPrev(f *frame, fm format, prev uint64) *frame {
	if f.plain != nil {
		f = f.plain // what is for one reader alone is not compressed
	}
	if fm.plain() == formatBinary {
		return conflatedBinary(f, prev)
	}
	if f.prev == prev {
		return f
	}
	size, length := frameSize(f.data)
	payload, rest := f.data[size:size+length], f.data[size+length:]
	mark := []byte(`,"prev":`)
	at := bytes.Index(payload, mark)
	if at < 0 {
		return f
	}
	head := payload[:at+len(mark)]
	tail := payload[len(head):]
	for len(tail) > 0 && tail[0] >= '0' && tail[0] <= '9' {
		tail = tail[1:]
	}
	buf := make([]byte, headerRoom, headerRoom+len(f.data)+20)
	buf = append(buf, head...)
	buf = strconv.AppendUint(buf, prev, 10)
	buf = append(buf, tail...)
	out := newFrame(ws.OpText, buf)
	out.data = append(out.data, rest...)
	out.prev, out.seq, out.delta, out.hidden = prev, f.seq, f.delta, f.hidden
	return out
}

// conflatedBinary sets FlagConflated on the first record.
func conflatedBinary(f *frame, prev uint64) *frame {
	data := bytes.Clone(f.data)
	size, _ := frameSize(data)
	data[size+1] |= byte(md.FlagConflated)
	return &frame{data: data, prev: prev, seq: f.seq, delta: f.delta, hidden: f.hidden}
}

// frameSize is the size of the header of one of our own frames and the length of its
// payload.
func frameSize(b []byte) (size, length int) {
	switch b[1] {
	case 126:
		return 4, int(binary.BigEndian.Uint16(b[2:]))
	case 127:
		return 10, int(binary.BigEndian.Uint64(b[2:]))
	}
	return 2, int(b[1])
}
