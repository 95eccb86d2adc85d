// Command centrifuge is a broadcast server on github.com/centrifugal/centrifuge with
// one channel in memory, to which every connection is subscribed as it connects, by
// its JSON protocol. It is a peer of the fan-out benchmark, see package ticks for how
// it is told what to send.
package main
