/* A producer and a consumer in two threads over the same memory, so that the
 * thread sanitizer sees both sides: it is blind between processes.
 *
 *     threads RECORDS */
#include "producer.h"
#include "proof.h"

#include <pthread.h>

static producer p;
static uint64_t total;

static void *produce(void *arg) {
    tr_record batch[9];
    uint64_t seq = 0;
    (void)arg;
    while (seq < total) {
        uint64_t n = 1 + mix(seq) % 9;
        if (n > total - seq) n = total - seq;
        memset(batch, 0, sizeof batch);
        for (uint64_t i = 0; i < n; i++) {
            batch[i].seq = seq + 1 + i;
            batch[i].id = mix(seq + 1 + i);
            batch[i].price = (int64_t)mix(seq + 2 + i);
            batch[i].count = (uint32_t)mix(seq + 3 + i);
        }
        while (!producer_put(&p, batch, n)) sched_yield();
        seq += n;
        if (mix(seq) % 512 == 0) usleep(100); /* let the reader fall asleep */
    }
    return NULL;
}

int main(int argc, char **argv) {
    const uint64_t cap = 256;
    void *data = NULL, *ctl = NULL;
    pthread_t thread;
    tr_client c;
    uint64_t next = 1;
    total = argc > 1 ? (uint64_t)atoll(argv[1]) : 1000000;
    if (posix_memalign(&data, TR_PAGE, producer_size(cap, 1)) || posix_memalign(&ctl, TR_PAGE, TR_CTL_SIZE)) return 1;
    memset(data, 0, producer_size(cap, 1));
    memset(ctl, 0, TR_CTL_SIZE);
    producer_init(&p, data, ctl, cap, 1, "threads");

    memset(&c, 0, sizeof c);
    c.lease = c.wake_fd = c.epoll_fd = c.timer_fd = c.own_fd = -1;
    c.rings = (tr_ring *)calloc(1, sizeof *c.rings);
    c.n = 1;
    tr_ring_init(&c.rings[0]);
    c.rings[0].hdr = (const struct tr_data_header *)data;
    c.rings[0].ctl = (struct tr_ctl_header *)ctl;
    c.rings[0].slots = p.slots;
    c.rings[0].cap = cap;
    c.rings[0].gen = __atomic_add_fetch(&c.rings[0].ctl->attach_gen, 1, __ATOMIC_SEQ_CST);
    if (pthread_create(&thread, NULL, produce, NULL)) return 1;
    for (uint64_t turn = 0; next <= total; turn++) {
        tr_record own[50];
        const tr_record *recs = own;
        int64_t n = turn % 2 ? tr_poll(&c, own, 50) : tr_lend(&c, &recs, 70);
        for (int64_t i = 0; i < n; i++, next++) {
            if (recs[i].seq != next || recs[i].id != mix(next) || recs[i].price != (int64_t)mix(next + 1) || recs[i].count != (uint32_t)mix(next + 2)) {
                printf("error: record %llu, expected %llu\n", (unsigned long long)recs[i].seq, (unsigned long long)next);
                return 1;
            }
        }
        if (turn % 2 == 0 && n > 0) tr_release(&c, (size_t)n);
        if (n == 0) n = tr_wait(&c, (enum tr_mode)(turn % 3), -1);
        if (n < 0) {
            printf("error: %s\n", tr_message(&c));
            return 1;
        }
    }
    pthread_join(thread, NULL);
    printf("ok %llu records, slept %llu times\n", (unsigned long long)total, (unsigned long long)c.rings[0].ctl->sleeps);
    free(c.rings);
    free(data);
    free(ctl);
    return 0;
}
