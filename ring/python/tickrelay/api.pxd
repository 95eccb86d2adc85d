# The C interface of tickrelay.h, for Cython code of your own:
#
#     from tickrelay cimport api
#     from tickrelay._client cimport Client
#
# Compile with -I of tickrelay.get_include(). docs/clients.md says what each
# function does; none of them needs the GIL.
from libc.stdint cimport int8_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "tickrelay.h" nogil:
    ctypedef struct tr_record:
        uint8_t kind
        uint8_t flags
        uint16_t venue
        uint32_t instrument
        uint64_t seq
        int64_t ts_event
        int64_t ts_recv
        int64_t price
        int64_t size
        uint64_t id
        uint8_t side
        uint8_t level
        int8_t price_exp
        int8_t size_exp
        uint32_t count

    const int64_t TR_ABSENT
    enum:
        TR_TRADE, TR_BOOK, TR_BBO, TR_TICKER, TR_FUNDING, TR_OPEN_INTEREST, TR_LIQUIDATION
        TR_STATUS, TR_INSTRUMENT, TR_GAP, TR_SIGNAL, TR_HEARTBEAT, TR_CANDLE
        TR_LAST, TR_FIRST, TR_SNAPSHOT, TR_ID_HASH, TR_CONFLATED, TR_RECOVERED, TR_CLOSED, TR_PARTIAL
        TR_BUY, TR_SELL, TR_CLEAR, TR_BID, TR_ASK, TR_END
        TR_CH_ALL, TR_CH_TRADES, TR_CH_BOOK, TR_CH_BBO
        TR_E_ARGUMENT, TR_E_NO_RELAY, TR_E_DENIED, TR_E_TOPIC, TR_E_REFUSED, TR_E_BUSY
        TR_E_FORMAT, TR_E_GONE, TR_E_CORRUPT, TR_E_SYSTEM, TR_E_UNSUPPORTED
        TR_BOOK_EMPTY, TR_BOOK_BUILDING, TR_BOOK_LIVE, TR_BOOK_BROKEN
        TR_DECIMAL_MAX, TR_TOPIC_MAX
    ctypedef enum tr_mode "enum tr_mode":
        TR_SPIN, TR_YIELD, TR_BLOCK

    ctypedef struct tr_error:
        int code
        char text[500]
    ctypedef struct tr_options:
        const char *relay
        const char *strategy
        const char *topics
        uint32_t capacity
        bint eventfd
        bint once
    ctypedef struct tr_table:
        uint64_t id
    ctypedef struct tr_client:
        unsigned n
        unsigned lent
        tr_table table
    ctypedef struct tr_instrument:
        uint32_t id
        uint16_t venue
        uint8_t kind
        int8_t price_exp, size_exp, tick_exp, lot_exp, contract_exp
        int64_t tick, lot, contract_size, expiry
        uint64_t generation
        char symbol[97]
        char native_name[97]
    ctypedef struct tr_level:
        int64_t price, size
        uint32_t count
    ctypedef struct tr_book_side:
        size_t n
    ctypedef struct tr_book:
        tr_book_side bids, asks
        int8_t price_exp, size_exp
        uint8_t state, reason
        uint64_t seq, epoch
        int64_t ts_event, ts_recv

    tr_client *tr_attach(const char *relay, const char *strategy, const char *topics, tr_error *err)
    tr_client *tr_attach_with(const tr_options *opt, tr_error *err)
    tr_client *tr_open(const char *dir, const char *name, tr_error *err)
    void tr_detach(tr_client *c)
    int64_t tr_poll(tr_client *c, tr_record *dst, size_t max)
    int64_t tr_lend(tr_client *c, const tr_record **recs, size_t max)
    void tr_release(tr_client *c, size_t n)
    int tr_wait(tr_client *c, tr_mode mode, int64_t timeout_ns)
    int tr_fd(tr_client *c)
    int tr_arm(tr_client *c)
    void tr_disarm(tr_client *c)
    void tr_interrupt(tr_client *c)
    int tr_subscribe(tr_client *c, const char *topics)
    int tr_unsubscribe(tr_client *c, const char *topics)
    const char *tr_message(const tr_client *c)
    bint tr_connected(const tr_client *c)
    uint64_t tr_sessions(const tr_client *c)
    uint64_t tr_depth(const tr_client *c)
    int64_t tr_lookup(const tr_client *c, const char *venue, const char *symbol)
    bint tr_get(const tr_client *c, uint32_t instrument, tr_instrument *out)
    uint32_t tr_table_count(const tr_table *t)
    size_t tr_topic(const tr_client *c, const tr_record *r, char *buf)
    const char *tr_venue_name(unsigned venue)
    unsigned tr_venue_number(const char *name)
    size_t tr_decimal_text(char *buf, int64_t mant, int8_t exp)
    double tr_double(int64_t mant, int8_t exp)
    bint tr_rescale(int64_t mant, int8_t from_exp, int8_t to_exp, int64_t *out)
    int tr_cmp(int64_t a, int8_t a_exp, int64_t b, int8_t b_exp)
    void tr_keep(tr_client *c, int by)
    void tr_drop(tr_client *c)
    void tr_book_apply(tr_book *b, const tr_record *r)
    void tr_book_free(tr_book *b)
    const tr_level *tr_best(const tr_book_side *s, size_t i)
    size_t tr_book_mid(const tr_book *b, char *buf)
