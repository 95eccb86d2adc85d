package bus

import (
	"encoding/json"
	"errors"
	"fmt"
	"unsafe"

	"tickrelay/ring/md"
)

// maxBatch is how many records one message carries at most, its heartbeat
// included: 64 KiB.
const maxBatch = 1024

// batch is one message of records, decoded.
type batch struct {
	epoch int64
	prev  uint64 // the topic's number before the first numbered record
	part  uint32 // of a key-frame, from 0 on
	first bool   // key-frame: its first part
	last  bool
	sent  int64 // ns since 1970 UTC
	recs  []md.Record
}

// header is the record that begins a message: a topic's heartbeat.
func header(t md.Topic, epoch int64, seq uint64, now int64) md.Record {
	return md.Record{Kind: md.KindHeartbeat, Flags: md.FlagFirst | md.FlagLast, Venue: t.Venue, Seq: seq,
		TsRecv: now, ID: uint64(epoch), Side: uint8(t.Channel)}
}

var errHeader = errors.New("it does not begin with the topic's heartbeat")

// decodeBatch reads a message of topic t into scratch, which it may grow, and
// judges it. What it returns is part of scratch.
func decodeBatch(data []byte, t md.Topic, scratch []md.Record) (batch, []md.Record, error) {
	n := len(data) / md.RecordSize
	if n == 0 || len(data)%md.RecordSize != 0 {
		return batch{}, scratch, fmt.Errorf("%d bytes are not whole records of %d", len(data), md.RecordSize)
	}
	if cap(scratch) < n {
		scratch = make([]md.Record, n)
	}
	recs := scratch[:n]
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&recs[0])), len(data)), data)
	h := &recs[0]
	if h.Kind != md.KindHeartbeat || h.Valid() != nil || h.Venue != t.Venue || md.Channel(h.Side) != t.Channel || int64(h.ID) <= 0 {
		return batch{}, scratch, errHeader
	}
	b := batch{epoch: int64(h.ID), prev: h.Seq, part: h.Count, sent: h.TsRecv, recs: recs[1:],
		first: h.Flags&md.FlagFirst != 0, last: h.Flags&md.FlagLast != 0}
	for i := range b.recs {
		r := &b.recs[i]
		if err := r.Valid(); err != nil {
			return batch{}, scratch, err
		}
		if r.Venue != t.Venue || r.Channel() != t.Channel || r.Kind.Control() || r.Seq == 0 && r.Flags&md.FlagSnapshot == 0 {
			return batch{}, scratch, fmt.Errorf("record %d, a %s, does not belong to %s", i, r.Kind, t)
		}
	}
	return b, scratch, nil
}

// listing is a heartbeat of a venue.
type listing struct {
	Epoch int64 `json:"epoch,string"`
	// Full ends a list of all topics that there are; else Topics are those that
	// moved lately.
	Full   bool              `json:"full"`
	Topics map[string]uint64 `json:"topics"` // "<channel>.<symbol>" to the topic's number
}

// request is what a gateway asks of a venue's leader.
type request struct {
	From string `json:"from"` // its id: where key-frames go
	// Hello asks for the instruments and a full listing.
	Hello  bool     `json:"hello,omitempty"`
	Topics []string `json:"topics,omitempty"` // "<channel>.<symbol>", whose key-frames are wanted
}

// maxAsked is how many topics one request names at most.
const maxAsked = 512

// entries is a message of instruments.
type entries struct {
	Epoch       int64   `json:"epoch,string"`
	Instruments []entry `json:"instruments"`
}

// entry is one instrument. Numbers of the table do not travel: each host has
// its own.
type entry struct {
	Symbol       string            `json:"symbol"`
	Native       string            `json:"native"`
	Kind         md.InstrumentKind `json:"kind"`
	PriceExp     int8              `json:"price_exp"`
	SizeExp      int8              `json:"size_exp"`
	Tick         decimal           `json:"tick"`
	Lot          decimal           `json:"lot"`
	ContractSize decimal           `json:"contract_size"`
	Expiry       int64             `json:"expiry,string"`
}

// decimal is md.Decimal; a JSON number could not hold the mantissa.
type decimal struct {
	Mant int64 `json:"mant,string"`
	Exp  int8  `json:"exp"`
}

func entryOf(in *md.Instrument) entry {
	return entry{Symbol: in.Symbol, Native: in.Native, Kind: in.Kind, PriceExp: in.PriceExp, SizeExp: in.SizeExp,
		Tick: decimal(in.Tick), Lot: decimal(in.Lot), ContractSize: decimal(in.ContractSize), Expiry: in.Expiry}
}

// fill makes an instrument of the table what the entry says.
func (e *entry) fill(in *md.Instrument) {
	in.Native, in.Kind, in.PriceExp, in.SizeExp = e.Native, e.Kind, e.PriceExp, e.SizeExp
	in.Tick, in.Lot, in.ContractSize, in.Expiry = md.Decimal(e.Tick), md.Decimal(e.Lot), md.Decimal(e.ContractSize), e.Expiry
}

// encode is for what always can be encoded.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("bus: " + err.Error()) // numbers, strings and maps of them
	}
	return b
}
