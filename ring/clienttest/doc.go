// Package clienttest is a small relay for the tests and benchmarks of clients
// in other languages: its records carry their own proof.
//
//	book of one instrument ─▶ events ─┐
//	trades, each naming the book's    ├─▶ ring.Publisher ─▶ rings ─▶ client under test
//	number and checksum ──────────────┘        ▲
//	                                    ring.ServeConfig.ServeLeases
//
// It guarantees that a record which was torn, lost without a gap, repeated or
// put out of order can be recognised by whoever recomputes what Trade says; and
// that a client's book can be held against the true one at every trade. It does
// not guarantee the rates or the shape of a real market.
//
// Goroutines: Start starts two, the feed's loop and the control socket; Close
// waits for both.
package clienttest
