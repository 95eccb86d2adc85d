/* port.c: one DPDK device, its queue pairs and its memory. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_alarm.h>
#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_log.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <rte_tcp.h>

#include "bridge.h"

#define PRIV_SIZE 128  /* a pbuf_custom and a pointer; stack.c asserts it */
#define RING_SIZE 1024 /* frames that other queues received for a stack */
#define NOBODY 0xff

struct queue {
  struct rte_ring *in; /* forwarded by other queues */
  struct rte_mbuf *tx[TR_BURST];
  int txn;
  uint64_t tx_dropped;
  uint64_t rx_dropped; /* in more pieces than a buffer holds */
  uint64_t handed_dropped; /* for other stacks, whose ring was full */
} __rte_cache_aligned;

struct tr_port {
  uint16_t id;
  int queues, mtu, trust_rx, pool_size, pci;
  uint64_t rx_offloads, tx_offloads;
  struct rte_mempool *pool;
  char device[64];
  uint8_t owner[65536]; /* queue that owns a local TCP port */
  struct queue q[TR_MAX_STACKS];
};

/* ---- EAL: once in a process -------------------------------------------- */

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char log_text[4096];
static size_t log_len;

static ssize_t log_write(void *cookie, const char *p, size_t n) {
  (void)cookie;
  size_t all = n;
  pthread_mutex_lock(&log_lock);
  if (n > sizeof log_text / 2) {
    p += n - sizeof log_text / 2;
    n = sizeof log_text / 2;
  }
  if (log_len + n > sizeof log_text) {
    size_t drop = log_len + n - sizeof log_text;
    memmove(log_text, log_text + drop, log_len - drop);
    log_len -= drop;
  }
  memcpy(log_text + log_len, p, n);
  log_len += n;
  pthread_mutex_unlock(&log_lock);
  return (ssize_t)all;
}

int tr_eal_log(char *buf, int len) {
  pthread_mutex_lock(&log_lock);
  size_t n = log_len < (size_t)len ? log_len : (size_t)len;
  memcpy(buf, log_text + log_len - n, n);
  log_len = 0;
  pthread_mutex_unlock(&log_lock);
  return (int)n;
}

int tr_eal_init(int argc, char **argv) {
  cookie_io_functions_t io = {.write = log_write};
  FILE *f = fopencookie(NULL, "w", io);
  if (f != NULL) {
    setvbuf(f, NULL, _IOLBF, 512);
    rte_openlog_stream(f);
  }
  rte_log_set_global_level(RTE_LOG_NOTICE);
  if (rte_eal_init(argc, argv) < 0)
    return -rte_errno;
  (void)rmdir(rte_eal_get_runtime_dir()); /* empty: nothing is shared. Each start would leave one */
  return 0;
}

uint64_t tr_now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- opening ------------------------------------------------------------ */

static int fail(char *err, int len, const char *what, int code) {
  snprintf(err, (size_t)len, "%s: %s", what, strerror(code < 0 ? -code : code));
  return code < 0 ? code : -code;
}

static int make_memory(struct tr_port *p, const struct tr_port_config *c, char *err, int len) {
  char name[RTE_MEMPOOL_NAMESIZE];
  int socket = rte_eth_dev_socket_id(p->id);
  int room = RTE_PKTMBUF_HEADROOM + RTE_MAX(c->mtu + RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN + 8, 2048);
  snprintf(name, sizeof name, "tr_pool_%u", p->id);
  p->pool_size = c->mbufs;
  p->pool = rte_pktmbuf_pool_create(name, (unsigned)c->mbufs, 128, PRIV_SIZE, (uint16_t)RTE_ALIGN(room, 64), socket);
  if (p->pool == NULL)
    return fail(err, len, "frame buffers (memory_mb too small for buffers and mtu?)", rte_errno);
  for (int i = 0; i < p->queues; i++) {
    snprintf(name, sizeof name, "tr_in_%u_%d", p->id, i);
    p->q[i].in = rte_ring_create(name, RING_SIZE, socket, RING_F_SC_DEQ);
    if (p->q[i].in == NULL)
      return fail(err, len, "ring between queues", rte_errno);
  }
  return 0;
}

/* The offloads that the stack can use, where the device has them. */
static void choose_offloads(struct tr_port *p, const struct rte_eth_dev_info *info, struct rte_eth_conf *conf) {
  const uint64_t rx = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
  const uint64_t tx = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
  if ((info->rx_offload_capa & rx) == rx)
    p->rx_offloads = rx;
  if ((info->tx_offload_capa & tx) == tx)
    p->tx_offloads = tx;
  conf->rxmode.offloads = p->rx_offloads;
  conf->txmode.offloads = p->tx_offloads;
  if (p->queues > 1 && info->flow_type_rss_offloads != 0) {
    conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf->rx_adv_conf.rss_conf.rss_hf =
        (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP) & info->flow_type_rss_offloads;
  }
}

static int configure(struct tr_port *p, const struct tr_port_config *c, char *err, int len) {
  struct rte_eth_dev_info info;
  struct rte_eth_conf conf;
  int r;
  memset(&conf, 0, sizeof conf);
  if ((r = rte_eth_dev_info_get(p->id, &info)) != 0)
    return fail(err, len, "device information", r);
  if (p->queues > info.max_rx_queues || p->queues > info.max_tx_queues) {
    snprintf(err, (size_t)len, "%d queues asked, the device has %u", p->queues,
             RTE_MIN(info.max_rx_queues, info.max_tx_queues));
    return -EINVAL;
  }
  choose_offloads(p, &info, &conf);
  if ((r = rte_eth_dev_configure(p->id, (uint16_t)p->queues, (uint16_t)p->queues, &conf)) != 0)
    return fail(err, len, "configure", r);
  if (c->mtu != 1500 && (r = rte_eth_dev_set_mtu(p->id, (uint16_t)c->mtu)) != 0)
    return fail(err, len, "MTU", r);
  uint16_t rxd = (uint16_t)c->rx_desc, txd = (uint16_t)c->tx_desc;
  (void)rte_eth_dev_adjust_nb_rx_tx_desc(p->id, &rxd, &txd);
  unsigned socket = (unsigned)rte_eth_dev_socket_id(p->id);
  for (int i = 0; i < p->queues; i++) {
    if ((r = rte_eth_rx_queue_setup(p->id, (uint16_t)i, rxd, socket, NULL, p->pool)) != 0)
      return fail(err, len, "receive queue", r);
    if ((r = rte_eth_tx_queue_setup(p->id, (uint16_t)i, txd, socket, NULL)) != 0)
      return fail(err, len, "send queue", r);
  }
  if ((r = rte_eth_dev_start(p->id)) != 0)
    return fail(err, len, "start", r);
  if (c->promiscuous)
    (void)rte_eth_promiscuous_enable(p->id);
  (void)rte_eth_allmulticast_enable(p->id); /* neighbour solicitations */
  return 0;
}

struct tr_port *tr_port_open(const struct tr_port_config *c, char *err, int len) {
  struct tr_port *p = calloc(1, sizeof *p);
  if (p == NULL) {
    fail(err, len, "memory", ENOMEM);
    return NULL;
  }
  p->queues = c->queues;
  p->mtu = c->mtu;
  p->trust_rx = c->trust_rx;
  memset(p->owner, NOBODY, sizeof p->owner);
  snprintf(p->device, sizeof p->device, "%s", c->device);
  p->pci = strncmp(c->device, "net_", 4) != 0;
  int r = rte_eal_hotplug_add(p->pci ? "pci" : "vdev", c->device, c->args);
  if (r != 0) {
    fail(err, len, "attach the device", r);
    free(p);
    return NULL;
  }
  p->id = RTE_MAX_ETHPORTS;
  if (rte_eth_dev_get_port_by_name(c->device, &p->id) != 0) {
    snprintf(err, (size_t)len, "no driver took the device");
    r = -ENODEV;
  }
  if (r == 0)
    r = make_memory(p, c, err, len);
  if (r == 0)
    r = configure(p, c, err, len);
  if (r != 0) {
    tr_port_close(p);
    return NULL;
  }
  return p;
}

/* A memif is torn down by two: by its control connection, on EAL's interrupt
 * thread, when the peer goes, and by whoever closes it. The driver does not keep
 * them apart, so the closing is done on that thread too. */
struct closing {
  struct tr_port *p;
  pthread_mutex_t lock;
  pthread_cond_t done;
  int over;
};

static void stop_device(struct tr_port *p) {
  if (p->id < RTE_MAX_ETHPORTS) {
    (void)rte_eth_dev_stop(p->id);
    (void)rte_eth_dev_close(p->id);
  }
}

static void stop_there(void *arg) {
  struct closing *c = arg;
  stop_device(c->p);
  pthread_mutex_lock(&c->lock);
  c->over = 1;
  pthread_cond_signal(&c->done);
  pthread_mutex_unlock(&c->lock);
}

static void stop_port(struct tr_port *p) {
  struct closing c = {.p = p, .lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};
  if (strncmp(p->device, "net_memif", 9) != 0 || rte_eal_alarm_set(1, stop_there, &c) != 0) {
    stop_device(p);
    return;
  }
  pthread_mutex_lock(&c.lock);
  while (!c.over)
    pthread_cond_wait(&c.done, &c.lock);
  pthread_mutex_unlock(&c.lock);
}

void tr_port_close(struct tr_port *p) {
  for (int i = 0; i < p->queues; i++) {
    struct rte_mbuf *m;
    rte_pktmbuf_free_bulk(p->q[i].tx, (unsigned)p->q[i].txn);
    while (p->q[i].in != NULL && rte_ring_dequeue(p->q[i].in, (void **)&m) == 0)
      rte_pktmbuf_free(m);
  }
  stop_port(p);
  (void)rte_eal_hotplug_remove(p->pci ? "pci" : "vdev", p->device);
  for (int i = 0; i < p->queues; i++)
    rte_ring_free(p->q[i].in);
  rte_mempool_free(p->pool);
  free(p);
}

/* ---- what it is and has counted ----------------------------------------- */

void tr_port_info(struct tr_port *p, struct tr_port_info *out) {
  struct rte_eth_dev_info info;
  struct rte_eth_link link;
  struct rte_ether_addr mac;
  memset(out, 0, sizeof *out);
  out->id = p->id;
  out->socket = rte_eth_dev_socket_id(p->id);
  out->queues = p->queues;
  out->mtu = p->mtu;
  out->rx_checksum = p->rx_offloads != 0 || p->trust_rx;
  out->tx_checksum = p->tx_offloads != 0;
  if (rte_eth_dev_info_get(p->id, &info) == 0)
    snprintf(out->driver, sizeof out->driver, "%s", info.driver_name);
  if (rte_eth_link_get_nowait(p->id, &link) == 0) {
    out->link_up = link.link_status == RTE_ETH_LINK_UP;
    out->speed_mbps = link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : link.link_speed;
  }
  if (rte_eth_macaddr_get(p->id, &mac) == 0)
    memcpy(out->mac, mac.addr_bytes, 6);
}

int tr_port_counters(struct tr_port *p, struct tr_counter *out, int n) {
  int have = rte_eth_xstats_get_names(p->id, NULL, 0); /* a NIC of many queues has hundreds */
  if (have <= 0)
    return 0;
  struct rte_eth_xstat_name *names = calloc((size_t)have, sizeof *names);
  struct rte_eth_xstat *values = calloc((size_t)have, sizeof *values);
  if (names == NULL || values == NULL || rte_eth_xstats_get_names(p->id, names, (unsigned)have) != have ||
      rte_eth_xstats_get(p->id, values, (unsigned)have) != have)
    have = 0;
  if (have > n)
    have = n;
  for (int i = 0; i < have; i++) {
    snprintf(out[i].name, sizeof out[i].name, "%.63s", names[i].name);
    out[i].value = values[i].value;
  }
  free(names);
  free(values);
  return have;
}

void tr_port_lost(struct tr_port *p, uint64_t *rx, uint64_t *tx, uint64_t *handed) {
  *rx = *tx = *handed = 0;
  for (int i = 0; i < p->queues; i++) {
    *rx += p->q[i].rx_dropped;
    *tx += p->q[i].tx_dropped;
    *handed += p->q[i].handed_dropped;
  }
}

int tr_port_pool_free(struct tr_port *p) {
  return (int)(100ull * rte_mempool_avail_count(p->pool) / (unsigned)p->pool_size);
}

int tr_port_pool_low(struct tr_port *p) { return rte_mempool_avail_count(p->pool) < (unsigned)p->pool_size / 4; }

/* ---- frames ------------------------------------------------------------- */

/* A thread that allocates buffers gets a cache of its own once it is known to
 * DPDK; Go's threads come and go, so each is made known when it first polls. */
static pthread_key_t thread_key;
static pthread_once_t thread_once = PTHREAD_ONCE_INIT;
static __thread int thread_known;

static void forget_thread(void *v) {
  (void)v;
  rte_thread_unregister();
}

static void make_thread_key(void) { (void)pthread_key_create(&thread_key, forget_thread); }

static inline void know_thread(void) {
  if (__builtin_expect(thread_known, 1))
    return;
  thread_known = 1;
  if (rte_lcore_id() != LCORE_ID_ANY)
    return;
  pthread_once(&thread_once, make_thread_key);
  if (rte_thread_register() == 0)
    (void)pthread_setspecific(thread_key, &thread_known);
}

static inline void describe(struct tr_port *p, struct rte_mbuf *m, struct tr_frame *f) {
  const uint64_t ok = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
  f->mbuf = m;
  f->data = rte_pktmbuf_mtod(m, void *);
  f->priv = rte_mbuf_to_priv(m);
  f->len = rte_pktmbuf_data_len(m);
  f->checked = p->trust_rx || (p->rx_offloads != 0 && (m->ol_flags & ok) == ok);
}

int tr_port_rx(struct tr_port *p, int q, struct tr_frame *out) {
  struct rte_mbuf *m[TR_BURST];
  know_thread();
  unsigned n = 0, local = 0;
  if (p->queues > 1)
    n = local = rte_ring_sc_dequeue_burst(p->q[q].in, (void **)m, TR_BURST / 2, NULL);
  n += rte_eth_rx_burst(p->id, (uint16_t)q, m + n, (uint16_t)(TR_BURST - n));
  int k = 0;
  for (unsigned i = 0; i < n; i++) {
    if (i + 1 < n)
      rte_prefetch0(rte_pktmbuf_mtod(m[i + 1], void *));
    if (m[i]->nb_segs > 1 && rte_pktmbuf_linearize(m[i]) != 0)
      p->q[q].rx_dropped++, rte_pktmbuf_free(m[i]);
    else
      describe(p, m[i], &out[k]), out[k++].local = i < local;
  }
  return k;
}

void tr_port_release(void *mbuf) { rte_pktmbuf_free(mbuf); }

void *tr_port_alloc(struct tr_port *p, int q, void **data, int len) {
  know_thread();
  struct rte_mbuf *m = rte_pktmbuf_alloc(p->pool);
  if (m == NULL) {
    p->q[q].tx_dropped++;
    return NULL;
  }
  *data = rte_pktmbuf_append(m, (uint16_t)len);
  if (*data == NULL) {
    rte_pktmbuf_free(m);
    return NULL;
  }
  return m;
}

/* Let the device compute checksums: it wants the pseudo header's sum in TCP's. */
static void offload(struct rte_mbuf *m) {
  struct rte_ether_hdr *e = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
  m->l2_len = sizeof *e;
  if (e->ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4)) {
    struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(e + 1);
    m->l3_len = rte_ipv4_hdr_len(ip);
    m->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
    ip->hdr_checksum = 0;
    if (ip->next_proto_id == IPPROTO_TCP) {
      struct rte_tcp_hdr *t = (struct rte_tcp_hdr *)((uint8_t *)ip + m->l3_len);
      m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
      t->cksum = rte_ipv4_phdr_cksum(ip, m->ol_flags);
    }
  } else if (e->ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV6)) {
    struct rte_ipv6_hdr *ip = (struct rte_ipv6_hdr *)(e + 1);
    m->l3_len = sizeof *ip;
    if (ip->proto == IPPROTO_TCP) {
      struct rte_tcp_hdr *t = (struct rte_tcp_hdr *)(ip + 1);
      m->ol_flags |= RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_TCP_CKSUM;
      t->cksum = rte_ipv6_phdr_cksum(ip, m->ol_flags);
    }
  }
}

void tr_port_flush(struct tr_port *p, int q) {
  struct queue *u = &p->q[q];
  int sent = 0;
  for (int turns = 0; sent < u->txn && turns < 16; turns++)
    sent += rte_eth_tx_burst(p->id, (uint16_t)q, u->tx + sent, (uint16_t)(u->txn - sent));
  if (sent < u->txn) { /* the device is stuck: TCP sends them again */
    u->tx_dropped += (uint64_t)(u->txn - sent);
    rte_pktmbuf_free_bulk(u->tx + sent, (unsigned)(u->txn - sent));
  }
  u->txn = 0;
}

void tr_port_tx(struct tr_port *p, int q, void *mbuf) {
  struct queue *u = &p->q[q];
  if (p->tx_offloads != 0)
    offload(mbuf);
  u->tx[u->txn++] = mbuf;
  if (u->txn == TR_BURST)
    tr_port_flush(p, q);
}

/* ---- which stack a frame belongs to ------------------------------------- */

void tr_port_claim(struct tr_port *p, int lo, int hi, int q) {
  for (int i = lo; i <= hi; i++)
    p->owner[i] = (uint8_t)q;
}

/* The queue that owns the frame's local TCP port; -1: every stack wants it. */
static int owner_of(struct tr_port *p, const uint8_t *f, int len) {
  if (len < 42)
    return 0;
  unsigned type = (unsigned)f[12] << 8 | f[13];
  const uint8_t *l4;
  if (type == RTE_ETHER_TYPE_IPV4 && f[23] == IPPROTO_TCP) {
    l4 = f + 14 + (f[14] & 15) * 4;
  } else if (type == RTE_ETHER_TYPE_IPV6) {
    if (f[20] == IPPROTO_ICMPV6)
      return -1;
    if (f[20] != IPPROTO_TCP)
      return 0;
    l4 = f + 54;
  } else {
    return type == RTE_ETHER_TYPE_ARP ? -1 : 0;
  }
  if (l4 + 4 > f + len)
    return 0;
  uint8_t q = p->owner[(unsigned)l4[2] << 8 | l4[3]];
  return q == NOBODY ? 0 : q;
}

/* Hands a frame to the stack that owns it, whichever queue the device chose.
 * Returns 1 if the caller shall not look at it any more. */
int tr_port_forward(struct tr_port *p, int q, const struct tr_frame *f) {
  if (p->queues == 1 || f->local)
    return 0;
  int to = owner_of(p, f->data, f->len);
  if (to == q)
    return 0;
  if (to >= 0) {
    if (rte_ring_mp_enqueue(p->q[to].in, f->mbuf) != 0) {
      p->q[q].handed_dropped++;
      rte_pktmbuf_free(f->mbuf);
    }
    return 1;
  }
  for (int i = 0; i < p->queues; i++) {
    if (i == q)
      continue;
    struct rte_mbuf *m = rte_pktmbuf_copy(f->mbuf, p->pool, 0, UINT32_MAX);
    if (m == NULL || rte_ring_mp_enqueue(p->q[i].in, m) != 0) {
      p->q[q].handed_dropped++;
      rte_pktmbuf_free(m);
    }
  }
  return 0;
}
