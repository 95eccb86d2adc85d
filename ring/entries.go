package ring

import (
	"sync/atomic"

	"tickrelay/ring/md"
)

// claimEntry gives a topic counters in the segment: those it had under an
// earlier producer of the ring, else the next free ones, else nil.
func (s *Segment) claimEntry(instrument uint32, ch md.Channel) *topicEntry {
	n := atomic.LoadUint32(&s.hdr.topicCount)
	for i := range min(s.inherited, n, uint32(len(s.topics))) { // an inherited count may be anything
		if e := &s.topics[i]; e.instrument == instrument && e.channel == uint32(ch) {
			return e
		}
	}
	if int(n) >= len(s.topics) {
		atomic.StoreUint32(&s.hdr.uncounted, 1) // before the topic is told
		return nil
	}
	e := &s.topics[n]
	atomic.StoreUint32(&e.instrument, instrument)
	atomic.StoreUint32(&e.channel, uint32(ch))
	atomic.StoreUint32(&s.hdr.topicCount, n+1) // published: readers look no further
	return e
}

// Counters are the losses and the work of a ring since its creation.
type Counters struct {
	Starts      uint64 `json:"starts"`       // consumers that attached
	LostEvents  uint64 `json:"lost_events"`  // events dropped: the ring was full, or they were too large
	LostRecords uint64 `json:"lost_records"` // their records
	Overruns    uint64 `json:"overruns"`     // times that a topic was suppressed
	Gaps        uint64 `json:"gaps"`         // upstream gaps written
	Snapshots   uint64 `json:"snapshots"`    // book snapshots completed
	Levels      uint64 `json:"levels"`       // levels written by snapshot cursors
	Wakes       uint64 `json:"wakes"`        // system calls to wake a sleeping consumer
}

// Counters reads the ring's counters. Any goroutine.
func (s *Segment) Counters() Counters {
	get := func(i int) uint64 { return atomic.LoadUint64(&s.hdr.counters[i]) }
	return Counters{
		Starts: get(cntStarts), LostEvents: get(cntLostEvents), LostRecords: get(cntLostRecords),
		Overruns: get(cntOverruns), Gaps: get(cntGaps), Snapshots: get(cntSnapshots),
		Levels: get(cntLevels), Wakes: get(cntWakes),
	}
}

// TopicInfo is what a ring counts of one topic.
type TopicInfo struct {
	Instrument  uint32     `json:"instrument"`
	Channel     md.Channel `json:"-"`
	ChannelName string     `json:"channel"`
	Seq         uint64     `json:"seq"` // the topic's number at the last heartbeat
	LostEvents  uint64     `json:"lost_events"`
	LostRecords uint64     `json:"lost_records"`
	Overruns    uint64     `json:"overruns"`
	Gaps        uint64     `json:"gaps"`
	Snapshots   uint64     `json:"snapshots"`
}

// Topics reads the counters of every topic that has its own. Any goroutine.
func (s *Segment) Topics() []TopicInfo {
	n := min(int(atomic.LoadUint32(&s.hdr.topicCount)), len(s.topics))
	out := make([]TopicInfo, n)
	for i := range out {
		e := &s.topics[i]
		ch := md.Channel(atomic.LoadUint32(&e.channel))
		out[i] = TopicInfo{
			Instrument: atomic.LoadUint32(&e.instrument), Channel: ch, ChannelName: ch.String(),
			Seq: atomic.LoadUint64(&e.seq), LostEvents: atomic.LoadUint64(&e.lostEvents),
			LostRecords: atomic.LoadUint64(&e.lostRecords), Overruns: atomic.LoadUint64(&e.overruns),
			Gaps: atomic.LoadUint64(&e.gaps), Snapshots: atomic.LoadUint64(&e.snapshots),
		}
	}
	return out
}
