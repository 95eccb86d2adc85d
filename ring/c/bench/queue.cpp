// What the ring is held against: a plain queue between one producing and one
// consuming thread, 64-byte elements, each side keeping a copy of the other's
// index. No shared memory, no losses, no wake-ups.
//
//     queue MS BATCH      prints "rate" in elements per second
#include <sched.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>

namespace {

struct alignas(64) element {
    uint64_t word[8];
};

class queue {
public:
    bool push(const element *e, uint64_t n) {
        const uint64_t head = head_.load(std::memory_order_relaxed);
        if (size - (head - tail_seen_) < n) {
            tail_seen_ = tail_.load(std::memory_order_acquire);
            if (size - (head - tail_seen_) < n) return false;
        }
        for (uint64_t i = 0; i < n; i++) slots_[(head + i) & (size - 1)] = e[i];
        head_.store(head + n, std::memory_order_release);
        return true;
    }
    uint64_t pop(element *e, uint64_t max) {
        const uint64_t tail = tail_.load(std::memory_order_relaxed);
        if (head_seen_ == tail) {
            head_seen_ = head_.load(std::memory_order_acquire);
            if (head_seen_ == tail) return 0;
        }
        const uint64_t n = head_seen_ - tail < max ? head_seen_ - tail : max;
        for (uint64_t i = 0; i < n; i++) e[i] = slots_[(tail + i) & (size - 1)];
        tail_.store(tail + n, std::memory_order_release);
        return n;
    }

private:
    static constexpr uint64_t size = 4096;
    alignas(128) std::atomic<uint64_t> head_{0};
    uint64_t tail_seen_ = 0; // beside what the same thread writes
    alignas(128) std::atomic<uint64_t> tail_{0};
    uint64_t head_seen_ = 0;
    alignas(128) element slots_[size];
};

void pin(int core) {
    if (std::thread::hardware_concurrency() < 2) return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<size_t>(core), &set);
    sched_setaffinity(0, sizeof set, &set);
}

void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

constexpr uint64_t stop = 255;

} // namespace

int main(int argc, char **argv) {
    using clock = std::chrono::steady_clock;
    const auto ms = std::chrono::milliseconds(argc > 1 ? std::atoi(argv[1]) : 500);
    const uint64_t batch = argc > 2 ? static_cast<uint64_t>(std::atoi(argv[2])) : 1;
    if (batch < 1 || batch > 1024) return 2;
    auto q = std::make_unique<queue>();
    std::thread producer([&] {
        pin(1);
        element out[1024] = {};
        for (auto until = clock::now() + ms; clock::now() < until;)
            for (int i = 0; i < 1024; i++)
                for (int spins = 0; !q->push(out, batch);) {
                    if (++spins % 1000 == 0) sched_yield();
                    pause();
                }
        out[0].word[0] = stop;
        while (!q->push(out, 1)) sched_yield();
    });
    pin(0);
    uint64_t n = 0;
    element in[1024];
    const uint64_t most = batch == 1 ? 1 : 1024;
    const auto start = clock::now();
    for (int spins = 0;;) {
        const uint64_t k = q->pop(in, most);
        if (k == 0) {
            if (++spins % 1000 == 0) sched_yield();
            continue;
        }
        __asm__ __volatile__("" : : "r"(in) : "memory");
        n += k;
        if (in[k - 1].word[0] == stop) break;
    }
    std::printf("rate %.0f\n", static_cast<double>(n) / std::chrono::duration<double>(clock::now() - start).count());
    producer.join();
}
