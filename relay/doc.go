// Package relay is the WebSocket and HTTP gateway: it reads rings like any other
// consumer and fans their events out to browsers and services.
//
// It guarantees: a subscriber sees a snapshot first and then every event of its
// topics in order, with neither a duplicate nor a hole that a gap message does not
// name; an event is encoded at most once per format and set of options, however
// many subscribers it has; no topic reaches a client whose token does not cover it
// (relay/auth); a slow subscriber is held in a bounded queue, costs the
// others nothing, and is told what it missed; a ring that ends is a gap at once.
//
// It does not: keep more history than the bounded one that resume is served from, or
// influence the feeds in any way (a gateway too slow for its ring gets an overrun gap,
// as every consumer does).
//
// The rings are in this process's memory, or in shared memory: found by path, or
// attached over the control socket of a relay in another process (attachment.go). Another
// gateway may take the listening socket over (retire.go, relay/handover).
//
//	rings ──▶ hub ──frames, once per format──▶ shard 0 ──▶ connections
//	           ▲  books, last values, numbers └▶ shard 1 ──▶ connections
//	           │
//	           ├── requests of shards (subscribe, list, refresh) and of HTTP
//	           │
//	listener ──▶ acceptor ─ TLS? ─ upgrade to WebSocket ──▶ a shard, by turns
//	                             └ anything else ──▶ fasthttp, one goroutine each
//
// Goroutines of Run: the acceptor, the hub, one waiter per ring and one more while
// it is looked for by its path, one per shard, one that watches the files of
// certificate and tokens, one per HTTP request and per TLS handshake in progress. None per WebSocket
// connection, encrypted or not.
package relay
