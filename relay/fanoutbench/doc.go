// Package fanoutbench measures the gateway's fan-out beside other servers on the same
// work: many subscribers on loopback, trade-sized messages, every server in a process of
// its own, the subscribers of each in one more. It is what `tickrelay bench fanout` runs.
//
// The peers (folder peers, a module of its own so that this one stays clean) are built
// when the benchmark runs: a bare C loop, which is the floor, and broadcast servers on
// lxzan/gws and centrifugal/centrifuge. What cannot be built leaves its rows without a
// baseline, which then says why. The gateway is the real one and reads a ring in shared
// memory; peers get the same texts through a pipe, so that all wait for the same moment.
//
//	Run ──ring──▶ gateway process ──┐
//	    ──pipe──▶ floor, gws, …   ──┴─ loopback ─▶ a process of subscribers each
//	    ◀── counts and latencies ────────────────────┘
//
// Servers take turns within each of several rounds, and a figure is the median over the
// rounds. See docs/performance.md for what would make the figures lie.
package fanoutbench
