package md

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// TableView reads an instrument table that another process may be writing. It
// trusts nothing in the memory: damaged bytes make entries absent, never a
// panic. Its methods are safe for concurrent use, copy what they return, and
// allocate: keep what the hot path needs.
type TableView struct {
	words []uint64
	id    uint64
	cap   uint32

	mu      sync.Mutex
	index   map[tableKey]uint32
	indexed uint32 // entries below were looked at
}

// readAttempts bounds the wait for a writer that is in the middle of an entry,
// or died there: some milliseconds, then the entry counts as absent.
const readAttempts = 10000

// OpenTable opens the table in mem, which must be 8-aligned; read-only memory
// will do.
func OpenTable(mem []byte) (*TableView, error) {
	w, err := tableWords(mem)
	if err != nil {
		return nil, err
	}
	if m := atomic.LoadUint64(&w[0]); m != TableMagic {
		return nil, fmt.Errorf("md: not an instrument table: magic %#x, want %#x", m, uint64(TableMagic))
	}
	if v := uint32(atomic.LoadUint64(&w[1])); v != TableVersion {
		return nil, fmt.Errorf("md: instrument table version %d, this program reads %d", v, TableVersion)
	}
	if s := atomic.LoadUint64(&w[1]) >> 32; s != TableEntrySize {
		return nil, fmt.Errorf("md: instrument table with entries of %d bytes, want %d", s, TableEntrySize)
	}
	capHeader := atomic.LoadUint64(&w[3])
	if s := capHeader >> 32; s != TableHeaderSize {
		return nil, fmt.Errorf("md: instrument table with a header of %d bytes, want %d", s, TableHeaderSize)
	}
	entries := uint32(capHeader)
	if have := (len(mem) - TableHeaderSize) / TableEntrySize; uint64(entries) > uint64(have) {
		return nil, fmt.Errorf("md: instrument table of %d entries in memory for %d", entries, have)
	}
	return &TableView{words: w, id: atomic.LoadUint64(&w[2]), cap: entries}, nil
}

// ID is the table's own id. A ring that names another one belongs to another
// table: open again.
func (v *TableView) ID() uint64 { return v.id }

// Len is the number of entries published so far.
func (v *TableView) Len() int {
	return int(min(atomic.LoadUint64(&v.words[headerCount]), uint64(v.cap)))
}

// Get returns a consistent copy of entry id; false if there is none, or it is
// damaged, or its writer died in the middle of it.
func (v *TableView) Get(id uint32) (Instrument, bool) {
	if int64(id) >= int64(v.Len()) {
		return Instrument{}, false
	}
	at := (TableHeaderSize + int(id)*TableEntrySize) / 8
	src := v.words[at : at+entryWords]
	var e entry
	for range readAttempts {
		gen := atomic.LoadUint64(&src[0])
		if gen&1 == 0 {
			dst := e.words()
			for i := range dst {
				dst[i] = atomic.LoadUint64(&src[i])
			}
			if atomic.LoadUint64(&src[0]) == gen {
				return e.decode(id)
			}
		}
		runtime.Gosched()
	}
	return Instrument{}, false
}

// Generation is the present generation of entry id, odd while it is written,
// 0 if there is none: a cheap test whether a copy is still right.
func (v *TableView) Generation(id uint32) uint64 {
	if int64(id) >= int64(v.Len()) {
		return 0
	}
	return atomic.LoadUint64(&v.words[(TableHeaderSize+int(id)*TableEntrySize)/8])
}

// Lookup returns the number of a venue's symbol; false if it is not known. The
// first entry wins where a damaged table has two.
func (v *TableView) Lookup(venue Venue, symbol string) (uint32, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for n := uint32(v.Len()); v.indexed < n; v.indexed++ {
		in, ok := v.Get(v.indexed)
		if !ok {
			continue
		}
		if v.index == nil {
			v.index = map[tableKey]uint32{}
		}
		key := tableKey{in.Venue, in.Symbol}
		if _, known := v.index[key]; !known {
			v.index[key] = in.ID
		}
	}
	id, ok := v.index[tableKey{venue, symbol}]
	return id, ok
}
