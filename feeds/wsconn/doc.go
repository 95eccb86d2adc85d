// Package wsconn is a WebSocket client (RFC 6455) over a non-blocking
// nettune.Stream: whole messages, in place, without a copy.
//
//	stream ──Read──▶ ┌────────┬──────────────────────┬──────┐ one buffer, grows
//	                 │ parsed │ received, not parsed │ free │ to MaxMessage
//	                 └────────┴──────────────────────┴──────┘
//	                    │ payload lent until the next Read
//	                    ├─ text, binary ─▶ returned
//	                    ├─ fragment ─▶ moved down over its own header
//	                    ├─ ping ─▶ pong, at once
//	                    └─ close ─▶ echoed, *ErrClosed
//	stream ◀─Write── [ masked frames that wait for Writable ], at most MaxPending
//
// # Guarantees
//
// A message costs no allocation once the buffers have their size, and no system
// call beyond the read that brought it. Every buffer is bounded: the answer to
// the handshake (16 KiB), a message (MaxMessage, fragments together), output
// (MaxPending and a few control frames). A declared length costs no memory
// until its bytes arrive. Whatever the server sends ends in a message or a typed
// error: *ErrHandshake, *ErrProtocol, ErrTooBig, *ErrClosed, *ErrCut. The last
// one is a stream that ended without a close frame, and says whether it did so
// inside a message. Errors other than ErrWouldBlock and ErrPendingFull are
// final. Masks come from a ChaCha8 generator seeded by the operating system.
//
// # What it does not do
//
// No extensions, so no compression: a server that uses one is refused. Text is
// not checked to be UTF-8 on the hot path, decoders judge it; close reasons are.
// Frame lengths in a longer form than needed are accepted. It keeps no time
// (deadlines, ping intervals and dead-link detection are the caller's, see
// LastRecv), follows no redirects and never closes the stream. The read buffer
// does not shrink.
//
// # Goroutines
//
// None. A Conn belongs to the goroutine of its stream's poller.
package wsconn
