package ring

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"

	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// Producer is the write end of one ring. There are two kinds: NewProducer's,
// which hands batches to one ring and knows nothing of topics, and the one that
// Publisher.Attach returns, which the Publisher drives and the caller only
// keeps for Detach. All methods but Segment and Err belong to one goroutine.
type Producer struct {
	w    writer
	seg  *Segment
	pub  *Publisher // nil: a plain producer
	gen  uint64     // attach_gen that was answered, 0: nobody reads
	hi   bool       // the session's first heartbeat is not written yet
	fail atomic.Pointer[error]

	want      func(instrument uint32, ch md.Channel) bool
	all       bool // wants every topic there is
	topics    []ringTopic
	attention fifo // topics that are not live: to be started or resumed
	snaps     fifo // books whose snapshot is due, the first one under way
	cursor    book.Cursor
	walking   TopicID // whose book cursor walks, -1: nobody's
	owedInstr []bool  // instrument records that did not fit yet, by instrument index
	owed      int
	beatAt    int64
	rejoinAt  int64 // of a broadcast ring: earliest time of the next session
	tells     int   // of a broadcast ring: topics that this turn may still tell

	// What the producer before owed this reader; see Publisher.Release.
	before map[topicKey]uint64
	due    []md.Record
}

// ringTopic is what one ring knows of one topic.
type ringTopic struct {
	mode      topicMode
	counters  *topicEntry // nil: no entry left in the segment
	lost      uint64      // records missing since lostFirst, may be unknownLost
	lostFirst uint64
	lostLast  uint64
}

// unknownLost or more: a gap of unknown size is among the records lost.
const unknownLost = 1 << 48

// topicMode is how far a reader of the ring has been told of a topic.
type topicMode uint8

const (
	modeOff        topicMode = iota // the ring does not want it
	modeUnstarted                   // wanted; the reader was told nothing yet
	modeLive                        // every record is written
	modeSuppressed                  // records were dropped; a gap is due
)

// NewProducer makes the plain producer of a ring: no topics, no numbers, no
// snapshots. ErrBusy if the ring has a producer in this process.
func NewProducer(s *Segment) (*Producer, error) {
	if !s.feeding.CompareAndSwap(false, true) {
		return nil, fmt.Errorf("ring: produce into %s: %w", s.Name(), ErrBusy)
	}
	atomic.StoreUint32(&s.hdr.state, stateOpen)
	s.inherited = atomic.LoadUint32(&s.hdr.topicCount)
	return &Producer{w: newWriter(s), seg: s, walking: -1}, nil
}

// Publish copies batch into the ring and hands it over with one atomic store.
// It never waits: false means that nothing was written, because the batch does
// not fit or nobody reads. One goroutine; only for a Producer of NewProducer.
// It allocates nothing.
func (r *Producer) Publish(batch []md.Record) bool {
	if r.seg.shm != nil {
		defer r.catch(debug.SetPanicOnFault(true))
	}
	if g := atomic.LoadUint64(&r.seg.ctl.attachGen); g != r.gen {
		r.gen = g
		r.w.start(g)
	}
	if r.gen == 0 || r.w.broken || !r.w.room(uint64(len(batch))) {
		r.checkBroken()
		return false
	}
	r.w.put(batch)
	r.w.commit()
	return true
}

// Close ends a plain Producer: its consumer drains the ring and then gets
// ErrProducerGone. The Segment stays open.
func (r *Producer) Close() {
	r.seg.end(stateClosed)
	r.seg.feeding.Store(false)
}

// Segment is the ring that the producer writes to. Any goroutine.
func (r *Producer) Segment() *Segment { return r.seg }

// Err says why the ring was dropped, nil as long as it is served. Any goroutine.
func (r *Producer) Err() error {
	if e := r.fail.Load(); e != nil {
		return *e
	}
	return nil
}

// catch ends what SetPanicOnFault(true) began; see fault.go. To be deferred
// directly.
func (r *Producer) catch(old bool) {
	debug.SetPanicOnFault(old)
	if e := recover(); e != nil {
		if !r.seg.isCtlFault(e) {
			panic(e)
		}
		r.drop(errors.New("its .ctl file was cut short"))
	}
}

func (r *Producer) checkBroken() {
	if r.w.broken && r.Err() == nil {
		r.drop(ErrCorrupt)
	}
}

// drop gives the ring up for good.
func (r *Producer) drop(why error) {
	err := fmt.Errorf("ring: %s dropped: %w", r.seg.Name(), why)
	r.fail.Store(&err)
	r.w.broken, r.gen = true, 0
	r.seg.end(stateBroken)
}

// publish writes a batch of staged events: everything at once where nothing
// special is going on, else event by event.
func (r *Producer) publish(b *batch) {
	if r.gen == 0 || r.w.broken {
		return
	}
	if r.seg.shm != nil {
		defer r.catch(debug.SetPanicOnFault(true))
	}
	n := uint64(len(b.recs))
	if b.plain && r.all && !r.hi && r.attention.n == 0 && r.owed == 0 &&
		uint64(b.largest) <= r.w.cap/4 && r.w.room(n) {
		r.w.put(b.recs)
	} else {
		for i := range b.ops {
			r.apply(b, &b.ops[i])
		}
		r.resume()
	}
	r.checkBroken()
	if !r.w.broken {
		r.w.commit()
	}
}

func (r *Producer) apply(b *batch, o *op) {
	recs := b.recs[o.from:o.to]
	switch o.kind {
	case opInstrument:
		r.instrument(o, &recs[0])
	case opClear:
		r.restartBook(o.topic, &recs[0])
	case opState:
		r.state(o.topic, recs)
	case opEmpty:
		r.emptyBook(o.topic, &recs[0])
	default:
		r.event(o, recs)
	}
}

// event writes one event of one topic whole, or drops it whole.
func (r *Producer) event(o *op, recs []md.Record) {
	st := &r.topics[o.topic]
	switch st.mode {
	case modeOff, modeUnstarted:
		return
	case modeLive:
		n := uint64(len(recs))
		if n <= r.w.cap/4 && r.room(o.topic, n) {
			r.payInstrument(o.topic)
			r.w.put(recs)
			if o.kind == opGap {
				r.stopBook(o.topic)
				r.w.count(cntGaps, 1)
				st.count(func(e *topicEntry) *uint64 { return &e.gaps }, 1)
			}
			return
		}
		r.suppress(o.topic)
	}
	r.lose(st, recs, o.kind == opGap)
}

// room reports whether n records of a topic fit together with the control
// record that has to come before them.
func (r *Producer) room(t TopicID, n uint64) bool {
	if r.owed > 0 && r.owedInstr[r.pub.topics[t].instr] {
		n++
	}
	return r.w.room(n)
}

// payInstrument writes the topic's instrument record if it is still owed. The
// caller made sure of the room.
func (r *Producer) payInstrument(t TopicID) {
	i := r.pub.topics[t].instr
	if r.owed > 0 && r.owedInstr[i] {
		*r.w.slot() = r.pub.instruments[i].rec
		r.owedInstr[i] = false
		r.owed--
	}
}

// suppress stops a topic's records until gap and clear fit and half the ring
// is free; a snapshot under way is void.
func (r *Producer) suppress(t TopicID) {
	st := &r.topics[t]
	st.mode, st.lost = modeSuppressed, 0
	r.stopBook(t)
	r.attention.push(t)
	r.w.count(cntOverruns, 1)
	st.count(func(e *topicEntry) *uint64 { return &e.overruns }, 1)
}

// lose accounts for an event that was dropped. An upstream gap among the lost
// adds what was missing there, so that the loss is not made smaller than it is.
func (r *Producer) lose(st *ringTopic, recs []md.Record, gap bool) {
	n := uint64(len(recs))
	if st.lost == 0 {
		st.lostFirst = recs[0].Seq
		if gap {
			st.lostFirst = recs[0].ID
			if recs[0].Flags&md.FlagSnapshot != 0 { // it takes no number
				st.lostFirst++
			}
		}
	}
	st.lostLast = recs[n-1].Seq
	missing := n
	if gap {
		missing = max(1, uint64(recs[0].Count))
		if recs[0].Count == md.UnknownMissing {
			missing = unknownLost
		}
	}
	st.lost += missing
	r.w.count(cntLostEvents, 1)
	r.w.count(cntLostRecords, n)
	st.count(func(e *topicEntry) *uint64 { return &e.lostEvents }, 1)
	st.count(func(e *topicEntry) *uint64 { return &e.lostRecords }, n)
}

// instrument writes a control record now or owes it: it goes before the next
// record of that instrument in any case, and together with the clear of its
// book or not at all.
func (r *Producer) instrument(o *op, rec *md.Record) {
	wanted, live := false, uint64(0)
	for _, t := range r.pub.instruments[o.instr].topics {
		if r.topics[t].mode != modeOff {
			wanted = true
		}
		if r.topics[t].mode == modeLive && r.pub.topics[t].src != nil {
			live++
		}
	}
	switch {
	case !wanted:
	case r.owedInstr[o.instr]: // the newest is what will be written
	case !r.hi && r.w.room(1+live):
		*r.w.slot() = *rec
	default:
		r.owedInstr[o.instr] = true
		r.owed++
	}
}

// restartBook writes a clear and sets the cursor to the touch; if the clear
// does not fit the overrun rules apply.
func (r *Producer) restartBook(t TopicID, clear *md.Record) {
	st := &r.topics[t]
	if st.mode != modeLive {
		return // starting or resuming will do it
	}
	if !r.room(t, 1) {
		r.suppress(t)
		return
	}
	r.payInstrument(t)
	*r.w.slot() = *clear
	r.queueBook(t)
}

func (r *Producer) queueBook(t TopicID) {
	if r.walking == t {
		r.cursor = book.Cursor{}
		return
	}
	r.snaps.push(t)
}

// stopBook voids a snapshot that is due or under way. A queued topic stays in
// the queue; mode or broken tell the walk to pass over it.
func (r *Producer) stopBook(t TopicID) {
	if r.walking == t {
		r.walking = -1
	}
}

// count adds to one of the topic's counters in the segment.
func (st *ringTopic) count(field func(*topicEntry) *uint64, n uint64) {
	if st.counters != nil {
		c := field(st.counters)
		atomic.StoreUint64(c, atomic.LoadUint64(c)+n)
	}
}
