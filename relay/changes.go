package relay

import "tickrelay/ring/md"

// catchUpSlow makes what a slow reader of a book lacks since from: each level that
// changed, once, as it is now. nil if the snapshot has to do it: a gap or a snapshot lies
// between, the history does not reach back, or the snapshot is smaller.
func (h *hub) catchUpSlow(st *stream, f format, from uint64) *frame {
	t := st.t
	if t.book == nil || !t.complete() || st.opt.depth > 0 || from >= t.seq || !t.history.covers(from) ||
		t.seq-from > uint64(t.book.Book.Bids.Len()+t.book.Book.Asks.Len()) {
		return nil
	}
	key := replayKey{stream: st.id, format: f, from: from, merged: true}
	if made := h.replays[key]; made != nil {
		return made
	}
	if st.opt.conflate > 0 && (len(st.pending) > 0 || st.queued || st.restart) {
		h.emitPaced(st) // its other subscribers are brought to the same number
	}
	recs, whole := h.merged[:0], true
	t.history.since(from, func(_ uint64, ev []md.Record) {
		for i := range ev {
			r := &ev[i]
			whole = whole && r.Kind == md.KindBook && r.Flags&md.FlagSnapshot == 0 && (r.Side == md.SideBid || r.Side == md.SideAsk)
		}
		recs = append(recs, ev...)
	})
	h.merged = recs
	if !whole || len(recs) == 0 || recs[len(recs)-1].Seq != t.seq {
		return nil
	}
	recs = merge(recs)
	t.stamp(recs, md.FlagConflated)
	made := h.encode(st, f, from, recs)
	h.stateLeft -= len(made.data)
	h.replays[key] = made
	return made
}

// refresh answers a shard that has room again for a subscriber it had conflated.
func (h *hub) refresh(r *request) {
	k := h.clients[r.conn]
	if k == nil || int(r.stream) >= len(h.streams) {
		return
	}
	st := h.streams[r.stream]
	if k.streams.get(st.t) != st {
		return
	}
	d := delivery{op: deliverRefresh, stream: st.id}
	if !r.whole {
		d.frame = h.catchUpSlow(st, r.conn.format.plain(), r.from)
	}
	if d.frame == nil {
		d.frame = h.current(st, r.conn.format.plain())
	}
	h.send(r.conn, d)
}
