package relay

import (
	"context"
	"slices"
	"time"
)

// A client that comes from another gateway of the same stream of records (over a bus,
// or during a take-over) may have been sent more than has arrived here. It is not told a
// gap and old messages once more: its resumption waits for this gateway to catch up.

const (
	aheadMost  = int64(time.Second) // how long it waits at most
	aheadLook  = 5 * time.Millisecond
	aheadConns = 256 // connections that wait at a time; further ones are served at once
)

// aheadRequest is a resumption that waits, and what its connection asked for after it:
// requests of one connection are answered in order. maxInflight bounds them.
type aheadRequest struct {
	request
	until int64 // mono ns
	look  int64 // mono ns, when to see again whether it has to wait
	at    int   // of resume, the first point that may still be ahead
	later []request
}

// ahead reports whether the resumption names a place that this gateway has not reached.
// Topics only go forward, so that a point is looked at until it is reached, and no more.
func (h *hub) ahead(w *aheadRequest) bool {
	for ; w.at < len(w.resume); w.at++ {
		p := &w.resume[w.at]
		t := h.byName[p.topic.String()]
		if t != nil && t.live && (p.epoch == t.epoch && p.seq > t.seq || p.epoch > t.epoch && t.epoch > 0) {
			return true
		}
	}
	return false
}

// holdAhead takes a request that has to wait and reports whether it has: a resumption
// that is ahead, or what comes behind it on its connection. Another token does not wait,
// and ends the waiting.
func (h *hub) holdAhead(r *request) bool {
	if r.waited || r.conn == nil || r.op > requestStop {
		return false
	}
	for i := range h.waiting {
		if w := &h.waiting[i]; w.conn == r.conn {
			w.later = append(w.later, *r)
			if r.op == requestAuth {
				w.until = h.now
			}
			return true
		}
	}
	if r.op != requestResume || len(h.waiting) >= aheadConns {
		return false
	}
	now := h.mono()
	w := aheadRequest{request: *r, until: now + aheadMost, look: now + int64(aheadLook)}
	if !h.ahead(&w) {
		return false
	}
	h.waiting = append(h.waiting, w)
	return true
}

// serveAhead serves what has waited long enough, or need not wait any more.
func (h *hub) serveAhead(ctx context.Context, waiters func(func())) {
	for i := 0; i < len(h.waiting) && !h.spent(); {
		w := &h.waiting[i]
		if h.now < w.until {
			wait := h.now < w.look
			if !wait {
				w.look = h.now + int64(aheadLook)
				wait = h.ahead(w)
			}
			if wait {
				i++
				continue
			}
		}
		done := *w
		h.waiting = slices.Delete(h.waiting, i, i+1)
		h.serveHeld(&done, ctx, waiters)
	}
}

// serveHeld serves a resumption and what came behind it, all with the rights that the
// connection has now: a token that was given up meanwhile grants nothing.
func (h *hub) serveHeld(w *aheadRequest, ctx context.Context, waiters func(func())) {
	grant := w.grant
	if n := len(w.later); n > 0 {
		grant = w.later[n-1].grant
	}
	w.grant, w.waited = grant, true
	h.request(&w.request, ctx, waiters)
	for i := range w.later {
		w.later[i].grant = grant
		h.request(&w.later[i], ctx, waiters) // a further resumption may wait in its turn
	}
}

// forgetAhead drops what a connection that has gone waited for.
func (h *hub) forgetAhead(c *conn) {
	h.waiting = slices.DeleteFunc(h.waiting, func(w aheadRequest) bool { return w.conn == c })
}
