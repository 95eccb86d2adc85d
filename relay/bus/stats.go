package bus

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"tickrelay/ring/md"
)

// PublisherStats are a Publisher's counters. Any goroutine.
type PublisherStats struct {
	Venue       md.Venue
	Epoch       atomic.Int64  // that is published, 0: another host leads, or nobody
	Topics      atomic.Int64  // known
	Messages    atomic.Uint64 // handed to the NATS client
	Records     atomic.Uint64 // numbered ones in them
	Bytes       atomic.Uint64
	Dropped     atomic.Uint64 // records that the NATS client could not hold
	Failed      atomic.Uint64 // messages, likewise
	KeyFrames   atomic.Uint64
	Requests    atomic.Uint64 // of gateways
	BadRequests atomic.Uint64
	Foreign     atomic.Uint64 // records of another venue, refused
	Disconnects atomic.Uint64

	mu   sync.Mutex
	told string
}

// trouble notes a failure and reports whether it is another one than the last.
func (s *PublisherStats) trouble(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	is := text != s.told
	s.told = text
	return is
}

// VenueStats are a Subscriber's counters of one venue. Any goroutine.
type VenueStats struct {
	Venue      md.Venue
	Epoch      atomic.Int64
	Up         atomic.Bool   // heard within the last heartbeats
	LastNs     atomic.Int64  // when it was heard last, ns since 1970 UTC
	Topics     atomic.Int64  // known
	Messages   atomic.Uint64 // of records
	Records    atomic.Uint64 // numbered ones taken
	Duplicates atomic.Uint64 // numbered ones that were here before
	Fenced     atomic.Uint64 // messages of a lower epoch
	Rejected   atomic.Uint64 // messages that make no sense
	Lost       atomic.Uint64 // numbers that did not arrive
	Gaps       atomic.Uint64 // gap records made here, not at the origin
	Resyncs    atomic.Uint64 // topics brought back by a key-frame
	Epochs     atomic.Uint64 // changes of the epoch
	History    atomic.Uint64 // records taken from the stream
	LatencySum atomic.Int64  // ns from the origin's send to here, of live messages; clocks differ
}

// SubscriberStats are those of the connection.
type SubscriberStats struct {
	Connected   atomic.Bool
	Disconnects atomic.Uint64
	Slow        atomic.Uint64 // times that messages were dropped here for want of room
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("tickrelay_bus_"+name, help, labels, nil)
}

// Metrics collects the counters of this process's part of the bus.
type Metrics struct {
	Publishers func() []*Publisher
	Subscriber *Subscriber // nil: none
}

// metric is one value that is read at each scrape.
type metric[T any] struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(T) float64
}

var (
	outgoing = []metric[*Publisher]{
		{desc("leading", "1 while this host publishes the venue.", "venue"), prometheus.GaugeValue, func(p *Publisher) float64 { return one(p.stats.Epoch.Load() != 0) }},
		{desc("publish_topics", "Topics known to the publisher.", "venue"), prometheus.GaugeValue, func(p *Publisher) float64 { return float64(p.stats.Topics.Load()) }},
		{desc("published_messages_total", "Messages handed to the NATS client.", "venue"), prometheus.CounterValue, func(p *Publisher) float64 { return float64(p.stats.Messages.Load()) }},
		{desc("published_records_total", "Numbered records in them.", "venue"), prometheus.CounterValue, func(p *Publisher) float64 { return float64(p.stats.Records.Load()) }},
		{desc("published_bytes_total", "Their bytes.", "venue"), prometheus.CounterValue, func(p *Publisher) float64 { return float64(p.stats.Bytes.Load()) }},
		{desc("publish_dropped_records_total", "Records that the NATS client could not hold while it was away.", "venue"), prometheus.CounterValue, func(p *Publisher) float64 { return float64(p.stats.Dropped.Load()) }},
		{desc("keyframes_total", "Key-frames sent.", "venue"), prometheus.CounterValue, func(p *Publisher) float64 { return float64(p.stats.KeyFrames.Load()) }},
		{desc("requests_total", "Requests of gateways.", "venue"), prometheus.CounterValue, func(p *Publisher) float64 { return float64(p.stats.Requests.Load()) }},
		{desc("foreign_records_total", "Records of another venue in this venue's rings, refused.", "venue"), prometheus.CounterValue, func(p *Publisher) float64 { return float64(p.stats.Foreign.Load()) }},
		{desc("publish_disconnects_total", "Connections to NATS that were lost.", "venue"), prometheus.CounterValue, func(p *Publisher) float64 { return float64(p.stats.Disconnects.Load()) }},
		{desc("lease_takeovers_total", "Times that this host became the leader.", "venue"), prometheus.CounterValue, func(p *Publisher) float64 { return float64(p.takeOvers()) }},
		{desc("lease_failures_total", "Looks at the lease that failed.", "venue"), prometheus.CounterValue, func(p *Publisher) float64 { return float64(p.leaseFailures()) }},
	}
	incoming = []metric[*VenueStats]{
		{desc("up", "1 while the venue's leader is heard.", "venue"), prometheus.GaugeValue, func(s *VenueStats) float64 { return one(s.Up.Load()) }},
		{desc("epoch_timestamp_seconds", "Epoch of the venue's records.", "venue"), prometheus.GaugeValue, func(s *VenueStats) float64 { return float64(s.Epoch.Load()) / 1e9 }},
		{desc("topics", "Topics received.", "venue"), prometheus.GaugeValue, func(s *VenueStats) float64 { return float64(s.Topics.Load()) }},
		{desc("messages_total", "Messages of records received.", "venue"), prometheus.CounterValue, func(s *VenueStats) float64 { return float64(s.Messages.Load()) }},
		{desc("records_total", "Numbered records taken.", "venue"), prometheus.CounterValue, func(s *VenueStats) float64 { return float64(s.Records.Load()) }},
		{desc("duplicates_total", "Numbered records that had come before.", "venue"), prometheus.CounterValue, func(s *VenueStats) float64 { return float64(s.Duplicates.Load()) }},
		{desc("fenced_messages_total", "Messages of a lower epoch, dropped.", "venue"), prometheus.CounterValue, func(s *VenueStats) float64 { return float64(s.Fenced.Load()) }},
		{desc("rejected_messages_total", "Messages that make no sense, dropped.", "venue"), prometheus.CounterValue, func(s *VenueStats) float64 { return float64(s.Rejected.Load()) }},
		{desc("lost_records_total", "Numbers that did not arrive.", "venue"), prometheus.CounterValue, func(s *VenueStats) float64 { return float64(s.Lost.Load()) }},
		{desc("gaps_total", "Gap records made here, for losses on the bus.", "venue"), prometheus.CounterValue, func(s *VenueStats) float64 { return float64(s.Gaps.Load()) }},
		{desc("resyncs_total", "Topics brought back by a key-frame.", "venue"), prometheus.CounterValue, func(s *VenueStats) float64 { return float64(s.Resyncs.Load()) }},
		{desc("epoch_changes_total", "Take-overs seen.", "venue"), prometheus.CounterValue, func(s *VenueStats) float64 { return float64(s.Epochs.Load()) }},
		{desc("history_records_total", "Records taken from the stream at the start.", "venue"), prometheus.CounterValue, func(s *VenueStats) float64 { return float64(s.History.Load()) }},
		{desc("latency_seconds_total", "Origin's send to reception here, summed over the messages that came live; clocks of hosts differ.", "venue"), prometheus.CounterValue, func(s *VenueStats) float64 { return float64(s.LatencySum.Load()) / 1e9 }},
	}
	connection = []metric[*SubscriberStats]{
		{desc("connected", "1 while this gateway is connected to NATS."), prometheus.GaugeValue, func(s *SubscriberStats) float64 { return one(s.Connected.Load()) }},
		{desc("disconnects_total", "Connections of this gateway to NATS that were lost."), prometheus.CounterValue, func(s *SubscriberStats) float64 { return float64(s.Disconnects.Load()) }},
		{desc("slow_total", "Times that messages were dropped because this gateway did not keep up."), prometheus.CounterValue, func(s *SubscriberStats) float64 { return float64(s.Slow.Load()) }},
	}
)

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func (p *Publisher) takeOvers() uint64 {
	if p.lease == nil {
		return 0
	}
	return p.lease.takeOvers.Load()
}

func (p *Publisher) leaseFailures() uint64 {
	if p.lease == nil {
		return 0
	}
	return p.lease.failures.Load()
}

// Describe implements prometheus.Collector; none of the metrics is constant.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, ch) }

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	for _, p := range m.Publishers() {
		collect(ch, outgoing, p, p.cfg.Venue.String())
	}
	if m.Subscriber == nil {
		return
	}
	collect(ch, connection, &m.Subscriber.stats)
	for _, v := range m.Subscriber.venues {
		collect(ch, incoming, &v.stats, v.stats.Venue.String())
	}
}

func collect[T any](ch chan<- prometheus.Metric, list []metric[T], of T, labels ...string) {
	for _, m := range list {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.read(of), labels...)
	}
}
