// Command gws is a broadcast server on github.com/lxzan/gws, as its documentation
// shows one: a Broadcaster per message, which frames it once and queues it with
// every connection. It is a peer of the fan-out benchmark, see package ticks for
// how it is told what to send.
package main
