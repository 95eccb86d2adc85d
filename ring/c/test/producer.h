/* A plain producer for tests and benchmarks: it makes a ring's two files, or a
 * ring in memory, and writes records into it. No topics, no numbers; a relay
 * does far more. One thread. */
#ifndef TICKRELAY_TEST_PRODUCER_H
#define TICKRELAY_TEST_PRODUCER_H

#include "tickrelay.h"

typedef struct producer {
    struct tr_data_header *hdr;
    struct tr_ctl_header *ctl;
    tr_record *slots;
    size_t size;
    uint64_t cap, head, tail, gen;
    int data_fd, ctl_fd;
} producer;

static inline size_t producer_size(uint64_t cap, uint32_t topics) { return (size_t)(tr_records_offset(topics) + cap * sizeof(tr_record)); }

/* producer_init fills zeroed memory, both parts page-aligned. */
static inline void producer_init(producer *p, void *data, void *ctl, uint64_t cap, uint32_t topics, const char *name) {
    struct tr_data_header *h = (struct tr_data_header *)data;
    p->hdr = h;
    p->ctl = (struct tr_ctl_header *)ctl;
    p->cap = cap;
    p->size = producer_size(cap, topics);
    p->head = p->tail = p->gen = 0;
    h->version = TR_RING_VERSION;
    h->format = TR_FORMAT_RECORDS;
    h->record_size = sizeof(tr_record);
    h->max_topics = topics;
    h->capacity = cap;
    h->topics_off = sizeof *h;
    h->records_off = tr_records_offset(topics);
    h->data_size = p->size;
    h->segment_id = p->ctl->segment_id = (uint64_t)tr_now() | 1;
    h->created_ns = tr_now();
    h->producer_pid = (uint32_t)getpid();
    h->numa_node = -1;
    h->wake_modes = TR_CAN_FUTEX;
    snprintf(h->name, sizeof h->name, "%s", name);
    p->slots = (tr_record *)(void *)((char *)data + h->records_off);
    p->ctl->magic = TR_CTL_MAGIC;
    p->ctl->version = TR_RING_VERSION;
    h->state = TR_RING_OPEN;
    __atomic_store_n(&h->magic, TR_RING_MAGIC, __ATOMIC_RELEASE);
}

static inline void *producer_file(const char *dir, const char *name, const char *suffix, size_t size, int *fd) {
    char path[400];
    void *mem;
    snprintf(path, sizeof path, "%s/%s%s", dir, name, suffix);
    *fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (*fd < 0 || ftruncate(*fd, (off_t)size)) return NULL;
    mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    return mem == MAP_FAILED ? NULL : mem;
}

/* producer_create makes dir/name.data and .ctl and takes the producer's lock. */
static inline bool producer_create(producer *p, const char *dir, const char *name, uint64_t cap) {
    void *data = producer_file(dir, name, ".data", producer_size(cap, 16), &p->data_fd);
    void *ctl = producer_file(dir, name, ".ctl", TR_CTL_SIZE, &p->ctl_fd);
    if (!data || !ctl || tr_lock(p->data_fd, F_OFD_SETLK, F_WRLCK)) return false;
    producer_init(p, data, ctl, cap, 16, name);
    return true;
}

/* producer_put copies records that fit and hands them over with one store;
 * false: no room, or nobody reads. */
static inline bool producer_put(producer *p, const tr_record *recs, uint64_t n) {
    uint64_t gen = __atomic_load_n(&p->ctl->attach_gen, __ATOMIC_RELAXED), at, first;
    if (gen != p->gen) {
        p->gen = gen;
        __atomic_store_n(&p->hdr->start_pos, p->head, __ATOMIC_RELEASE);
        __atomic_store_n(&p->hdr->start_gen, gen, __ATOMIC_RELEASE);
    }
    if (gen == 0) return false;
    if (p->cap - (p->head - p->tail) < n) {
        p->tail = __atomic_load_n(&p->ctl->tail, __ATOMIC_ACQUIRE);
        if (p->cap - (p->head - p->tail) < n) return false;
    }
    at = p->head & (p->cap - 1);
    first = p->cap - at < n ? p->cap - at : n;
    memcpy(p->slots + at, recs, first * sizeof *recs);
    if (first < n) memcpy(p->slots, recs + first, (n - first) * sizeof *recs);
    p->head += n;
    if (__atomic_load_n(&p->ctl->wake_mode, __ATOMIC_RELAXED) == TR_WAITS_SPIN) { /* never sleeps: no barrier needed */
        __atomic_store_n(&p->hdr->head, p->head, __ATOMIC_RELEASE);
        return true;
    }
    __atomic_store_n(&p->hdr->head, p->head, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&p->ctl->sleeper, __ATOMIC_SEQ_CST) && __atomic_exchange_n(&p->ctl->sleeper, 0, __ATOMIC_SEQ_CST))
        syscall(SYS_futex, &p->ctl->sleeper, 1 /* FUTEX_WAKE */, 1, NULL, NULL, 0);
    return true;
}

#endif
