// SPDX-License-Identifier: Apache-2.0
//
// What the filter and user space share: reasons, map values, maps. bpf2go makes
// the Go types from here.
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

// FAMILY_BITS precede the address in the key of a rule, so that one trie holds
// both families and ::/0 does not hold IPv4.
#define FAMILY_BITS 32
#define FAMILY_V4 4
#define FAMILY_V6 6

#define MAX_EXPIRED 4 // expired prefixes stepped over in one look-up
#define MAX_TRIES 8   // compare-and-swaps of one budget
#define MAX_VLANS 2   // tags of one frame
#define MAX_HEADERS 8 // IPv6 headers between the fixed one and TCP

// reason is why a packet passed or was dropped. Numbers are kept: user space
// names them, and counters survive a new program.
enum reason {
	PASS_OTHER,      // not TCP, not IP, or another port
	PASS_FRAGMENT,   // a fragment that shows no port, or not ours
	PASS_MALFORMED,  // too short; the kernel drops it
	PASS_ALLOWED,    // allow list
	PASS_CONNECTION, // belongs to a connection that the kernel has
	PASS_SYN,        // within the source's SYN budget
	PASS_PACKET,     // no connection, within the source's packet budget
	DROP_DENY,
	DROP_SYN_BUDGET,
	DROP_PACKET_BUDGET,
	DROP_TINY_FRAGMENT, // first fragment to the port that hides the TCP flags
	DROP_HEADER_CHAIN,  // IPv6 with more than MAX_HEADERS before TCP
	REASONS,
};

// address: FAMILY_V4 or _V6, then network order; IPv4 takes the first word, the others are zero.
struct address {
	__u32 family;
	__be32 words[4];
};

struct rule_key {
	__u32 prefix; // FAMILY_BITS + the prefix's length
	struct address addr;
};

#define RULE_CUT 1 // connections that exist are dropped too

struct rule {
	__u64 expires; // CLOCK_MONOTONIC ns; 0 never
	__u32 prefix;  // that of its key
	__u32 flags;
};

// source holds the theoretical arrival time of the next packet of each budget.
struct source {
	__u64 syn;
	__u64 packet;
};

// settings of the budgets: gap is 1 s / rate, slack gap x (burst - 1), in ns.
// A gap of 0 means no limit.
struct settings {
	__u64 syn_gap;
	__u64 syn_slack;
	__u64 packet_gap;
	__u64 packet_slack;
	__be16 port;
	__u16 pad[3];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, REASONS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct address);
	__type(value, struct source);
} sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct rule_key);
	__type(value, struct rule);
} allow SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct rule_key);
	__type(value, struct rule);
} deny SEC(".maps");
