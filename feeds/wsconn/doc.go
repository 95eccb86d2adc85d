// Package wsconn is a WebSocket client (RFC 6455) over a non-blocking stream.
package wsconn
