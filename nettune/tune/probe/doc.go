// Package probe measures how long messages and bursts take between two ends of
// a TCP path, in rounds that can be compared with each other.
//
//	Config.Round                        Serve
//	  connect ───────────────────────▶ accept
//	  request: up n, down m ─────────▶
//	  n bytes ───────────────────────▶ read them
//	  ◀──────────────────────────────── m bytes
//	  128 up, 128 down, many times:     ping p50, p99
//	  little up, Burst down:            down, as a snapshot comes
//	  Burst up, little down:            up, as a fan-out leaves
//
// Each round is a connection of its own, because many settings count for new
// sockets only. SignedRank compares paired rounds without assuming anything
// about the shape of their distribution.
//
// Guarantees: a request is bounded (MaxBurst), a server holds at most MaxConns
// connections and each request has a deadline. Times are of the monotonic
// clock. It does not authenticate: serve on an address that only the other end
// reaches, and stop it afterwards.
//
// Goroutines: Serve starts one per connection and waits for all of them; Round
// starts none.
package probe
