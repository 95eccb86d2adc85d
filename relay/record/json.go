package record

import (
	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// Lines turns the events of a Scan into the JSON form, as normalize prints it: one line
// per message, full-depth books. A book snapshot that was recorded in pieces is one line,
// at its end. The zero value is ready for use.
type Lines struct {
	topics map[md.Topic]*lineTopic
}

type lineTopic struct {
	name string
	prev uint64
	book book.Reader
	snap []md.Record
}

// Append appends the lines of an event, each with its line end; none for control records
// and for the pieces of a snapshot before its last.
func (l *Lines) Append(dst []byte, e *Event) []byte {
	t := l.topics[e.Topic]
	if t == nil {
		if l.topics == nil {
			l.topics = map[md.Topic]*lineTopic{}
		}
		t = &lineTopic{name: e.Topic.String()}
		l.topics[e.Topic] = t
	}
	recs := e.Records
	if e.Topic.Channel == md.ChannelBook {
		for i := range recs {
			t.book.Apply(&recs[i])
		}
	}
	switch last := &recs[len(recs)-1]; {
	case last.Kind.Control():
		t.prev = last.Seq // a heartbeat: the topic's number
		return dst
	case last.Kind == md.KindBook && last.Flags&md.FlagSnapshot != 0:
		if last.Side != md.SideEnd {
			return dst
		}
		recs = t.snapshot(last)
	}
	dst = md.AppendJSON(dst, t.name, t.prev, recs)
	t.prev = recs[len(recs)-1].Seq
	return append(dst, '\n')
}

// snapshot is the book as it is, in the form of one.
func (t *lineTopic) snapshot(end *md.Record) []md.Record {
	clear := *end
	clear.Side, clear.Flags = md.SideClear, md.FlagSnapshot|md.FlagFirst
	t.snap = append(t.snap[:0], clear)
	bookLevels(&t.book, *end, func(r *md.Record) { t.snap = append(t.snap, *r) })
	t.snap = append(t.snap, *end)
	return t.snap
}
