/* Prints a ring's files, or writes a ring, so that other languages can compare.
 *
 *     segment dump DIR NAME     segment write DIR NAME */
#include "producer.h"
#include "proof.h"

static int dump(const char *dir, const char *name) {
    tr_ring r;
    tr_error err;
    char path[400];
    tr_ring_init(&r);
    snprintf(path, sizeof path, "%s/%s.data", dir, name);
    r.data_fd = open(path, O_RDONLY);
    snprintf(path, sizeof path, "%s/%s.ctl", dir, name);
    r.ctl_fd = open(path, O_RDWR);
    if (tr_ring_map(&r, &err)) {
        printf("error: %s\n", err.text);
        return 1;
    }
    printf("%s %s %s %llu %u %lld %llu %u\n", r.hdr->name, r.hdr->strategy, r.hdr->relay, (unsigned long long)r.cap, r.hdr->venue,
           (long long)r.hdr->epoch, (unsigned long long)r.hdr->table_id, r.hdr->topic_count);
    for (uint64_t at = r.ctl->tail; at != r.hdr->head; at++) {
        const tr_record *x = &r.slots[at & (r.cap - 1)];
        printf("%u %u %u %u %llu %lld %lld %lld %lld %llu %u %u %d %d %u\n", x->kind, x->flags, x->venue, x->instrument,
               (unsigned long long)x->seq, (long long)x->ts_event, (long long)x->ts_recv, (long long)x->price, (long long)x->size,
               (unsigned long long)x->id, x->side, x->level, x->price_exp, x->size_exp, x->count);
    }
    tr_ring_close(&r, false);
    return 0;
}

/* 150 records through a ring of 64, so that it wraps; the last 20 stay unread. */
static int write_ring(const char *dir, const char *name) {
    producer p;
    tr_client *c;
    tr_error err;
    tr_record got[64];
    if (!producer_create(&p, dir, name, 64) || !(c = tr_open(dir, name, &err))) return 1;
    for (uint64_t seq = 1; seq <= 150; seq++) {
        tr_record r;
        memset(&r, 0, sizeof r);
        r.kind = TR_TRADE;
        r.venue = 5;
        r.instrument = 7;
        r.seq = seq;
        r.ts_event = (int64_t)(mix(seq) >> 1);
        r.price = -(int64_t)(mix(seq + 2) >> 1);
        r.price_exp = -8;
        r.id = mix(seq + 3);
        r.count = (uint32_t)mix(seq + 4);
        if (!producer_put(&p, &r, 1)) return 1;
        if (seq <= 130 && (tr_poll(c, got, 64) != 1 || memcmp(got, &r, sizeof r))) return 1;
    }
    tr_detach(c); /* the process ends: both locks are released, the files stay */
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    return argv[1][0] == 'd' ? dump(argv[2], argv[3]) : write_ring(argv[2], argv[3]);
}
