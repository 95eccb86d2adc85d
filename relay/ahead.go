package relay

import (
	"slices"
	"time"
)

// A client that comes from another gateway of the same stream of records (over a bus,
// or during a take-over) may have been sent more than has arrived here. It is not told a
// gap and old messages once more: its resumption waits for this gateway to catch up.

const (
	aheadMost = int64(time.Second) // how long it waits at most
	aheadLook = 5 * time.Millisecond
)

// aheadRequest is a resumption that waits.
type aheadRequest struct {
	request
	until int64 // mono ns
}

// ahead reports whether a resumption names a place that this gateway has not reached.
func (h *hub) ahead(r *request) bool {
	for _, p := range r.resume {
		t := h.byName[p.topic.String()]
		if t != nil && t.live && (p.epoch == t.epoch && p.seq > t.seq || p.epoch > t.epoch && t.epoch > 0) {
			return true
		}
	}
	return false
}

// holdAhead takes a resumption that has to wait and reports whether it has.
func (h *hub) holdAhead(r *request) bool {
	if !h.ahead(r) {
		return false
	}
	h.waiting = append(h.waiting, aheadRequest{*r, h.mono() + aheadMost})
	return true
}

// serveAhead serves what has waited long enough, or need not wait any more.
func (h *hub) serveAhead() {
	h.waiting = slices.DeleteFunc(h.waiting, func(w aheadRequest) bool {
		if h.now < w.until && h.ahead(&w.request) {
			return false
		}
		if k := h.clients[w.conn]; k != nil && k.past != nil {
			h.refuse(w.conn, w.id, codeBusy, "a replay runs on this connection: stop it, or resume on another one")
		} else {
			h.resume(&w.request)
		}
		h.send(w.conn, delivery{op: deliverDone})
		return true
	})
}

// forgetAhead drops what a connection that has gone waited for.
func (h *hub) forgetAhead(c *conn) {
	h.waiting = slices.DeleteFunc(h.waiting, func(w aheadRequest) bool { return w.conn == c })
}
