package main

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// reloadStats counts what became of reloads; any goroutine may read it.
type reloadStats struct {
	file string // "": there is none to read again

	ok, failed, restart atomic.Uint64
	last                atomic.Int64 // unix ns of the last success, the start included
}

var (
	configReloads = desc("config_reloads_total", "Reloads of the configuration, by result; with failed nothing has changed.", "result")
	configLast    = desc("config_last_reload_success_timestamp_seconds", "Unix time at which the configuration was last taken up, the start included.")
	configRestart = desc("config_needs_restart", "Keys of the file that were changed and need a restart.")
)

// begin notes the start with the configuration of file.
func (s *reloadStats) begin(file string) {
	s.file = file
	s.last.Store(time.Now().UnixNano())
}

func (s *reloadStats) count(ok bool, restart int) {
	if !ok {
		s.failed.Add(1)
		return
	}
	s.ok.Add(1)
	s.restart.Store(uint64(restart))
	s.last.Store(time.Now().UnixNano())
}

// Describe implements prometheus.Collector.
func (s *reloadStats) Describe(ch chan<- *prometheus.Desc) {
	ch <- configReloads
	ch <- configLast
	ch <- configRestart
}

// Collect implements prometheus.Collector.
func (s *reloadStats) Collect(ch chan<- prometheus.Metric) {
	ch <- counter(configReloads, s.ok.Load(), "ok")
	ch <- counter(configReloads, s.failed.Load(), "failed")
	ch <- prometheus.MustNewConstMetric(configLast, prometheus.GaugeValue, float64(s.last.Load())/1e9)
	ch <- prometheus.MustNewConstMetric(configRestart, prometheus.GaugeValue, float64(s.restart.Load()))
}
