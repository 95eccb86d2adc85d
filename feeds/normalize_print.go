package feeds

import (
	"bufio"

	"tickrelay/ring/md"
)

// printer turns the records of a ring into lines of JSON.
type printer struct {
	patterns []md.Pattern
	table    *md.Table
	out      *bufio.Writer
	topics   map[printKey]*printTopic
	event    []md.Record // live records up to the last of their event
	buf      []byte
}

type printKey struct {
	instrument uint32
	channel    md.Channel
}

type printTopic struct {
	name string
	want bool
	prev uint64
	snap []md.Record // of the snapshot under way
}

// restart forgets the topics: another table begins.
func (p *printer) restart(table *md.Table, out *bufio.Writer) {
	p.table, p.out, p.topics, p.event = table, out, nil, p.event[:0]
}

// take adds a record and prints the event that it completes. The records of a
// live event follow each other in the ring; between those of a snapshot there
// may be live events, which it holds already when it ends.
func (p *printer) take(r *md.Record) {
	if r.Kind.Control() {
		return // the lines have no use for exponents and epochs
	}
	if r.Flags&md.FlagSnapshot != 0 {
		t := p.topic(r)
		if r.Flags&md.FlagFirst != 0 {
			t.snap = t.snap[:0]
		}
		t.snap = append(t.snap, *r)
		if r.Flags&md.FlagLast != 0 {
			p.write(t, t.snap)
		}
		return
	}
	p.event = append(p.event, *r)
	if r.Flags&md.FlagLast != 0 {
		p.write(p.topic(r), p.event)
		p.event = p.event[:0]
	}
}

func (p *printer) write(t *printTopic, event []md.Record) {
	if t.want {
		p.buf = md.AppendJSON(p.buf[:0], t.name, t.prev, event)
		p.buf = append(p.buf, '\n')
		p.out.Write(p.buf) // an error stays with the writer and comes from Flush
	}
	t.prev = event[len(event)-1].Seq
}

func (p *printer) topic(r *md.Record) *printTopic {
	key := printKey{r.Instrument, r.Channel()}
	t := p.topics[key]
	if t == nil {
		if p.topics == nil {
			p.topics = map[printKey]*printTopic{}
		}
		in, _ := p.table.Get(r.Instrument)
		t = &printTopic{name: md.Topic{Venue: r.Venue, Channel: key.channel, Symbol: in.Symbol}.String()}
		for _, pattern := range p.patterns {
			t.want = t.want || pattern.Match(t.name)
		}
		p.topics[key] = t
	}
	return t
}
