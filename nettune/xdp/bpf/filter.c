// SPDX-License-Identifier: Apache-2.0
//
// The filter in front of the gateway's port. It judges TCP packets to one port
// and hands everything else to the kernel untouched. Each packet ends in one
// reason, counted per CPU; reasons from DROP_DENY on are drops. The order of
// the questions is the policy; docs/xdp.md explains it.

#include <stdbool.h>

#include "filter.h"
#include "parse.h"

char _license[] SEC("license") = "Apache-2.0";

static const struct settings *get_settings(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&config, &zero);
}

// find_rule looks key up and steps over expired entries to the next shorter
// prefix, at most MAX_EXPIRED times: a short-lived host entry must not hide
// the network that holds it. Expired entries are removed from user space.
static struct rule *find_rule(void *rules, const struct address *a, __u64 now)
{
	struct rule_key key = {
		.prefix = FAMILY_BITS + (a->family == FAMILY_V4 ? 32 : 128),
		.addr = *a,
	};

	for (int i = 0; i <= MAX_EXPIRED; i++) {
		struct rule *r = bpf_map_lookup_elem(rules, &key);

		if (!r)
			return 0;
		if (r->expires == 0 || r->expires > now)
			return r;
		if (r->prefix <= FAMILY_BITS)
			return 0;
		key.prefix = r->prefix - 1;
	}
	return 0;
}

// spend takes one packet from a budget kept as its theoretical arrival time
// (GCRA, ITU-T I.371): one word, so one compare-and-swap makes it safe between
// CPUs. A source that collides MAX_TRIES times within these few instructions
// is flooding, and loses the packet.
static bool spend(__u64 *budget, __u64 gap, __u64 slack, __u64 now)
{
	if (gap == 0)
		return true;
	for (int i = 0; i < MAX_TRIES; i++) {
		__u64 seen = *(volatile __u64 *)budget;
		__u64 start = seen > now ? seen : now;

		if (start - now > slack)
			return false;
		if (__sync_val_compare_and_swap(budget, seen, start + gap) == seen)
			return true;
	}
	return false;
}

// source finds or makes the budgets of an address: an IPv4 address, or the /64
// of an IPv6 one, since whoever has one address of a /64 has all of them.
static struct source *get_source(const struct address *a)
{
	struct address key = *a;
	struct source fresh = {};
	struct source *s;

	if (key.family == FAMILY_V6)
		key.words[2] = key.words[3] = 0;
	s = bpf_map_lookup_elem(&sources, &key);
	if (s)
		return s;
	bpf_map_update_elem(&sources, &key, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&sources, &key);
}

// has_connection asks the kernel's own table for the packet's socket. Waiting
// handshakes, TIME_WAIT and the listener do not count as a connection.
static bool has_connection(struct xdp_md *ctx, const struct packet *p)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk;
	__u32 size, state;

	if (p->src.family == FAMILY_V4) {
		tuple.ipv4.saddr = p->src.words[0];
		tuple.ipv4.daddr = p->dst.words[0];
		tuple.ipv4.sport = p->sport;
		tuple.ipv4.dport = p->dport;
		size = sizeof(tuple.ipv4);
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, p->src.words, 16);
		__builtin_memcpy(tuple.ipv6.daddr, p->dst.words, 16);
		tuple.ipv6.sport = p->sport;
		tuple.ipv6.dport = p->dport;
		size = sizeof(tuple.ipv6);
	}
	sk = bpf_skc_lookup_tcp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return false;
	state = sk->state;
	bpf_sk_release(sk);
	switch (state) {
	case BPF_TCP_ESTABLISHED:
	case BPF_TCP_SYN_RECV: // Fast Open: the cookie was good
	case BPF_TCP_FIN_WAIT1:
	case BPF_TCP_FIN_WAIT2:
	case BPF_TCP_CLOSE_WAIT:
	case BPF_TCP_LAST_ACK:
	case BPF_TCP_CLOSING:
		return true;
	}
	return false;
}

// judge decides on a TCP packet to the port. A function of its own in the
// object too: so the type of its result is there for Go.
static __noinline enum reason judge(struct xdp_md *ctx, const struct packet *p, const struct settings *set)
{
	__u64 now = bpf_ktime_get_ns();
	struct rule *denied;
	struct source *s;

	if (find_rule(&allow, &p->src, now))
		return PASS_ALLOWED;
	denied = find_rule(&deny, &p->src, now);
	if (denied && denied->flags & RULE_CUT)
		return DROP_DENY;
	if (!p->syn && has_connection(ctx, p))
		return PASS_CONNECTION;
	if (denied)
		return DROP_DENY;
	s = get_source(&p->src);
	if (p->syn) {
		if (s && !spend(&s->syn, set->syn_gap, set->syn_slack, now))
			return DROP_SYN_BUDGET;
		return PASS_SYN;
	}
	if (s && !spend(&s->packet, set->packet_gap, set->packet_slack, now))
		return DROP_PACKET_BUDGET;
	return PASS_PACKET;
}

static enum reason filter_packet(struct xdp_md *ctx)
{
	const struct settings *set = get_settings();
	struct packet p = {};
	enum reason r;

	if (!set)
		return PASS_OTHER;
	r = parse(ctx, &p);
	switch (r) {
	case PASS_PACKET: // TCP, ports read
		if (p.dport != set->port)
			return PASS_OTHER;
		return judge(ctx, &p, set);
	case DROP_TINY_FRAGMENT: // TCP, ports read, flags not there
		return p.dport == set->port ? r : PASS_FRAGMENT;
	default:
		return r;
	}
}

SEC("xdp.frags")
int tickrelay_xdp(struct xdp_md *ctx)
{
	__u32 r = filter_packet(ctx);
	__u64 *n = bpf_map_lookup_elem(&counters, &r);

	if (n)
		(*n)++; // per CPU
	return r >= DROP_DENY ? XDP_DROP : XDP_PASS;
}
