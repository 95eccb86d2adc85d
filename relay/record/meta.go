package record

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/parquet-go/parquet-go"

	"tickrelay/ring/md"
)

// FormatVersion is the version of the files' schema and metadata.
const FormatVersion = 1

// Keys of a file's metadata.
const (
	keyFormat      = "tickrelay.format"
	keyRelay       = "tickrelay.relay"
	keyVenue       = "tickrelay.venue"
	keyChannel     = "tickrelay.channel"
	keyHour        = "tickrelay.hour"
	keyParts       = "tickrelay.parts"
	keyArrival     = "tickrelay.arrival"
	keySerial      = "tickrelay.serial"
	keyInstruments = "tickrelay.instruments"
	keyTopics      = "tickrelay.topics"
	keyUnfit       = "tickrelay.decimals_unfit"
)

// fileMeta is what a file says of itself.
type fileMeta struct {
	relay    string
	stream   stream
	hour     int64
	from, to int   // parts
	arrival  int64 // of its first record
	serial   int64 // of its journal, the last one's of several; 0: not said
	unfit    uint64
	// instruments are those of which the file has records, topics all that the
	// stream ever told, each with its last number.
	instruments map[string]md.Instrument
	topics      map[string]topicMark
}

// topicMark is the place of a topic at the end of a file.
type topicMark struct {
	Epoch int64  `json:"epoch,string"`
	Seq   uint64 `json:"seq,string"`
	// Records of the topic in the file.
	Records uint64 `json:"records"`
}

// instrumentJSON is an instrument entry in metadata and journals. Exact numbers are
// decimal text, as everywhere in JSON.
type instrumentJSON struct {
	ID           uint32 `json:"id"`
	Symbol       string `json:"symbol"`
	Native       string `json:"native,omitempty"`
	Kind         string `json:"kind"`
	PriceExp     int8   `json:"price_exp"`
	SizeExp      int8   `json:"size_exp"`
	Tick         string `json:"tick,omitempty"`
	Lot          string `json:"lot,omitempty"`
	ContractSize string `json:"contract_size,omitempty"`
	Expiry       int64  `json:"expiry,string,omitempty"`
	Generation   uint64 `json:"generation"`
	Venue        string `json:"venue"`
}

func instrumentToJSON(in *md.Instrument) instrumentJSON {
	return instrumentJSON{
		ID: in.ID, Symbol: in.Symbol, Native: in.Native, Kind: in.Kind.String(), PriceExp: in.PriceExp, SizeExp: in.SizeExp,
		Tick: in.Tick.String(), Lot: in.Lot.String(), ContractSize: in.ContractSize.String(), Expiry: in.Expiry,
		Generation: in.Generation, Venue: in.Venue.String(),
	}
}

func (j *instrumentJSON) instrument() (md.Instrument, error) {
	in := md.Instrument{ID: j.ID, Symbol: j.Symbol, Native: j.Native, PriceExp: j.PriceExp, SizeExp: j.SizeExp,
		Expiry: j.Expiry, Generation: j.Generation}
	if err := md.CheckToken(j.Symbol); err != nil {
		return in, fmt.Errorf("instrument %q: %w", j.Symbol, err)
	}
	var ok bool
	if in.Venue, ok = md.ParseVenue(j.Venue); !ok {
		return in, fmt.Errorf("instrument %q: unknown venue %q", j.Symbol, j.Venue)
	}
	for k := md.InstrumentUnknown; k <= md.InstrumentVenue; k++ {
		if k.String() == j.Kind {
			in.Kind = k
		}
	}
	for _, d := range []struct {
		to   *md.Decimal
		text string
	}{{&in.Tick, j.Tick}, {&in.Lot, j.Lot}, {&in.ContractSize, j.ContractSize}} {
		if d.text == "" {
			continue
		}
		var err error
		if *d.to, err = md.ParseDecimal([]byte(d.text)); err != nil {
			return in, fmt.Errorf("instrument %q: %w", j.Symbol, err)
		}
	}
	return in, nil
}

type topicJSON struct {
	Symbol string `json:"symbol"`
	topicMark
}

// pairs are the metadata as keys and values, in a stable order.
func (m *fileMeta) pairs() ([][2]string, error) {
	var list []instrumentJSON
	for _, in := range m.instruments {
		list = append(list, instrumentToJSON(&in))
	}
	slices.SortFunc(list, func(a, b instrumentJSON) int { return cmp.Compare(a.Symbol, b.Symbol) })
	instruments, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	var marks []topicJSON
	for symbol, t := range m.topics {
		marks = append(marks, topicJSON{symbol, t})
	}
	slices.SortFunc(marks, func(a, b topicJSON) int { return cmp.Compare(a.Symbol, b.Symbol) })
	topics, err := json.Marshal(marks)
	if err != nil {
		return nil, err
	}
	return [][2]string{
		{keyFormat, strconv.Itoa(FormatVersion)}, {keyRelay, m.relay},
		{keyVenue, m.stream.venue.String()}, {keyChannel, m.stream.channel.String()},
		{keyHour, time.Unix(0, m.hour).UTC().Format(time.RFC3339)}, {keyParts, fmt.Sprintf("%d-%d", m.from, m.to)},
		{keyArrival, strconv.FormatInt(m.arrival, 10)}, {keySerial, strconv.FormatInt(m.serial, 10)},
		{keyUnfit, strconv.FormatUint(m.unfit, 10)}, {keyInstruments, string(instruments)}, {keyTopics, string(topics)},
	}, nil
}

// readMeta reads a file's metadata; an error if it is no file of ours.
func readMeta(f *parquet.File) (*fileMeta, error) {
	get := func(key string) string { v, _ := f.Lookup(key); return v }
	switch v := get(keyFormat); v {
	case strconv.Itoa(FormatVersion):
	case "":
		return nil, fmt.Errorf("not a recording: the file has no %s", keyFormat)
	default:
		return nil, fmt.Errorf("recording of format %.20s: this program reads %d: %w", v, FormatVersion, errFormat)
	}
	m := &fileMeta{relay: get(keyRelay), instruments: map[string]md.Instrument{}, topics: map[string]topicMark{}}
	var ok1, ok2 bool
	m.stream.venue, ok1 = md.ParseVenue(get(keyVenue))
	m.stream.channel, ok2 = md.ParseChannel(get(keyChannel))
	if !ok1 || !ok2 {
		return nil, fmt.Errorf("venue %q, channel %q: not known", get(keyVenue), get(keyChannel))
	}
	t, err := time.Parse(time.RFC3339, get(keyHour))
	if err != nil {
		return nil, err
	}
	m.hour = t.UnixNano()
	if _, err := fmt.Sscanf(get(keyParts), "%d-%d", &m.from, &m.to); err != nil {
		return nil, fmt.Errorf("%s %q: %w", keyParts, get(keyParts), err)
	}
	if m.arrival, err = strconv.ParseInt(get(keyArrival), 10, 64); err != nil {
		return nil, fmt.Errorf("%s: %w", keyArrival, err)
	}
	m.serial, _ = strconv.ParseInt(get(keySerial), 10, 64) // files of earlier versions do not say
	m.unfit, _ = strconv.ParseUint(get(keyUnfit), 10, 64)
	var list []instrumentJSON
	if err := json.Unmarshal([]byte(get(keyInstruments)), &list); err != nil {
		return nil, fmt.Errorf("%s: %w", keyInstruments, err)
	}
	for i := range list {
		in, err := list[i].instrument()
		if err != nil {
			return nil, err
		}
		m.instruments[in.Symbol] = in
	}
	var marks []topicJSON
	if err := json.Unmarshal([]byte(get(keyTopics)), &marks); err != nil {
		return nil, fmt.Errorf("%s: %w", keyTopics, err)
	}
	for _, t := range marks {
		m.topics[t.Symbol] = t.topicMark
	}
	return m, nil
}

// merge adds what a later file of the same hour says.
func (m *fileMeta) merge(next *fileMeta) {
	m.to, m.serial, m.unfit = next.to, max(m.serial, next.serial), m.unfit+next.unfit
	for s, in := range next.instruments {
		m.instruments[s] = in
	}
	for s, t := range next.topics {
		t.Records += m.topics[s].Records
		m.topics[s] = t
	}
}
