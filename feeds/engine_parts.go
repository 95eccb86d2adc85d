package feeds

import (
	"maps"
	"slices"

	"tickrelay/ring/md"
)

// A feed's subscriptions are spread over parts: each part is what one
// connection carries, bounded by what the venue allows on one and by its
// routes. Every part has the same number of slots, each a connection that
// carries the whole part; connections are numbered part × slots + slot. The
// word line, in the engine, is such a number.

// part is a share of the subscriptions.
type part struct {
	route int // index in Spec.Routes, 0 without routes
	// streams are the venue's that the subscriptions assigned take, with the number
	// of subscriptions that live from each. Nil where the venue sets no bound.
	streams map[string]int
	// topics are those of these subscriptions: what is asked of a line at each
	// look does not walk the topics of all others.
	topics []*topic
}

// maxSlots bounds the connections of one part: a topic has a bit for each.
const maxSlots = 2 * MaxLines

func (e *Engine) partOf(line int) int { return line / e.cfg.Slots }

// carried are the topics that a line's part carries.
func (e *Engine) carried(line int) []*topic {
	if p := e.partOf(line); p < len(e.parts) {
		return e.parts[p].topics
	}
	return nil
}

func (e *Engine) bit(line int) uint32 { return 1 << (line % e.cfg.Slots) }

// route is the index of the venue's route that serves a channel.
func (s *Spec) route(ch md.Channel) int {
	for i, r := range s.Routes {
		for _, c := range r.Channels {
			if c == ch {
				return i
			}
		}
	}
	return 0
}

// place assigns a topic to a part that has room for the streams it takes.
func (e *Engine) place(t *topic) int {
	route := e.spec.route(t.ch)
	t.streams = e.streamsOf(t)
	for i := range e.parts {
		if p := &e.parts[i]; p.route == route && p.room(t.streams, e.spec.SubsPerConn) {
			p.take(t.streams)
			return i
		}
	}
	e.parts = append(e.parts, part{route: route})
	e.parts[len(e.parts)-1].take(t.streams)
	e.actions = append(e.actions, EngineAction{Kind: ActionOpen, Line: (len(e.parts) - 1) * e.cfg.Slots, Route: route})
	return len(e.parts) - 1
}

// streamsOf are the venue's streams that a topic takes, in the words of its own
// request: of some channels it is several, and some serve several channels. Nil where
// the venue sets no bound.
func (e *Engine) streamsOf(t *topic) []string {
	if e.spec.SubsPerConn == 0 {
		return nil
	}
	note := Requests{ID: 1, held: make(map[string]bool), noting: true}
	e.venue.Subscribe(nil, []Sub{{t.ch, &t.inst.md}}, &note)
	return slices.Collect(maps.Keys(note.held))
}

// room reports whether a part may take further streams.
func (p *part) room(streams []string, most int) bool {
	n := len(p.streams)
	for _, s := range streams {
		if p.streams[s] == 0 {
			n++
		}
	}
	return most == 0 || n <= most
}

func (p *part) take(streams []string) {
	if p.streams == nil && len(streams) > 0 {
		p.streams = make(map[string]int)
	}
	for _, s := range streams {
		p.streams[s]++
	}
}

// leave is the reverse of take.
func (p *part) leave(streams []string) {
	for _, s := range streams {
		if p.streams[s]--; p.streams[s] == 0 {
			delete(p.streams, s)
		}
	}
}

// Start tells that connections may be made: the symbols that the configuration
// spells out are taken into use where no catalogue is at hand, and every part
// is asked for (ActionOpen). A feed that does not know yet what it will
// subscribe to, or never subscribes (Open), gets one part per route.
func (e *Engine) Start() {
	if !e.whole {
		e.addExplicit()
	}
	e.addTopics(e.instruments)
	if len(e.parts) > 0 {
		return
	}
	for i := range max(1, len(e.spec.Routes)) {
		e.parts = append(e.parts, part{route: i})
		e.actions = append(e.actions, EngineAction{Kind: ActionOpen, Line: i * e.cfg.Slots, Route: i})
	}
}

// addTopics begins the topics wanted of the instruments.
func (e *Engine) addTopics(list []*instrument) {
	for _, in := range list {
		for ch := range md.Channel(md.NumChannels) {
			if e.wants[ch] && offers(&in.md, ch) && !in.gone && in.topics[ch] == nil {
				e.addTopic(in, ch)
			}
		}
	}
}

// upFor is a line that is up and carries t's part, the owner if it can be; -1 if
// there is none.
func (e *Engine) upFor(t *topic) int {
	if t.owner >= 0 && t.owner < len(e.lines) && e.lines[t.owner].usable() {
		return t.owner
	}
	return e.upIn(t.part)
}

// upIn is a line of a part that is up, -1 if there is none.
func (e *Engine) upIn(p int) int {
	for i := p * e.cfg.Slots; i < min((p+1)*e.cfg.Slots, len(e.lines)); i++ {
		if e.lines[i].usable() {
			return i
		}
	}
	return -1
}

func (l *engineLine) usable() bool { return l.up && !l.leaving }
