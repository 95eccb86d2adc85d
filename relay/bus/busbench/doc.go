// Package busbench measures what the bus adds to NATS: the time from a feed's
// Publish on one host to the record in a gateway's ring on another, and records
// per second, each beside a bare NATS publish and subscribe of the same bytes in
// the same run, in turns.
//
// Server, feed and gateway share this process and the loopback device, so that
// no clocks are compared; the figures are of software, not of a network.
package busbench
