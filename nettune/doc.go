// Package nettune is the network as one event loop sees it: non-blocking TCP
// streams, plain and TLS, with the socket options that market data wants.
//
//	                    one goroutine
//	   ┌──────────────────────────────────────────────────┐
//	   │ Poller.Poll ─▶ []Event ─▶ Stream.Read / Write    │
//	   └───▲─────────────────────────────────────▲────────┘
//	       │ Wake (any goroutine)                │ decrypts in the loop
//	┌──────┴───────┐  the layer translates  ┌────┴─────┐  handshake:
//	│   Layered    │◀──────── events ───────│TLS stream│◀─ one goroutine
//	└──────┬───────┘                        └────┬─────┘  over memory
//	┌──────┴─────────────────────────────────────┴──────┐
//	│ a Transport's pollers and streams: KernelTransport │ epoll, raw sockets
//	└────────────────────────────────────────────────────┘
//
// # Guarantees
//
// Reading and writing a plain stream is one system call and no allocation.
// Events are level-triggered, for TLS streams too: what was not read is
// reported again. A Poller, its streams and its listeners belong to one
// goroutine; Wake is for all. No Wake is lost. Every descriptor is freed on
// every path: a failed dial or handshake frees its socket before it is
// reported, Poller.Close frees what is left. A kernel stream is 80 bytes, so
// one poller holds tens of thousands. Options are wishes; Granted reads back
// what is in force. Receive times come from the kernel where asked and given,
// per read, else from the clock when the read returned. Writes to a TLS stream
// are taken whole or not at all, and its unsent output stays below TLSPending
// plus one write.
//
// # What it does not do
//
// No name resolution, no coalescing of writes, no proxy. DialOptions.Timeout
// ends with Connected, which with TCP Fast Open (RFC 7413) comes before the
// peer was asked: then a refused connection shows in the first Read, and
// Options.UserTimeout bounds the wait. TCP_QUICKACK is set once; the kernel may
// leave that mode. crypto/tls allocates 24 bytes or so for each read of the
// socket. A stream cannot change its poller while it connects or shakes hands.
//
// # Busy polling
//
// PollerConfig.Busy makes Poll spin instead of sleep. Up to eight connected
// streams are then read on suspicion, without asking epoll first: a message
// costs one system call, and epoll is asked every eighth turn for all else. With
// more streams epoll is asked every turn. Poll gives the CPU away with
// sched_yield every 32 idle turns and to Go's scheduler every 4096:
// runtime.Gosched on a goroutine locked to its thread costs about 15 µs, so
// loops should not call it themselves. Give each busy loop a CPU of its own;
// two that share one wait for each other's time slice.
//
// # Another transport
//
// A stack implements Transport, Poller, Stream and Listener, returns its pollers
// wrapped by Layered, and lets its streams implement Detacher if they can
// become a net.Conn. It must keep Stream.Data intact, since TLS lives there.
//
// # Goroutines
//
// One per TLS handshake under way, which Poller.Close waits for. Dialer and
// ListenConfig, for code that is no event loop, start what package net starts.
package nettune
