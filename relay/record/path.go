package record

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"tickrelay/ring/md"
)

// Names of files. A stream's folder DIR/VENUE/CHANNEL holds per hour:
//
//	2026-11-28T15.parquet                the hour, complete
//	2026-11-28T15.000004.parquet         part 4 of an hour under way
//	2026-11-28T15.000000-000003.parquet  parts 0 to 3, merged
//	2026-11-28T15.000005.journal         the open row group
const (
	hourLayout   = "2006-01-02T15"
	parquetExt   = ".parquet"
	journalExt   = ".journal"
	temporaryExt = ".tmp"
)

const hourNs = int64(time.Hour)

// hourOf is the start of the hour of a time, ns.
func hourOf(ns int64) int64 { return ns - ns%hourNs }

// fileName is one file of a stream as its name tells it.
type fileName struct {
	hour     int64 // start, ns
	from, to int   // parts in it; -1: the hour's complete file
	journal  bool
}

func (f fileName) String() string {
	s := time.Unix(0, f.hour).UTC().Format(hourLayout)
	ext := parquetExt
	if f.journal {
		ext = journalExt
	}
	switch {
	case f.from < 0:
		return s + ext
	case f.from == f.to:
		return fmt.Sprintf("%s.%06d%s", s, f.from, ext)
	}
	return fmt.Sprintf("%s.%06d-%06d%s", s, f.from, f.to, ext)
}

// parseFileName is the reverse of String; false for any other name.
func parseFileName(s string) (fileName, bool) {
	f := fileName{from: -1, to: -1}
	base, ok := strings.CutSuffix(s, parquetExt)
	if !ok {
		if base, f.journal = strings.CutSuffix(s, journalExt); !f.journal {
			return f, false
		}
	}
	hour, parts, numbered := strings.Cut(base, ".")
	t, err := time.Parse(hourLayout, hour)
	if err != nil {
		return f, false
	}
	f.hour = t.UnixNano()
	if numbered {
		a, b, two := strings.Cut(parts, "-")
		if !two {
			b = a
		}
		var err1, err2 error
		f.from, err1 = strconv.Atoi(a)
		f.to, err2 = strconv.Atoi(b)
		if err1 != nil || err2 != nil || f.from < 0 || f.to < f.from {
			return f, false
		}
	}
	return f, f.String() == s
}

// stream is one venue's channel: what goes into one folder.
type stream struct {
	venue   md.Venue
	channel md.Channel
}

func (s stream) String() string { return s.venue.String() + "." + s.channel.String() }

func (s stream) dir(root string) string {
	return filepath.Join(root, s.venue.String(), s.channel.String())
}

// has reports whether a pattern can select a topic of the stream.
func (s stream) has(p md.Pattern) bool {
	want := [...]string{s.venue.String(), s.channel.String()}
	for i, token := range strings.Split(p.String(), ".") {
		switch {
		case token == ">" || i == len(want):
			return true
		case token != "*" && token != want[i]:
			return false
		}
	}
	return true
}

// listStreams are the streams that have a folder, in order.
func listStreams(root string) ([]stream, error) {
	venues, err := os.ReadDir(root)
	if err != nil {
		return nil, err
	}
	var out []stream
	for _, v := range venues {
		venue, ok := md.ParseVenue(v.Name())
		if !ok || !v.IsDir() {
			continue
		}
		channels, err := os.ReadDir(filepath.Join(root, v.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, c := range channels {
			if ch, ok := md.ParseChannel(c.Name()); ok && c.IsDir() {
				out = append(out, stream{venue, ch})
			}
		}
	}
	slices.SortFunc(out, func(a, b stream) int {
		return cmp.Or(cmp.Compare(a.venue, b.venue), cmp.Compare(a.channel, b.channel))
	})
	return out, nil
}

// listFiles are the files of a stream's folder by hour, complete file first, then by
// part; a part comes before a journal of its number.
func listFiles(dir string) ([]fileName, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []fileName
	for _, e := range entries {
		if f, ok := parseFileName(e.Name()); ok {
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b fileName) int {
		return cmp.Or(cmp.Compare(a.hour, b.hour), cmp.Compare(a.from, b.from), -cmp.Compare(a.to, b.to), compareBool(a.journal, b.journal))
	})
	return out, err
}

// byHour cuts a list of files into one per hour.
func byHour(all []fileName) [][]fileName {
	var out [][]fileName
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].hour == all[0].hour {
			n++
		}
		out = append(out, all[:n:n])
		all = all[n:]
	}
	return out
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// current leaves out of the files of one hour those whose parts are in another one:
// what a crash between a merge and its cleaning has left. done is the last part in the
// hour's complete file, -1 if there is none.
func current(files []fileName, done int) (keep, superseded []fileName) {
	for _, f := range files {
		if f.from < 0 {
			keep = append(keep, f)
			continue
		}
		if f.to <= done {
			superseded = append(superseded, f)
			continue
		}
		keep = append(keep, f)
		done = f.to
	}
	return keep, superseded
}
