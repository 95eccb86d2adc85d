package md

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

func btc() Instrument {
	return Instrument{Venue: VenueBinance, Kind: InstrumentSpot, Symbol: "BTC-USDT", Native: "BTCUSDT",
		PriceExp: -2, SizeExp: -5, Tick: Decimal{1, -2}, Lot: Decimal{1, -5}}
}

func newTable(t *testing.T, mem []byte, entries int) *Table {
	t.Helper()
	tab, err := CreateTable(mem, entries, 77)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func mustAdd(t *testing.T, tab *Table, in Instrument) uint32 {
	t.Helper()
	id, err := tab.Add(in)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestTable(t *testing.T) {
	mem := make([]byte, TableSize(2))
	tab := newTable(t, mem, 2)
	view, err := OpenTable(mem)
	if err != nil || view.ID() != 77 || view.Len() != 0 || tab.ID() != 77 {
		t.Fatalf("empty table: %v", err)
	}
	if _, ok := view.Lookup(VenueBinance, "BTC-USDT"); ok {
		t.Error("found in an empty table")
	}
	id := mustAdd(t, tab, btc())
	if again := mustAdd(t, tab, Instrument{Venue: VenueBinance, Symbol: "BTC-USDT", PriceExp: -9}); again != id || tab.Len() != 1 {
		t.Errorf("added twice: %d, %d", id, again)
	}
	want := btc()
	want.Generation = 2
	got, ok := view.Get(id)
	if !ok || got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if in, ok := tab.Get(id); !ok || in != want {
		t.Errorf("writer has %+v", in)
	}
	if at, ok := view.Lookup(VenueBinance, "BTC-USDT"); !ok || at != id {
		t.Error("not found")
	}
	if at, ok := tab.Lookup(VenueBinance, "BTC-USDT"); !ok || at != id {
		t.Error("not found by the writer")
	}

	up, err := tab.Update(id, func(in *Instrument) {
		in.PriceExp, in.Symbol, in.Venue, in.ID = -4, "OTHER", VenueOKX, 5
	})
	want.PriceExp, want.Generation = -4, 4
	if got, _ := tab.View().Get(id); err != nil || up != want || got != want || view.Generation(id) != 4 {
		t.Errorf("updated to %+v, read %+v, want %+v (%v)", up, got, want, err)
	}
	rec := up.Record()
	if rec.Kind != KindInstrument || rec.ID != 4 || rec.Instrument != id || rec.Venue != VenueBinance || rec.Valid() != nil {
		t.Errorf("record %+v", rec)
	}

	mustAdd(t, tab, Instrument{Venue: VenueOKX, Kind: InstrumentVenue, Symbol: VenueSymbol})
	if at, ok := view.Lookup(VenueOKX, "_"); !ok || at != 1 {
		t.Error("a later entry was not found")
	}
	if _, err := tab.Add(Instrument{Venue: VenueOKX, Symbol: "A-B"}); !errors.Is(err, ErrTableFull) {
		t.Errorf("third of two: %v", err)
	}
	if _, ok := view.Get(2); ok || view.Generation(2) != 0 {
		t.Error("an entry beyond the count")
	}
}

func TestTableRefuses(t *testing.T) {
	long := strings.Repeat("x", MaxToken+1)
	tab := newTable(t, make([]byte, TableSize(1)), 1)
	for _, in := range []Instrument{{Venue: VenueOKX}, {Venue: VenueOKX, Symbol: "A.B"}, {Venue: VenueOKX, Symbol: long},
		{Symbol: "A-B"}, {Venue: VenueOKX, Symbol: "A-B", Native: long}, {Venue: VenueOKX, Symbol: "A-B", Kind: 99},
		{Venue: VenueOKX, Symbol: "A-B", Native: "\xff"}} {
		if _, err := tab.Add(in); err == nil {
			t.Errorf("took %+v", in)
		}
	}
	if _, err := tab.Update(0, func(*Instrument) {}); err == nil {
		t.Error("updated what is not there")
	}
	mustAdd(t, tab, btc())
	if in, err := tab.Update(0, func(in *Instrument) { in.Native = long }); err == nil || in.Native != "BTCUSDT" || in.Generation != 2 {
		t.Errorf("update to a bad entry: %+v, %v", in, err)
	}
	for _, n := range []int{0, -1, 1 << 33} {
		if _, err := CreateTable(make([]byte, TableSize(1)), n, 1); err == nil {
			t.Errorf("created with %d entries", n)
		}
	}
	if _, err := CreateTable(make([]byte, TableSize(2)-1), 2, 1); err == nil {
		t.Error("created in too little memory")
	}
	if _, err := CreateTable(make([]byte, TableSize(2))[4:], 1, 1); err == nil {
		t.Error("created in memory that is not aligned")
	}
}

// TestTableConcurrent runs a writer against readers on heap memory, where the
// race detector sees it: no reader may see half of a change.
func TestTableConcurrent(t *testing.T) {
	mem := make([]byte, TableSize(8))
	tab := newTable(t, mem, 8)
	mustAdd(t, tab, btc())
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			view, err := OpenTable(mem)
			if err != nil {
				t.Error(err)
				return
			}
			for last := uint64(0); ; {
				select {
				case <-stop:
					return
				default:
				}
				in, ok := view.Get(0)
				if !ok {
					continue // the writer is faster than this reader's patience
				}
				if in.Generation < last || in.Tick.Mant != in.Lot.Mant || int64(in.Generation) != 2*in.Tick.Mant {
					t.Errorf("torn entry %+v after generation %d", in, last)
					return
				}
				last = in.Generation
			}
		})
	}
	for i := range int64(3000) {
		if _, err := tab.Update(0, func(in *Instrument) { in.Tick.Mant, in.Lot.Mant = i+2, i+2 }); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
}

// TestTableDeadWriter: an entry whose writer died in the middle is absent.
func TestTableDeadWriter(t *testing.T) {
	mem := make([]byte, TableSize(2))
	tab := newTable(t, mem, 2)
	mustAdd(t, tab, btc())
	mustAdd(t, tab, Instrument{Venue: VenueOKX, Symbol: "A-B"})
	mem[TableHeaderSize] |= 1
	view, _ := OpenTable(mem)
	if in, ok := view.Get(0); ok {
		t.Errorf("read %+v from under its writer", in)
	}
	if id, ok := view.Lookup(VenueOKX, "A-B"); !ok || id != 1 {
		t.Error("the entry behind it was not found")
	}
}

func TestOpenTableRefuses(t *testing.T) {
	f := func(what string, change func(mem []byte) []byte) {
		t.Helper()
		mem := make([]byte, TableSize(2))
		newTable(t, mem, 2)
		if _, err := OpenTable(change(mem)); err == nil {
			t.Errorf("%s: opened", what)
		}
	}
	f("short", func(m []byte) []byte { return m[:TableHeaderSize-1] })
	f("empty", func(m []byte) []byte { return nil })
	f("not aligned", func(m []byte) []byte { return m[4:] })
	f("magic", func(m []byte) []byte { m[0]++; return m })
	f("version", func(m []byte) []byte { m[8]++; return m })
	f("entry size", func(m []byte) []byte { m[12]++; return m })
	f("header size", func(m []byte) []byte { m[28]++; return m })
	f("capacity", func(m []byte) []byte { m[24]++; return m })
	f("cut", func(m []byte) []byte { return m[:len(m)-1] })
}

// FuzzOpenTable: whatever the bytes, reading neither panics nor gives an entry
// that breaks the rules.
func FuzzOpenTable(f *testing.F) {
	mem := make([]byte, TableSize(2))
	tab, _ := CreateTable(mem, 2, 7)
	if _, err := tab.Add(btc()); err != nil {
		f.Fatal(err)
	}
	f.Add(mem, uint32(0), []byte("x"))
	f.Add(mem, uint32(256+20), []byte{255, 255})
	f.Add(mem, uint32(64), []byte{255, 255, 255, 255, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte, at uint32, patch []byte) {
		words := make([]uint64, len(b)/8+1) // aligned
		mem := make([]byte, len(words)*8)
		copy(mem, b)
		if int64(at) < int64(len(mem)) {
			copy(mem[at:], patch)
		}
		view, err := OpenTable(mem)
		if err != nil {
			return
		}
		for id := range uint32(min(view.Len()+1, 64)) {
			if in, ok := view.Get(id); ok {
				if in.ID != id || CheckToken(in.Symbol) != nil {
					t.Fatalf("%d: %+v", id, in)
				}
			}
		}
		view.Lookup(VenueBinance, "BTC-USDT")
	})
}

// TestTableDamage flips bytes of a good table one after the other.
func TestTableDamage(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	mem := make([]byte, TableSize(2))
	for range 2000 {
		tab := newTable(t, mem, 2)
		mustAdd(t, tab, btc())
		at := r.IntN(len(mem)/8) * 8
		if at == TableHeaderSize {
			continue // an odd generation is a wait, see TestTableDeadWriter
		}
		binary.LittleEndian.PutUint64(mem[at:], r.Uint64())
		if view, err := OpenTable(mem); err == nil {
			view.Get(0)
			view.Get(1)
			view.Lookup(VenueBinance, "ETH-USDT")
		}
	}
}
