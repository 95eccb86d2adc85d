package feeds

import (
	"slices"

	"tickrelay/ring/md"
)

// subscribe sends the requests for subs on a line and returns their number.
// Where a request replaces what was subscribed before, it names everything.
func (e *Engine) subscribe(line int, subs []Sub, now int64) int {
	l := &e.lines[line]
	l.requests.Now = now
	if e.spec.ReplacesSubs {
		for _, s := range subs {
			if !slices.Contains(l.subs, s) {
				l.subs = append(l.subs, s)
			}
		}
		subs = l.subs
	}
	if len(subs) == 0 {
		return 0
	}
	if e.spec.WholeRequests {
		if l.asked == nil {
			l.asked = make(map[int]asked)
		}
		l.requests.asked = l.asked
	}
	frames := e.venue.Subscribe(nil, subs, &l.requests)
	l.requests.asked = nil
	l.askedBy = max(l.askedBy, now+int64(len(frames))*int64(e.spec.SendEvery))
	e.send(line, frames)
	return len(frames)
}

// refusedRequest takes the refusal of a request that is known by its number. One for
// several streams is made again for each: only what the venue does not know stays
// refused, and is named. False: it is not known which.
func (e *Engine) refusedRequest(line int, l *engineLine, d *Decoded, now int64) bool {
	a, ok := l.asked[d.Request]
	if !ok {
		return false
	}
	delete(l.asked, d.Request)
	switch {
	case len(a.args) > 1:
		e.log.Info("each of the request's streams is asked for by itself", "line", line, "streams", len(a.args))
		each := make([]asked, len(a.args))
		for i, arg := range a.args {
			each[i] = asked{[]string{arg}, a.frame}
		}
		e.askEach(line, each)
		l.sentBy = now + int64(len(each))*int64(e.spec.SendEvery)
		l.ackBy = l.sentBy + int64(ackWait)
	case d.Control == ControlHeld:
		l.answered()
	default:
		e.log.Warn("the venue refuses a stream", "line", line, "stream", a.args[0], "text", string(d.Text))
		l.bad = append(l.bad, a)
		l.refused(now)
	}
	return true
}

// askEach asks for streams, one a request.
func (e *Engine) askEach(line int, each []asked) {
	l := &e.lines[line]
	for _, a := range each {
		id := l.requests.ID
		l.requests.ID++
		l.asked[id] = a
		e.send(line, [][]byte{a.frame(id, a.args[0])})
	}
}

// subscribeNew is subscribe for what is new on a line. One of the venue's streams
// may serve several channels: what the line has already is not asked for again.
func (e *Engine) subscribeNew(line int, subs []Sub, now int64) int {
	l := &e.lines[line]
	if !e.spec.ReplacesSubs {
		e.noteStreams(l, e.besides(line, subs), now, e.venue.Subscribe)
		defer func() { l.requests.held = nil }()
	}
	return e.subscribe(line, subs, now)
}

// unsubscribeOwn ends subs on a line, but for streams of the venue that others
// there live from.
func (e *Engine) unsubscribeOwn(line int, subs []Sub, now int64) {
	l := &e.lines[line]
	if !e.spec.ReplacesSubs {
		e.noteStreams(l, e.besides(line, subs), now, e.venue.Unsubscribe)
		defer func() { l.requests.held = nil }()
	}
	e.unsubscribe(line, subs, now)
}

// besides are the subscriptions of a line but for subs.
func (e *Engine) besides(line int, subs []Sub) (rest []Sub) {
	not := make(map[Sub]bool, len(subs))
	for _, s := range subs {
		not[s] = true
	}
	for _, in := range e.instruments {
		for _, s := range e.subs(nil, in, e.partOf(line)) {
			if !not[s] {
				rest = append(rest, s)
			}
		}
	}
	return rest
}

// noteStreams notes the streams of rest, in the words of the request that is to
// follow.
func (e *Engine) noteStreams(l *engineLine, rest []Sub, now int64, ask func([][]byte, []Sub, *Requests) [][]byte) {
	note := Requests{ID: l.requests.ID, Now: now, held: make(map[string]bool), noting: true}
	if len(rest) > 0 {
		ask(nil, rest, &note)
	}
	l.requests.held = note.held
}

// unsubscribe ends subs on a line, whoever else lives from their streams.
func (e *Engine) unsubscribe(line int, subs []Sub, now int64) {
	l := &e.lines[line]
	l.requests.Now = now
	for _, s := range subs {
		if i := e.bySymbol(s.Instrument.Symbol); i >= 0 && e.instruments[i].topics[s.Channel] != nil {
			e.instruments[i].topics[s.Channel].acked &^= e.bit(line)
		}
	}
	l.badNames = l.badNames && len(l.bad) == 0 // one of these may be among them
	if e.spec.ReplacesSubs {
		before := len(l.subs)
		l.subs = slices.DeleteFunc(l.subs, func(s Sub) bool { return slices.Contains(subs, s) })
		if len(l.subs) > 0 && len(l.subs) < before {
			e.send(line, e.venue.Subscribe(nil, l.subs, &l.requests))
		}
		return
	}
	if l.conn != nil {
		e.send(line, l.conn.Unsubscribe(nil, subs, &l.requests))
		return
	}
	e.send(line, e.venue.Unsubscribe(nil, subs, &l.requests))
}

// renew ends subs on a line and begins them again, which brings new snapshots,
// also to others that share their streams. The line brings these topics no longer until
// its next event of them: where the venue refuses, they are asked for once more.
func (e *Engine) renew(line int, subs []Sub, now int64) {
	for _, s := range subs {
		if t := e.topicOf(s); t != nil {
			t.lines &^= e.bit(line)
		}
	}
	if !e.spec.ReplacesSubs { // there the same request once more does it
		e.unsubscribe(line, subs, now)
	}
	e.subscribe(line, subs, now)
}

// topicOf is a subscription's topic, nil if there is none.
func (e *Engine) topicOf(s Sub) *topic {
	if id := e.bySymbol(s.Instrument.Symbol); id >= 0 {
		return e.instruments[id].topics[s.Channel]
	}
	return nil
}

func (e *Engine) send(line int, frames [][]byte) {
	for _, f := range frames {
		e.actions = append(e.actions, EngineAction{Kind: ActionSend, Line: line, Frame: f})
	}
}

// greet sends what comes first on a connection; the subscriptions follow at
// once or when the venue is ready for them.
func (e *Engine) greet(line int, now int64) {
	l := &e.lines[line]
	if o, ok := e.venue.(Opener); ok {
		l.requests.Now = now
		e.send(line, o.Open(nil, &l.requests))
	}
	if e.spec.WaitReady {
		l.ackBy = now + int64(ackWait)
		return
	}
	e.ready(line, now)
}

// ready subscribes a line to everything selected.
func (e *Engine) ready(line int, now int64) {
	l := &e.lines[line]
	if !l.up || l.ready {
		return
	}
	l.ready = true
	l.answered()
	e.subscribeAll(line, e.instruments, now)
}

// chainFrames checks the number of a frame that counts all of its connection.
// After a hole nothing that the line brought is sure any more.
func (e *Engine) chainFrames(line int, d *Decoded, now int64) {
	l := &e.lines[line]
	last, chained := l.connSeq, l.connSeqKnown
	l.connSeq, l.connSeqKnown = d.ConnSeq, true
	if !chained || d.ConnSeq == last+1 {
		return
	}
	if l.leaving {
		return
	}
	e.stats.ConnHoles.Add(1)
	for _, t := range e.topics {
		if t.owner == line {
			e.ownerLost(t, line, md.GapSequence, now)
		}
	}
	e.reconnect(line, "the venue's numbers of the connection's frames have a hole")
}

// paused breaks what a line brought while the venue pauses, unless another line has not
// been told so: until its next data the line brings nothing.
func (e *Engine) paused(line int, now int64) {
	bit := e.bit(line)
	for _, t := range e.topics {
		if t.owner == line || t.part == e.partOf(line) && t.lines&bit != 0 {
			t.lines &^= bit
			e.lineGone(t, line, md.GapVenue, now)
		}
	}
}
