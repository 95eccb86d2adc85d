package soak

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"tickrelay/feeds"
	"tickrelay/feeds/sim"
	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// truthFile is the set of prices within the soak's folder.
const truthFile = "truth"

// counts are what all readers of a process have in common; one goroutine's.
type counts struct {
	stat readerStat
	hist *hdrhistogram.Histogram // ns since the receipt, of this second
}

func newCounts() *counts {
	return &counts{stat: readerStat{Gaps: map[string]uint64{}}, hist: hdrhistogram.New(100, int64(time.Minute), 2)}
}

// check notes that an invariant was looked at.
func (c *counts) check(i Invariant) { c.stat.Checks[i]++ }

// late takes how long ago a record was received. What a stepped clock made of it
// is no latency.
func (c *counts) late(ns int64) {
	if ns > 0 && ns < int64(time.Minute) {
		_ = c.hist.RecordValue(ns)
	}
}

// take gives the figures, and begins another second.
func (c *counts) take() readerStat {
	s, h := c.stat, c.hist
	us := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1e3 }
	s.Latency = latency{h.TotalCount(), us(50), us(99), us(99.9), float64(h.Max()) / 1e3}
	s.Gaps = map[string]uint64{}
	for k, n := range c.stat.Gaps {
		s.Gaps[k] = n
	}
	h.Reset()
	return s
}

// stream holds what one reader of records gets against the invariants: numbers
// chain or a gap says which do not come, nothing comes twice, no book is crossed,
// no price is one that the exchange never sent.
type stream struct {
	truth  *truth
	counts *counts
	name   func(instrument uint32) (md.Venue, string, bool)
	report reportFunc
	lossy  bool // gaps may hide trades that were counted otherwise
	byName bool // numbers are told by name, not by heartbeats

	epochs map[md.Venue]uint64
	topics map[topicKey]*topicState
	starts map[string]uint64 // numbers of topics that were told by name
	venues map[string]*feeds.Spec
}

type topicKey struct {
	instrument uint32
	channel    md.Channel
}

// topicState is one topic of one reader.
type topicState struct {
	topic   string
	channel md.Channel
	symbol  uint64 // its key
	spec    *feeds.Spec
	told    bool   // a heartbeat gave the number
	fresh   bool   // nothing came since it was told by name
	last    uint64 // number
	merged  bool   // inside a conflated delivery, whose records share a number
	book    book.Reader
	ids     recent
	trade   uint64 // last id, where ids are consecutive
	marks   marks
}

func newStream(t *truth, c *counts, report reportFunc) *stream {
	s := &stream{truth: t, counts: c, report: report, venues: map[string]*feeds.Spec{}}
	for _, v := range sim.Venues() {
		if f, ok := feeds.ByName(v); ok {
			s.venues[v] = f.Spec()
		}
	}
	s.begin()
	return s
}

// begin forgets what the reader was told: another session starts.
func (s *stream) begin() {
	s.epochs, s.topics, s.starts = map[md.Venue]uint64{}, map[topicKey]*topicState{}, map[string]uint64{}
}

// start takes a topic's number where it is told by name, as binary connections do.
func (s *stream) start(topic string, number uint64) {
	s.starts[topic] = number
	for _, t := range s.topics {
		if t.topic == topic {
			t.told, t.fresh, t.last, t.merged, t.trade = true, true, number, false, 0
		}
	}
}

// renamed forgets an instrument that has another name now.
func (s *stream) renamed(instrument uint32) {
	for k := range s.topics {
		if k.instrument == instrument {
			delete(s.topics, k)
		}
	}
}

// state finds a topic, nil if its instrument has no name.
func (s *stream) state(r *md.Record) *topicState {
	key := topicKey{r.Instrument, r.Channel()}
	if t := s.topics[key]; t != nil {
		return t
	}
	venue, symbol, ok := s.name(r.Instrument)
	if !ok {
		s.report(Formed, "", fmt.Sprintf("a record of instrument %d, which no table names", r.Instrument))
		return nil
	}
	t := &topicState{channel: key.channel, topic: venue.String() + "." + key.channel.String() + "." + symbol, symbol: symbolKey(symbol), spec: s.venues[venue.String()]}
	if t.spec == nil {
		s.report(Formed, t.topic, "a venue that no exchange simulates")
		return nil
	}
	t.last, t.told = s.starts[t.topic]
	t.fresh = t.told
	s.topics[key] = t
	return t
}

// take judges the next record; now is the wall clock in ns.
func (s *stream) take(r *md.Record, now int64) {
	s.counts.stat.Records++
	s.counts.check(Formed)
	// A gateway's gap about a feed that is gone has no number (websocket.md).
	unnumbered := s.byName && r.Kind == md.KindGap && r.ID == r.Seq+1
	if err := r.Valid(); err != nil && !unnumbered {
		s.report(Formed, "", fmt.Sprintf("an invalid record: %v", err))
		return
	}
	switch {
	case r.Kind == md.KindInstrument:
		return
	case r.Kind == md.KindHeartbeat && md.Channel(r.Side) == md.ChannelAll:
		s.epoch(r)
		return
	}
	t := s.state(r)
	if t == nil {
		return
	}
	s.counts.check(Chain)
	s.number(t, r)
	t.fresh = r.Kind == md.KindHeartbeat
	if r.Kind == md.KindGap {
		s.counts.stat.Gaps[md.GapReason(r.Level).String()]++
	}
	s.price(t, r)
	if r.Channel() == md.ChannelBook {
		t.book.Apply(r)
		if r.Flags&md.FlagLast != 0 && t.book.State == book.Live {
			s.uncrossed(t, r)
		}
	}
	if r.Flags&md.FlagSnapshot == 0 && r.Flags&md.FlagLast != 0 && r.Kind != md.KindGap {
		s.counts.late(now - r.TsRecv)
	}
}

func (s *stream) uncrossed(t *topicState, r *md.Record) {
	s.counts.check(Uncrossed)
	if b := &t.book.Book; b.Crossed() {
		bid, _ := b.BestBid()
		ask, _ := b.BestAsk()
		s.report(Uncrossed, t.topic, fmt.Sprintf("a crossed book: bid %d, ask %d (e%d) at number %d", bid.Price, ask.Price, b.PriceExp, r.Seq))
	}
}

// epoch takes a heartbeat of the whole stream.
func (s *stream) epoch(r *md.Record) {
	old := s.epochs[r.Venue]
	if r.ID < old {
		s.report(Chain, r.Venue.String()+".>", fmt.Sprintf("epoch %d after %d", r.ID, old))
	}
	if s.epochs[r.Venue] = r.ID; old == r.ID || old == 0 {
		return
	}
	for _, t := range s.topics {
		if t.spec.Venue == r.Venue {
			t.book.Apply(r)
			t.told, t.trade = t.told && s.byName, 0
		}
	}
}

// number wants every number, once, in order, or a gap that says which do not come.
func (s *stream) number(t *topicState, r *md.Record) {
	switch {
	case r.Kind == md.KindHeartbeat:
		if t.told && r.Seq != t.last {
			s.report(Chain, t.topic, fmt.Sprintf("the topic is told to be at %d after number %d", r.Seq, t.last))
		}
		if !t.told || r.Seq != t.last {
			t.trade = 0
		}
		t.told, t.last, t.merged = true, r.Seq, false
	case !t.told:
		s.report(Formed, t.topic, fmt.Sprintf("number %d before the topic was told", r.Seq))
		t.told, t.last = true, r.Seq
	case r.Flags&md.FlagSnapshot != 0:
		if r.Seq < t.last && r.Kind != md.KindGap {
			s.report(Chain, t.topic, fmt.Sprintf("a snapshot of number %d after number %d", r.Seq, t.last))
		}
		t.last = max(t.last, r.Seq) // a snapshot may skip in a conflated stream
	case r.Kind == md.KindGap:
		s.gap(t, r)
	default:
		s.live(t, r)
	}
}

func (s *stream) gap(t *topicState, r *md.Record) {
	// Who subscribes to a broken topic is told the gap, which has its number already.
	again := t.fresh && s.byName && r.Seq == t.last
	// What a slow client of a state is told when it has drained its queue is one conflated
	// delivery from its last number to the present one (websocket.md), a gap included.
	merged := s.byName && r.Flags&md.FlagConflated != 0 && r.ID > t.last && t.channel != md.ChannelTrades
	if (r.ID != t.last+1 || r.Seq+1 < r.ID) && !again && !merged {
		s.report(Chain, t.topic, fmt.Sprintf("a gap %d to %d (%s) after number %d", r.ID, r.Seq, md.GapReason(r.Level), t.last))
	}
	if r.Seq >= t.last {
		t.last = r.Seq
	}
	t.merged = false
	if t.trade != 0 {
		if t.trade += uint64(r.Count); r.Count == md.UnknownMissing || s.lossy {
			t.trade = 0
		}
	}
}

func (s *stream) live(t *topicState, r *md.Record) {
	if r.Flags&md.FlagConflated != 0 {
		t.merged = true
	}
	switch {
	case t.merged && r.Seq >= t.last:
	case r.Seq <= t.last:
		s.report(Chain, t.topic, fmt.Sprintf("number %d again after number %d", r.Seq, t.last))
	case r.Seq != t.last+1:
		s.report(Chain, t.topic, fmt.Sprintf("number %d after number %d, and no gap says why", r.Seq, t.last))
	}
	t.last = r.Seq
	if r.Flags&md.FlagLast != 0 {
		t.merged = false
	}
	if r.Kind == md.KindTrade {
		s.trade(t, r)
	}
}

// trade wants no id twice where the venue's ids tell, and no hole where they are
// consecutive.
func (s *stream) trade(t *topicState, r *md.Record) {
	s.counts.stat.Trades++
	if t.spec.ConsecutiveTrades {
		if t.trade != 0 {
			s.counts.check(Complete)
		}
		if t.trade != 0 && r.ID != t.trade+1 {
			s.report(Complete, t.topic, fmt.Sprintf("trade %d after trade %d, and no gap counts it", r.ID, t.trade))
		}
		t.trade = r.ID
	}
	if t.spec.ConsecutiveTrades || t.spec.RisingTrades || t.spec.UniqueTrades {
		s.counts.check(Once)
		if !t.ids.add(r.ID) {
			s.report(Once, t.topic, fmt.Sprintf("trade %d twice", r.ID))
		}
	}
}

// price wants what the exchange has shown.
func (s *stream) price(t *topicState, r *md.Record) {
	class, sized := keyBuy, true
	switch r.Kind {
	case md.KindTrade:
		if r.Side == md.SideSell {
			class = keySell
		}
	case md.KindBook, md.KindBBO:
		switch r.Side {
		case md.SideBid:
			class = keyBid
		case md.SideAsk:
			class = keyAsk
		default:
			return
		}
		if r.Kind == md.KindBBO && r.Size == 0 {
			return // an empty side
		}
		sized = r.Size != 0
	default:
		return
	}
	if r.Kind == md.KindBBO || r.Flags&md.FlagSnapshot == 0 {
		*t.marks.of(class) = mark{md.Decimal{Mant: r.Price, Exp: r.PriceExp}, md.Decimal{Mant: r.Size, Exp: r.SizeExp}}
	}
	s.counts.check(Real)
	key := priceKey(t.symbol, class, r.Price, r.PriceExp)
	if sized {
		key = levelKey(t.symbol, class, r.Price, r.PriceExp, r.Size)
	}
	known := s.truth.has(key)
	if r.Kind == md.KindTrade && r.Side == md.SideUnknown { // some venues do not say
		known = known || s.truth.has(levelKey(t.symbol, keySell, r.Price, r.PriceExp, r.Size))
	}
	if !known {
		s.report(Real, t.topic, fmt.Sprintf("%s, side %d: %s × %s (number %d) is nothing that the exchange sent", r.Kind, r.Side,
			md.Decimal{Mant: r.Price, Exp: r.PriceExp}, md.Decimal{Mant: r.Size, Exp: r.SizeExp}, r.Seq))
	}
}

// books counts the books, and those that are whole.
func (s *stream) books() (live, all int) {
	for k, t := range s.topics {
		if k.channel == md.ChannelBook {
			if all++; t.book.State == book.Live {
				live++
			}
		}
	}
	return live, all
}

// compare holds the books against the true ones, of the topics that serves names.
func (s *stream) compare(want trueBooks, serves func(topic string) bool, c *comparison) {
	byTopic := map[string]*topicState{}
	for _, t := range s.topics {
		byTopic[t.topic] = t
	}
	lasts := func(topic string) *marks {
		if t := byTopic[topic]; t != nil {
			return &t.marks
		}
		return nil
	}
	for topic, b := range want {
		if !serves(topic) {
			continue
		}
		t := byTopic[topic]
		if t == nil {
			c.Why = topic + ": nothing was received"
			continue
		}
		if t.book.State != book.Live {
			c.Why = fmt.Sprintf("%s: the book is %s (%s)", topic, t.book.State, t.book.Reason)
			continue
		}
		c.book(topic, &t.book.Book, &b.Book, 0)
		if !s.lossy { // a slow client's gap may hide the last ones
			c.brought(topic, &b, serves, lasts)
		}
	}
}

// recent knows the last ids.
type recent struct {
	seen map[uint64]bool
	ring []uint64
	at   int
}

const recentIDs = 4096

// fill takes ids that no venue has, so that the memory of a topic with few trades does
// not grow for the whole of a soak.
func (r *recent) fill() {
	r.seen, r.ring = make(map[uint64]bool, recentIDs), make([]uint64, recentIDs)
	for i := range r.ring {
		r.ring[i] = ^uint64(i)
		r.seen[r.ring[i]] = true
	}
}

// add is false if the id is among them.
func (r *recent) add(id uint64) bool {
	if r.seen == nil {
		r.fill()
	}
	if r.seen[id] {
		return false
	}
	delete(r.seen, r.ring[r.at])
	r.ring[r.at] = id
	r.at = (r.at + 1) % recentIDs
	r.seen[id] = true
	return true
}
