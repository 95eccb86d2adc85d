// Package book holds a price-level order book that is built from records.
//
// It guarantees exact prices (a change of exponent is exact for every level or
// is refused), O(1) work for updates at the touch and O(log distance) search
// below it, no allocation once the sides have reached their depth, and a
// snapshot cursor that stays right while the book changes between its chunks:
// a reader that gets the chunks and, between them, every live update ends with
// the same book.
//
// It does not judge the venue's sequence numbers or checksums (feeds do), keeps
// no individual orders, bounds no depth, and is not safe for concurrent use.
//
//	Side in memory:  worst … … … … best      updates cluster here, so an
//	                                  ▲▲▲    insertion moves few levels
//
//	feed:   Book.Set ──▶ Bids, Asks ──Chunk(cursor)──▶ snapshot records
//	                                                      │
//	reader: Empty ──clear──▶ Building ──end──▶ Live       ▼
//	          ▲                 │ gap            │ gap   Reader.Apply
//	          └── new epoch     └───▶ Broken ◀───┘
//	                                    └──clear──▶ Building
//
// It starts no goroutine.
package book
