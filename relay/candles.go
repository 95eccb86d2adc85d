package relay

import (
	"slices"
	"sync/atomic"
	"time"
	"unsafe"

	"tickrelay/ring/md"
)

// Bounds and pace of candles.
const (
	candleKept = int64(24 * time.Hour) // how much of the past a topic keeps
	// candleSnapshot is how many bars a subscriber gets first; HTTP has the rest.
	candleSnapshot = 300
	// candlePace is the least time between two updates of a running bar; its end
	// is told at once.
	candlePace = int64(100 * time.Millisecond)
	// candleGrace is how long after a bar's end it is closed in a quiet market:
	// its last trades may be under way.
	candleGrace = int64(2 * time.Second)
	// candleAhead is how far a venue's clock may be ahead: one trade of a far future
	// would end the day of bars, and every later one would be late.
	candleAhead = int64(time.Minute)
	// candleLate is how many bars back a late trade is looked for.
	candleLate = 64
	candleSize = int64(unsafe.Sizeof(candle{}))
)

// candleStats count what candles cannot show.
type candleStats struct {
	bytes   atomic.Int64  // held by bars
	late    atomic.Uint64 // trades too late for any bar that is kept
	inexact atomic.Uint64 // bars with a quantity that no int64 holds
	dropped atomic.Uint64 // bars dropped before their day was over, for want of memory
}

// series are the bars of one topic of candles, oldest first; the last one may
// be running. The hub's goroutine alone uses it.
type series struct {
	t       *topic
	every   int64 // ns
	bars    []candle
	first   int   // index of the oldest bar
	suspect bool  // trades are missing since the last one
	dirty   bool  // the running bar has changed since it was told
	told    int64 // mono ns of the last message
	from    int   // index of the oldest bar that changed since
	tsRecv  int64 // of the last trade
	tsEvent int64
	listed  bool // in hub.candling
}

// intervals of the channels of candles.
var candleIntervals = [...]struct {
	channel md.Channel
	every   int64
}{{md.ChannelCandles1s, int64(time.Second)}, {md.ChannelCandles1m, int64(time.Minute)}}

// candleTrades takes live trades of a topic into its bars.
func (h *hub) candleTrades(t *topic, ev []md.Record) {
	if t.candles[0] == nil && !h.beginCandles(t) {
		return
	}
	for _, s := range t.candles {
		for i := range ev {
			h.candleTrade(s, &ev[i])
		}
		h.tellCandles(s)
	}
}

// beginCandles makes the topics of candles beside one of trades.
func (h *hub) beginCandles(t *topic) bool {
	source := h.source
	h.source = nil // they end with nobody's ring
	defer func() { h.source = source }()
	for i, c := range candleIntervals {
		ct := h.topicOf(t.instrument, c.channel)
		if ct == nil {
			return false
		}
		ct.series = &series{t: ct, every: c.every, suspect: true}
		t.candles[i] = ct.series
		if !ct.live {
			ct.begin(h.began, 0)
			h.announce(ct)
		}
	}
	return true
}

// candleGap tells the bars of a topic of trades that some are missing.
func (h *hub) candleGap(t *topic) {
	for _, s := range t.candles {
		if s == nil {
			continue
		}
		s.suspect = true
		if c := s.running(); c != nil && !c.partial {
			c.partial = true
			s.touch(len(s.bars) - 1)
			h.tellCandles(s)
		}
	}
}

// running is the bar that is not closed, nil if there is none.
func (s *series) running() *candle {
	if n := len(s.bars); n > s.first && !s.bars[n-1].closed {
		return &s.bars[n-1]
	}
	return nil
}

// touch notes that a bar has changed.
func (s *series) touch(i int) {
	if !s.dirty {
		s.dirty, s.from = true, i
	}
	s.from = min(s.from, i)
}

// candleTrade puts a trade where its time belongs.
func (h *hub) candleTrade(s *series, r *md.Record) {
	at := r.TsEvent
	if at == 0 || r.TsRecv != 0 && at > r.TsRecv+candleAhead {
		at = r.TsRecv
	}
	start := at - at%s.every
	s.tsEvent, s.tsRecv = r.TsEvent, r.TsRecv
	n := len(s.bars)
	switch {
	case n == s.first || start > s.bars[n-1].start:
		if c := s.running(); c != nil {
			c.closed = true
			s.touch(n - 1)
			h.countInexact(c)
		}
		h.appendBar(s, start, at, r)
	case start == s.bars[n-1].start:
		s.bars[n-1].add(at, r)
		s.touch(n - 1)
	default:
		h.lateTrade(s, start, at, r)
		return
	}
	if s.suspect {
		s.bars[len(s.bars)-1].partial, s.suspect = true, false
	}
}

// lateTrade puts a trade into a bar that is over already, which is told again.
func (h *hub) lateTrade(s *series, start, at int64, r *md.Record) {
	lowest := max(s.first, len(s.bars)-candleLate)
	for i := len(s.bars) - 1; i >= lowest; i-- {
		switch c := &s.bars[i]; {
		case c.start == start:
			c.add(at, r)
			s.touch(i)
			return
		case c.start < start:
			if len(s.bars) == cap(s.bars) {
				h.growBars(s)
				h.lateTrade(s, start, at, r) // the bars have moved
				return
			}
			var late candle
			late.begin(start, at, r, s.suspect)
			late.closed = true
			s.bars = slices.Insert(s.bars, i+1, late)
			s.touch(i + 1)
			return
		}
	}
	h.stats.candles.late.Add(1)
}

// appendBar begins a bar and drops those that are over a day old, or the older
// half where the memory of all candles is used up.
func (h *hub) appendBar(s *series, start, at int64, r *md.Record) {
	for s.first < len(s.bars) && s.bars[s.first].start <= start-candleKept {
		s.first++
	}
	if len(s.bars) == cap(s.bars) {
		h.growBars(s)
	}
	s.bars = append(s.bars, candle{})
	s.bars[len(s.bars)-1].begin(start, at, r, false)
	s.touch(len(s.bars) - 1)
}

// growBars makes room for one more bar.
func (h *hub) growBars(s *series) {
	live := len(s.bars) - s.first
	size := cap(s.bars)
	if live > size*3/4 || size == 0 {
		grown := max(64, size+size/2)
		if grow := int64(grown-size) * candleSize; h.stats.candles.bytes.Load()+grow <= int64(h.limits.CandleBytes) || size == 0 {
			h.stats.candles.bytes.Add(grow)
			size = grown
		}
	}
	if live >= size {
		drop := live - size/2
		h.stats.candles.dropped.Add(uint64(drop))
		s.first += drop
		live -= drop
	}
	moved := s.bars[:0]
	if size != cap(s.bars) {
		moved = make([]candle, 0, size)
	}
	shift := s.first
	s.bars = append(moved, s.bars[s.first:]...)
	s.first, s.from = 0, max(0, s.from-shift)
}

func (h *hub) countInexact(c *candle) {
	if c.mant[md.CandleVolume] == md.Absent || c.mant[md.CandleTurnover] == md.Absent {
		h.stats.candles.inexact.Add(1)
	}
}

// tellCandles sends what changed, or plans it: a running bar at most every
// candlePace, closed ones at once.
func (h *hub) tellCandles(s *series) {
	if !s.dirty {
		if s.running() != nil {
			h.listSeries(s)
		}
		return
	}
	if s.running() != nil && s.from == len(s.bars)-1 && h.now < s.told+candlePace {
		h.listSeries(s)
		return
	}
	s.dirty, s.told = false, h.now
	for i := max(s.from, s.first); i < len(s.bars); i++ {
		h.tellCandle(s, &s.bars[i])
	}
	if s.running() != nil {
		h.listSeries(s)
	}
}

// tellCandle sends one bar as an event of the topic.
func (h *hub) tellCandle(s *series, c *candle) {
	t := s.t
	like := md.Record{Venue: t.venue, Instrument: t.instrument, TsEvent: s.tsEvent, TsRecv: s.tsRecv, Side: uint8(t.channel)}
	h.bar = c.records(h.bar[:0], &like)
	for i := range h.bar {
		t.seq++
		h.bar[i].Seq = t.seq
	}
	h.bar[0].Flags |= md.FlagFirst
	h.bar[len(h.bar)-1].Flags |= md.FlagLast
	for _, st := range t.streams {
		h.event(st, h.bar)
	}
}

// listSeries has candlesDue look at the series.
func (h *hub) listSeries(s *series) {
	if !s.listed {
		s.listed = true
		h.candling = append(h.candling, s)
	}
}

// candlesDue sends what waited for its turn and closes bars whose time is over.
func (h *hub) candlesDue() {
	if len(h.candling) == 0 {
		return
	}
	wall := h.wall()
	list := h.candling
	h.candling = h.candlingSpare[:0]
	for _, s := range list {
		s.listed = false
		if c := s.running(); c != nil && wall >= c.start+s.every+candleGrace {
			c.closed = true
			h.countInexact(c)
			s.touch(len(s.bars) - 1)
			s.from = min(s.from, len(s.bars)-1)
			s.told = 0
		}
		h.tellCandles(s)
	}
	h.candlingSpare = list[:0]
}

// candleWait is the time until candlesDue has something to do.
func (h *hub) candleWait(now int64) time.Duration {
	wait := time.Hour
	if len(h.candling) == 0 {
		return wait
	}
	wall := h.wall()
	for _, s := range h.candling {
		if s.dirty {
			wait = min(wait, time.Duration(max(0, s.told+candlePace-now)))
		}
		if c := s.running(); c != nil {
			wait = min(wait, time.Duration(max(0, c.start+s.every+candleGrace-wall)))
		}
	}
	return wait
}

// dropCandles forgets all bars: the topics are retired.
func (h *hub) dropCandles() {
	h.stats.candles.bytes.Store(0)
	h.candling, h.candlingSpare = nil, nil
	h.began = max(h.wall(), h.began+1) // their numbers begin again
}

// appendSnapshot appends the newest bars as one snapshot.
func (s *series) appendSnapshot(dst []md.Record) []md.Record {
	like := md.Record{TsEvent: s.tsEvent, TsRecv: s.tsRecv, Side: uint8(s.t.channel)}
	for i := max(s.first, len(s.bars)-candleSnapshot); i < len(s.bars); i++ {
		dst = s.bars[i].records(dst, &like)
	}
	return dst
}
