/* Reading: copy out or lend in place, and what happens when the relay ends. */
#ifndef TICKRELAY_READ_H
#define TICKRELAY_READ_H

#include "client.h"

/* tr_note_gap adds a gap record for one topic. */
static inline void tr_note_gap(tr_client *c, const tr_ring *r, uint32_t instrument, uint32_t channel, uint64_t seq, int64_t now) {
    tr_record *g = &c->gaps[c->n_gaps++];
    g->kind = TR_GAP;
    g->flags = TR_FIRST | TR_LAST | TR_SNAPSHOT;
    g->venue = (uint16_t)__atomic_load_n(&r->hdr->venue, __ATOMIC_RELAXED);
    g->instrument = instrument;
    g->seq = g->id = seq;
    g->ts_recv = now;
    g->side = (uint8_t)channel;
    g->level = TR_GAP_DISCONNECT;
    g->count = TR_UNKNOWN_MISSING;
}

/* tr_note_gaps prepares a gap record for every topic of the present rings: from
 * now on nothing of them is current. The flag snapshot: it takes no number. */
static inline void tr_note_gaps(tr_client *c) {
    size_t room = 1;
    int64_t now = tr_now();
    for (unsigned i = 0; i < c->n; i++) room += tr_ring_topics(&c->rings[i]) + c->rings[i].n_told;
    free(c->gaps);
    c->gaps_at = c->n_gaps = 0;
    c->gaps = (tr_record *)calloc(room, sizeof *c->gaps);
    if (!c->gaps) return; /* the heartbeat with the new epoch still says it */
    for (unsigned i = 0; i < c->n; i++) {
        const tr_ring *r = &c->rings[i];
        const struct tr_topic_entry *e = (const struct tr_topic_entry *)(const void *)(r->hdr + 1);
        uint32_t count = tr_ring_topics(r);
        for (uint32_t k = 0; k < count && c->n_gaps < room; k++)
            tr_note_gap(c, r, __atomic_load_n(&e[k].instrument, __ATOMIC_RELAXED), __atomic_load_n(&e[k].channel, __ATOMIC_RELAXED),
                        __atomic_load_n(&e[k].seq, __ATOMIC_RELAXED), now);
        for (size_t k = 0; k < r->n_told && c->n_gaps < room; k++)
            tr_note_gap(c, r, (uint32_t)(r->told[k].topic >> 8), (uint32_t)(r->told[k].topic & 0xff), r->told[k].seq, now);
    }
}

static inline void tr_retry_timer(tr_client *c, int64_t ns) {
    struct itimerspec t;
    memset(&t, 0, sizeof t);
    if (ns < 1) ns = 1; /* 0 would stop the timer */
    t.it_value.tv_sec = ns / 1000000000;
    t.it_value.tv_nsec = ns % 1000000000;
    if (c->timer_fd >= 0) timerfd_settime(c->timer_fd, 0, &t, NULL);
}

/* tr_lost ends an attachment whose relay is gone, or whose ring is not usable. */
static inline int tr_lost(tr_client *c, int code) {
    if (c->once) return code;
    if (!c->away) {
        tr_note_gaps(c);
        tr_drop(c);
        c->away = true;
        c->retry_ns = TR_RETRY_FIRST_NS;
        c->retry_at = tr_monotonic() + c->retry_ns;
    }
    return TR_OK;
}

/* tr_again attaches again, if it is time to. */
static inline void tr_again(tr_client *c) {
    if (!c->away || tr_monotonic() < c->retry_at) return;
    if (tr_connect_client(c) == TR_OK) return;
    c->retry_ns = c->retry_ns * 2 < TR_RETRY_LAST_NS ? c->retry_ns * 2 : TR_RETRY_LAST_NS;
    c->retry_at = tr_monotonic() + c->retry_ns;
}

/* tr_hang_up gives the lease back: what its rings hold is read, then they end. */
static inline void tr_hang_up(tr_client *c) {
    tr_close_fd(&c->lease);
    c->hung_up = true;
    c->owed = false;
}

/* tr_changed takes up the answer to a change of topics and frees it. An answer
 * that cannot be used whole ends the lease: the relay believes that it was. */
static inline int tr_changed(tr_client *c, tr_answer *a, int rc) {
    c->owed = a->late;
    if (rc == TR_OK && a->topics) {
        free(c->topics);
        c->topics = a->topics;
        a->topics = NULL;
    }
    if (rc == TR_OK && (rc = tr_add_rings(c, a)) != TR_OK) a->broken = true;
    if (a->broken) tr_hang_up(c);
    tr_answer_free(a);
    return rc;
}

/* tr_collect waits for the answer that is owed. A refusal changed nothing, and
 * its caller does not wait for it any more. */
static inline int tr_collect(tr_client *c) {
    tr_answer a;
    int rc = tr_changed(c, &a, tr_hear(c->lease, "subscribed", &a, &c->err));
    return strcmp(a.op, "error") ? rc : TR_OK;
}

/* tr_late takes up an answer that is owed once it is there. */
static inline void tr_late(tr_client *c) {
    char b;
    if (recv(c->lease, &b, 1, MSG_PEEK | MSG_DONTWAIT) >= 0) tr_collect(c);
}

/* tr_nothing is the end of a pass over all rings that found no record; bad is
 * the code of a ring that ended, or TR_OK. */
static inline int64_t tr_nothing(tr_client *c, int bad) {
    if (c->hung_up && bad == TR_OK) bad = tr_fail(&c->err, TR_E_GONE, "the connection to the relay has ended");
    if (bad != TR_OK) return tr_lost(c, bad);
    if (c->away) tr_again(c);
    return 0;
}

/* tr_ended notes a ring that ended while others may still have records; true
 * once that went on for long enough. */
static inline bool tr_ended(tr_client *c) { return ++c->gone_looks > 1000; }

/* tr_poll copies up to max records into dst, from the next ring that has some:
 * their number, 0 if there is nothing to read now, or a code below 0 whose text
 * is in tr_message. Each ring keeps its own order; between rings there is none. */
static inline int64_t tr_poll(tr_client *c, tr_record *dst, size_t max) {
    int bad = TR_OK;
    if (!TR_LIKELY(!c->owed)) tr_late(c);
    if (c->n_gaps) {
        size_t n = c->n_gaps - c->gaps_at < max ? c->n_gaps - c->gaps_at : max;
        memcpy(dst, c->gaps + c->gaps_at, n * sizeof *dst);
        if ((c->gaps_at += n) == c->n_gaps) c->n_gaps = c->gaps_at = 0;
        return (int64_t)n;
    }
    for (unsigned i = 0; i < c->n; i++) {
        unsigned k = c->from + i < c->n ? c->from + i : c->from + i - c->n;
        int64_t n = tr_ring_poll(&c->rings[k], dst, max, &c->err);
        if (TR_LIKELY(n > 0)) {
            tr_ring_note(&c->rings[k], dst, n);
            c->from = k + 1 < c->n ? k + 1 : 0;
            return n;
        }
        if (n < 0) {
            bad = (int)n;
            if (tr_ended(c)) break;
        }
    }
    return TR_LIKELY(bad == TR_OK && !c->away && !c->hung_up) ? 0 : tr_nothing(c, bad);
}

/* tr_lend gives up to max records in place, as far as they lie in one piece:
 * *recs points into read-only shared memory until the tr_release that must come
 * before the next call of anything else. Result as tr_poll. */
static inline int64_t tr_lend(tr_client *c, const tr_record **recs, size_t max) {
    int bad = TR_OK;
    *recs = NULL;
    if (!TR_LIKELY(!c->owed)) tr_late(c);
    if (c->n_gaps) {
        c->lent = c->n;
        *recs = c->gaps + c->gaps_at;
        return (int64_t)(c->n_gaps - c->gaps_at < max ? c->n_gaps - c->gaps_at : max);
    }
    for (unsigned i = 0; i < c->n; i++) {
        unsigned k = c->from + i < c->n ? c->from + i : c->from + i - c->n;
        int64_t n = tr_ring_lend(&c->rings[k], recs, max, &c->err);
        if (TR_LIKELY(n > 0)) {
            tr_ring_note(&c->rings[k], *recs, n);
            c->lent = k;
            return n;
        }
        if (n < 0) {
            bad = (int)n;
            if (tr_ended(c)) break;
        }
    }
    return TR_LIKELY(bad == TR_OK && !c->away && !c->hung_up) ? 0 : tr_nothing(c, bad);
}

/* tr_release frees the first n records of the last tr_lend. */
static inline void tr_release(tr_client *c, size_t n) {
    if (n == 0) return;
    if (TR_LIKELY(c->lent < c->n)) {
        tr_ring_release(&c->rings[c->lent], n);
        c->from = c->lent + 1 < c->n ? c->lent + 1 : 0;
    } else if ((c->gaps_at += n) >= c->n_gaps) {
        c->n_gaps = c->gaps_at = 0; /* the memory stays until the next loss */
    }
}

/* tr_change asks for more topics or fewer. */
static inline int tr_change(tr_client *c, const char *op, const char *topics) {
    tr_json_out o = {NULL, 0, TR_MAX_LINE, false};
    tr_answer a;
    int rc;
    if (!c->topics) return tr_fail(&c->err, TR_E_UNSUPPORTED, "a ring opened by path has the topics of its declaration; attach over the socket to choose");
    if (c->away || c->hung_up) return tr_fail(&c->err, TR_E_NO_RELAY, "the relay is away; try again once tr_connected says so");
    if (c->owed && (rc = tr_collect(c)) != TR_OK) return rc;
    o.buf = (char *)malloc(o.cap);
    if (!o.buf) return tr_fail(&c->err, TR_E_SYSTEM, "out of memory");
    tr_json_text(&o, "{\"op\":");
    tr_json_string(&o, op, strlen(op));
    tr_json_text(&o, ",\"topics\":");
    tr_json_topics(&o, topics);
    tr_json_text(&o, "}\n");
    if (o.full) {
        free(o.buf);
        return tr_fail(&c->err, TR_E_ARGUMENT, "the list of topics is longer than %d bytes", TR_MAX_LINE);
    }
    rc = tr_ask(c->lease, o.buf, o.len, "subscribed", &a, &c->err);
    free(o.buf);
    return tr_changed(c, &a, rc);
}

/* tr_subscribe adds blank-separated patterns to the attachment. The new topics
 * begin as at an attachment, with their number and state; the old ones go on.
 * Refused (TR_E_TOPIC …): all is as it was. It blocks for 10 s at most; if that was
 * not enough (TR_E_SYSTEM) the relay may still do it, and reading takes up what comes. */
static inline int tr_subscribe(tr_client *c, const char *topics) { return tr_change(c, "subscribe", topics); }

/* tr_unsubscribe takes patterns off again, spelled as they were given. */
static inline int tr_unsubscribe(tr_client *c, const char *topics) { return tr_change(c, "unsubscribe", topics); }

/* tr_message is the text of the last failure, also of attempts to attach again. */
static inline const char *tr_message(const tr_client *c) { return c->err.text; }

/* tr_connected: false while the relay is away. */
static inline bool tr_connected(const tr_client *c) { return !c->away; }

/* tr_sessions is how often the client attached; 1 after the first time. */
static inline uint64_t tr_sessions(const tr_client *c) { return c->sessions; }

/* tr_depth is how many records wait to be read, over all rings. */
static inline uint64_t tr_depth(const tr_client *c) {
    uint64_t n = c->n_gaps - c->gaps_at;
    for (unsigned i = 0; i < c->n; i++) n += tr_ring_depth(&c->rings[i]);
    return n;
}

/* tr_lookup is the number of a venue's symbol ("binance", "BTC-USDT") as in
 * tr_record.instrument, −1 if it is not listed (yet). It walks the table: keep
 * the result, and look again after a heartbeat with a new epoch. */
static inline int64_t tr_lookup(const tr_client *c, const char *venue, const char *symbol) {
    return tr_table_find(&c->table, venue, symbol);
}

/* tr_get copies what is known of an instrument; false if there is none. */
static inline bool tr_get(const tr_client *c, uint32_t instrument, tr_instrument *in) {
    return tr_table_get(&c->table, instrument, in);
}

/* tr_topic writes the topic of a record, "binance.trades.BTC-USDT". */
static inline size_t tr_topic(const tr_client *c, const tr_record *r, char buf[TR_TOPIC_MAX]) {
    return tr_table_topic(&c->table, r, buf);
}

#endif
