package main

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"tickrelay/ring"
)

// refusals counts what the control socket refused, by code; any goroutine.
type refusals struct {
	n [len(refusalCodes)]atomic.Uint64
}

var refusalCodes = [...]string{ring.CodeBadRequest, ring.CodeBadTopic, ring.CodeBadVersion, ring.CodeBusy, ring.CodeDenied, ring.CodeNoSpace, ring.CodeRefused}

var controlRefused = desc("control_refused_total", "Requests that the control socket refused, by code: attach, changes of a lease's topics, and commands. A gateway that runs alone counts those of its own socket.", "code")

// count notes one.
func (r *refusals) count(code string) {
	for i, c := range refusalCodes {
		if c == code {
			r.n[i].Add(1)
		}
	}
}

// Describe implements prometheus.Collector.
func (r *refusals) Describe(ch chan<- *prometheus.Desc) { ch <- controlRefused }

// Collect implements prometheus.Collector.
func (r *refusals) Collect(ch chan<- prometheus.Metric) {
	for i, c := range refusalCodes {
		ch <- counter(controlRefused, r.n[i].Load(), c)
	}
}
