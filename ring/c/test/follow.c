/* Reads the relay of package clienttest and proves every record; prints a line
 * of figures now and then until it is killed, or exits 1 with what is wrong.
 *
 *     follow SOCKET|DIRECTORY block|spin|yield|fd CAPACITY STALL_MS */
#include "proof.h"

static void await(tr_client *c) {
    struct pollfd p = {tr_fd(c), POLLIN, 0};
    int rc = tr_arm(c);
    if (rc == 0) ppoll(&p, 1, NULL, NULL);
    if (rc <= 0) tr_disarm(c);
}

static tr_client *connect_to(const char *where, bool fd, uint32_t capacity, tr_error *err) {
    struct stat st;
    tr_options opt;
    if (!stat(where, &st) && S_ISDIR(st.st_mode)) return tr_open(where, "declared", err);
    memset(&opt, 0, sizeof opt);
    opt.relay = where;
    opt.strategy = "follow-c";
    opt.topics = "okx.book.BTC-USDT okx.trades.BTC-USDT";
    opt.capacity = capacity;
    opt.eventfd = fd;
    return tr_attach_with(&opt, err);
}

int main(int argc, char **argv) {
    static struct proof p;
    const char *mode = argc > 2 ? argv[2] : "block";
    uint32_t capacity = argc > 3 ? (uint32_t)atoi(argv[3]) : 0;
    int stall_ms = argc > 4 ? atoi(argv[4]) : 0;
    enum tr_mode how = !strcmp(mode, "spin") ? TR_SPIN : !strcmp(mode, "yield") ? TR_YIELD : TR_BLOCK;
    bool fd = !strcmp(mode, "fd");
    int64_t said = 0, stalled = tr_now();
    tr_record own[100];
    tr_error err;
    tr_client *c = argc > 1 ? connect_to(argv[1], fd, capacity, &err) : NULL;
    if (!c) {
        printf("error: %d %s\n", err.code, err.text);
        return 1;
    }
    p.instrument = tr_lookup(c, "okx", "BTC-USDT");
    for (uint64_t turn = 0;; turn++) {
        const tr_record *recs = own;
        int64_t n = turn % 2 ? tr_poll(c, own, 100) : tr_lend(c, &recs, 1000);
        for (int64_t i = 0; i < n; i++) {
            if (!prove(&p, &recs[i])) {
                printf("error: %s\n", p.fault);
                return 1;
            }
        }
        if (turn % 2 == 0 && n > 0) tr_release(c, (size_t)n);
        if (n == 0 && fd)
            await(c);
        else if (n == 0)
            n = tr_wait(c, how, 200000000);
        if (n < 0) {
            printf("error: %s\n", tr_message(c));
            return 1;
        }
        if (stall_ms && tr_now() - stalled > 100000000) {
            usleep((useconds_t)stall_ms * 1000);
            stalled = tr_now();
        }
        if (tr_now() - said > 20000000) {
            said = tr_now();
            printf("trades %llu checks %llu lost %llu overruns %llu aways %llu epochs %llu sessions %llu\n", (unsigned long long)p.trades,
                   (unsigned long long)p.checks, (unsigned long long)p.lost, (unsigned long long)p.overruns, (unsigned long long)p.aways,
                   (unsigned long long)p.epochs, (unsigned long long)tr_sessions(c));
            fflush(stdout);
        }
    }
}
