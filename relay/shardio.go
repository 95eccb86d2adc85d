package relay

import (
	"errors"
	"fmt"
	"time"

	"github.com/gobwas/ws"

	"tickrelay/nettune"
)

// input works through bytes of a client; what is incomplete is kept, in place if b is
// the connection's own.
func (s *shard) input(c *conn, b []byte, own bool) {
	given := len(b)
	for c.state != connClosed && !c.heard && !c.deaf {
		m, used, err := c.asm.next(b, s.limits.MaxMessage)
		if errors.Is(err, errIncomplete) {
			break
		}
		var bad *protocolError
		if errors.As(err, &bad) {
			s.fail(c, bad)
			return
		}
		b = b[used:]
		if m.op == ws.OpText {
			c.begun = 0
		}
		if m.op != 0 {
			s.message(c, m)
		}
	}
	switch {
	case c.state == connClosed || c.heard || c.deaf:
		return
	case len(b) == 0 && !c.asm.partial:
		c.begun = 0
	case c.begun == 0:
		c.begun = max(1, s.millis())
	}
	if own && len(b) == given {
		c.in = b // nothing was used: a frame that comes byte by byte is not copied each time
	} else if len(b) > 0 {
		c.in = append([]byte(nil), b...)
	}
}

// millis is the clock of conn.begun, which wraps after 49 days.
func (s *shard) millis() uint32 { return uint32(s.now / int64(time.Millisecond)) }

// fail ends a connection that violates the protocol (RFC 6455, section 7.1.7).
func (s *shard) fail(c *conn, bad *protocolError) {
	if c.state != connOpen {
		s.drop(c, closedProtocol)
		return
	}
	reason := closedProtocol
	switch bad.code {
	case ws.StatusMessageTooBig:
		reason = closedTooBig
	case ws.StatusInvalidFramePayloadData:
		reason = closedUTF8
	case ws.StatusUnsupportedData:
		reason = closedUnsupported
	case ws.StatusPolicyViolation:
		reason = closedRate
	}
	s.close(c, bad.code, bad.text, reason)
	// What follows is still read, so that closing the socket does not reset it
	// before the peer has seen why.
	c.deaf = true
}

func (s *shard) message(c *conn, m message) {
	switch m.op {
	case ws.OpPing, ws.OpPong:
		switch {
		case c.state != connOpen:
		case !s.allowed(c):
			s.flooded(c)
		case m.op == ws.OpPing && !c.pong:
			c.pong = true
			c.answer(controlFrame(ws.OpPong, m.payload))
		}
	case ws.OpClose:
		s.peerCloses(c, m.payload)
	case ws.OpText:
		if c.state == connOpen {
			if m.packed && !s.unpack(c, &m) {
				return
			}
			if c.raw != 0 {
				s.rawText(c, m.payload)
				return
			}
			s.serve(c, m.payload)
		}
	}
}

// unpack inflates a compressed message; false: the connection fails.
func (s *shard) unpack(c *conn, m *message) bool {
	var err error
	m.payload, err = s.unpacker.unpack(m.payload, s.limits.MaxMessage)
	var bad *protocolError
	if errors.As(err, &bad) {
		s.fail(c, bad)
	}
	return err == nil
}

// peerCloses answers a close frame, or takes it as the answer to ours.
func (s *shard) peerCloses(c *conn, payload []byte) {
	code, err := parseClose(payload)
	var bad *protocolError
	if errors.As(err, &bad) {
		s.fail(c, bad)
		return
	}
	if c.state == connOpen {
		s.close(c, code, "", closedClient)
	}
	c.heard = true
	if c.messages() == 0 {
		s.drop(c, closedClient)
	}
}

func (s *shard) flushDirty() {
	for i := 0; i < len(s.dirty); i++ {
		c := s.dirty[i]
		s.dirty[i] = nil
		c.dirty = false
		if c.state != connClosed && !c.blocked {
			s.flush(c)
		}
	}
	s.dirty = s.dirty[:0]
}

// flush writes all that is queued, gathered into as few writes as fit the buffer.
func (s *shard) flush(c *conn) {
	for c.messages() > 0 {
		b := s.gatherQueue(c)
		n, err := c.stream.Write(b)
		s.stats.writes.Add(1)
		s.sent(c, n)
		if n == len(b) {
			continue
		}
		if err != nil && !errors.Is(err, nettune.ErrWouldBlock) {
			s.drop(c, closedLost)
			return
		}
		if !c.blocked {
			c.blocked = true
			c.stream.WantWrite(true)
		}
		return
	}
	s.giveQueue(c)
	if c.blocked {
		c.blocked = false
		c.stream.WantWrite(false)
	}
	c.slowSince = 0
	switch {
	case c.state == connClosing && c.heard:
		s.drop(c, closedClient)
	case c.state == connOpen:
		c.makeGood()
	}
}

// gatherQueue returns the bytes to write next: a frame alone in place, several
// copied together. Connections that wait for the same frames share the copy.
func (s *shard) gatherQueue(c *conn) []byte {
	q := c.queue[c.head:]
	if len(q) == 1 || len(q[0].f.data) >= gatherSize {
		return q[0].f.data[c.headOff:]
	}
	if c.headOff == 0 && s.isGathered(q) {
		return s.gather
	}
	s.gather, s.gathered = s.gather[:0], s.gathered[:0]
	off := c.headOff
	for i := range q {
		data := q[i].f.data[off:]
		if len(s.gather)+len(data) > gatherSize {
			break
		}
		s.gather = append(s.gather, data...)
		s.gathered = append(s.gathered, q[i].f)
		off = 0
	}
	if c.headOff > 0 {
		s.gathered = s.gathered[:0]
	}
	return s.gather
}

// isGathered reports whether gather holds exactly these frames.
func (s *shard) isGathered(q []queued) bool {
	if len(q) != len(s.gathered) {
		return false
	}
	for i := range q {
		if q[i].f != s.gathered[i] {
			return false
		}
	}
	return true
}

// sent takes n written bytes off the queue.
func (s *shard) sent(c *conn, n int) {
	c.bytes -= n
	s.stats.bytes.Add(uint64(n))
	if c.replaying && n > 0 {
		c.lastSeen, c.pingSent = s.now, 0 // it reads: whether it answers a ping behind all that is no question
	}
	n += c.headOff
	frames := uint64(0)
	for c.head < len(c.queue) {
		f := c.queue[c.head].f
		if n < len(f.data) {
			break
		}
		n -= len(f.data)
		if c.queue[c.head].sub == nil && f.data[0]&0x0f == byte(ws.OpPong) {
			c.pong = false
		}
		if f.plain != nil {
			s.stats.saved.Add(f.saved())
		}
		c.queue[c.head] = queued{}
		c.head++
		frames++
	}
	c.headOff = n
	if c.replaying {
		s.pasts[c].sent(c)
	}
	s.stats.messages[c.format].Add(frames)
	if c.head > 1024 && c.head*2 > len(c.queue) {
		left := copy(c.queue, c.queue[c.head:])
		clear(c.queue[left:])
		c.queue, c.head = c.queue[:left], 0
	}
}

// takeQueue and giveQueue lend queues to connections that have something to send,
// so that idle ones hold none.
func (s *shard) takeQueue() []queued {
	if n := len(s.queues); n > 0 {
		q := s.queues[n-1]
		s.queues[n-1] = nil
		s.queues = s.queues[:n-1]
		return q
	}
	return make([]queued, 0, queueCap)
}

func (s *shard) giveQueue(c *conn) {
	if c.queue == nil {
		return
	}
	if cap(c.queue) <= 4*queueCap {
		clear(c.queue)
		s.queues = append(s.queues, c.queue[:0])
	}
	c.queue, c.head, c.headOff, c.bytes = nil, 0, 0, 0
}

// sweep looks at some connections' clocks.
func (s *shard) sweep() {
	for range min(sweepStep, len(s.conns)) {
		if s.swept >= len(s.conns) {
			s.swept = 0
		}
		if len(s.conns) == 0 {
			return
		}
		c := s.conns[s.swept]
		s.swept++
		s.timers(c)
	}
	s.flushDirty()
}

func (s *shard) timers(c *conn) {
	l := &s.limits
	switch {
	case c.state == connClosing:
		if s.now >= c.deadline {
			s.drop(c, closedClient)
		}
	case c.deadline != 0 && s.now >= c.deadline:
		s.close(c, closeRestart, "service restart: reconnect and resume", closedRestart)
	case c.over() != "":
		s.close(c, closeUnauthorized, c.over(), closedToken)
	case c.slowSince != 0 && s.now-c.slowSince >= int64(l.SlowTimeout):
		s.close(c, ws.StatusPolicyViolation,
			fmt.Sprintf("slow consumer: queue full, not read up for %s", l.SlowTimeout), closedSlow)
	case c.begun != 0 && int32(s.millis()-c.begun) >= int32(l.MessageTimeout/time.Millisecond):
		s.close(c, ws.StatusPolicyViolation, fmt.Sprintf("message not complete within %s", l.MessageTimeout), closedIncomplete)
	case c.replaying && c.blocked:
		if s.now-c.lastSeen >= int64(l.ReplayStall) {
			s.close(c, ws.StatusPolicyViolation, fmt.Sprintf("replay not read for %s", l.ReplayStall), closedSlow)
		}
	case c.pingSent != 0 && s.now-c.pingSent >= int64(l.PongTimeout):
		s.close(c, ws.StatusPolicyViolation, "no answer to ping", closedPong)
	case c.pingSent == 0 && s.now-c.lastSeen >= int64(l.PingEvery):
		c.pingSent = s.now
		c.answer(s.ping)
	}
}
