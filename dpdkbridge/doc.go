// Package dpdkbridge is nettune's transport without the kernel's TCP stack:
// DPDK moves the frames, lwIP makes streams of them.
//
//	 feed's loop      feed's loop      gateway, REST, names
//	     │                │                   │
//	┌────▼─────┐     ┌────▼─────┐       ┌─────▼────┐   nettune.Transport,
//	│ stack 0  │     │ stack 1  │       │ stack 2  │   net.Conn, net.Listener
//	│ lwIP     │     │ lwIP     │       │ lwIP     │   one lock each
//	└────┬─────┘     └────┬─────┘       └────┬─────┘
//	     │ queue pair 0   │ 1                │ 2       frames of another stack
//	┌────▼────────────────▼──────────────────▼────┐    are handed over by their
//	│ port: PCI NIC, af_xdp, af_packet, tap, memif │    local TCP port
//	└─────────────────────────────────────────────┘
//
// A poll is one call into C: receive a burst, run it through lwIP, run timers,
// send. Bytes received lie in memory that Go reads without a call. lwIP keeps
// its state in globals, so the library has a copy of it for every queue pair.
//
// # Guarantees
//
// What nettune's interface says, TLS included. Loss is repaired within a round
// trip where the peer sends SACK, else by a timer of 200 ms at least; see
// stack/recover.c. A stack refuses connections beyond Config.MaxConns with a
// reset and counts them. Close leaves nothing attached to the interface.
//
// # What it does not do
//
// No UDP (names are resolved over TCP), no multicast, no IP fragments sent, no
// VLAN tags, one IPv4 address. Fast Open, QuickAck and BusyPoll are not granted:
// acknowledgements wait 10 ms at most. It has no timer of its own: a stack whose
// pollers nobody polls stands still, so each must be polled or closed. Pollers
// that do not spin look at the device every 200 µs or so instead of sleeping
// until it speaks. The device and DPDK belong to the process; DPDK is
// initialised by the first Open and stays.
//
// # Build
//
// The default build has none of it and Open returns ErrNotBuilt. With the tag
// dpdk, cgo and libdpdk are needed, and lwIP's source package, which
// dpdkbridge/go-dpdk fetches and builds. docs/dpdk.md is the guide.
package dpdkbridge
