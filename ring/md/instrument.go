package md

// InstrumentKind is the kind of contract.
type InstrumentKind uint8

// Instrument kinds. Numbers are part of the table's layout and never reused.
const (
	InstrumentUnknown       InstrumentKind = 0
	InstrumentSpot          InstrumentKind = 1
	InstrumentPerp          InstrumentKind = 2 // perpetual, linear
	InstrumentPerpInverse   InstrumentKind = 3 // perpetual, margined in the base coin
	InstrumentFuture        InstrumentKind = 4 // dated, linear
	InstrumentFutureInverse InstrumentKind = 5
	InstrumentOption        InstrumentKind = 6
	InstrumentVenue         InstrumentKind = 7 // the venue as a whole, symbol "_"
)

var instrumentKindNames = [...]string{
	InstrumentUnknown: "unknown", InstrumentSpot: "spot", InstrumentPerp: "perp",
	InstrumentPerpInverse: "perp_inverse", InstrumentFuture: "future",
	InstrumentFutureInverse: "future_inverse", InstrumentOption: "option",
	InstrumentVenue: "venue",
}

// String is the kind's name as in the HTTP API.
func (k InstrumentKind) String() string {
	return orUnknown(name(instrumentKindNames[:], int(k)))
}

// VenueSymbol is the symbol that stands for a venue as a whole.
const VenueSymbol = "_"

// Instrument is one entry of the instrument table.
type Instrument struct {
	ID     uint32 // index in the table
	Venue  Venue
	Kind   InstrumentKind
	Symbol string // as in topics: "BTC-USDT", "BTC-USDT-PERP"; at most 96 bytes
	Native string // the venue's own name; at most 96 bytes

	// Exponents of trade, book, bbo and liquidation records from Generation on.
	PriceExp, SizeExp int8

	Tick         Decimal // least price step, 0 if unknown
	Lot          Decimal // least size step, 0 if unknown
	ContractSize Decimal // base (or, inverse, quote) units per unit of size; 0 or 1 on spot
	Expiry       int64   // ns since 1970 UTC, 0 if it does not expire

	Generation uint64 // even, grows by 2 with each change of the entry
}

// Record is the control record that announces the entry's present state. Tick
// and lot carry their own exponents; the instrument's new price and size
// exponents are in the table, under the generation in ID.
func (in *Instrument) Record() Record {
	return Record{
		Kind: KindInstrument, Flags: FlagFirst | FlagLast, Venue: in.Venue, Instrument: in.ID,
		Price: in.Tick.Mant, PriceExp: in.Tick.Exp,
		Size: in.Lot.Mant, SizeExp: in.Lot.Exp,
		ID: in.Generation,
	}
}
