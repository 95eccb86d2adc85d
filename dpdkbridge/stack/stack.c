/* stack.c: one lwIP instance over one queue pair: frames in, timers, frames out.
 * The build copies this object once per queue pair, so static state is fine. */
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/icmp6.h"
#include "lwip/inet_chksum.h"
#include "lwip/init.h"
#include "lwip/ip.h"
#include "lwip/ip4_frag.h"
#include "lwip/nd6.h"
#include "lwip/priv/nd6_priv.h"
#include "lwip/prot/nd6.h"
#include "lwip/prot/tcp.h"
#include "lwip/timeouts.h"
#include "netif/ethernet.h"

#include "instance.h"

struct instance tr_self;
static int initialised;

/* The header of a received frame as lwIP sees it; it lives inside the mbuf. */
struct rx_pbuf {
  struct pbuf_custom p;
  void *mbuf;
};

_Static_assert(sizeof(struct rx_pbuf) <= 128, "PRIV_SIZE of port.c is too small");

/* ---- what lwIP asks of its host ----------------------------------------- */

u32_t sys_now(void) { return (u32_t)tr_self.now_ms; }

unsigned int tr_random(void) {
  unsigned int r = 0;
  (void)!getrandom(&r, sizeof r, 0);
  return r;
}

unsigned short tr_ooseq_limit(void) { return tr_port_pool_low(tr_self.cfg.port) ? 16 : 1024; }

const ip4_addr_t *tr_gateway4(struct netif *n, const ip4_addr_t *dest) {
  (void)dest;
  return tr_self.cfg.has_gw4 ? netif_ip4_gw(n) : NULL;
}

const ip6_addr_t *tr_gateway6(struct netif *n, const ip6_addr_t *dest) {
  static ip6_addr_t gw;
  (void)n, (void)dest;
  if (!tr_self.cfg.has_gw6)
    return NULL;
  memcpy(gw.addr, tr_self.cfg.gw6, 16);
  ip6_addr_clear_zone(&gw);
  ip6_addr_assign_zone(&gw, IP6_UNICAST, n);
  return &gw;
}

static inline uint64_t rotl(uint64_t x, int b) { return x << b | x >> (64 - b); }

/* Initial sequence number: clock plus a keyed hash of the connection's addresses
 * (RFC 6528). The hash is SipHash-2-4 over whole words. */
unsigned int tr_isn(const ip_addr_t *la, unsigned short lp, const ip_addr_t *ra, unsigned short rp) {
  uint64_t k[2], w[6] = {0}, v[4];
  memcpy(k, tr_self.cfg.secret, sizeof k);
  memcpy(w, ip_2_ip6(la)->addr, IP_IS_V6(la) ? 16 : 4);
  memcpy(w + 2, ip_2_ip6(ra)->addr, IP_IS_V6(ra) ? 16 : 4);
  w[4] = (uint64_t)lp << 16 | rp;
  w[5] = 40ull << 56;
  v[0] = k[0] ^ 0x736f6d6570736575ull, v[1] = k[1] ^ 0x646f72616e646f6dull;
  v[2] = k[0] ^ 0x6c7967656e657261ull, v[3] = k[1] ^ 0x7465646279746573ull;
  for (int i = 0; i < 8; i++) {
    int rounds = i < 6 ? 2 : 4;
    if (i < 6)
      v[3] ^= w[i];
    else if (i == 6)
      v[2] ^= 0xff;
    else
      break;
    for (int r = 0; r < rounds; r++) {
      v[0] += v[1], v[1] = rotl(v[1], 13) ^ v[0], v[0] = rotl(v[0], 32);
      v[2] += v[3], v[3] = rotl(v[3], 16) ^ v[2];
      v[0] += v[3], v[3] = rotl(v[3], 21) ^ v[0];
      v[2] += v[1], v[1] = rotl(v[1], 17) ^ v[2], v[2] = rotl(v[2], 32);
    }
    if (i < 6)
      v[0] ^= w[i];
  }
  return (unsigned int)(v[0] ^ v[1] ^ v[2] ^ v[3]) + (unsigned int)(tr_self.now_ns / 4000);
}

/* ---- frames out --------------------------------------------------------- */

static err_t send_frame(struct netif *n, struct pbuf *p) {
  (void)n;
  void *data;
  void *m = tr_port_alloc(tr_self.cfg.port, tr_self.cfg.queue, &data, p->tot_len);
  if (m == NULL)
    return ERR_MEM;
  pbuf_copy_partial(p, data, p->tot_len, 0);
  tr_port_tx(tr_self.cfg.port, tr_self.cfg.queue, m);
  tr_self.stats.tx_frames++;
  return ERR_OK;
}

static err_t init_netif(struct netif *n) {
  const struct tr_stack_config *c = &tr_self.cfg;
  n->name[0] = 't', n->name[1] = 'r';
  n->output = etharp_output;
  n->output_ip6 = ethip6_output;
  n->linkoutput = send_frame;
  n->mtu = (u16_t)c->mtu;
  n->hwaddr_len = 6;
  memcpy(n->hwaddr, c->mac, 6);
  n->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET;
  return ERR_OK;
}

static void set_checks(int checked) {
  u16_t f = NETIF_CHECKSUM_ENABLE_ALL;
  if (tr_self.cfg.tx_checksum)
    f &= (u16_t) ~(NETIF_CHECKSUM_GEN_IP | NETIF_CHECKSUM_GEN_TCP);
  if (checked)
    f &= (u16_t) ~(NETIF_CHECKSUM_CHECK_IP | NETIF_CHECKSUM_CHECK_TCP);
  NETIF_SET_CHECKSUM_CTRL(&tr_self.netif, f);
}

/* ---- frames in ---------------------------------------------------------- */

static void free_rx(struct pbuf *p) { tr_port_release(((struct rx_pbuf *)(void *)p)->mbuf); }

/* Who asks for us by IPv6 tells his hardware address, perhaps a new one (RFC
 * 4861, 7.2.3). lwIP keeps the one that it knows and answers to that, so that the
 * asker never finds us. Stale: it is probed when it is used. */
static void learn6(const uint8_t *f, int len) {
  if (len < 86 || f[21] != ND6_HOPLIM || f[55] != 0 || f[78] != 1 || f[79] != 1)
    return;
  for (int i = 0; i < LWIP_ND6_NUM_NEIGHBORS; i++) {
    struct nd6_neighbor_cache_entry *e = &neighbor_cache[i];
    if (e->state <= ND6_INCOMPLETE || memcmp(e->next_hop_address.addr, f + 22, 16) != 0 || memcmp(e->lladdr, f + 80, 6) == 0)
      continue;
    memcpy(e->lladdr, f + 80, 6);
    e->state = ND6_STALE;
    e->counter.stale_time = 0;
  }
}

/* ICMPv6: routes are the configuration's, so routers' offers and redirects are
 * not heard; a path below the least MTU (RFC 8201, 4) would make segments of
 * nothing. Of the rest, questions are answered by one stack of the port. */
static int unwanted6(const uint8_t *f, int len) {
  if (len < 62)
    return 1;
  switch (f[54]) {
  case 2: /* packet too big */
    return f[58] == 0 && f[59] == 0 && (f[60] << 8 | f[61]) < 1280;
  case 134: /* router advertisement */
  case 137: /* redirect */
    return 1;
  case 128: /* echo request */
    return tr_self.cfg.quiet;
  case 135: /* neighbour solicitation */
    learn6(f, len);
    return tr_self.cfg.quiet;
  }
  return 0;
}

/* Questions about our addresses are answered by one stack of the port only. The
 * others learn from them who asks, a changed hardware address above all: to
 * them an ARP request is a reply. */
static int unwanted(uint8_t *f, int len) {
  if (len < 42)
    return 0;
  if (f[12] == 0x86 && f[13] == 0xdd)
    return f[20] == 58 && unwanted6(f, len);
  if (!tr_self.cfg.quiet || f[12] != 8)
    return 0;
  if (f[13] == 6 && f[20] == 0 && f[21] == 1)
    f[21] = 2;
  return f[13] == 0 && f[23] == 1; /* ICMP */
}

static void input(struct tr_frame *f) {
  struct instance *s = &tr_self;
  s->stats.rx_frames++;
  if (tr_port_forward(s->cfg.port, s->cfg.queue, f)) {
    s->stats.forwarded++;
    return;
  }
  if (unwanted(f->data, f->len)) {
    tr_port_release(f->mbuf);
    return;
  }
  struct rx_pbuf *r = f->priv;
  memset(&r->p, 0, sizeof r->p);
  r->mbuf = f->mbuf;
  r->p.custom_free_function = free_rx;
  struct pbuf *p = pbuf_alloced_custom(PBUF_RAW, f->len, PBUF_REF, &r->p, f->data, f->len);
  set_checks(f->checked);

  /* lwIP looks for a connection along a list. Ours is known: show it a list that
   * begins with it, and put things right if the connection left meanwhile. */
  struct tr_conn *c = tr_find(f->data, f->len);
  struct tcp_pcb *saved = tcp_active_pcbs, *hit = c != NULL ? c->pcb : NULL;
  if (hit != NULL)
    tcp_active_pcbs = hit;
  s->hit = hit;
  if (s->netif.input(p, &s->netif) != ERR_OK)
    pbuf_free(p);
  if (hit != NULL && tcp_active_pcbs == hit) {
    tcp_active_pcbs = saved;
  } else if (hit != NULL && saved != hit) { /* it was taken out: mend the list */
    struct tcp_pcb *rest = tcp_active_pcbs, *q = saved;
    while (q->next != hit)
      q = q->next;
    q->next = rest;
    tcp_active_pcbs = saved;
  }
  s->hit = NULL;
  if (c != NULL && !c->dead)
    tr_after_input(c);
}

/* ---- next hops ---------------------------------------------------------- */

/* A multicast solicitation, as lwIP sends it for an address that it does not know. */
static void ask6(const ip6_addr_t *target) {
  struct netif *n = &tr_self.netif;
  const ip6_addr_t *from = netif_ip6_addr(n, 0);
  ip6_addr_t to;
  struct pbuf *p = pbuf_alloc(PBUF_IP, sizeof(struct ns_header) + 8, PBUF_RAM);
  if (p == NULL)
    return;
  struct ns_header *h = p->payload;
  uint8_t *option = (uint8_t *)(h + 1);
  memset(h, 0, p->len);
  h->type = ICMP6_TYPE_NS;
  ip6_addr_copy_to_packed(h->target_address, *target);
  option[0] = option[1] = 1; /* the sender's hardware address, eight bytes in all */
  memcpy(option + 2, n->hwaddr, 6);
  ip6_addr_set_solicitednode(&to, target->addr[3]);
  ip6_addr_assign_zone(&to, IP6_MULTICAST, n);
  h->chksum = ip6_chksum_pseudo(p, IP6_NEXTH_ICMP6, p->len, from, &to);
  (void)ip6_output_if(p, from, &to, ND6_HOPLIM, 0, IP6_NEXTH_ICMP6, n);
  pbuf_free(p);
}

/* A peer has acknowledged nothing twice: perhaps the next hop's hardware address
 * has changed and nobody told us. It is asked for again, once a tick whoever the
 * peer; the old one is used until there is an answer. */
void tr_doubt_neighbour(const ip_addr_t *to) {
  struct netif *n = &tr_self.netif;
  if (tr_self.now_ms - tr_self.doubted_ms < TCP_TMR_INTERVAL)
    return;
  tr_self.doubted_ms = tr_self.now_ms;
  if (IP_IS_V4(to)) {
    const ip4_addr_t *hop = ip_2_ip4(to);
    if (!ip4_addr_netcmp(hop, netif_ip4_addr(n), netif_ip4_netmask(n)))
      hop = netif_ip4_gw(n);
    (void)etharp_request(n, hop);
    return;
  }
  for (int i = 0; i < LWIP_ND6_NUM_DESTINATIONS; i++)
    if (ip6_addr_cmp(&destination_cache[i].destination_addr, ip_2_ip6(to)))
      ask6(&destination_cache[i].next_hop_addr);
}

/* ---- time --------------------------------------------------------------- */

static void set_time(void) {
  tr_self.now_ns = tr_now_ns();
  tr_self.now_ms = tr_self.now_ns / 1000000u;
}

static void run_timers(void) {
  struct instance *s = &tr_self;
  if (s->now_ms - s->ticked_ms < TCP_TMR_INTERVAL)
    return;
  /* A stalled loop makes up for some of the time, not for all. */
  for (int i = 0; i < 8 && s->now_ms - s->ticked_ms >= TCP_TMR_INTERVAL; i++) {
    s->ticked_ms += TCP_TMR_INTERVAL;
    tr_before_tick();
    tcp_tmr();
  }
  if (s->now_ms - s->ticked_ms >= TCP_TMR_INTERVAL)
    s->ticked_ms = s->now_ms;
  if (s->now_ms - s->second_ms >= 1000) {
    s->second_ms = s->now_ms;
    etharp_tmr();
    ip_reass_tmr();
    nd6_tmr();
  }
}

/* ---- the calls of Go ---------------------------------------------------- */

static int open_stack(const struct tr_stack_config *c) {
  struct instance *s = &tr_self;
  if (!initialised) {
    set_time();
    lwip_init();
    initialised = 1;
  }
  if (s->cfg.port != NULL)
    return -1;
  memset(s, 0, sizeof *s);
  s->cfg = *c;
  set_time();
  s->ticked_ms = s->second_ms = s->now_ms;
  ip4_addr_t ip, mask, gw;
  memcpy(&ip.addr, c->ip4, 4);
  memcpy(&mask.addr, c->mask4, 4);
  memcpy(&gw.addr, c->gw4, 4);
  if (netif_add(&s->netif, &ip, &mask, &gw, NULL, init_netif, ethernet_input) == NULL)
    return -1;
  netif_set_default(&s->netif);
  for (int i = 0; c->n6 > 0 && i <= c->n6 && i < LWIP_IPV6_NUM_ADDRESSES; i++) {
    ip6_addr_t a;
    memset(&a, 0, sizeof a);
    memcpy(a.addr, i == 0 ? c->ll : c->ip6[i - 1], 16);
    ip6_addr_assign_zone(&a, IP6_UNICAST, &s->netif);
    netif_ip6_addr_set(&s->netif, (s8_t)i, &a);
    netif_ip6_addr_set_state(&s->netif, (s8_t)i, IP6_ADDR_PREFERRED);
  }
  set_checks(0);
  netif_set_link_up(&s->netif);
  netif_set_up(&s->netif);
  tr_port_claim(c->port, c->port_lo, c->port_hi, c->queue);
  tr_opened();
  tr_port_flush(c->port, c->queue);
  return 0;
}

static void close_stack(void) {
  struct instance *s = &tr_self;
  if (s->cfg.port == NULL)
    return;
  for (size_t i = 0; i < sizeof s->listeners / sizeof s->listeners[0]; i++)
    if (s->listeners[i] != NULL)
      tr_unlisten(s->listeners[i]);
  while (tcp_active_pcbs != NULL)
    tcp_abort(tcp_active_pcbs);
  while (tcp_tw_pcbs != NULL)
    tcp_abort(tcp_tw_pcbs);
  for (int i = 0; i <= IP_REASS_MAXAGE; i++) /* fragments lie in buffers of the port */
    ip_reass_tmr();
  tr_port_flush(s->cfg.port, s->cfg.queue);
  nd6_cleanup_netif(&s->netif);
  netif_remove(&s->netif); /* drops the frames that waited for an address */
  s->cfg.port = NULL;
}

static int poll_stack(struct tr_event *ev, int max, int spins, volatile uint32_t *wake) {
  struct instance *s = &tr_self;
  struct tr_frame f[TR_BURST];
  for (;;) {
    int n = tr_port_rx(s->cfg.port, s->cfg.queue, f);
    set_time();
    if (n > 0) {
      struct timespec t;
      clock_gettime(CLOCK_REALTIME, &t);
      s->wall_ns = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
      for (int i = 0; i < n; i++)
        input(&f[i]);
    }
    run_timers();
    tr_port_flush(s->cfg.port, s->cfg.queue);
    if (s->loud != NULL || --spins <= 0 || *wake != 0)
      return tr_events(ev, max);
  }
}

static int neighbour(const struct tr_addr *a, const uint8_t *mac) {
  struct eth_addr e;
  ip4_addr_t ip;
  if (a->v6)
    return -1;
  memcpy(e.addr, mac, 6);
  memcpy(&ip.addr, a->ip, 4);
  return etharp_add_static_entry(&ip, &e);
}

static void stats(struct tr_stack_stats *out) {
  *out = tr_self.stats;
  for (struct tcp_pcb *p = tcp_active_pcbs; p != NULL; p = p->next)
    out->leaving += p->callback_arg == NULL && (p->unsent != NULL || p->unacked != NULL);
}

const struct tr_ops tr_entry = {open_stack, close_stack,  poll_stack, tr_dial,      tr_listen, tr_accept,
                                tr_unlisten, tr_write, tr_read_done, tr_close_conn, neighbour, stats};
