package relay

import (
	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// consume works through records in the order of the ring and returns how many it
// used; the rest is the beginning of an event that is not complete.
func (h *hub) consume(recs []md.Record) int {
	for i := 0; i < len(recs); {
		r := &recs[i]
		switch {
		case r.Kind == md.KindHeartbeat:
			h.heartbeat(r)
			i++
		case r.Kind == md.KindInstrument:
			h.instrumentChanged(r)
			i++
		case r.Kind == md.KindGap:
			h.gapRecord(r)
			i++
		case r.Kind == md.KindBook && r.Flags&md.FlagSnapshot != 0:
			h.bookSnapshot(r)
			i++
		default:
			n := eventLength(recs[i:])
			if n == 0 {
				return i
			}
			h.eventRecords(recs[i : i+n])
			i += n
		}
	}
	return len(recs)
}

// eventLength is the number of records up to the one with FlagLast, 0 if it has not
// come yet. A record of another topic ends an event too: a producer's mistake must
// not make the hub collect for ever.
func eventLength(recs []md.Record) int {
	for i := range recs {
		if recs[i].Flags&md.FlagLast != 0 {
			return i + 1
		}
		if i > 0 && (recs[i].Instrument != recs[0].Instrument || recs[i].Kind != recs[0].Kind) {
			return i
		}
	}
	return 0
}

// heartbeat tells a venue's epoch, or a topic's number.
func (h *hub) heartbeat(r *md.Record) {
	c := r.Channel()
	if c == md.ChannelAll {
		h.epochs[r.Venue] = int64(r.ID)
		return
	}
	t := h.topicOf(r.Instrument, c)
	if t == nil {
		return
	}
	epoch := int64(r.ID)
	if t.live && t.epoch == epoch {
		if t.down {
			h.topicUp(t, r.Seq)
		} else if r.Seq > t.seq {
			h.stats.jumps.Add(1)
		}
		return
	}
	if t.live && !t.down && (t.lostAt != t.seq || t.seq == 0) {
		h.topicDown(t) // the ring goes on in another epoch and had no room to say what ended
	}
	t.begin(epoch, r.Seq)
	h.announce(t)
}

// begin starts a topic afresh at an epoch's number.
func (t *topic) begin(epoch int64, seq uint64) {
	for _, s := range t.candles {
		if s != nil {
			s.suspect = true // what came between the two is not known
		}
	}
	if t.live && t.epoch != epoch {
		t.last, t.gap = t.last[:0], md.Record{}
		if t.book != nil {
			*t.book = book.Reader{}
		}
	}
	if t.turned = t.live && t.epoch != epoch; t.turned {
		t.ended = t.seq
	}
	if !t.live || t.epoch != epoch {
		t.history.reset(seq)
	}
	t.live, t.down, t.epoch, t.seq = true, false, epoch, seq
	for _, st := range t.streams {
		st.last, st.shown, st.restart = seq, false, true
		st.pending, st.cache = st.pending[:0], [numFormats]*frame{}
	}
}

// eventRecords passes one event on, live or a repeated last value.
func (h *hub) eventRecords(ev []md.Record) {
	t := h.topicOf(ev[0].Instrument, ev[0].Channel())
	if t == nil {
		return
	}
	h.stats.events.Add(1)
	seq := ev[len(ev)-1].Seq
	if !t.live {
		t.begin(h.epochs[t.venue], ev[0].Seq-1)
		h.announce(t)
	}
	if ev[0].Flags&md.FlagSnapshot != 0 {
		t.seq = max(t.seq, seq)
		t.apply(ev)
		for _, st := range t.streams {
			h.snapshot(st)
		}
		return
	}
	if seq <= t.seq {
		h.stats.duplicates.Add(1)
		return
	}
	if ev[0].Seq != t.seq+1 {
		h.jump(t, &ev[0])
	}
	t.seq = seq
	t.apply(ev)
	for _, st := range t.streams {
		h.event(st, ev)
	}
	if t.channel == md.ChannelTrades && !h.past {
		h.candleTrades(t, ev)
	}
}

// jump makes a gap of numbers that are missing without one: a producer's mistake,
// which must not pass for a complete stream.
func (h *hub) jump(t *topic, next *md.Record) {
	h.stats.jumps.Add(1)
	gap := md.Record{Kind: md.KindGap, Flags: md.FlagFirst | md.FlagLast, Venue: t.venue, Instrument: t.instrument,
		Seq: next.Seq - 1, TsRecv: next.TsRecv, ID: t.seq + 1, Side: uint8(t.channel),
		Level: uint8(md.GapSequence), Count: missing(t.seq+1, next.Seq-1)}
	t.lost(&gap)
	for _, st := range t.streams {
		h.gap(st, &gap)
	}
	h.candleGap(t)
}

// bookSnapshot takes one record of a chunked snapshot; at its end every stream gets
// the book as one message.
func (h *hub) bookSnapshot(r *md.Record) {
	t := h.topicOf(r.Instrument, md.ChannelBook)
	if t == nil {
		return
	}
	if !t.live {
		t.begin(h.epochs[t.venue], r.Seq)
		h.announce(t)
	}
	was := t.book.State
	t.seq = max(t.seq, r.Seq)
	t.book.Apply(r)
	if was == book.Live && t.book.State != book.Live {
		for _, st := range t.streams {
			st.cache, st.shown = [numFormats]*frame{}, false
		}
	}
	if t.book.State != book.Live || r.Side != md.SideEnd {
		return
	}
	t.gap = md.Record{}
	for _, st := range t.streams {
		h.snapshot(st)
	}
}

func (h *hub) gapRecord(r *md.Record) {
	t := h.topicOf(r.Instrument, r.Channel())
	if t == nil {
		return
	}
	h.stats.gaps.Add(1)
	if !t.live {
		t.begin(h.epochs[t.venue], r.ID-1)
		h.announce(t)
	}
	t.lost(r)
	for _, st := range t.streams {
		h.gap(st, r)
	}
	h.candleGap(t)
}

// topicOf finds or makes the topic of a record; nil if the instrument table does
// not have it.
func (h *hub) topicOf(instrument uint32, c md.Channel) *topic {
	if int(instrument) < len(h.byKey) {
		if row := h.byKey[instrument]; row != nil && row[c] != nil {
			row[c].source = h.source
			return row[c]
		}
	}
	in, ok := h.table.Get(instrument)
	if !ok || c == md.ChannelAll {
		h.stats.unknown.Add(1)
		return nil
	}
	for int(instrument) >= len(h.byKey) {
		h.byKey = append(h.byKey, nil)
	}
	if h.byKey[instrument] == nil {
		h.byKey[instrument] = make([]*topic, md.NumChannels)
	}
	t := newTopic(in, c)
	t.source = h.source
	t.history = history{half: h.limits.HistoryRecords / 2, spare: &h.historySpare,
		bytes: &h.stats.history}
	h.byKey[instrument][c] = t
	h.byName[t.name] = t
	h.topics = append(h.topics, t)
	h.stats.topics.Store(int64(len(h.topics)))
	h.streamOf(t, options{})
	return t
}

// streamOf finds or makes the stream of a topic with opt; nil if the topic has too
// many already.
func (h *hub) streamOf(t *topic, opt options) *stream {
	opt = opt.normal(t.channel)
	var idle *stream
	for i, st := range t.streams {
		if st.opt == opt {
			return st
		}
		if i > 0 && st.subscribers() == 0 && !st.queued {
			idle = st
		}
	}
	if idle == nil && len(t.streams) > h.limits.MaxWindows {
		return nil
	}
	st := &stream{t: t, opt: opt, last: t.seq, shards: make([]int, len(h.shards)), restart: true}
	st.streamInfo = streamInfo{topic: t.name, venue: t.venue, instrument: t.instrument,
		channel: t.channel, state: holdsState(t.channel)}
	if idle == nil {
		st.id = uint32(len(h.streams))
		h.streams = append(h.streams, st)
		t.streams = append(t.streams, st)
		return st
	}
	// The place of a stream that nobody reads is taken over.
	st.id = idle.id
	h.streams[st.id] = st
	for i := range t.streams {
		if t.streams[i] == idle {
			t.streams[i] = st
		}
	}
	return st
}

// instrumentChanged tells binary subscribers of the instrument its new entry,
// before the next record that uses it.
func (h *hub) instrumentChanged(r *md.Record) {
	in, ok := h.table.Get(r.Instrument)
	if !ok || int(r.Instrument) >= len(h.byKey) || h.byKey[r.Instrument] == nil {
		return
	}
	var f *frame
	for _, t := range h.byKey[r.Instrument] {
		if t == nil {
			continue
		}
		for _, st := range t.streams {
			if st.subs[formatBinary]+st.subs[formatBinaryDeflate] == 0 {
				continue
			}
			if f == nil {
				f = instrumentsFrame([]md.Instrument{in})
			}
			h.stage(st, delivery{op: deliverEvent, stream: st.id, frames: [numFormats]*frame{formatBinary: f, formatBinaryDeflate: f}})
		}
	}
}
