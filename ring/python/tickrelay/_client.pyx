# cython: language_level=3, boundscheck=False, wraparound=False
"""The client of a tickrelay relay, over tickrelay.h."""
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int8_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from tickrelay.api cimport *

from ._names import Error, Instrument, Level, Record, dtype, error_for

try:
    import numpy as _np
    _dtype = dtype()
    _frombuffer, _empty = _np.frombuffer, _np.empty
except ImportError:
    _np = _dtype = _frombuffer = _empty = None

SPIN, YIELD, BLOCK = TR_SPIN, TR_YIELD, TR_BLOCK
cdef int64_t SLICE_NS = 100000000  # so often Ctrl-C is looked for


cdef inline tuple as_tuple(const tr_record *r):
    return (r.kind, r.flags, r.venue, r.instrument, r.seq, r.ts_event, r.ts_recv, r.price, r.size,
            r.id, r.side, r.level, r.price_exp, r.size_exp, r.count)


cdef int from_tuple(object t, tr_record *r) except -1:
    (r.kind, r.flags, r.venue, r.instrument, r.seq, r.ts_event, r.ts_recv, r.price, r.size,
     r.id, r.side, r.level, r.price_exp, r.size_exp, r.count) = t
    return 0


cdef list as_records(const tr_record *recs, size_t n):
    cdef size_t i
    cdef object make = tuple.__new__
    return [make(Record, as_tuple(recs + i)) for i in range(n)]


cdef class Lent:
    """Records in place, as a read-only buffer of 64-byte records."""

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, <void *>self.recs, self.n * sizeof(tr_record), 1, flags)
        if self.copy is None:
            self.owner.views += 1
            tr_keep(self.owner.c, 1)

    def __releasebuffer__(self, Py_buffer *view):
        cdef Client owner = self.owner
        if self.copy is not None:
            return
        owner.views -= 1
        tr_keep(owner.c, -1)
        if owner.closed and owner.views == 0:
            tr_detach(owner.c)
            owner.c = NULL

    def __len__(self):
        return self.n


cdef class Client:
    """The rings of one attachment. One thread uses it; interrupt() is for others."""

    @staticmethod
    def _attach(str relay, str strategy, object topics, unsigned int capacity, bint eventfd, bint once):
        cdef Client self = Client.__new__(Client)
        cdef tr_options opt
        cdef tr_error err
        if not isinstance(topics, str):
            topics = " ".join(topics)
        cdef bytes b_relay = relay.encode(), b_strategy = strategy.encode(), b_topics = topics.encode()
        memset(&opt, 0, sizeof(opt))
        opt.relay, opt.strategy, opt.topics = b_relay, b_strategy, b_topics
        opt.capacity, opt.eventfd, opt.once = capacity, eventfd, once
        with nogil:
            self.c = tr_attach_with(&opt, &err)
        if self.c == NULL:
            raise error_for(err.code, err.text.decode("utf-8", "replace"))
        return self

    @staticmethod
    def _open(str directory, str name):
        cdef Client self = Client.__new__(Client)
        cdef tr_error err
        cdef bytes b_dir = directory.encode(), b_name = name.encode()
        self.c = tr_open(b_dir, b_name, &err)
        if self.c == NULL:
            raise error_for(err.code, err.text.decode("utf-8", "replace"))
        return self

    def __dealloc__(self):
        if self.c != NULL:  # no view is left: each holds a reference
            tr_detach(self.c)
            self.c = NULL

    cdef tr_client *get(self) except NULL:
        if self.c == NULL or self.closed:
            raise ValueError("the client is closed")
        if self.busy:
            raise RuntimeError("the client waits in another thread; a client belongs to one thread")
        return self.c

    cdef int check(self, long long n) except -1:
        if n < 0:
            raise error_for(n, tr_message(self.c).decode("utf-8", "replace"))
        return 0

    cdef void drop_lent(self):
        if self.lent:
            tr_release(self.c, self.lent)
            self.lent = 0

    cdef object batch(self, const tr_record *recs, size_t n):
        cdef Lent lent
        if _frombuffer is None:
            return as_records(recs, n)
        if n == 0:
            return _empty(0, _dtype)
        lent = Lent.__new__(Lent)
        lent.owner, lent.recs, lent.n = self, recs, n
        if self.c.lent >= self.c.n:  # gap records of the client itself: that memory is used again
            lent.copy = PyBytes_FromStringAndSize(<const char *>recs, n * sizeof(tr_record))
            lent.recs = <const tr_record *>PyBytes_AS_STRING(lent.copy)
        return _frombuffer(lent, _dtype)

    def lend(self, size_t max=4096):
        """The records that are there, in place: valid until the next call of anything but the
        plain questions. With NumPy a read-only structured array, else a list of Records."""
        cdef const tr_record *recs
        cdef int64_t n
        self.get()
        self.drop_lent()
        n = tr_lend(self.c, &recs, max)
        self.check(n)
        self.lent = n
        return self.batch(recs, n)

    def release(self):
        """Gives the lent records' slots back; the next lend, poll or wait does it too."""
        self.get()
        self.drop_lent()

    def poll(self, size_t max=4096):
        """The records that are there, copied: an array, or a list of Records, of your own."""
        cdef const tr_record *recs
        cdef int64_t n
        self.get()
        self.drop_lent()
        n = tr_lend(self.c, &recs, max)
        self.check(n)
        if _frombuffer is None:
            out = as_records(recs, n)
        else:
            out = _empty(n, _dtype)
            if n:
                out[:] = _frombuffer(PyBytes_FromStringAndSize(<const char *>recs, n * sizeof(tr_record)), _dtype)
        tr_release(self.c, n)
        return out

    def poll_into(self, object buffer):
        """Copies records into a writable buffer of 64-byte records; how many."""
        cdef Py_buffer view
        cdef int64_t n
        self.get()
        self.drop_lent()
        PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE | 1)  # PyBUF_WRITABLE
        try:
            n = tr_poll(self.c, <tr_record *>view.buf, view.len // sizeof(tr_record))
        finally:
            PyBuffer_Release(&view)
        self.check(n)
        return n

    def records(self, size_t max=4096):
        """The records that are there as a list of Records (named tuples), NumPy or not."""
        cdef const tr_record *recs
        cdef int64_t n
        self.get()
        self.drop_lent()
        n = tr_lend(self.c, &recs, max)
        self.check(n)
        out = as_records(recs, n)
        tr_release(self.c, n)
        return out

    def wait(self, object timeout=None, int mode=TR_BLOCK):
        """Waits at most timeout seconds (None: for ever) for something to read: True if there is.
        Others may run meanwhile. Ctrl-C works."""
        cdef int64_t left = -1, part
        cdef int rc = 0
        cdef tr_mode how = <tr_mode>mode
        self.get()
        if mode < TR_SPIN or mode > TR_BLOCK:
            raise ValueError("mode: want SPIN, YIELD or BLOCK")
        self.drop_lent()
        if timeout is not None:
            left = max(0, <int64_t>(timeout * 1e9))
        while True:
            part = SLICE_NS if left < 0 or left > SLICE_NS else left
            self.busy = True
            with nogil:
                rc = tr_wait(self.c, how, part)
            self.busy = False
            self.check(rc)
            if left > 0:
                left -= part
            if rc or left == 0:
                return rc != 0
            PyErr_CheckSignals()

    def batches(self, object timeout=None, size_t max=4096, int mode=TR_BLOCK):
        """Lends batch after batch; an empty one when nothing came for timeout seconds."""
        while not self.closed:
            batch = self.lend(max)
            if not len(batch):
                if self.wait(timeout, mode):
                    continue
            yield batch

    def __iter__(self):
        return self.batches()

    def __aiter__(self):
        from ._aio import AsyncBatches
        return AsyncBatches(self)

    def fileno(self):
        """A descriptor for event loops; see arm and disarm. Attach with eventfd=True."""
        cdef int fd
        self.get()
        fd = tr_fd(self.c)
        self.check(fd)
        return fd

    def arm(self):
        """Before sleeping on fileno(): True if there is something to read already."""
        cdef int rc
        self.get()
        self.drop_lent()
        rc = tr_arm(self.c)
        self.check(rc)
        return rc != 0

    def disarm(self):
        """After sleeping on fileno()."""
        if self.c != NULL and not self.closed:
            tr_disarm(self.c)

    def interrupt(self):
        """Ends a slice of a wait in another thread early."""
        if self.c != NULL:
            tr_interrupt(self.c)

    def subscribe(self, object topics):
        self._change(topics, True)

    def unsubscribe(self, object topics):
        self._change(topics, False)

    def _change(self, object topics, bint more):
        cdef bytes b = (topics if isinstance(topics, str) else " ".join(topics)).encode()
        cdef const char *text = b
        cdef int rc
        self.get()
        self.drop_lent()
        self.busy = True
        with nogil:
            rc = tr_subscribe(self.c, text) if more else tr_unsubscribe(self.c, text)
        self.busy = False
        self.check(rc)

    @property
    def connected(self):
        return tr_connected(self.get())

    @property
    def sessions(self):
        return tr_sessions(self.get())

    @property
    def depth(self):
        return tr_depth(self.get())

    @property
    def message(self):
        return tr_message(self.get()).decode("utf-8", "replace")

    def lookup(self, str venue, str symbol):
        """The instrument's number as in records, None if it is not listed."""
        cdef int64_t n = tr_lookup(self.get(), venue.encode(), symbol.encode())
        return None if n < 0 else n

    def instrument(self, uint32_t number):
        """What is known of an instrument, None if there is none."""
        cdef tr_instrument i
        if not tr_get(self.get(), number, &i):
            return None
        return Instrument(i.id, tr_venue_name(i.venue).decode(), i.kind, i.symbol.decode("utf-8", "replace"),
                          i.native_name.decode("utf-8", "replace"), i.price_exp, i.size_exp, decimal(i.tick, i.tick_exp),
                          decimal(i.lot, i.lot_exp), decimal(i.contract_size, i.contract_exp), i.expiry, i.generation)

    def instruments(self):
        """All instruments of the relay's table."""
        cdef uint32_t n = tr_table_count(&self.get().table)
        found = (self.instrument(i) for i in range(n))
        return [i for i in found if i is not None]

    def topic(self, object record):
        """The topic of a record, "binance.trades.BTC-USDT"."""
        cdef char text[160]
        cdef tr_record r
        from_tuple(record.item() if hasattr(record, "item") else record, &r)
        return text[:tr_topic(self.get(), &r, text)].decode("utf-8", "replace")

    def close(self):
        """Gives the rings back. Arrays that look into them stay readable, and are stale."""
        if self.closed or self.c == NULL:
            return
        self.get()
        self.drop_lent()
        self.closed = True
        if self.views:
            tr_drop(self.c)  # the last view frees the rest
        else:
            tr_detach(self.c)
            self.c = NULL

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def decimal(int64_t mantissa, int8_t exponent):
    """The shortest exact text of mantissa × 10^exponent, None if absent."""
    cdef char buf[TR_DECIMAL_MAX]
    if mantissa == TR_ABSENT:
        return None
    return buf[:tr_decimal_text(buf, mantissa, exponent)].decode("ascii")


def to_float(int64_t mantissa, int8_t exponent):
    """The nearest float to mantissa × 10^exponent; nan if absent."""
    return tr_double(mantissa, exponent)


def floats(object batch, str field="price"):
    """A float array of a batch's prices or sizes, each the nearest to its exact value."""
    cdef Py_buffer view
    cdef const tr_record *r
    cdef double[::1] out
    cdef size_t n, i
    cdef bint size = field == "size"
    if not size and field != "price":
        raise ValueError("field: want price or size")
    PyObject_GetBuffer(batch, &view, PyBUF_SIMPLE)
    try:
        n = view.len // sizeof(tr_record)
        values = _empty(n)
        out = values
        r = <const tr_record *>view.buf
        with nogil:
            for i in range(n):
                out[i] = tr_double(r[i].size, r[i].size_exp) if size else tr_double(r[i].price, r[i].price_exp)
    finally:
        PyBuffer_Release(&view)
    return values


cdef object book_states = ("empty", "building", "live", "broken")


cdef class Book:
    """The price levels of one instrument, from the records of its book topic."""

    def __cinit__(self, uint32_t instrument):
        memset(&self.b, 0, sizeof(self.b))
        self.instrument = instrument

    def __dealloc__(self):
        tr_book_free(&self.b)

    cdef void one(self, uint32_t instrument, const tr_record *r) nogil:
        if r.instrument == instrument or (r.kind == TR_HEARTBEAT and r.side == TR_CH_ALL):
            tr_book_apply(&self.b, r)

    def apply(self, object batch):
        """Applies a batch of records of any kind and instrument: an array or an iterable of Records."""
        cdef Py_buffer view
        cdef tr_record r
        cdef size_t n, i
        cdef uint32_t instrument = self.instrument
        if not PyObject_CheckBuffer(batch):
            for item in batch:
                from_tuple(item, &r)
                self.one(instrument, &r)
            return
        PyObject_GetBuffer(batch, &view, PyBUF_SIMPLE)
        try:
            n = view.len // sizeof(tr_record)
            with nogil:
                for i in range(n):
                    self.one(instrument, (<const tr_record *>view.buf) + i)
        finally:
            PyBuffer_Release(&view)

    @property
    def state(self):
        return book_states[self.b.state]

    @property
    def live(self):
        return self.b.state == TR_BOOK_LIVE

    @property
    def seq(self):
        return self.b.seq

    @property
    def exponents(self):
        """(price exponent, size exponent) of every level."""
        return self.b.price_exp, self.b.size_exp

    cdef list levels(self, const tr_book_side *s, size_t n):
        cdef size_t i
        cdef const tr_level *l
        out = []
        for i in range(min(n, s.n)):
            l = tr_best(s, i)
            out.append(Level(l.price, l.size, l.count))
        return out

    def bids(self, size_t n=10):
        """The best n bids, best first: (price, size, count), mantissas at exponents."""
        return self.levels(&self.b.bids, n)

    def asks(self, size_t n=10):
        return self.levels(&self.b.asks, n)

    @property
    def size(self):
        """(bid levels, ask levels)"""
        return self.b.bids.n, self.b.asks.n

    def mid(self):
        """Half of best bid plus best ask as exact text, None unless live and two-sided."""
        cdef char buf[TR_DECIMAL_MAX]
        return buf[:tr_book_mid(&self.b, buf)].decode("ascii") or None

    def imbalance(self, size_t n=5):
        """(bid size − ask size) / (bid size + ask size) of the first n levels, nan without any."""
        cdef double bid = 0, ask = 0
        cdef size_t i
        for i in range(min(n, self.b.bids.n)):
            bid += tr_best(&self.b.bids, i).size
        for i in range(min(n, self.b.asks.n)):
            ask += tr_best(&self.b.asks, i).size
        return (bid - ask) / (bid + ask) if bid + ask > 0 else float("nan")
