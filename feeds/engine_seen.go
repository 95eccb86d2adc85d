package feeds

import (
	"hash/maphash"

	"tickrelay/ring/md"
)

// seenTrades is how many trades of one topic are remembered, to tell what a
// second line or a new connection repeats; a power of two.
const seenTrades = 4096

// tradeKey is a trade's id: the number, and a second hash of the text where the
// number is a hash itself.
type tradeKey struct{ id, text uint64 }

var textSeed = maphash.MakeSeed()

func keyOf(r *md.Record, text []byte) tradeKey {
	k := tradeKey{id: r.ID}
	if r.Flags&md.FlagIDHash != 0 {
		k.text = maphash.Bytes(textSeed, text)
	}
	return k
}

// seen remembers the last trades of a topic: a queue of them and an open-address
// table over it, half full at most. Memory is fixed: Go's map allocates now and
// then even when as much leaves as enters.
type seen struct {
	queue [seenTrades]tradeKey
	n     uint64                 // trades ever added
	table [2 * seenTrades]uint32 // 1 + index in queue, 0 for free
}

// home is where a key is looked for first.
func (k tradeKey) home() uint32 {
	h := (k.id ^ k.text) * 0x9E3779B97F4A7C15
	return uint32(h>>40) % (2 * seenTrades)
}

// find is the key's place in the table, or the free one where it belongs.
func (s *seen) find(k tradeKey) (at uint32, ok bool) {
	for at = k.home(); s.table[at] != 0; at = (at + 1) % (2 * seenTrades) {
		if s.queue[s.table[at]-1] == k {
			return at, true
		}
	}
	return at, false
}

// add reports whether a trade is new, and remembers it.
func (s *seen) add(k tradeKey) bool {
	at, ok := s.find(k)
	if ok {
		return false
	}
	slot := uint32(s.n % seenTrades)
	if s.n >= seenTrades {
		s.remove(s.queue[slot])
		at, _ = s.find(k)
	}
	s.queue[slot] = k
	s.table[at] = slot + 1
	s.n++
	return true
}

// remove closes the hole that a key leaves, so that every other is still found.
func (s *seen) remove(k tradeKey) {
	hole, ok := s.find(k)
	if !ok {
		return
	}
	const size = 2 * seenTrades
	for at := (hole + 1) % size; s.table[at] != 0; at = (at + 1) % size {
		home := s.queue[s.table[at]-1].home()
		if (at-home)%size >= (at-hole)%size { // it may move up to the hole
			s.table[hole] = s.table[at]
			hole = at
		}
	}
	s.table[hole] = 0
}

// forget makes every trade new.
func (s *seen) forget() { *s = seen{} }

// newTrades drops trades that were published already. Ids that rise are enough
// for one line; what a line lost is published late when another brings it.
func (e *Engine) newTrades(t *topic, ev *Event, recs []md.Record, rx int64) []md.Record {
	if t.seen == nil {
		t.seen = new(seen)
	}
	last, from := t.lastID, 0
	for i := range recs {
		r := &recs[i]
		hashed := r.Flags&md.FlagIDHash != 0
		fresh := r.ID == 0 && !hashed || t.seen.add(keyOf(r, ev.Text))
		rises := r.ID > last || hashed
		switch {
		case !hashed && (!fresh || !rises && r.ID != 0 && e.spec.RisingTrades) && t.beganAgain(r):
			e.publish(t, recs[from:i], rx)
			from = i
			e.tradesAgain(t, rx)
			last = 0
			t.seen.add(keyOf(r, ev.Text))
		case fresh && !t.fromBefore(r) && (rises || r.ID == 0 || t.several() || e.spec.UniqueTrades):
		case !fresh || t.stale(e.now):
			e.ignore(IgnoreDuplicate)
			e.publish(t, recs[from:i], rx)
			from = i + 1
			continue
		default: // ids began anew
			e.publish(t, recs[from:i], rx)
			from = i
			e.gap(t, md.GapVenue, md.UnknownMissing, rx)
			last, t.lastID = 0, 0
			t.newest, t.before = 0, 0 // the venue's clock tells nothing
		}
		if !hashed {
			t.lastID = max(t.lastID, r.ID)
		}
		t.newest = max(t.newest, r.TsEvent)
		t.staleRun = 0
	}
	return recs[from:]
}
