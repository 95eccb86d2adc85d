package relay

import (
	"context"
	"strconv"

	"tickrelay/relay/auth"
	"tickrelay/ring"
	"tickrelay/ring/md"
)

// requestOp is what a shard, an HTTP handler or the gateway asks of the hub.
type requestOp uint8

const (
	requestSubscribe requestOp = iota
	requestResume
	requestUnsubscribe
	requestList
	requestAuth
	requestReplay
	requestStop
	requestRefresh  // a conflated subscriber has drained its queue
	requestGone     // the connection is closed
	requestCall     // run call in the hub's goroutine
	requestRing     // read another ring
	requestOpened   // a ring was opened that was gone
	requestAttach   // read the rings of a control socket
	requestAttached // they are there
	requestDetach   // they are to end together

	requestPastEnded // a replay is over
	requestMore      // more rings of relays are to be asked for, or are there
)

// request is a message to the hub.
type request struct {
	op       requestOp
	conn     *conn
	id       string // as the client wrote it: a JSON number or string
	patterns []md.Pattern
	opt      options
	from     uint64      // with refresh: the last number sent
	whole    bool        // with refresh: what changed since will not do
	grant    *auth.Grant // of conn
	token    string      // with auth
	resume   []resumePoint
	waited   bool // a resumption that is served although it may be ahead
	stream   uint32
	call     func(*hub)
	ring     *ring.Consumer
	path     *ringPath
	input    *input
	table    *md.TableView
	att      *attachment
	past     *pastQuery   // with replay
	ended    *pastRun     // with requestPastEnded
	end      *frame       // with requestPastEnded: the last message
	verb     string       // of the answer to subscribe, "" for "subscribed"
	rings    *ring.Poller // with requestAttached; with requestDetach and requestMore, which ones
	more     []*ring.Consumer
}

// client is what the hub knows of a connection that subscribed.
type client struct {
	streams  few[*topic, *stream]
	patterns few[md.Pattern, *patternHolders]
	points   map[string]resumePoint // of topics that do not exist yet
	policies map[*topic]policy      // other than policyConflate
	grant    *auth.Grant
	past     *pastRun // the replay that runs, nil if none
}

// patternKey is a pattern with options; all its holders are matched at once.
type patternKey struct {
	pattern md.Pattern
	opt     options
}

// patternHolders are the connections that hold a pattern.
type patternHolders struct {
	key   patternKey
	conns map[*conn]struct{}
}

func (h *hub) request(r *request, ctx context.Context, waiters func(func())) {
	if h.holdAhead(r) {
		return
	}
	switch r.op {
	case requestSubscribe, requestResume:
		if k := h.clients[r.conn]; k != nil && k.past != nil {
			h.refuse(r.conn, r.id, codeBusy, "a replay runs on this connection: stop it, or subscribe on another one")
		} else if r.op == requestSubscribe {
			h.subscribe(r)
		} else {
			h.resume(r)
		}
	case requestReplay:
		h.beginPast(r, ctx, waiters)
	case requestStop:
		h.stopPast(r)
	case requestPastEnded:
		h.endPast(r)
	case requestUnsubscribe:
		h.unsubscribe(r)
	case requestList:
		h.list(r)
	case requestAuth:
		h.authorized(r)
	case requestRefresh:
		h.refresh(r)
	case requestGone:
		h.forgetAhead(r.conn)
		h.gone(r.conn)
	case requestCall:
		r.call(h)
	case requestRing:
		h.addInput(r, ctx, waiters)
	case requestOpened:
		h.opened(r)
	case requestAttach:
		h.seek(r.att, ctx, waiters)
	case requestAttached:
		h.attached(r, ctx, waiters)
	case requestMore:
		if r.att == nil {
			h.more(ctx, waiters)
		} else {
			h.moreAttached(r, ctx, waiters)
		}
	case requestDetach:
		if r.att.rings == r.rings && r.rings != nil {
			h.detach(r.att, ctx, waiters)
		}
	}
	if r.conn != nil && r.op <= requestStop {
		h.send(r.conn, delivery{op: deliverDone})
	}
}

func (h *hub) send(c *conn, d delivery) {
	d.conn = c
	c.shard.staged = append(c.shard.staged, d)
}

// answer sends one text frame to one connection.
func (h *hub) answer(c *conn, payload []byte) {
	h.send(c, delivery{op: deliverAnswer, frame: textFrame(payload)})
}

func (h *hub) refuse(c *conn, id, code, message string) {
	h.stats.errors.add(code)
	h.answer(c, appendError(nil, id, code, message))
}

// clientOf finds or makes what is known of the connection of r, with the grant that it
// has now.
func (h *hub) clientOf(r *request) *client {
	k := h.clients[r.conn]
	if k == nil {
		k = &client{}
		h.clients[r.conn] = k
	}
	k.grant = r.grant
	return k
}

// subscribe answers with the positions of all topics that match now, brings the
// connection to them, and remembers the patterns for topics to come.
func (h *hub) subscribe(r *request) {
	k := h.clientOf(r)
	if !h.permits(r) {
		return
	}
	topics := h.match(r.patterns, r.grant)
	if !h.room(r, k, topics) {
		return
	}
	joined := make([]*stream, 0, len(topics))
	for _, t := range topics {
		st := h.streamOf(t, r.opt)
		if st == nil {
			h.refuse(r.conn, r.id, codeLimit, t.name+": "+strconv.Itoa(h.limits.MaxWindows)+
				" other pairs of depth and conflate_ms are in use on this topic")
			return
		}
		joined = append(joined, st)
	}
	for _, p := range r.patterns {
		h.hold(r.conn, k, patternKey{p, r.opt})
	}
	h.join(r, k, joined, nil)
}

// room refuses what would exceed the connection's topics or patterns.
func (h *hub) room(r *request, k *client, topics []*topic) bool {
	n := k.streams.len()
	for _, t := range topics {
		if k.streams.get(t) == nil {
			n++
		}
	}
	if n > h.limits.MaxTopics || k.patterns.len()+len(r.patterns) > h.limits.MaxTopics {
		h.refuse(r.conn, r.id, codeLimit, "more than "+strconv.Itoa(h.limits.MaxTopics)+" topics or patterns")
		return false
	}
	return true
}

// join moves a connection onto streams: the answer, what a binary reader needs,
// and per stream what brings it to the position. missed gives the streams whose
// reader was told a position before, nil for a plain subscription.
func (h *hub) join(r *request, k *client, joined []*stream, missed map[*stream]resumePoint) {
	c := r.conn
	verb := "subscribed"
	if r.verb != "" {
		verb = r.verb
	}
	out := append([]byte(`{"op":"`+verb+`"`), appendID(nil, r.id)...)
	out = append(out, `,"topics":{`...)
	now := make([]opening, len(joined))
	for i, st := range joined {
		// Before its position is told: this may bring the stream up to date.
		if _, ok := missed[st]; !ok {
			now[i] = h.opening(st, c.format)
		} else if st.opt != (options{}) {
			now[i] = h.opening(st, c.format.plain())
		}
		if i > 0 {
			out = append(out, ',')
		}
		at := st.t.seq
		if p, ok := missed[st]; ok {
			at = st.t.startsAt(p)
		}
		out = st.t.appendPosition(out, at)
	}
	out = append(out, '}')
	if r.past != nil {
		out = append(strconv.AppendInt(append(out, `,"from":"`...), r.past.from, 10), `","to":"`...)
		out = append(strconv.AppendInt(out, r.past.to, 10), '"')
	}
	h.answer(c, append(out, '}'))
	h.preamble(c, joined)
	for i, st := range joined {
		if old := k.streams.get(st.t); old != nil {
			h.leave(c, old)
		}
		k.streams.set(st.t, st)
		k.setPolicy(st.t, r.opt.policy)
		st.add(1, c.format, c.shard.index)
		delete(k.points, st.topic)
		d := delivery{op: deliverSubscribe, stream: st.id, info: &st.streamInfo, policy: r.opt.policy}
		if p, ok := missed[st]; ok {
			h.catchUp(c, &d, st, p, now[i])
		} else {
			d.frame, d.owed, d.from = now[i].frame, now[i].owed, st.t.seq
		}
		h.send(c, d)
	}
}

// missing counts the numbers first … last, as far as a gap can say it.
func missing(first, last uint64) uint32 {
	return uint32(min(last-first+1, md.UnknownMissing-1))
}

// hiddenIn is how much more a gap counts than the numbers that it takes.
func hiddenIn(gap *md.Record) uint32 {
	if gap.Count == md.UnknownMissing {
		return md.UnknownMissing
	}
	return uint32(max(0, int64(gap.Count)-int64(gap.Seq+1-gap.ID)))
}

// addMissing adds two counts of what is missing, each of which may not be known.
func addMissing(a, b uint32) uint32 {
	if a == md.UnknownMissing || b == md.UnknownMissing {
		return md.UnknownMissing
	}
	return uint32(min(uint64(a)+uint64(b), md.UnknownMissing-1))
}

// preamble gives a binary reader the instrument entries and epochs of what follows.
func (h *hub) preamble(c *conn, joined []*stream) {
	if c.format.plain() != formatBinary || len(joined) == 0 {
		return
	}
	var entries []md.Instrument
	var epochs []md.Record
	seen := map[uint32]bool{}
	venues := map[md.Venue]bool{}
	for _, st := range joined {
		if !seen[st.instrument] {
			seen[st.instrument] = true
			if in, ok := h.table.Get(st.instrument); ok {
				entries = append(entries, in)
			}
		}
		if st.t.series != nil {
			// Candles count in an epoch of this gateway: told of their venue, it would
			// void everything else of it.
			epochs = append(epochs, md.Record{Kind: md.KindHeartbeat, Flags: md.FlagFirst | md.FlagLast, Venue: st.venue,
				Instrument: st.instrument, Seq: st.t.seq, TsRecv: h.wall(), ID: uint64(st.t.epoch), Side: uint8(st.channel)})
			continue
		}
		if !venues[st.venue] {
			venues[st.venue] = true
			epochs = append(epochs, md.Record{Kind: md.KindHeartbeat, Flags: md.FlagFirst | md.FlagLast,
				Venue: st.venue, TsRecv: h.wall(), ID: uint64(st.t.epoch)})
		}
	}
	h.send(c, delivery{op: deliverAnswer, frame: instrumentsFrame(entries)})
	h.send(c, delivery{op: deliverAnswer, frame: h.encodeBinary(0, epochs)})
}

// leave takes a connection off a stream.
func (h *hub) leave(c *conn, st *stream) {
	st.add(-1, c.format, c.shard.index)
	h.send(c, delivery{op: deliverDrop, stream: st.id})
}

// unsubscribe drops the topics that the patterns select and the patterns they cover.
func (h *hub) unsubscribe(r *request) {
	k := h.clients[r.conn]
	out := append([]byte(`{"op":"unsubscribed"`), appendID(nil, r.id)...)
	out = append(out, `,"topics":[`...)
	n := 0
	if k != nil {
		for _, p := range k.patterns.all() {
			if covers(r.patterns, p.key.pattern) {
				h.release(r.conn, k, p)
			}
		}
		for name := range k.points {
			if matchAny(r.patterns, name) {
				delete(k.points, name)
			}
		}
		for _, t := range h.matchAll(r.patterns) {
			st := k.streams.get(t)
			if st == nil {
				continue
			}
			k.streams.delete(t)
			delete(k.policies, t)
			h.leave(r.conn, st)
			if n++; n > 1 {
				out = append(out, ',')
			}
			out = append(out, t.quoted...)
		}
	}
	h.answer(r.conn, append(out, "]}"...))
}

// list answers with every topic that exists and is granted.
func (h *hub) list(r *request) {
	out := append([]byte(`{"op":"list"`), appendID(nil, r.id)...)
	out = append(out, `,"topics":`...)
	h.answer(r.conn, append(h.appendTopics(out, r.grant), '}'))
}

func (h *hub) appendTopics(dst []byte, g *auth.Grant) []byte {
	dst = append(dst, '{')
	for _, t := range h.topics {
		if !t.live || !g.Topic(t.name) {
			continue
		}
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = t.appendPosition(dst, t.seq)
	}
	return append(dst, '}')
}

// gone forgets a connection.
func (h *hub) gone(c *conn) {
	k := h.clients[c]
	if k == nil {
		return
	}
	k.leavePast()
	for _, st := range k.streams.all() {
		st.add(-1, c.format, c.shard.index)
	}
	for _, p := range k.patterns.all() {
		h.release(c, k, p)
	}
	delete(h.clients, c)
}
