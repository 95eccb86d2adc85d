package capture

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Unfinished lists the captures in a folder whose writer did not close them.
// Give them to Finish once nobody writes there any more.
func Unfinished(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	var list []string
	for _, e := range entries {
		if name := e.Name(); strings.Contains(name, openMark) && e.Type().IsRegular() {
			for _, s := range suffixes {
				if strings.HasSuffix(name, s) {
					list = append(list, filepath.Join(dir, name))
					break
				}
			}
		}
	}
	return list, nil
}

// Finish gives an unfinished file the name that its writer would have given it,
// with all the whole lines that it holds; one that holds none is removed. It is written
// anew where its end is torn, and replaced as a whole. cut is the number of the line, from
// 1, that was torn and is left out, 0 if the file ends with a whole one.
func Finish(path string) (cut int, err error) {
	name := strings.Replace(path, openMark, ".", 1)
	l, err := openLines(path)
	if err != nil {
		return 0, err
	}
	defer l.close()
	// The name is the same each time: what a process that died here left is written over.
	tmp, err := os.OpenFile(filepath.Join(filepath.Dir(path), ".finish-"+filepath.Base(path)+".tmp"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return 0, fmt.Errorf("capture: %w", err)
	}
	defer os.Remove(tmp.Name())
	w := &Writer{ending: endingOf(path)}
	if w.ending == ".ndjson.zst" {
		if w.enc, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest)); err != nil {
			return 0, err
		}
		defer w.enc.Close()
	}
	b := &block{file: tmp, name: tmp.Name()}
	for {
		text, err := l.next()
		if err != nil {
			if l.torn || l.unended {
				cut = l.no
			}
			break
		}
		b.text = append(append(b.text, text...), '\n')
		if len(b.text) >= blockSize {
			if err := w.flush(b); err != nil {
				return 0, errors.Join(err, tmp.Close())
			}
		}
	}
	whole := b.size > 0 || len(b.text) > 0
	if cut == 0 && whole {
		return 0, errors.Join(tmp.Close(), os.Rename(path, name))
	}
	if whole {
		if err := errors.Join(w.flush(b), tmp.Sync()); err != nil {
			return 0, errors.Join(err, tmp.Close())
		}
		if err := os.Rename(tmp.Name(), name); err != nil {
			return 0, errors.Join(err, tmp.Close())
		}
	}
	return cut, errors.Join(tmp.Close(), os.Remove(path))
}

// recording is a finished capture with its REST answers.
type recording struct {
	main, rest string // names, "" for none
	at         time.Time
	size       int64
}

// recordings lists the finished captures of a folder, oldest first. One of which a part
// is still written is none.
func recordings(dir string) ([]*recording, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	found := map[string]*recording{}
	open := map[string]bool{}
	for _, e := range entries {
		in, err := e.Info()
		if err != nil || !in.Mode().IsRegular() || endingOf(e.Name()) == "" {
			continue
		}
		name := strings.Replace(e.Name(), openMark, ".", 1)
		base, isREST := strings.CutSuffix(strings.TrimSuffix(name, endingOf(name)), ".rest")
		if name != e.Name() {
			open[base] = true
			continue
		}
		r := found[base]
		if r == nil {
			r = &recording{}
			found[base] = r
		}
		if r.size += in.Size(); in.ModTime().After(r.at) {
			r.at = in.ModTime()
		}
		if isREST {
			r.rest = e.Name()
		} else {
			r.main = e.Name()
		}
	}
	maps.DeleteFunc(found, func(base string, _ *recording) bool { return open[base] })
	return slices.SortedFunc(maps.Values(found), func(a, b *recording) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.main, b.main))
	}), nil
}

// Retain removes the oldest finished captures of a folder, each together with its REST
// answers, until none is older than age and all together have at most size bytes; 0 bounds
// nothing. Files that are still written are left alone. It returns how many files it
// removed.
func Retain(dir string, age time.Duration, size int64, now time.Time) (removed int, err error) {
	list, err := recordings(dir)
	if err != nil {
		return 0, err
	}
	total := int64(0)
	for _, r := range list {
		total += r.size
	}
	var errs []error
	for _, r := range list {
		if (age == 0 || now.Sub(r.at) <= age) && (size == 0 || total <= size) {
			break
		}
		total -= r.size
		for _, name := range []string{r.main, r.rest} {
			if name == "" {
				continue
			}
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				errs = append(errs, err)
				break // answers stay as long as what refers to them
			}
			removed++
		}
	}
	return removed, errors.Join(errs...)
}

func endingOf(path string) string {
	for _, s := range suffixes {
		if strings.HasSuffix(path, s) {
			return s
		}
	}
	return ""
}
