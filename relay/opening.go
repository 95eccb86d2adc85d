package relay

// turnState bounds the bytes of snapshots that the hub makes before it looks at its rings
// again, and one more, however large.
const turnState = 512 << 10

// deflateCost is about how much more time compression takes than the message itself.
const deflateCost = 2

// opening is what a subscription begins with: the stream's state, nil if it has none, or
// the word that it is owed.
type opening struct {
	frame *frame
	owed  bool
}

// opening brings one subscriber to the stream's position if the turn has time for it.
// What it has no time for is owed: the connection asks for it some topics at a time, as a
// slow reader does (debt.go), so that everybody else's messages go in between. States of
// one value are not worth it. A replay has a hub of its own, and nobody who waits.
func (h *hub) opening(st *stream, f format) opening {
	t := st.t
	if large := t.book != nil || t.series != nil; large && h.stateLeft <= 0 && !h.past && t.complete() && t.gap.Kind == 0 {
		return opening{owed: true}
	}
	made := st.cache[f]
	if made != nil {
		h.stateLeft -= len(made.data) // it costs its shard as much
	} else {
		made = h.current(st, f)
	}
	return opening{frame: made}
}
