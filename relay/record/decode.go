package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"tickrelay/ring/md"
)

// file is a finished file, open for reading. One goroutine uses it.
type file struct {
	path string
	f    *os.File
	pq   *parquet.File
	meta *fileMeta
	cols [numColumns]int // places of our columns among the file's leaves
}

// openFile opens a finished file and checks that it is one of this format.
func openFile(path string) (*file, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	in := &file{path: path, f: f}
	if err := guarded(in.open); err != nil {
		f.Close()
		return nil, fmt.Errorf("record: %s: %w", path, err)
	}
	return in, nil
}

func (in *file) open() error {
	st, err := in.f.Stat()
	if err != nil {
		return err
	}
	if err := checkLength(in.f, st.Size()); err != nil {
		return err
	}
	if in.pq, err = parquet.OpenFile(in.f, st.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true)); err != nil {
		return err
	}
	if in.meta, err = readMeta(in.pq); err != nil {
		return err
	}
	if err := checkFooter(in.pq.Metadata(), st.Size()); err != nil {
		return err
	}
	for c, want := range columns() {
		leaf, ok := in.pq.Schema().Lookup(want.name)
		if !ok || leaf.Node.Type().Kind() != want.node.Type().Kind() || leaf.Node.Optional() != want.node.Optional() {
			return fmt.Errorf("column %s is missing or of another type", want.name)
		}
		in.cols[c] = leaf.ColumnIndex
	}
	return nil
}

func (in *file) close() error { return in.f.Close() }

// checkLength compares the footer's length, in the last bytes of the file, with the file's.
func checkLength(f io.ReaderAt, size int64) error {
	var end [8]byte
	if _, err := f.ReadAt(end[:], max(0, size-int64(len(end)))); err != nil {
		return fmt.Errorf("no Parquet file: %w", err)
	}
	if n := int64(binary.LittleEndian.Uint32(end[:])); string(end[4:]) != "PAR1" || n > size-12 {
		return errors.New("no whole Parquet file: it does not end with a footer")
	}
	return nil
}

// checkFooter refuses what this package does not write: a wrong bit must not have a
// decoder ask for memory without end.
func checkFooter(m *format.FileMetaData, size int64) error {
	rows := int64(0)
	for g := range m.RowGroups {
		rg := &m.RowGroups[g]
		rows += rg.NumRows
		for c := range rg.Columns {
			chunk := &rg.Columns[c].MetaData
			from := chunk.DataPageOffset
			if d := chunk.DictionaryPageOffset; d > 0 {
				from = min(from, d)
			}
			if chunk.Codec != format.Zstd || chunk.NumValues != rg.NumRows || from <= 0 || from > size || chunk.TotalCompressedSize <= 0 || chunk.TotalCompressedSize > size-from {
				return fmt.Errorf("the footer makes no sense: row group %d, column %d", g, c)
			}
		}
	}
	if rows != m.NumRows {
		return fmt.Errorf("the footer makes no sense: %d rows, %d in row groups", m.NumRows, rows)
	}
	return nil
}

// needed are the columns from which records are put together again.
var needed = [...]int{colTsRecv, colTsEvent, colSymbol, colKind, colSeq, colSide, colLevel, colCount, colID, colFlags,
	colPriceMantissa, colPriceExp, colSizeMantissa, colSizeExp, colInstrument, colEpoch, colArrival}

// groupReader reads the rows of one row group in the order of the file.
type groupReader struct {
	in      *file
	readers [len(needed)]parquet.ColumnChunkValueReader
	left    int64
	values  []parquet.Value
	symbols *names
}

// names gives symbols numbers, so that rows need not carry text.
type names struct {
	list []string
	ids  map[string]int32
}

func newNames() *names { return &names{ids: map[string]int32{}} }

func (n *names) id(symbol []byte) int32 {
	if id, ok := n.ids[string(symbol)]; ok {
		return id
	}
	id := int32(len(n.list))
	n.list = append(n.list, string(symbol))
	n.ids[n.list[id]] = id
	return id
}

func (in *file) readGroup(group int, symbols *names) *groupReader {
	rg := in.pq.RowGroups()[group]
	g := &groupReader{in: in, left: rg.NumRows(), values: make([]parquet.Value, fillRows), symbols: symbols}
	chunks := rg.ColumnChunks()
	for i, c := range needed {
		g.readers[i] = parquet.NewColumnChunkValueReader(chunks[in.cols[c]])
	}
	return g
}

func (g *groupReader) close() {
	for _, r := range g.readers {
		r.Close()
	}
}

// next appends up to fillRows rows to out, with the numbers of their symbols; none where
// there is an error. io.EOF at the end.
func (g *groupReader) next(out *rows) error {
	return guarded(func() error { return g.read(out) })
}

func (g *groupReader) read(out *rows) error {
	n := int(min(g.left, fillRows))
	if n == 0 {
		return io.EOF
	}
	g.left -= int64(n)
	at := out.len()
	whole := false
	defer func() {
		if !whole { // by an error or a panic
			out.cut(at)
		}
	}()
	out.recs = append(out.recs, make([]md.Record, n)...)
	out.epoch = append(out.epoch, make([]int64, n)...)
	out.arrival = append(out.arrival, make([]int64, n)...)
	out.syms = append(out.syms, make([]int32, n)...)
	part := rows{out.recs[at:], out.epoch[at:], out.arrival[at:], out.syms[at:]}
	for i, c := range needed {
		if err := readFull(g.readers[i], g.values[:n]); err != nil {
			return fmt.Errorf("record: %s: column %s: %w", g.in.path, columns()[c].name, err)
		}
		if err := g.take(c, g.values[:n], &part); err != nil {
			return fmt.Errorf("record: %s: column %s: %w", g.in.path, columns()[c].name, err)
		}
	}
	for i := range part.recs {
		part.recs[i].Venue = g.in.meta.stream.venue
	}
	whole = true
	return nil
}

func readFull(r parquet.ColumnChunkValueReader, v []parquet.Value) error {
	for len(v) > 0 {
		n, err := r.ReadValues(v)
		if n == 0 && err == nil {
			err = io.ErrNoProgress
		}
		v = v[n:]
		if len(v) > 0 && err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

func (g *groupReader) take(c int, v []parquet.Value, out *rows) error {
	switch c {
	case colSymbol:
		for i := range v {
			out.syms[i] = g.symbols.id(v[i].ByteArray())
		}
	case colKind:
		var last string
		var kind md.Kind
		for i := range v {
			if b := v[i].ByteArray(); string(b) != last {
				var ok bool
				last = string(b)
				if kind, ok = parseKind(last); !ok {
					return fmt.Errorf("unknown kind %q", last)
				}
			}
			out.recs[i].Kind = kind
		}
	case colEpoch:
		for i := range v {
			out.epoch[i] = v[i].Int64()
		}
	case colArrival:
		for i := range v {
			out.arrival[i] = v[i].Int64()
		}
	case colTsRecv, colTsEvent, colSeq, colID, colPriceMantissa, colSizeMantissa:
		takeLong(c, v, out.recs)
	default:
		takeShort(c, v, out.recs)
	}
	return nil
}

func takeLong(c int, v []parquet.Value, recs []md.Record) {
	for i := range v {
		r := &recs[i]
		n := v[i].Int64() // 0 of a null
		switch c {
		case colTsRecv:
			r.TsRecv = n
		case colTsEvent:
			r.TsEvent = n
		case colSeq:
			r.Seq = uint64(n)
		case colID:
			r.ID = uint64(n)
		case colPriceMantissa:
			r.Price = orAbsent(n, v[i])
		case colSizeMantissa:
			r.Size = orAbsent(n, v[i])
		}
	}
}

func orAbsent(n int64, v parquet.Value) int64 {
	if v.IsNull() {
		return md.Absent
	}
	return n
}

func takeShort(c int, v []parquet.Value, recs []md.Record) {
	for i := range v {
		r := &recs[i]
		n := v[i].Int32()
		switch c {
		case colSide:
			r.Side = uint8(n)
		case colLevel:
			r.Level = uint8(n)
		case colCount:
			r.Count = uint32(n)
		case colFlags:
			r.Flags = md.Flags(n)
		case colPriceExp:
			r.PriceExp = int8(n)
		case colSizeExp:
			r.SizeExp = int8(n)
		case colInstrument:
			r.Instrument = uint32(n)
		}
	}
}
