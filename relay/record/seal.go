package record

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"tickrelay/ring/md"
)

// sealer turns journals into files. Its memory, one row group and the encoder's
// buffers, is used again. One goroutine uses it.
type sealer struct {
	relay string
	group int // rows of a row group
	enc   *encoder
	in    loaded
	part  rows
	// remove is os.Remove, or a test's.
	remove func(path string) error
}

func newSealer(relay string, group int) *sealer {
	return &sealer{relay: relay, group: group, enc: newEncoder(), remove: os.Remove}
}

// sealed says what became of a journal.
type sealed struct {
	records int64
	bytes   int64
	unfit   uint64
	torn    int64 // bytes at the journal's end that were no whole block
	topics  map[string]topicMark
	left    error // the journal is still there, or set aside; its records are in the file
}

// seal writes a journal's records into a file and deletes the journal. carry are the
// last numbers of the stream's topics before it. Killed at any point it leaves the
// journal, or the file, or both, as where the journal cannot be deleted: then the file
// counts, see current.
// cut: a kill may have cut its last event short.
func (s *sealer) seal(path string, cut bool, carry map[string]topicMark) (*sealed, error) {
	if err := loadJournal(path, &s.in); err != nil {
		return nil, err
	}
	if cut {
		s.in.trim()
	}
	return s.sealLoaded(path, carry)
}

func (s *sealer) sealLoaded(path string, carry map[string]topicMark) (*sealed, error) {
	out := &sealed{records: int64(s.in.len()), torn: s.in.torn}
	if s.in.len() == 0 {
		out.left = s.done(path)
		return out, nil
	}
	m := s.meta(carry)
	out.topics = m.topics
	name := fileName{hour: m.hour, from: m.from, to: m.to}
	target := filepath.Join(filepath.Dir(path), name.String())
	if err := s.enc.begin(target); err != nil {
		return nil, err
	}
	for from := 0; from < s.in.len(); from += s.group {
		to := min(from+s.group, s.in.len())
		s.part = rows{recs: s.in.recs[from:to], epoch: s.in.epoch[from:to], arrival: s.in.arrival[from:to]}
		if err := s.enc.rowGroup(&s.part, m.stream, s.in.rowSymbol); err != nil {
			s.enc.abandon()
			return nil, fmt.Errorf("record: seal %s: %w", path, err)
		}
	}
	if err := s.enc.finish(m); err != nil {
		return nil, err
	}
	out.unfit = m.unfit
	if st, err := os.Stat(target); err == nil {
		out.bytes = st.Size()
	}
	out.left = s.done(path)
	return out, nil
}

// done removes a journal that is in a file, as far as it could be read.
func (s *sealer) done(path string) error {
	if s.in.broken == nil {
		return s.remove(path)
	}
	a, err := setAside(path, s.in.broken)
	if err != nil {
		return err
	}
	return a
}

// meta describes the file of the journal that was loaded.
func (s *sealer) meta(carry map[string]topicMark) *fileMeta {
	h := s.in.head
	m := &fileMeta{relay: s.relay, stream: h.stream, hour: h.hour, from: h.part, to: h.part, arrival: h.first, serial: h.serial,
		instruments: map[string]md.Instrument{}, topics: map[string]topicMark{}}
	for symbol, t := range carry {
		t.Records = 0
		m.topics[symbol] = t
	}
	byID := map[uint32]*topicMark{}
	for i := range s.in.recs {
		r := &s.in.recs[i]
		t := byID[r.Instrument]
		if t == nil {
			symbol := s.in.symbol(r.Instrument)
			mark := m.topics[symbol]
			t = &mark
			byID[r.Instrument] = t
			if in, ok := s.in.instruments[r.Instrument]; ok {
				m.instruments[symbol] = in
			}
		}
		t.Records++
		t.mark(r, s.in.epoch[i])
	}
	for id, t := range byID {
		m.topics[s.in.symbol(id)] = *t
	}
	return m
}

// mark takes a record's number.
func (t *topicMark) mark(r *md.Record, epoch int64) {
	if epoch != t.Epoch || r.Kind == md.KindHeartbeat {
		t.Epoch, t.Seq = epoch, r.Seq
		return
	}
	t.Seq = max(t.Seq, r.Seq)
}

// settle deletes the files of one hour whose records are in another one of it, and
// returns the others. left says which could not be deleted; they do no harm.
func (s *sealer) settle(dir string, files []fileName) (keep []fileName, left, err error) {
	done := -1
	if files[0].from < 0 {
		f, err := openFile(filepath.Join(dir, files[0].String()))
		if err != nil {
			return nil, nil, err
		}
		done = f.meta.to
		f.close()
	}
	keep, superseded := current(files, done)
	return keep, s.removeAll(dir, superseded), nil
}

// removeAll deletes files of a folder.
func (s *sealer) removeAll(dir string, names []fileName) error {
	var errs []error
	for _, n := range names {
		if err := s.remove(filepath.Join(dir, n.String())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("record: its records are in another file, but it cannot be deleted: %w", err))
		}
	}
	return errors.Join(errs...)
}
