package main

import (
	"log/slog"
	"time"

	"tickrelay/nettune/tune"
)

// maxCPULatencyUs bounds cpu_latency_us; no idle state takes longer to leave.
const maxCPULatencyUs = 1_000_000

// holdCPULatency holds the wake-up latency of idle CPUs at us microseconds, if
// asked, until release is called. Without permission the relay runs all the
// same and says so.
func holdCPULatency(us *int, log *slog.Logger) (release func()) {
	if us == nil {
		return func() {}
	}
	c, err := tune.HoldCPULatency(time.Duration(*us) * time.Microsecond)
	if err != nil {
		log.Warn("idle CPUs may wake slowly", "err", err)
		return func() {}
	}
	log.Info("wake-up latency of idle CPUs held", "us", *us)
	return func() { c.Close() }
}
