package relay

import (
	"sync/atomic"

	"tickrelay/ring/md"
)

// history holds the newest messages of a topic's plain stream, so that a reader that
// comes back gets what it missed: events, gaps and snapshots in their order, each from
// FlagFirst to FlagLast. It is two buffers that fill by turns, so that the oldest half
// goes at once and nothing is moved. The hub's goroutine alone uses it.
type history struct {
	old, cur []md.Record
	half     int           // records that one buffer may hold
	spare    *int          // records that all topics together may still allocate
	bytes    *atomic.Int64 // of all topics, for /metrics

	prev   uint64 // seq of the message before the first that is held
	lowest uint64 // the smallest number whose reader can be served
	gap    bool   // the message before the first was a gap
}

// historyStart is the first size of a buffer, in records.
const historyStart = 32

// reset forgets everything: a reader at seq has missed nothing.
func (y *history) reset(seq uint64) {
	y.old, y.cur = y.old[:0], y.cur[:0]
	y.prev, y.lowest, y.gap = seq, seq, false
}

// free gives the memory back.
func (y *history) free() {
	n := cap(y.old) + cap(y.cur)
	*y.spare += n
	y.bytes.Add(-int64(n) * md.RecordSize)
	y.old, y.cur = nil, nil
}

// add appends a message. One that does not fit by itself is as good as dropped.
func (y *history) add(ev []md.Record) {
	if !y.fits(len(ev)) {
		y.rotate()
	}
	if !y.fits(len(ev)) {
		y.old, y.cur = y.old[:0], y.cur[:0]
		y.dropped(&ev[len(ev)-1])
		return
	}
	from := len(y.cur)
	y.cur = append(y.cur, ev...)
	y.cur[from].Flags |= md.FlagFirst
	y.cur[len(y.cur)-1].Flags |= md.FlagLast
}

// fits makes room for n more records in the present buffer, if the bounds allow.
func (y *history) fits(n int) bool {
	want := len(y.cur) + n
	if want <= cap(y.cur) {
		return true
	}
	if want > y.half {
		return false
	}
	size := min(y.half, max(historyStart, 2*cap(y.cur), want))
	if size-cap(y.cur) > *y.spare {
		return false
	}
	*y.spare -= size - cap(y.cur)
	y.bytes.Add(int64(size-cap(y.cur)) * md.RecordSize)
	y.cur = append(make([]md.Record, 0, size), y.cur...)
	return true
}

func (y *history) rotate() {
	if n := len(y.old); n > 0 {
		y.dropped(&y.old[n-1])
	}
	y.old, y.cur = y.cur, y.old[:0]
}

// dropped notes that r was the last record of the newest message that is not held.
// After a gap or a snapshot a reader at that very number may or may not have seen all
// that carries it; who stands behind it is served.
func (y *history) dropped(r *md.Record) {
	y.prev, y.lowest, y.gap = r.Seq, r.Seq, r.Kind == md.KindGap
	if y.gap || r.Flags&md.FlagSnapshot != 0 {
		y.lowest++
	}
}

// covers reports whether a reader whose last number is s can be served.
func (y *history) covers(s uint64) bool { return s >= y.lowest }

// since calls f for each message that a reader at s has not seen, with the number of
// the message before it. A snapshot at s itself is repeated if it follows a gap, as is a
// gap without numbers: the reader's number does not tell whether it has seen them, and
// both may be told twice.
func (y *history) since(s uint64, f func(prev uint64, ev []md.Record)) {
	prev, begun, afterGap := y.prev, false, y.gap
	for _, recs := range [2][]md.Record{y.old, y.cur} {
		for len(recs) > 0 {
			n := 1
			for n < len(recs) && recs[n-1].Flags&md.FlagLast == 0 {
				n++
			}
			ev := recs[:n]
			recs = recs[n:]
			seq := ev[n-1].Seq
			gap := ev[0].Kind == md.KindGap
			begun = begun || seq > s || seq == s && (afterGap && ev[0].Flags&md.FlagSnapshot != 0 || gap && ev[0].ID > seq)
			afterGap = gap
			if begun {
				f(prev, ev)
			}
			prev = seq
		}
	}
}
