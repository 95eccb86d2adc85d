package capture

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
)

// openMark is in the names of files that are still written.
const openMark = ".open."

// blockSize is how much text is compressed and written at once.
const blockSize = 1 << 20

// Writer writes a capture: the file and, from the first REST answer on, the one
// beside it. What was flushed is whole: each block is compressed by itself, so a
// process that dies leaves files that can be read up to the last block.
// While they are written their names have ".open" before the ending; Close
// gives them their own.
type Writer struct {
	path, ending string // ending is .ndjson, .ndjson.gz or .ndjson.zst
	main, rest   *block
	enc          *zstd.Encoder
	answers      int
	scratch      []byte
}

// Abandon ends the files as they are after an error, under their own names, and
// returns the lines that are in none. Nothing may be called after it.
func (w *Writer) Abandon() (lost int) {
	lost = bytes.Count(w.main.text, []byte{'\n'})
	w.main.text = nil
	if w.rest != nil {
		w.rest.text = nil
	}
	_ = w.Close() // the error that led here was told
	return lost
}

// block is one file and the text that waits for it.
type block struct {
	file   *os.File
	name   string
	text   []byte
	packed bytes.Buffer
	size   int64 // good bytes in the file
}

// Create begins the capture path, which must end in .ndjson, .ndjson.gz or
// .ndjson.zst and must not exist.
func Create(path string) (*Writer, error) {
	w := &Writer{path: path}
	for _, s := range suffixes {
		if base, ok := strings.CutSuffix(path, s); ok {
			w.path, w.ending = base, s
			break
		}
	}
	if w.ending == "" {
		return nil, fmt.Errorf("capture: create %s: the name must end in .ndjson, .ndjson.gz or .ndjson.zst", path)
	}
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("capture: create %s: %w", path, os.ErrExist)
	}
	var err error
	if w.ending == ".ndjson.zst" {
		if w.enc, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest)); err != nil {
			return nil, err
		}
	}
	w.main, err = w.open("")
	return w, err
}

func (w *Writer) open(kind string) (*block, error) {
	name := w.path + kind + openMark[:len(openMark)-1] + w.ending
	if kind != "" { // so that it stands beside the other while both are open
		name = w.path + openMark[:len(openMark)-1] + kind + w.ending
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	return &block{file: f, name: name}, nil
}

// Path is the name that the file has, or will have once it is closed.
func (w *Writer) Path() string { return w.path + w.ending }

// Size is the number of bytes in the files so far.
func (w *Writer) Size() int64 {
	n := w.main.size
	if w.rest != nil {
		n += w.rest.size
	}
	return n
}

// Buffered is how many bytes of text wait to be written.
func (w *Writer) Buffered() int { return len(w.main.text) }

// Write appends a line; it is in the file after Flush, or once a block is full.
func (w *Writer) Write(l *Line) error {
	w.main.text = AppendLine(w.main.text, l)
	if len(w.main.text) >= blockSize {
		return w.Flush()
	}
	return nil
}

// Answer appends a REST answer to the file beside the capture and returns the
// number of its line. It is in the file before anything that refers to it.
func (w *Writer) Answer(recvNs int64, url string, body []byte) (line int, err error) {
	if w.rest == nil {
		if w.rest, err = w.open(".rest"); err != nil {
			return 0, err
		}
	}
	b := append(w.rest.text, `{"recv_ns":`...)
	b = strconv.AppendInt(b, recvNs, 10)
	b = append(b, `,"url":`...)
	b = appendString(b, []byte(url))
	b = append(b, `,"body":`...)
	b = appendString(b, body)
	w.rest.text = append(b, '}', '\n')
	w.answers++
	return w.answers, nil
}

// Flush writes what waits as whole blocks.
func (w *Writer) Flush() error {
	if w.rest != nil {
		if err := w.flush(w.rest); err != nil {
			return err
		}
	}
	return w.flush(w.main)
}

// flush writes one block; after an error the file ends where it ended before.
func (w *Writer) flush(b *block) error {
	if len(b.text) == 0 {
		return nil
	}
	data := b.text
	switch w.ending {
	case ".ndjson.gz":
		b.packed.Reset()
		z, err := gzip.NewWriterLevel(&b.packed, gzip.BestSpeed)
		if err != nil {
			return err
		}
		if _, err = z.Write(b.text); err == nil {
			err = z.Close()
		}
		if err != nil {
			return err
		}
		data = b.packed.Bytes()
	case ".ndjson.zst":
		w.scratch = w.enc.EncodeAll(b.text, w.scratch[:0])
		data = w.scratch
	}
	if _, err := b.file.Write(data); err != nil {
		return errors.Join(fmt.Errorf("capture: %w", err), b.file.Truncate(b.size))
	}
	b.size += int64(len(data))
	if b.text = b.text[:0]; cap(b.text) > 8*blockSize {
		b.text = nil // of an answer of many megabytes
	}
	return nil
}

// Close flushes and gives the files their names. What was written before an
// error is kept.
func (w *Writer) Close() error {
	err := w.Flush()
	if w.enc != nil {
		err = errors.Join(err, w.enc.Close())
	}
	if w.rest != nil {
		err = errors.Join(err, w.rest.finish(w.path+".rest"+w.ending))
	}
	return errors.Join(err, w.main.finish(w.path+w.ending))
}

func (b *block) finish(name string) error {
	err := errors.Join(b.file.Sync(), b.file.Close())
	return errors.Join(err, os.Rename(b.name, name))
}

// AppendLine appends l as a line of NDJSON: an envelope that Reader gives back
// as it was. Frames that are no UTF-8 text are written in base64.
func AppendLine(dst []byte, l *Line) []byte {
	dst = append(dst, `{"recv_ns":`...)
	dst = strconv.AppendInt(dst, l.RecvNs, 10)
	if l.Conn != "" {
		dst = append(dst, `,"conn":`...)
		dst = appendString(dst, []byte(l.Conn))
	}
	if l.Dir != Recv {
		dst = append(dst, `,"dir":"`...)
		dst = append(append(dst, l.Dir.String()...), '"')
	}
	if l.URL != "" {
		dst = append(dst, `,"url":`...)
		dst = appendString(dst, []byte(l.URL))
	}
	if l.Reason != "" {
		dst = append(dst, `,"reason":`...)
		dst = appendString(dst, []byte(l.Reason))
	}
	if l.Data != nil {
		dst = append(append(dst, `,"data":`...), l.Data...)
	}
	switch {
	case l.Frame == nil:
	case l.Binary || !utf8.Valid(l.Frame):
		dst = append(dst, `,"frame_b64":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, l.Frame)
		dst = append(dst, '"')
	default:
		dst = append(dst, `,"frame":`...)
		dst = appendString(dst, l.Frame)
	}
	return append(dst, '}', '\n')
}

// appendString appends valid UTF-8 as a JSON string (RFC 8259 section 7);
// bytes that are none become U+FFFD.
func appendString(dst, s []byte) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(s[i:])
			if r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
		}
		dst = append(dst, s[from:i]...)
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c >= utf8.RuneSelf:
			dst = append(dst, "\uFFFD"...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		}
		i++
		from = i
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}

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
// with all the whole lines that it holds. It is written anew where its end is
// torn, and replaced as a whole. cut is the number of the line, from 1, that was
// torn and is left out, 0 if the file ends with a whole one.
func Finish(path string) (cut int, err error) {
	name := strings.Replace(path, openMark, ".", 1)
	l, err := openLines(path)
	if err != nil {
		return 0, err
	}
	defer l.close()
	tmp, err := os.CreateTemp(filepath.Dir(path), ".finish-*")
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
	if cut == 0 {
		return 0, errors.Join(tmp.Close(), os.Rename(path, name))
	}
	if err := w.flush(b); err != nil {
		return 0, errors.Join(err, tmp.Close())
	}
	if err := errors.Join(tmp.Chmod(0o640), tmp.Sync(), tmp.Close()); err != nil {
		return 0, err
	}
	if err := os.Rename(tmp.Name(), name); err != nil {
		return 0, err
	}
	return cut, os.Remove(path)
}

// Retain removes the oldest finished captures of a folder, with their REST
// answers, until none is older than age and all together have at most size bytes;
// 0 bounds nothing. Files that are still written are left alone.
func Retain(dir string, age time.Duration, size int64, now time.Time) (removed int, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("capture: %w", err)
	}
	type file struct {
		name string
		at   time.Time
		size int64
	}
	var files []file
	total := int64(0)
	for _, e := range entries {
		in, err := e.Info()
		if err != nil || !in.Mode().IsRegular() || endingOf(e.Name()) == "" || strings.Contains(e.Name(), openMark) {
			continue
		}
		files = append(files, file{e.Name(), in.ModTime(), in.Size()})
		total += in.Size()
	}
	slices.SortFunc(files, func(a, b file) int { return a.at.Compare(b.at) })
	var errs []error
	for _, f := range files {
		if (age == 0 || now.Sub(f.at) <= age) && (size == 0 || total <= size) {
			break
		}
		if err := os.Remove(filepath.Join(dir, f.name)); err != nil {
			errs = append(errs, err)
			continue
		}
		total -= f.size
		removed++
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
