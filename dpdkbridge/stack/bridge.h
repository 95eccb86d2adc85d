/* bridge.h: what Go sees of the C side. One port is a DPDK device; one stack is
 * an lwIP instance over one of its queue pairs. All calls on one stack are made
 * under one lock of the caller's; different stacks are independent, because the
 * build makes one copy of lwIP, globals included, for each. */
#ifndef TR_BRIDGE_H
#define TR_BRIDGE_H

#include <stddef.h>
#include <stdint.h>

#define TR_MAX_STACKS 16 /* copies of lwIP in the library: queue pairs of a port */
#define TR_BURST 64      /* frames per receive burst */

/* ---- port ---------------------------------------------------------------- */

struct tr_port;

struct tr_port_config {
  const char *device; /* PCI address, or the name of a virtual device */
  const char *args;   /* of the virtual device, "" for PCI */
  int queues, rx_desc, tx_desc, mbufs, mtu, promiscuous, trust_rx;
};

struct tr_port_info {
  uint16_t id;
  int socket, queues, mtu, rx_checksum, tx_checksum, link_up;
  uint32_t speed_mbps;
  uint8_t mac[6];
  char driver[32];
};

struct tr_counter {
  char name[64];
  uint64_t value;
};

/* One received frame. priv is room for the stack's own header inside the mbuf. */
struct tr_frame {
  void *mbuf, *data, *priv;
  uint16_t len;
  uint8_t checked; /* the device found IP and TCP checksums right */
  uint8_t local;   /* handed over by another queue */
};

int tr_eal_init(int argc, char **argv);
int tr_eal_log(char *buf, int len); /* the last lines that DPDK logged */
struct tr_port *tr_port_open(const struct tr_port_config *c, char *err, int errlen);
void tr_port_close(struct tr_port *p);
void tr_port_info(struct tr_port *p, struct tr_port_info *out);
int tr_port_counters(struct tr_port *p, struct tr_counter *out, int n);
void tr_port_lost(struct tr_port *p, uint64_t *rx, uint64_t *tx, uint64_t *handed); /* frames not taken, sent, handed over */
int tr_port_pool_free(struct tr_port *p); /* percent of the mempool that is free */
uint64_t tr_now_ns(void);                 /* CLOCK_MONOTONIC */

/* used by the stack copies */
int tr_port_rx(struct tr_port *p, int q, struct tr_frame *out);
void *tr_port_alloc(struct tr_port *p, int q, void **data, int len);
void tr_port_tx(struct tr_port *p, int q, void *mbuf);
void tr_port_flush(struct tr_port *p, int q);
void tr_port_release(void *mbuf);
int tr_port_forward(struct tr_port *p, int q, const struct tr_frame *f);
void tr_port_claim(struct tr_port *p, int lo, int hi, int q); /* local ports */
int tr_port_pool_low(struct tr_port *p);

/* ---- stack --------------------------------------------------------------- */

enum { TR_EV_READ = 1, TR_EV_WRITE = 2, TR_EV_CONNECTED = 4, TR_EV_CLOSED = 8, TR_EV_ACCEPT = 16 };
enum { TR_E_NONE, TR_E_REFUSED, TR_E_RESET, TR_E_ABORTED, TR_E_TIMEOUT, TR_E_UNREACHABLE, TR_E_NOMEM };

struct tr_addr {
  uint8_t ip[16]; /* IPv4 in the first four */
  uint16_t port;
  uint8_t v6;
};

/* A connection as both sides see it. Go reads bytes out of rx by itself and
 * moves tail; the next call of the stack opens the window again. */
struct tr_conn {
  uint8_t *rx;
  uint32_t cap; /* a power of two */
  uint32_t head, tail;
  uint32_t told;   /* tail up to which the peer's window was opened */
  int64_t rx_ns;   /* CLOCK_REALTIME of the burst that brought the last bytes */
  uint64_t handle; /* Go's */
  uint8_t eof, error, dead, listed, want_write;
  /* the stack's own from here */
  uint8_t sacks, recovering, rexmits, refused;
  void *pcb;
  void *listener;
  struct tr_conn *next, *chain, *wait; /* of lists: events, table, accept queue */
  struct tr_addr remote, local;
  uint32_t flags_out;
  struct { uint32_t from, to; } sack[8];
  uint32_t recover, high_rexmit, probe_at;
  uint64_t rexmit_ns, acked_ns, sacked_ns;
  int32_t srtt8, rttvar4; /* ms, scaled as RFC 6298 implementations do */
  uint32_t reorder;       /* quarters of a round trip that late segments get */
  uint32_t prior_cwnd, prior_ssthresh;
  uint32_t user_timeout_ms;
  uint64_t retransmits, timeouts;
};

struct tr_listener {
  void *pcb;
  uint64_t handle;
  uint32_t rx_cap, backlog, waiting;
  uint32_t user_timeout_ms, keep_idle_ms, keep_intvl_ms, keep_cnt;
  struct tr_conn *first, *last;
  struct tr_addr local;
  uint8_t nodelay;
};

struct tr_event {
  uint64_t handle; /* of the connection, or the listener for TR_EV_ACCEPT */
  uint32_t flags;
};

struct tr_options {
  uint32_t rx_cap, user_timeout_ms, keep_idle_ms, keep_intvl_ms, keep_cnt;
  uint8_t nodelay;
};

struct tr_stack_config {
  struct tr_port *port;
  int queue;
  int mtu, rx_checksum, tx_checksum, quiet; /* quiet: another stack answers ARP */
  uint8_t mac[6];
  uint8_t ip4[4], mask4[4], gw4[4];
  int has4, has_gw4, n6, has_gw6, prefix6;
  uint8_t ip6[2][16], gw6[16], ll[16]; /* ll: our link-local address */
  uint16_t port_lo, port_hi; /* local ports of dialled connections */
  uint32_t max_conns;
  uint32_t orphan_ms; /* of no progress, until a connection that Go closed is aborted */
  uint8_t secret[16]; /* of sequence numbers */
};

struct tr_stack_stats {
  uint64_t rx_frames, tx_frames, forwarded, refused, retransmits, timeouts, probes;
  uint64_t abandoned;   /* closed by Go, and aborted before the peer had everything */
  uint64_t syn_dropped; /* half-open connections that had to go for newer ones */
  uint32_t conns, leaving; /* leaving: closed by Go, the peer has not everything yet */
};

/* One copy of the stack. */
struct tr_ops {
  int (*open)(const struct tr_stack_config *c);
  void (*close)(void);
  /* poll receives, runs timers and sends, at most spins times or until there is
   * an event or *wake is set. It returns the number of events. */
  int (*poll)(struct tr_event *ev, int max, int spins, volatile uint32_t *wake);
  struct tr_conn *(*dial)(const struct tr_addr *to, const struct tr_addr *from, const struct tr_options *o,
                          uint64_t handle, int *err);
  struct tr_listener *(*listen)(const struct tr_addr *at, const struct tr_options *o, int backlog,
                                uint64_t handle, int *err);
  struct tr_conn *(*accept)(struct tr_listener *l);
  void (*unlisten)(struct tr_listener *l);
  int (*write)(struct tr_conn *c, const uint8_t *p, int n);
  void (*read_done)(struct tr_conn *c); /* Go has moved tail far: open the window */
  void (*close_conn)(struct tr_conn *c);
  int (*neighbour)(const struct tr_addr *a, const uint8_t *mac);
  void (*stats)(struct tr_stack_stats *s);
};

const struct tr_ops *tr_stack_ops(int i); /* NULL beyond TR_MAX_STACKS */

/* Go cannot call a function pointer. */
#ifdef TR_CALLS
static inline int trc_open(const struct tr_ops *o, const struct tr_stack_config *c) { return o->open(c); }
static inline void trc_close(const struct tr_ops *o) { o->close(); }
static inline int trc_poll(const struct tr_ops *o, struct tr_event *ev, int max, int spins, volatile uint32_t *wake) {
  return o->poll(ev, max, spins, wake);
}
static inline struct tr_conn *trc_dial(const struct tr_ops *o, const struct tr_addr *to, const struct tr_addr *from,
                                       const struct tr_options *opt, uint64_t handle, int *err) {
  return o->dial(to, from->port == 0 ? NULL : from, opt, handle, err);
}
static inline struct tr_listener *trc_listen(const struct tr_ops *o, const struct tr_addr *at, const struct tr_options *opt,
                                             int backlog, uint64_t handle, int *err) {
  return o->listen(at, opt, backlog, handle, err);
}
static inline struct tr_conn *trc_accept(const struct tr_ops *o, struct tr_listener *l) { return o->accept(l); }
static inline void trc_unlisten(const struct tr_ops *o, struct tr_listener *l) { o->unlisten(l); }
static inline int trc_write(const struct tr_ops *o, struct tr_conn *c, const uint8_t *p, int n) { return o->write(c, p, n); }
static inline void trc_read_done(const struct tr_ops *o, struct tr_conn *c) { o->read_done(c); }
static inline void trc_close_conn(const struct tr_ops *o, struct tr_conn *c) { o->close_conn(c); }
static inline int trc_neighbour(const struct tr_ops *o, const struct tr_addr *a, const uint8_t *mac) {
  return o->neighbour(a, mac);
}
static inline void trc_stats(const struct tr_ops *o, struct tr_stack_stats *s) { o->stats(s); }
#endif

#endif
