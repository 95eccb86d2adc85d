from libc.stdint cimport uint32_t

from tickrelay.api cimport tr_book, tr_book_side, tr_client, tr_record

cdef class Client:
    cdef tr_client *c       # NULL before attach and after the last view of a closed client
    cdef size_t lent        # records of the present lend
    cdef Py_ssize_t views   # buffers that look into the rings
    cdef bint busy          # a thread waits without the GIL
    cdef bint closed
    cdef object __weakref__
    cdef tr_client *get(self) except NULL
    cdef int check(self, long long n) except -1
    cdef void drop_lent(self)
    cdef object batch(self, const tr_record *recs, size_t n)

cdef class Lent:
    cdef Client owner
    cdef const tr_record *recs
    cdef size_t n
    cdef bytes copy         # not NULL: the records are these, not the ring's

cdef class Book:
    cdef tr_book b
    cdef readonly object instrument
    cdef void one(self, uint32_t instrument, const tr_record *r) nogil
    cdef list levels(self, const tr_book_side *s, size_t n)
