/* steer.c: the XDP program of the af_xdp driver. It takes the relay's frames to
 * the socket of their queue and leaves all others to the kernel.
 *
 * The configuration is written into the object before DPDK loads it: Go looks
 * for the magic number. steer_dpdk.go has the same layout. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define MAGIC 0x5245455453525400ull
#define IP_TCP 6
#define IP_ICMPV6 58

struct config {
  __u64 magic;
  __u8 ip4[4];
  __u8 has4, n6, shared, listens;
  __u8 ip6[3][16]; /* the link-local address first */
  __u16 lo, hi;    /* local ports of dialled connections */
  __u16 listen[16];
};

volatile const struct config config = {.magic = MAGIC};

struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, 64);
  __type(key, __u32);
  __type(value, __u32);
} xsks_map SEC(".maps");

static __always_inline int same4(const __u8 *p) {
  return p[0] == config.ip4[0] && p[1] == config.ip4[1] && p[2] == config.ip4[2] && p[3] == config.ip4[3];
}

static __always_inline int ours6(const __u8 *p) {
#pragma unroll
  for (int i = 0; i < 3; i++) {
    int same = i < config.n6;
#pragma unroll
    for (int k = 0; k < 16; k++)
      same &= p[k] == config.ip6[i][k];
    if (same)
      return 1;
  }
  return 0;
}

/* With an address of the kernel's own, only our ports are taken. */
static __always_inline int our_port(const __u8 *tcp) {
  __u16 port = (__u16)tcp[2] << 8 | tcp[3];
  if (!config.shared || (port >= config.lo && port <= config.hi))
    return 1;
#pragma unroll
  for (int i = 0; i < 16; i++)
    if (i < config.listens && port == config.listen[i])
      return 1;
  return 0;
}

static __always_inline int wanted(const __u8 *p, const __u8 *end) {
  if (p + 42 > end)
    return 0;
  if (p[12] == 8 && p[13] == 6) /* ARP: its target is ours */
    return config.has4 && !config.shared && same4(p + 38);
  if (p[12] == 8 && p[13] == 0) {
    if (!config.has4 || !same4(p + 30))
      return 0;
    if (!config.shared)
      return 1;
    const __u8 *tcp = p + 14 + (p[14] & 15) * 4;
    /* a later fragment has no ports: the kernel's */
    return p[23] == IP_TCP && ((p[20] & 0x1f) | p[21]) == 0 && tcp + 4 <= end && our_port(tcp);
  }
  if (p[12] != 0x86 || p[13] != 0xdd || p + 78 > end)
    return p[12] == 0x86 && p[13] == 0xdd && p + 58 <= end && config.n6 && ours6(p + 38) && p[20] == IP_TCP && our_port(p + 54);
  if (p[20] == IP_ICMPV6 && p[54] == 135) /* neighbour solicitation: its target */
    return config.n6 && !config.shared && ours6(p + 62);
  if (!config.n6 || !ours6(p + 38))
    return 0;
  return !config.shared || (p[20] == IP_TCP && our_port(p + 54));
}

SEC("xdp")
int steer(struct xdp_md *ctx) {
  const __u8 *p = (const __u8 *)(long)ctx->data;
  if (wanted(p, (const __u8 *)(long)ctx->data_end))
    return bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_PASS);
  return XDP_PASS;
}

char steer_license[] SEC("license") = "Dual BSD/GPL";
