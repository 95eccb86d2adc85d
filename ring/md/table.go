package md

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"unicode/utf8"
	"unsafe"
)

// ErrTableFull is returned by Table.Add when every entry is taken.
var ErrTableFull = errors.New("md: instrument table is full")

// Table is the writing end of an instrument table over memory that other
// processes may read. There is one writer per table; its methods are safe for
// concurrent use and belong to the control path, they lock and allocate.
type Table struct {
	mu    sync.Mutex
	words []uint64
	id    uint64
	cap   int
	list  []Instrument
	index map[tableKey]uint32
}

type tableKey struct {
	venue  Venue
	symbol string
}

// TableSize is the memory that a table of that many entries needs, in bytes.
func TableSize(entries int) int { return TableHeaderSize + entries*TableEntrySize }

// tableWords views mem as aligned words.
func tableWords(mem []byte) ([]uint64, error) {
	if len(mem) < TableHeaderSize {
		return nil, fmt.Errorf("md: instrument table of %d bytes is shorter than its header", len(mem))
	}
	if uintptr(unsafe.Pointer(&mem[0]))%8 != 0 {
		return nil, errors.New("md: instrument table is not 8-aligned")
	}
	return unsafe.Slice((*uint64)(unsafe.Pointer(&mem[0])), len(mem)/8), nil
}

// CreateTable formats mem, of at least TableSize(entries) bytes and 8-aligned,
// as an empty table. id tells this table from every other one of the relay's
// life: readers that see another id must open again. mem must be zeroed or no
// longer read by anybody; the magic is published last.
func CreateTable(mem []byte, entries int, id uint64) (*Table, error) {
	if entries < 1 || entries > math.MaxUint32 {
		return nil, fmt.Errorf("md: instrument table of %d entries: want 1 to 2^32-1", entries)
	}
	if len(mem) < TableSize(entries) {
		return nil, fmt.Errorf("md: instrument table of %d entries needs %d bytes, got %d", entries, TableSize(entries), len(mem))
	}
	w, err := tableWords(mem)
	if err != nil {
		return nil, err
	}
	w = w[:TableSize(entries)/8]
	for i := range w {
		if w[i] != 0 { // fresh memory is left alone: nobody else writes here
			atomic.StoreUint64(&w[i], 0)
		}
	}
	atomic.StoreUint64(&w[1], TableVersion|TableEntrySize<<32)
	atomic.StoreUint64(&w[2], id)
	atomic.StoreUint64(&w[3], uint64(entries)|TableHeaderSize<<32)
	atomic.StoreUint64(&w[0], TableMagic)
	return &Table{words: w, id: id, cap: entries, index: map[tableKey]uint32{}}, nil
}

// Add appends an instrument and returns its number; ID and Generation are
// assigned. If venue and symbol are already known it changes nothing and
// returns the number they have. Errors: ErrTableFull, or what is wrong with
// the entry.
func (t *Table) Add(in Instrument) (uint32, error) {
	if err := in.check(); err != nil {
		return 0, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	key := tableKey{in.Venue, in.Symbol}
	if id, ok := t.index[key]; ok {
		return id, nil
	}
	if len(t.list) == t.cap {
		return 0, fmt.Errorf("%w: %d entries, adding %s %s", ErrTableFull, t.cap, in.Venue, in.Symbol)
	}
	in.ID, in.Generation = uint32(len(t.list)), 0
	t.list = append(t.list, in)
	t.index[key] = in.ID
	t.write(&t.list[in.ID])
	atomic.StoreUint64(&t.words[headerCount], uint64(len(t.list)))
	return in.ID, nil
}

// Update lets f change entry id and publishes the result under the next
// generation, which it returns. Number, venue and symbol are the entry's
// identity and stay as they are.
func (t *Table) Update(id uint32, f func(*Instrument)) (Instrument, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if int64(id) >= int64(len(t.list)) {
		return Instrument{}, fmt.Errorf("md: instrument %d is not in the table of %d", id, len(t.list))
	}
	old := t.list[id]
	in := old
	f(&in)
	in.ID, in.Venue, in.Symbol, in.Generation = old.ID, old.Venue, old.Symbol, old.Generation
	if err := in.check(); err != nil {
		return old, err
	}
	t.list[id] = in
	t.write(&t.list[id])
	return t.list[id], nil
}

// write publishes in under its next even generation. Callers hold mu.
func (t *Table) write(in *Instrument) {
	var e entry
	e.encode(in)
	at := (TableHeaderSize + int(in.ID)*TableEntrySize) / 8
	dst := t.words[at : at+entryWords]
	// Go's atomic stores are sequentially consistent: the odd generation is seen
	// before any word of the new entry, the even one after all of them.
	atomic.StoreUint64(&dst[0], in.Generation+1)
	for i, w := range e.words()[1:] {
		atomic.StoreUint64(&dst[1+i], w)
	}
	in.Generation += 2
	atomic.StoreUint64(&dst[0], in.Generation)
}

// Get returns entry id; false if there is none.
func (t *Table) Get(id uint32) (Instrument, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if int64(id) >= int64(len(t.list)) {
		return Instrument{}, false
	}
	return t.list[id], true
}

// Lookup returns the number of a venue's symbol; false if it is not known.
func (t *Table) Lookup(venue Venue, symbol string) (uint32, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id, ok := t.index[tableKey{venue, symbol}]
	return id, ok
}

// Len is the number of entries.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.list)
}

// ID is the table's own id.
func (t *Table) ID() uint64 { return t.id }

// View returns a reader of the same memory.
func (t *Table) View() *TableView {
	return &TableView{words: t.words, id: t.id, cap: uint32(t.cap)}
}

// check says what keeps in from being an entry.
func (in *Instrument) check() error {
	if err := CheckToken(in.Symbol); err != nil {
		return fmt.Errorf("md: instrument %s %q: symbol: %v", in.Venue, in.Symbol, err)
	}
	if err := checkNative(in.Native); err != nil {
		return fmt.Errorf("md: instrument %s %q: native symbol %q: %v", in.Venue, in.Symbol, in.Native, err)
	}
	if !in.Venue.Known() {
		return fmt.Errorf("md: instrument %q: unknown venue %d", in.Symbol, in.Venue)
	}
	if in.Kind > InstrumentVenue {
		return fmt.Errorf("md: instrument %s %q: unknown kind %d", in.Venue, in.Symbol, in.Kind)
	}
	return nil
}

// checkNative is CheckToken without the restriction on characters: venues use
// dots and more.
func checkNative(s string) error {
	switch {
	case len(s) > MaxToken:
		return fmt.Errorf("%d bytes long, at most %d allowed", len(s), MaxToken)
	case !utf8.ValidString(s):
		return errors.New("not UTF-8")
	}
	return nil
}
