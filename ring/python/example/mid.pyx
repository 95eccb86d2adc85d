# cython: language_level=3
# distutils: define_macros=_GNU_SOURCE
"""Cython code of one's own on the client: no Python object per record, no GIL.

    cythonize with -I "$(python3 -c 'import tickrelay; print(tickrelay.get_include())')"
"""
from libc.stdint cimport int64_t
from tickrelay._client cimport Client
from tickrelay.api cimport TR_TRADE, tr_client, tr_lend, tr_record, tr_release, tr_wait, TR_BLOCK


def volume(Client client, int64_t trades):
    """Sums the mantissas of the sizes of that many trades."""
    cdef tr_client *c = client.get()
    cdef const tr_record *recs
    cdef int64_t n = 0, i, seen = 0
    cdef double total = 0
    with nogil:
        while seen < trades and n >= 0:
            n = tr_lend(c, &recs, 1024)
            for i in range(n):
                if recs[i].kind == TR_TRADE:
                    seen += 1
                    total += recs[i].size
            if n > 0:
                tr_release(c, n)
            elif n == 0:
                n = tr_wait(c, TR_BLOCK, 100000000)
    client.check(n)
    return seen, total
