package capture

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// Dir is the direction of a recorded line.
type Dir uint8

// Directions. All but Recv are context.
const (
	Recv    Dir = iota // a message from the venue
	Send               // a message to the venue
	Connect            // the connection was made
	Close              // the connection ended
	Other              // anything else

	// What a raw recording has beside those: all that a feed was told, in the
	// order in which it was told, so that it can be run again.
	Session    // a recording begins or goes on in this file: Data is a Header
	Start      // connections may be made
	Timer      // the feed's timer fired
	Turn       // readers of the rings were served
	Fetch      // a REST request was wanted: Data has req, url
	REST       // a REST request was answered: Data is a RESTNote
	Catalogue  // the instrument lists fetched before were taken into use: Data has lists
	HandOver   // a connection handed over to another: Data has to
	Instrument // an instrument was taken into use: Data is the entry
	Lost       // the recorder was too slow: Data has frames, bytes
	Select     // other instruments and channels were selected: Data is a SelectNote
	Number     // a topic went on from another feed's number: Data is a NumberNote
	GiveUp     // the feed gave its topics up for another to go on with
	Step       // the wall clock was set: Data is a StepNote
	End        // the feed has stopped
	numDirs
)

var dirNames = [numDirs]string{"recv", "send", "connect", "close", "other", "session", "start", "timer", "turn", "fetch", "rest",
	"catalogue", "handover", "instrument", "lost", "select", "number", "giveup", "step", "end"}

// String is the direction as it is written.
func (d Dir) String() string {
	if d < numDirs {
		return dirNames[d]
	}
	return "other"
}

// Line is one line of a capture.
type Line struct {
	RecvNs int64  // receive time, ns since 1970 UTC; a raw frame has that of the line before, 0 at first
	Conn   string // name of the connection, "" if there is only one
	Dir    Dir
	URL    string // Connect only
	Frame  []byte // the message, the caller's to keep; nil where there is none
	Binary bool   // the message was a binary one
	Reason string // Close only
	// Data is what lines of a raw recording say beside the above, JSON.
	Data   json.RawMessage
	LineNo int // from 1
}

// Reader reads one capture file.
type Reader struct {
	lines *lines
	last  int64
}

// Open opens a capture; the ending of its name (.gz, .zst) says how it is
// compressed.
func Open(path string) (*Reader, error) {
	l, err := openLines(path)
	if err != nil {
		return nil, err
	}
	return &Reader{lines: l}, nil
}

// Path is the file's name as given to Open.
func (r *Reader) Path() string { return r.lines.path }

// Close frees the file.
func (r *Reader) Close() error { return r.lines.close() }

// Next returns the next line that is not blank. An *Error stands for one line
// that could not be used; Next may be called again after it. io.EOF is the end.
func (r *Reader) Next() (Line, error) {
	for {
		text, err := r.lines.next()
		if err != nil {
			return Line{}, err
		}
		if len(trim(text)) == 0 {
			continue
		}
		line, err := parseLine(trim(text), r.last)
		if err != nil {
			return Line{LineNo: r.lines.no}, r.lines.fail(err)
		}
		r.last, line.LineNo = line.RecvNs, r.lines.no
		return line, nil
	}
}

func trim(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] <= ' ' {
		b = b[:len(b)-1]
	}
	for len(b) > 0 && b[0] <= ' ' {
		b = b[1:]
	}
	return b
}

// envelope is a recorded line. Venues' frames have none of its two frame keys
// beside recv_ns, which is how raw frames are told from it.
type envelope struct {
	RecvNs *int64  `json:"recv_ns"`
	Conn   string  `json:"conn"`
	Dir    string  `json:"dir"`
	URL    string  `json:"url"`
	Frame  *string `json:"frame"`
	B64    *string `json:"frame_b64"`
	Reason string  `json:"reason"`
	Data   json.RawMessage
}

var errNotUTF8 = errors.New("not UTF-8: binary frames belong in frame_b64")

// parseLine reads an envelope or a raw frame; last is the time that a raw
// frame gets.
func parseLine(text []byte, last int64) (Line, error) {
	if !utf8.Valid(text) {
		return Line{}, errNotUTF8
	}
	var e envelope
	err := json.Unmarshal(text, &e)
	if err != nil && !json.Valid(text) {
		return Line{}, fmt.Errorf("not JSON: %w", err)
	}
	if err != nil && e.RecvNs != nil && (e.Frame != nil || e.B64 != nil || e.Dir != "") {
		return Line{}, fmt.Errorf("envelope: %w", err)
	}
	if err != nil || e.RecvNs == nil {
		return Line{RecvNs: last, Frame: append([]byte(nil), text...)}, nil
	}
	line := Line{RecvNs: *e.RecvNs, Conn: e.Conn, Dir: direction(e.Dir), URL: e.URL, Reason: e.Reason, Data: e.Data}
	if line.RecvNs < 0 {
		return Line{}, fmt.Errorf("recv_ns %d is before 1970", line.RecvNs)
	}
	switch {
	case e.Frame != nil:
		line.Frame = []byte(*e.Frame)
	case e.B64 != nil:
		line.Binary = true
		if line.Frame, err = base64.StdEncoding.DecodeString(*e.B64); err != nil {
			return Line{}, fmt.Errorf("frame_b64: %w", err)
		}
	case line.Dir == Recv:
		return Line{}, errors.New("envelope without frame or frame_b64")
	}
	return line, nil
}

func direction(s string) Dir {
	switch s {
	case "":
		return Recv
	case "disconnect":
		return Close
	}
	for d, name := range dirNames {
		if s == name {
			return Dir(d)
		}
	}
	return Other
}

// Answer is a recorded REST answer.
type Answer struct {
	RecvNs int64
	URL    string // "" if it was not recorded
	Body   []byte
	LineNo int
}

// ReadREST reads a file of REST answers. Lines that cannot be used are joined
// into the error; the others are returned all the same.
func ReadREST(path string) ([]Answer, error) {
	r, err := OpenREST(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var all []Answer
	var errs []error
	for {
		switch a, err := r.Next(); {
		case err == io.EOF:
			return all, errors.Join(errs...)
		case err != nil:
			errs = append(errs, err)
		default:
			all = append(all, a)
		}
	}
}

// RESTReader reads a file of REST answers one by one.
type RESTReader struct{ lines *lines }

// OpenREST opens a file of REST answers.
func OpenREST(path string) (*RESTReader, error) {
	l, err := openLines(path)
	if err != nil {
		return nil, err
	}
	return &RESTReader{l}, nil
}

// Close frees the file.
func (r *RESTReader) Close() error { return r.lines.close() }

// Next returns the next answer. An *Error stands for one line that could not be
// used; Next may be called again after it. io.EOF is the end.
func (r *RESTReader) Next() (Answer, error) {
	for {
		text, err := r.lines.next()
		if err != nil {
			return Answer{}, err
		}
		if len(trim(text)) == 0 {
			continue
		}
		a, err := parseAnswer(text)
		if err != nil {
			return Answer{}, r.lines.fail(err)
		}
		a.LineNo = r.lines.no
		return a, nil
	}
}

// parseAnswer reads one answer; its body is a string, or the JSON itself.
func parseAnswer(text []byte) (Answer, error) {
	var e struct {
		RecvNs int64           `json:"recv_ns"`
		URL    string          `json:"url"`
		Body   json.RawMessage `json:"body"`
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return Answer{}, fmt.Errorf("REST answer: %w", err)
	}
	if len(e.Body) == 0 {
		return Answer{}, errors.New("REST answer without body")
	}
	a := Answer{RecvNs: e.RecvNs, URL: e.URL, Body: e.Body}
	if e.Body[0] == '"' {
		var s string
		if err := json.Unmarshal(e.Body, &s); err != nil {
			return Answer{}, fmt.Errorf("REST answer: body: %w", err)
		}
		a.Body = []byte(s)
	}
	return a, nil
}
