package capture

import (
	"encoding/json"

	"tickrelay/ring/md"
)

// HeaderVersion is the version of raw recordings that this code writes and reads.
const HeaderVersion = 1

// Header is the Data of a Session line: which feed the recording is of, and all
// of its configuration that its records depend on. Every file of a recording
// begins with one.
type Header struct {
	Version int    `json:"version"`
	Venue   string `json:"venue"`
	Feed    string `json:"feed"`
	Epoch   int64  `json:"epoch,string"` // of the records, ns
	// Part counts the files of one recording from 1. A feed that is restarted
	// begins a recording.
	Part int `json:"part"`
	// Joined says that the recorder came to a feed that ran already: what it was
	// told before is not known.
	Joined bool `json:"joined,omitempty"`
	// Login says that the feed logs in at the venue; what it sent is left out.
	Login  bool   `json:"login,omitempty"`
	Engine Engine `json:"engine"`
	// Lines are the connections that are up, Instruments those in use, at the
	// beginning of this file: of use to who reads it alone.
	Lines       []string          `json:"lines,omitempty"`
	Instruments []InstrumentEntry `json:"instruments,omitempty"`
}

// Engine is the part of a feed's configuration that its records depend on.
type Engine struct {
	Instruments   []string `json:"instruments,omitempty"`
	Channels      []string `json:"channels,omitempty"`
	REST          string   `json:"rest,omitempty"`
	Slots         int      `json:"slots"`
	Open          bool     `json:"open,omitempty"`
	SilenceNs     int64    `json:"silence_ns"`
	SnapshotNs    int64    `json:"snapshot_ns"`
	AuditNs       int64    `json:"audit_ns,omitempty"`
	RetryNs       int64    `json:"retry_ns"`
	Signals       int      `json:"signals,omitempty"`
	CatalogueSize int      `json:"catalogues"` // instrument lists that the venue has
}

// InstrumentEntry is an entry of the instrument table as it was when the feed
// took the instrument into use.
type InstrumentEntry struct {
	ID           uint32            `json:"id"`
	Kind         md.InstrumentKind `json:"kind"`
	Symbol       string            `json:"symbol"`
	Native       string            `json:"native"`
	PriceExp     int8              `json:"price_exp"`
	SizeExp      int8              `json:"size_exp"`
	Tick         md.Decimal        `json:"tick"`
	Lot          md.Decimal        `json:"lot"`
	ContractSize md.Decimal        `json:"contract_size"`
	Expiry       int64             `json:"expiry,string"`
	Generation   uint64            `json:"generation"`
}

// EntryOf is the entry of in.
func EntryOf(in *md.Instrument) InstrumentEntry {
	return InstrumentEntry{in.ID, in.Kind, in.Symbol, in.Native, in.PriceExp, in.SizeExp, in.Tick, in.Lot, in.ContractSize,
		in.Expiry, in.Generation}
}

// Instrument is the reverse of EntryOf.
func (e *InstrumentEntry) Instrument(v md.Venue) md.Instrument {
	return md.Instrument{ID: e.ID, Venue: v, Kind: e.Kind, Symbol: e.Symbol, Native: e.Native, PriceExp: e.PriceExp, SizeExp: e.SizeExp,
		Tick: e.Tick, Lot: e.Lot, ContractSize: e.ContractSize, Expiry: e.Expiry, Generation: e.Generation}
}

// RESTNote is the Data of a REST line. The answer itself is a line of the file
// beside the recording.
type RESTNote struct {
	Req  int    `json:"req,omitempty"` // of the request, of book snapshots
	URL  string `json:"url"`
	List *int   `json:"list,omitempty"` // the page belongs to this list of instruments
	// Answer is the number of the line, from 1, in the file beside this one; 0 if
	// there was no answer, or none that was kept.
	Answer int    `json:"answer,omitempty"`
	Error  string `json:"error,omitempty"`
}

// CatalogueNote is the Data of a Catalogue line: which lists are new.
type CatalogueNote struct {
	State string `json:"state"` // fetched or cached
	Lists []int  `json:"lists"`
}

// FetchNote is the Data of a Fetch line.
type FetchNote struct {
	Req int    `json:"req"`
	URL string `json:"url"`
}

// HandOverNote is the Data of a HandOver line.
type HandOverNote struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// SelectNote is the Data of a Select line.
type SelectNote struct {
	Instruments []string `json:"instruments"`
	Channels    []string `json:"channels"`
	Narrow      bool     `json:"narrow,omitempty"` // nothing was begun
}

// NumberNote is the Data of a Number line.
type NumberNote struct {
	Instrument uint32 `json:"instrument"`
	Channel    string `json:"channel"`
	Seq        uint64 `json:"seq,string"`
}

// StepNote is the Data of a Step line, whose time is that of the clock as it was set.
type StepNote struct {
	ByNs int64 `json:"by_ns,string"` // forwards, or backwards if negative
}

// LostNote is the Data of a Lost line: what could not be recorded before it.
type LostNote struct {
	Frames uint64 `json:"frames"`
	Bytes  uint64 `json:"bytes"`
	Why    string `json:"why,omitempty"`
}

// Note encodes the Data of a line; it is for the types of this package, none of
// which can fail.
func Note(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage("null")
	}
	return data
}
