package record

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/parquet-go/parquet-go"
)

// hourFiles are the files of one hour of a stream, open: from then on a recorder may
// seal, merge and delete them, the reader keeps what it saw.
type hourFiles struct {
	hour  int64
	files []*hourFile
	bad   []*badFile // files that cannot be read; they are not in files
}

// hourFile is a finished file or a journal.
type hourFile struct {
	name    fileName
	file    *file          // nil: a journal
	f       *os.File       // the journal
	journal *journalReader // of it
}

const (
	listAgain = 50 // tries to list an hour whose files change at that moment
	listPause = 2 * time.Millisecond
)

// openHour opens the files of an hour. A recorder may be at work on them: a list in
// which a file is gone by the time it is opened, or a part is missing, is made again. So
// is one that is another by the time its files are open: a large folder is not read at
// one moment, and a journal that becomes a file meanwhile may be in the list as neither.
// A file that cannot be read keeps nobody from the others.
func openHour(dir string, hour int64) (*hourFiles, error) {
	return openListed(dir, hour, func() ([]fileName, error) {
		all, err := listFiles(dir)
		return slices.DeleteFunc(all, func(f fileName) bool { return f.hour != hour }), err
	})
}

func openListed(dir string, hour int64, list func() ([]fileName, error)) (*hourFiles, error) {
	for try := 0; ; try++ {
		h, again, err := tryHour(dir, hour, list)
		if err != nil || !again {
			return h, err
		}
		if try == listAgain {
			return h, nil // a part is really gone; what is there can be read
		}
		h.close()
		time.Sleep(listPause)
	}
}

func tryHour(dir string, hour int64, list func() ([]fileName, error)) (h *hourFiles, again bool, err error) {
	listed, err := list()
	if err != nil {
		return nil, false, err
	}
	all := listed
	h = &hourFiles{hour: hour}
	done := -1
	if len(all) > 0 && all[0].from < 0 {
		if f, gone := h.open(dir, all[0]); f != nil {
			done = f.file.meta.to
		} else if again = gone; len(all) > 1 {
			done = all[1].from - 1 // nobody can say which parts were in it
		}
		all = all[1:]
	}
	keep, _ := current(all, done)
	for _, name := range keep {
		again = again || name.from != done+1
		done = name.to
		_, gone := h.open(dir, name)
		again = again || gone
	}
	if len(keep) == 0 && len(h.files) > 0 {
		return h, again, nil // the hour's complete file alone: nothing becomes of it
	}
	now, err := list()
	if err != nil {
		h.close()
		return nil, false, err
	}
	return h, again || !slices.Equal(listed, now), nil
}

// open adds a file to the hour, or its error; gone: it is no longer there.
func (h *hourFiles) open(dir string, name fileName) (f *hourFile, gone bool) {
	f = &hourFile{name: name}
	path := filepath.Join(dir, name.String())
	var err error
	if !name.journal {
		f.file, err = openFile(path)
	} else if f.f, err = os.Open(path); err == nil {
		if f.journal, err = newJournalReader(bufio.NewReaderSize(f.f, 64<<10)); err != nil {
			st, serr := f.f.Stat()
			f.f.Close()
			if serr == nil && st.Size() <= journalHeader {
				return nil, false // its header was never written: it holds nothing
			}
			err = fmt.Errorf("record: %s: %w", path, err)
		}
	}
	if err != nil {
		h.bad = append(h.bad, &badFile{path, err})
		return nil, errors.Is(err, fs.ErrNotExist)
	}
	h.files = append(h.files, f)
	return f, false
}

func (h *hourFiles) close() {
	for _, f := range h.files {
		f.close()
	}
	h.files = nil
}

func (f *hourFile) close() {
	if f.file != nil {
		f.file.close()
	}
	if f.f != nil {
		f.f.Close()
	}
}

// hasRecords reports whether the file holds records of a wanted topic.
func (f *hourFile) hasRecords(want func(string) bool) bool {
	if f.file == nil {
		return true
	}
	for symbol, t := range f.file.meta.topics {
		if t.Records > 0 && want(symbol) {
			return true
		}
	}
	return false
}

// bounds are the least and the greatest value of a column, of receive times or arrivals,
// in a row group; false if the file does not say.
func (in *file) bounds(col, group int) (from, to int64, ok bool) {
	from, to = 0, math.MaxInt64
	err := guarded(func() error {
		if c, is := in.pq.RowGroups()[group].ColumnChunks()[in.cols[col]].(*parquet.FileColumnChunk); is {
			a, b, known := c.Bounds()
			if ok = known; ok {
				from, to = a.Int64(), b.Int64()
			}
		}
		return nil
	})
	return from, to, ok && err == nil
}

// arrivalEnd is the place in the hour after the file's last row. A merged file may have
// holes, where a part could not be read.
func (in *file) arrivalEnd() int64 {
	end := in.meta.arrival + in.pq.NumRows()
	for g := range in.pq.RowGroups() {
		if _, last, ok := in.bounds(colArrival, g); ok {
			end = max(end, last+1)
		}
	}
	return end
}

// inOrder reports whether the rows of a row group are in the order of arrival. They
// are, except where something came with an earlier receive time than what came before.
func (in *file) inOrder(group int) (ordered bool, err error) {
	err = guarded(func() error {
		ordered, err = in.readOrder(group)
		return err
	})
	return ordered, err
}

func (in *file) readOrder(group int) (bool, error) {
	rg := in.pq.RowGroups()[group]
	r := parquet.NewColumnChunkValueReader(rg.ColumnChunks()[in.cols[colArrival]])
	defer r.Close()
	var values [256]parquet.Value
	last := int64(-1)
	for left := rg.NumRows(); left > 0; {
		v := values[:min(left, int64(len(values)))]
		if err := readFull(r, v); err != nil {
			return false, fmt.Errorf("record: %s: column arrival: %w", in.path, err)
		}
		left -= int64(len(v))
		for i := range v {
			if n := v[i].Int64(); n <= last {
				return false, nil
			} else {
				last = n
			}
		}
	}
	return true, nil
}

// readAll appends the rows of a row group to out, in the order of arrival.
func (g *groupReader) readAll(out *rows) error {
	var in rows
	var err error
	for err == nil {
		err = g.next(&in)
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	out.pick(&in, ordered(in.len(), func(a, b int32) int { return cmp.Compare(in.arrival[a], in.arrival[b]) }))
	return nil
}

// fillFrom appends the next block of a journal to r.
func (r *rows) fillFrom(j *journalReader, a *assembler) error {
	at := j.next
	recs, epoch, err := j.block()
	for _, in := range j.fresh {
		a.learn(in)
	}
	if err != nil {
		return err
	}
	for i := range recs {
		r.add(&recs[i], epoch, at+int64(i))
		r.syms = append(r.syms, a.symbols.id([]byte(symbolOf(j.instruments, recs[i].Instrument))))
	}
	return nil
}
