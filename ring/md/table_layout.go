package md

import "unsafe"

// The instrument table's layout, version 1, little-endian. The header is
// TableHeaderSize bytes, then entries of TableEntrySize bytes follow. Constants
// of the header are written once; count is published atomically after the
// entry it covers, each entry is a seqlock under its generation.
//
//	header                            entry
//	  0 u64 magic                       0 u64 generation, odd while written
//	  8 u32 version                     8 u32 id
//	 12 u32 entry size                 12 u16 venue
//	 16 u64 table id                   14 u8  kind
//	 24 u32 capacity, entries          15 i8  price_exp
//	 28 u32 header size                16 i8  size_exp
//	 32 … 0                            17 i8  tick_exp
//	 64 u64 count                      18 i8  lot_exp
//	 72 … 0                            19 i8  contract_exp
//	                                   20 u8  symbol length
//	                                   21 u8  native length
//	                                   22 u16 0
//	                                   24 i64 tick
//	                                   32 i64 lot
//	                                   40 i64 contract size
//	                                   48 i64 expiry, ns
//	                                   56 u64 0
//	                                   64 u8[96] symbol
//	                                  160 u8[96] native symbol
const (
	TableMagic      = 0x3154534e49525454 // "TTRINST1"
	TableVersion    = 1
	TableHeaderSize = 256
	TableEntrySize  = 256

	entryWords  = TableEntrySize / 8
	headerCount = 64 / 8 // word index of count
)

// entry is the wire form of an Instrument.
type entry struct {
	Generation                      uint64
	ID                              uint32
	Venue                           Venue
	Kind                            InstrumentKind
	PriceExp, SizeExp               int8
	TickExp, LotExp, ContractExp    int8
	SymbolLen, NativeLen            uint8
	_                               uint16
	Tick, Lot, ContractSize, Expiry int64
	_                               uint64
	Symbol, Native                  [MaxToken]byte
}

type entryBytes [entryWords]uint64

func (e *entry) words() *entryBytes { return (*entryBytes)(unsafe.Pointer(e)) }

// encode fills e from in, all but the generation.
func (e *entry) encode(in *Instrument) {
	*e = entry{
		ID: in.ID, Venue: in.Venue, Kind: in.Kind,
		PriceExp: in.PriceExp, SizeExp: in.SizeExp,
		TickExp: in.Tick.Exp, LotExp: in.Lot.Exp, ContractExp: in.ContractSize.Exp,
		SymbolLen: uint8(len(in.Symbol)), NativeLen: uint8(len(in.Native)),
		Tick: in.Tick.Mant, Lot: in.Lot.Mant, ContractSize: in.ContractSize.Mant,
		Expiry: in.Expiry,
	}
	copy(e.Symbol[:], in.Symbol)
	copy(e.Native[:], in.Native)
}

// decode is the reverse; false if the bytes are no valid entry numbered id.
func (e *entry) decode(id uint32) (Instrument, bool) {
	if e.ID != id || int(e.SymbolLen) > len(e.Symbol) || int(e.NativeLen) > len(e.Native) ||
		e.Kind > InstrumentVenue {
		return Instrument{}, false
	}
	in := Instrument{
		ID: e.ID, Venue: e.Venue, Kind: e.Kind,
		Symbol:   string(e.Symbol[:e.SymbolLen]),
		Native:   string(e.Native[:e.NativeLen]),
		PriceExp: e.PriceExp, SizeExp: e.SizeExp,
		Tick:         Decimal{e.Tick, e.TickExp},
		Lot:          Decimal{e.Lot, e.LotExp},
		ContractSize: Decimal{e.ContractSize, e.ContractExp},
		Expiry:       e.Expiry, Generation: e.Generation,
	}
	return in, CheckToken(in.Symbol) == nil && checkNative(in.Native) == nil
}
