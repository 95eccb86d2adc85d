// Package ringbench measures the ring, each figure beside a baseline from the
// same run, and holds the form in which benchmark results are reported.
//
//	            ┌─ there ─▶ ring ─▶─┐
//	ping thread ┤                   ├ pong thread    round trip: RingRoundTrip
//	            └─◀─ ring ◀─ back ──┘                baseline:   two atomics
//
//	producer thread ─▶ ring ─▶ consumer thread       throughput; baseline: a channel
//	one thread: publish, poll                        cost;       baseline: a channel
//
//	this process, core 0 ═▶ rings, socket, pipe, TCP ═▶ Peer, core 1
//	round trip (floor: a cache line), throughput, wake-up (floor: a bare futex),
//	what sleeping costs; and, in one thread, what a neglected ring costs others
//
// It guarantees that both sides of a ratio were measured in the same run and on
// the same threads, in turn, so that a noisy machine disturbs both. It does not
// guarantee figures: two threads that share a core, a virtual machine's stolen
// time and a sleeping clock all make them worse. What would make it lie: a ring
// so small that the threads wait for each other's index, or records that nobody
// reads; so the rings hold 4,096 records and every record is copied out.
//
// Goroutines: two per figure, on locked OS threads, gone when it is done; and
// one process, which ends with the run.
package ringbench
