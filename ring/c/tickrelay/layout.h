/* The bytes of a ring, version 1; docs/ring.md has the map and says what the
 * fields mean. The assertions must agree with layout.go. */
#ifndef TICKRELAY_LAYOUT_H
#define TICKRELAY_LAYOUT_H

#include "base.h"

#define TR_RING_VERSION 1
#define TR_RING_MAGIC UINT64_C(0x474e49524b434954) /* "TICKRING" */
#define TR_CTL_MAGIC UINT64_C(0x4c54434b43495420)  /* " TICKCTL" */
#define TR_FORMAT_RECORDS 1
#define TR_MIN_CAPACITY 64
#define TR_MAX_CAPACITY (UINT64_C(1) << 28)
#define TR_MAX_TOPICS (1u << 20)
#define TR_FEATURES_MUST 0x0000ffffu /* unknown ones among these: do not read */
#define TR_CTL_SIZE 4096
#define TR_PAGE 4096

enum tr_ring_state { TR_RING_OPEN = 1, TR_RING_CLOSED = 2, TR_RING_BROKEN = 3 };

/* Ways in which the producer can wake a reader, bits of wake_modes. */
enum tr_can_wake { TR_CAN_FUTEX = 1, TR_CAN_FD = 2 };

/* How the reader waits, in wake_mode. The producer cares for TR_WAITS_FD alone. */
enum tr_waits { TR_WAITS_BLOCK = 0, TR_WAITS_FD = 1, TR_WAITS_SPIN = 2, TR_WAITS_YIELD = 3 };

/* NAME.data, written by the producer only and mapped read-only here. */
struct tr_data_header {
    uint64_t magic;
    uint32_t version;
    uint32_t format;
    uint32_t record_size;
    uint32_t max_topics;
    uint64_t capacity;
    uint64_t topics_off;
    uint64_t records_off;
    uint64_t data_size;
    uint64_t segment_id;
    uint64_t table_id;
    int64_t created_ns;
    uint32_t producer_pid;
    int32_t numa_node;
    uint32_t wake_modes;
    uint32_t features;
    char relay[32];
    char strategy[64];
    char name[64];
    uint8_t kept1[128]; /* nothing up to here changes after creation */

    uint32_t state;
    uint32_t venue;
    int64_t epoch;
    int64_t beat_ns;
    uint64_t start_gen;
    uint64_t start_pos;
    uint32_t topic_count;
    uint8_t kept2[20];
    uint32_t uncounted; /* 1: there are topics without an entry */
    uint8_t kept3[60];

    uint64_t counters[16];

    uint64_t head;
    uint8_t kept4[120];
    uint8_t kept5[256];
};

struct tr_topic_entry {
    uint32_t instrument;
    uint32_t channel;
    uint64_t seq; /* the topic's number at the last heartbeat */
    uint64_t lost_events;
    uint64_t lost_records;
    uint64_t overruns;
    uint64_t gaps;
    uint64_t snapshots;
    uint64_t kept;
};

/* NAME.ctl, written by the consumer. */
struct tr_ctl_header {
    uint64_t magic;
    uint32_t version;
    uint32_t kept1;
    uint64_t segment_id;
    uint8_t kept2[104];

    uint64_t tail;
    uint8_t kept3[120];

    uint32_t sleeper; /* futex word: 1 while the consumer sleeps */
    uint32_t wake_mode;
    uint8_t kept4[120];

    uint64_t attach_gen;
    uint32_t consumer_pid;
    uint32_t kept5;
    int64_t beat_ns;
    uint64_t sleeps;
    uint8_t kept6[96];
};

TR_ASSERT(sizeof(struct tr_data_header) == 0x400);
TR_ASSERT(offsetof(struct tr_data_header, capacity) == 0x018);
TR_ASSERT(offsetof(struct tr_data_header, segment_id) == 0x038);
TR_ASSERT(offsetof(struct tr_data_header, wake_modes) == 0x058);
TR_ASSERT(offsetof(struct tr_data_header, relay) == 0x060);
TR_ASSERT(offsetof(struct tr_data_header, name) == 0x0c0);
TR_ASSERT(offsetof(struct tr_data_header, state) == 0x180);
TR_ASSERT(offsetof(struct tr_data_header, start_gen) == 0x198);
TR_ASSERT(offsetof(struct tr_data_header, topic_count) == 0x1a8);
TR_ASSERT(offsetof(struct tr_data_header, uncounted) == 0x1c0);
TR_ASSERT(offsetof(struct tr_data_header, counters) == 0x200);
TR_ASSERT(offsetof(struct tr_data_header, head) == 0x280);
TR_ASSERT(sizeof(struct tr_topic_entry) == 64);
TR_ASSERT(sizeof(struct tr_ctl_header) == 0x200);
TR_ASSERT(offsetof(struct tr_ctl_header, tail) == 0x080);
TR_ASSERT(offsetof(struct tr_ctl_header, sleeper) == 0x100);
TR_ASSERT(offsetof(struct tr_ctl_header, attach_gen) == 0x180);
TR_ASSERT(offsetof(struct tr_ctl_header, beat_ns) == 0x190);

static inline uint64_t tr_records_offset(uint64_t max_topics) {
    return (sizeof(struct tr_data_header) + max_topics * sizeof(struct tr_topic_entry) + TR_PAGE - 1) &
           ~(uint64_t)(TR_PAGE - 1);
}

/* tr_check_header judges a header that anybody may have written, in size bytes. */
static inline int tr_check_header(const struct tr_data_header *h, uint64_t size, const char *what, tr_error *err) {
    if (h->magic != TR_RING_MAGIC) return tr_fail(err, TR_E_FORMAT, "%s: no ring", what);
    if (h->version != TR_RING_VERSION || h->format != TR_FORMAT_RECORDS)
        return tr_fail(err, TR_E_FORMAT, "%s: ring of version %u, format %u; this program reads version %d, format %d: "
                       "compile it with the relay's tickrelay.h", what, h->version, h->format, TR_RING_VERSION, TR_FORMAT_RECORDS);
    if (h->features & TR_FEATURES_MUST)
        return tr_fail(err, TR_E_FORMAT, "%s: the ring needs features %#x that this program does not know: "
                       "compile it with the relay's tickrelay.h", what, h->features & TR_FEATURES_MUST);
    if (h->record_size != sizeof(tr_record) || h->capacity < TR_MIN_CAPACITY || h->capacity > TR_MAX_CAPACITY ||
        (h->capacity & (h->capacity - 1)) || h->max_topics == 0 || h->max_topics > TR_MAX_TOPICS ||
        h->topics_off != sizeof *h || h->records_off != tr_records_offset(h->max_topics) ||
        h->data_size != h->records_off + h->capacity * sizeof(tr_record) || h->data_size > size)
        return tr_fail(err, TR_E_FORMAT, "%s: the ring's header contradicts itself or its file", what);
    return TR_OK;
}

#endif
