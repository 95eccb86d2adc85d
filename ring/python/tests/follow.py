"""Reads the relay of package clienttest and proves every record; prints figures
until it is killed, or exits 1 with what is wrong.

    follow.py SOCKET|DIRECTORY lend|poll|records|async CAPACITY STALL_MS
"""
import asyncio
import os
import sys
import time

import tickrelay as tr

MASK = 2**64 - 1


def mix(x):
    x &= MASK
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & MASK
    return x ^ x >> 31


def level_hash(side, price, size):
    return mix((price & MASK) ^ mix((size & MASK) ^ mix(side)))


class Proof:
    def __init__(self, instrument):
        self.instrument = instrument
        self.book = tr.Book(instrument)
        self.epoch = self.epochs = self.trades = self.checks = self.lost = self.overruns = self.aways = 0
        self.next = None

    def expect(self, ok, what, r):
        if not ok:
            print(f"error: {what}: {r}, expected number {self.next}", flush=True)
            sys.exit(1)

    def take(self, r):
        if r.kind == tr.HEARTBEAT and r.side == 0:
            if r.id != self.epoch:
                self.expect(r.id > self.epoch, "an epoch that is older", r)
                self.epoch, self.next = r.id, None
                self.epochs += 1
        self.book.apply((r,))
        if r.kind == tr.HEARTBEAT and r.side == 1:
            self.next = r.seq + 1
        elif r.kind == tr.GAP:
            self.overruns += r.level == 4
            self.aways += r.level == 3
            if r.side == 1 and r.level != 3:
                self.expect(r.id == self.next and r.count == r.seq - r.id + 1, "a gap that does not fit", r)
                self.lost += r.count
                self.next = r.seq + 1
        elif r.kind == tr.TRADE:
            self.trade(r)

    def trade(self, r):
        self.expect(r.instrument == self.instrument and r.seq == self.next, "a number is missing", r)
        ok = (r.ts_event, r.ts_recv, r.price, r.size) == tuple(mix(r.seq + i) >> 1 for i in range(4))
        self.expect(ok, "a torn or stale record", r)
        self.next += 1
        self.trades += 1
        if self.trades % 16 or not self.book.live or self.book.seq & 0xFFFFFFFF != r.count:
            return
        bids, asks = self.book.bids(10**6), self.book.asks(10**6)
        total = sum(level_hash(tr.BID, p, s) for p, s, _ in bids) + sum(level_hash(tr.ASK, p, s) for p, s, _ in asks)
        self.expect(total & MASK == r.id, "the book is not the true one", r)
        self.expect(bids == sorted(bids, reverse=True) and asks == sorted(asks), "the book is not sorted", r)
        self.checks += 1

    def say(self, md):
        print(f"trades {self.trades} checks {self.checks} lost {self.lost} overruns {self.overruns} aways {self.aways} "
              f"epochs {self.epochs} sessions {md.sessions}", flush=True)


def as_records(batch):
    if isinstance(batch, list):
        return batch
    return [tr.Record(*t) for t in batch.tolist()]


async def follow_async(md, proof):
    async for batch in md:
        for r in as_records(batch):
            proof.take(r)
        proof.say(md)


def main(where, how="lend", capacity="0", stall_ms="0"):
    topics = ["okx.book.BTC-USDT", "okx.trades.BTC-USDT"]
    if os.path.isdir(where):
        md = tr.open(where, "declared")
    else:
        md = tr.attach(where, "follow-python", topics, capacity=int(capacity), eventfd=how == "async")
    proof = Proof(md.lookup("okx", "BTC-USDT"))
    assert md.instrument(proof.instrument).tick == "0.01", md.instrument(proof.instrument)
    if how == "async":
        asyncio.run(follow_async(md, proof))
    read = {"lend": md.lend, "poll": md.poll, "records": md.records}[how]
    stalled = time.monotonic()
    while True:
        batch = read(500)
        for r in as_records(batch):
            proof.take(r)
        if not len(batch):
            md.wait(0.2)
        proof.say(md)
        if int(stall_ms) and time.monotonic() - stalled > 0.1:
            time.sleep(int(stall_ms) / 1000)
            stalled = time.monotonic()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except tr.Error as e:
        sys.exit(f"error: {e.code} {e}")
