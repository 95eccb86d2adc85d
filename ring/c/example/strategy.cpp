// A strategy: mid price and imbalance of one book, and its trades, a line a
// second. It keeps running while the relay is stopped and started again.
//
//     tickrelay demo &
//     c++ -std=c++17 -O2 -I ring/c -o strategy ring/c/example/strategy.cpp && ./strategy demo binance BTC-USDT
#include "tickrelay.hpp"

#include <iostream>

namespace {

constexpr size_t depth = 5; // levels of the imbalance

class strategy {
public:
    explicit strategy(std::optional<uint32_t> instrument) : instrument_(instrument) {}

    void on(const tickrelay::client &md, const tr_record &r, const char *venue, const char *symbol) {
        if (r.kind == TR_HEARTBEAT && r.side == TR_CH_ALL) {
            instrument_ = md.lookup(venue, symbol); // after a new epoch the table may be another one
            book_.apply(r);
        }
        if (r.instrument != instrument_) return;
        if (r.kind == TR_TRADE) {
            trades_++;
            last_ = r;
        } else {
            gaps_ += r.kind == TR_GAP;
            book_.apply(r);
        }
    }

    void print(bool connected) const {
        if (const std::string mid = book_.mid(); !mid.empty()) {
            std::cout << "mid " << mid << "  imbalance " << imbalance() << "  trades " << trades_ << "  last "
                      << tickrelay::decimal(last_.price, last_.price_exp);
        } else {
            std::cout << "no live book" << (connected ? "" : ", relay away") << "  trades " << trades_;
        }
        std::cout << "  gaps " << gaps_ << std::endl;
    }

private:
    // (bid size − ask size) / (bid size + ask size) of the first levels
    double imbalance() const {
        double bid = 0, ask = 0;
        for (size_t i = 0; i < depth; i++) {
            if (const tr_level *l = book_.bid(i)) bid += static_cast<double>(l->size);
            if (const tr_level *l = book_.ask(i)) ask += static_cast<double>(l->size);
        }
        return (bid - ask) / (bid + ask);
    }

    std::optional<uint32_t> instrument_;
    tickrelay::book book_;
    tr_record last_{};
    uint64_t trades_ = 0, gaps_ = 0;
};

} // namespace

int main(int argc, char **argv) try {
    using namespace std::chrono_literals;
    const char *relay = argc > 1 ? argv[1] : "demo", *venue = argc > 2 ? argv[2] : "binance", *symbol = argc > 3 ? argv[3] : "BTC-USDT";
    long lines = argc > 4 ? std::atol(argv[4]) : -1;
    const std::string topic = std::string(symbol) + " " + venue + ".trades." + symbol;

    tickrelay::client md(relay, "example-cpp", (std::string(venue) + ".book." + topic).c_str());
    strategy s(md.lookup(venue, symbol));
    for (auto next = std::chrono::steady_clock::now() + 1s; lines != 0;) {
        if (md.wait(TR_BLOCK, 50ms)) md.each([&](const tr_record &r) { s.on(md, r, venue, symbol); });
        if (std::chrono::steady_clock::now() >= next) {
            next += 1s;
            lines -= lines > 0;
            s.print(md.connected());
        }
    }
    return 0;
} catch (const tickrelay::error &e) {
    std::cerr << "strategy: " << e.what() << std::endl;
    return 1;
}
