/* recover.c: what lwIP's sender lacks on a path that loses: it reads SACK blocks
 * (RFC 2018) and repairs every hole of a window at once (RFC 6675), notices when
 * a repair was lost too, probes the tail of a burst (RFC 8985, section 7), and
 * measures round trips by the timestamps (RFC 7323), with the retransmission
 * time of RFC 6298 and a floor of 200 ms. lwIP by itself fills one hole per
 * round trip, or waits for a timer that starts at 3 s and moves in steps of 500
 * ms: that was its stall under loss. A path that reorders is noticed by D-SACK
 * (RFC 2883): late segments then get more time and the window its size back. */
#include <string.h>

#include "lwip/prot/tcp.h"

#include "instance.h"

#define RTO_FLOOR_MS 200
#define RTO_MAX_MS 60000
#define RTO_TICK_MS TCP_SLOW_INTERVAL
#define SACKS ((int)(sizeof(((struct tr_conn *)0)->sack) / sizeof(((struct tr_conn *)0)->sack[0])))

static u32_t seq_of(const struct tcp_seg *s) { return lwip_ntohl(s->tcphdr->seqno); }

static u32_t end_of(const struct tcp_seg *s) { return seq_of(s) + (u32_t)TCP_TCPLEN(s); }

/* ---- round-trip time ---------------------------------------------------- */

static void sample(struct tr_conn *c, int32_t ms) {
  if (ms < 0 || ms > RTO_MAX_MS)
    return;
  if (c->srtt8 == 0) {
    c->srtt8 = ms * 8 + 1; /* never 0 again: that means unknown */
    c->rttvar4 = ms * 2;
    return;
  }
  int32_t d = ms - c->srtt8 / 8;
  c->srtt8 += d;
  if (c->srtt8 < 1)
    c->srtt8 = 1;
  c->rttvar4 += (d < 0 ? -d : d) - c->rttvar4 / 4;
}

/* lwIP computes its time from sa and sv, doubled at each retry: give it ours. */
static void set_rto(struct tr_conn *c, struct tcp_pcb *pcb) {
  if (c->srtt8 == 0)
    return;
  int32_t ms = c->srtt8 / 8 + LWIP_MAX(c->rttvar4, RTO_FLOOR_MS);
  s16_t ticks = (s16_t)((LWIP_MIN(ms, RTO_MAX_MS) + RTO_TICK_MS - 1) / RTO_TICK_MS);
  pcb->sa = 0;
  pcb->sv = ticks;
  pcb->rttest = 0;
  if (pcb->nrtx == 0)
    pcb->rto = ticks;
}

/* ---- SACK blocks -------------------------------------------------------- */

static void add_sack(struct tr_conn *c, u32_t from, u32_t to) {
  for (int i = 0; i < c->sacks;) { /* swallow what touches the new block */
    if (TCP_SEQ_GT(from, c->sack[i].to) || TCP_SEQ_LT(to, c->sack[i].from)) {
      i++;
      continue;
    }
    if (TCP_SEQ_LT(c->sack[i].from, from))
      from = c->sack[i].from;
    if (TCP_SEQ_GT(c->sack[i].to, to))
      to = c->sack[i].to;
    c->sack[i] = c->sack[--c->sacks];
  }
  if (c->sacks == SACKS) { /* full: the lowest is filled first anyway */
    int high = 0;
    for (int i = 1; i < c->sacks; i++)
      if (TCP_SEQ_GT(c->sack[i].from, c->sack[high].from))
        high = i;
    if (TCP_SEQ_GT(from, c->sack[high].from))
      return;
    c->sack[high].from = from;
    c->sack[high].to = to;
    return;
  }
  if (c->sacks == 0)
    c->sacked_ns = tr_self.now_ns;
  c->sack[c->sacks].from = from;
  c->sack[c->sacks].to = to;
  c->sacks++;
}

static void prune(struct tr_conn *c, u32_t una) {
  for (int i = 0; i < c->sacks;)
    if (TCP_SEQ_LEQ(c->sack[i].to, una))
      c->sack[i] = c->sack[--c->sacks];
    else
      i++;
}

static int sacked(const struct tr_conn *c, u32_t from, u32_t to) {
  for (int i = 0; i < c->sacks; i++)
    if (TCP_SEQ_GEQ(from, c->sack[i].from) && TCP_SEQ_LEQ(to, c->sack[i].to))
      return 1;
  return 0;
}

static u32_t sacked_above(const struct tr_conn *c, u32_t seq) {
  u32_t n = 0;
  for (int i = 0; i < c->sacks; i++)
    if (TCP_SEQ_GEQ(c->sack[i].from, seq))
      n += c->sack[i].to - c->sack[i].from;
  return n;
}

/* ---- options of an incoming segment ------------------------------------- */

struct options {
  const u8_t *p[2];
  u16_t len[2];
};

static u8_t byte_at(const struct options *o, int i) { return i < o->len[0] ? o->p[0][i] : o->p[1][i - o->len[0]]; }

static u32_t word_at(const struct options *o, int i) {
  return (u32_t)byte_at(o, i) << 24 | (u32_t)byte_at(o, i + 1) << 16 | (u32_t)byte_at(o, i + 2) << 8 | byte_at(o, i + 3);
}

/* The peer had it already: what we sent again was late, not lost. */
static void spurious(struct tr_conn *c, struct tcp_pcb *pcb) {
  if (c->reorder < 8)
    c->reorder++;
  if (c->prior_cwnd == 0)
    return;
  pcb->ssthresh = LWIP_MAX(pcb->ssthresh, c->prior_ssthresh);
  pcb->cwnd = LWIP_MAX(pcb->cwnd, c->prior_cwnd);
  c->prior_cwnd = 0;
}

static void read_options(struct tr_conn *c, struct tcp_pcb *pcb, const struct options *o, u32_t ack) {
  int len = o->len[0] + o->len[1];
  for (int i = 0; i < len;) {
    u8_t kind = byte_at(o, i);
    if (kind == 0)
      return;
    if (kind == 1) {
      i++;
      continue;
    }
    if (i + 1 >= len || byte_at(o, i + 1) < 2 || i + byte_at(o, i + 1) > len)
      return;
    int size = byte_at(o, i + 1);
    if (kind == 8 && size == 10 && TCP_SEQ_GT(ack, pcb->lastack)) {
      u32_t echo = word_at(o, i + 6);
      if (echo != 0)
        sample(c, (int32_t)((u32_t)tr_self.now_ms - echo));
    }
    for (int k = i + 2; kind == 5 && k + 8 <= i + size; k += 8) {
      u32_t from = word_at(o, k), to = word_at(o, k + 4);
      if (k == i + 2 && TCP_SEQ_LT(from, to) && TCP_SEQ_LEQ(to, ack))
        spurious(c, pcb);
      if (TCP_SEQ_LT(from, to) && TCP_SEQ_GT(from, ack) && TCP_SEQ_LEQ(to, pcb->snd_nxt))
        add_sack(c, from, to);
    }
    i += size;
  }
}

/* Connections that have not answered yet, at most: each costs memory until it
 * does, and whoever floods never does. */
#define HALF_OPEN 4096

/* Makes room for newer connections: those that have not answered for longest go
 * without a word, an eighth of them, so that a flood has the list walked seldom.
 * lwIP's list begins with the newest. */
static void drop_half_open(void) {
  uint32_t n = 0, keep = HALF_OPEN - HALF_OPEN / 8;
  for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next)
    n += pcb->state == SYN_RCVD;
  tr_self.half_open = n;
  if (n < HALF_OPEN)
    return;
  n = 0;
  for (struct tcp_pcb *pcb = tcp_active_pcbs, *next; pcb != NULL; pcb = next) {
    next = pcb->next;
    if (pcb->state != SYN_RCVD || ++n <= keep)
      continue;
    tcp_abandon(pcb, 0);
    tr_self.stats.syn_dropped++;
  }
  tr_self.half_open = keep;
}

static void before_accept(const struct tcp_hdr *h) {
  if ((TCPH_FLAGS(h) & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_SYN)
    return;
  if (tr_self.half_open >= HALF_OPEN)
    drop_half_open();
  tr_self.half_open++;
}

/* lwIP calls this before it looks at a segment. Its own counting of duplicates
 * is kept from starting where SACK does better. */
err_t tr_before_input(struct tcp_pcb *pcb, struct tcp_hdr *h, unsigned short optlen, unsigned short opt1len,
                      unsigned char *opt2, struct pbuf *p) {
  (void)p;
  if (pcb->state == LISTEN) {
    before_accept(h);
    return ERR_OK;
  }
  if (pcb != tr_self.hit || pcb->state < ESTABLISHED || pcb->callback_arg == NULL)
    return ERR_OK;
  struct tr_conn *c = pcb->callback_arg;
  struct options o = {{(const u8_t *)(h + 1), opt2}, {opt1len, (u16_t)(optlen - opt1len)}};
  if (optlen == 0)
    o.len[0] = o.len[1] = 0;
  if (TCP_SEQ_BETWEEN(h->ackno, pcb->lastack, pcb->snd_nxt))
    read_options(c, pcb, &o, h->ackno);
  if (TCP_SEQ_GT(h->ackno, pcb->lastack) || pcb->unacked == NULL)
    c->acked_ns = c->sacked_ns = tr_self.now_ns;
  if (pcb->flags & TF_SACK)
    pcb->dupacks = 0;
  return ERR_OK;
}

/* ---- retransmission ----------------------------------------------------- */

/* Sends one segment of the unacknowledged list again, past lwIP's window check,
 * which counts from the first hole and would hold it back. */
static int resend(struct tr_conn *c, struct tcp_pcb *pcb, struct tcp_seg *seg) {
  struct tcp_seg **at = &pcb->unacked, *later = pcb->unsent;
  while (*at != NULL && *at != seg)
    at = &(*at)->next;
  if (*at == NULL || seg->p->ref != 1)
    return 0;
  *at = seg->next;
  seg->next = NULL;
  tcpwnd_size_t cwnd = pcb->cwnd, wnd = pcb->snd_wnd;
  tcpflags_t nodelay = pcb->flags & TF_NODELAY;
  u8_t persist = pcb->persist_backoff;
  pcb->unsent = seg;
  pcb->cwnd = pcb->snd_wnd = 0x7fffffff;
  tcp_set_flags(pcb, TF_NODELAY);
  (void)tcp_output(pcb);
  struct tcp_seg *left = pcb->unsent; /* not sent: no buffer */
  pcb->cwnd = cwnd;
  pcb->snd_wnd = wnd;
  pcb->persist_backoff = persist;
  if (!nodelay)
    tcp_clear_flags(pcb, TF_NODELAY);
  pcb->rttest = 0;
  pcb->unsent = later;
  if (left != NULL) {
    for (at = &pcb->unacked; *at != NULL && TCP_SEQ_LT(seq_of(*at), seq_of(left));)
      at = &(*at)->next;
    left->next = *at;
    *at = left;
    return 0;
  }
  c->retransmits++;
  tr_self.stats.retransmits++;
  return 1;
}

/* The time that a late segment gets, in ns. */
static uint64_t patience(const struct tr_conn *c) { return (uint64_t)c->srtt8 * 1000000u / 32 * c->reorder; }

/* A segment is lost when enough was received behind it (RFC 6675, IsLost), or
 * anything at all if eager; and when a path that reorders has had its time. */
static int lost(const struct tr_conn *c, const struct tcp_pcb *pcb, const struct tcp_seg *s, int eager) {
  u32_t above = sacked_above(c, end_of(s));
  return above > 0 && (eager || (above > 2u * pcb->mss && tr_self.now_ns - c->sacked_ns >= patience(c)));
}

static void enter(struct tr_conn *c, struct tcp_pcb *pcb) {
  c->recovering = 1;
  c->recover = pcb->snd_nxt;
  c->high_rexmit = pcb->lastack;
  c->prior_cwnd = pcb->cwnd;
  c->prior_ssthresh = pcb->ssthresh;
  pcb->ssthresh = LWIP_MAX(LWIP_MIN(pcb->cwnd, pcb->snd_wnd) / 2, 2u * pcb->mss);
  pcb->bytes_acked = 0;
}

/* Repairs the holes: each lost segment once per round, as the window allows. */
static void repair(struct tr_conn *c, struct tcp_pcb *pcb, int eager) {
  u32_t pipe = 0, held = 0;
  int found = 0;
  for (struct tcp_seg *s = pcb->unacked; s != NULL; s = s->next) {
    u32_t len = TCP_TCPLEN(s);
    if (sacked(c, seq_of(s), end_of(s)))
      held += len;
    else if (!lost(c, pcb, s, eager) || TCP_SEQ_LT(seq_of(s), c->recovering ? c->high_rexmit : pcb->lastack))
      pipe += len;
    else
      found = 1;
  }
  if (found && !c->recovering)
    enter(c, pcb);
  if (!c->recovering)
    return;
  pcb->cwnd = pcb->ssthresh + held;
  int first = 1;
  for (struct tcp_seg *s = pcb->unacked, *next; found && s != NULL; s = next) {
    next = s->next;
    if (TCP_SEQ_LT(seq_of(s), c->high_rexmit) || sacked(c, seq_of(s), end_of(s)) || !lost(c, pcb, s, eager))
      continue;
    if (!first && pipe + TCP_TCPLEN(s) > pcb->ssthresh)
      break;
    if (!resend(c, pcb, s))
      break;
    if (first)
      c->rexmit_ns = tr_self.now_ns;
    first = 0;
    pipe += TCP_TCPLEN(s);
    c->high_rexmit = end_of(s);
  }
}

/* A repair is lost itself when a round trip and some have passed. */
static int repair_lost(const struct tr_conn *c) {
  uint64_t wait = (uint64_t)c->srtt8 * 1250000u / 8 + 20000000u;
  return c->recovering && c->rexmit_ns != 0 && tr_self.now_ns - c->rexmit_ns > wait;
}

void tr_after_input(struct tr_conn *c) {
  struct tcp_pcb *pcb = c->pcb;
  if (pcb == NULL || pcb->state < ESTABLISHED)
    return;
  set_rto(c, pcb);
  prune(c, pcb->lastack);
  if (c->recovering && TCP_SEQ_GEQ(pcb->lastack, c->recover)) {
    c->recovering = 0;
    c->rexmit_ns = 0;
    pcb->cwnd = pcb->ssthresh;
  }
  if (pcb->unacked == NULL || (pcb->flags & TF_RTO)) {
    c->sacks = c->recovering = 0;
    c->rexmit_ns = 0;
    return;
  }
  if (c->sacks == 0 && !c->recovering)
    return;
  if (repair_lost(c))
    c->high_rexmit = pcb->lastack;
  /* A partial acknowledgement without blocks above it: the first is missing. */
  if (c->recovering && c->sacks == 0 && TCP_SEQ_GEQ(pcb->lastack, c->high_rexmit)) {
    c->high_rexmit = end_of(pcb->unacked);
    c->rexmit_ns = tr_self.now_ns;
    (void)resend(c, pcb, pcb->unacked);
  }
  repair(c, pcb, 0);
  (void)tcp_output(pcb);
}

/* ---- timers, every 10 ms, before lwIP's own ----------------------------- */

static struct tcp_seg *last_unacked(struct tcp_pcb *pcb) {
  struct tcp_seg *s = pcb->unacked;
  while (s != NULL && s->next != NULL)
    s = s->next;
  return s;
}

/* One probe per flight: its acknowledgement shows what was lost before it. */
static void probe_tail(struct tr_conn *c, struct tcp_pcb *pcb) {
  if (c->recovering || pcb->nrtx > 0 || (pcb->flags & TF_RTO) || c->srtt8 == 0 || c->probe_at == pcb->snd_nxt)
    return;
  if (pcb->rtime * RTO_TICK_MS < 2 * (c->srtt8 / 8) + 40)
    return;
  c->probe_at = pcb->snd_nxt;
  if (resend(c, pcb, last_unacked(pcb)))
    tr_self.stats.probes++;
}

static void count_timeouts(struct tr_conn *c, struct tcp_pcb *pcb) {
  if (pcb->nrtx > c->rexmits) {
    tr_self.stats.timeouts++, c->timeouts++;
    if (pcb->nrtx >= 2)
      tr_doubt_neighbour(&pcb->remote_ip);
  }
  c->rexmits = pcb->nrtx;
}

static void tick(struct tr_conn *c, struct tcp_pcb *pcb) {
  uint64_t reorder = (uint64_t)c->srtt8 * 1000000u / 32 + patience(c) + 5000000u;
  if (pcb->unacked == NULL)
    return;
  if ((pcb->flags & TF_SACK) == 0 || (pcb->flags & TF_RTO))
    return;
  if (repair_lost(c)) {
    c->high_rexmit = pcb->lastack;
    repair(c, pcb, 1);
  } else if (c->sacks > 0 && tr_self.now_ns - c->sacked_ns > reorder) {
    repair(c, pcb, 1);
  }
  probe_tail(c, pcb);
}

void tr_before_tick(void) {
  uint32_t half_open = 0;
  for (struct tcp_pcb *pcb = tcp_active_pcbs, *next; pcb != NULL; pcb = next) {
    next = pcb->next;
    half_open += pcb->state == SYN_RCVD;
    if (pcb->state == SYN_SENT)
      count_timeouts(pcb->callback_arg, pcb);
    if (pcb->state < ESTABLISHED)
      continue;
    if (pcb->callback_arg == NULL) {
      tr_watch_orphan(pcb);
      continue;
    }
    struct tr_conn *c = pcb->callback_arg;
    int waits = pcb->unacked != NULL || pcb->unsent != NULL;
    if (waits && c->user_timeout_ms > 0 && tr_self.now_ns - c->acked_ns > c->user_timeout_ms * 1000000ull) {
      c->error = TR_E_TIMEOUT;
      tcp_abort(pcb);
      continue;
    }
    count_timeouts(c, pcb);
    tick(c, pcb);
  }
  tr_self.half_open = half_open;
}
