package main

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"tickrelay/feeds"
	"tickrelay/ring/md"
)

// feedMetrics exports the counters of feeds. They are read at each scrape, so
// the hot loop knows nothing of Prometheus.
type feedMetrics struct {
	feeds func() []*feedUnit
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("tickrelay_"+name, help, labels, nil)
}

// feedCounter is one plain counter of a feed.
type feedCounter struct {
	desc *prometheus.Desc
	read func(*feeds.Stats) uint64
}

// feedCounters are the counters without a reason.
func feedCounters() []feedCounter {
	return []feedCounter{
		{desc("feed_frames_total", "Messages received from the venue.", "feed"), func(s *feeds.Stats) uint64 { return s.Frames.Load() }},
		{desc("feed_events_total", "Market events decoded.", "feed"), func(s *feeds.Stats) uint64 { return s.Events.Load() }},
		{desc("feed_records_total", "Numbered records published.", "feed"), func(s *feeds.Stats) uint64 { return s.Records.Load() }},
		{desc("feed_checksums_ok_total", "Book checksums that agreed.", "feed"), func(s *feeds.Stats) uint64 { return s.ChecksumsOK.Load() }},
		{desc("feed_checksums_bad_total", "Book checksums that differed.", "feed"), func(s *feeds.Stats) uint64 { return s.ChecksumsBad.Load() }},
		{desc("feed_books_crossed_total", "Books found crossed.", "feed"), func(s *feeds.Stats) uint64 { return s.BooksCrossed.Load() }},
		{desc("feed_books_built_total", "Books completed, first time or again.", "feed"), func(s *feeds.Stats) uint64 { return s.BooksBuilt.Load() }},
		{desc("feed_resyncs_total", "Attempts to get a broken book back.", "feed"), func(s *feeds.Stats) uint64 { return s.Resyncs.Load() }},
		{desc("feed_refits_total", "Changes of an instrument's exponents.", "feed"), func(s *feeds.Stats) uint64 { return s.Refits.Load() }},
		{desc("feed_silences_total", "Instruments that fell silent.", "feed"), func(s *feeds.Stats) uint64 { return s.Silences.Load() }},
		{desc("feed_venue_errors_total", "Requests that the venue refused.", "feed"), func(s *feeds.Stats) uint64 { return s.VenueErrors.Load() }},
		{desc("feed_connection_holes_total", "Holes in the venue's numbers of a connection's frames.", "feed"), func(s *feeds.Stats) uint64 { return s.ConnHoles.Load() }},
		{desc("feed_audits_ok_total", "Live books that agreed with a fresh snapshot.", "feed"), func(s *feeds.Stats) uint64 { return s.AuditsOK.Load() }},
		{desc("feed_audits_bad_total", "Live books that differed from a fresh snapshot.", "feed"), func(s *feeds.Stats) uint64 { return s.AuditsBad.Load() }},
		{desc("feed_audits_open_total", "Audits of which the numbers of book and snapshot did not meet.", "feed"), func(s *feeds.Stats) uint64 { return s.AuditsOpen.Load() }},
		{desc("feed_parked_events_total", "Events that waited for another line to fill a hole before them.", "feed"), func(s *feeds.Stats) uint64 { return s.Parked.Load() }},
		{desc("feed_switches_total", "Topics that went over to another line without a gap.", "feed"), func(s *feeds.Stats) uint64 { return s.Switches.Load() }},
		{desc("feed_snapshots_stale_total", "REST snapshots older than the updates held for them.", "feed"), func(s *feeds.Stats) uint64 { return s.SnapshotsStale.Load() }},
		{desc("feed_snapshots_failed_total", "REST snapshots that were not answered.", "feed"), func(s *feeds.Stats) uint64 { return s.SnapshotsFailed.Load() }},
		{desc("feed_acks_total", "Requests that the venue confirmed.", "feed"), func(s *feeds.Stats) uint64 { return s.Acks.Load() }},
		{desc("feed_reconnects_wanted_total", "Connections given up because their content could not be trusted.", "feed"), func(s *feeds.Stats) uint64 { return s.Reconnects.Load() }},
		{desc("feed_early_events_total", "Frames received before their event time (clocks differ).", "feed"), func(s *feeds.Stats) uint64 { return s.EarlyEvents.Load() }},
	}
}

var (
	feedRejected = desc("feed_rejected_total", "Frames or their content refused, by reason.", "feed", "reason")
	feedIgnored  = desc("feed_ignored_total", "Legitimate content not published, by reason.", "feed", "reason")
	feedGaps     = desc("feed_gaps_total", "Upstream gaps, by reason.", "feed", "reason")
	feedTopics   = desc("feed_topics", "Topics by state: waiting for the first value, live, broken until the next value or snapshot, refused because a number fits no exponent.", "feed", "state")
	feedInstr    = desc("feed_instruments", "Instruments in use.", "feed")
	feedREST     = desc("feed_rest_requests_total", "REST requests made.", "feed")
	feedRESTBad  = desc("feed_rest_failures_total", "REST requests without an answer of use.", "feed")
	feedCatAt    = desc("feed_catalogue_timestamp_seconds", "Unix time at which the venue's catalogue was read, 0 without one.", "feed")
	lineUp       = desc("line_live", "1 while the connection is live.", "feed", "line", "part")
	lineConnects = desc("line_connects_total", "WebSocket connections made.", "feed", "line", "part")
	lineAttempts = desc("line_attempts_total", "Attempts to connect.", "feed", "line", "part")
	lineFrames   = desc("line_frames_total", "Messages received.", "feed", "line", "part")
	lineSent     = desc("line_sent_messages_total", "Messages sent to the venue.", "feed", "line", "part")
	lineLast     = desc("line_last_frame_timestamp_seconds", "Unix time at which bytes last came, 0 if none did.", "feed", "line", "part")
	lineBytes    = desc("line_bytes_total", "Payload bytes received.", "feed", "line", "part")
	lineFaults   = desc("line_faults_total", "Ended attempts and connections, by reason.", "feed", "line", "part", "reason")
	feedLatency  = desc("receive_recent_max_seconds", "Longest time from the venue's time of an event to its reception, last 5 s.", "feed")
	feedPublish  = desc("publish_recent_max_seconds", "Longest time from reception to publication in the rings, last 5 s.", "feed")
)

// Describe implements prometheus.Collector; none of the metrics is constant.
func (m *feedMetrics) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, ch) }

// Collect implements prometheus.Collector.
func (m *feedMetrics) Collect(ch chan<- prometheus.Metric) {
	for _, f := range m.feeds() {
		st := f.Stats()
		for _, c := range feedCounters() {
			ch <- counter(c.desc, c.read(st), f.Name())
		}
		for r := range feeds.NumRejectReasons {
			ch <- counter(feedRejected, st.Rejected[r].Load(), f.Name(), r.String())
		}
		for r := range feeds.NumIgnoreReasons {
			ch <- counter(feedIgnored, st.Ignored[r].Load(), f.Name(), r.String())
		}
		for r := 1; r < feeds.NumGapReasons; r++ {
			ch <- counter(feedGaps, st.Gaps[r].Load(), f.Name(), md.GapReason(r).String())
		}
		collectTopics(ch, f)
		collectHealth(ch, f.Health())
		collectLatency(ch, f)
	}
}

// collectTopics counts a feed's topics by how far they can be trusted.
func collectTopics(ch chan<- prometheus.Metric, f *feedUnit) {
	n := [feeds.TopicRefused + 1]int{}
	for _, t := range f.Stats().Topics() {
		n[t.State]++
	}
	for s, topics := range n {
		ch <- gauge(feedTopics, float64(topics), f.Name(), feeds.TopicState(s).String())
	}
	ch <- gauge(feedInstr, float64(f.Stats().Instruments.Load()), f.Name())
}

func collectHealth(ch chan<- prometheus.Metric, h feeds.Health) {
	ch <- counter(feedREST, h.RESTRequests, h.Name)
	ch <- counter(feedRESTBad, h.RESTFailures, h.Name)
	ch <- gauge(feedCatAt, float64(h.CatalogueAt)/1e9, h.Name)
	for _, l := range h.Lines {
		line, part := strconv.Itoa(l.Line), strconv.Itoa(l.Part)
		up := 0.0
		if l.State == feeds.LineLive {
			up = 1
		}
		ch <- gauge(lineUp, up, h.Name, line, part)
		ch <- gauge(lineLast, float64(l.LastFrame)/1e9, h.Name, line, part)
		ch <- counter(lineAttempts, l.Attempts, h.Name, line, part)
		ch <- counter(lineFrames, l.Frames, h.Name, line, part)
		ch <- counter(lineSent, l.Sent, h.Name, line, part)
		ch <- counter(lineConnects, l.Connects, h.Name, line, part)
		ch <- counter(lineBytes, l.Bytes, h.Name, line, part)
		for reason, n := range l.Faults {
			ch <- counter(lineFaults, n, h.Name, line, part, reason)
		}
	}
	ch <- gauge(feedLatency, float64(h.Latency.Max)/1e9, h.Name)
	ch <- gauge(feedPublish, float64(h.Publish.Max)/1e9, h.Name)
}

func gauge(d *prometheus.Desc, v float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func counter(d *prometheus.Desc, v uint64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}
