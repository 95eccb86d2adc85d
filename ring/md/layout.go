package md

import "unsafe"

// Compile-time layout: each of these arrays has a negative length, which does
// not compile, if an offset or a size moves.
type (
	_ [RecordSize - unsafe.Sizeof(Record{})]struct{}
	_ [unsafe.Sizeof(Record{}) - RecordSize]struct{}
	_ [unsafe.Alignof(Record{}) - 8]struct{}

	_ [0 - unsafe.Offsetof(Record{}.Kind)]struct{}
	_ [1 - unsafe.Offsetof(Record{}.Flags)]struct{}
	_ [unsafe.Offsetof(Record{}.Flags) - 1]struct{}
	_ [2 - unsafe.Offsetof(Record{}.Venue)]struct{}
	_ [unsafe.Offsetof(Record{}.Venue) - 2]struct{}
	_ [4 - unsafe.Offsetof(Record{}.Instrument)]struct{}
	_ [unsafe.Offsetof(Record{}.Instrument) - 4]struct{}
	_ [8 - unsafe.Offsetof(Record{}.Seq)]struct{}
	_ [unsafe.Offsetof(Record{}.Seq) - 8]struct{}
	_ [16 - unsafe.Offsetof(Record{}.TsEvent)]struct{}
	_ [unsafe.Offsetof(Record{}.TsEvent) - 16]struct{}
	_ [24 - unsafe.Offsetof(Record{}.TsRecv)]struct{}
	_ [unsafe.Offsetof(Record{}.TsRecv) - 24]struct{}
	_ [32 - unsafe.Offsetof(Record{}.Price)]struct{}
	_ [unsafe.Offsetof(Record{}.Price) - 32]struct{}
	_ [40 - unsafe.Offsetof(Record{}.Size)]struct{}
	_ [unsafe.Offsetof(Record{}.Size) - 40]struct{}
	_ [48 - unsafe.Offsetof(Record{}.ID)]struct{}
	_ [unsafe.Offsetof(Record{}.ID) - 48]struct{}
	_ [56 - unsafe.Offsetof(Record{}.Side)]struct{}
	_ [unsafe.Offsetof(Record{}.Side) - 56]struct{}
	_ [57 - unsafe.Offsetof(Record{}.Level)]struct{}
	_ [unsafe.Offsetof(Record{}.Level) - 57]struct{}
	_ [58 - unsafe.Offsetof(Record{}.PriceExp)]struct{}
	_ [unsafe.Offsetof(Record{}.PriceExp) - 58]struct{}
	_ [59 - unsafe.Offsetof(Record{}.SizeExp)]struct{}
	_ [unsafe.Offsetof(Record{}.SizeExp) - 59]struct{}
	_ [60 - unsafe.Offsetof(Record{}.Count)]struct{}
	_ [unsafe.Offsetof(Record{}.Count) - 60]struct{}

	_ [TableEntrySize - unsafe.Sizeof(entry{})]struct{}
	_ [unsafe.Sizeof(entry{}) - TableEntrySize]struct{}
	_ [24 - unsafe.Offsetof(entry{}.Tick)]struct{}
	_ [unsafe.Offsetof(entry{}.Tick) - 24]struct{}
	_ [64 - unsafe.Offsetof(entry{}.Symbol)]struct{}
	_ [unsafe.Offsetof(entry{}.Symbol) - 64]struct{}
	_ [160 - unsafe.Offsetof(entry{}.Native)]struct{}
	_ [unsafe.Offsetof(entry{}.Native) - 160]struct{}
)
