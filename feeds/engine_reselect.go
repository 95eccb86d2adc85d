package feeds

import (
	"fmt"
	"slices"

	"tickrelay/ring/md"
)

// Narrow ends, at now (CLOCK_REALTIME ns), every topic that instruments
// (patterns) and channels do not select: it is unsubscribed on the lines that are
// up, its readers get a gap, and its numbers are free for another engine to go on
// with. Nothing is begun and no other topic notices. What Reselect takes over.
func (e *Engine) Narrow(instruments []string, channels []md.Channel, now int64) error {
	for _, ch := range channels {
		if !e.spec.has(ch) {
			return fmt.Errorf("feeds: engine: %s has no channel %s", e.spec.Name, ch)
		}
	}
	e.now = now
	e.cfg.Instruments, e.cfg.Channels = slices.Clone(instruments), slices.Clone(channels)
	var wants [md.NumChannels]bool
	for _, ch := range channels {
		wants[ch] = true
	}
	var ended []*topic
	for _, in := range e.instruments {
		in.off = !e.selects(in.md.Symbol)
		for _, t := range in.topics {
			if t != nil && (in.off || !wants[t.ch]) {
				ended = append(ended, t)
			}
		}
	}
	for i := range e.lines {
		var subs []Sub
		for _, t := range ended {
			if t.part == e.partOf(i) && !t.inst.gone && e.wants[t.ch] && offers(&t.inst.md, t.ch) {
				subs = append(subs, Sub{t.ch, &t.inst.md})
			}
		}
		if l := &e.lines[i]; l.up && l.ready && len(subs) > 0 {
			e.unsubscribeOwn(i, subs, now)
		}
	}
	e.wants = wants
	for _, t := range ended {
		e.endTopic(t, now)
	}
	e.countInstruments()
	return nil
}

// countInstruments marks what is not selected as gone and counts the rest.
func (e *Engine) countInstruments() {
	n := 0
	for _, in := range e.instruments {
		if in.off {
			in.gone = true
		} else {
			n++
		}
	}
	e.stats.Instruments.Store(uint64(n))
}

// Reselect is Narrow, and begins what instruments and channels select beyond what
// there was: it is subscribed on the lines that are up and ready, without making
// any of them again. Patterns select from the catalogue that is in use.
func (e *Engine) Reselect(instruments []string, channels []md.Channel, now int64) error {
	if err := e.Narrow(instruments, channels, now); err != nil {
		return err
	}
	e.names = nil // some names mean something now that nobody wanted before
	listed := make(map[string]bool, len(e.catalogue))
	for i := range e.catalogue {
		entry := &e.catalogue[i]
		listed[entry.Symbol] = true
		if !e.selects(entry.Symbol) {
			continue
		}
		if at := e.bySymbol(entry.Symbol); at >= 0 {
			if in := e.instruments[at]; in.gone {
				e.relist(in, entry) // it may have changed while nobody wanted it
			}
		} else {
			e.addInstrument(*entry)
		}
	}
	if !e.whole {
		e.addExplicit()
		for _, in := range e.instruments {
			in.gone = in.gone && in.off
		}
	} else {
		e.warnUnlisted(listed)
	}
	e.countInstruments()
	if len(e.parts) == 0 { // Start was not called: it begins the topics
		return nil
	}
	before := len(e.topics)
	e.addTopics(e.instruments)
	fresh := slices.Clone(e.topics[before:])
	for i := range e.lines {
		var subs []Sub
		for _, t := range fresh {
			if t.part == e.partOf(i) {
				subs = append(subs, Sub{t.ch, &t.inst.md})
			}
		}
		if l := &e.lines[i]; l.up && l.ready {
			e.begin(i, subs, now)
		}
	}
	return nil
}

// endTopic takes a topic out of use. Events of it that are under way are ignored.
func (e *Engine) endTopic(t *topic, now int64) {
	if t.state == TopicWaiting { // to a reader a market without a trade yet looks the same
		e.gap(t, md.GapDisconnect, md.UnknownMissing, now)
	}
	e.breakTopic(t, md.GapDisconnect, md.UnknownMissing, now)
	e.dropFill(t)
	e.pub.GiveUp(t.id)
	if b := t.book; b != nil {
		e.endBook(t)
		if b.signals != nil {
			e.pub.GiveUp(b.signals.id)
			e.stats.removeTopic(b.signals.stats)
		}
	}
	e.stats.removeTopic(t.stats)
	p := &e.parts[t.part]
	p.leave(t.streams)
	p.topics = slices.DeleteFunc(p.topics, func(x *topic) bool { return x == t })
	t.inst.topics[t.ch] = nil
	e.topics = slices.DeleteFunc(e.topics, func(x *topic) bool { return x == t })
}

// endBook forgets all that was to bring a book back or forward.
func (e *Engine) endBook(t *topic) {
	e.endSwitch(t)
	e.dropResync(t)
	t.book.resync = resync{}
	if e.auditing == t {
		t.book.audit, e.auditing = nil, nil
	}
	e.fetches = slices.DeleteFunc(e.fetches, func(f fetching) bool { return f.t == t })
}

// giveUp ends all topics, at the end of an engine that another follows.
func (e *Engine) giveUp(now int64) {
	for _, t := range slices.Clone(e.topics) {
		e.endTopic(t, now)
	}
}
