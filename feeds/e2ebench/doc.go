// Package e2ebench measures a record's way through a feed: from an exchange's
// send(2) to the moment at which a strategy in another process holds the
// record, over loopback, beside a C program that reads the same socket and
// copies the bytes into a ring.
//
//	driver process, processor 0             feed process, processor 1
//	┌───────────────────────────┐           ┌──────────────────────────┐
//	│ exchange: send(frame) ────┼─loopback─▶│ hot loop: decode, publish │
//	│ strategy: poll the ring ◀─┼──/dev/shm─┼──────── ring              │
//	└───────────────────────────┘           └──────────────────────────┘
//
// One frame is under way at a time, so a figure is a latency and not a queue.
// Under load the feed holds a book of 46,000 levels, another reader attaches and
// takes its snapshot again and again, and the garbage collector is kept busy.
// What would make it lie: processors that others use, a frequency governor that
// sleeps, fewer than two processors.
package e2ebench
