package ring

import (
	"sync/atomic"

	"tickrelay/ring/md"
)

// writer is the producer's end of the index arithmetic: it owns head and keeps
// a private copy of tail, so that the consumer's cache line is only touched
// when the copy says that the ring is full. It knows nothing of topics.
//
// Positions count records from the creation of the ring on and never wrap; the
// slot of a position is its low bits.
type writer struct {
	slots     []md.Record
	cap, mask uint64
	next      uint64 // position of the next record to stage
	published uint64 // what head says
	tail      uint64 // tail as last read: the real one is never lower
	seg       *Segment
	cast      bool   // a broadcast ring: nobody's tail counts
	claimed   uint64 // what intent says
	broken    bool   // tail was out of range: nothing of this ring can be trusted
}

func newWriter(s *Segment) writer {
	head := atomic.LoadUint64(&s.hdr.head)
	w := writer{slots: s.slots, cap: s.cap, mask: s.cap - 1, next: head, published: head, tail: head - min(head, s.cap), seg: s}
	w.cast, w.claimed = s.readers != nil, atomic.LoadUint64(&s.hdr.intent)
	return w
}

// room reports whether n more records fit. It looks at the consumer's index
// only if they do not fit by the private copy, and judges it: 0 ≤ head − tail ≤
// capacity or the ring is broken.
func (w *writer) room(n uint64) bool {
	if w.cast {
		return n <= w.cap/2
	}
	if w.cap-(w.next-w.tail) >= n {
		return true
	}
	t := atomic.LoadUint64(&w.seg.ctl.tail)
	if w.published-t > w.cap || w.next-t > w.cap {
		w.broken = true
		return false
	}
	w.tail = t
	return w.cap-(w.next-t) >= n
}

// free looks up how many records fit now.
func (w *writer) free() uint64 {
	if w.cast {
		return w.cap
	}
	w.room(w.cap)
	return w.cap - (w.next - w.tail)
}

// put stages records for which there is room.
func (w *writer) put(recs []md.Record) {
	if w.cast {
		w.claim(uint64(len(recs)))
	}
	n := copy(w.slots[w.next&w.mask:], recs)
	copy(w.slots, recs[n:])
	w.next += uint64(len(recs))
}

// slot stages one record in place and returns it, for the caller to set every
// field of it. There must be room.
func (w *writer) slot() *md.Record {
	if w.cast {
		w.claim(1)
	}
	r := &w.slots[w.next&w.mask]
	w.next++
	return r
}

// window returns free slots in one piece, at most n of them; stage them by
// advance. There must be room for n.
func (w *writer) window(n uint64) []md.Record {
	if w.cast {
		w.claim(n)
	}
	i := w.next & w.mask
	return w.slots[i:min(i+n, w.cap)]
}

func (w *writer) advance(n int) { w.next += uint64(n) }

// commit hands everything staged to the consumer by one atomic store, and makes
// a system call only if the consumer sleeps.
//
// Store head then load sleeper here, store sleeper then load head in
// Consumer.sleep: Go's atomics are sequentially consistent, so at least one
// side sees the other.
func (w *writer) commit() {
	if w.next == w.published {
		return
	}
	atomic.StoreUint64(&w.seg.hdr.head, w.next)
	w.published = w.next
	if atomic.LoadUint32(&w.seg.ctl.sleeper) != 0 {
		w.wake()
	}
}

func (w *writer) wake() {
	if atomic.SwapUint32(&w.seg.ctl.sleeper, 0) != 0 {
		w.count(cntWakes, 1)
		w.seg.wakeReader()
	}
}

// start begins a session with the consumer that set attach_gen to gen: it reads
// from here on.
func (w *writer) start(gen uint64) {
	w.commit()
	atomic.StoreUint64(&w.seg.hdr.startPos, w.next)
	atomic.StoreUint64(&w.seg.hdr.startGen, gen)
	w.count(cntStarts, 1)
}

// count adds to a counter of the ring. Single writer: no read-modify-write.
func (w *writer) count(counter int, n uint64) {
	c := &w.seg.hdr.counters[counter]
	atomic.StoreUint64(c, atomic.LoadUint64(c)+n)
}
