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
	event    []md.Record // of the topic at hand, up to its last record
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
}

// take adds a record and prints the event that it completes. Records of an
// event, and of a snapshot, follow each other in the ring: nothing is published
// while a snapshot is written.
func (p *printer) take(r *md.Record) {
	if r.Kind.Control() {
		return // the lines have no use for exponents and epochs
	}
	p.event = append(p.event, *r)
	if r.Flags&md.FlagLast == 0 {
		return
	}
	t := p.topic(r)
	if t.want {
		p.buf = md.AppendJSON(p.buf[:0], t.name, t.prev, p.event)
		p.buf = append(p.buf, '\n')
		p.out.Write(p.buf) // an error stays with the writer and comes from Flush
	}
	t.prev = r.Seq
	p.event = p.event[:0]
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
