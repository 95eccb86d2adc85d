package ring

import (
	"fmt"

	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// checker judges what one consumer gets against the truth. It is told records
// in order and nothing else, as a strategy is.
type checker struct {
	w       *world
	begun   bool // the stream's first heartbeat came
	topics  map[topicKey]*readTopic
	open    *readTopic // inside an event: its next record must follow at once
	gens    map[uint32]int
	genAt   map[uint32]int // generations when the consumer attached
	records int
	gaps    int
	snaps   int
	worst   *checkFailure
	cast    bool // of a broadcast ring: gaps count numbers, not what upstream lost
}

type readTopic struct {
	t      *truth
	told   bool // its heartbeat came
	next   uint64
	reader book.Reader
	values map[int]md.Record // by slot
}

type checkFailure struct{ msg string }

func newChecker(w *world) *checker {
	c := &checker{w: w, topics: map[topicKey]*readTopic{}, gens: map[uint32]int{}, genAt: map[uint32]int{}}
	for _, t := range w.topics {
		c.topics[topicKey{t.in.id, t.channel}] = &readTopic{t: t, values: map[int]md.Record{}}
	}
	for _, in := range w.instrs {
		c.genAt[in.id] = in.gen
	}
	return c
}

func (c *checker) failf(format string, args ...any) {
	if c.worst == nil {
		c.worst = &checkFailure{fmt.Sprintf("record %d: ", c.records) + fmt.Sprintf(format, args...)}
	}
}

func (c *checker) take(recs []md.Record) {
	for i := range recs {
		c.records++
		c.record(&recs[i])
	}
}

func (c *checker) record(r *md.Record) {
	if err := r.Valid(); err != nil {
		c.failf("%v", err)
	}
	if !c.begun {
		if r.Kind != md.KindHeartbeat || r.Side != uint8(md.ChannelAll) || r.ID != testEpoch {
			c.failf("the stream begins with %v, not with the epoch", r)
		}
		c.begun = true
		return
	}
	if r.Kind == md.KindInstrument {
		c.gens[r.Instrument] = int(r.ID)
		return
	}
	if r.Kind == md.KindHeartbeat && r.Side == uint8(md.ChannelAll) {
		return
	}
	rt := c.topics[topicKey{r.Instrument, r.Channel()}]
	if rt == nil {
		c.failf("unknown topic: %v", r)
		return
	}
	if c.open != nil && c.open != rt {
		c.failf("an event of %v was torn by %v", c.open.t.channel, r)
	}
	if r.Kind == md.KindBook && r.Flags&md.FlagSnapshot != 0 && r.Side != md.SideClear {
		c.level(rt, r)
	}
	rt.reader.Apply(r)
	switch {
	case r.Kind == md.KindHeartbeat:
		rt.told, rt.next = true, r.Seq+1
	case !rt.told:
		c.failf("a record before its topic's heartbeat: %v", r)
	case r.Flags&md.FlagSnapshot != 0:
		c.snapshot(rt, r)
	case r.Kind == md.KindGap && r.Level == uint8(md.GapOverrun):
		c.overrun(rt, r)
	default:
		c.live(rt, r)
	}
}

// level wants the levels and the end of a snapshot to follow its clear with
// nothing but updates between, in exponents that were told.
func (c *checker) level(rt *readTopic, r *md.Record) {
	if rt.reader.State != book.Building {
		c.failf("topic %d: part of a void snapshot, reader %v: %+v", r.Instrument, rt.reader.State, *r)
	}
	gen := -2 - int(r.PriceExp) // a new generation takes one off
	if r.Side != md.SideEnd && gen > max(c.gens[r.Instrument], c.genAt[r.Instrument]) {
		c.failf("topic %d: a level of generation %d, told of %d only", r.Instrument, gen, c.gens[r.Instrument])
	}
}

func (c *checker) live(rt *readTopic, r *md.Record) {
	if r.Seq != rt.next {
		c.failf("topic %d %v: number %d, want %d", r.Instrument, rt.t.channel, r.Seq, rt.next)
		rt.next = r.Seq
	}
	rt.next++
	if want := rt.t.recs[r.Seq-1]; *r != want {
		c.failf("topic %d %v:\n got %+v\nwant %+v", r.Instrument, rt.t.channel, *r, want)
	}
	if g := rt.t.gens[r.Seq-1]; g > c.genAt[r.Instrument] && c.gens[r.Instrument] < g {
		c.failf("topic %d %v: record %d of generation %d, told of %d only", r.Instrument, rt.t.channel, r.Seq, g, c.gens[r.Instrument])
	}
	c.open = rt
	if r.Flags&md.FlagLast != 0 {
		c.open = nil
	}
	if r.Kind == md.KindGap {
		c.gaps++
		clear(rt.values)
		return
	}
	rt.values[slotOf(r)] = *r
}

// overrun wants the gap to name exactly what the ring dropped.
func (c *checker) overrun(rt *readTopic, r *md.Record) {
	c.gaps++
	if r.ID != rt.next || r.Seq < r.ID || r.Seq > uint64(len(rt.t.recs)) {
		c.failf("overrun gap %d … %d, want it from %d on", r.ID, r.Seq, rt.next)
		return
	}
	missing, unknown := uint64(0), false
	for _, lost := range rt.t.recs[r.ID-1 : r.Seq] {
		switch {
		case c.cast, lost.Kind != md.KindGap:
			missing++
		case lost.Count == md.UnknownMissing:
			unknown = true
		default:
			missing += uint64(lost.Count)
		}
	}
	if unknown {
		missing = md.UnknownMissing
	}
	if uint64(r.Count) != missing {
		c.failf("overrun gap %d … %d says %d missing, want %d", r.ID, r.Seq, r.Count, missing)
	}
	rt.next = r.Seq + 1
	clear(rt.values)
}

func (c *checker) snapshot(rt *readTopic, r *md.Record) {
	if r.Seq != rt.next-1 {
		c.failf("snapshot of topic %d %v carries %d, current is %d", r.Instrument, rt.t.channel, r.Seq, rt.next-1)
	}
	if r.Kind == md.KindBook || r.Kind == md.KindGap {
		if r.Side == md.SideEnd && r.Kind == md.KindBook {
			c.snaps++
		}
		return
	}
	// A state's value must be the newest of its slot, and not from before a gap.
	for i := int(r.Seq) - 1; ; i-- {
		if i < 0 || rt.t.recs[i].Kind == md.KindGap {
			c.failf("a value was sent again that may be wrong: %+v", *r)
			return
		}
		if want := rt.t.recs[i]; slotOf(&want) == slotOf(r) {
			if want.Price != r.Price || want.Size != r.Size || want.TsRecv != r.TsRecv {
				c.failf("stale value sent again: %+v, newest %+v", *r, want)
			}
			break
		}
	}
	rt.values[slotOf(r)] = *r
}

// settled compares the reader's state with the source's, once all is read.
func (c *checker) settled(want func(uint32, md.Channel) bool) {
	for key, rt := range c.topics {
		if want != nil && !want(key.instrument, key.channel) {
			if rt.told {
				c.failf("topic %v was not wanted", key)
			}
			continue
		}
		if !rt.told || rt.next != uint64(len(rt.t.recs))+1 {
			c.failf("topic %v: at %d (told %v), source at %d", key, rt.next-1, rt.told, len(rt.t.recs))
			continue
		}
		switch {
		case rt.t.book != nil:
			c.settledBook(key, rt)
		case key.channel != md.ChannelTrades:
			c.settledValues(key, rt)
		}
	}
}

func (c *checker) settledBook(key topicKey, rt *readTopic) {
	state := rt.reader.State
	switch {
	case rt.t.broken && len(rt.t.recs) > 0 && state != book.Broken:
		c.failf("topic %v is broken, its reader %v", key, state)
	case rt.t.built && !rt.t.broken && state != book.Live:
		c.failf("topic %v is built, its reader %v", key, state)
	case rt.t.built && !rt.t.broken:
		if diff := diffBooks(&rt.reader.Book, rt.t.book); diff != "" {
			c.failf("topic %v: %s", key, diff)
		}
	}
}

func (c *checker) settledValues(key topicKey, rt *readTopic) {
	want := map[int]md.Record{}
	for _, r := range rt.t.recs {
		if r.Kind == md.KindGap {
			clear(want)
		} else {
			want[slotOf(&r)] = r
		}
	}
	for slot, r := range want {
		if got := rt.values[slot]; got.Price != r.Price || got.Size != r.Size {
			c.failf("topic %v slot %d: value %v, want %v", key, slot, got, r)
		}
	}
	if len(rt.values) != len(want) {
		c.failf("topic %v: %d values, want %d", key, len(rt.values), len(want))
	}
}

func diffBooks(got, want *book.Book) string {
	for side, pair := range [2][2]*book.Side{{&got.Bids, &want.Bids}, {&got.Asks, &want.Asks}} {
		g, w := pair[0], pair[1]
		if g.Len() != w.Len() {
			return fmt.Sprintf("side %d has %d levels, want %d", side+1, g.Len(), w.Len())
		}
		for i := range w.Len() {
			a, b := g.At(i), w.At(i)
			if md.Cmp(a.Price, got.PriceExp, b.Price, want.PriceExp) != 0 || md.Cmp(a.Size, got.SizeExp, b.Size, want.SizeExp) != 0 || a.Count != b.Count {
				return fmt.Sprintf("side %d level %d: %+v, want %+v", side+1, i, a, b)
			}
		}
	}
	return ""
}
