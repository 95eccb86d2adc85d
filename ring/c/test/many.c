/* Reads a ring with more topics than its header counts, until it ends:
 *
 *     many DIR NAME TOPICS
 *
 * says "told" once it knows all of its topics, of instruments 1 … TOPICS, and "ok"
 * when each of them got the gap that the end of its relay is. */
#include "tickrelay.h"

#define MOST 5000

int main(int argc, char **argv) {
    static uint64_t told[MOST + 1]; /* number + 1 as of the topic's heartbeat, 0: not told */
    static bool ended[MOST + 1];
    tr_record got[64];
    tr_error err;
    tr_client *c = argc == 4 ? tr_open(argv[1], argv[2], &err) : NULL;
    int n_told = 0, n_ended = 0, topics = argc == 4 ? atoi(argv[3]) : 0;
    if (!c || topics < 1 || topics > MOST) return 1;
    for (unsigned turn = 0; n_ended < topics; turn++) {
        const tr_record *recs = got;
        int64_t n = turn % 2 ? tr_poll(c, got, 64) : tr_lend(c, &recs, 64);
        if (n < 0) return 1;
        for (int64_t i = 0; i < n; i++) {
            const tr_record *r = &recs[i];
            if (r->kind == TR_HEARTBEAT && r->side == TR_CH_TRADES) {
                if (!told[r->instrument] && ++n_told == topics) {
                    printf("told\n");
                    fflush(stdout);
                }
                told[r->instrument] = r->seq + 1;
            } else if (r->kind == TR_GAP) {
                if (r->side != TR_CH_TRADES || r->level != TR_GAP_DISCONNECT || !told[r->instrument] || ended[r->instrument] || r->seq + 1 < told[r->instrument]) {
                    printf("gap of instrument %u, number %llu, told %llu\n", r->instrument, (unsigned long long)r->seq, (unsigned long long)told[r->instrument]);
                    return 1;
                }
                ended[r->instrument] = true;
                n_ended++;
            }
        }
        if (turn % 2 == 0) tr_release(c, (size_t)n);
        if (n == 0 && tr_wait(c, TR_BLOCK, 100000000) < 0) return 1;
    }
    printf("ok\n");
    tr_detach(c);
    return 0;
}
