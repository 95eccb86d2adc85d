#!/usr/bin/env python3
"""A strategy: mid price and imbalance of one book, and its trades, a line a second.

It keeps running while the relay is stopped and started again.

    tickrelay demo &
    pip install ./ring/python && python3 ring/python/example/strategy.py demo binance BTC-USDT
"""
import sys
import time

import tickrelay as tr


def main(relay="demo", venue="binance", symbol="BTC-USDT", lines=-1):
    trades = gaps = 0
    last = None
    lines = int(lines)
    shown = time.monotonic()
    with tr.attach(relay, "example-python", [f"{venue}.book.{symbol}", f"{venue}.trades.{symbol}"]) as md:
        book = tr.Book(md.lookup(venue, symbol))
        sessions = md.sessions
        for batch in md.batches(timeout=0.05):
            if md.sessions != sessions:  # another relay: the instrument may have another number
                sessions, book = md.sessions, tr.Book(md.lookup(venue, symbol))
            book.apply(batch)
            for r in batch:
                kind = r[0]
                if kind == tr.TRADE:
                    trades += 1
                    last = tr.decimal(r[7], r[12])  # price and its exponent
                elif kind == tr.GAP:
                    gaps += 1
            if time.monotonic() - shown < 1:
                continue
            shown += 1
            state = f"mid {book.mid()}  imbalance {book.imbalance():+.3f}" if book.live else f"book {book.state}"
            print(state, f" trades {trades}  last {last}  gaps {gaps}", "" if md.connected else " relay away", flush=True)
            lines -= 1
            if lines == 0:
                return


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except tr.Error as e:
        sys.exit(f"strategy: {e}")
    except KeyboardInterrupt:
        pass
