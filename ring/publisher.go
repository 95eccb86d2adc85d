package ring

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

const (
	// maxStaged bounds the batch: a Publish beyond it flushes first.
	maxStaged = 8192
	// levelsPerTurn bounds the snapshot work of one Turn, over all rings.
	levelsPerTurn = 256
	// maxSlots is the most last values a topic has (ticker statistics).
	maxSlots = md.NumStats
)

// BookSource is a live book that a snapshot cursor can walk; *book.Book is one.
// Chunk fills dst with levels strictly beyond the cursor, from the touch
// outwards: Kind, Side, Price, Size, exponents and Count.
type BookSource interface {
	Chunk(cur *book.Cursor, dst []md.Record) (n int, done bool)
}

// PublisherConfig configures a Publisher.
type PublisherConfig struct {
	Venue md.Venue
	// Epoch is when the venue's first feed in this process started, ns since
	// 1970 UTC. 0: now.
	Epoch int64
	// Heartbeat is the time between two heartbeats of a ring. 0: 1 s.
	Heartbeat time.Duration
	// Now tells the time, ns since 1970 UTC. nil: the system's clock. It is
	// only used until the first Turn, which has the time in its argument.
	Now func() int64
	// Numbers is shared by the publishers of a venue whose topics may pass from one to
	// another. nil: they never do.
	Numbers *Numbers
	// TookUp is told when a topic goes on from another Publisher's number; nil:
	// nobody.
	TookUp func(instrument uint32, ch md.Channel, seq uint64)
}

func (c PublisherConfig) withDefaults() PublisherConfig {
	if c.Heartbeat <= 0 {
		c.Heartbeat = time.Second
	}
	if c.Now == nil {
		c.Now = func() int64 { return time.Now().UnixNano() }
	}
	if c.Epoch == 0 {
		c.Epoch = c.Now()
	}
	return c
}

// TopicID is a topic's index in its Publisher.
type TopicID int32

// Publisher gives one feed's events out to its rings: it numbers topics, keeps
// last values, and stages a batch that Flush hands to every ring. One
// goroutine, the feed's hot loop, calls all of its methods. Publish, Flush and
// Turn allocate nothing in steady state and never wait.
type Publisher struct {
	venue       md.Venue
	epoch       int64
	beatEvery   int64
	now         int64 // as of the last Turn
	topics      []topic
	byKey       map[topicKey]TopicID
	instruments []instrument
	instrByID   map[uint32]int32
	rings       []*Producer
	turnFrom    int // whose cursor is served first in the next Turn
	b           batch
	numbers     *Numbers
	tookUp      func(instrument uint32, ch md.Channel, seq uint64)
}

type topicKey struct {
	instrument uint32
	channel    md.Channel
}

// instrument is what belongs together when exponents change.
type instrument struct {
	rec    md.Record // the newest control record
	topics []TopicID
}

// batch is what was staged since the last Flush.
type batch struct {
	recs    []md.Record
	ops     []op
	largest int  // records of the largest event
	plain   bool // nothing but events
}

type opKind uint8

const (
	opEvent opKind = iota
	opGap
	opClear
	opInstrument
	opState
	opEmpty
)

// op is one staged event: batch.recs[from:to].
type op struct {
	kind     opKind
	topic    TopicID
	instr    int32
	from, to int
}

// NewPublisher makes a Publisher without topics and rings.
func NewPublisher(cfg PublisherConfig) *Publisher {
	cfg = cfg.withDefaults()
	p := &Publisher{
		venue: cfg.Venue, epoch: cfg.Epoch, beatEvery: int64(cfg.Heartbeat), now: cfg.Now(),
		byKey: map[topicKey]TopicID{}, instrByID: map[uint32]int32{}, numbers: cfg.Numbers, tookUp: cfg.TookUp,
	}
	p.b.recs = make([]md.Record, 0, 1024)
	p.b.ops = make([]op, 0, 256)
	p.b.plain = true
	return p
}

// Attach makes p the producer of a ring, for the topics that want accepts, now
// or when they are added; nil wants all. Nothing is written before a consumer
// opens the ring. ErrBusy if the ring has a producer. Control path: it
// allocates.
func (p *Publisher) Attach(s *Segment, want func(instrument uint32, ch md.Channel) bool) (*Producer, error) {
	r, err := NewProducer(s)
	if err != nil {
		return nil, err
	}
	p.Flush() // what is staged belongs to the time before
	r.pub, r.want, r.all = p, want, true
	atomic.StoreInt64(&s.hdr.epoch, p.epoch)
	atomic.StoreUint32(&s.hdr.venue, uint32(p.venue))
	atomic.StoreInt64(&s.hdr.beatNs, p.now)
	r.owedInstr = make([]bool, len(p.instruments))
	for t := range p.topics {
		r.addTopic(TopicID(t))
	}
	p.rings = append(p.rings, r)
	return r, nil
}

// Detach ends a ring: its consumer drains it and then gets ErrProducerGone. The
// caller closes the Segment.
func (p *Publisher) Detach(r *Producer) {
	i := slices.Index(p.rings, r)
	if i < 0 {
		return
	}
	p.Flush()
	p.rings = slices.Delete(p.rings, i, i+1)
	r.gen = 0
	if r.Err() == nil {
		r.seg.end(stateClosed)
	}
	r.seg.feeding.Store(false)
}

// Flush hands the staged batch to every ring that has a reader: one atomic
// store each, and a system call only where the reader sleeps.
func (p *Publisher) Flush() {
	if len(p.b.ops) == 0 {
		return
	}
	for _, r := range p.rings {
		r.publish(&p.b)
	}
	p.b.recs, p.b.ops = p.b.recs[:0], p.b.ops[:0]
	p.b.largest, p.b.plain = 0, true
}

// Turn does what is due besides events: readers that attached, topics that can
// be resumed, heartbeats, snapshot cursors (at most 256 levels over all rings).
// Call it once per turn of the loop, and at least every 100 ms when the market
// is quiet; now is ns since 1970 UTC. It returns true if another call can go on
// at once; it returns false where a ring first has to be read, which is why a
// quiet loop wants a timer as well, of a millisecond while Due is true.
func (p *Publisher) Turn(now int64) (more bool) {
	p.now = now
	p.Flush()
	budget := levelsPerTurn
	n := len(p.rings)
	for _, r := range p.rings {
		atomic.StoreInt64(&r.seg.hdr.beatNs, now)
		r.turn(now)
	}
	for i := range n {
		r := p.rings[(p.turnFrom+i)%n]
		k, again := r.walk(budget)
		budget -= k
		more = more || again || (budget <= 0 && r.dueBook())
	}
	p.turnFrom++
	if p.turnFrom >= n {
		p.turnFrom = 0
	}
	return more
}

// Due reports whether any ring with a reader waits for space, to resume a topic
// or to go on with a snapshot.
func (p *Publisher) Due() bool {
	for _, r := range p.rings {
		if r.gen != 0 && !r.w.broken && (r.attention.n > 0 || len(r.due) > 0 || r.dueBook()) {
			return true
		}
	}
	return false
}

func (r *Producer) dueBook() bool { return r.walking >= 0 || r.snaps.n > 0 }

// Rings returns the producers attached, for health reports.
func (p *Publisher) Rings() []*Producer { return slices.Clone(p.rings) }

// Written is how many records all rings of now were given so far: a Turn that
// changes it wrote something.
func (p *Publisher) Written() uint64 {
	var n uint64
	for _, r := range p.rings {
		n += r.w.published
	}
	return n
}

// Epoch is the epoch that heartbeats carry.
func (p *Publisher) Epoch() int64 { return p.epoch }

// String names the publisher in logs.
func (p *Publisher) String() string {
	return fmt.Sprintf("publisher of %v, %d topics, %d rings", p.venue, len(p.topics), len(p.rings))
}
