package fanoutbench

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/gobwas/ws"

	"tickrelay/nettune"
)

// tally is what a process of subscribers has seen since it was told to begin.
type tally struct {
	Ready    int                    `json:"ready"`    // subscribers that are set up
	Lost     int                    `json:"lost"`     // connections that ended
	Received uint64                 `json:"received"` // events
	InTime   uint64                 `json:"in_time"`  // of these, within inTime of being due
	Gaps     uint64                 `json:"gaps"`     // gap messages
	Missed   uint64                 `json:"missed"`   // events that they name
	Holes    uint64                 `json:"holes"`    // events that are missing without a word
	Latency  *hdrhistogram.Snapshot `json:"latency"`
}

// inTime is how long an event may take to count as delivered in time.
const inTime = 100e6 // ns

// mostLate is the largest latency that is told apart, ns.
const mostLate = 60e9

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, mostLate, 2) }

// subscriber is one connection. It checks the numbers of what it gets.
type subscriber struct {
	stream  nettune.Stream
	left    []byte // of an incomplete frame
	greeted bool   // the handshake is answered
	ready   bool
	await   int    // answers to greetings that are outstanding
	seq     uint64 // of the last event, 0 before the first
}

var (
	headEnd = []byte("\r\n\r\n")
	keySeq  = []byte(`"seq":`)
	keyPrev = []byte(`,"prev":`)
	keyTime = []byte(`"ts_recv":"`)
	keyGap  = []byte(`"type":"gap"`)
	masked  = []byte{0x80 | byte(ws.OpPong), 0x80, 0, 0, 0, 0} // an empty pong
)

var errProtocol = errors.New("fanoutbench: the server sent something else than was agreed")

// input takes bytes of one read at time rx and keeps what is incomplete.
func (s *subscriber) input(t *tally, h *hdrhistogram.Histogram, greet []byte, b []byte, rx int64) error {
	if !s.greeted {
		end := bytes.Index(b, headEnd)
		if end < 0 {
			s.left = slices.Clone(b)
			return nil
		}
		if !bytes.HasPrefix(b, []byte("HTTP/1.1 101")) {
			return errProtocol
		}
		s.greeted, b = true, b[end+4:]
		if s.await == 0 {
			s.ready = true
			t.Ready++
		} else if _, err := s.stream.Write(greet); err != nil {
			return err
		}
	}
	for {
		op, payload, size := frame(b)
		if size == 0 {
			break
		}
		b = b[size:]
		switch op {
		case ws.OpText:
			if !s.ready {
				s.answer(t)
			} else {
				s.events(t, h, payload, rx)
			}
		case ws.OpPing:
			if _, err := s.stream.Write(masked); err != nil {
				return err
			}
		case ws.OpClose:
			return errProtocol
		}
	}
	s.left = nil
	if len(b) > 0 {
		s.left = slices.Clone(b)
	}
	return nil
}

func (s *subscriber) answer(t *tally) {
	if s.await--; s.await == 0 {
		s.ready = true
		t.Ready++
	}
}

// frame is the first frame of b, of a server and whole: size 0 if it is not there yet.
func frame(b []byte) (op ws.OpCode, payload []byte, size int) {
	if len(b) < 2 {
		return 0, nil, 0
	}
	head, n := 2, int(b[1])
	switch {
	case n == 126 && len(b) >= 4:
		head, n = 4, int(binary.BigEndian.Uint16(b[2:]))
	case n == 127 && len(b) >= 10:
		head, n = 10, int(binary.BigEndian.Uint64(b[2:]))
	case n >= 126:
		return 0, nil, 0
	}
	if n < 0 || len(b) < head+n {
		return 0, nil, 0
	}
	return ws.OpCode(b[0] & 0x0f), b[head : head+n], head + n
}

// events counts all events of a message: some servers put several into one.
func (s *subscriber) events(t *tally, h *hdrhistogram.Histogram, p []byte, rx int64) {
	gap := bytes.Contains(p, keyGap)
	for {
		at := bytes.Index(p, keySeq)
		if at < 0 {
			return
		}
		seq, n := number(p[at+len(keySeq):])
		p = p[at+len(keySeq)+n:]
		if !bytes.HasPrefix(p, keyPrev) {
			continue
		}
		prev, _ := number(p[len(keyPrev):])
		if s.seq != 0 && prev > s.seq {
			t.Holes += prev - s.seq
		}
		s.seq = seq
		if gap {
			t.Gaps++
			t.Missed += seq - prev
			continue
		}
		t.Received++
		if at = bytes.Index(p, keyTime); at >= 0 {
			due, _ := number(p[at+len(keyTime):])
			late := rx - int64(due)
			_ = h.RecordValue(min(max(late, 1), mostLate)) // within its bounds
			if late <= inTime {
				t.InTime++
			}
		}
	}
}

func number(b []byte) (v uint64, n int) {
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		v = v*10 + uint64(b[n]-'0')
		n++
	}
	return v, n
}
