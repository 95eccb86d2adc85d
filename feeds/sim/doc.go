// Package sim is the exchange side: simulated exchanges and recorded ones, over
// real WebSockets and REST on loopback, with faults on demand.
//
// It guarantees that a seed and the symbols decide every market event; that
// each venue is spoken as its document says, with books, numbers and checksums
// that a client can verify; that after Market.Freeze every published book
// equals Server.Book level by level; that a replay sends the recorded frames
// byte for byte; and that Close leaves neither goroutine nor socket behind.
//
// It does not model fees, accounts, order entry or derivatives, limits only the
// message rates that would end a real session, and never sends what a venue's
// document does not describe unless a fault is asked for.
//
//	           seed                           captures (.ndjson, .gz, .zst)
//	            │                                  │ merged by receive time
//	 Market ── event ──┬──────────────┐            │ one reader per connection
//	 (one lock)        ▼              ▼            ▼
//	            binance dialect  bitget, okx   replay dialect
//	                   └──── streams ─┘            │
//	                           ▼                   ▼
//	Faults ─────────▶  session: queue ──▶ writer ──▶ socket ──▶ client
//	                      ▲ reader ◀── requests, pings ◀────────┘
//	REST: snapshots, instruments, recorded answers on the same port
//
// Goroutines: per server one that accepts and one that watches pings and
// silence; per connection a reader and a writer, for a replay one more that
// paces; for the time of a fault one that ends it. Market.Run works on its
// caller's. All state but the queues is under one lock, the market's.
package sim
