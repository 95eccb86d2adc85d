package capture

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
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
// returns the lines that are in none. A file that nothing was written to is removed, and
// so are answers that no line of the capture refers to. Nothing may be called after it.
func (w *Writer) Abandon() (lost int) {
	lost = bytes.Count(w.main.text, []byte{'\n'})
	w.main.text = nil
	if w.rest != nil {
		w.rest.text = nil
		if w.main.size == 0 || w.rest.size == 0 {
			w.rest.remove()
			w.rest = nil
		}
	}
	if w.main.size == 0 {
		w.main.remove()
		if w.enc != nil {
			_ = w.enc.Close() // it holds nothing
		}
		return lost
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

func (b *block) remove() {
	_ = b.file.Close() // nothing is in it
	_ = os.Remove(b.name)
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
