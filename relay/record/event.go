package record

import "tickrelay/ring/md"

// Event is one venue event as it was recorded: records of one topic, in their order.
// What it points to is good until the callback returns.
//
// A live event is whole, from First to Last; one whose end is not written, because a
// recorder is at it or was killed, is left out. A book snapshot comes in the pieces in
// which it was recorded, from its clear to its end, with live events between them; apply
// all in order and the book is right (package ring/book). Gaps and topics' heartbeats are
// events of one record.
type Event struct {
	Topic md.Topic
	// Instrument is the topic's entry of the instrument table when the file was written,
	// never nil. Its ID is that of the records.
	Instrument *md.Instrument
	// Epoch of the records' numbers, ns since 1970 UTC.
	Epoch int64
	// Time is when the recorder saw the event, ns since 1970 UTC: its receive time,
	// except for state that was told again, which has the time at which that happened.
	// It never decreases from event to event of a Scan.
	Time    int64
	Records []md.Record
}

// Snapshot reports whether the event tells state again: the records of an attach, of a
// gap's end, or the key frame at the beginning of an hour.
func (e *Event) Snapshot() bool { return e.Records[0].Flags&md.FlagSnapshot != 0 }

// snapshotPiece bounds the records of one piece of a book snapshot.
const snapshotPiece = 4096

// assembler makes events of the rows of one hour of a stream.
type assembler struct {
	s       stream
	hourEnd int64
	clock   int64
	last    int64 // arrival of the last row taken
	final   bool  // no row comes after those of the chunk
	want    func(symbol string) bool
	symbols *names
	topics  []*scanTopic // by number of the symbol
}

type scanTopic struct {
	topic      md.Topic
	want       bool
	instrument md.Instrument
}

func newAssembler(s stream, hour int64, want func(string) bool) *assembler {
	return &assembler{s: s, hourEnd: hour + hourNs, clock: hour, last: -1, want: want, symbols: newNames()}
}

// advance moves the clock of the hour.
func (a *assembler) advance(ts int64) {
	a.clock = max(a.clock, min(ts, a.hourEnd-1))
}

// topic is that of a symbol's number.
func (a *assembler) topic(sym int32) *scanTopic {
	for int(sym) >= len(a.topics) {
		name := a.symbols.list[len(a.topics)]
		a.topics = append(a.topics, &scanTopic{topic: md.Topic{Venue: a.s.venue, Channel: a.s.channel, Symbol: name},
			want: a.want(name), instrument: md.Instrument{Venue: a.s.venue, Symbol: name}})
	}
	return a.topics[sym]
}

// learn takes an instrument's entry.
func (a *assembler) learn(in md.Instrument) {
	a.topic(a.symbols.id([]byte(in.Symbol))).instrument = in
}

// next is the event that begins at row i of c; n is the number of its rows. more: the
// chunk ended before the event did, and the rest is in the next one.
func (a *assembler) next(c *rows, i int, ev *Event) (n int, want, more bool) {
	first := &c.recs[i]
	t := a.topic(c.syms[i])
	piece := first.Kind == md.KindBook && first.Flags&md.FlagSnapshot != 0
	end := i
	for {
		r := &c.recs[end]
		end++
		if piece {
			if r.Side == md.SideEnd || end-i == snapshotPiece {
				break
			}
		} else if r.Flags&md.FlagLast != 0 || r.Kind == md.KindGap || r.Kind.Control() {
			break
		}
		if end == len(c.recs) {
			more = !a.final
			break
		}
		next := &c.recs[end]
		same := c.syms[end] == c.syms[i] && c.epoch[end] == c.epoch[i] && next.Flags&md.FlagFirst == 0
		if !same || piece != (next.Kind == md.KindBook && next.Flags&md.FlagSnapshot != 0) {
			break
		}
	}
	if more {
		return end - i, t.want, true
	}
	last := &c.recs[end-1]
	if cut := end == len(c.recs) && !piece && last.Flags&md.FlagLast == 0 && last.Kind != md.KindGap && !last.Kind.Control(); cut {
		return end - i, false, false
	}
	if last.Flags&md.FlagSnapshot == 0 {
		a.advance(last.TsRecv)
	}
	if t.want {
		t.instrument.ID = first.Instrument
		*ev = Event{Topic: t.topic, Instrument: &t.instrument, Epoch: c.epoch[i], Time: a.clock, Records: c.recs[i:end]}
	}
	return end - i, t.want, false
}
