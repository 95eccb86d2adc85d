/* tr_book: the price levels of one instrument from the records of its book
 * topic. Exact: mantissas only. A level near the touch costs a few ns. */
#ifndef TICKRELAY_BOOK_H
#define TICKRELAY_BOOK_H

#include "decimal.h"

enum tr_book_state {
    TR_BOOK_EMPTY,    /* nothing received yet */
    TR_BOOK_BUILDING, /* a snapshot is under way: levels are missing */
    TR_BOOK_LIVE,     /* complete and current as of seq */
    TR_BOOK_BROKEN    /* records are missing: nothing is right until the next snapshot */
};

typedef struct tr_level {
    int64_t price, size; /* mantissas at the book's exponents */
    uint32_t count;      /* orders, 0 if the venue does not say */
} tr_level;

typedef struct tr_book_side {
    tr_level *level; /* the best is the last: most updates move little */
    size_t n, room;
} tr_book_side;

/* Zero is an empty book; tr_book_free ends it. */
typedef struct tr_book {
    tr_book_side bids, asks;
    int8_t price_exp, size_exp;
    uint8_t state;  /* enum tr_book_state */
    uint8_t reason; /* why it is broken, enum tr_gap_reason */
    uint16_t venue; /* of its records, 0 before the first */
    uint64_t seq;   /* number of the last record applied or lost */
    uint64_t epoch; /* of the last heartbeat */
    int64_t ts_event, ts_recv;
} tr_book;

static inline void tr_book_free(tr_book *b) {
    free(b->bids.level);
    free(b->asks.level);
    memset(b, 0, sizeof *b);
}

/* tr_best is the i-th level counted from the best, NULL beyond the last. */
static inline const tr_level *tr_best(const tr_book_side *s, size_t i) { return i < s->n ? &s->level[s->n - 1 - i] : NULL; }

/* tr_book_mid writes half of best bid plus best ask, exact: one digit more than
 * the prices have. "" unless the book is live and has both. buf has
 * TR_DECIMAL_MAX bytes. Returns the length. */
static inline size_t tr_book_mid(const tr_book *b, char *buf) {
    const tr_level *bid = tr_best(&b->bids, 0), *ask = tr_best(&b->asks, 0);
    bool there = b->state == TR_BOOK_LIVE && bid && ask;
    return tr_mid_text(buf, there ? bid->price : TR_ABSENT, there ? ask->price : TR_ABSENT, b->price_exp);
}

static inline void tr_book_fail(tr_book *b, uint8_t reason) {
    b->bids.n = b->asks.n = 0;
    b->state = TR_BOOK_BROKEN;
    b->reason = reason;
}

/* tr_side_find is the first index whose key is at least that of price. Bids are
 * sorted by price, asks by its complement, which falls where price rises. */
static inline size_t tr_side_find(const tr_book_side *s, int64_t price, int64_t mask) {
    int64_t key = price ^ mask;
    size_t hi = s->n, step = 1, lo;
    while (step <= hi && (s->level[hi - step].price ^ mask) >= key) {
        hi -= step;
        step <<= 1;
    }
    lo = hi >= step ? hi - step + 1 : 0;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if ((s->level[mid].price ^ mask) < key)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* tr_side_set sets or, with size 0, deletes a level; false: out of memory. */
static inline bool tr_side_set(tr_book_side *s, int64_t mask, tr_level l) {
    size_t i = tr_side_find(s, l.price, mask);
    bool there = i < s->n && s->level[i].price == l.price;
    if (l.size == 0) {
        if (there) memmove(s->level + i, s->level + i + 1, (--s->n - i) * sizeof l);
        return true;
    }
    if (!there) {
        if (s->n == s->room) {
            size_t room = s->room ? 2 * s->room : 256;
            tr_level *more = (tr_level *)realloc(s->level, room * sizeof l);
            if (!more) return false;
            s->level = more;
            s->room = room;
        }
        memmove(s->level + i + 1, s->level + i, (s->n++ - i) * sizeof l);
    }
    s->level[i] = l;
    return true;
}

static inline bool tr_book_rescale_side(tr_book_side *s, const tr_book *b, int8_t price_exp, int8_t size_exp, bool write) {
    for (size_t i = 0; i < s->n; i++) {
        int64_t price, size;
        if (!tr_rescale(s->level[i].price, b->price_exp, price_exp, &price) ||
            !tr_rescale(s->level[i].size, b->size_exp, size_exp, &size))
            return false;
        if (!write) continue;
        s->level[i].price = price;
        s->level[i].size = size;
    }
    return true;
}

/* tr_book_rescale moves every level to new exponents: exact, or false and as it was. */
static inline bool tr_book_rescale(tr_book *b, int8_t price_exp, int8_t size_exp) {
    if (!tr_book_rescale_side(&b->bids, b, price_exp, size_exp, false) ||
        !tr_book_rescale_side(&b->asks, b, price_exp, size_exp, false))
        return false;
    tr_book_rescale_side(&b->bids, b, price_exp, size_exp, true);
    tr_book_rescale_side(&b->asks, b, price_exp, size_exp, true);
    b->price_exp = price_exp;
    b->size_exp = size_exp;
    return true;
}

/* tr_book_level applies one level of a record at exponents that hold it exactly. */
static inline bool tr_book_level(tr_book *b, const tr_record *r) {
    tr_level l = {0, 0, 0};
    if (r->price == TR_ABSENT || r->size < 0) return false;
    if (b->bids.n + b->asks.n == 0) {
        b->price_exp = r->price_exp;
        b->size_exp = r->size_exp;
    }
    if (!tr_rescale(r->price, r->price_exp, b->price_exp, &l.price) || !tr_rescale(r->size, r->size_exp, b->size_exp, &l.size)) {
        int8_t pe = r->price_exp < b->price_exp ? r->price_exp : b->price_exp;
        int8_t se = r->size_exp < b->size_exp ? r->size_exp : b->size_exp;
        if (!tr_book_rescale(b, pe, se) && !tr_book_rescale(b, r->price_exp, r->size_exp)) return false;
        if (!tr_rescale(r->price, r->price_exp, b->price_exp, &l.price) || !tr_rescale(r->size, r->size_exp, b->size_exp, &l.size)) return false;
    }
    l.count = r->count;
    return r->side == TR_BID ? tr_side_set(&b->bids, 0, l) : r->side == TR_ASK ? tr_side_set(&b->asks, -1, l) : true;
}

static inline void tr_book_heartbeat(tr_book *b, const tr_record *r) {
    if (r->side != TR_CH_BOOK && r->side != TR_CH_ALL) return;
    if (r->side == TR_CH_ALL && b->venue && r->venue != b->venue) return; /* epochs are a venue's */
    if (r->id != b->epoch) { /* numbers begin again */
        b->bids.n = b->asks.n = 0;
        b->state = TR_BOOK_EMPTY;
        b->seq = 0;
        b->epoch = r->id;
    }
    if (r->side != TR_CH_BOOK || r->seq <= b->seq) return;
    b->seq = r->seq;
    if (b->state == TR_BOOK_LIVE || b->state == TR_BOOK_BUILDING) tr_book_fail(b, TR_GAP_SEQUENCE);
}

static inline void tr_book_snapshot(tr_book *b, const tr_record *r) {
    if (r->side == TR_CLEAR) {
        b->bids.n = b->asks.n = 0;
        b->state = TR_BOOK_BUILDING;
        b->seq = r->seq;
    }
    if (b->state != TR_BOOK_BUILDING) return; /* the tail of one that was lost */
    if (r->side == TR_END)
        b->state = TR_BOOK_LIVE;
    else if (r->side != TR_CLEAR && !tr_book_level(b, r))
        tr_book_fail(b, TR_GAP_RANGE);
    b->ts_event = r->ts_event;
    b->ts_recv = r->ts_recv;
}

static inline void tr_book_live(tr_book *b, const tr_record *r) {
    bool usable = b->state == TR_BOOK_LIVE || b->state == TR_BOOK_BUILDING;
    if (r->seq <= b->seq) return; /* a duplicate */
    if (usable && r->seq != b->seq + 1) {
        tr_book_fail(b, TR_GAP_SEQUENCE);
        usable = false;
    }
    b->seq = r->seq;
    if (!usable) return;
    b->ts_event = r->ts_event;
    b->ts_recv = r->ts_recv;
    if (!tr_book_level(b, r)) tr_book_fail(b, TR_GAP_RANGE);
}

/* tr_book_apply takes the next record of the book's instrument, of any kind;
 * the whole stream's heartbeats (instrument 0, side 0) go to every book, those
 * of other venues do nothing. It checks that the numbers chain, so no loss goes
 * unseen. */
static inline void tr_book_apply(tr_book *b, const tr_record *r) {
    if (r->kind != TR_HEARTBEAT || r->side != TR_CH_ALL) b->venue = r->venue;
    if (r->kind == TR_BOOK && (r->flags & TR_SNAPSHOT))
        tr_book_snapshot(b, r);
    else if (r->kind == TR_BOOK)
        tr_book_live(b, r);
    else if (r->kind == TR_HEARTBEAT)
        tr_book_heartbeat(b, r);
    else if (r->kind == TR_GAP && r->side == TR_CH_BOOK) {
        if (r->seq > b->seq) b->seq = r->seq;
        tr_book_fail(b, r->level);
    }
}

#endif
