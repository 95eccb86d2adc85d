/* A strategy: mid price and imbalance of one book, and its trades, a line a
 * second. It keeps running while the relay is stopped and started again.
 *
 *     tickrelay demo &
 *     cc -O2 -I ring/c -o strategy ring/c/example/strategy.c && ./strategy demo binance BTC-USDT */
#include "tickrelay.h"

enum { DEPTH = 5 }; /* levels of the imbalance */

struct strategy {
    int64_t instrument; /* −1: not known yet */
    tr_book book;
    uint64_t trades, gaps;
    tr_record last; /* trade */
};

static void on_record(struct strategy *s, const tr_record *r) {
    if (r->kind == TR_HEARTBEAT && r->side == TR_CH_ALL) tr_book_apply(&s->book, r); /* perhaps a new epoch */
    if (r->instrument != s->instrument) return;
    if (r->kind == TR_TRADE) {
        s->trades++;
        s->last = *r;
    } else {
        s->gaps += r->kind == TR_GAP;
        tr_book_apply(&s->book, r);
    }
}

/* (bid size − ask size) / (bid size + ask size) of the first levels */
static double imbalance(const tr_book *b) {
    double bid = 0, ask = 0;
    for (size_t i = 0; i < DEPTH; i++) {
        const tr_level *l = tr_best(&b->bids, i), *k = tr_best(&b->asks, i);
        if (l) bid += (double)l->size;
        if (k) ask += (double)k->size;
    }
    return (bid - ask) / (bid + ask);
}

static void print_line(const struct strategy *s, bool connected) {
    static const char *const states[] = {"empty", "building", "live", "broken"};
    char mid[TR_DECIMAL_MAX], last[TR_DECIMAL_MAX];
    tr_decimal_text(last, s->last.price, s->last.price_exp);
    if (tr_book_mid(&s->book, mid)) {
        printf("mid %s  imbalance %+.3f  levels %zu+%zu  trades %llu  last %s  gaps %llu\n", mid, imbalance(&s->book), s->book.bids.n,
               s->book.asks.n, (unsigned long long)s->trades, last, (unsigned long long)s->gaps);
    } else {
        printf("book %s%s  trades %llu  gaps %llu\n", states[s->book.state], connected ? "" : ", relay away",
               (unsigned long long)s->trades, (unsigned long long)s->gaps);
    }
    fflush(stdout);
}

int main(int argc, char **argv) {
    const char *relay = argc > 1 ? argv[1] : "demo", *venue = argc > 2 ? argv[2] : "binance", *symbol = argc > 3 ? argv[3] : "BTC-USDT";
    int64_t lines = argc > 4 ? atoll(argv[4]) : -1, next;
    char topics[400];
    struct strategy s;
    tr_error err;
    memset(&s, 0, sizeof s);
    snprintf(topics, sizeof topics, "%s.book.%s %s.trades.%s", venue, symbol, venue, symbol);

    tr_client *md = tr_attach(relay, "example-c", topics, &err);
    if (!md) {
        fprintf(stderr, "strategy: %s\n", err.text);
        return 1;
    }
    s.instrument = tr_lookup(md, venue, symbol);
    next = tr_now() + 1000000000;
    while (lines != 0) {
        const tr_record *recs;
        int64_t n = tr_lend(md, &recs, 1024);
        for (int64_t i = 0; i < n; i++) {
            if (recs[i].kind == TR_HEARTBEAT) s.instrument = tr_lookup(md, venue, symbol); /* the table may be another one */
            on_record(&s, &recs[i]);
        }
        if (n > 0) tr_release(md, (size_t)n);
        if (n == 0) n = tr_wait(md, TR_BLOCK, 50000000);
        if (n < 0) {
            fprintf(stderr, "strategy: %s\n", tr_message(md));
            return 1;
        }
        if (tr_now() >= next) {
            next += 1000000000;
            lines -= lines > 0;
            print_line(&s, tr_connected(md));
        }
    }
    tr_book_free(&s.book);
    tr_detach(md);
    return 0;
}
