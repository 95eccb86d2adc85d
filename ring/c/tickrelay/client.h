/* The client: the rings of one attachment behind one poller, attached again by
 * itself when the relay comes back. */
#ifndef TICKRELAY_CLIENT_H
#define TICKRELAY_CLIENT_H

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include "control.h"
#include "ring.h"
#include "table.h"

#define TR_RETRY_FIRST_NS 10000000 /* between two attempts to attach again, doubled up to the next */
#define TR_RETRY_LAST_NS 500000000

typedef struct tr_mapping {
    void *mem;
    size_t size;
} tr_mapping;

typedef struct tr_client {
    tr_ring *rings;
    unsigned n, from; /* from: the ring to look at first */
    int lease;        /* the control connection, −1: path only, or away */
    int wake_fd;      /* what the relay wakes us by, −1: futex */
    int epoll_fd;     /* tr_fd: wake_fd, lease, timer_fd, own_fd; −1: none */
    int timer_fd;     /* the next attempt */
    int own_fd;       /* tr_interrupt */
    bool by_fd;       /* asked for TR_WAITS_FD */
    bool once;        /* do not attach again: TR_E_GONE instead */
    bool away;        /* the relay is gone */
    bool hung_up;      /* the relay closed the lease, or we had to */
    bool owed;         /* an answer that was not waited for any longer: it comes before the next */
    bool waitv_broken; /* the kernel has no futex_waitv */
    char relay[256]; /* name or path of the socket; or the directory of a ring opened by path */
    char name[64];   /* strategy; or the name of a ring opened by path */
    char *topics;    /* blank-separated; NULL: ring opened by path */
    uint32_t capacity;
    uint32_t interrupted; /* tr_interrupt, and a futex word */
    uint64_t sessions;    /* how often we attached */
    int64_t retry_at, retry_ns;
    int64_t probe_at; /* when to ask again whether the producers live */
    tr_table table;
    tr_record *gaps; /* told before anything else */
    size_t n_gaps, gaps_at;
    unsigned lent;    /* index of the ring whose records are lent; n: gaps */
    unsigned gone_looks; /* looks at a ring that ended, while others go on */
    int keep;      /* > 0: memory of records outlives its ring, see tr_keep */
    tr_mapping *kept;
    size_t n_kept;
    tr_error err; /* the last failure */
} tr_client;

/* How to attach; zero is a good value for all but the first three. */
typedef struct tr_options {
    const char *relay;    /* its name, or the path of its control socket */
    const char *strategy; /* your name, 1 to 63 bytes, for display */
    const char *topics;   /* patterns, blank-separated: "binance.book.BTC-USDT okx.>" */
    uint32_t capacity;    /* records per ring, at most 4,194,304; 0: 65,536 */
    bool eventfd;         /* be woken through tr_fd, for event loops */
    bool once;            /* when the relay ends say TR_E_GONE; do not attach again */
} tr_options;

static inline void tr_unmap_kept(tr_client *c) {
    while (c->n_kept > 0) {
        c->n_kept--;
        munmap(c->kept[c->n_kept].mem, c->kept[c->n_kept].size);
    }
    free(c->kept);
    c->kept = NULL;
}

/* tr_keep(+1) makes lent records readable until tr_keep(−1), even if their ring
 * goes: for languages that cannot know when a view of them ends. */
static inline void tr_keep(tr_client *c, int by) {
    c->keep += by;
    if (c->keep == 0) tr_unmap_kept(c);
}

/* tr_drop closes everything of the present attachment but the table, by which
 * records are understood that were read before. */
static inline void tr_drop(tr_client *c) {
    for (unsigned i = 0; i < c->n; i++) {
        tr_mapping *more = NULL;
        if (c->keep > 0) more = (tr_mapping *)realloc(c->kept, (c->n_kept + 1) * sizeof *more);
        if (more) {
            c->kept = more;
            c->kept[c->n_kept].mem = c->rings[i].data;
            c->kept[c->n_kept++].size = c->rings[i].data_size;
        }
        tr_ring_close(&c->rings[i], c->keep > 0); /* without memory to note it: kept for ever */
    }
    free(c->rings);
    c->rings = NULL;
    c->n = c->from = c->lent = 0;
    c->hung_up = c->owed = false;
    tr_close_fd(&c->lease);
    tr_close_fd(&c->wake_fd); /* epoll forgets closed descriptors */
}

static inline void tr_watch(tr_client *c, int fd, uint32_t events) {
    struct epoll_event ev;
    memset(&ev, 0, sizeof ev);
    ev.events = events;
    ev.data.fd = fd;
    if (c->epoll_fd >= 0 && fd >= 0) epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

/* tr_add_rings opens the rings of an answer. */
static inline int tr_add_rings(tr_client *c, tr_answer *a) {
    tr_ring *more = (tr_ring *)realloc(c->rings, (c->n + a->n_rings + 1) * sizeof *more);
    if (!more) return tr_fail(&c->err, TR_E_SYSTEM, "out of memory");
    c->rings = more;
    for (unsigned i = 0; i < a->n_rings; i++) {
        int data = tr_answer_take(a), ctl = tr_answer_take(a);
        int rc = tr_ring_adopt(&c->rings[c->n], a->dir, a->ring[i], data, ctl, c->wake_fd >= 0, &c->err);
        if (rc) return rc;
        c->n++;
    }
    return TR_OK;
}

static inline int tr_take_table(tr_client *c, int fd) {
    tr_table t;
    int rc = tr_table_map(&t, fd, &c->err);
    close(fd);
    if (rc) return rc;
    tr_table_unmap(&c->table);
    c->table = t;
    return TR_OK;
}

/* tr_join attaches over the socket. */
static inline int tr_join(tr_client *c) {
    char path[256], number[32];
    tr_json_out o = {NULL, 0, TR_MAX_LINE, false};
    tr_answer a;
    int rc;
    tr_find_socket(c->relay, path, sizeof path);
    c->lease = tr_connect(path, &c->err);
    if (c->lease < 0) {
        rc = c->lease;
        c->lease = -1;
        return rc;
    }
    o.buf = (char *)malloc(o.cap);
    if (!o.buf) return tr_fail(&c->err, TR_E_SYSTEM, "out of memory");
    tr_json_text(&o, "{\"op\":\"attach\",\"strategy\":");
    tr_json_string(&o, c->name, strlen(c->name));
    tr_json_text(&o, ",\"topics\":");
    tr_json_topics(&o, c->topics);
    snprintf(number, sizeof number, ",\"capacity\":%u", c->capacity);
    tr_json_text(&o, number);
    snprintf(number, sizeof number, ",\"version\":%d", TR_RING_VERSION);
    tr_json_text(&o, number);
    tr_json_text(&o, c->by_fd ? ",\"wake\":\"eventfd\"}\n" : "}\n");
    if (o.full) {
        free(o.buf);
        return tr_fail(&c->err, TR_E_ARGUMENT, "the list of topics is longer than %d bytes", TR_MAX_LINE);
    }
    rc = tr_ask(c->lease, o.buf, o.len, "attached", &a, &c->err);
    free(o.buf);
    if (rc == TR_OK && a.table) rc = tr_take_table(c, tr_answer_take(&a));
    if (rc == TR_OK && a.by_fd) {
        c->wake_fd = tr_answer_take(&a);
        fcntl(c->wake_fd, F_SETFL, fcntl(c->wake_fd, F_GETFL) | O_NONBLOCK);
    }
    if (rc == TR_OK) rc = tr_add_rings(c, &a);
    tr_answer_free(&a);
    if (rc == TR_OK) {
        tr_watch(c, c->lease, EPOLLIN | EPOLLRDHUP);
        tr_watch(c, c->wake_fd, EPOLLIN);
    }
    return rc;
}

/* tr_reopen opens a declared ring by its path, and the table beside it. */
static inline int tr_reopen(tr_client *c) {
    char path[400];
    int fd, rc;
    c->rings = (tr_ring *)calloc(1, sizeof *c->rings);
    if (!c->rings) return tr_fail(&c->err, TR_E_SYSTEM, "out of memory");
    rc = tr_ring_open(&c->rings[0], c->relay, c->name, &c->err);
    if (rc) return rc;
    c->n = 1;
    snprintf(path, sizeof path, "%s/instruments", c->relay);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    return fd < 0 ? TR_OK : tr_take_table(c, fd); /* a ring without a table is a ring all the same */
}

static inline int tr_connect_client(tr_client *c) {
    int rc = c->topics ? tr_join(c) : tr_reopen(c);
    if (rc) {
        tr_drop(c);
        return rc;
    }
    c->away = false;
    c->gone_looks = 0;
    c->retry_ns = 0;
    c->lent = c->n;
    c->sessions++;
    return TR_OK;
}

static inline void tr_detach(tr_client *c);

static inline tr_client *tr_new_client(tr_error *err) {
    tr_client *c = (tr_client *)calloc(1, sizeof *c);
    if (err) memset(err, 0, sizeof *err);
    if (!c) {
        tr_fail(err, TR_E_SYSTEM, "out of memory");
        return NULL;
    }
    c->lease = c->wake_fd = c->epoll_fd = c->timer_fd = c->own_fd = -1;
    return c;
}

/* tr_first is the end of both ways to make a client. */
static inline tr_client *tr_first(tr_client *c, int rc, tr_error *err) {
    if (rc == TR_OK) rc = tr_connect_client(c);
    if (rc == TR_OK) return c;
    if (err) *err = c->err;
    tr_detach(c);
    return NULL;
}

/* tr_make_fds makes what an event loop waits on. */
static inline int tr_make_fds(tr_client *c) {
    if (c->epoll_fd >= 0) return TR_OK;
    c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    c->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    c->own_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->epoll_fd < 0 || c->timer_fd < 0 || c->own_fd < 0) {
        tr_fail_errno(&c->err, "make", "descriptors for an event loop");
        tr_close_fd(&c->epoll_fd);
        tr_close_fd(&c->timer_fd);
        tr_close_fd(&c->own_fd);
        return c->err.code;
    }
    tr_watch(c, c->timer_fd, EPOLLIN);
    tr_watch(c, c->own_fd, EPOLLIN);
    tr_watch(c, c->lease, EPOLLIN | EPOLLRDHUP);
    return TR_OK;
}

/* tr_attach_with asks the relay for rings with some topics: one per feed that
 * serves any of them, all behind the client. NULL and *err if it refuses or does
 * not run. It may block for 10 s. */
static inline tr_client *tr_attach_with(const tr_options *opt, tr_error *err) {
    tr_client *c = tr_new_client(err);
    int rc = TR_OK;
    if (!c) return NULL;
    c->capacity = opt->capacity;
    c->by_fd = opt->eventfd;
    c->once = opt->once;
    if (!opt->relay || !*opt->relay || strlen(opt->relay) >= sizeof c->relay || !opt->strategy || !*opt->strategy ||
        strlen(opt->strategy) >= sizeof c->name || !opt->topics || !opt->topics[strspn(opt->topics, " \t\n,")])
        rc = tr_fail(&c->err, TR_E_ARGUMENT, "attach: want a relay (name, or path of its socket), "
                     "a strategy (1 to 63 bytes) and at least one topic");
    else {
        strcpy(c->relay, opt->relay);
        strcpy(c->name, opt->strategy);
        c->topics = strdup(opt->topics);
    }
    if (rc == TR_OK && c->by_fd) rc = tr_make_fds(c);
    return tr_first(c, rc, err);
}

/* tr_attach is tr_attach_with for most programs. */
static inline tr_client *tr_attach(const char *relay, const char *strategy, const char *topics, tr_error *err) {
    tr_options opt;
    memset(&opt, 0, sizeof opt);
    opt.relay = relay;
    opt.strategy = strategy;
    opt.topics = topics;
    return tr_attach_with(&opt, err);
}

/* tr_open opens a ring that the relay's configuration declares, by path alone:
 * dir/name.data and dir/name.ctl. */
static inline tr_client *tr_open(const char *dir, const char *name, tr_error *err) {
    tr_client *c = tr_new_client(err);
    int rc = TR_OK;
    if (!c) return NULL;
    if (strlen(dir) >= sizeof c->relay || strlen(name) >= sizeof c->name)
        rc = tr_fail(&c->err, TR_E_ARGUMENT, "open: directory of at most 255 bytes, name of at most 63");
    else {
        strcpy(c->relay, dir);
        strcpy(c->name, name);
    }
    return tr_first(c, rc, err);
}

/* tr_detach gives the rings back and frees the client. NULL is fine. */
static inline void tr_detach(tr_client *c) {
    if (!c) return;
    c->keep = 0;
    tr_drop(c);
    tr_unmap_kept(c);
    tr_table_unmap(&c->table);
    tr_close_fd(&c->epoll_fd);
    tr_close_fd(&c->timer_fd);
    tr_close_fd(&c->own_fd);
    free(c->gaps);
    free(c->topics);
    free(c);
}

#endif
