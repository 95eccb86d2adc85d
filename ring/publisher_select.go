package ring

import "tickrelay/ring/md"

// Select changes which topics a ring carries while it is read; nil wants all.
// A topic that is new to the ring starts afresh there, as for a reader that
// just attached: its heartbeat, then its state. One that is not wanted any more
// ends without a word, after what is staged. Control path: it allocates.
func (p *Publisher) Select(r *Producer, want func(instrument uint32, ch md.Channel) bool) {
	p.Flush()
	r.want, r.all = want, true
	for t := range r.topics {
		r.selectTopic(TopicID(t))
	}
}

func (r *Producer) selectTopic(t TopicID) {
	st, tp := &r.topics[t], &r.pub.topics[t]
	wanted := r.want == nil || r.want(tp.instrument, tp.channel)
	r.all = r.all && wanted
	switch {
	case wanted && st.mode == modeOff:
		if st.counters == nil {
			st.counters = r.seg.claimEntry(tp.instrument, tp.channel)
		}
		st.mode, st.lost = modeUnstarted, 0
		if r.gen != 0 {
			r.attention.push(t)
			r.oweChanged(tp.instr)
		}
	case !wanted && st.mode != modeOff:
		r.stopBook(t)
		r.attention.remove(t)
		r.snaps.remove(t)
		st.mode, st.lost = modeOff, 0
	}
}
