// tickrelay.hpp: the client of tickrelay.h for C++17, with owners and
// exceptions. Everything of tickrelay.h can be used beside it.
//
//     tickrelay::client md("demo", "alpha", "binance.book.BTC-USDT binance.trades.BTC-USDT");
//     for (;;)
//         if (md.wait(TR_BLOCK)) md.each([&](const tr_record &r) { ... });
#ifndef TICKRELAY_HPP
#define TICKRELAY_HPP

#include "tickrelay.h"

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace tickrelay {

// error is thrown where the C functions return a code below 0.
class error : public std::runtime_error {
public:
    error(int code, const std::string &text) : std::runtime_error(text), code_(code) {}
    int code() const noexcept { return code_; } // enum tr_code
private:
    int code_;
};

// decimal is the shortest exact text of mant × 10^exp.
inline std::string decimal(int64_t mant, int8_t exp) {
    char buf[TR_DECIMAL_MAX];
    return std::string(buf, tr_decimal_text(buf, mant, exp));
}

// client owns a tr_client. One thread uses it; only interrupt() may be called
// from others.
class client {
public:
    client(const char *relay, const char *strategy, const char *topics) {
        tr_error err;
        own(tr_attach(relay, strategy, topics, &err), err);
    }
    explicit client(const tr_options &options) {
        tr_error err;
        own(tr_attach_with(&options, &err), err);
    }
    // open opens a ring that the relay's configuration declares, by path alone.
    static client open(const char *dir, const char *name) {
        tr_error err;
        client c;
        c.own(tr_open(dir, name, &err), err);
        return c;
    }
    client(client &&other) noexcept : c_(std::exchange(other.c_, nullptr)) {}
    client &operator=(client &&other) noexcept {
        std::swap(c_, other.c_);
        return *this;
    }
    client(const client &) = delete;
    client &operator=(const client &) = delete;
    ~client() { tr_detach(c_); }

    // each calls f(const tr_record &) for the records that are there, in place,
    // at most max of them, and returns how many. If f throws, none is released.
    template <class F> size_t each(F &&f, size_t max = 1024) {
        const tr_record *recs;
        const size_t n = check(tr_lend(c_, &recs, max));
        for (size_t i = 0; i < n; i++) f(recs[i]);
        tr_release(c_, n);
        return n;
    }
    size_t poll(tr_record *dst, size_t max) { return check(tr_poll(c_, dst, max)); }
    // wait is true if there is something to read, false after the timeout
    // (negative: none) or an interrupt.
    bool wait(tr_mode mode, std::chrono::nanoseconds timeout = std::chrono::nanoseconds(-1)) {
        return check(tr_wait(c_, mode, timeout.count())) != 0;
    }
    void interrupt() { tr_interrupt(c_); }
    void subscribe(const char *topics) { check(tr_subscribe(c_, topics)); }
    void unsubscribe(const char *topics) { check(tr_unsubscribe(c_, topics)); }
    bool connected() const { return tr_connected(c_); }
    std::optional<uint32_t> lookup(const char *venue, const char *symbol) const {
        const int64_t id = tr_lookup(c_, venue, symbol);
        if (id < 0) return std::nullopt;
        return static_cast<uint32_t>(id);
    }
    std::optional<tr_instrument> instrument(uint32_t id) const {
        tr_instrument in;
        if (!tr_get(c_, id, &in)) return std::nullopt;
        return in;
    }
    std::string topic(const tr_record &r) const {
        char buf[TR_TOPIC_MAX];
        return std::string(buf, tr_topic(c_, &r, buf));
    }
    tr_client *get() const noexcept { return c_; } // for the C functions

private:
    client() = default;
    void own(tr_client *c, const tr_error &err) {
        if (!c) throw error(err.code, err.text);
        c_ = c;
    }
    size_t check(int64_t n) const {
        if (n < 0) throw error(static_cast<int>(n), tr_message(c_));
        return static_cast<size_t>(n);
    }
    tr_client *c_ = nullptr;
};

// book owns a tr_book.
class book {
public:
    book() { memset(&b_, 0, sizeof b_); }
    ~book() { tr_book_free(&b_); }
    book(const book &) = delete;
    book &operator=(const book &) = delete;
    void apply(const tr_record &r) { tr_book_apply(&b_, &r); }
    const tr_book *operator->() const noexcept { return &b_; }
    const tr_level *bid(size_t i = 0) const { return tr_best(&b_.bids, i); }
    const tr_level *ask(size_t i = 0) const { return tr_best(&b_.asks, i); }
    bool live() const { return b_.state == TR_BOOK_LIVE; }
    // mid is half of best bid plus best ask, exact; "" unless live and two-sided.
    std::string mid() const {
        char buf[TR_DECIMAL_MAX];
        return std::string(buf, tr_book_mid(&b_, buf));
    }

private:
    tr_book b_;
};

} // namespace tickrelay

#endif
