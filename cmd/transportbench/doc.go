// Package transportbench measures a WebSocket over each way a frame can take:
// the kernel's sockets asleep and busy, and DPDK. It serves tickrelay's bench
// transport, which makes two namespaces for it, and dpdk probe, which measures
// between two hosts.
//
//	client: Poll, wsconn ──128 bytes, masked──▶ server: Poll, unmask
//	                     ◀──────the same──────
//
// The round trip is what a request and its answer take, both programs included;
// the stream is one way, server to client, one write per message. CPU is that of
// both processes, all threads. Each end is one goroutine on a thread of its own,
// pinned where a processor is named. It lies when the two ends do not have a
// processor each, or when idle processors fall into deep sleep between messages
// (see docs/tuning.md), and between namespaces it knows no NIC, no interrupt and
// no wire.
package transportbench
