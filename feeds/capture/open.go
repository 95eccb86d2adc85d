package capture

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// MaxLine bounds one line in bytes; the largest known frame has 8 MB.
const MaxLine = 64 << 20

// suffixes are the names that a capture ends with, longest first.
var suffixes = [...]string{".ndjson.gz", ".ndjson.zst", ".ndjson"}

// RESTFile is the file of REST answers that stands beside a capture, "" if
// there is none.
func RESTFile(path string) string {
	base := path
	for _, s := range suffixes {
		if b, ok := strings.CutSuffix(path, s); ok {
			base = b
			break
		}
	}
	for _, s := range suffixes {
		name := base + ".rest" + s
		if name == path {
			continue
		}
		if st, err := os.Stat(name); err == nil && st.Mode().IsRegular() {
			return name
		}
	}
	return ""
}

// lines yields the lines of a file, decompressed by its name's ending.
type lines struct {
	path string
	no   int // of the last line returned, from 1
	file io.Closer
	dec  io.Closer
	r    *bufio.Reader
	long []byte
	done bool

	torn    bool // the end of the file is missing
	unended bool // the last line returned had no end
}

func openLines(path string) (*lines, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	l := &lines{path: path, file: f}
	var src io.Reader = f
	switch {
	case strings.HasSuffix(path, ".gz"):
		z, err := gzip.NewReader(bufio.NewReaderSize(f, 64<<10))
		if (err == io.EOF || err == io.ErrUnexpectedEOF) && strings.Contains(path, openMark) {
			src = strings.NewReader("") // nothing was flushed yet
			break
		}
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("capture: open %s: %w", path, err)
		}
		src, l.dec = z, z
	case strings.HasSuffix(path, ".zst"):
		z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1))
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("capture: open %s: %w", path, err)
		}
		src, l.dec = z, z.IOReadCloser()
	}
	l.r = bufio.NewReaderSize(src, 256<<10)
	return l, nil
}

func (l *lines) close() error {
	if l.dec != nil {
		l.dec.Close()
	}
	return l.file.Close()
}

// next returns the next line without its end, good until the call after. What
// cannot be read ends the file: the error comes once, then io.EOF.
func (l *lines) next() ([]byte, error) {
	if l.done {
		return nil, io.EOF
	}
	l.no++
	l.long = l.long[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		if err == nil && len(l.long) == 0 {
			return part[:len(part)-1], nil
		}
		if len(l.long)+len(part) > MaxLine {
			l.done = true
			return nil, l.fail(fmt.Errorf("line is longer than %d bytes, the rest of the file is not read", MaxLine))
		}
		l.long = append(l.long, part...)
		switch err {
		case nil:
			return l.long[:len(l.long)-1], nil
		case bufio.ErrBufferFull:
		case io.EOF:
			l.done = true
			if len(l.long) == 0 {
				return nil, io.EOF
			}
			l.unended = true
			if strings.Contains(l.path, openMark) { // its writer flushes whole lines
				return nil, io.EOF
			}
			return l.long, nil
		default:
			l.done, l.torn = true, true
			if strings.Contains(l.path, openMark) {
				return nil, io.EOF // its writer goes on, or died: what it had flushed was read
			}
			return nil, l.fail(fmt.Errorf("cannot read on: %w", err))
		}
	}
}

// Error is a line that could not be used.
type Error struct {
	File string
	Line int // from 1
	Err  error
}

// Error is "file:line: what".
func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func (l *lines) fail(err error) error { return &Error{File: l.path, Line: l.no, Err: err} }
