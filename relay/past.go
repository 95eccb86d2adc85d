package relay

import (
	"context"
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/valyala/fastjson"

	"tickrelay/ring/md"
)

// Archive is what was recorded, for {"op":"replay"}. Its methods are called from
// any goroutine, several at a time.
type Archive interface {
	// Scan calls f with the events of the topics selected (patterns as NATS subjects)
	// in order of Time, From ≤ Time < To, until f fails or ctx ends.
	Scan(ctx context.Context, topics []string, from, to int64, f func(e *PastEvent) error) error
	// KeyFrame is a time not after t from which a Scan brings the state of every topic
	// by t.
	KeyFrame(t int64) int64
}

// PastEvent is one event of an Archive: a whole live event, a gap, a topic's
// heartbeat, or a piece of a snapshot.
type PastEvent struct {
	Topic md.Topic
	// Instrument is its entry then; the numbers of instruments are the archive's own.
	Instrument *md.Instrument
	Epoch      int64
	Time       int64 // ns since 1970 UTC
	Records    []md.Record
}

// pastQuery is what a client asked for.
type pastQuery struct {
	topics   []string
	from, to int64
	speed    float64 // times the recorded pace; 0: as fast as it is read
}

// maxPastWindow bounds what a replay may have on its way to one client, in frames
// and bytes; past it the archive is not read on.
const (
	maxPastFrames = 256
	maxPastBytes  = 1 << 20
)

// pastRun is a replay under way. The hub begins it, its own goroutine makes it,
// the shard sends it.
type pastRun struct {
	conn   *conn
	id     string // of the request
	query  pastQuery
	cancel context.CancelFunc

	stopped atomic.Bool   // by the client
	onWay   atomic.Int64  // bytes between the run and the connection's queue
	frames  atomic.Int64  // frames likewise
	queued  atomic.Int64  // bytes in the connection's queue
	waiting atomic.Int64  // frames in the connection's queue
	moved   chan struct{} // something was sent
}

// full reports whether the client has enough to read.
func (p *pastRun) full() bool {
	return p.onWay.Load()+p.queued.Load() > maxPastBytes || p.frames.Load()+p.waiting.Load() > maxPastFrames
}

// sent is the shard's: the queue has changed.
func (p *pastRun) sent(c *conn) {
	p.queued.Store(int64(c.bytes))
	p.waiting.Store(int64(c.messages()))
	select {
	case p.moved <- struct{}{}:
	default:
	}
}

// pastOf reads the request.
func pastOf(v *fastjson.Value, r *request, l *Limits, now int64) (err *badRequest) {
	if r.opt, err = optionsOf(v); err != nil {
		return err
	}
	if r.patterns, err = patternsOf(v, "topics", l); err != nil {
		return err
	}
	q := &pastQuery{speed: 1}
	for i := range r.patterns {
		name := r.patterns[i].String()
		if candlePattern(name) {
			return bad(codeUnsupported, name+": candles are not recorded; HTTP has those of the last day")
		}
		q.topics = append(q.topics, name)
	}
	if q.from, err = timeOf(v, "from", 0); err != nil {
		return err
	}
	if q.to, err = timeOf(v, "to", now); err != nil {
		return err
	}
	if q.from == 0 || q.from >= q.to {
		return bad(codeOption, "from must be a time before to")
	}
	if x := v.Get("speed"); x != nil && x.Type() != fastjson.TypeNull {
		n, e := x.Float64()
		switch {
		case x.Type() == fastjson.TypeString && string(x.GetStringBytes()) == "max":
			q.speed = 0
		case e != nil || !(n > 0) || n > 1e9 || math.IsNaN(n):
			return bad(codeOption, `speed must be a number above 0, or "max"`)
		default:
			q.speed = n
		}
	}
	r.past = q
	return nil
}

// candlePattern reports whether a pattern names a channel of candles.
func candlePattern(s string) bool {
	t, err := md.ParseTopic(s)
	return err == nil && (t.Channel == md.ChannelCandles1s || t.Channel == md.ChannelCandles1m)
}

// timeOf reads a time: a string of ns since 1970 UTC, or RFC 3339.
func timeOf(v *fastjson.Value, key string, missing int64) (int64, *badRequest) {
	x := v.Get(key)
	if x == nil || x.Type() == fastjson.TypeNull {
		return missing, nil
	}
	wrong := bad(codeOption, key+` must be a string: ns since 1970 UTC, or a time such as "2026-11-28T15:00:00Z"`)
	if x.Type() != fastjson.TypeString {
		return 0, wrong
	}
	s := string(x.GetStringBytes())
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n > 0 {
		return n, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() < 1971 || t.Year() > 2261 {
		return 0, wrong
	}
	return t.UnixNano(), nil
}

// beginPast starts a replay for a connection that has no live topics. Hub only.
func (h *hub) beginPast(r *request, ctx context.Context, waiters func(func())) {
	k := h.clientOf(r)
	switch {
	case h.archive == nil:
		h.refuse(r.conn, r.id, codeUnsupported, "no recording is served here")
		return
	case k.past != nil:
		h.refuse(r.conn, r.id, codeBusy, "a replay runs on this connection")
		return
	case k.streams.len() > 0 || k.patterns.len() > 0 || len(k.points) > 0:
		h.refuse(r.conn, r.id, codeBusy, "the connection has subscriptions: unsubscribe, or replay on a connection of its own")
		return
	case !h.permits(r):
		return
	case int(h.stats.pasts.Load()) >= h.limits.MaxReplays:
		h.refuse(r.conn, r.id, codeLimit, strconv.Itoa(h.limits.MaxReplays)+" replays run already; try again later")
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	p := &pastRun{conn: r.conn, id: r.id, query: *r.past, cancel: cancel, moved: make(chan struct{}, 1)}
	k.past = p
	h.stats.pasts.Add(1)
	req := *r
	limits, archive, log := h.limits, h.archive, h.log
	waiters(func() {
		defer cancel()
		// Before its first frames, which do not wait for the end of the hub's turn: a run
		// that the shard does not know would never hear that they were sent.
		p.conn.shard.inbox.put(delivery{op: deliverPastBegin, conn: p.conn, past: p})
		made := newPastMaker(p, &req, limits)
		end := made.run(ctx, archive, log)
		h.stats.pastEvents.Add(made.events)
		h.inbox.put(request{op: requestPastEnded, conn: p.conn, ended: p, end: end})
	})
}

// endPast takes the end of a replay: the connection may subscribe again, and is
// told so.
func (h *hub) endPast(r *request) {
	h.stats.pasts.Add(-1)
	if k := h.clients[r.conn]; k != nil && k.past == r.ended {
		k.past = nil
		h.send(r.conn, delivery{op: deliverPast, frame: r.end, past: r.ended, last: true})
	}
}

// stopPast has a connection's replay end; replay_end says when it has.
func (h *hub) stopPast(r *request) {
	k := h.clients[r.conn]
	if k == nil || k.past == nil {
		h.refuse(r.conn, r.id, codeRequest, "no replay runs on this connection")
		return
	}
	k.past.stopped.Store(true)
	k.past.cancel()
	h.answer(r.conn, append(appendID([]byte(`{"op":"stopped"`), r.id), '}'))
}

// leavePast ends the replay of a connection that has gone, or whose rights have
// changed.
func (k *client) leavePast() {
	if k.past != nil {
		k.past.cancel()
	}
}
