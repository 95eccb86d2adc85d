package bus

import (
	"time"

	"tickrelay/ring"
	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// inTopic is a topic that comes over the bus.
type inTopic struct {
	v     *inVenue
	topic md.Topic
	short string
	id    ring.TopicID
	begun bool // in the present epoch

	seen  uint64      // number of the last record taken or given up
	event []md.Record // the beginning of an event of which the rest is to come
	book  *book.Reader
	parts uint32 // parts of a key-frame that were taken, 0: none is under way
	frame uint64 // its number
	held  []md.Record

	need  bool // a key-frame
	askAt time.Time
}

// topicOf finds a topic, or begins it at number seq; nil if the table is full.
func (v *inVenue) topicOf(topic md.Topic, seq uint64) *inTopic {
	t := v.topics[topic]
	if t == nil {
		id, err := v.s.cfg.Table.Add(md.Instrument{Venue: topic.Venue, Symbol: topic.Symbol})
		if err != nil {
			v.reject(topic.String(), err)
			return nil
		}
		t = &inTopic{v: v, topic: topic, short: topic.Channel.String() + "." + topic.Symbol}
		var src ring.BookSource
		if topic.Channel == md.ChannelBook {
			t.book = &book.Reader{}
			src = &t.book.Book
		}
		t.id = v.pub.AddTopic(id, topic.Channel, src)
		v.topics[topic] = t
		v.stats.Topics.Store(int64(len(v.topics)))
	}
	if !t.begun {
		t.begun, t.seen = true, seq
		v.pub.Begin(t.id, seq)
		v.pub.Turn(time.Now().UnixNano()) // readers are told before its first record
		if t.stateful() {
			t.want(time.Time{})
		}
	}
	return t
}

func (t *inTopic) stateful() bool { return t.book != nil || holdsState(t.topic.Channel) }

// want notes that the topic needs a key-frame, to be asked for at the given
// time.
func (t *inTopic) want(at time.Time) {
	if !t.need {
		t.need = true
		t.v.needs++
	}
	t.askAt = at
}

func (t *inTopic) got() {
	if t.need {
		t.need = false
		t.v.needs--
	}
}

// restart forgets all: another epoch has begun.
func (t *inTopic) restart(now time.Time) {
	t.got()
	t.begun, t.seen, t.event, t.parts = false, 0, t.event[:0], 0
	if t.book != nil {
		t.book.Book.Clear()
		*t.book = book.Reader{Book: t.book.Book}
	}
}

// stale tells that the topic's origin is not heard.
func (t *inTopic) stale(now time.Time) {
	if !t.begun {
		return
	}
	t.drop()
	t.v.stats.Gaps.Add(1)
	t.v.pub.Stale(t.id, md.GapDisconnect, now.UnixNano())
	if t.stateful() {
		t.want(time.Time{})
	}
}

// drop gives up the event and the key-frame that are under way. The numbers of
// the event count as lost.
func (t *inTopic) drop() {
	t.parts = 0
	if len(t.event) > 0 {
		t.event = t.event[:0]
		t.seen = t.v.pub.TopicSeq(t.id)
	}
}

// lose makes a gap of the numbers after the last one published, up to seq.
func (t *inTopic) lose(seq uint64, reason md.GapReason) {
	t.drop()
	missing := seq - t.v.pub.TopicSeq(t.id)
	t.v.stats.Lost.Add(missing)
	t.v.stats.Gaps.Add(1)
	t.v.pub.Skip(t.id, seq, reason, uint32(min(missing, md.UnknownMissing-1)), time.Now().UnixNano())
	t.seen = seq
	if t.stateful() {
		t.want(time.Time{})
	}
}

// records takes a message of a topic.
func (v *inVenue) records(topic md.Topic, b *batch) {
	if !v.hear(b.epoch) {
		return
	}
	v.stats.Messages.Add(1)
	if v.s.filling {
		v.stats.History.Add(uint64(len(b.recs)))
	} else {
		v.stats.LatencySum.Add(time.Now().UnixNano() - b.sent)
	}
	t := v.topicOf(topic, b.prev)
	if t == nil {
		return
	}
	for i := range b.recs {
		r := &b.recs[i]
		switch {
		case r.Flags&md.FlagSnapshot != 0: // no business in here
		case r.Seq <= t.seen:
			v.stats.Duplicates.Add(1)
		case r.Kind == md.KindGap:
			t.gap(r)
		default:
			if r.Seq != t.seen+1 {
				t.lose(r.Seq-1, v.reason)
			}
			t.record(r)
		}
	}
	v.pub.Flush()
}

// record takes a numbered record that goes on where the topic stands.
func (t *inTopic) record(r *md.Record) {
	t.seen = r.Seq
	t.v.stats.Records.Add(1)
	t.event = append(t.event, *r)
	if r.Flags&md.FlagLast == 0 && len(t.event) < maxEvent {
		return
	}
	if t.book != nil {
		if t.v.pub.Broken(t.id) {
			// Updates flow from a clear on; the key-frame completes the book.
			t.v.pub.Rebuilding(t.id, r.TsRecv)
		}
		for i := range t.event {
			t.book.Apply(&t.event[i])
		}
	}
	if !t.v.pub.Relay(t.id, t.event) {
		t.lose(r.Seq, t.v.reason)
		return
	}
	t.event = t.event[:0]
	if t.book != nil && t.book.State == book.Broken && !t.need {
		t.stale(time.Now()) // a level that cannot be held
	}
}

// maxEvent bounds the records of an event whose end does not come.
const maxEvent = 1 << 17

// gap takes a gap that happened at the origin.
func (t *inTopic) gap(r *md.Record) {
	t.drop()
	missing := r.Count
	if before := r.ID - 1; before > t.seen { // and some of ours
		n := before - t.seen
		t.v.stats.Lost.Add(n)
		t.v.stats.Gaps.Add(1)
		if missing != md.UnknownMissing {
			missing = uint32(min(uint64(missing)+n, md.UnknownMissing-1))
		}
	}
	t.v.pub.Skip(t.id, r.Seq, md.GapReason(r.Level), missing, r.TsRecv)
	t.seen = r.Seq
	if t.book != nil {
		t.book.Apply(r)
	}
	if t.stateful() {
		t.want(time.Now().Add(rebuildAsk))
	}
}

// keyFrame takes a part of a topic's state.
func (v *inVenue) keyFrame(topic md.Topic, b *batch) {
	if !v.hear(b.epoch) {
		return
	}
	t := v.topicOf(topic, b.prev)
	if t == nil || b.prev < t.seen { // of the past: history
		return
	}
	if !t.need && b.prev == t.seen && !v.pub.Broken(t.id) {
		return // nothing is missing
	}
	switch {
	case b.first && b.part == 0:
		t.held, t.frame = t.held[:0], b.prev
	case b.part < t.parts && b.prev == t.frame:
		return // twice, by patterns that overlap
	case t.parts == 0 || b.part != t.parts || b.prev != t.frame:
		t.parts = 0 // a part is missing: it will be asked for again
		return
	}
	t.held = append(t.held, b.recs...)
	t.parts = b.part + 1
	if b.last {
		t.parts = 0
		t.state(t.held, b.prev)
		v.pub.Flush()
	}
}

// state makes a complete key-frame at number seq the topic's state.
func (t *inTopic) state(recs []md.Record, seq uint64) {
	pub := t.v.pub
	if seq > t.seen || len(t.event) > 0 {
		t.lose(seq, t.v.reason)
	}
	t.got()
	switch {
	case len(recs) == 0: // the number is all there is
	case recs[0].Kind == md.KindGap: // unknown at the origin too
		if !pub.Broken(t.id) {
			pub.Stale(t.id, md.GapReason(recs[0].Level), recs[0].TsRecv)
		}
	case t.book != nil:
		for i := range recs {
			t.book.Apply(&recs[i])
		}
		if t.book.State != book.Live {
			t.want(time.Now().Add(askEvery))
			return
		}
		pub.Rebuilt(t.id, recs[0].TsRecv)
		t.v.stats.Resyncs.Add(1)
	default:
		pub.State(t.id, recs)
		t.v.stats.Resyncs.Add(1)
	}
}
