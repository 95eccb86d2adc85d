package record

import (
	"slices"

	"tickrelay/ring/md"
)

// topic is one topic of the source.
type topic struct {
	p       *partition
	name    string
	in      md.Instrument
	session int // of the source in which in was looked up
	known   *journal
	told    bool // epoch and seq say something
	stale   bool // they are those of a recorder before this one
	epoch   int64
	seq     uint64 // last number recorded, or lost with a gap to tell it
	partial []md.Record
	losses  []loss

	state    *state // nil without key frames
	frameDue bool
}

// loss is an interval of numbers that could not be recorded and of which no gap record
// tells yet.
type loss struct {
	epoch    int64
	from, to uint64
	unknown  bool
}

const (
	maxPartial = 1 << 20 // records of one event
	maxLosses  = 4       // intervals per topic, one per epoch
)

// take sorts records to their topics.
func (r *Recorder) take(recs []md.Record) {
	for i := range recs {
		rec := &recs[i]
		switch {
		case rec.Kind == md.KindHeartbeat && rec.Channel() == md.ChannelAll:
			r.epochs[rec.Venue] = int64(rec.ID)
			continue
		case rec.Kind == md.KindInstrument:
			r.refresh(rec.Instrument)
			continue
		}
		t := r.topicOf(rec)
		if t == nil {
			continue
		}
		if rec.Flags&md.FlagFirst != 0 {
			t.partial = t.partial[:0] // its end never came: the next number tells
		}
		single := rec.Kind == md.KindGap || rec.Kind.Control() || rec.Kind == md.KindBook && rec.Flags&md.FlagSnapshot != 0
		if single || len(t.partial) == 0 && rec.Flags&md.FlagLast != 0 {
			r.commit(t, recs[i:i+1])
			continue
		}
		t.partial = append(t.partial, *rec)
		if rec.Flags&md.FlagLast != 0 || len(t.partial) == maxPartial {
			r.commit(t, t.partial)
			t.partial = t.partial[:0]
		}
	}
}

// topicOf finds or makes the topic of a record; nil if it is not wanted, or if nobody
// can say which it is.
func (r *Recorder) topicOf(rec *md.Record) *topic {
	ch := rec.Channel()
	if int(rec.Instrument) < len(r.byID) {
		if t := r.byID[rec.Instrument][ch]; t != nil {
			if t == unwanted {
				return nil
			}
			return t
		}
	}
	table := r.src.Table()
	if table == nil || ch == md.ChannelAll {
		r.stats.Unknown.Add(1)
		return nil
	}
	in, ok := table.Get(rec.Instrument)
	if !ok || in.Venue != rec.Venue {
		r.stats.Unknown.Add(1)
		return nil
	}
	for int(rec.Instrument) >= len(r.byID) {
		r.byID = append(r.byID, [md.NumChannels]*topic{})
	}
	name := md.Topic{Venue: in.Venue, Channel: ch, Symbol: in.Symbol}
	if !slices.ContainsFunc(r.pats, func(p md.Pattern) bool { return p.MatchTopic(name) }) {
		r.byID[rec.Instrument][ch] = unwanted
		return nil
	}
	t := r.topics[name]
	if t == nil {
		t = &topic{p: r.partition(stream{in.Venue, ch}), name: name.String()}
		if !r.cfg.NoKeyFrames {
			t.state = newState(ch)
		}
		if mark, ok := t.p.last[in.Symbol]; ok {
			t.told, t.stale, t.epoch, t.seq = true, true, mark.Epoch, mark.Seq
		}
		t.p.topics = append(t.p.topics, t)
		r.topics[name] = t
	}
	if t.in = in; t.session != r.session {
		t.session, t.partial = r.session, t.partial[:0]
	}
	t.known = nil
	r.byID[rec.Instrument][ch] = t
	return t
}

// refresh looks an instrument's entry up again: it has changed.
func (r *Recorder) refresh(id uint32) {
	table := r.src.Table()
	if int(id) >= len(r.byID) || table == nil {
		return
	}
	in, ok := table.Get(id)
	if !ok {
		return
	}
	for _, t := range r.byID[id] {
		if t != nil && t != unwanted {
			t.in, t.known = in, nil
		}
	}
}

// commit takes one event, or one record of a snapshot: judges its numbers, records it
// and keeps the topic's state.
func (r *Recorder) commit(t *topic, ev []md.Record) {
	first, last := &ev[0], &ev[len(ev)-1]
	switch {
	case first.Kind == md.KindHeartbeat:
		r.begin(t, first)
	case first.Flags&md.FlagSnapshot != 0:
		if t.told && last.Seq > t.seq {
			r.missing(t, t.seq+1, last.Seq, md.GapSequence)
			t.seq = last.Seq
		}
	case first.Kind == md.KindGap:
		if t.told && first.ID > t.seq+1 {
			r.missing(t, t.seq+1, first.ID-1, md.GapSequence)
			t.seq = first.ID - 1
		}
		if t.told && first.Seq <= t.seq {
			r.stats.Duplicates.Add(1)
			return
		}
	default:
		if t.told {
			for len(ev) > 0 && ev[0].Seq <= t.seq {
				r.stats.Duplicates.Add(1)
				ev = ev[1:]
			}
			if len(ev) == 0 {
				return
			}
			if ev[0].Seq > t.seq+1 {
				r.missing(t, t.seq+1, ev[0].Seq-1, md.GapSequence)
				t.seq = ev[0].Seq - 1
			}
		}
	}
	if !t.told {
		t.told, t.epoch = true, r.epochs[last.Venue]
	}
	r.keep(t, ev) // a key frame before it has the number before it
	t.seq = max(t.seq, last.Seq)
}

// begin takes a topic's heartbeat: a session of the ring, or an epoch, begins. What was
// published since the last number recorded is not coming.
func (r *Recorder) begin(t *topic, hb *md.Record) {
	epoch := int64(hb.ID)
	switch {
	case !t.told:
	case epoch == t.epoch:
		if hb.Seq > t.seq {
			r.missing(t, t.seq+1, hb.Seq, md.GapDisconnect)
		}
	case t.stale:
		// The relay ended while no recorder was there to be told.
		r.gap(t, loss{t.epoch, t.seq + 1, t.seq + 1, true}, md.GapDisconnect)
	}
	t.told, t.stale, t.epoch, t.seq = true, false, epoch, hb.Seq
	t.partial = t.partial[:0]
}

// missing records that numbers did not reach the recorder.
func (r *Recorder) missing(t *topic, from, to uint64, reason md.GapReason) {
	r.gap(t, loss{t.epoch, from, to, false}, reason)
}

func (r *Recorder) gap(t *topic, l loss, reason md.GapReason) {
	g := md.Record{Kind: md.KindGap, Flags: md.FlagFirst | md.FlagLast, Venue: t.in.Venue, Instrument: t.in.ID, Seq: l.to, ID: l.from,
		TsRecv: r.cfg.Now(), Side: uint8(t.p.channel), Level: uint8(reason), Count: md.UnknownMissing}
	if n := l.to - l.from + 1; !l.unknown && n < md.UnknownMissing {
		g.Count = uint32(n)
	}
	was := t.epoch
	t.epoch = l.epoch
	if r.keep(t, []md.Record{g}) {
		r.stats.Gaps.Add(1)
	}
	t.epoch = was
}

// keep records an event, or notes its loss; the state is kept either way.
func (r *Recorder) keep(t *topic, ev []md.Record) bool {
	ok := len(t.losses) == 0 && !r.stats.Suspended.Load() && r.store(t, ev)
	if !ok {
		r.lose(t, ev)
	}
	if t.state != nil {
		t.state.apply(t.p.channel, ev)
	}
	return ok
}

// lose notes what is not recorded.
func (r *Recorder) lose(t *topic, ev []md.Record) {
	for i := range ev {
		rec := &ev[i]
		if rec.Kind.Control() || rec.Flags&md.FlagSnapshot != 0 {
			t.lost(loss{t.epoch, t.seq, t.seq, false}, false)
			continue
		}
		r.stats.Lost.Add(1)
		l := loss{epoch: t.epoch, from: rec.Seq, to: rec.Seq}
		if rec.Kind == md.KindGap {
			l.from, l.unknown = rec.ID, rec.Count == md.UnknownMissing
		}
		t.lost(l, true)
	}
}

// lost adds an interval; one of state alone (numbered false) makes the topic resume with
// a key frame and needs no gap.
func (t *topic) lost(l loss, numbered bool) {
	if !numbered {
		l.from = l.to + 1 // empty
	}
	if n := len(t.losses); n > 0 && (t.losses[n-1].epoch == l.epoch || n == maxLosses) {
		last := &t.losses[n-1]
		if last.from > last.to {
			last.from = l.from
		}
		last.to, last.unknown = max(last.to, l.to), last.unknown || l.unknown || last.epoch != l.epoch
		return
	}
	t.losses = append(t.losses, l)
}
