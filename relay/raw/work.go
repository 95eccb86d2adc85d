package raw

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/gobwas/ws"
)

// work brings what the venue knows in line with what clients want, one message at a
// time and no faster than the venue allows. It returns when to look again.
func (h *Hub) work(ctx context.Context, now time.Time) time.Duration {
	for key, st := range h.streams {
		if len(st.members) == 0 && st.state == off {
			delete(h.streams, key)
		}
	}
	if len(h.streams) > 0 {
		h.usedAt = now
	}
	switch {
	case h.up == nil && len(h.streams) == 0:
		return time.Hour
	case h.up == nil && now.Before(h.dialAt):
		return h.dialAt.Sub(now)
	case h.up == nil:
		h.dialAt = now.Add(h.backoff)
		h.up, h.open = h.dial(ctx), false
		return time.Second
	case !h.open:
		return time.Second
	case now.Sub(h.usedAt) > idleFor:
		h.hangUp()
		return time.Hour
	case h.asked != nil && now.Sub(h.asked.at) > answerWithin:
		h.lost(errSilent)
		return turn
	case h.lim.ping != nil && now.Sub(h.pingAt) > pingEvery && now.Sub(h.sentAt) >= h.lim.every:
		h.pingAt, h.sentAt = now, now
		h.write(ws.OpText, h.lim.ping)
	case h.asked == nil && now.Sub(h.sentAt) >= h.lim.every:
		if h.ask(false, now) || h.ask(true, now) {
			return turn
		}
		if !h.waiting() {
			return time.Second
		}
	}
	return turn
}

// waiting reports whether a stream is to change.
func (h *Hub) waiting() bool {
	for _, st := range h.streams {
		if st.refresh || st.state != on || len(st.members) == 0 {
			return true
		}
	}
	return false
}

// ask sends one message that subscribes or gives up what is due, and reports whether
// there was any. A stream that needs a new snapshot is given up first.
func (h *Hub) ask(subscribe bool, now time.Time) bool {
	a := &asked{subscribe: subscribe, at: now}
	for key, st := range h.streams {
		due := st.state == off && len(st.members) > 0
		next := asking
		if !subscribe {
			again := st.refresh && now.Sub(st.since) >= refreshEvery
			due, next = st.state == on && (len(st.members) == 0 || again), dropping
			if due && again {
				h.Stats.Refreshes.Add(1)
			}
		}
		if !due {
			continue
		}
		st.state = next
		if a.keys = append(a.keys, key); len(a.keys) == h.lim.batch {
			break
		}
	}
	if len(a.keys) == 0 {
		return false
	}
	h.nextID++
	a.id = h.nextID
	h.asked, h.sentAt = a, now
	h.Stats.Requests.Add(1)
	h.write(ws.OpText, h.d.wire(subscribe, a.keys, a.id))
	return true
}

func (h *Hub) write(op ws.OpCode, p []byte) {
	if err := h.up.write(op, p); err != nil {
		h.lost(err)
	}
}

// upstream takes what the connection says.
func (h *Hub) upstream(e *upEvent) {
	switch {
	case e.err != nil:
		h.lost(e.err)
	case e.conn != nil:
		h.up.conn, h.open = e.conn, true
		h.pingAt = time.Now()
		h.Stats.Connects.Add(1)
		h.backoff = firstBackoff
		h.cfg.Log.Info("connected to the venue", "venue", h.cfg.Venue)
	case e.op == ws.OpPing:
		h.write(ws.OpPong, e.frame)
	default:
		h.frame(e.frame)
	}
}

func (h *Hub) hangUp() {
	h.up.cancel()
	h.up, h.open, h.asked = nil, false, nil
}

// lost closes all who had, or wanted, something of the connection: what they miss from
// now on nobody could tell them.
func (h *Hub) lost(err error) {
	was := h.open
	h.hangUp()
	h.Stats.Lost.Add(1)
	h.cfg.Log.Warn("the venue's connection is lost", "venue", h.cfg.Venue, "connected", was, "reason", err)
	for c, k := range h.clients {
		switch {
		case len(k.keys) == 0:
		case was:
			h.end(c, closeRestart, "upstream connection lost: subscribe again")
		default:
			h.end(c, closeTryLater, "the venue cannot be reached")
		}
	}
	clear(h.streams)
	h.dialAt = time.Now().Add(h.backoff/2 + rand.N(h.backoff/2))
	h.backoff = min(2*h.backoff, mostBackoff)
}

func (h *Hub) frame(frame []byte) {
	h.Stats.Frames.Add(1)
	v := h.d.judge(frame)
	switch v.kind {
	case isData:
		h.data(&v, frame)
	case isAck, isRefusal:
		a := h.asked
		if a == nil || v.id != 0 && v.id != a.id || v.id == 0 && v.key != "" && v.key != a.keys[0] {
			return
		}
		h.asked = nil
		for _, key := range a.keys {
			h.answered(a, key, &v)
		}
	}
}

// answered settles one stream of the message that the venue has answered.
func (h *Hub) answered(a *asked, key string, v *verdict) {
	st := h.streams[key]
	if st == nil {
		return
	}
	if !a.subscribe { // a stream that the venue does not know any more is off as well
		st.state, st.refresh = off, false
		return
	}
	if v.kind == isAck {
		st.state, st.since, st.refresh = on, time.Now(), false
		for _, m := range st.members {
			if m.waits != nil {
				h.done(m.waits, key)
				m.waits, m.active = nil, !h.d.snapshots(key)
			}
		}
		return
	}
	st.state = off
	for c, m := range st.members {
		h.leave(c, h.clients[c], key)
		if m.waits == nil {
			h.end(c, closeRestart, "the venue refused to renew a stream: subscribe again")
			continue
		}
		h.refused(m.waits, key, v.code, v.text)
	}
}

// data passes a frame on to the members of its stream.
func (h *Hub) data(v *verdict, frame []byte) {
	st := h.streams[v.key]
	if st == nil {
		return
	}
	var whole, bare []Client
	for c, m := range st.members {
		if v.snapshot && m.waits == nil {
			m.active = true
		}
		switch {
		case !m.active:
		case h.clients[c].bare && v.bare != nil:
			bare = append(bare, c)
		default:
			whole = append(whole, c)
		}
	}
	if len(whole) > 0 {
		h.cfg.Send(frame, whole)
	}
	if len(bare) > 0 {
		h.cfg.Send(v.bare, bare)
	}
	h.Stats.Deliveries.Add(uint64(len(whole) + len(bare)))
}
