package record

import (
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"tickrelay/ring/md"
)

// Places of the columns in a file, in this order.
const (
	colTsRecv = iota
	colTsEvent
	colVenue
	colChannel
	colSymbol
	colKind
	colSeq
	colPrice
	colSize
	colSide
	colLevel
	colCount
	colID
	colFlags
	colPriceMantissa
	colPriceExp
	colSizeMantissa
	colSizeExp
	colInstrument
	colEpoch
	colArrival
	numColumns
)

// column is how one column of a file is declared.
type column struct {
	name string
	node parquet.Node
}

// columns declares the file's schema, version 1; see docs/recording.md.
func columns() [numColumns]column {
	dict := func(n parquet.Node) parquet.Node { return parquet.Encoded(n, &parquet.RLEDictionary) }
	delta := func(n parquet.Node) parquet.Node { return parquet.Encoded(n, &parquet.DeltaBinaryPacked) }
	decimal := func() parquet.Node {
		return parquet.Decimal(decimalScale, decimalPrecision, parquet.FixedLenByteArrayType(decimalSize))
	}
	return [numColumns]column{
		colTsRecv:        {"ts_recv", delta(parquet.Timestamp(parquet.Nanosecond))},
		colTsEvent:       {"ts_event", parquet.Optional(delta(parquet.Timestamp(parquet.Nanosecond)))},
		colVenue:         {"venue", dict(parquet.String())},
		colChannel:       {"channel", dict(parquet.String())},
		colSymbol:        {"symbol", dict(parquet.String())},
		colKind:          {"kind", dict(parquet.String())},
		colSeq:           {"seq", delta(parquet.Uint(64))},
		colPrice:         {"price", parquet.Optional(dict(decimal()))}, // prices recur, sizes hardly
		colSize:          {"size", parquet.Optional(decimal())},
		colSide:          {"side", dict(parquet.Uint(8))},
		colLevel:         {"level", dict(parquet.Uint(8))},
		colCount:         {"count", dict(parquet.Uint(32))},
		colID:            {"id", delta(parquet.Uint(64))},
		colFlags:         {"flags", dict(parquet.Uint(8))},
		colPriceMantissa: {"price_mantissa", parquet.Optional(dict(parquet.Int(64)))},
		colPriceExp:      {"price_exp", dict(parquet.Int(8))},
		colSizeMantissa:  {"size_mantissa", parquet.Optional(parquet.Int(64))},
		colSizeExp:       {"size_exp", dict(parquet.Int(8))},
		colInstrument:    {"instrument", dict(parquet.Uint(32))},
		colEpoch:         {"epoch", dict(parquet.Int(64))},
		colArrival:       {"arrival", delta(parquet.Int(64))},
	}
}

// fileSchema is the schema of every file: a group with the columns in their order.
func fileSchema() *parquet.Schema {
	g := orderedGroup{Group: parquet.Group{}}
	for _, c := range columns() {
		g.Group[c.name] = c.node
		g.order = append(g.order, c.name)
	}
	return parquet.NewSchema("record", g)
}

// orderedGroup is a parquet.Group whose fields are not sorted by name.
type orderedGroup struct {
	parquet.Group
	order []string
}

// Fields implements parquet.Node.
func (g orderedGroup) Fields() []parquet.Field {
	byName := map[string]parquet.Field{}
	for _, f := range g.Group.Fields() {
		byName[f.Name()] = f
	}
	out := make([]parquet.Field, len(g.order))
	for i, name := range g.order {
		out[i] = byName[name]
	}
	return out
}

// compression of every column: the fastest zstd, which the decimals and text need most.
func compression() *zstd.Codec { return &zstd.Codec{Level: zstd.SpeedFastest} }

// rows are records on the way into a file or out of one.
type rows struct {
	recs    []md.Record
	epoch   []int64
	arrival []int64
	syms    []int32 // numbers of the symbols; nil: the instrument says it
}

func (r *rows) len() int { return len(r.recs) }

func (r *rows) reset() { r.cut(0) }

// cut leaves the first n rows.
func (r *rows) cut(n int) {
	r.recs, r.epoch, r.arrival = r.recs[:n], r.epoch[:n], r.arrival[:n]
	r.syms = r.syms[:min(n, len(r.syms))]
}

func (r *rows) add(rec *md.Record, epoch, arrival int64) {
	r.recs = append(r.recs, *rec)
	r.epoch = append(r.epoch, epoch)
	r.arrival = append(r.arrival, arrival)
}

// drop removes the first n rows.
func (r *rows) drop(n int) {
	r.recs = r.recs[:copy(r.recs, r.recs[n:])]
	r.epoch = r.epoch[:copy(r.epoch, r.epoch[n:])]
	r.arrival = r.arrival[:copy(r.arrival, r.arrival[n:])]
	r.syms = r.syms[:copy(r.syms, r.syms[n:])]
}

// pick appends rows of from, in an order.
func (r *rows) pick(from *rows, order []int32) {
	for _, i := range order {
		r.add(&from.recs[i], from.epoch[i], from.arrival[i])
		if from.syms != nil {
			r.syms = append(r.syms, from.syms[i])
		}
	}
}

// ordered is the order of n rows by a comparison; rows that are equal keep theirs.
func ordered(n int, compare func(a, b int32) int) []int32 {
	order := make([]int32, n)
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, compare)
	return order
}

// kindName is the text of column kind. A kind that this version does not know keeps its
// number, so that nothing is lost.
func kindName(k md.Kind) string {
	if s := k.String(); s != "unknown" {
		return s
	}
	return "kind_" + string([]byte{'0' + byte(k)/100, '0' + byte(k)/10%10, '0' + byte(k)%10})
}

// parseKind is the reverse of kindName.
func parseKind(s string) (md.Kind, bool) {
	if d, ok := strings.CutPrefix(s, "kind_"); ok && len(d) == 3 {
		n := 0
		for _, c := range []byte(d) {
			if c < '0' || c > '9' {
				return 0, false
			}
			n = 10*n + int(c-'0')
		}
		return md.Kind(n), n < 256
	}
	for k := md.Kind(1); k < 64; k++ {
		if k.String() == s {
			return k, true
		}
	}
	return 0, false
}
