package record

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// recovered is what recovery found of one stream.
type recovered struct {
	topics   map[string]topicMark // last numbers, by symbol
	serial   int64                // of the journal that knew them
	hour     int64                // the newest that is not ahead of the clock
	next     int                  // its next part
	arrival  int64                // its next record's place
	newest   int64                // the newest
	waiting  []fileName           // journals
	records  int64                // taken out of journals
	journals int
	torn     int64
	unsealed []string // journals that cannot become files now: the device is full
	errs     []error  // what could not be read, each an *aside, not be deleted, or not be sealed
}

// recover brings a stream's folder in order after whatever happened: unfinished files
// go, files that others contain go, those that cannot be read are set aside, journals
// become files. now is the clock: hours ahead of it are brought in order too, but they are
// not where the recording goes on.
func (s *sealer) recover(dir string, now int64) (*recovered, error) {
	out := &recovered{topics: map[string]topicMark{}}
	left, err := s.removeTemporary(dir)
	if err != nil {
		return nil, err
	}
	out.errs = left
	all, err := listFiles(dir)
	if err != nil {
		return nil, err
	}
	hours := byHour(all)
	until := now + clockSlack
	for i, good := len(hours)-1, 0; i >= 0; i-- {
		// The last two are always looked into: their files know every topic's number.
		if files := hours[i]; good >= 2 && len(files) == 1 && files[0].from < 0 {
			hours[i] = nil
		} else if hours[i], err = s.readable(dir, files, out); err != nil {
			return nil, err
		} else if len(hours[i]) > 0 && hours[i][0].hour <= until {
			good++
		}
	}
	for _, files := range hours {
		if len(files) == 0 {
			continue
		}
		if out.newest = files[0].hour; out.newest <= until {
			out.hour, out.next, out.arrival = out.newest, 0, 0
		}
		if err := s.recoverHour(dir, files, out); err != nil {
			return nil, err
		}
	}
	// In the order in which they were written, after the files, which were before them.
	slices.SortStableFunc(out.waiting, func(a, b fileName) int { return cmp.Compare(serialOf(dir, a), serialOf(dir, b)) })
	for _, name := range out.waiting {
		if err := s.recoverJournal(dir, name, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// serialOf is a journal's serial number; 0 of one that cannot be read.
func serialOf(dir string, name fileName) int64 {
	f, err := os.Open(filepath.Join(dir, name.String()))
	if err != nil {
		return 0
	}
	defer f.Close()
	j, err := newJournalReader(f)
	if err != nil {
		return 0
	}
	return j.head.serial
}

// learn takes what a file knows, if it is not older than what is known.
func (r *recovered) learn(name fileName, topics map[string]topicMark, serial int64, next int, arrival int64) {
	if serial >= r.serial {
		r.topics, r.serial = topics, serial
	}
	if name.hour == r.hour {
		r.next, r.arrival = next, arrival
	}
}

// readable sets aside those of an hour's finished files that cannot be read, and returns
// the others: before anything goes because one of them has it.
func (s *sealer) readable(dir string, files []fileName, out *recovered) (good []fileName, err error) {
	for _, name := range files {
		if !name.journal {
			path := filepath.Join(dir, name.String())
			f, err := openFile(path)
			if err != nil {
				if err := out.aside(path, err); err != nil {
					return nil, err
				}
				continue
			}
			f.close()
		}
		good = append(good, name)
	}
	return good, nil
}

// aside sets a file aside that cannot be read for the reason why, if that is the file's.
func (r *recovered) aside(path string, why error) error {
	a, err := (&badFile{path, why}).setAside()
	if err == nil {
		r.errs = append(r.errs, a)
	}
	return err
}

// removeTemporary deletes unfinished files; left are those that stay.
func (s *sealer) removeTemporary(dir string) (left []error, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if name, unfinished := strings.CutSuffix(e.Name(), temporaryExt); unfinished {
			if _, ours := parseFileName(name); ours {
				if err := s.remove(filepath.Join(dir, e.Name())); err != nil {
					left = append(left, fmt.Errorf("record: an unfinished file cannot be deleted: %w", err))
				}
			}
		}
	}
	return left, err
}

// recoverHour does the finished files of an hour.
func (s *sealer) recoverHour(dir string, files []fileName, out *recovered) error {
	keep, left, err := s.settle(dir, files)
	if err != nil {
		return err
	}
	if left != nil {
		out.errs = append(out.errs, left)
	}
	for _, name := range keep {
		if name.journal {
			out.waiting = append(out.waiting, name)
			continue
		}
		f, err := openFile(filepath.Join(dir, name.String()))
		if err != nil {
			return err
		}
		out.learn(name, f.meta.topics, f.meta.serial, f.meta.to+1, f.arrivalEnd())
		f.close()
	}
	return nil
}

// recoverJournal makes a journal a file.
func (s *sealer) recoverJournal(dir string, name fileName, out *recovered) error {
	path := filepath.Join(dir, name.String())
	if err := loadJournal(path, &s.in); err != nil {
		return out.aside(path, err)
	}
	s.in.trim()
	got, err := s.sealLoaded(path, out.topics)
	if err != nil {
		out.errs = append(out.errs, fmt.Errorf("record: %s is not sealed: %w", path, err))
		out.unsealed = append(out.unsealed, path)
		got = &sealed{records: int64(s.in.len()), torn: s.in.torn, topics: s.meta(out.topics).topics}
	}
	if got.left != nil {
		out.errs = append(out.errs, got.left)
	}
	out.journals, out.records, out.torn = out.journals+1, out.records+got.records, out.torn+got.torn
	switch {
	case got.records > 0:
		out.learn(name, got.topics, s.in.head.serial, name.to+1, s.in.head.first+got.records)
	case got.left != nil && name.hour == out.hour:
		out.next = name.to + 1 // its name is taken
	}
	return nil
}
