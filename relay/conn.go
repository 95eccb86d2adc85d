package relay

import (
	"net/netip"
	"time"

	"github.com/gobwas/ws"

	"tickrelay/nettune"
	"tickrelay/relay/auth"
	"tickrelay/ring/md"
)

// connState is where a WebSocket connection is in its life.
type connState uint8

const (
	connOpen    connState = iota
	connClosing           // our close frame is queued or sent; input is read for the peer's
	connClosed            // the stream is gone
)

// conn is one WebSocket connection. Its shard's goroutine alone uses it; the hub
// holds the pointer as a name, and reads shard and format, which never change.
// Idle, it holds no buffer.
type conn struct {
	// What a delivery looks at comes first: one cache line of 64 bytes if all is well.
	stream  nettune.Stream
	shard   *shard
	format  format
	state   connState
	blocked bool // the socket took no more: its Writable event is awaited
	dirty   bool // is in shard.dirty
	pong    bool // a pong waits in the queue
	heard   bool // the peer's close frame came
	deaf    bool // input cannot be understood any more and is thrown away
	known   bool // the hub was asked something and may hold the connection
	queue   []queued
	bytes   int // unsent, of the whole queue

	head    int // first of queue that is not sent
	headOff int // bytes of it that are
	subs    few[uint32, *sub]
	debt    *debt // what the queue had no room for; nil: nothing yet

	client netip.Addr
	grant  *auth.Grant // never nil once it is a shard's
	index  int         // in shard.conns

	in  []byte // the beginning of a frame that is incomplete
	asm assembler

	lastSeen  int64 // mono ns of the last bytes
	pingSent  int64 // mono ns, 0 if none is out
	slowSince int64 // mono ns of the first overflow since the queue was empty, else 0
	deadline  int64 // mono ns, of the closing handshake; while open, when it is told to go, 0: it may stay
	refilled  int64 // mono ns
	inflight  int16 // requests that the hub has not answered
	raw       uint8 // passthrough: the venue's number from 1; 0: the protocol of the relay
	replaying bool  // its run is in shard.pasts
	tokens    float32
	refused   int32
	begun     uint32 // ms of the mono clock at which the message that is incomplete began, else 0
}

// sub is one connection's subscription to one stream.
type sub struct {
	c    *conn
	info *streamInfo
	pos  int // in shard.streams[info.id]

	// stale: state that was taken from the queue; from is the seq of the last
	// message that was not. Events are left out until the hub sends the state.
	stale  bool
	asked  bool // the hub was asked for the state
	again  bool // … in an epoch that is over: its answer is of no use
	listed bool // is in debt.subs
	fresh  bool // no state was sent yet, so that none can be lost
	whole  bool // stale, and of more than changes: only a snapshot or a gap will do
	rebase bool // there was no state to send, so the next message connects to from
	policy policy
	// hidden is what gaps among those from missedFrom on had counted beyond their own
	// numbers; md.UnknownMissing: not known.
	hidden uint32
	from   uint64

	// missedFrom … missedTo are numbers taken from the queue that no gap message
	// has told of yet; missedTo 0: none.
	missedFrom, missedTo uint64
}

func (c *conn) messages() int { return len(c.queue) - c.head }

// push queues a frame. full says that the bounds were reached before it.
func (c *conn) push(f *frame, sb *sub) {
	if c.queue == nil {
		c.queue = c.shard.takeQueue()
	}
	c.queue = append(c.queue, queued{f, sb})
	c.bytes += len(f.data)
	c.soil()
}

// soil has the shard look at the connection at the end of its turn.
func (c *conn) soil() {
	if !c.dirty && !c.blocked {
		c.dirty = true
		c.shard.dirty = append(c.shard.dirty, c)
	}
}

// full reports whether the queue has reached its bounds.
func (c *conn) full() bool {
	l := &c.shard.limits
	return c.messages() >= l.QueueMessages || c.bytes >= l.QueueBytes
}

// room makes place for one more frame and reports whether there is. What a healthy
// connection has not been sent yet is sent; of a slow one state messages go first,
// then the others.
func (c *conn) room() bool {
	if !c.full() {
		return true
	}
	if !c.blocked {
		c.shard.flush(c)
	}
	if c.state != connOpen || !c.full() {
		return c.state == connOpen
	}
	c.shard.stats.overflows.Add(1)
	c.owes().spilled = true
	if c.slowSince == 0 {
		c.slowSince = c.shard.now
	}
	c.sweep(true)
	l := &c.shard.limits
	if c.state == connOpen && (c.messages() >= l.QueueMessages*3/4 || c.bytes >= l.QueueBytes*3/4) {
		c.sweep(false)
	}
	return c.state == connOpen && !c.full()
}

// sweep takes messages of one class out of the queue: of streams that hold state,
// or of the others. A frame that is half sent stays, as do answers.
func (c *conn) sweep(state bool) {
	c.withdraw(func(sb *sub) bool { return sb.info.state == state })
}

// withdraw takes the messages of some subscriptions out of the queue.
func (c *conn) withdraw(of func(*sub) bool) {
	from := c.head
	if c.headOff > 0 {
		from++
	}
	kept := c.queue[:from]
	var breached *sub
	for _, q := range c.queue[from:] {
		if q.sub == nil || q.f.keep || !of(q.sub) {
			kept = append(kept, q)
			continue
		}
		c.bytes -= len(q.f.data)
		q.sub.lose(q.f)
		if q.sub.policy == policyClose {
			breached = q.sub
		}
	}
	clear(c.queue[len(kept):])
	c.queue = kept
	if breached != nil {
		c.breach(breached)
	}
}

// giveUp empties the queue but for a frame that is half sent.
func (c *conn) giveUp() {
	keep := c.head
	if c.headOff > 0 {
		keep++
	}
	for _, q := range c.queue[keep:] {
		c.bytes -= len(q.f.data)
	}
	clear(c.queue[keep:])
	c.queue = c.queue[:keep]
}

// lose notes that f will not be sent.
func (sb *sub) lose(f *frame) {
	stats := &sb.c.shard.stats
	if sb.info.state {
		if !sb.tellsLoss() {
			stats.conflated.Add(1)
		}
		if !sb.stale || f.prev < sb.from {
			sb.stale, sb.fresh, sb.from = true, false, f.prev
		}
		sb.whole = sb.whole || !f.delta
	} else {
		if !f.own {
			stats.dropped.Add(f.seq - f.prev)
		}
		if sb.missedTo == 0 {
			sb.missedFrom, sb.hidden = f.prev+1, 0
		}
		sb.missedTo, sb.hidden = f.seq, addMissing(sb.hidden, f.hidden)
	}
	sb.c.owes().list(sb)
}

// event queues a message of a subscription, or notes that it was left out.
func (c *conn) event(sb *sub, f *frame) {
	if sb.rebase && !f.keep {
		sb.rebase = false
		if sb.tellsLoss() {
			sb.tellLoss(f.prev)
		} else {
			f = withPrev(f, c.format, sb.from)
		}
		sb.fresh = false
	}
	if sb.stale && !f.keep {
		sb.whole = sb.whole || !f.delta
		if !sb.tellsLoss() && !sb.fresh {
			c.shard.stats.conflated.Add(1)
		}
		return
	}
	if !c.room() || sb.stale && !f.keep {
		if c.state == connOpen {
			sb.lose(f)
			if sb.policy == policyClose {
				c.breach(sb)
			}
		}
		return
	}
	if sb.missedTo != 0 {
		c.push(sb.gapFrame(), sb)
	}
	c.push(f, sb)
}

// gapFrame is the message about the numbers that were taken from the queue.
func (sb *sub) gapFrame() *frame {
	in := sb.info
	first, last, hidden := sb.missedFrom, sb.missedTo, sb.hidden
	sb.missedFrom, sb.missedTo, sb.hidden = 0, 0, 0
	rec := []md.Record{{Kind: md.KindGap, Flags: md.FlagFirst | md.FlagLast, Venue: in.venue, Instrument: in.instrument,
		Seq: last, TsRecv: time.Now().UnixNano(), ID: first, Side: uint8(in.channel), Level: uint8(md.GapOverrun),
		Count: addMissing(missing(first, last), hidden)}}
	sb.c.shard.stats.gaps.Add(1)
	var f *frame
	if sb.c.format.plain() == formatJSON {
		f = newFrame(ws.OpText, md.AppendJSON(make([]byte, headerRoom, 256), in.topic, first-1, rec))
	} else {
		f = newFrame(ws.OpBinary, append(make([]byte, headerRoom), md.AsBytes(rec)...))
	}
	f.prev, f.seq, f.own, f.hidden = first-1, last, true, hidden
	return f
}

// answer queues a frame that is never left out. A client that does not read its
// answers either is closed.
func (c *conn) answer(f *frame) {
	if c.state != connOpen {
		return
	}
	if !c.room() {
		if c.state == connOpen {
			c.shard.close(c, ws.StatusPolicyViolation, "slow consumer: answers are not read", closedSlow)
		}
		return
	}
	c.push(f, nil)
}
