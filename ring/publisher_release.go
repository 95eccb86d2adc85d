package ring

import (
	"maps"
	"slices"

	"tickrelay/ring/md"
)

// leftBehind is how far the reader of a ring was told when Release took the
// producer away: what comes next goes on from there for that reader, and is a
// fresh start for one that attached meanwhile.
type leftBehind struct {
	gen   uint64 // the reader's attach_gen
	epoch int64
	told  map[topicKey]uint64 // the number after the last one that it knows of
	due   []md.Record         // gaps for which there was no room
}

// Release takes p away from a ring as Detach does, but its reader is not told
// of an end: it waits until the next Publisher attaches the same Segment, and
// then sees a fresh start. Numbers that it missed until then, for whatever
// reason, come as gaps. The caller keeps the Segment.
func (p *Publisher) Release(r *Producer) {
	i := slices.Index(p.rings, r)
	if i < 0 {
		return
	}
	p.Flush()
	p.rings = slices.Delete(p.rings, i, i+1)
	r.seg.untold = r.untold()
	r.leave()
	r.gen = 0
	r.seg.feeding.Store(false)
}

// leave notes what the ring's next producer owes the reader. One that began no
// session leaves what it found.
func (r *Producer) leave() {
	if r.gen == 0 {
		return
	}
	l := &leftBehind{gen: r.gen, epoch: r.pub.epoch, told: map[topicKey]uint64{}, due: slices.Clone(r.due)}
	maps.Copy(l.told, r.before)
	for t := range r.topics {
		tp := &r.pub.topics[t]
		key := topicKey{tp.instrument, tp.channel}
		switch st := &r.topics[t]; st.mode {
		case modeOff:
			delete(l.told, key)
		case modeSuppressed:
			if st.lost > 0 {
				l.due = append(l.due, r.lossRecord(TopicID(t)))
			}
			l.told[key] = tp.seq + 1
		case modeLive:
			l.told[key] = tp.seq + 1
		}
	}
	r.seg.left = l
}

// untold are the topics of which the reader knows nothing yet.
func (r *Producer) untold() (keys []topicKey) {
	for t := range r.topics {
		if m := r.topics[t].mode; m == modeUnstarted || m != modeOff && r.gen == 0 {
			keys = append(keys, topicKey{r.pub.topics[t].instrument, r.pub.topics[t].channel})
		}
	}
	return keys
}

// Adopt makes p, a Publisher of nothing else, the producer of a ring that another
// one of its venue and epoch has released and that no feed fills any more: the
// reader gets the gaps for which there was no room, and of each topic that it was
// not told of yet where it ended, with a gap (disconnect); then heartbeats alone.
// Release it for a feed that comes back. Control path: it allocates.
func (p *Publisher) Adopt(s *Segment) (*Producer, error) {
	for _, key := range s.untold {
		tp := &p.topics[p.AddTopic(key.instrument, key.channel, nil)]
		tp.gap, tp.broken = p.gapRecord(tp, md.GapDisconnect, md.UnknownMissing, p.now), true
	}
	return p.Attach(s, nil)
}

// takeLeft takes over what the producer before owed to the reader of gen; false
// if it had another one or none.
func (r *Producer) takeLeft(gen uint64) bool {
	r.before, r.due = nil, nil
	l := r.seg.left
	r.seg.left = nil
	switch {
	case l == nil || l.epoch != r.pub.epoch: // a new epoch's numbers begin anew
		return false
	case r.w.cast: // its readers find out themselves what they missed of a topic that goes on
		r.due = l.due
		return false
	case l.gen != gen:
		return false
	}
	r.before, r.due = l.told, l.due
	return true
}

// payBefore writes the gap of the numbers that went by between two producers of
// the ring, if the reader was told of the topic by the former.
func (r *Producer) payBefore(tp *topic) {
	key := topicKey{tp.instrument, tp.channel}
	next, ok := r.before[key]
	if !ok {
		return
	}
	delete(r.before, key)
	if tp.seq < next {
		return
	}
	g := r.w.slot()
	*g = r.pub.gapRecord(tp, md.GapDisconnect, md.UnknownMissing, r.pub.now)
	g.ID = next
}
