// Package wire is a bad Ethernet cable between two interfaces: it loses frames
// at random and in bursts, delays, reorders and doubles them. It stands in for
// the kernel's netem where that is not built, and treats whatever stack is at
// either end alike.
//
//	interface A ──▶ loss ▶ burst ▶ double ▶ delay, jitter ──▶ interface B
//	            ◀────────────── the same ──────────────────◀
//
// One goroutine forwards both directions over packet sockets; on one CPU it
// carries some 100,000 frames a second. Random numbers come from a seed, so a
// run's decisions can be repeated, though not the traffic's timing. It needs
// CAP_NET_RAW. Checksum and segmentation offloads of the interfaces behind it
// must be off, or it carries frames that no cable would.
package wire
