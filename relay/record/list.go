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
}

// List says what a recording holds, in order of venue, channel and hour. A recorder may
// be at work.
func List(dir string) ([]Hour, error) {
	streams, err := listStreams(dir)
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	var out []Hour
	for _, s := range streams {
		all, err := listFiles(s.dir(dir))
		if err != nil {
			return nil, fmt.Errorf("record: %w", err)
		}
		for _, names := range byHour(all) {
			h := Hour{Venue: s.venue, Channel: s.channel, Start: names[0].hour, dir: s.dir(dir), names: names}
			if err := h.look(); err != nil {
				return nil, err
			}
			out = append(out, h)
		}
	}
	return out, nil
}

func (h *Hour) look() error {
	files, err := openHour(h.dir, h.Start)
	if err != nil {
		return err
	}
	defer files.close()
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
		for err == nil {
			_, _, err = f.journal.block()
		}
		if !errors.Is(err, io.EOF) {
			return err
		}
		err = nil
		h.Open += f.journal.next - f.journal.head.first
	}
	return nil
}
