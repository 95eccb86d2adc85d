package relay

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
	"github.com/valyala/fastjson"

	"tickrelay/nettune"
	"tickrelay/relay/auth"
	passthrough "tickrelay/relay/raw"
)

// shard is one fan-out loop: a poller and the connections on it.
type shard struct {
	index     int
	limits    Limits
	poller    nettune.Poller
	hub       *hub
	offenders *offenders // nil if nobody asks
	places    *clients   // the gateway's count of connections; nil in a shard without one
	admit     func(token string) (*auth.Grant, error)
	raws      []*passthrough.Hub // the gateway's
	inbox     inbox[delivery]
	staged    []delivery // the hub's: what it will put into inbox next
	calls     inbox[func()]
	stats     shardStats
	mono      func() int64
	turns     atomic.Uint64

	now     int64 // mono ns at the start of the turn
	conns   []*conn
	streams [][]*sub // subscribers by stream
	dirty   []*conn  // with something to send
	swept   int      // where the last round over conns stopped
	sweepAt int64
	asks    []request // for the hub, handed over once per turn

	buf      []byte // of reads
	gather   []byte // of writes
	gathered []*frame
	runs     [numFormats]run    // of deliverRun
	queues   [][]queued         // spare
	pasts    map[*conn]*pastRun // replays of connections, where conn.replaying
	parser   fastjson.Parser
	unpacker unpacker
	ping     *frame
	retire   int64 // mono ns by which everybody is to have gone, 0 if not
	draining int64 // mono ns until which goodbyes may take, 0 if not draining
}

const (
	gatherSize = 256 << 10
	queueCap   = 16
	sweepEvery = 100 * time.Millisecond
	sweepStep  = 2048 // connections looked at in one sweep
)

func newShard(index int, cfg *Config, h *hub) (*shard, error) {
	p, err := cfg.Transport.NewPoller(nettune.PollerConfig{})
	if err != nil {
		return nil, fmt.Errorf("relay: shard %d: %w", index, err)
	}
	s := &shard{index: index, limits: cfg.Limits, poller: p, hub: h, mono: h.mono,
		buf:    make([]byte, cfg.Limits.MaxMessage+ws.MaxHeaderSize+16<<10),
		gather: make([]byte, 0, gatherSize), ping: controlFrame(ws.OpPing, nil)}
	s.inbox.wake, s.calls.wake = p.Wake, p.Wake
	return s, nil
}

// run is the shard's goroutine.
func (s *shard) run(ctx context.Context) error {
	defer s.closeAll()
	var events []nettune.Event
	var spare []delivery
	stop := context.AfterFunc(ctx, s.poller.Wake)
	defer stop()
	for {
		var err error
		events, err = s.poller.Poll(events[:0], s.wait())
		if err != nil {
			return fmt.Errorf("relay: shard %d: %w", s.index, err)
		}
		s.turns.Add(1)
		s.now = s.mono()
		for i := range events {
			s.ready(&events[i])
		}
		clear(events)
		spare = s.inbox.take(spare)
		s.deliverAll(spare)
		if s.calls.len() > 0 {
			for _, call := range s.calls.take(nil) {
				call()
			}
		}
		s.flushDirty()
		s.delivered(spare)
		if s.now >= s.sweepAt {
			s.sweepAt = s.now + int64(sweepEvery)
			s.sweep()
		}
		s.hub.inbox.put(s.asks...)
		clear(s.asks)
		s.asks = s.asks[:0]
		if ctx.Err() != nil && s.drained() {
			return nil
		}
	}
}

// wait is how long Poll may sleep: until the next sweep if there is anybody.
func (s *shard) wait() time.Duration {
	switch {
	case len(s.dirty) > 0 || s.inbox.len() > 0 || s.calls.len() > 0:
		return 0
	case len(s.conns) == 0 && s.draining == 0:
		return -1
	}
	return sweepEvery
}

// drained says goodbye to everybody once, then reports whether all have gone or the
// time is over.
func (s *shard) drained() bool {
	if s.draining == 0 {
		s.draining = s.now + int64(s.limits.DrainTimeout)
		for i := len(s.conns) - 1; i >= 0; i-- {
			s.goodbye(s.conns[i])
		}
		s.flushDirty()
	}
	return len(s.conns) == 0 || s.now >= s.draining
}

// goodbye lets a connection have what is queued for it, then the close frame.
func (s *shard) goodbye(c *conn) {
	if c.state != connOpen {
		return
	}
	s.leaveAll(c)
	c.push(closeFrame(ws.StatusGoingAway, "the relay is shutting down"), nil)
	s.closing(c, closedDrain)
	c.deadline = s.draining
}

func (s *shard) closeAll() {
	for len(s.conns) > 0 {
		s.drop(s.conns[len(s.conns)-1], closedDrain)
	}
	for _, d := range s.inbox.take(nil) {
		if d.op == deliverAdopt {
			s.gone(d.conn)
		}
	}
	s.poller.Close()
}

// ask queues a request for the hub.
func (s *shard) ask(r request) { s.asks = append(s.asks, r) }

func (s *shard) ready(e *nettune.Event) {
	c, _ := e.Stream.Data().(*conn)
	if c == nil || c.state == connClosed {
		return
	}
	if e.Flags&nettune.Closed != 0 {
		s.drop(c, closedLost)
		return
	}
	if e.Flags&nettune.Readable != 0 {
		s.read(c)
	}
	if e.Flags&nettune.Writable != 0 && c.state != connClosed {
		s.flush(c)
	}
}

// deliver does what the hub or the acceptor says.
func (s *shard) deliver(d *delivery) {
	if d.op == deliverEvent {
		s.fanOut(d)
		return
	}
	if d.op == deliverRetire {
		s.retireAll(time.Duration(d.from))
		return
	}
	c := d.conn
	if d.op == deliverAdopt {
		s.adopt(c, d.frame)
		return
	}
	if c.state != connOpen {
		return
	}
	switch d.op {
	case deliverPastBegin:
		if s.pasts == nil {
			s.pasts = map[*conn]*pastRun{}
		}
		c.replaying, s.pasts[c] = true, d.past
	case deliverPast:
		s.deliverPast(d)
	case deliverClose:
		s.rawEnd(c, d.frame)
	case deliverAnswer:
		c.answer(d.frame)
	case deliverDone:
		c.inflight--
	case deliverSubscribe:
		sb := s.join(c, d.info)
		sb.policy = d.policy
		if d.frame != nil {
			c.event(sb, d.frame)
		}
		if d.owed && c.state == connOpen {
			c.owe(sb, d.from)
		}
		if d.rebase && !sb.stale {
			sb.rebase, sb.from = true, d.from
		}
	case deliverEpoch:
		if sb := c.subs.get(d.stream); sb != nil {
			c.turnEpoch(sb, d.ended, d.from)
		}
	case deliverDrop:
		if sb := c.subs.get(d.stream); sb != nil {
			c.settle(sb)
			s.leave(sb)
		}
	case deliverRefresh:
		if sb := c.subs.get(d.stream); sb != nil {
			c.refresh(sb, d.frame)
		}
	}
}

// fanOut queues an event for its subscribers.
func (s *shard) fanOut(d *delivery) {
	if int(d.stream) >= len(s.streams) {
		return
	}
	subs := s.streams[d.stream]
	for i := 0; i < len(subs); i++ {
		sb := subs[i]
		if f := d.frames[sb.c.format]; f != nil {
			sb.c.event(sb, f)
			// A connection that was given up left the list: look again here.
			if subs = s.streams[d.stream]; i < len(subs) && subs[i] != sb {
				i--
			}
		}
	}
}

func (s *shard) join(c *conn, info *streamInfo) *sub {
	for int(info.id) >= len(s.streams) {
		s.streams = append(s.streams, nil)
	}
	sb := &sub{c: c, info: info, pos: len(s.streams[info.id])}
	s.streams[info.id] = append(s.streams[info.id], sb)
	c.subs.set(info.id, sb)
	return sb
}

// leave takes a subscription out. What is queued for it stays queued: it was sent
// before the answer that ends the subscription.
func (s *shard) leave(sb *sub) {
	id := sb.info.id
	list := s.streams[id]
	last := len(list) - 1
	list[sb.pos] = list[last]
	list[sb.pos].pos = sb.pos
	list[last] = nil
	s.streams[id] = list[:last]
	sb.c.subs.delete(id)
	sb.stale, sb.missedTo = false, 0
	sb.c.answered(sb)
}

func (s *shard) leaveAll(c *conn) {
	for _, sb := range c.subs.all() {
		s.leave(sb)
	}
	c.subs, c.debt = few[uint32, *sub]{}, nil
	if c.replaying {
		c.replaying = false
		delete(s.pasts, c)
	}
	if c.raw != 0 {
		s.raws[c.raw-1].Gone(c)
	}
	if c.known {
		c.known = false
		s.ask(request{op: requestGone, conn: c})
	}
}

// adopt takes a connection; target is what a passthrough client asked for.
func (s *shard) adopt(c *conn, target *frame) {
	if err := s.poller.Adopt(c.stream); err != nil || s.draining != 0 {
		s.gone(c)
		s.stats.adopted.Add(1)
		s.stats.closed[closedLost].Add(1)
		return
	}
	c.stream.SetData(c)
	c.index = len(s.conns)
	c.lastSeen, c.refilled = s.now, s.now
	if s.retire != 0 {
		c.deadline = s.now
	}
	c.tokens = float32(s.limits.RequestBurst)
	s.conns = append(s.conns, c)
	s.stats.adopted.Add(1)
	s.stats.open.Add(1)
	if c.raw != 0 {
		s.rawAdopt(c, target.data)
	}
	if head := c.in; len(head) > 0 {
		c.in = nil
		s.input(c, head, true)
	}
}

// gone closes a connection's stream and gives its place back.
func (s *shard) gone(c *conn) {
	c.stream.Close()
	if s.places != nil {
		s.places.leave(c.client)
	}
}

// drop ends a connection at once.
func (s *shard) drop(c *conn, reason closeReason) {
	if c.state == connClosed {
		return
	}
	if c.state == connOpen {
		s.stats.closed[reason].Add(1)
		s.offenders.closed(c.stream, reason)
	}
	s.leaveAll(c)
	c.state = connClosed
	c.stream.SetData(nil)
	s.gone(c)
	s.giveQueue(c)
	last := len(s.conns) - 1
	s.conns[c.index] = s.conns[last]
	s.conns[c.index].index = c.index
	s.conns[last] = nil
	s.conns = s.conns[:last]
	s.stats.open.Add(-1)
}

// close fails or ends a connection with a close frame. What waits for a slow one is
// given up, save the frame that is half sent; others get what is queued first.
func (s *shard) close(c *conn, code ws.StatusCode, text string, reason closeReason) {
	if c.state != connOpen {
		return
	}
	s.leaveAll(c)
	if reason == closedSlow || reason == closedPolicy {
		c.giveUp()
	}
	c.push(closeFrame(code, text), nil)
	s.closing(c, reason)
}

// closing marks that the close frame is queued as the last.
func (s *shard) closing(c *conn, reason closeReason) {
	s.stats.closed[reason].Add(1)
	s.offenders.closed(c.stream, reason)
	c.state = connClosing
	c.deadline = s.now + int64(s.limits.CloseTimeout)
}

// read takes what one connection has sent, at most a buffer of it per turn.
func (s *shard) read(c *conn) {
	n, _, err := c.stream.Read(s.buf)
	if n > 0 {
		c.lastSeen, c.pingSent = s.now, 0
		if held := c.in; c.deaf {
			c.in = nil
		} else if c.in = nil; held == nil {
			s.input(c, s.buf[:n], false)
		} else {
			s.input(c, append(held, s.buf[:n]...), true)
		}
	}
	if err != nil && !errors.Is(err, nettune.ErrWouldBlock) {
		s.drop(c, closedLost)
	}
}
