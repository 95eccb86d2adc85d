// Package raw passes a venue's own WebSocket frames through to clients that speak the
// venue's dialect and know nothing of the relay.
//
// A Hub keeps one connection to one venue, its own and none of the feeds', and shares it
// among all clients: a stream is subscribed to upstream when its first client wants it and
// given up when its last has gone. Requests are acknowledged as the venue does; frames are
// passed on byte for byte.
//
// It guarantees: a client gets the acknowledgement first, then frames; a stream that
// begins with a snapshot begins with one for every client, for which the stream is
// subscribed to afresh (those who have it already get the snapshot too, as the venues'
// documents provide for); a lost upstream connection closes every client that had
// something of it, so that nothing is missed silently.
//
// It does not: read what is in the frames, beyond which stream they belong to; log in to
// a venue; go beyond one connection's limits, for which requests are refused.
//
// One goroutine runs a Hub, one more reads the upstream connection.
package raw
