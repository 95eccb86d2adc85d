/* Figures of the C client between two pinned processes; tickrelay bench ring
 * builds and runs this. Prints "key value" lines.
 *
 *     bench roundtrip DIR MS      ours_p50 … plain_p50 … in ns
 *     bench rate DIR MS BATCH     records per second, through tr_lend
 *     bench produce DIR MS BATCH  makes ring "bench" in DIR and fills it, for readers in other languages */
#include "../test/producer.h"

#include <sys/wait.h>

enum { CAPACITY = 4096, ROUNDS = 6, STOP = 255 };

static void pin(int core) {
    cpu_set_t set;
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2) return;
    CPU_ZERO(&set);
    CPU_SET((size_t)core, &set);
    sched_setaffinity(0, sizeof set, &set);
}

/* The same layout read by nothing but what a ring needs: what the client is held against. */
typedef struct plain {
    const struct tr_data_header *hdr;
    struct tr_ctl_header *ctl;
    const tr_record *slots;
    uint64_t mask, head, tail;
} plain;

static inline int64_t plain_get(plain *p, tr_record *out) {
    if (p->tail == p->head) {
        p->head = __atomic_load_n(&p->hdr->head, __ATOMIC_ACQUIRE);
        if (p->tail == p->head) return 0;
    }
    memcpy(out, &p->slots[p->tail & p->mask], sizeof *out);
    __atomic_store_n(&p->ctl->tail, ++p->tail, __ATOMIC_RELEASE);
    return 1;
}

typedef struct end { /* one process's view of both rings */
    producer *out;
    tr_client *client; /* NULL: plain */
    plain in;
} end;

static bool open_end(end *e, producer *out, producer *in, bool ours, const char *dir, const char *name) {
    tr_error err;
    memset(e, 0, sizeof *e);
    e->out = out;
    if (ours) {
        e->client = tr_open(dir, name, &err);
        if (!e->client) fprintf(stderr, "bench: %s\n", err.text);
        return e->client != NULL;
    }
    e->in.hdr = in->hdr;
    e->in.ctl = in->ctl;
    e->in.slots = in->slots;
    e->in.mask = in->cap - 1;
    __atomic_add_fetch(&in->ctl->attach_gen, 1, __ATOMIC_SEQ_CST);
    return true;
}

static inline void take(end *e, tr_record *r) {
    if (e->client)
        while (tr_poll(e->client, r, 1) != 1) {
        }
    else
        while (plain_get(&e->in, r) != 1) {
        }
}

static void put(producer *p, const tr_record *r) {
    while (!producer_put(p, r, 1)) sched_yield();
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void unlink_ring(const char *dir, const char *name) {
    char path[400];
    snprintf(path, sizeof path, "%s/%s.data", dir, name);
    unlink(path);
    snprintf(path, sizeof path, "%s/%s.ctl", dir, name);
    unlink(path);
}

/* trips measures round trips for ms and appends them to ns. */
static size_t trips(const char *dir, bool ours, int64_t ms, uint32_t *ns, size_t room) {
    producer there, back;
    tr_record r;
    size_t n = 0;
    end e;
    pid_t child;
    memset(&r, 0, sizeof r);
    if (!producer_create(&there, dir, "there", CAPACITY) || !producer_create(&back, dir, "back", CAPACITY)) return 0;
    child = fork();
    if (child == 0) {
        pin(1);
        if (!open_end(&e, &back, &there, ours, dir, "there")) _exit(1);
        for (r.kind = 0; r.kind != STOP;) {
            take(&e, &r);
            put(e.out, &r);
        }
        _exit(0);
    }
    pin(0);
    if (!open_end(&e, &there, &back, ours, dir, "back")) return 0;
    for (int64_t until = tr_monotonic() + ms * 1000000, last = tr_monotonic(), now = last; now < until && n < room; last = now) {
        put(e.out, &r);
        take(&e, &r);
        now = tr_monotonic();
        ns[n++] = (uint32_t)(now - last);
    }
    r.kind = STOP;
    put(e.out, &r);
    waitpid(child, NULL, 0);
    tr_detach(e.client);
    unlink_ring(dir, "there");
    unlink_ring(dir, "back");
    return n;
}

static int roundtrip(const char *dir, int64_t ms) {
    enum { ROOM = 1 << 23 };
    uint32_t *ns[2];
    size_t n[2] = {0, 0};
    for (int k = 0; k < 2; k++)
        if (!(ns[k] = (uint32_t *)malloc(ROOM * sizeof **ns))) return 1;
    for (int round = 0; round < 2 * ROUNDS; round++) /* in turn, so that noise hits both */
        n[round % 2] += trips(dir, round % 2, ms / ROUNDS, ns[round % 2] + n[round % 2], ROOM - n[round % 2]);
    for (int k = 0; k < 2; k++) {
        const char *who = k ? "ours" : "plain";
        if (n[k] == 0) return 1;
        qsort(ns[k], n[k], sizeof **ns, by_value);
        printf("%s_p50 %u\n%s_p99 %u\n%s_p999 %u\n", who, ns[k][n[k] / 2], who, ns[k][n[k] - 1 - n[k] / 100], who, ns[k][n[k] - 1 - n[k] / 1000]);
    }
    return 0;
}

/* feed fills the ring for ms once somebody reads, then says STOP; how many. */
static uint64_t feed(producer *p, int64_t ms, uint64_t batch) {
    tr_record recs[1024];
    uint64_t sent = 0;
    memset(recs, 0, sizeof recs);
    while (!producer_put(p, recs, batch)) usleep(100);
    for (int64_t until = tr_monotonic() + ms * 1000000; tr_monotonic() < until;)
        for (int i = 0; i < 1024; i++, sent += batch) {
            recs[0].seq = sent;
            for (int spins = 0; !producer_put(p, recs, batch);) {
                if (++spins % 1000 == 0) sched_yield();
                tr_pause();
            }
        }
    recs[0].kind = STOP;
    while (!producer_put(p, recs, 1)) sched_yield();
    return sent;
}

static int rate(const char *dir, int64_t ms, uint64_t batch) {
    producer p;
    tr_client *c;
    tr_error err;
    uint64_t n = 0, idle = 0;
    int64_t start = 0;
    pid_t child;
    if (!producer_create(&p, dir, "bench", CAPACITY)) return 1;
    child = fork();
    if (child == 0) {
        pin(1);
        feed(&p, ms, batch);
        _exit(0);
    }
    pin(0);
    if (!(c = tr_open(dir, "bench", &err))) return 1;
    __atomic_store_n(&c->rings[0].ctl->wake_mode, TR_WAITS_SPIN, __ATOMIC_RELAXED); /* as in the queue, nobody is to be woken */
    for (bool on = true; on;) {
        const tr_record *recs;
        tr_record copy;
        int64_t k = tr_lend(c, &recs, batch == 1 ? 1 : 1024); /* as the queue's reader */
        if (k < 0) return 1;
        if (k == 0) {
            if (++idle % 1000 == 0) sched_yield();
            continue;
        }
        if (start == 0) start = tr_monotonic();
        for (int64_t i = 0; i < k; i++) { /* every record is read, as in the queue */
            memcpy(&copy, &recs[i], sizeof copy);
            __asm__ __volatile__("" : : "r"(&copy) : "memory");
        }
        on = recs[k - 1].kind != STOP;
        n += (uint64_t)k;
        tr_release(c, (size_t)k);
    }
    printf("rate %.0f\n", (double)n * 1e9 / (double)(tr_monotonic() - start));
    waitpid(child, NULL, 0);
    tr_detach(c);
    unlink_ring(dir, "bench");
    return 0;
}

int main(int argc, char **argv) {
    int64_t ms = argc > 3 ? atoll(argv[3]) : 500;
    uint64_t batch = argc > 4 ? (uint64_t)atoll(argv[4]) : 1;
    if (argc < 3 || batch < 1 || batch > 1024) return 2;
    if (!strcmp(argv[1], "roundtrip")) return roundtrip(argv[2], ms);
    if (!strcmp(argv[1], "rate")) return rate(argv[2], ms, batch);
    if (!strcmp(argv[1], "produce")) {
        producer p;
        if (!producer_create(&p, argv[2], "bench", 16 * CAPACITY)) return 1;
        printf("ready\n");
        fflush(stdout);
        pin(1);
        feed(&p, ms, batch);
        while (__atomic_load_n(&p.ctl->tail, __ATOMIC_ACQUIRE) != p.head) usleep(1000);
        return 0;
    }
    return 2;
}
