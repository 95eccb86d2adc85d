/* The instrument table, and the names of venues, channels and topics. */
#ifndef TICKRELAY_TABLE_H
#define TICKRELAY_TABLE_H

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base.h"

#define TR_TABLE_ATTEMPTS 10000 /* an entry that stays odd belongs to a writer that died */
#define TR_TOPIC_MAX 160        /* room for a topic's text with its NUL */

typedef struct tr_table {
    const struct tr_table_header *hdr; /* NULL: there is none */
    const struct tr_table_entry *entries;
    size_t size;
    uint32_t capacity;
    uint64_t id;
} tr_table;

/* A copy of one table entry; names are terminated. */
typedef struct tr_instrument {
    uint32_t id;
    uint16_t venue;
    uint8_t kind; /* 1 spot 2 perp 3 perp_inverse 4 future 5 future_inverse 6 option 7 venue */
    int8_t price_exp, size_exp;
    int8_t tick_exp, lot_exp, contract_exp;
    int64_t tick, lot, contract_size; /* mantissas, 0 if unknown */
    int64_t expiry;                   /* ns since 1970 UTC, 0 if none */
    uint64_t generation;              /* grows when the entry changes */
    char symbol[97], native_name[97];
} tr_instrument;

static inline const char *tr_venue_name(unsigned venue) {
    static const char *const names[] = {
        "unknown", "binance", "binance-usdm", "binance-coinm", "bitget", "okx", "bybit", "bybit-linear",
        "bybit-inverse", "coinbase", "coinbase-exchange", "kraken", "kraken-futures", "bitstamp", "deribit",
        "gateio", "gateio-futures", "kucoin", "kucoin-futures", "hyperliquid", "upbit", "bitfinex"};
    return names[venue < sizeof names / sizeof *names ? venue : 0];
}

/* tr_venue_number is the reverse, 0 for a name that is no venue. */
static inline unsigned tr_venue_number(const char *name) {
    unsigned v = 1;
    for (; strcmp(tr_venue_name(v), "unknown"); v++)
        if (!strcmp(tr_venue_name(v), name)) return v;
    return 0;
}

static inline const char *tr_channel_name(unsigned channel) {
    static const char *const names[] = {"unknown", "trades", "book", "bbo", "ticker", "funding", "open_interest",
                                        "liquidations", "status", "signals", "candles_1s", "candles_1m", "raw"};
    return names[channel < sizeof names / sizeof *names ? channel : 0];
}

/* tr_channel is the channel of the record's topic, TR_CH_ALL if it concerns no
 * single topic. */
static inline unsigned tr_channel(const tr_record *r) {
    static const uint8_t by_kind[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 9};
    if (r->kind == TR_GAP || r->kind == TR_HEARTBEAT) return r->side;
    return r->kind < sizeof by_kind ? by_kind[r->kind] : 0;
}

static inline const char *tr_gap_reason(unsigned level) {
    static const char *const names[] = {"unknown", "sequence", "checksum", "disconnect", "overrun", "range", "venue"};
    return names[level < sizeof names / sizeof *names ? level : 0];
}

/* tr_table_map maps the table in fd, which stays the caller's. */
static inline int tr_table_map(tr_table *t, int fd, tr_error *err) {
    struct stat st;
    void *mem;
    memset(t, 0, sizeof *t);
    if (fstat(fd, &st)) return tr_fail_errno(err, "stat", "instrument table");
    if (!S_ISREG(st.st_mode) || st.st_size < TR_TABLE_HEADER_SIZE)
        return tr_fail(err, TR_E_FORMAT, "instrument table: too small, or no file");
    mem = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (mem == MAP_FAILED) return tr_fail_errno(err, "map", "instrument table");
    t->hdr = (const struct tr_table_header *)mem;
    t->entries = (const struct tr_table_entry *)(const void *)((const char *)mem + TR_TABLE_HEADER_SIZE);
    t->size = (size_t)st.st_size;
    t->capacity = t->hdr->capacity;
    t->id = t->hdr->table_id;
    if (t->hdr->magic == TR_TABLE_MAGIC && t->hdr->version == TR_TABLE_VERSION &&
        t->hdr->entry_size == TR_TABLE_ENTRY_SIZE && t->hdr->header_size == TR_TABLE_HEADER_SIZE &&
        (uint64_t)t->capacity * TR_TABLE_ENTRY_SIZE + TR_TABLE_HEADER_SIZE <= t->size)
        return TR_OK;
    munmap(mem, t->size);
    memset(t, 0, sizeof *t);
    return tr_fail(err, TR_E_FORMAT, "instrument table: not of version %d: compile with the relay's tickrelay.h", TR_TABLE_VERSION);
}

static inline void tr_table_unmap(tr_table *t) {
    if (t->hdr) munmap((void *)(uintptr_t)t->hdr, t->size);
    memset(t, 0, sizeof *t);
}

static inline uint32_t tr_table_count(const tr_table *t) {
    uint64_t n = t->hdr ? __atomic_load_n(&t->hdr->count, __ATOMIC_ACQUIRE) : 0;
    return n > t->capacity ? t->capacity : (uint32_t)n;
}

/* tr_table_copy copies an entry as its seqlock demands; false if it is absent,
 * damaged, or its writer died in the middle. */
static inline bool tr_table_copy(const tr_table *t, uint32_t id, struct tr_table_entry *out) {
    uint64_t words[TR_TABLE_ENTRY_SIZE / 8], gen;
    const uint64_t *src;
    if (id >= tr_table_count(t)) return false;
    src = (const uint64_t *)(const void *)(t->entries + id);
    for (int i = 0; i < TR_TABLE_ATTEMPTS; i++) {
        gen = __atomic_load_n(src, __ATOMIC_ACQUIRE);
        if (!(gen & 1)) {
            /* Acquire loads keep the second look at the generation behind them. */
            for (size_t k = 0; k < sizeof words / 8; k++) words[k] = __atomic_load_n(src + k, __ATOMIC_ACQUIRE);
            if (__atomic_load_n(src, __ATOMIC_RELAXED) == gen) {
                memcpy(out, words, sizeof *out);
                return out->id == id && out->symbol_len <= sizeof out->symbol && out->native_len <= sizeof out->native;
            }
        }
        sched_yield();
    }
    return false;
}

/* tr_table_get copies entry id; false if there is none. */
static inline bool tr_table_get(const tr_table *t, uint32_t id, tr_instrument *in) {
    struct tr_table_entry e;
    if (!tr_table_copy(t, id, &e)) return false;
    memset(in, 0, sizeof *in);
    in->id = e.id;
    in->venue = e.venue;
    in->kind = e.kind;
    in->price_exp = e.price_exp;
    in->size_exp = e.size_exp;
    in->tick = e.tick;
    in->tick_exp = e.tick_exp;
    in->lot = e.lot;
    in->lot_exp = e.lot_exp;
    in->contract_size = e.contract_size;
    in->contract_exp = e.contract_exp;
    in->expiry = e.expiry;
    in->generation = e.generation;
    memcpy(in->symbol, e.symbol, e.symbol_len);
    memcpy(in->native_name, e.native, e.native_len);
    return true;
}

/* tr_table_find is the number of a venue's symbol ("binance", "BTC-USDT"), −1 if
 * it is not listed. It walks the table: keep the result. */
static inline int64_t tr_table_find(const tr_table *t, const char *venue, const char *symbol) {
    unsigned v = tr_venue_number(venue);
    size_t len = strlen(symbol);
    struct tr_table_entry e;
    for (uint32_t id = 0, n = tr_table_count(t); id < n; id++)
        if (tr_table_copy(t, id, &e) && e.venue == v && e.symbol_len == len && !memcmp(e.symbol, symbol, len)) return id;
    return -1;
}

/* tr_table_topic writes the record's topic, "binance.trades.BTC-USDT", with "?"
 * or "_" for a symbol that is not known or concerns the venue. */
static inline size_t tr_table_topic(const tr_table *t, const tr_record *r, char buf[TR_TOPIC_MAX]) {
    tr_instrument in;
    int n = snprintf(buf, TR_TOPIC_MAX, "%s.%s.%s", tr_venue_name(r->venue), tr_channel_name(tr_channel(r)),
                     tr_table_get(t, r->instrument, &in) ? in.symbol : "?");
    return (size_t)n;
}

#endif
