package main

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"tickrelay/feeds"
)

var (
	receiveSeconds = desc("receive_seconds", "Venue's time of the event to reception.", "feed", "venue", "channel")
	publishSeconds = desc("publish_seconds", "Reception to publication in the rings.", "feed", "venue", "channel")
	receiveEarly   = desc("receive_negative_total", "Events received before their venue's time: the clocks differ.", "feed", "venue", "channel")
	lineWins       = desc("line_wins_total", "Events that this line was the first to bring, where several bring them.", "feed", "line")
	lineLeads      = desc("line_leads_total", "Events that this line was the first to bring and another one repeated next.", "feed", "line")
	lineLead       = desc("line_lead_seconds_total", "How much later the other line was, summed over line_leads_total.", "feed", "line")
	venueRefuses   = desc("feed_circuit_open", "1 while the venue refuses every connection and one line at a time goes on trying.", "feed")
)

// collectLatency exports the histograms of a feed's channels and how its lines
// compete.
func collectLatency(ch chan<- prometheus.Metric, f *feedUnit) {
	st, venue := f.Stats(), f.Venue().Spec().Name
	for _, c := range f.channels {
		l := &st.Latency[c]
		histogram(ch, receiveSeconds, &l.Receive, f.Name(), venue, c.String())
		histogram(ch, publishSeconds, &l.Publish, f.Name(), venue, c.String())
		ch <- counter(receiveEarly, l.Receive.Negative.Load(), f.Name(), venue, c.String())
	}
	h := f.Health()
	open := 0.0
	if h.Circuit {
		open = 1
	}
	ch <- prometheus.MustNewConstMetric(venueRefuses, prometheus.GaugeValue, open, f.Name())
	seen := map[int]bool{}
	for _, l := range h.Lines {
		if seen[l.Line] { // one part is enough: the figures are of the line
			continue
		}
		seen[l.Line] = true
		w, line := &st.Lines[l.Line], strconv.Itoa(l.Line)
		ch <- counter(lineWins, w.Wins.Load(), f.Name(), line)
		ch <- counter(lineLeads, w.Leads.Load(), f.Name(), line)
		ch <- prometheus.MustNewConstMetric(lineLead, prometheus.CounterValue, float64(w.Lead.Load())/1e9, f.Name(), line)
	}
}

func histogram(ch chan<- prometheus.Metric, d *prometheus.Desc, h *feeds.Histogram, labels ...string) {
	buckets, total := make(map[float64]uint64, len(feeds.HistogramBounds)), uint64(0)
	for i, bound := range feeds.HistogramBounds {
		total += h.Buckets[i].Load()
		buckets[float64(bound)/1e9] = total
	}
	ch <- prometheus.MustNewConstHistogram(d, max(total, h.Count.Load()), float64(h.Sum.Load())/1e9, buckets, labels...)
}

// clockMetrics exports what the kernel knows of the host clock's error
// (adjtimex(2)): a latency from a venue's clock to ours is wrong by as much.
type clockMetrics struct{}

var (
	clockError  = desc("clock_error_bound_seconds", "Largest error of the host's clock that the kernel knows of (maxerror).")
	clockEst    = desc("clock_error_estimate_seconds", "Estimated error of the host's clock (esterror).")
	clockSynced = desc("clock_synchronized", "1 while something keeps the host's clock synchronized.")
)

// Describe implements prometheus.Collector.
func (clockMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- clockError
	ch <- clockEst
	ch <- clockSynced
}

// Collect implements prometheus.Collector; it exports nothing where the kernel
// does not tell.
func (clockMetrics) Collect(ch chan<- prometheus.Metric) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return
	}
	synced := 1.0
	if state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0 {
		synced = 0
	}
	ch <- prometheus.MustNewConstMetric(clockError, prometheus.GaugeValue, float64(t.Maxerror)/1e6)
	ch <- prometheus.MustNewConstMetric(clockEst, prometheus.GaugeValue, float64(t.Esterror)/1e6)
	ch <- prometheus.MustNewConstMetric(clockSynced, prometheus.GaugeValue, synced)
}
