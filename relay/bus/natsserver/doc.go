// Package natsserver runs real NATS servers inside this program, alone or as a
// cluster with JetStream: for `tickrelay demo --cluster`, tests and benchmarks.
// A relay in production uses servers of its own.
//
// It guarantees that a Server returned by Start takes clients, and that nothing
// listens anywhere but on the loopback address. Servers are goroutines of the
// library's; Stop ends them.
package natsserver
