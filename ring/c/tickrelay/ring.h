/* One ring: open, read, look whether its producer lives. The client in
 * client.h is made of these; most programs use that. */
#ifndef TICKRELAY_RING_H
#define TICKRELAY_RING_H

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "layout.h"

#ifndef F_OFD_GETLK
#define F_OFD_GETLK 36
#define F_OFD_SETLK 37
#endif

#define TR_PROBE_LOOKS 65536 /* empty looks in a row before the kernel is asked for the producer */
#define TR_BEAT_READS 4096   /* reads between two looks at the clock */

/* A topic that the relay told of, by instrument << 8 | channel. */
typedef struct tr_told {
    uint64_t topic, seq;
} tr_told;

typedef struct tr_ring {
    const struct tr_data_header *hdr;
    struct tr_ctl_header *ctl;
    const tr_record *slots;
    uint64_t cap;
    uint64_t tail; /* position of the next record to read */
    uint64_t head; /* what head said last: records before it can be read */
    uint64_t gen;  /* our attach_gen */
    bool begun;    /* the producer answered it: tail is at our first record */
    uint32_t reads;
    uint32_t empty;
    int data_fd; /* the producer's lock is probed on it */
    int ctl_fd;  /* carries our lock: never passed on */
    tr_told *told; /* topics for which the ring's header has no entry, sorted */
    size_t n_told, told_room;
    bool by_fd;  /* the producer wakes us by the lease's descriptor, else by the futex */
    void *data;
    size_t data_size;
    ino_t ino;
    dev_t dev;
    char dir[256]; /* "" if unknown */
    char name[64];
} tr_ring;

static inline void tr_ring_init(tr_ring *r) {
    memset(r, 0, sizeof *r);
    r->data_fd = r->ctl_fd = -1;
}

/* tr_lock asks for, takes or gives back the write lock on fd's description:
 * fcntl(2), "Open file description locks". cmd F_OFD_GETLK: 1 if another holds
 * it. F_OFD_SETLK: 0 if it is ours now. */
static inline int tr_lock(int fd, int cmd, int type) {
    struct flock lk;
    memset(&lk, 0, sizeof lk);
    lk.l_type = (short)type;
    lk.l_whence = SEEK_SET;
    if (cmd == F_OFD_SETLK) return fcntl(fd, cmd, &lk);
    if (fcntl(fd, cmd, &lk)) return 1; /* no answer: nobody is declared dead by mistake */
    return lk.l_type != F_UNLCK;
}

/* tr_ring_topics is how many topics have an entry in the ring's header. */
static inline uint32_t tr_ring_topics(const tr_ring *r) {
    uint32_t n = __atomic_load_n(&r->hdr->topic_count, __ATOMIC_ACQUIRE);
    uint64_t room = (r->data_size - sizeof *r->hdr) / sizeof(struct tr_topic_entry);
    return n < room ? n : (uint32_t)room;
}

static inline void tr_ring_beat(tr_ring *r) { __atomic_store_n(&r->ctl->beat_ns, tr_now(), __ATOMIC_RELAXED); }

/* tr_ring_alive: may somebody still write to the ring? Asks the kernel. */
static inline bool tr_ring_alive(const tr_ring *r) {
    return __atomic_load_n(&r->hdr->state, __ATOMIC_ACQUIRE) == TR_RING_OPEN &&
           tr_lock(r->data_fd, F_OFD_GETLK, F_RDLCK);
}

/* tr_ring_close ends reading. keep: the records stay mapped, for the caller to
 * munmap r->data later. */
static inline void tr_ring_close(tr_ring *r, bool keep) {
    if (r->ctl) {
        if (r->gen) __atomic_store_n(&r->ctl->sleeper, 0, __ATOMIC_SEQ_CST);
        munmap(r->ctl, TR_CTL_SIZE);
    }
    if (r->data && !keep) {
        munmap(r->data, r->data_size);
        r->data = NULL;
    }
    r->ctl = NULL;
    free(r->told);
    r->told = NULL;
    r->n_told = r->told_room = 0;
    tr_close_fd(&r->ctl_fd); /* gives the lock back */
    tr_close_fd(&r->data_fd);
}

/* tr_ring_map maps the two open files and judges what is in them. */
static inline int tr_ring_map(tr_ring *r, tr_error *err) {
    struct stat st, sc;
    struct tr_data_header h;
    void *ctl;
    int rc;
    if (fstat(r->data_fd, &st) || fstat(r->ctl_fd, &sc)) return tr_fail_errno(err, "stat ring", r->name);
    if (!S_ISREG(st.st_mode) || (size_t)st.st_size < sizeof h || !S_ISREG(sc.st_mode) || sc.st_size < TR_CTL_SIZE)
        return tr_fail(err, TR_E_FORMAT, "ring %s: too small, or no file", r->name);
    r->ino = st.st_ino;
    r->dev = st.st_dev;
    r->data_size = (size_t)st.st_size;
    r->data = mmap(NULL, r->data_size, PROT_READ, MAP_SHARED, r->data_fd, 0);
    if (r->data == MAP_FAILED) {
        r->data = NULL;
        return tr_fail_errno(err, "map ring", r->name);
    }
    ctl = mmap(NULL, TR_CTL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, r->ctl_fd, 0);
    if (ctl == MAP_FAILED) return tr_fail_errno(err, "map control part of ring", r->name);
    r->ctl = (struct tr_ctl_header *)ctl;
    r->hdr = (const struct tr_data_header *)r->data;
    memcpy(&h, r->data, sizeof h); /* judged and used as one copy */
    if ((rc = tr_check_header(&h, r->data_size, r->name, err))) return rc;
    if (r->ctl->magic != TR_CTL_MAGIC || r->ctl->version != TR_RING_VERSION || r->ctl->segment_id != h.segment_id)
        return tr_fail(err, TR_E_FORMAT, "ring %s: its two files belong to different rings", r->name);
    r->cap = h.capacity;
    r->slots = (const tr_record *)(const void *)((const char *)r->data + h.records_off);
    return TR_OK;
}

/* tr_ring_begin makes us the consumer of a mapped ring. What was in it before is
 * skipped; the session starts when the producer's loop comes by. */
static inline int tr_ring_begin(tr_ring *r, tr_error *err) {
    if (!tr_ring_alive(r))
        return tr_fail(err, TR_E_GONE, "ring %s: its relay has ended; open it again once the relay is back", r->name);
    if (tr_lock(r->ctl_fd, F_OFD_SETLK, F_WRLCK)) {
        if (errno == EAGAIN || errno == EACCES)
            return tr_fail(err, TR_E_BUSY, "ring %s: read by process %u already; a ring has one reader: "
                           "attach over the socket for one of your own", r->name, r->ctl->consumer_pid);
        return tr_fail_errno(err, "lock ring", r->name);
    }
    r->tail = r->head = __atomic_load_n(&r->hdr->head, __ATOMIC_ACQUIRE);
    __atomic_store_n(&r->ctl->sleeper, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&r->ctl->wake_mode, r->by_fd ? TR_WAITS_FD : TR_WAITS_BLOCK, __ATOMIC_SEQ_CST);
    __atomic_store_n(&r->ctl->consumer_pid, (uint32_t)getpid(), __ATOMIC_RELAXED);
    tr_ring_beat(r);
    __atomic_store_n(&r->ctl->tail, r->tail, __ATOMIC_RELEASE);
    r->gen = __atomic_add_fetch(&r->ctl->attach_gen, 1, __ATOMIC_SEQ_CST);
    return TR_OK;
}

/* tr_ring_open opens the declared ring dir/name as its consumer. */
static inline int tr_ring_open(tr_ring *r, const char *dir, const char *name, tr_error *err) {
    char path[400];
    int rc = TR_OK;
    tr_ring_init(r);
    if (!*name || *name == '.' || strchr(name, '/') || strlen(name) >= sizeof r->name || strlen(dir) >= sizeof r->dir)
        return tr_fail(err, TR_E_ARGUMENT, "ring name \"%.80s\" in \"%.80s\": 1 to 63 bytes, no slash, no dot in front", name, dir);
    for (int i = 0; i < 50; i++) { /* between the two renames of a ring that is being replaced */
        tr_ring_init(r);
        strcpy(r->dir, dir);
        strcpy(r->name, name);
        snprintf(path, sizeof path, "%s/%s.data", dir, name);
        r->data_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (r->data_fd < 0) return tr_fail_errno(err, "open", path);
        snprintf(path, sizeof path, "%s/%s.ctl", dir, name);
        r->ctl_fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        rc = r->ctl_fd < 0 ? tr_fail_errno(err, "open", path) : tr_ring_map(r, err);
        if (rc == TR_OK) rc = tr_ring_begin(r, err);
        if (rc == TR_OK) return TR_OK;
        tr_ring_close(r, false);
        if (rc != TR_E_FORMAT && rc != TR_E_NO_RELAY) break;
        usleep(1000);
    }
    return rc;
}

/* tr_ring_adopt takes over the descriptors of an attachment, whatever happens. */
static inline int tr_ring_adopt(tr_ring *r, const char *dir, const char *name, int data_fd, int ctl_fd, bool by_fd,
                                tr_error *err) {
    int rc;
    tr_ring_init(r);
    snprintf(r->dir, sizeof r->dir, "%s", dir);
    snprintf(r->name, sizeof r->name, "%s", name);
    r->data_fd = data_fd;
    r->ctl_fd = ctl_fd;
    r->by_fd = by_fd;
    rc = tr_ring_map(r, err);
    if (rc == TR_OK) rc = tr_ring_begin(r, err);
    if (rc != TR_OK) tr_ring_close(r, false);
    return rc;
}

/* tr_ring_release frees n slots for the producer. */
static inline void tr_ring_release(tr_ring *r, uint64_t n) {
    r->tail += n;
    __atomic_store_n(&r->ctl->tail, r->tail, __ATOMIC_RELEASE);
    if (++r->reads % TR_BEAT_READS == 0) tr_ring_beat(r);
}

/* tr_ring_probe: TR_E_GONE if the producer is gone and nothing is left. */
static inline int tr_ring_probe(tr_ring *r, tr_error *err) {
    tr_ring_beat(r);
    if (tr_ring_alive(r) || (r->begun && __atomic_load_n(&r->hdr->head, __ATOMIC_ACQUIRE) != r->tail)) return TR_OK;
    return tr_fail(err, TR_E_GONE, "ring %s: the relay has ended", r->name);
}

/* tr_ring_idle is an empty look: now and then it asks for the producer. */
static inline int tr_ring_idle(tr_ring *r, tr_error *err) {
    if (__atomic_load_n(&r->hdr->state, __ATOMIC_ACQUIRE) == TR_RING_OPEN && ++r->empty % TR_PROBE_LOOKS) return TR_OK;
    return tr_ring_probe(r, err);
}

/* tr_ring_start looks whether the producer began the session that we asked for. */
static inline int tr_ring_start(tr_ring *r, tr_error *err) {
    uint64_t pos;
    if (__atomic_load_n(&r->hdr->start_gen, __ATOMIC_ACQUIRE) != r->gen) return tr_ring_idle(r, err);
    pos = __atomic_load_n(&r->hdr->start_pos, __ATOMIC_ACQUIRE);
    if (pos - r->tail > r->cap)
        return tr_fail(err, TR_E_CORRUPT, "ring %s: session starts at %llu, tail %llu: detach and attach again", r->name,
                       (unsigned long long)pos, (unsigned long long)r->tail);
    r->begun = true;
    tr_ring_release(r, pos - r->tail);
    r->head = r->tail;
    return TR_OK;
}

/* tr_ring_look refreshes head; to be called when everything known was read. */
static inline int tr_ring_look(tr_ring *r, tr_error *err) {
    uint64_t h;
    if (!TR_LIKELY(r->begun)) {
        int rc = tr_ring_start(r, err);
        if (rc || !r->begun) return rc;
    }
    h = __atomic_load_n(&r->hdr->head, __ATOMIC_ACQUIRE);
    if (h == r->tail) return tr_ring_idle(r, err);
    if (h - r->tail > r->cap)
        return tr_fail(err, TR_E_CORRUPT, "ring %s: head %llu, tail %llu, capacity %llu: detach and attach again", r->name,
                       (unsigned long long)h, (unsigned long long)r->tail, (unsigned long long)r->cap);
    r->head = h;
    r->empty = 0;
    return TR_OK;
}

/* tr_ring_counted: has the topic an entry in the ring's header? */
static inline bool tr_ring_counted(const tr_ring *r, uint32_t instrument, uint32_t channel) {
    const struct tr_topic_entry *e = (const struct tr_topic_entry *)(const void *)(r->hdr + 1);
    uint32_t n = tr_ring_topics(r);
    for (uint32_t i = 0; i < n; i++)
        if (__atomic_load_n(&e[i].instrument, __ATOMIC_RELAXED) == instrument &&
            __atomic_load_n(&e[i].channel, __ATOMIC_RELAXED) == channel)
            return true;
    return false;
}

/* tr_ring_tell notes a topic's heartbeat, if nothing else knows of the topic. */
static inline void tr_ring_tell(tr_ring *r, const tr_record *hb) {
    uint64_t topic = (uint64_t)hb->instrument << 8 | hb->side;
    size_t lo = 0, hi = r->n_told;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (r->told[mid].topic < topic) lo = mid + 1;
        else hi = mid;
    }
    if (lo == r->n_told || r->told[lo].topic != topic) {
        if (tr_ring_counted(r, hb->instrument, hb->side)) return;
        if (r->n_told == r->told_room) {
            size_t room = r->told_room ? 2 * r->told_room : 256;
            tr_told *more = (tr_told *)realloc(r->told, room * sizeof *more);
            if (!more) return; /* the next session's heartbeat still says it */
            r->told = more;
            r->told_room = room;
        }
        memmove(r->told + lo + 1, r->told + lo, (r->n_told++ - lo) * sizeof *r->told);
        r->told[lo].topic = topic;
    }
    r->told[lo].seq = hb->seq;
}

/* tr_ring_note looks for such topics among records that are given out. */
static inline void tr_ring_note(tr_ring *r, const tr_record *recs, int64_t n) {
    if (TR_LIKELY(!__atomic_load_n(&r->hdr->uncounted, __ATOMIC_RELAXED))) return;
    for (int64_t i = 0; i < n; i++)
        if (recs[i].kind == TR_HEARTBEAT && recs[i].side != TR_CH_ALL) tr_ring_tell(r, &recs[i]);
}

/* tr_ring_poll copies up to max records. Number of records, or a code below 0;
 * TR_E_GONE comes only once the ring is drained. */
static inline int64_t tr_ring_poll(tr_ring *r, tr_record *dst, size_t max, tr_error *err) {
    uint64_t n, at, first;
    if (r->tail == r->head) {
        int rc = tr_ring_look(r, err);
        if (rc) return rc;
    }
    n = r->head - r->tail;
    if (n > max) n = max;
    if (n == 0) return 0;
    at = r->tail & (r->cap - 1);
    first = r->cap - at < n ? r->cap - at : n;
    memcpy(dst, r->slots + at, first * sizeof *dst);
    if (first < n) memcpy(dst + first, r->slots, (n - first) * sizeof *dst);
    tr_ring_release(r, n);
    return (int64_t)n;
}

/* tr_ring_lend gives up to max records in place, as far as they lie in one
 * piece; tr_ring_release frees them. */
static inline int64_t tr_ring_lend(tr_ring *r, const tr_record **recs, size_t max, tr_error *err) {
    uint64_t n, at;
    if (r->tail == r->head) {
        int rc = tr_ring_look(r, err);
        if (rc) return rc;
    }
    at = r->tail & (r->cap - 1);
    n = r->head - r->tail;
    if (n > r->cap - at) n = r->cap - at;
    if (n > max) n = max;
    *recs = r->slots + at;
    return (int64_t)n;
}

/* tr_ring_depth is how many records wait to be read. */
static inline uint64_t tr_ring_depth(const tr_ring *r) {
    uint64_t n = __atomic_load_n(&r->hdr->head, __ATOMIC_ACQUIRE) - r->tail;
    return n > r->cap ? r->cap : n;
}

#endif
