package record

import (
	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// stateSlots are the last values of a topic that has any: one for each statistic.
const stateSlots = md.NumStats

// state is what a topic's key frame is made of.
type state struct {
	book   *book.Reader // of book topics
	last   [stateSlots]md.Record
	valid  uint16
	gap    md.Record // the last one
	broken bool      // by that gap, and nothing has come since
}

func newState(ch md.Channel) *state {
	s := &state{}
	if ch == md.ChannelBook {
		s.book = &book.Reader{}
	}
	return s
}

// stateful are the channels whose last values say how things are.
func stateful(ch md.Channel) bool {
	switch ch {
	case md.ChannelBBO, md.ChannelTicker, md.ChannelFunding, md.ChannelOpenInterest, md.ChannelStatus:
		return true
	}
	return false
}

func slotOf(r *md.Record) int {
	switch r.Kind {
	case md.KindBBO:
		return int(r.Side-1) & 1
	case md.KindTicker, md.KindFunding:
		return int(r.Level) % stateSlots
	}
	return 0
}

// apply takes a topic's next event.
func (s *state) apply(ch md.Channel, ev []md.Record) {
	for i := range ev {
		r := &ev[i]
		switch {
		case r.Kind == md.KindGap:
			s.gap, s.broken, s.valid = *r, true, 0
		case r.Kind == md.KindHeartbeat:
			s.broken, s.valid = false, 0
		case stateful(ch):
			s.broken = false
			s.last[slotOf(r)] = *r
			s.valid |= 1 << slotOf(r)
		default:
			s.broken = s.broken && ch == md.ChannelBook && s.book.State != book.Live
		}
		if s.book != nil {
			s.book.Apply(r)
		}
	}
}

// frame gives the records that tell the state: the topic's number, and then the last
// gap, the book or the last values.
func (t *topic) frame(at int64, emit func(*md.Record)) {
	base := md.Record{Venue: t.in.Venue, Instrument: t.in.ID, Seq: t.seq}
	hb := base
	hb.Kind, hb.Flags, hb.TsRecv, hb.ID, hb.Side = md.KindHeartbeat, md.FlagFirst|md.FlagLast, at, uint64(t.epoch), uint8(t.p.channel)
	emit(&hb)
	s := t.state
	switch {
	case s.book != nil && (s.book.State == book.Live || s.book.State == book.Building):
		t.frameBook(base, emit)
	case s.broken:
		g := s.gap
		g.Instrument, g.Flags = t.in.ID, md.FlagFirst|md.FlagLast|md.FlagSnapshot
		emit(&g)
	case s.valid != 0:
		t.frameValues(emit)
	}
}

// frameBook emits the book as a snapshot, from the touch outwards. One that is being
// built gets no end: the rest is still to come.
func (t *topic) frameBook(base md.Record, emit func(*md.Record)) {
	b := t.state.book
	base.Kind, base.TsRecv, base.TsEvent = md.KindBook, b.TsRecv, b.TsEvent
	mark := base
	mark.Flags, mark.Side = md.FlagSnapshot|md.FlagFirst, md.SideClear
	emit(&mark)
	bookLevels(b, base, emit)
	if b.State == book.Live {
		mark.Flags, mark.Side = md.FlagSnapshot|md.FlagLast, md.SideEnd
		emit(&mark)
	}
}

// bookLevels emits a record like base for each level, bids first, from the touch outwards.
func bookLevels(b *book.Reader, base md.Record, emit func(*md.Record)) {
	for i, levels := range [...]*book.Side{&b.Book.Bids, &b.Book.Asks} {
		for k := range levels.Len() {
			l, r := levels.At(k), base
			r.Flags, r.Side, r.Price, r.Size, r.Count = md.FlagSnapshot, md.SideBid+uint8(i), l.Price, l.Size, l.Count
			r.PriceExp, r.SizeExp = b.Book.PriceExp, b.Book.SizeExp
			emit(&r)
		}
	}
}

func (t *topic) frameValues(emit func(*md.Record)) {
	s := t.state
	left := s.valid
	for i := range s.last {
		if left&(1<<i) == 0 {
			continue
		}
		r := s.last[i]
		r.Instrument, r.Seq = t.in.ID, t.seq
		r.Flags = r.Flags&md.FlagIDHash | md.FlagSnapshot
		if left == s.valid {
			r.Flags |= md.FlagFirst
		}
		if left &^= 1 << i; left == 0 {
			r.Flags |= md.FlagLast
		}
		emit(&r)
	}
}
