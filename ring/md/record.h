/* tickrelay: the market-data record and the instrument table, version 1, as C
 * sees them. Little-endian hosts. docs/record.md says what the fields mean.
 * Plain C11 or C++11; the assertions must agree with layout.go. */
#ifndef TICKRELAY_RECORD_H
#define TICKRELAY_RECORD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define TR_ASSERT(cond) static_assert(cond, #cond)
#else
#define TR_ASSERT(cond) _Static_assert(cond, #cond)
#endif

#define TR_ABSENT INT64_MIN /* price or size that a record does not have */
#define TR_UNKNOWN_MISSING UINT32_MAX

enum tr_kind {
    TR_TRADE = 1, TR_BOOK = 2, TR_BBO = 3, TR_TICKER = 4, TR_FUNDING = 5,
    TR_OPEN_INTEREST = 6, TR_LIQUIDATION = 7, TR_STATUS = 8, TR_INSTRUMENT = 9,
    TR_GAP = 10, TR_SIGNAL = 11, TR_HEARTBEAT = 12, TR_CANDLE = 13
};

enum tr_flags {
    TR_LAST = 1, TR_FIRST = 2, TR_SNAPSHOT = 4, TR_ID_HASH = 8,
    TR_CONFLATED = 16, TR_RECOVERED = 32, TR_CLOSED = 64, TR_PARTIAL = 128
};

enum tr_side {
    TR_SIDE_UNKNOWN = 0, TR_BUY = 1, TR_SELL = 2,           /* trade, liquidation */
    TR_CLEAR = 0, TR_BID = 1, TR_ASK = 2, TR_END = 3        /* book, bbo */
};

struct tr_record {
    uint8_t kind;
    uint8_t flags;
    uint16_t venue;
    uint32_t instrument;
    uint64_t seq;
    int64_t ts_event;
    int64_t ts_recv;
    int64_t price;
    int64_t size;
    uint64_t id;
    uint8_t side;
    uint8_t level;
    int8_t price_exp;
    int8_t size_exp;
    uint32_t count;
};

TR_ASSERT(sizeof(struct tr_record) == 64);
TR_ASSERT(offsetof(struct tr_record, kind) == 0);
TR_ASSERT(offsetof(struct tr_record, flags) == 1);
TR_ASSERT(offsetof(struct tr_record, venue) == 2);
TR_ASSERT(offsetof(struct tr_record, instrument) == 4);
TR_ASSERT(offsetof(struct tr_record, seq) == 8);
TR_ASSERT(offsetof(struct tr_record, ts_event) == 16);
TR_ASSERT(offsetof(struct tr_record, ts_recv) == 24);
TR_ASSERT(offsetof(struct tr_record, price) == 32);
TR_ASSERT(offsetof(struct tr_record, size) == 40);
TR_ASSERT(offsetof(struct tr_record, id) == 48);
TR_ASSERT(offsetof(struct tr_record, side) == 56);
TR_ASSERT(offsetof(struct tr_record, level) == 57);
TR_ASSERT(offsetof(struct tr_record, price_exp) == 58);
TR_ASSERT(offsetof(struct tr_record, size_exp) == 59);
TR_ASSERT(offsetof(struct tr_record, count) == 60);

#define TR_TABLE_MAGIC UINT64_C(0x3154534e49525454) /* "TTRINST1" */
#define TR_TABLE_VERSION 1
#define TR_TABLE_HEADER_SIZE 256
#define TR_TABLE_ENTRY_SIZE 256

struct tr_table_header {
    uint64_t magic;
    uint32_t version;
    uint32_t entry_size;
    uint64_t table_id;
    uint32_t capacity;
    uint32_t header_size;
    uint8_t zero1[32];
    uint64_t count; /* load with acquire: entries below it are published */
    uint8_t zero2[184];
};

/* A seqlock: read generation (acquire), retry while odd, copy the entry with
 * relaxed atomic 64-bit loads, fence, and take the copy only if generation is
 * unchanged. */
struct tr_table_entry {
    uint64_t generation;
    uint32_t id;
    uint16_t venue;
    uint8_t kind;
    int8_t price_exp;
    int8_t size_exp;
    int8_t tick_exp;
    int8_t lot_exp;
    int8_t contract_exp;
    uint8_t symbol_len;
    uint8_t native_len;
    uint16_t zero1;
    int64_t tick;
    int64_t lot;
    int64_t contract_size;
    int64_t expiry;
    uint64_t zero2;
    char symbol[96]; /* UTF-8, zero-filled, not terminated */
    char native[96];
};

TR_ASSERT(sizeof(struct tr_table_header) == TR_TABLE_HEADER_SIZE);
TR_ASSERT(offsetof(struct tr_table_header, table_id) == 16);
TR_ASSERT(offsetof(struct tr_table_header, count) == 64);
TR_ASSERT(sizeof(struct tr_table_entry) == TR_TABLE_ENTRY_SIZE);
TR_ASSERT(offsetof(struct tr_table_entry, venue) == 12);
TR_ASSERT(offsetof(struct tr_table_entry, price_exp) == 15);
TR_ASSERT(offsetof(struct tr_table_entry, symbol_len) == 20);
TR_ASSERT(offsetof(struct tr_table_entry, tick) == 24);
TR_ASSERT(offsetof(struct tr_table_entry, expiry) == 48);
TR_ASSERT(offsetof(struct tr_table_entry, symbol) == 64);
TR_ASSERT(offsetof(struct tr_table_entry, native) == 160);

#endif
