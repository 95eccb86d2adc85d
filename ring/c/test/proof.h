/* What the relay of package clienttest sends proves itself: this recomputes it. */
#ifndef TICKRELAY_TEST_PROOF_H
#define TICKRELAY_TEST_PROOF_H

#include "tickrelay.h"

static inline uint64_t mix(uint64_t x) {
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static inline uint64_t level_hash(uint8_t side, int64_t price, int64_t size) {
    return mix((uint64_t)price ^ mix((uint64_t)size ^ mix(side)));
}

static inline uint64_t book_hash(const tr_book *b) {
    uint64_t sum = 0;
    for (size_t i = 0; i < b->bids.n; i++) sum += level_hash(TR_BID, b->bids.level[i].price, b->bids.level[i].size);
    for (size_t i = 0; i < b->asks.n; i++) sum += level_hash(TR_ASK, b->asks.level[i].price, b->asks.level[i].size);
    return sum;
}

/* A reader that believes nothing. */
struct proof {
    tr_book book;
    uint64_t epoch, epochs;
    uint64_t next;         /* the next trade's number, 0: not told yet */
    uint64_t trades, checks, lost, overruns, aways;
    int64_t instrument;
    char fault[300];
};

static inline bool fault(struct proof *p, const tr_record *r, const char *why) {
    snprintf(p->fault, sizeof p->fault, "%s: kind %u flags %u side %u seq %llu id %llu count %u; expected number %llu", why, r->kind, r->flags,
             r->side, (unsigned long long)r->seq, (unsigned long long)r->id, r->count, (unsigned long long)p->next);
    return false;
}

static inline bool prove_trade(struct proof *p, const tr_record *r) {
    if (!p->next) return fault(p, r, "a trade before the topic's heartbeat");
    if (r->seq != p->next) return fault(p, r, "a number is missing or out of order");
    if (r->ts_event != (int64_t)(mix(r->seq) >> 1) || r->ts_recv != (int64_t)(mix(r->seq + 1) >> 1) ||
        r->price != (int64_t)(mix(r->seq + 2) >> 1) || r->size != (int64_t)(mix(r->seq + 3) >> 1))
        return fault(p, r, "a torn or stale record");
    p->next++;
    p->trades++;
    if (p->book.state == TR_BOOK_LIVE && (uint32_t)p->book.seq == r->count) {
        if (book_hash(&p->book) != r->id) return fault(p, r, "the book is not the true one");
        p->checks++;
    }
    return true;
}

static inline bool prove_gap(struct proof *p, const tr_record *r) {
    if (r->side == TR_CH_BOOK) tr_book_apply(&p->book, r);
    p->overruns += r->level == TR_GAP_OVERRUN;
    p->aways += r->level == TR_GAP_DISCONNECT;
    if (r->side != TR_CH_TRADES || r->level == TR_GAP_DISCONNECT) return true;
    if (r->id != p->next || r->count != r->seq - r->id + 1) return fault(p, r, "a gap that does not fit");
    p->lost += r->count;
    p->next = r->seq + 1;
    return true;
}

/* prove takes the next record; false, with p->fault, if anything is wrong. */
static inline bool prove(struct proof *p, const tr_record *r) {
    if (r->kind == TR_HEARTBEAT && r->side == TR_CH_ALL) {
        if (r->id != p->epoch) {
            if (r->id < p->epoch) return fault(p, r, "an epoch that is older");
            p->epoch = r->id;
            p->epochs++;
            p->next = 0;
        }
        tr_book_apply(&p->book, r);
        return true;
    }
    if (!p->epoch) return fault(p, r, "the stream does not begin with its epoch");
    if (r->instrument != p->instrument) return fault(p, r, "another instrument");
    if (r->kind == TR_GAP) return prove_gap(p, r);
    if (r->kind == TR_TRADE) return prove_trade(p, r);
    if (r->kind == TR_HEARTBEAT && r->side == TR_CH_TRADES) {
        if (p->next && r->seq + 1 < p->next) return fault(p, r, "a topic's number went back");
        p->next = r->seq + 1;
        return true;
    }
    tr_book_apply(&p->book, r);
    return p->book.reason != TR_GAP_SEQUENCE || p->book.state != TR_BOOK_BROKEN || fault(p, r, "the book lost a number without a gap");
}

#endif
