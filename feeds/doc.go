// Package feeds turns exchanges' market data streams into records in rings:
// sessions, decoding, integrity, books, publication.
//
//	exchange ══ws/wss══▶ nettune.Stream ─▶ wsconn.Conn     bytes → messages
//	                                            │
//	     timers, mailbox ─▶ loop ───────────────┤          the hot loop: one goroutine,
//	       ▲        ▲        │ Actions          ▼          one locked OS thread per feed
//	  REST answers  │        └◀───────────── Engine        no I/O, no clock: the same code
//	  name look-ups │                     Venue.Decode     runs live and in normalize
//	  (workers)     │                     Venue.Sequence
//	        Attach, Detach, stop          Book, Checksum
//	                                            │
//	                                            ▼
//	                                  ring.Publisher ─▶ rings, one per consumer
//
// A turn of the loop: poll ready streams, read complete messages, hand each to
// the engine and flush what it staged, do what the engine asks for, drain the
// mailbox, run due timers, let the publisher serve readers that attached.
//
// Guaranteed: every loss upstream is a gap record and a counter with a reason
// from a closed list; a book that may be wrong is never shown as current; a
// frame, however broken, ends neither the feed nor the process; numbers are
// exact; the steady state allocates nothing, takes no lock and makes no system
// call beyond polling and reading; connection attempts keep within the venues'
// limits (Budget), with capped exponential back-off and full jitter; a feed
// whose catalogue or name service fails starts, and goes on, all the same.
//
// Not guaranteed: delivery. What an exchange did not send, or sent while no
// line was up, is told as missing and not fetched again, books excepted. UTF-8
// of text messages is not checked.
//
// Goroutines: Feed.Run is the loop, in its caller's goroutine. It starts one
// per name look-up, catalogue fetch and book snapshot (at most 2 snapshots at
// a time), one per TLS handshake (nettune), and waits for them when it ends.
package feeds
