package record

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// prune deletes hours that ended longer ago than keep, and then the oldest ones of the
// whole recording until it is no larger than limit bytes. The newest hour of a stream,
// that of now and hours with a journal stay. It returns the size that is left, journals included.
func prune(root string, keep time.Duration, limit, now int64) (size int64, gone int, err error) {
	streams, err := listStreams(root)
	if err != nil {
		return 0, 0, err
	}
	type hour struct {
		dir   string
		files []fileName
		start int64
		bytes int64
	}
	var old []hour
	for _, s := range streams {
		dir := s.dir(root)
		all, err := listFiles(dir)
		if err != nil {
			return size, gone, err
		}
		hours := byHour(all)
		for i, files := range hours {
			h := hour{dir: dir, files: files, start: files[0].hour}
			for _, f := range files {
				if st, err := os.Stat(filepath.Join(dir, f.String())); err == nil {
					h.bytes += st.Size()
				}
			}
			size += h.bytes
			under := h.start <= now+clockSlack && now-clockSlack < h.start+hourNs // way
			if i < len(hours)-1 && !under && !slices.ContainsFunc(files, func(f fileName) bool { return f.journal }) {
				old = append(old, h)
			}
		}
	}
	slices.SortStableFunc(old, func(a, b hour) int { return cmp.Compare(a.start, b.start) })
	for _, h := range old {
		aged := keep > 0 && now-h.start-hourNs > int64(keep)
		if !aged && (limit == 0 || size <= limit) {
			continue
		}
		for _, f := range h.files {
			if e := os.Remove(filepath.Join(h.dir, f.String())); e != nil && !errors.Is(e, fs.ErrNotExist) {
				err = errors.Join(err, e)
				continue
			}
			gone++
		}
		size -= h.bytes
	}
	return size, gone, err
}
