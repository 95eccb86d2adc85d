package bus

import (
	"time"

	"tickrelay/ring"
	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// outTopic is what a Publisher knows of a topic: number, state, and the records
// that wait to be sent.
type outTopic struct {
	topic   md.Topic
	short   string // "<channel>.<symbol>"
	subject string
	wanted  bool
	source  *ring.Consumer // whose records came last

	seq    uint64
	moved  time.Time // when seq last changed
	gap    md.Record // the last gap while the state is not known; Kind 0 once it is
	open   bool      // an event has begun whose last record is still to come
	late   bool      // that event was begun before we led: the rest of it is not sent
	book   *book.Reader
	values [md.NumStats]md.Record // of channels that hold a state
	valid  uint16

	recs []md.Record // the batch; recs[0] is its heartbeat
	prev uint64      // number before the batch
}

// stateful reports whether the topic has something to show in a key-frame.
func (t *outTopic) stateful() bool { return t.book != nil || holdsState(t.topic.Channel) }

// holdsState reports whether a channel's newest value replaces older ones.
func holdsState(c md.Channel) bool {
	switch c {
	case md.ChannelBBO, md.ChannelTicker, md.ChannelFunding, md.ChannelOpenInterest, md.ChannelStatus:
		return true
	}
	return false
}

// slotOf gives the place of a record among a topic's values.
func slotOf(r *md.Record) int {
	switch r.Kind {
	case md.KindBBO:
		return int(r.Side-1) & 1
	case md.KindTicker, md.KindFunding:
		return int(r.Level) & (md.NumStats - 1)
	}
	return 0
}

// topicOf finds or makes the topic of a record, nil if it is not published.
func (p *Publisher) topicOf(instrument uint32, c md.Channel) *outTopic {
	if int(instrument) < len(p.byKey) {
		if row := p.byKey[instrument]; row != nil && row[c] != nil {
			if t := row[c]; t.wanted {
				return t
			}
			return nil
		}
	}
	in, ok := p.cfg.Table.Get(instrument)
	if !ok || c == md.ChannelAll {
		return nil
	}
	if in.Venue != p.cfg.Venue {
		if p.stats.Foreign.Add(1) == 1 {
			p.log.Error("a ring of this venue brings another one's records, which are not published",
				"other", in.Venue.String(), "instrument", in.Symbol)
		}
		return nil
	}
	topic := md.Topic{Venue: p.cfg.Venue, Channel: c, Symbol: in.Symbol}
	t := &outTopic{topic: topic, short: c.String() + "." + in.Symbol, subject: p.sub.topic(topic), wanted: p.wants(topic)}
	for int(instrument) >= len(p.byKey) {
		p.byKey = append(p.byKey, nil)
	}
	fresh := p.byKey[instrument] == nil
	if fresh {
		p.byKey[instrument] = make([]*outTopic, md.NumChannels)
	}
	p.byKey[instrument][c] = t
	if !t.wanted {
		return nil
	}
	if c == md.ChannelBook {
		t.book = &book.Reader{}
	}
	p.topics = append(p.topics, t)
	p.byName[t.short] = t
	p.stats.Topics.Store(int64(len(p.topics)))
	if p.leading != 0 && fresh {
		p.tellInstruments(&instrument)
	}
	return t
}

func (p *Publisher) wants(t md.Topic) bool {
	for _, pat := range p.cfg.Topics {
		if pat.MatchTopic(t) {
			return true
		}
	}
	return len(p.cfg.Topics) == 0
}

// take takes one record of a ring.
func (p *Publisher) take(r *md.Record) {
	switch {
	case r.Kind == md.KindHeartbeat && r.Side == uint8(md.ChannelAll):
		return // the epoch of the feed; the bus has the lease's
	case r.Kind == md.KindInstrument:
		if p.leading != 0 && int(r.Instrument) < len(p.byKey) && p.byKey[r.Instrument] != nil {
			p.flush() // what came before has the exponents of before
			p.tellInstruments(&r.Instrument)
		}
		return
	}
	t := p.topicOf(r.Instrument, r.Channel())
	if t == nil {
		return
	}
	t.source = p.source
	switch {
	case r.Kind == md.KindHeartbeat:
		t.seq, t.open, t.late = r.Seq, false, false
	case r.Flags&md.FlagSnapshot != 0:
		p.snapshot(t, r)
	default:
		p.numbered(t, r)
	}
}

// snapshot takes a record without a number of its own into the state. When the
// state is complete, gateways get it: they may have lost what came before.
func (p *Publisher) snapshot(t *outTopic, r *md.Record) {
	done := false
	switch {
	case r.Kind == md.KindGap:
		t.lost(r)
	case t.book != nil:
		t.book.Apply(r)
		if done = r.Side == md.SideEnd && t.book.State == book.Live; done {
			t.gap = md.Record{}
		}
	default:
		done = r.Flags&md.FlagLast != 0
		t.keep(r)
	}
	if done && p.leading != 0 {
		p.frames.push(frame{t, toAll})
	}
}

// numbered takes a live record and stages it.
func (p *Publisher) numbered(t *outTopic, r *md.Record) {
	if r.Kind == md.KindGap || r.Flags&md.FlagFirst != 0 {
		t.late = false
	}
	t.open = r.Kind != md.KindGap && r.Flags&md.FlagLast == 0
	if p.leading != 0 && !t.late {
		if len(t.recs) == 0 {
			t.recs = append(t.recs, md.Record{})
		}
		if len(t.recs) == 1 {
			t.prev = r.Seq - 1
			if r.Kind == md.KindGap {
				t.prev = r.ID - 1
			}
			p.dirty = append(p.dirty, t)
		}
		t.recs = append(t.recs, *r)
	}
	t.seq = r.Seq
	switch {
	case r.Kind == md.KindGap:
		t.lost(r)
	case t.book != nil:
		t.book.Apply(r)
	default:
		t.keep(r)
	}
	if len(t.recs) == maxBatch {
		p.flushTopic(t)
	}
}

// lost takes a gap into the state.
func (t *outTopic) lost(r *md.Record) {
	t.gap, t.valid = *r, 0
	if t.book != nil {
		t.book.Apply(r)
	}
}

// keep replaces a value.
func (t *outTopic) keep(r *md.Record) {
	t.gap = md.Record{}
	if holdsState(t.topic.Channel) {
		slot := slotOf(r)
		t.values[slot] = *r
		t.valid |= 1 << slot
	}
}

func (t *outTopic) reset() { t.recs = t.recs[:0] }

// flush sends every topic's batch.
func (p *Publisher) flush() {
	for _, t := range p.dirty {
		p.flushTopic(t)
	}
	p.dirty = p.dirty[:0]
}

func (p *Publisher) flushTopic(t *outTopic) {
	if len(t.recs) < 2 {
		return
	}
	now := time.Now()
	t.moved = now
	t.recs[0] = header(t.topic, p.leading, t.prev, now.UnixNano())
	p.send(t.subject, md.AsBytes(t.recs), len(t.recs)-1)
	t.recs = t.recs[:1]
}
