package main

import (
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// newRegistry has what every process of a relay exports: the Go runtime, the process,
// the clock and what was built.
func newRegistry(more ...prometheus.Collector) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), clockMetrics{}, buildMetrics{})
	reg.MustRegister(more...)
	return reg
}

// version is the program's, as the go command has stamped it: the tag, or the commit.
func version() string {
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" {
		return b.Main.Version
	}
	return "(devel)"
}

// buildMetrics exports which program runs.
type buildMetrics struct{}

var buildInfo = desc("build_info", "1; the labels say which program this is.", "version", "goversion")

// Describe implements prometheus.Collector.
func (buildMetrics) Describe(ch chan<- *prometheus.Desc) { ch <- buildInfo }

// Collect implements prometheus.Collector.
func (buildMetrics) Collect(ch chan<- prometheus.Metric) {
	goversion := ""
	if b, ok := debug.ReadBuildInfo(); ok {
		goversion = b.GoVersion
	}
	ch <- gauge(buildInfo, 1, version(), goversion)
}
