// SPDX-License-Identifier: Apache-2.0
//
// From the frame to the TCP ports and flags: Ethernet, up to MAX_VLANS tags
// (IEEE 802.1Q, 802.1ad), IPv4 with options (RFC 791), IPv6 with extension
// headers (RFC 8200), TCP (RFC 9293).
#pragma once

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#include "filter.h"

#define IP_OFFSET 0x1fff
#define IP_MORE 0x2000
#define IP6_OFFSET 0xfff8

struct packet {
	struct address src, dst;
	__be16 sport, dport;
	bool syn; // SYN without ACK: wants a new connection
};

// cursor is the next header and the end of what may be read.
struct cursor {
	void *pos, *end;
};

struct vlan_tag {
	__be16 tci, proto;
};

struct option_header {
	__u8 next, len;
};

struct fragment_header {
	__u8 next, reserved;
	__be16 offset;
	__be32 id;
};

// parse_tcp returns PASS_PACKET with the ports and flags read.
static __always_inline enum reason parse_tcp(struct cursor *c, struct packet *p)
{
	struct tcphdr *tcp = c->pos;

	if ((void *)(tcp + 1) > c->end)
		return PASS_MALFORMED;
	p->sport = tcp->source;
	p->dport = tcp->dest;
	p->syn = tcp->syn && !tcp->ack;
	return PASS_PACKET;
}

// parse_tiny reads the ports of a first fragment that ends before the flags
// (RFC 1858): the kernel would see them only once it is put together again.
static __always_inline enum reason parse_tiny(struct cursor *c, struct packet *p)
{
	__be16 *ports = c->pos;

	if ((void *)(ports + 2) > c->end)
		return PASS_MALFORMED;
	p->dport = ports[1];
	return DROP_TINY_FRAGMENT;
}

static __always_inline enum reason parse_v4(struct cursor *c, struct packet *p)
{
	struct iphdr *ip = c->pos;
	__u32 header, total;
	__u16 frag;

	if ((void *)(ip + 1) > c->end || ip->version != 4 || ip->ihl < 5)
		return PASS_MALFORMED;
	if (ip->protocol != IPPROTO_TCP)
		return PASS_OTHER;
	p->src.family = p->dst.family = FAMILY_V4;
	p->src.words[0] = ip->saddr;
	p->dst.words[0] = ip->daddr;
	frag = bpf_ntohs(ip->frag_off);
	if (frag & IP_OFFSET)
		return PASS_FRAGMENT;
	header = ip->ihl * 4;
	total = bpf_ntohs(ip->tot_len);
	c->pos += header;
	// The length is the header's, not the frame's: padding looks like flags.
	if (frag & IP_MORE && total < header + sizeof(struct tcphdr))
		return parse_tiny(c, p);
	return parse_tcp(c, p);
}

static __always_inline enum reason parse_v6(struct cursor *c, struct packet *p)
{
	struct ipv6hdr *ip = c->pos;
	__u8 next;

	if ((void *)(ip + 1) > c->end || ip->version != 6)
		return PASS_MALFORMED;
	p->src.family = p->dst.family = FAMILY_V6;
	__builtin_memcpy(p->src.words, &ip->saddr, 16);
	__builtin_memcpy(p->dst.words, &ip->daddr, 16);
	next = ip->nexthdr;
	c->pos = ip + 1;
	for (int i = 0; i <= MAX_HEADERS; i++) {
		struct option_header *opt = c->pos;
		struct fragment_header *frag = c->pos;

		switch (next) {
		case IPPROTO_TCP:
			return parse_tcp(c, p);
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
			if ((void *)(opt + 1) > c->end)
				return PASS_MALFORMED;
			next = opt->next;
			c->pos += 8 + opt->len * 8;
			break;
		case IPPROTO_AH: // RFC 4302: in words of 4 bytes, less two
			if ((void *)(opt + 1) > c->end)
				return PASS_MALFORMED;
			next = opt->next;
			c->pos += 8 + opt->len * 4;
			break;
		case IPPROTO_FRAGMENT:
			if ((void *)(frag + 1) > c->end)
				return PASS_MALFORMED;
			if (bpf_ntohs(frag->offset) & IP6_OFFSET)
				return PASS_FRAGMENT;
			next = frag->next;
			c->pos = frag + 1;
			break;
		default:
			return PASS_OTHER;
		}
	}
	return DROP_HEADER_CHAIN;
}

// parse returns PASS_PACKET for TCP with ports and flags read,
// DROP_TINY_FRAGMENT for TCP with ports alone, else the reason to end with.
static __always_inline enum reason parse(struct xdp_md *ctx, struct packet *p)
{
	struct cursor c = { (void *)(long)ctx->data, (void *)(long)ctx->data_end };
	struct ethhdr *eth = c.pos;
	__be16 proto;

	if ((void *)(eth + 1) > c.end)
		return PASS_MALFORMED;
	proto = eth->h_proto;
	c.pos = eth + 1;
	for (int i = 0; i < MAX_VLANS; i++) {
		struct vlan_tag *tag = c.pos;

		if (proto != bpf_htons(ETH_P_8021Q) && proto != bpf_htons(ETH_P_8021AD))
			break;
		if ((void *)(tag + 1) > c.end)
			return PASS_MALFORMED;
		proto = tag->proto;
		c.pos = tag + 1;
	}
	if (proto == bpf_htons(ETH_P_IP))
		return parse_v4(&c, p);
	if (proto == bpf_htons(ETH_P_IPV6))
		return parse_v6(&c, p);
	return PASS_OTHER;
}
