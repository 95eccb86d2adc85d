/* instance.h: the state of one copy of the stack, shared by stack.c, conn.c and
 * recover.c. */
#ifndef TR_INSTANCE_H
#define TR_INSTANCE_H

#include "lwip/netif.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#include "bridge.h"

#define TR_TABLE 4096 /* buckets of connections, a power of two */

struct instance {
  struct tr_stack_config cfg;
  struct netif netif;
  struct tr_stack_stats stats;
  uint64_t now_ms, ticked_ms, second_ms, doubted_ms;
  uint64_t now_ns; /* of this turn */
  int64_t wall_ns; /* of this turn's burst */
  struct tr_conn *table[TR_TABLE];
  struct tr_conn *loud; /* connections with events that Go has not seen */
  struct tr_listener *listeners[64];
  struct tcp_pcb *hit; /* whose frame is being looked at */
  uint64_t orphaned;   /* bytes that connections closed by Go still hold */
  uint32_t half_open;  /* connections in SYN_RCVD, counted at each tick */
};

extern struct instance tr_self;

/* stack.c */
void tr_doubt_neighbour(const ip_addr_t *to);

/* conn.c */
struct tr_conn *tr_dial(const struct tr_addr *to, const struct tr_addr *from, const struct tr_options *o, uint64_t handle,
                        int *err);
struct tr_listener *tr_listen(const struct tr_addr *at, const struct tr_options *o, int backlog, uint64_t handle, int *err);
struct tr_conn *tr_accept(struct tr_listener *l);
void tr_unlisten(struct tr_listener *l);
int tr_write(struct tr_conn *c, const uint8_t *p, int n);
void tr_read_done(struct tr_conn *c);
void tr_close_conn(struct tr_conn *c);
int tr_events(struct tr_event *ev, int max);
void tr_opened(void);
struct tr_conn *tr_find(const uint8_t *frame, int len);
void tr_shout(struct tr_conn *c, uint32_t flags);
void tr_window(struct tr_conn *c);
void tr_watch_orphan(struct tcp_pcb *pcb);

/* recover.c */
void tr_after_input(struct tr_conn *c);
void tr_before_tick(void);

#endif
