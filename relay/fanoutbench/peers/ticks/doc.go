// Package ticks is what the peer servers have in common: they read what to send
// from standard input, say on standard output where they listen, and make the
// listener, with TLS if they are told to.
//
// Standard input is a row of ticks in little-endian order: u32 number of messages,
// then for each u32 length and the bytes. End of input ends the server.
package ticks
