package record

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Compact brings a recording that nobody writes to in order: what a crash has left open
// becomes files, and the files of each hour become one. progress, if not nil, is told
// the rows that there are to do, and then of those done. It returns the number of hours
// that it changed. What cannot be done keeps it from nothing else, and the error tells all
// of it. ErrInUse if a recorder is at work; that one does the same by itself.
func Compact(ctx context.Context, dir string, progress func(done, total int64)) (changed int, err error) {
	cfg := Config{Dir: dir}.withDefaults()
	lock, err := lockDir(dir)
	if err != nil {
		return 0, err
	}
	defer lock.Close()
	s := newSealer("", cfg.RowGroup)
	streams, err := listStreams(dir)
	if err != nil {
		return 0, fmt.Errorf("record: %w", err)
	}
	var errs []error
	for _, st := range streams {
		got, err := s.recover(st.dir(dir), cfg.Now())
		if err != nil {
			errs = append(errs, fmt.Errorf("record: recover %s: %w", st, err))
			continue
		}
		errs = append(errs, got.errs...)
		if got.journals > len(got.unsealed) {
			changed++
		}
	}
	hours, err := List(dir)
	errs = append(errs, err)
	hours = slices.DeleteFunc(hours, func(h Hour) bool { return h.Open > 0 || len(h.names) == 1 && h.names[0].from < 0 })
	total, done := int64(0), int64(0)
	for _, h := range hours {
		total += h.Rows
	}
	step := func(n int64) {
		if done += n; progress != nil {
			progress(done, total)
		}
	}
	for _, h := range hours {
		if err := ctx.Err(); err != nil {
			return changed, errors.Join(append(errs, err)...)
		}
		merged, err := s.mergeHour(h.dir, h.names, step)
		errs = append(errs, err)
		if merged {
			changed++
		}
	}
	return changed, errors.Join(errs...)
}
