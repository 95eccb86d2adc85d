/* conn.c: connections and listeners: lwIP's callbacks on one side, Go's calls on
 * the other. */
#include <stdlib.h>
#include <string.h>

#include "lwip/prot/tcp.h"

#include "instance.h"

/* ---- the table of connections, so that a frame finds its own at once ----- */

static uint32_t bucket(const uint8_t *ip, int v6, unsigned rport, unsigned lport) {
  uint32_t h = rport * 0x9e3779b1u ^ lport * 0x85ebca77u, w;
  for (int i = 0; i < (v6 ? 16 : 4); i += 4) {
    memcpy(&w, ip + i, 4);
    h = (h ^ w) * 0xc2b2ae3du;
    h ^= h >> 15;
  }
  return h & (TR_TABLE - 1);
}

static struct tr_conn **slot_of(const struct tr_conn *c) {
  return &tr_self.table[bucket(c->remote.ip, c->remote.v6, c->remote.port, c->local.port)];
}

static void enter(struct tr_conn *c) {
  struct tr_conn **s = slot_of(c);
  c->chain = *s;
  *s = c;
  tr_self.stats.conns++;
}

static void leave(struct tr_conn *c) {
  for (struct tr_conn **s = slot_of(c); *s != NULL; s = &(*s)->chain)
    if (*s == c) {
      *s = c->chain;
      tr_self.stats.conns--;
      return;
    }
}

struct tr_conn *tr_find(const uint8_t *f, int len) {
  const uint8_t *ip, *dst, *l4;
  int v6;
  if (len < 54)
    return NULL;
  if (f[12] == 8 && f[13] == 0 && f[23] == 6) {
    ip = f + 26, dst = f + 30, l4 = f + 14 + (f[14] & 15) * 4, v6 = 0;
  } else if (f[12] == 0x86 && f[13] == 0xdd && f[20] == 6) {
    ip = f + 22, dst = f + 38, l4 = f + 54, v6 = 1;
  } else {
    return NULL;
  }
  if (l4 + 20 > f + len)
    return NULL;
  unsigned rport = (unsigned)l4[0] << 8 | l4[1], lport = (unsigned)l4[2] << 8 | l4[3];
  struct tr_conn *c = tr_self.table[bucket(ip, v6, rport, lport)];
  for (; c != NULL; c = c->chain)
    if (c->pcb != NULL && c->remote.port == rport && c->local.port == lport && c->remote.v6 == v6 &&
        memcmp(c->remote.ip, ip, v6 ? 16 : 4) == 0 && memcmp(c->local.ip, dst, v6 ? 16 : 4) == 0)
      return c;
  return NULL;
}

/* ---- events for Go ------------------------------------------------------ */

void tr_shout(struct tr_conn *c, uint32_t flags) {
  c->flags_out |= flags;
  if (!c->listed) {
    c->listed = 1;
    c->next = tr_self.loud;
    tr_self.loud = c;
  }
}

/* A connection without a handle waits in its listener's queue. */
int tr_events(struct tr_event *ev, int max) {
  int n = 0;
  for (int i = 0; i < 64 && n < max; i++) {
    struct tr_listener *l = tr_self.listeners[i];
    if (l != NULL && l->first != NULL)
      ev[n++] = (struct tr_event){l->handle, TR_EV_ACCEPT};
  }
  while (tr_self.loud != NULL && n < max) {
    struct tr_conn *c = tr_self.loud;
    tr_self.loud = c->next;
    c->listed = 0;
    if (c->handle != 0)
      ev[n++] = (struct tr_event){c->handle, c->flags_out};
    c->flags_out = 0;
  }
  return n;
}

/* ---- what Go has closed and the peer has not taken yet ------------------- */

/* All orphans together hold this much; beyond it, closing aborts. */
#define ORPHAN_BYTES (64u << 20)
/* However slowly the peer goes on: so many times orphan_ms in all. */
#define ORPHAN_ROUNDS 4

struct orphan {
  uint64_t closed_ns, moved_ns; /* moved: the peer last acknowledged something new */
  uint32_t held;
};

static void free_orphan(u8_t id, void *data) {
  struct orphan *o = data;
  (void)id;
  if (o != NULL)
    tr_self.orphaned -= o->held;
  free(o);
}

static const struct tcp_ext_arg_callbacks orphan_calls = {free_orphan, NULL};

/* Lets a connection say its last without Go. 0: it must be aborted. */
static int make_orphan(struct tcp_pcb *pcb) {
  uint32_t held = TCP_SND_BUF - pcb->snd_buf;
  struct orphan *o = tr_self.orphaned + held <= ORPHAN_BYTES ? malloc(sizeof *o) : NULL;
  if (o == NULL) {
    tr_self.stats.abandoned++;
    return 0;
  }
  *o = (struct orphan){tr_self.now_ns, tr_self.now_ns, held};
  tr_self.orphaned += held;
  tcp_ext_arg_set(pcb, 0, o);
  tcp_ext_arg_set_callbacks(pcb, 0, &orphan_calls);
  return 1;
}

static void orphan_moved(struct tcp_pcb *pcb) {
  struct orphan *o = tcp_ext_arg_get(pcb, 0);
  if (o == NULL)
    return;
  uint32_t held = TCP_SND_BUF - pcb->snd_buf;
  tr_self.orphaned -= o->held - held; /* it only shrinks */
  o->held = held;
  o->moved_ns = tr_self.now_ns;
}

/* A peer that acknowledges nothing more, or keeps its window shut, would hold
 * the connection and its bytes for ever. */
void tr_watch_orphan(struct tcp_pcb *pcb) {
  struct orphan *o = tcp_ext_arg_get(pcb, 0);
  uint64_t wait = tr_self.cfg.orphan_ms * 1000000ull, now = tr_self.now_ns;
  if (o == NULL || pcb->state == FIN_WAIT_2) /* lwIP bounds that itself */
    return;
  if (now - o->moved_ns <= wait && now - o->closed_ns <= ORPHAN_ROUNDS * wait)
    return;
  tr_self.stats.abandoned++;
  tcp_abort(pcb);
}

/* ---- lwIP's callbacks --------------------------------------------------- */

static void set_addr(struct tr_addr *a, const ip_addr_t *ip, u16_t port) {
  a->v6 = IP_IS_V6(ip) ? 1 : 0;
  a->port = port;
  memcpy(a->ip, a->v6 ? (const void *)ip_2_ip6(ip)->addr : (const void *)&ip_2_ip4(ip)->addr, a->v6 ? 16 : 4);
}

static int get_addr(ip_addr_t *ip, const struct tr_addr *a) {
  memset(ip, 0, sizeof *ip);
  if (a->v6) {
    IP_SET_TYPE(ip, IPADDR_TYPE_V6);
    memcpy(ip_2_ip6(ip)->addr, a->ip, 16);
    ip6_addr_assign_zone(ip_2_ip6(ip), IP6_UNICAST, &tr_self.netif);
  } else {
    IP_SET_TYPE(ip, IPADDR_TYPE_V4);
    memcpy(&ip_2_ip4(ip)->addr, a->ip, 4);
  }
  return ip_addr_isany(ip);
}

/* Copies a received chain out, so that unread bytes pin no buffer of the device.
 * lwIP keeps what does not fit and offers it again. */
static err_t on_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err) {
  struct tr_conn *c = arg;
  (void)err;
  if (c == NULL) { /* closed by Go: nobody reads */
    if (p != NULL) {
      tcp_recved(pcb, p->tot_len);
      pbuf_free(p);
    }
    return ERR_OK;
  }
  if (p == NULL) {
    c->eof = 1;
    tr_shout(c, TR_EV_READ);
    return ERR_OK;
  }
  if (c->head == c->tail) { /* begin anew, where the cache is warm */
    tr_window(c);
    c->head = c->tail = c->told = 0;
  }
  if (p->tot_len > c->cap - (c->head - c->tail)) {
    c->refused = 1;
    return ERR_MEM;
  }
  c->refused = 0;
  for (struct pbuf *q = p; q != NULL; q = q->next) {
    const uint8_t *from = q->payload;
    uint32_t at = c->head & (c->cap - 1), first = LWIP_MIN(q->len, c->cap - at);
    memcpy(c->rx + at, from, first);
    memcpy(c->rx, from + first, q->len - first);
    c->head += q->len;
  }
  c->rx_ns = tr_self.wall_ns;
  pbuf_free(p);
  tr_shout(c, TR_EV_READ);
  return ERR_OK;
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t len) {
  struct tr_conn *c = arg;
  (void)len;
  if (c == NULL)
    orphan_moved(pcb);
  else if (c->want_write && tcp_sndbuf(pcb) > 0)
    tr_shout(c, TR_EV_WRITE);
  return ERR_OK;
}

static void on_err(void *arg, err_t err) {
  struct tr_conn *c = arg;
  if (c == NULL)
    return;
  leave(c);
  c->pcb = NULL;
  c->dead = 1;
  if (c->error == TR_E_NONE)
    c->error = err == ERR_RST ? TR_E_RESET : err == ERR_ABRT ? TR_E_TIMEOUT : TR_E_ABORTED;
  tr_shout(c, TR_EV_READ | TR_EV_CLOSED);
}

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t err) {
  (void)pcb, (void)err;
  tr_shout(arg, TR_EV_CONNECTED);
  return ERR_OK;
}

static struct tr_conn *new_conn(struct tcp_pcb *pcb, uint32_t cap, uint64_t handle) {
  struct tr_conn *c = calloc(1, sizeof *c);
  uint8_t *rx = malloc(cap);
  if (c == NULL || rx == NULL) {
    free(c);
    free(rx);
    return NULL;
  }
  c->rx = rx;
  c->cap = cap;
  c->handle = handle;
  c->pcb = pcb;
  c->acked_ns = tr_self.now_ns;
  tcp_arg(pcb, c);
  tcp_recv(pcb, on_recv);
  tcp_sent(pcb, on_sent);
  tcp_err(pcb, on_err);
  return c;
}

static void free_conn(struct tr_conn *c) {
  for (struct tr_conn **p = &tr_self.loud; c->listed && *p != NULL; p = &(*p)->next)
    if (*p == c) {
      *p = c->next;
      break;
    }
  free(c->rx);
  free(c);
}

static void set_keepalive(struct tcp_pcb *pcb, uint32_t idle, uint32_t intvl, uint32_t cnt, int nodelay) {
  if (idle > 0) {
    ip_set_option(pcb, SOF_KEEPALIVE);
    pcb->keep_idle = idle;
    pcb->keep_intvl = intvl;
    pcb->keep_cnt = cnt;
  }
  if (nodelay)
    tcp_nagle_disable(pcb);
}

/* ---- dial --------------------------------------------------------------- */

/* Local ports: random within the stack's own range, so that frames are told
 * apart by port alone and no peer guesses the next one. */
static err_t bind_port(struct tcp_pcb *pcb, const ip_addr_t *ip) {
  unsigned n = (unsigned)tr_self.cfg.port_hi - tr_self.cfg.port_lo + 1u, at = tr_random() % n;
  for (unsigned i = 0; i < n; i++, at = (at + 1) % n)
    if (tcp_bind(pcb, ip, (u16_t)(tr_self.cfg.port_lo + at)) == ERR_OK)
      return ERR_OK;
  return ERR_USE;
}

struct tr_conn *tr_dial(const struct tr_addr *to, const struct tr_addr *from, const struct tr_options *o, uint64_t handle,
                        int *err) {
  ip_addr_t remote, local;
  *err = TR_E_NOMEM;
  if (tr_self.stats.conns >= tr_self.cfg.max_conns) {
    tr_self.stats.refused++;
    return NULL;
  }
  get_addr(&remote, to);
  if (from != NULL) {
    get_addr(&local, from);
  } else {
    const ip_addr_t *a = ip_netif_get_local_ip(&tr_self.netif, &remote);
    if (a == NULL || ip_addr_isany(a)) {
      *err = TR_E_UNREACHABLE;
      return NULL;
    }
    local = *a;
  }
  struct tcp_pcb *pcb = tcp_new_ip_type(IP_GET_TYPE(&remote));
  if (pcb == NULL)
    return NULL;
  struct tr_conn *c = bind_port(pcb, &local) == ERR_OK ? new_conn(pcb, o->rx_cap, handle) : NULL;
  if (c == NULL) {
    tcp_abort(pcb);
    return NULL;
  }
  set_keepalive(pcb, o->keep_idle_ms, o->keep_intvl_ms, o->keep_cnt, o->nodelay);
  c->user_timeout_ms = o->user_timeout_ms;
  set_addr(&c->local, &local, pcb->local_port);
  c->remote = *to;
  enter(c);
  if (tcp_connect(pcb, &remote, to->port, on_connected) != ERR_OK) {
    *err = TR_E_UNREACHABLE;
    tr_close_conn(c);
    return NULL;
  }
  tr_port_flush(tr_self.cfg.port, tr_self.cfg.queue);
  return c;
}

/* ---- listen ------------------------------------------------------------- */

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err) {
  struct tr_listener *l = arg;
  if (err != ERR_OK || pcb == NULL || l == NULL)
    return ERR_VAL;
  if (l->waiting >= l->backlog || tr_self.stats.conns >= tr_self.cfg.max_conns) {
    tr_self.stats.refused++;
    tcp_abort(pcb); /* a reset: the client sees at once that it was refused */
    return ERR_ABRT;
  }
  struct tr_conn *c = new_conn(pcb, l->rx_cap, 0);
  if (c == NULL) {
    tcp_abort(pcb);
    return ERR_ABRT;
  }
  set_keepalive(pcb, l->keep_idle_ms, l->keep_intvl_ms, l->keep_cnt, l->nodelay);
  c->user_timeout_ms = l->user_timeout_ms;
  set_addr(&c->remote, &pcb->remote_ip, pcb->remote_port);
  set_addr(&c->local, &pcb->local_ip, pcb->local_port);
  enter(c);
  c->listener = l;
  if (l->first == NULL)
    l->first = c;
  else
    l->last->wait = c;
  l->last = c;
  l->waiting++;
  tr_shout(c, 0);
  return ERR_OK;
}

struct tr_listener *tr_listen(const struct tr_addr *at, const struct tr_options *o, int backlog, uint64_t handle, int *err) {
  ip_addr_t ip;
  int slot = 0;
  *err = TR_E_NOMEM;
  while (slot < 64 && tr_self.listeners[slot] != NULL)
    slot++;
  struct tr_listener *l = slot < 64 ? calloc(1, sizeof *l) : NULL;
  struct tcp_pcb *pcb = l == NULL ? NULL : tcp_new_ip_type(at->v6 ? IPADDR_TYPE_V6 : IPADDR_TYPE_V4);
  if (pcb == NULL) {
    free(l);
    return NULL;
  }
  get_addr(&ip, at);
  err_t e = at->port != 0 ? tcp_bind(pcb, &ip, at->port) : bind_port(pcb, &ip);
  struct tcp_pcb *lp = e == ERR_OK ? tcp_listen(pcb) : NULL;
  if (lp == NULL) {
    *err = TR_E_REFUSED;
    tcp_close(pcb);
    free(l);
    return NULL;
  }
  l->pcb = lp;
  l->handle = handle;
  l->rx_cap = o->rx_cap;
  l->backlog = (uint32_t)backlog;
  l->user_timeout_ms = o->user_timeout_ms;
  l->keep_idle_ms = o->keep_idle_ms, l->keep_intvl_ms = o->keep_intvl_ms, l->keep_cnt = o->keep_cnt;
  l->nodelay = o->nodelay;
  l->local = *at;
  l->local.port = lp->local_port;
  tcp_arg(lp, l);
  tcp_accept(lp, on_accept);
  tr_self.listeners[slot] = l;
  tr_port_claim(tr_self.cfg.port, l->local.port, l->local.port, tr_self.cfg.queue);
  return l;
}

struct tr_conn *tr_accept(struct tr_listener *l) {
  struct tr_conn *c = l->first;
  if (c == NULL)
    return NULL;
  l->first = c->wait;
  c->wait = NULL;
  c->listener = NULL;
  l->waiting--;
  return c;
}

void tr_unlisten(struct tr_listener *l) {
  struct tr_conn *c;
  while ((c = tr_accept(l)) != NULL)
    tr_close_conn(c);
  for (int i = 0; i < 64; i++)
    if (tr_self.listeners[i] == l)
      tr_self.listeners[i] = NULL;
  /* The port stays this stack's: connections that were accepted go on. */
  tcp_arg(l->pcb, NULL);
  tcp_close(l->pcb);
  free(l);
}

/* ---- what Go does with a connection ------------------------------------- */

/* Opens the peer's window by what Go has read since the last time. */
void tr_window(struct tr_conn *c) {
  if (c->pcb == NULL)
    return;
  while (c->told != c->tail) {
    uint32_t n = LWIP_MIN(c->tail - c->told, 0xffffu);
    c->told += n;
    tcp_recved(c->pcb, (u16_t)n);
  }
}

int tr_write(struct tr_conn *c, const uint8_t *p, int n) {
  struct tcp_pcb *pcb = c->pcb;
  int done = 0;
  if (pcb == NULL)
    return -1;
  tr_window(c);
  while (done < n) {
    tcpwnd_size_t room = tcp_sndbuf(pcb);
    int k = (int)LWIP_MIN((uint32_t)(n - done), LWIP_MIN(room, 0xffffu));
    if (k == 0 || tcp_sndqueuelen(pcb) >= TCP_SNDQUEUELOWAT)
      break;
    if (tcp_write(pcb, p + done, (u16_t)k, TCP_WRITE_FLAG_COPY) != ERR_OK)
      break;
    done += k;
  }
  if (done > 0) {
    if (pcb->unacked == NULL && pcb->unsent != NULL)
      c->acked_ns = tr_self.now_ns;
    (void)tcp_output(pcb);
    tr_port_flush(tr_self.cfg.port, tr_self.cfg.queue);
  }
  return done;
}

void tr_read_done(struct tr_conn *c) {
  tr_window(c);
  if (c->refused && c->pcb != NULL) {
    c->refused = 0; /* set again if it still does not fit */
    (void)tcp_process_refused_data(c->pcb);
  }
  tr_port_flush(tr_self.cfg.port, tr_self.cfg.queue);
}

void tr_close_conn(struct tr_conn *c) {
  struct tcp_pcb *pcb = c->pcb;
  if (pcb != NULL) {
    int unread = c->head != c->tail || c->refused;
    tr_window(c);
    leave(c);
    tcp_arg(pcb, NULL);
    if (pcb->state == SYN_SENT || unread || !make_orphan(pcb) || tcp_close(pcb) != ERR_OK)
      tcp_abort(pcb);
    tr_port_flush(tr_self.cfg.port, tr_self.cfg.queue);
  }
  free_conn(c);
}

void tr_opened(void) { memset(tr_self.table, 0, sizeof tr_self.table); }
