package ring

import (
	"tickrelay/ring/md"
)

// topic is what a Publisher knows of a topic, whatever the rings.
type topic struct {
	instrument uint32
	channel    md.Channel
	instr      int32 // index in Publisher.instruments
	src        BookSource
	seq        uint64
	// Times of the last event, for snapshots.
	tsEvent, tsRecv int64
	built           bool      // the book was complete once
	broken          bool      // what is held may be wrong
	asleep          bool      // its number is not known: nothing is told; see Begin
	gap             md.Record // the last upstream gap
	// Last values by slot, of channels that have a state; valid has a bit for
	// each slot that holds a value.
	last  []md.Record
	valid uint16
	// recovering has a bit for each slot without a value since the last gap.
	recovering uint16
}

// AddTopic makes an instrument's channel a topic that can be published, or
// returns the one it is already. src is the live book, for channel book only.
// Control path: it allocates.
func (p *Publisher) AddTopic(instr uint32, ch md.Channel, src BookSource) TopicID {
	key := topicKey{instr, ch}
	if t, ok := p.byKey[key]; ok {
		p.topics[t].src = src
		p.takeUp(t)
		return t
	}
	i, ok := p.instrByID[instr]
	if !ok {
		i = int32(len(p.instruments))
		p.instruments = append(p.instruments, instrument{})
		p.instrByID[instr] = i
		for _, r := range p.rings {
			r.owedInstr = append(r.owedInstr, false)
		}
	}
	t := TopicID(len(p.topics))
	tp := topic{instrument: instr, channel: ch, instr: i, src: src}
	if hasState(ch) {
		tp.last = make([]md.Record, maxSlots)
	}
	p.topics = append(p.topics, tp)
	p.byKey[key] = t
	p.instruments[i].topics = append(p.instruments[i].topics, t)
	for _, r := range p.rings {
		r.addTopic(t)
	}
	p.takeUp(t)
	return t
}

// addTopic tells a ring of a topic that is new to it.
func (r *Producer) addTopic(t TopicID) {
	tp := &r.pub.topics[t]
	r.topics = append(r.topics, ringTopic{})
	r.attention.grow(len(r.topics))
	r.snaps.grow(len(r.topics))
	if r.want != nil && !r.want(tp.instrument, tp.channel) {
		r.all = false
		return
	}
	st := &r.topics[t]
	st.mode = modeUnstarted
	st.counters = r.seg.claimEntry(tp.instrument, tp.channel)
	if r.gen != 0 {
		r.attention.push(t)
		r.oweChanged(tp.instr)
	}
}

// hasState reports whether a channel's last values are worth sending again.
func hasState(ch md.Channel) bool {
	switch ch {
	case md.ChannelBBO, md.ChannelTicker, md.ChannelFunding, md.ChannelOpenInterest, md.ChannelStatus:
		return true
	}
	return false
}

// slotOf gives the place among a topic's last values that a record replaces.
func slotOf(r *md.Record) int {
	switch r.Kind {
	case md.KindBBO:
		return int(r.Side-1) & 1
	case md.KindTicker, md.KindFunding:
		return int(r.Level) & (maxSlots - 1)
	}
	return 0
}

// Publish stages one venue event, all records of it, in order. The Publisher
// sets Venue, Instrument, Seq and the flags First, Last, Snapshot and
// Recovered; the caller all else. event is copied.
func (p *Publisher) Publish(t TopicID, event []md.Record) {
	if len(event) == 0 {
		return
	}
	if len(p.b.recs)+len(event) > maxStaged {
		p.Flush()
	}
	tp := &p.topics[t]
	from := len(p.b.recs)
	p.b.recs = append(p.b.recs, event...)
	staged := p.b.recs[from:]
	for i := range staged {
		r := &staged[i]
		r.Venue, r.Instrument, r.Seq = p.venue, tp.instrument, tp.seq+1+uint64(i)
		r.Flags &= md.FlagIDHash | md.FlagConflated
	}
	p.stageEvent(t, from)
}

// stageEvent makes the records from p.b.recs[from] on, which are numbered, one
// event of the topic.
func (p *Publisher) stageEvent(t TopicID, from int) {
	tp, staged := &p.topics[t], p.b.recs[from:]
	staged[0].Flags |= md.FlagFirst
	last := &staged[len(staged)-1]
	last.Flags |= md.FlagLast
	tp.seq, tp.tsEvent, tp.tsRecv = last.Seq, last.TsEvent, last.TsRecv
	if tp.src == nil {
		tp.remember(staged)
	}
	p.b.largest = max(p.b.largest, len(staged))
	p.b.ops = append(p.b.ops, op{kind: opEvent, topic: t, from: from, to: len(p.b.recs)})
}

// remember keeps last values and marks the first ones after a gap.
func (tp *topic) remember(event []md.Record) {
	tp.broken = false
	if tp.last == nil && tp.recovering == 0 {
		return
	}
	var seen uint16
	for i := range event {
		slot := slotOf(&event[i])
		seen |= 1 << slot
		if tp.recovering&(1<<slot) != 0 {
			event[i].Flags |= md.FlagRecovered
		}
		if tp.last != nil {
			tp.last[slot] = event[i]
			tp.valid |= 1 << slot
		}
	}
	if tp.last == nil {
		seen = ^uint16(0) // a stream of happenings: any event ends the recovery
	}
	tp.recovering &^= seen
}

// Gap stages an upstream gap: records of this topic did not reach us. It takes
// a number of its own. missing is how many, md.UnknownMissing if nobody knows.
// The topic is broken until Rebuilt, for a book, or until its next value.
func (p *Publisher) Gap(t TopicID, reason md.GapReason, missing uint32, tsRecv int64) {
	p.topics[t].seq++
	p.stageGap(t, p.topics[t].seq, reason, missing, 0, tsRecv)
}

// stageGap stages a gap from number first to the topic's present one.
func (p *Publisher) stageGap(t TopicID, first uint64, reason md.GapReason, missing uint32, flags md.Flags, tsRecv int64) {
	tp := &p.topics[t]
	tp.tsRecv = tsRecv
	tp.gap = p.gapRecord(tp, reason, missing, tsRecv)
	tp.gap.ID = first
	tp.gap.Flags |= flags
	tp.broken = tp.src != nil || tp.last != nil
	tp.valid, tp.recovering = 0, ^uint16(0)
	p.stage(op{kind: opGap, topic: t}, &tp.gap)
}

// Rebuilt stages that a book is complete again, or for the first time: every
// ring gets a clear, and its levels as its cursor comes by.
func (p *Publisher) Rebuilt(t TopicID, tsRecv int64) {
	tp := &p.topics[t]
	tp.built, tp.broken, tp.recovering = true, false, 0
	tp.tsRecv = tsRecv
	rec := p.bookMark(tp, md.SideClear)
	p.stage(op{kind: opClear, topic: t}, &rec)
}

// InstrumentChanged stages a control record of an instrument, to be written
// before its next record, and a clear of its book, whose snapshot follows. Call
// it before publishing the event that needs the new exponents.
func (p *Publisher) InstrumentChanged(instr uint32, rec md.Record) {
	i, ok := p.instrByID[instr]
	if !ok {
		return // nobody reads anything of it yet; the table has it
	}
	rec.Kind, rec.Venue, rec.Instrument, rec.Seq = md.KindInstrument, p.venue, instr, 0
	p.instruments[i].rec = rec
	p.stage(op{kind: opInstrument, topic: -1, instr: i}, &rec)
	for _, t := range p.instruments[i].topics {
		if tp := &p.topics[t]; tp.src != nil && tp.built && !tp.broken {
			mark := p.bookMark(tp, md.SideClear)
			p.stage(op{kind: opClear, topic: t}, &mark)
		}
	}
}

// stage adds a single record that needs more than copying.
func (p *Publisher) stage(o op, rec *md.Record) {
	o.from = len(p.b.recs)
	p.b.recs = append(p.b.recs, *rec)
	o.to = len(p.b.recs)
	p.b.ops = append(p.b.ops, o)
	p.b.plain = false
}

// TopicSeq is the topic's current number: that of its last record, 0 before the
// first.
func (p *Publisher) TopicSeq(t TopicID) uint64 { return p.topics[t].seq }

// Broken reports whether the topic waits for a Rebuilt or for its next value.
func (p *Publisher) Broken(t TopicID) bool { return p.topics[t].broken }

// heartbeat carries the epoch; channel 0 speaks of the whole stream.
func (p *Publisher) heartbeat(ch md.Channel, now int64) md.Record {
	return md.Record{
		Kind: md.KindHeartbeat, Flags: md.FlagFirst | md.FlagLast, Venue: p.venue,
		TsRecv: now, ID: uint64(p.epoch), Side: uint8(ch),
	}
}

func (p *Publisher) gapRecord(tp *topic, reason md.GapReason, missing uint32, tsRecv int64) md.Record {
	return md.Record{
		Kind: md.KindGap, Flags: md.FlagFirst | md.FlagLast, Venue: p.venue, Instrument: tp.instrument,
		Seq: tp.seq, ID: tp.seq, TsRecv: tsRecv, Side: uint8(tp.channel), Level: uint8(reason), Count: missing,
	}
}

// bookMark is the clear or the end of a book's snapshot.
func (p *Publisher) bookMark(tp *topic, side uint8) md.Record {
	flags := md.FlagSnapshot | md.FlagFirst
	if side == md.SideEnd {
		flags = md.FlagSnapshot | md.FlagLast
	}
	return md.Record{
		Kind: md.KindBook, Flags: flags, Venue: p.venue, Instrument: tp.instrument,
		Seq: tp.seq, TsEvent: tp.tsEvent, TsRecv: tp.tsRecv, Side: side,
	}
}
