package record

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/parquet-go/parquet-go"

	"tickrelay/ring/md"
)

// Sizes of a file's inner parts, in bytes and rows. A page is what a reader decodes at
// a time; fillRows are converted at a time and bound the encoder's scratch memory.
const (
	pageBytes    = 128 << 10
	dictBytes    = 1 << 20 // a column with more distinct values goes on without dictionary
	fillRows     = 1024
	writeBuffer  = 256 << 10
	writerName   = "tickrelay"
	writerSystem = "record"
)

// encoder turns rows into row groups of one file at a time. It is used again for file
// after file, for the sake of its buffers. One goroutine uses it.
type encoder struct {
	schema *parquet.Schema
	w      *parquet.GenericWriter[any]
	file   *os.File
	path   string // the finished file's
	buf    *bufio.Writer
	values []parquet.Value
	arena  []byte // decimals of one fill
	unfit  uint64 // numbers that DECIMAL(38,18) does not hold, in this file
}

func newEncoder() *encoder {
	return &encoder{schema: fileSchema(), values: make([]parquet.Value, fillRows), arena: make([]byte, fillRows*decimalSize),
		buf: bufio.NewWriterSize(nil, writeBuffer)}
}

// begin starts a file, under a temporary name.
func (e *encoder) begin(path string) error {
	f, err := os.OpenFile(path+temporaryExt, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	e.file, e.path, e.unfit = f, path, 0
	e.start(f)
	return nil
}

// start writes to any sink; begin and benchmarks use it.
func (e *encoder) start(to io.Writer) {
	e.buf.Reset(to)
	// A new one for each file: a used one would keep the metadata of the file before.
	e.w = parquet.NewGenericWriter[any](e.buf, e.schema, parquet.Compression(compression()), parquet.PageBufferSize(pageBytes),
		parquet.DataPageVersion(1), parquet.DictionaryMaxBytes(dictBytes), parquet.DataPageStatistics(false), // chunk and page index have them
		parquet.CreatedBy(writerName, "1", writerSystem),
		parquet.SortingWriterConfig(parquet.SortingColumns(parquet.Ascending(columns()[colTsRecv].name))))
}

// rowGroup writes rows, of one stream, as one row group.
func (e *encoder) rowGroup(r *rows, s stream, symbol func(r *rows, i int) string) error {
	sortRows(r)
	cw := e.w.ColumnWriters()
	for from := 0; from < r.len(); from += fillRows {
		part := rows{recs: r.recs[from:min(from+fillRows, r.len())]}
		part.epoch, part.arrival = r.epoch[from:], r.arrival[from:]
		if r.syms != nil {
			part.syms = r.syms[from:]
		}
		for c := range numColumns {
			v := e.values[:len(part.recs)]
			e.fill(c, v, &part, s, symbol)
			if _, err := cw[c].WriteRowValues(v); err != nil {
				return fmt.Errorf("column %s: %w", columns()[c].name, err)
			}
		}
	}
	return e.w.Flush()
}

// sortRows orders by receive time; rows of the same time keep their order.
func sortRows(r *rows) {
	if slices.IsSortedFunc(r.recs, func(a, b md.Record) int { return cmp.Compare(a.TsRecv, b.TsRecv) }) {
		return
	}
	var sorted rows
	sorted.pick(r, ordered(r.len(), func(a, b int32) int { return cmp.Compare(r.recs[a].TsRecv, r.recs[b].TsRecv) }))
	*r = sorted
}

// fill converts one column of rows.
func (e *encoder) fill(c int, v []parquet.Value, r *rows, s stream, symbol func(*rows, int) string) {
	switch c {
	case colVenue:
		fillSame(v, s.venue.String())
	case colChannel:
		fillSame(v, s.channel.String())
	case colSymbol:
		fillText(v, func(i int) string { return symbol(r, i) }, func(a, b int) bool {
			return r.recs[a].Instrument == r.recs[b].Instrument && (r.syms == nil || r.syms[a] == r.syms[b])
		})
	case colKind:
		fillText(v, func(i int) string { return kindName(r.recs[i].Kind) }, func(a, b int) bool { return r.recs[a].Kind == r.recs[b].Kind })
	case colPrice, colSize:
		e.fillDecimal(c, v, r.recs)
	case colEpoch:
		for i := range v {
			v[i] = parquet.Int64Value(r.epoch[i])
		}
	case colArrival:
		for i := range v {
			v[i] = parquet.Int64Value(r.arrival[i])
		}
	case colTsRecv, colTsEvent, colSeq, colID, colPriceMantissa, colSizeMantissa:
		fillLong(c, v, r.recs)
	default:
		fillShort(c, v, r.recs)
	}
}

// present says that a value of an optional column is there.
func present(v parquet.Value, c int) parquet.Value { return v.Level(0, 1, c) }

func fillSame(v []parquet.Value, text string) {
	same := parquet.ByteArrayValue([]byte(text))
	for i := range v {
		v[i] = same
	}
}

// fillText fills a text column; text is asked for only where a row differs from the one
// before.
func fillText(v []parquet.Value, text func(int) string, same func(a, b int) bool) {
	var last parquet.Value
	for i := range v {
		if i == 0 || !same(i-1, i) {
			last = parquet.ByteArrayValue([]byte(text(i)))
		}
		v[i] = last
	}
}

func fillLong(c int, v []parquet.Value, recs []md.Record) {
	switch c {
	case colTsRecv:
		longs(v, recs, func(r *md.Record) int64 { return r.TsRecv })
	case colSeq:
		longs(v, recs, func(r *md.Record) int64 { return int64(r.Seq) })
	case colID:
		longs(v, recs, func(r *md.Record) int64 { return int64(r.ID) })
	case colTsEvent:
		optionals(v, recs, c, 0, func(r *md.Record) int64 { return r.TsEvent })
	case colPriceMantissa:
		optionals(v, recs, c, md.Absent, func(r *md.Record) int64 { return r.Price })
	case colSizeMantissa:
		optionals(v, recs, c, md.Absent, func(r *md.Record) int64 { return r.Size })
	}
}

func longs(v []parquet.Value, recs []md.Record, get func(*md.Record) int64) {
	for i := range v {
		v[i] = parquet.Int64Value(get(&recs[i]))
	}
}

// optionals fills a column in which absent stands for null.
func optionals(v []parquet.Value, recs []md.Record, c int, absent int64, get func(*md.Record) int64) {
	for i := range v {
		n := get(&recs[i])
		if n == absent {
			v[i] = parquet.NullValue().Level(0, 0, c)
			continue
		}
		v[i] = present(parquet.Int64Value(n), c)
	}
}

func fillShort(c int, v []parquet.Value, recs []md.Record) {
	// One loop per column: a switch per value costs more than the value.
	switch c {
	case colSide:
		shorts(v, recs, func(r *md.Record) int32 { return int32(r.Side) })
	case colLevel:
		shorts(v, recs, func(r *md.Record) int32 { return int32(r.Level) })
	case colCount:
		shorts(v, recs, func(r *md.Record) int32 { return int32(r.Count) })
	case colFlags:
		shorts(v, recs, func(r *md.Record) int32 { return int32(r.Flags) })
	case colPriceExp:
		shorts(v, recs, func(r *md.Record) int32 { return int32(r.PriceExp) })
	case colSizeExp:
		shorts(v, recs, func(r *md.Record) int32 { return int32(r.SizeExp) })
	case colInstrument:
		shorts(v, recs, func(r *md.Record) int32 { return int32(r.Instrument) })
	}
}

func shorts(v []parquet.Value, recs []md.Record, get func(*md.Record) int32) {
	for i := range v {
		v[i] = parquet.Int32Value(get(&recs[i]))
	}
}

func (e *encoder) fillDecimal(c int, v []parquet.Value, recs []md.Record) {
	for i := range v {
		mant, exp := recs[i].Price, recs[i].PriceExp
		if c == colSize {
			mant, exp = recs[i].Size, recs[i].SizeExp
		}
		b := e.arena[i*decimalSize : (i+1)*decimalSize]
		if putDecimal(b, mant, exp) {
			v[i] = present(parquet.FixedLenByteArrayValue(b), c)
			continue
		}
		if mant != md.Absent {
			e.unfit++
		}
		v[i] = parquet.NullValue().Level(0, 0, c)
	}
}

// finish completes the file: written, synced, and only then under its name.
func (e *encoder) finish(m *fileMeta) error {
	m.unfit += e.unfit
	err := e.end(m)
	if err == nil {
		err = e.file.Sync()
	}
	if err = errors.Join(err, e.file.Close()); err == nil {
		err = os.Rename(e.path+temporaryExt, e.path)
	}
	if err != nil {
		os.Remove(e.path + temporaryExt)
		return fmt.Errorf("record: write %s: %w", e.path, err)
	}
	return syncDir(filepath.Dir(e.path))
}

// end writes the footer.
func (e *encoder) end(m *fileMeta) error {
	pairs, err := m.pairs()
	if err != nil {
		return err
	}
	for _, p := range pairs {
		e.w.SetKeyValueMetadata(p[0], p[1])
	}
	if err := e.w.Close(); err != nil {
		return err
	}
	return e.buf.Flush()
}

// abandon gives an unfinished file up.
func (e *encoder) abandon() {
	e.file.Close()
	os.Remove(e.path + temporaryExt)
}

// syncDir makes a rename last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
