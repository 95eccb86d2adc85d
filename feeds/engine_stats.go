package feeds

import (
	"slices"
	"sync"
	"sync/atomic"

	"tickrelay/ring/md"
)

// RejectReason says why a frame, or what it held, was refused. The list is
// closed: every reason is counted from the start.
type RejectReason uint8

// Reasons of refusal.
const (
	RejectMalformed   RejectReason = iota // the frame violates the venue's document
	RejectUnsupported                     // the frame is of another dialect
	RejectRange                           // a number fits no exponent exactly, or no int64 mantissa
	RejectSnapshot                        // a REST answer could not be read
	RejectTable                           // the instrument table took no entry
	NumRejectReasons
)

var rejectNames = [NumRejectReasons]string{"malformed", "unsupported", "range", "snapshot", "table"}

// String is the reason's name in metrics.
func (r RejectReason) String() string { return rejectNames[r] }

// IgnoreReason says why something legitimate was not published. The list is
// closed: every reason is counted from the start.
type IgnoreReason uint8

// Reasons of ignoring.
const (
	IgnoreNothing    IgnoreReason = iota // frames without an event of ours: candles, acknowledgements …
	IgnoreInstrument                     // instruments that nobody wants
	IgnoreChannel                        // channels that nobody wants
	IgnoreHistory                        // trades of before the subscription
	IgnoreDuplicate                      // trades and quotes that were published already
	IgnoreStale                          // values older than what was published
	IgnoreUnchanged                      // values equal to what was published
	IgnoreStandby                        // events of a line that is not the topic's
	IgnoreWaiting                        // book updates that came before their snapshot and were not kept
	IgnoreRefused                        // events of topics that stay broken
	NumIgnoreReasons
)

var ignoreNames = [NumIgnoreReasons]string{"nothing", "instrument", "channel", "history", "duplicate", "stale",
	"unchanged", "standby", "waiting", "refused"}

// String is the reason's name in metrics.
func (r IgnoreReason) String() string { return ignoreNames[r] }

// NumGapReasons is the length of Stats.Gaps; index 0 is not used.
const NumGapReasons = int(md.GapVenue) + 1

// Stats are an engine's counters. The engine alone writes them, any goroutine
// may read them.
type Stats struct {
	Frames  atomic.Uint64 // messages taken
	Events  atomic.Uint64 // market events decoded
	Records atomic.Uint64 // numbered records published, gaps not included

	Rejected [NumRejectReasons]atomic.Uint64
	Ignored  [NumIgnoreReasons]atomic.Uint64
	Gaps     [NumGapReasons]atomic.Uint64 // upstream gaps by md.GapReason

	ChecksumsOK, ChecksumsBad atomic.Uint64
	BooksCrossed              atomic.Uint64
	BooksBuilt                atomic.Uint64 // books complete, for the first time or again
	Resyncs                   atomic.Uint64 // attempts to get a broken book or a silent instrument back
	Refits                    atomic.Uint64 // changes of an instrument's exponents
	SnapshotsStale            atomic.Uint64 // REST answers older than the events held
	SnapshotsFailed           atomic.Uint64 // REST requests without an answer
	AuditsOK, AuditsBad       atomic.Uint64 // live books compared with a fresh snapshot: equal, different
	AuditsOpen                atomic.Uint64 // audits whose numbers did not meet
	Silences                  atomic.Uint64 // instruments that fell silent
	Acks, VenueErrors         atomic.Uint64 // requests confirmed, refused
	Reconnects                atomic.Uint64 // connections that the engine wanted made again
	Parked                    atomic.Uint64 // events that waited for another line to fill a hole before them
	Switches                  atomic.Uint64 // topics that went over to another line without a gap
	ConnHoles                 atomic.Uint64 // holes in numbers that count the frames of a connection
	EarlyEvents               atomic.Uint64 // frames received before their event time: the clocks differ
	Instruments               atomic.Uint64 // in use

	Latency [md.NumChannels]ChannelLatency
	Lines   [MaxLines]LineWins

	mu     sync.Mutex
	topics []*topicStats
}

// TopicState is how far a topic can be trusted.
type TopicState uint32

// States of a topic.
const (
	TopicWaiting TopicState = iota // nothing came yet
	TopicLive                      // current
	TopicBroken                    // after a gap, before the next value or snapshot
	TopicRefused                   // a number fits no exponent: broken until reconfigured
)

var topicStateNames = [...]string{"waiting", "live", "broken", "refused"}

// String is the state's name.
func (s TopicState) String() string { return topicStateNames[s] }

// TopicHealth is a picture of one topic.
type TopicHealth struct {
	Topic    string
	State    TopicState
	Gaps     uint64 // upstream gaps
	LastRecv int64  // receive time of the last event published, ns, 0 if none
}

type topicStats struct {
	name  string
	state atomic.Uint32
	gaps  atomic.Uint64
	last  atomic.Int64
}

// Topics is a picture of every topic, in the order in which they appeared.
func (s *Stats) Topics() []TopicHealth {
	s.mu.Lock()
	list := s.topics
	s.mu.Unlock()
	out := make([]TopicHealth, len(list))
	for i, t := range list {
		out[i] = TopicHealth{Topic: t.name, State: TopicState(t.state.Load()), Gaps: t.gaps.Load(), LastRecv: t.last.Load()}
	}
	return out
}

// addTopic begins to keep a topic's health.
func (s *Stats) addTopic(name string) *topicStats {
	t := &topicStats{name: name}
	s.mu.Lock()
	s.topics = append(s.topics, t)
	s.mu.Unlock()
	return t
}

// removeTopic forgets a topic that is not served any more.
func (s *Stats) removeTopic(t *topicStats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.topics = slices.DeleteFunc(slices.Clone(s.topics), func(x *topicStats) bool { return x == t })
}

// GapsTotal is the number of upstream gaps of all reasons.
func (s *Stats) GapsTotal() uint64 {
	var n uint64
	for i := range s.Gaps {
		n += s.Gaps[i].Load()
	}
	return n
}

// RejectedTotal is the number of refusals of all reasons.
func (s *Stats) RejectedTotal() uint64 {
	var n uint64
	for i := range s.Rejected {
		n += s.Rejected[i].Load()
	}
	return n
}
