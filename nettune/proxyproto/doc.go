// Package proxyproto reads the header with which a proxy tells a server whom it
// speaks for (HAProxy's PROXY protocol, versions 1 and 2), from bytes that arrive in
// pieces on a non-blocking connection.
//
//	client 203.0.113.9:4711 ──▶ proxy ──"PROXY TCP4 203.0.113.9 …\r\n", request──▶ server
//
//	bytes so far      Parse returns
//	"PRO"             ErrIncomplete: read more
//	"PROXY TCP4 …\r\n"  Header, its length
//	"GET / HTTP/1.1"  ErrNone: no header starts so
//	"PROXY TCP4 oops" ErrMalformed: close the connection
//
// It guarantees: a header is complete or refused within MaxSize bytes; nothing
// outside it is read; no input panics.
//
// It does not: decide whom to believe. Anybody can write such a header, so it must be
// read from connections of known proxies only, and there it must be demanded, because
// a client that reached the port past the proxy would otherwise name itself. Type-
// length-value extensions are skipped.
//
// It starts no goroutine.
package proxyproto
