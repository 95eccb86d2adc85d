"""What needs no market: shapes, numbers, life times, refusals, the golden bytes.

    check.py SOCKET GOLDEN_RECORDS
"""
import gc
import sys

import tickrelay as tr

try:
    import numpy as np
except ImportError:
    np = None


def refused(kind, f, *args, **kw):
    try:
        f(*args, **kw)
    except kind as e:
        return str(e)
    raise AssertionError(f"{f} did not raise {kind}")


def numbers():
    assert tr.decimal(6412345, -2) == "64123.45" and tr.decimal(1100, -10) == "0.00000011"
    assert tr.decimal(tr.ABSENT, 0) is None and tr.to_float(5, -1) == 0.5
    assert tr.to_float(9007199254740993, -22) == float("9007199254740993e-22")


def books():
    def rec(side, price, size, seq, flags=0, kind=tr.BOOK):
        return tr.Record(kind, flags, 5, 7, seq, 0, 0, price, size, 0, side, 0, -2, -3, 0)

    b = tr.Book(7)
    b.apply([rec(tr.CLEAR, 0, 0, 4, tr.SNAPSHOT), rec(tr.BID, 100, 5, 4, tr.SNAPSHOT), rec(tr.ASK, 103, 15, 4, tr.SNAPSHOT)])
    assert b.state == "building" and b.mid() is None
    b.apply([rec(tr.END, 0, 0, 4, tr.SNAPSHOT), rec(tr.BID, 101, 5, 5)])
    assert b.live and b.mid() == "1.02" and b.size == (2, 1) and b.imbalance() == (10 - 15) / 25
    assert b.bids(1) == [(101, 5, 0)] and b.exponents == (-2, -3) and b.seq == 5
    big = 9223372036854775807
    b.apply([rec(tr.ASK, big - 1, 1, 6), rec(tr.ASK, 103, 0, 7), rec(tr.BID, big - 3, 1, 8)])
    assert b.mid() == "92233720368547758.05"  # half the sum of two numbers that do not fit one
    b.apply([rec(tr.ASK, big, 1, 9), rec(tr.ASK, big - 1, 0, 10)])
    assert b.mid() == "92233720368547758.055"
    b.apply([rec(tr.BID, 101, 0, 12)])
    assert b.state == "broken"


def golden(path):
    data = open(path, "rb").read()
    rows = [tuple(int(v) for v in line.split()) for line in open(path + ".txt")]
    assert len(rows) * 64 == len(data) and rows
    if np is not None:
        assert tr.dtype().itemsize == 64
        assert np.frombuffer(data, tr.dtype()).tolist() == rows


def life(socket):
    md = tr.attach(socket, "check", "okx.>", capacity=1024)
    assert md.wait(5) and md.connected and md.sessions == 1
    batch = md.lend(100)
    assert 0 < len(batch) <= 100 and md.topic(batch[0]) != ""
    if np is not None:
        assert not batch.flags.writeable and not batch.flags.owndata and batch.dtype == tr.dtype()
        refused(ValueError, batch["price"].__setitem__, 0, 1)
        own = np.zeros(64, tr.dtype())
        md.wait(5)
        n = md.poll_into(own)
        assert 0 < n <= 64 and own["kind"][:n].all() and not own["kind"][n:].any()
        md.wait(5)
        mine = md.poll(10)
        assert mine.flags.owndata and len(mine)
        assert len(tr.floats(mine)) == len(mine)
        view = md.lend(10)
    else:
        assert isinstance(batch, list) and isinstance(batch[0], tr.Record)
        view = None
    md.close()
    md.close()
    refused(ValueError, md.lend)
    if view is not None:
        assert len(view.tolist()) == len(view)  # still mapped, though closed
        del view, batch
        gc.collect()
    for _ in range(20):  # nothing piles up
        with tr.attach(socket, "again", ["okx.trades.BTC-USDT"], capacity=64) as md:
            md.wait(5)
            md.records(5)


def refusals(socket):
    assert "is the relay running?" in refused(tr.NotRunning, tr.attach, "no-such-relay", "s", "okx.>")
    assert "nearest" in refused(tr.TopicError, tr.attach, socket, "s", "binance.trades.DOGE")
    refused(tr.TopicError, tr.attach, socket, "s", "a..b")
    refused(tr.Error, tr.attach, socket, "", "okx.>")
    refused(tr.Error, tr.attach, socket, "s", "")
    refused(TypeError, tr.Client._attach)


if __name__ == "__main__":
    numbers()
    books()
    golden(sys.argv[2])
    life(sys.argv[1])
    refusals(sys.argv[1])
    print("ok", "numpy" if np is not None else "tuples")
