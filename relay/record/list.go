package record

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"tickrelay/ring/md"
)

// Hour is one hour of one venue's channel in a recording.
type Hour struct {
	Venue   md.Venue
	Channel md.Channel
	// Start is the hour's beginning, ns since 1970 UTC.
	Start int64
	Files int   // finished ones
	Rows  int64 // in them
	Open  int64 // records in journals
	Bytes int64
	Unfit uint64 // numbers that are null in a DECIMAL column
	dir   string
	names []fileName
	bad   []error // of files that cannot be read
}

// List says what a recording holds, in order of venue, channel and hour. A recorder may
// be at work. Of files that cannot be read the error tells, each by its path; the hours
// are there all the same, with what the other files hold.
func List(dir string) ([]Hour, error) {
	hours, err := list(dir)
	errs := []error{err}
	for i := range hours {
		errs = append(errs, hours[i].bad...)
	}
	return hours, errors.Join(errs...)
}

// list is List without the errors of the hours.
func list(dir string) ([]Hour, error) {
	streams, err := listStreams(dir)
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	out, errs := []Hour{}, []error(nil)
	for _, s := range streams {
		all, err := listFiles(s.dir(dir))
		if err != nil {
			errs = append(errs, fmt.Errorf("record: %w", err))
			continue
		}
		for _, names := range byHour(all) {
			h := Hour{Venue: s.venue, Channel: s.channel, Start: names[0].hour, dir: s.dir(dir), names: names}
			h.look()
			out = append(out, h)
		}
	}
	return out, errors.Join(errs...)
}

func (h *Hour) look() {
	files, err := openHour(h.dir, h.Start)
	if err != nil {
		h.bad = append(h.bad, fmt.Errorf("record: %w", err))
		return
	}
	defer files.close()
	for _, bad := range files.bad {
		h.bad = append(h.bad, bad)
	}
	for _, f := range files.files {
		if st, err := os.Stat(filepath.Join(h.dir, f.name.String())); err == nil {
			h.Bytes += st.Size()
		}
		if f.file != nil {
			h.Files++
			h.Rows += f.file.pq.NumRows()
			h.Unfit += f.file.meta.unfit
			continue
		}
		var err error
		for err == nil {
			_, _, err = f.journal.block()
		}
		if !errors.Is(err, io.EOF) {
			h.bad = append(h.bad, fmt.Errorf("record: %w", err))
		}
		h.Open += f.journal.next - f.journal.head.first
	}
}
