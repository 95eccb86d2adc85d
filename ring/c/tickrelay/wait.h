/* Waiting for something to read: spinning, yielding, asleep on a futex, or in an
 * event loop of your own. */
#ifndef TICKRELAY_WAIT_H
#define TICKRELAY_WAIT_H

#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>

#include "read.h"

enum tr_mode {
    TR_SPIN,  /* look again at once: fastest, occupies a core */
    TR_YIELD, /* let others run between two looks */
    TR_BLOCK  /* look some 60 times, then sleep: the relay wakes us */
};

#define TR_BLOCK_LOOKS 64
#define TR_CLOCK_LOOKS 256
#define TR_PROBE_NS 100000000 /* how long a dead relay may go unnoticed */
#define TR_NAP_NS 1000000     /* where the kernel cannot wake us */
#define TR_MAX_WAITV 128

struct tr_waitv { /* struct futex_waitv of futex_waitv(2), Linux 5.16 */
    uint64_t val, addr;
    uint32_t flags, kept;
};

static inline struct timespec tr_timespec(int64_t ns) {
    struct timespec ts;
    ts.tv_sec = (time_t)(ns / 1000000000);
    ts.tv_nsec = (long)(ns % 1000000000);
    return ts;
}

/* tr_prepare_sleep sets the sleeper word and looks again; false if there is a
 * reason not to sleep. The producer stores head, then loads the word; all four
 * accesses are sequentially consistent, so one side sees the other. */
static inline bool tr_prepare_sleep(tr_ring *r) {
    __atomic_store_n(&r->ctl->sleeper, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&r->hdr->head, __ATOMIC_SEQ_CST) != r->head ||
        __atomic_load_n(&r->hdr->state, __ATOMIC_SEQ_CST) != TR_RING_OPEN ||
        (!r->begun && __atomic_load_n(&r->hdr->start_gen, __ATOMIC_SEQ_CST) == r->gen))
        return false;
    __atomic_store_n(&r->ctl->sleeps, r->ctl->sleeps + 1, __ATOMIC_RELAXED);
    return true;
}

static inline void tr_awake(tr_client *c) {
    for (unsigned i = 0; i < c->n; i++) __atomic_store_n(&c->rings[i].ctl->sleeper, 0, __ATOMIC_SEQ_CST);
}

/* tr_ready is 1 if there is something to read, 0 if not, or a code below 0. */
static inline int tr_ready(tr_client *c) {
    int bad = TR_OK;
    if (!TR_LIKELY(!c->owed)) tr_late(c);
    if (c->n_gaps) return 1;
    for (unsigned i = 0; i < c->n; i++) {
        tr_ring *r = &c->rings[i];
        int rc = r->tail == r->head ? tr_ring_look(r, &c->err) : TR_OK;
        if (r->tail != r->head) return 1;
        if (rc) bad = rc;
    }
    if (TR_LIKELY(bad == TR_OK && !c->away && !c->hung_up)) return 0;
    bad = (int)tr_nothing(c, bad);
    return bad ? bad : c->n_gaps > 0;
}

/* tr_probe_all has the next look ask whether the producers live, if it is time to. */
static inline bool tr_probe_all(tr_client *c, int64_t now) {
    if (now < c->probe_at) return false;
    c->probe_at = now + TR_PROBE_NS;
    for (unsigned i = 0; i < c->n; i++) c->rings[i].empty = TR_PROBE_LOOKS - 1;
    return true;
}

static inline void tr_drain(int fd) {
    uint64_t v;
    while (fd >= 0 && read(fd, &v, sizeof v) > 0) {
    }
}

/* tr_arm prepares to sleep on tr_fd: 1 if there is something to read already, so
 * do not sleep; 0: sleep, then tr_disarm; or a code below 0. */
static inline int tr_arm(tr_client *c) {
    int rc = tr_make_fds(c);
    if (rc == TR_OK) rc = tr_ready(c);
    if (rc) return rc;
    for (unsigned i = 0; i < c->n; i++) {
        if (!tr_prepare_sleep(&c->rings[i])) {
            tr_awake(c);
            return 1;
        }
    }
    if (c->away)
        tr_retry_timer(c, c->retry_at - tr_monotonic());
    else
        tr_retry_timer(c, c->wake_fd >= 0 ? 10 * (int64_t)TR_PROBE_NS : TR_NAP_NS);
    return 0;
}

/* tr_disarm ends what tr_arm began and makes tr_fd unreadable. */
static inline void tr_disarm(tr_client *c) {
    char b;
    tr_drain(c->wake_fd);
    tr_drain(c->own_fd);
    tr_drain(c->timer_fd);
    tr_awake(c);
    tr_probe_all(c, tr_monotonic());
    if (c->lease >= 0 && recv(c->lease, &b, 1, MSG_PEEK | MSG_DONTWAIT) == 0) c->hung_up = true;
}

/* tr_fd is a descriptor for epoll, poll, libuv, asyncio: readable when an armed
 * client has something to read or to do. The loop: tr_arm; if it returned 0,
 * wait until readable; tr_disarm; tr_poll until 0; again. It stays the client's.
 * Attach with tr_options.eventfd; otherwise, with a relay that does not grant
 * it, and for rings opened by path, it is a timer of 1 ms. */
static inline int tr_fd(tr_client *c) {
    int rc = tr_make_fds(c);
    return rc ? rc : c->epoll_fd;
}

/* tr_interrupt makes a tr_wait of the reading thread return 0 at once, or the
 * next one. Any thread, or a signal handler, until tr_detach. */
static inline void tr_interrupt(tr_client *c) {
    uint64_t one = 1;
    __atomic_store_n(&c->interrupted, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &c->interrupted, 1 /* FUTEX_WAKE */, 1, NULL, NULL, 0);
    if (c->own_fd >= 0 && write(c->own_fd, &one, sizeof one) < 0) return; /* full: readable anyhow */
}

static inline void tr_futex_wait(const uint32_t *word, uint32_t val, int64_t ns) {
    struct timespec ts = tr_timespec(ns);
    syscall(SYS_futex, word, 0 /* FUTEX_WAIT */, val, &ts, NULL, 0);
}

/* tr_sleep_futex sleeps on the words of all rings and on that of tr_interrupt at
 * once; on kernels before 5.16, and beyond 127 rings, on one of them, briefly. */
static inline void tr_sleep_futex(tr_client *c, int64_t ns) {
    struct tr_waitv w[TR_MAX_WAITV];
    memset(w, 0, (c->n < TR_MAX_WAITV ? c->n + 1 : 1) * sizeof *w);
    for (unsigned i = 0; i < c->n; i++) {
        if (!tr_prepare_sleep(&c->rings[i])) return;
        if (i + 1 >= TR_MAX_WAITV) continue;
        w[i + 1].val = 1;
        w[i + 1].addr = (uint64_t)(uintptr_t)&c->rings[i].ctl->sleeper;
        w[i + 1].flags = 2; /* FUTEX_32 */
    }
    w[0].addr = (uint64_t)(uintptr_t)&c->interrupted;
    w[0].flags = 2;
    if (!c->waitv_broken && c->n < TR_MAX_WAITV) {
        struct timespec ts = tr_timespec(tr_monotonic() + ns);
        if (syscall(449 /* futex_waitv */, w, c->n + 1, 0, &ts, CLOCK_MONOTONIC) >= 0) return;
        if (errno != ENOSYS && errno != EINVAL && errno != EPERM) return;
        c->waitv_broken = true;
    }
    if (c->n == 1)
        tr_futex_wait(&c->rings[0].ctl->sleeper, 1, ns);
    else
        tr_futex_wait(&c->interrupted, 0, ns < TR_NAP_NS ? ns : TR_NAP_NS);
}

/* tr_sleep sleeps until something happened, at most ns. */
static inline void tr_sleep(tr_client *c, int64_t ns) {
    if (c->wake_fd >= 0) {
        struct pollfd p = {c->epoll_fd, POLLIN, 0};
        struct timespec ts = tr_timespec(ns);
        if (tr_arm(c) == 0) ppoll(&p, 1, &ts, NULL);
        tr_disarm(c);
        return;
    }
    if (c->away) {
        int64_t left = c->retry_at - tr_monotonic();
        if (left > 0) tr_futex_wait(&c->interrupted, 0, left < ns ? left : ns);
        return;
    }
    tr_sleep_futex(c, ns);
    tr_awake(c);
}

/* tr_wait waits until there is something to read, at most timeout ns (−1: for
 * ever, 0: it only looks). 1: there is; 0: timeout, or tr_interrupt; below 0: a
 * code. A relay that died is noticed within 100 ms. */
static inline int tr_wait(tr_client *c, enum tr_mode mode, int64_t timeout) {
    int64_t now, end = 0;
    for (unsigned looks = 1;; looks++) {
        int rc = tr_ready(c);
        if (rc) return rc;
        if (__atomic_load_n(&c->interrupted, __ATOMIC_RELAXED) && __atomic_exchange_n(&c->interrupted, 0, __ATOMIC_SEQ_CST)) return 0;
        if (timeout == 0) return 0;
        if (mode == TR_YIELD) sched_yield();
        if (mode == TR_SPIN || (mode == TR_BLOCK && looks < TR_BLOCK_LOOKS && !c->away)) tr_pause();
        if (mode == TR_BLOCK ? looks < TR_BLOCK_LOOKS && !c->away : looks % TR_CLOCK_LOOKS != 0) continue;
        now = tr_monotonic();
        if (end == 0) end = timeout > 0 && timeout < INT64_MAX - now ? now + timeout : INT64_MAX;
        if (tr_probe_all(c, now)) continue;
        if (now >= end) return 0;
        if (mode == TR_BLOCK) tr_sleep(c, c->probe_at < end ? c->probe_at - now : end - now);
    }
}

#endif
