package main

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"tickrelay/feeds"
	"tickrelay/ring"
	"tickrelay/ring/md"
)

// feedMetrics exports the counters of feeds. They are read at each scrape, so
// the hot loop knows nothing of Prometheus.
type feedMetrics struct {
	feeds []*feedUnit
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
		{desc("feed_early_events_total", "Frames received before their event time (clocks differ).", "feed"), func(s *feeds.Stats) uint64 { return s.EarlyEvents.Load() }},
	}
}

var (
	feedRejected = desc("feed_rejected_total", "Frames or their content refused, by reason.", "feed", "reason")
	feedIgnored  = desc("feed_ignored_total", "Legitimate content not published, by reason.", "feed", "reason")
	feedGaps     = desc("feed_gaps_total", "Upstream gaps, by reason.", "feed", "reason")
	lineUp       = desc("line_live", "1 while the connection is live.", "feed", "line", "part")
	lineConnects = desc("line_connects_total", "WebSocket connections made.", "feed", "line", "part")
	lineBytes    = desc("line_bytes_total", "Payload bytes received.", "feed", "line", "part")
	lineFaults   = desc("line_faults_total", "Ended attempts and connections, by reason.", "feed", "line", "part", "reason")
	feedLatency  = desc("feed_latency_seconds", "Venue's event time to reception, last 5 s.", "feed", "quantile")
	feedPublish  = desc("feed_publish_seconds", "Reception to publication in the rings, last 5 s.", "feed", "quantile")
)

// Describe implements prometheus.Collector; none of the metrics is constant.
func (m *feedMetrics) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, ch) }

// Collect implements prometheus.Collector.
func (m *feedMetrics) Collect(ch chan<- prometheus.Metric) {
	for _, f := range m.feeds {
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
		collectHealth(ch, f.Health())
		collectLatency(ch, f)
	}
}

func collectHealth(ch chan<- prometheus.Metric, h feeds.Health) {
	for _, l := range h.Lines {
		line, part := strconv.Itoa(l.Line), strconv.Itoa(l.Part)
		up := 0.0
		if l.State == feeds.LineLive {
			up = 1
		}
		ch <- prometheus.MustNewConstMetric(lineUp, prometheus.GaugeValue, up, h.Name, line, part)
		ch <- counter(lineConnects, l.Connects, h.Name, line, part)
		ch <- counter(lineBytes, l.Bytes, h.Name, line, part)
		for reason, n := range l.Faults {
			ch <- counter(lineFaults, n, h.Name, line, part, reason)
		}
	}
	for _, x := range []struct {
		d *prometheus.Desc
		l feeds.Latency
	}{{feedLatency, h.Latency}, {feedPublish, h.Publish}} {
		ch <- prometheus.MustNewConstMetric(x.d, prometheus.GaugeValue, float64(x.l.P50)/1e9, h.Name, "0.5")
		ch <- prometheus.MustNewConstMetric(x.d, prometheus.GaugeValue, float64(x.l.P99)/1e9, h.Name, "0.99")
		ch <- prometheus.MustNewConstMetric(x.d, prometheus.GaugeValue, float64(x.l.Max)/1e9, h.Name, "1")
	}
}

func counter(d *prometheus.Desc, v uint64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

// ringMetrics exports what can be seen of the shared-memory rings.
type ringMetrics struct {
	dir string
}

var (
	ringDepth    = desc("ring_depth_records", "Records that wait for the strategy.", "ring")
	ringConsumer = desc("ring_consumer_alive", "1 while a strategy holds the ring.", "ring")
	ringWritten  = desc("ring_written_records_total", "Records written.", "ring")
	ringLost     = desc("ring_lost_records_total", "Records dropped because the strategy was too slow.", "ring")
	ringOverruns = desc("ring_overruns_total", "Times that a topic was suppressed.", "ring")
)

// Describe implements prometheus.Collector.
func (m *ringMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{ringDepth, ringConsumer, ringWritten, ringLost, ringOverruns} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *ringMetrics) Collect(ch chan<- prometheus.Metric) {
	list, err := ring.List(m.dir)
	if err != nil {
		return // the directory is gone: the relay is stopping
	}
	for i := range list {
		in := &list[i]
		if in.Err != "" {
			continue
		}
		alive := 0.0
		if in.Consumer.Alive {
			alive = 1
		}
		ch <- prometheus.MustNewConstMetric(ringDepth, prometheus.GaugeValue, float64(in.Depth), in.Name)
		ch <- prometheus.MustNewConstMetric(ringConsumer, prometheus.GaugeValue, alive, in.Name)
		ch <- counter(ringWritten, in.Head, in.Name)
		ch <- counter(ringLost, in.Counters.LostRecords, in.Name)
		ch <- counter(ringOverruns, in.Counters.Overruns, in.Name)
	}
}
