// Package xdp puts a filter in front of the gateway's port, in the network
// driver: an eBPF program that drops floods and denied addresses before the
// kernel spends memory on them.
//
//	packet ─▶ driver ─▶ tickrelay_xdp (bpf/filter.c) ─▶ kernel TCP ─▶ gateway
//	                      │ allow? connection? deny? budget?            │
//	                      ▼                                             │ offender
//	/sys/fs/bpf/tickrelay-xdp/IFACE-NETNS/                              ▼
//	  link      holds the program on the interface             Feeder (one
//	  config    port and budgets          ◀── Attach             goroutine)
//	  allow, deny   prefixes with expiry  ◀── Filter  ◀───────────┘
//	  sources   budgets per source, the longest unseen goes first
//	  counters  packets by reason, per CPU ──▶ Stats, Collector
//
// # Guarantees
//
// A packet of a connection that the kernel has (its own socket table is asked)
// passes whatever its source owes, unless an operator's rule says RULE_CUT.
// Packets that are not TCP to the port pass, but for IPv6 with more than eight
// extension headers. The filter lives in the kernel: it needs no process, and
// every crash leaves either nothing attached or the whole filter attached; the
// next Attach finds either. Detach leaves nothing. A program of somebody else
// on the interface is never replaced: Attach names it and refuses.
//
// # What it does not do
//
// Budgets are per source: a flood from forged addresses has as many budgets as
// addresses, and is the work of SYN cookies. A gateway behind NAT, a bridge or
// in another network namespace than the interface has no socket there, so its
// connections count as packets without one. No dispatcher is shared.
//
// # Needs
//
// Linux 5.18, and root or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; the compiled
// object is part of the Go program. See generate.sh for how it is built.
//
// # Goroutines
//
// Feeder.Run is one, in the caller's goroutine. Nothing else starts any.
package xdp

//go:generate sh generate.sh
