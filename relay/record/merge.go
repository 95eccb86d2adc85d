package record

import (
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// merge writes the finished files names of one hour, in their order, into one, and
// deletes those whose names it does not take. Large row groups are copied as they are;
// small ones are put together. Killed at any point it leaves the old files, or both, as
// where the old ones cannot be deleted (left says so): then the merged one counts, see
// current, and they must not be merged again, see settle. done, if not nil, is told of
// rows as they go.
func (s *sealer) merge(dir string, names []fileName, target fileName, done func(rows int64)) (left, err error) {
	files := make([]*file, 0, len(names))
	defer func() {
		for _, f := range files {
			f.close()
		}
	}()
	for _, n := range names {
		f, err := openFile(filepath.Join(dir, n.String()))
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	m := *files[0].meta
	m.instruments, m.topics = maps.Clone(m.instruments), maps.Clone(m.topics)
	for _, f := range files[1:] {
		m.merge(f.meta)
	}
	if len(files) == 1 {
		if err := os.Rename(files[0].path, filepath.Join(dir, target.String())); err != nil {
			return nil, err
		}
		return nil, syncDir(dir)
	}
	if err := s.enc.begin(filepath.Join(dir, target.String())); err != nil {
		return nil, err
	}
	if err := guarded(func() error { return s.append(files, done) }); err != nil {
		s.enc.abandon()
		return nil, err
	}
	s.enc.unfit = 0 // the files have counted theirs
	if err := s.enc.finish(&m); err != nil {
		return nil, err
	}
	return s.removeAll(dir, slices.DeleteFunc(slices.Clone(names), func(n fileName) bool { return n == target })), nil
}

// append writes the row groups of files to the encoder's file.
func (s *sealer) append(files []*file, done func(int64)) error {
	var pending rows
	symbols := newNames()
	flush := func() error {
		if pending.len() == 0 {
			return nil
		}
		err := s.enc.rowGroup(&pending, files[0].meta.stream, func(r *rows, i int) string { return symbols.list[r.syms[i]] })
		pending.reset()
		return err
	}
	for _, f := range files {
		for g, rg := range f.pq.RowGroups() {
			n := rg.NumRows()
			if int64(pending.len())+n > int64(s.group) || n >= int64(s.group/2) {
				if err := flush(); err != nil {
					return err
				}
			}
			if n >= int64(s.group/2) {
				if _, err := s.enc.w.WriteRowGroup(rg); err != nil {
					return err
				}
			} else {
				rd := f.readGroup(g, symbols)
				var err error
				for err == nil {
					err = rd.next(&pending)
				}
				rd.close()
				if !errors.Is(err, io.EOF) {
					return err
				}
			}
			if done != nil {
				done(n)
			}
		}
	}
	return flush()
}

// mergeHour makes the one file of an hour that is over; it does nothing while the hour
// has a journal, or if the file is there. merged and an error: it is there, but what it
// was made of too.
func (s *sealer) mergeHour(dir string, files []fileName, done func(int64)) (merged bool, err error) {
	if len(files) == 0 || len(files) == 1 && files[0].from < 0 {
		return false, nil
	}
	files, left, err := s.settle(dir, files)
	if err != nil || len(files) == 1 && files[0].from < 0 || slices.ContainsFunc(files, func(f fileName) bool { return f.journal }) {
		return false, errors.Join(err, left)
	}
	more, err := s.merge(dir, files, fileName{hour: files[0].hour, from: -1, to: -1}, done)
	return err == nil, errors.Join(err, left, more)
}
