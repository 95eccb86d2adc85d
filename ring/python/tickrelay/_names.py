"""Names and shapes that need no compiled code."""
from typing import NamedTuple, Optional

FIELDS = ("kind", "flags", "venue", "instrument", "seq", "ts_event", "ts_recv", "price", "size",
          "id", "side", "level", "price_exp", "size_exp", "count")
FORMATS = ("u1", "u1", "<u2", "<u4", "<u8", "<i8", "<i8", "<i8", "<i8",
           "<u8", "u1", "u1", "i1", "i1", "<u4")

TRADE, BOOK, BBO, TICKER, FUNDING, OPEN_INTEREST, LIQUIDATION, STATUS, INSTRUMENT, GAP, SIGNAL, HEARTBEAT, CANDLE = range(1, 14)
LAST, FIRST, SNAPSHOT, ID_HASH, CONFLATED, RECOVERED, CLOSED, PARTIAL = 1, 2, 4, 8, 16, 32, 64, 128
BUY, SELL = 1, 2
CLEAR, BID, ASK, END = 0, 1, 2, 3
ABSENT = -2**63
UNKNOWN_MISSING = 2**32 - 1


class Record(NamedTuple):
    """One market event; docs/record.md says what the fields mean."""
    kind: int
    flags: int
    venue: int
    instrument: int
    seq: int
    ts_event: int
    ts_recv: int
    price: int
    size: int
    id: int
    side: int
    level: int
    price_exp: int
    size_exp: int
    count: int


class Instrument(NamedTuple):
    """An entry of the instrument table; tick, lot and contract size are exact text."""
    id: int
    venue: str
    kind: int
    symbol: str
    native: str
    price_exp: int
    size_exp: int
    tick: Optional[str]
    lot: Optional[str]
    contract_size: Optional[str]
    expiry: int
    generation: int


class Level(NamedTuple):
    """A price level: mantissas at the book's exponents."""
    price: int
    size: int
    count: int


def dtype():
    """The record as a NumPy structured dtype."""
    import numpy
    return numpy.dtype(list(zip(FIELDS, FORMATS)))


class Error(Exception):
    """A failure; code is the enum tr_code of tickrelay.h."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class NotRunning(Error):
    """Nothing listens there, or there is no such ring."""


class Denied(Error):
    """No permission."""


class TopicError(Error):
    """A pattern does not parse, or nobody serves the topic; the message has the nearest ones."""


class Refused(Error):
    """The relay said no."""


class Busy(Error):
    """The ring has a reader already, or the relay has no lease left."""


class FormatError(Error):
    """Another version: build the package from the relay's release."""


class Gone(Error):
    """The relay ended and everything was read; only with once=True."""


_BY_CODE = {-2: NotRunning, -3: Denied, -4: TopicError, -5: Refused, -6: Busy, -7: FormatError, -8: Gone}


def error_for(code: int, message: str) -> Error:
    return _BY_CODE.get(code, Error)(code, message)
