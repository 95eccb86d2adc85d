"""Market data of a tickrelay relay over shared memory.

    import tickrelay
    with tickrelay.attach("demo", "alpha", "binance.book.BTC-USDT binance.trades.BTC-USDT") as md:
        for batch in md: ...

docs/clients.md has the whole interface, docs/record.md what a record means.
"""
import os as _os

from ._client import BLOCK, SPIN, YIELD, Book, Client, decimal, floats, to_float
from ._names import (ABSENT, ASK, BBO, BID, BOOK, BUY, CANDLE, CLEAR, CLOSED, CONFLATED, END, FIELDS, FIRST, FORMATS, FUNDING, GAP, HEARTBEAT,
                     ID_HASH, INSTRUMENT, LAST, LIQUIDATION, OPEN_INTEREST, PARTIAL, RECOVERED, SELL, SIGNAL, SNAPSHOT, STATUS, TICKER,
                     TRADE, UNKNOWN_MISSING, Busy, Denied, Error, FormatError, Gone, Instrument, Level, NotRunning, Record,
                     Refused, TopicError, dtype)


def attach(relay, strategy, topics, *, capacity=0, eventfd=False, once=False):
    """Asks a running relay, by name or socket path, for rings with some topics (patterns)."""
    return Client._attach(_os.fspath(relay), strategy, topics, capacity, eventfd, once)


def open(directory, name):
    """Opens a ring that the relay's configuration declares, by path alone."""
    return Client._open(_os.fspath(directory), name)


def get_include():
    """The directory of tickrelay.h, for C and Cython code of your own."""
    return _os.path.join(_os.path.dirname(_os.path.abspath(__file__)), "include")
