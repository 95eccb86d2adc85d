package feeds

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"sync"
	"sync/atomic"
	"unsafe"

	"tickrelay/feeds/capture"
	"tickrelay/ring"
	"tickrelay/ring/md"
)

// Bounds of a Journal.
const (
	// DefaultJournal is the memory of a journal's ring, in bytes.
	DefaultJournal = 16 << 20
	// maxBodies bounds the REST answers that wait for the recorder.
	maxBodies = 96 << 20
)

// ErrRecorded is returned by Feed.Record of a feed that has a recorder.
var ErrRecorded = errors.New("feeds: the feed is recorded already")

// Journal carries all that a feed is told, in the order in which its engine is
// told it, to a recorder: frames, connections, timers, REST answers. The feed
// writes and never waits; what does not fit is counted, and the place in the
// order is marked (capture.Lost). One goroutine calls Next and Ended.
type Journal struct {
	w *ring.FrameWriter // the loop's
	r *ring.FrameReader // the recorder's

	owed, owedBytes uint64 // lost since the last mark
	dirty           bool   // something was noted since the last turn
	hide            bool   // what the feed sends holds keys
	frames          ring.Frame

	lost, lostBytes atomic.Uint64
	ended           atomic.Bool

	mu     sync.Mutex
	bodies map[uint32][]byte
	held   int
	lastID uint32
}

// NewJournal makes a journal of size bytes, a power of two from 1 MiB to 4 GiB;
// 0 means DefaultJournal.
func NewJournal(size int) (*Journal, error) {
	if size == 0 {
		size = DefaultJournal
	}
	if size < 1<<20 {
		return nil, fmt.Errorf("feeds: journal of %d bytes: want a power of two from 1 MiB", size)
	}
	words := make([]uint64, ring.FramesSize(size)/8)
	mem := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), len(words)*8)
	w, err := ring.NewFrames(mem)
	if err != nil {
		return nil, fmt.Errorf("feeds: journal: %w", err)
	}
	r, err := ring.OpenFrames(mem)
	if err != nil {
		return nil, fmt.Errorf("feeds: journal: %w", err)
	}
	return &Journal{w: w, r: r, bodies: map[uint32][]byte{}}, nil
}

// Lost is how much could not be noted because the recorder was too slow. Any
// goroutine.
func (j *Journal) Lost() (n, bytes uint64) { return j.lost.Load(), j.lostBytes.Load() }

// Ended reports whether the feed has stopped: what Next gives after that is all.
func (j *Journal) Ended() bool { return j.ended.Load() }

// Next calls f with the next line and, for a REST answer, its body. Line and body are
// valid during the call only. False: nothing is there.
func (j *Journal) Next(f func(l *capture.Line, body []byte)) (bool, error) {
	return j.r.Next(func(fr *ring.Frame) {
		l := capture.Line{RecvNs: fr.RecvNs}
		if fr.Flags&ring.FrameNote == 0 || fr.Conn != noLine {
			l.Conn = strconv.Itoa(int(fr.Conn))
		}
		var body []byte
		switch {
		case fr.Flags&ring.FrameConnect != 0:
			l.Dir, l.URL = capture.Connect, string(fr.Payload)
		case fr.Flags&ring.FrameClose != 0:
			l.Dir, l.Reason = capture.Close, string(fr.Payload)
		case fr.Flags&ring.FrameSent != 0:
			l.Dir, l.Frame = capture.Send, fr.Payload
		case fr.Flags&ring.FrameNote != 0:
			l.Dir, l.Data = capture.Dir(fr.Opcode), fr.Payload
			if l.Dir == capture.REST {
				l.Conn = ""
				body = j.take(fr.Conn)
			}
			if len(l.Data) == 0 {
				l.Data = nil
			}
		default:
			l.Frame, l.Binary = fr.Payload, fr.Opcode == 2
		}
		f(&l, body)
	})
}

// noLine stands for no connection.
const noLine = math.MaxUint32

// put writes one entry, after a mark of what was lost before it; false if it is lost too.
func (j *Journal) put(flags ring.FrameFlags, conn uint32, opcode uint8, payload []byte, at int64) bool {
	j.dirty = true
	if j.owed > 0 {
		mark := capture.Note(capture.LostNote{Frames: j.owed, Bytes: j.owedBytes, Why: "the recorder was too slow"})
		j.frames = ring.Frame{RecvNs: at, Conn: noLine, Opcode: uint8(capture.Lost), Flags: ring.FrameNote, Payload: mark}
		if !j.w.Write(&j.frames) {
			j.miss(payload)
			return false
		}
		j.owed, j.owedBytes = 0, 0
	}
	j.frames = ring.Frame{RecvNs: at, Conn: conn, Opcode: opcode, Flags: flags, Payload: payload}
	ok := j.w.Write(&j.frames)
	if !ok {
		j.miss(payload)
	}
	j.frames.Payload = nil
	return ok
}

func (j *Journal) miss(payload []byte) {
	j.owed++
	j.owedBytes += uint64(len(payload))
	j.lost.Add(1)
	j.lostBytes.Add(uint64(len(payload)))
}

func (j *Journal) frame(line int, opcode uint8, payload []byte, at int64) {
	j.put(0, uint32(line), opcode, payload, at)
}

func (j *Journal) connected(line int, url string, at int64) {
	j.put(ring.FrameConnect, uint32(line), 0, []byte(url), at)
}

func (j *Journal) closed(line int, why string, at int64) {
	j.put(ring.FrameClose, uint32(line), 0, []byte(why), at)
}

func (j *Journal) sent(line int, payload []byte, at int64) {
	if j.hide {
		payload = fmt.Appendf(nil, `{"redacted":%d}`, len(payload))
	}
	j.put(ring.FrameSent, uint32(line), 1, payload, at)
}

// keep holds a REST answer for the recorder; 0 if too much is held.
func (j *Journal) keep(body []byte) uint32 {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.held+len(body) > maxBodies {
		return 0
	}
	j.held += len(body)
	if j.lastID++; j.lastID == noLine || j.lastID == 0 {
		j.lastID = 1
	}
	j.bodies[j.lastID] = body
	return j.lastID
}

func (j *Journal) take(id uint32) []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	body := j.bodies[id]
	delete(j.bodies, id)
	j.held -= len(body)
	return body
}

// Record has the feed note in j all that it is told, from now on; called before
// Run, from the beginning, so that the recording can be run again with the same
// outcome. The end of Run ends it, and stop does. ErrRecorded if the feed has a
// recorder.
func (f *Feed) Record(j *Journal) (stop func(), err error) {
	ended := f.do(func() {
		if f.loop.journal != nil {
			err = ErrRecorded
			return
		}
		f.loop.beginJournal(j)
	}, false)
	if ended {
		return nil, ErrStopped
	}
	if err != nil {
		return nil, err
	}
	return func() {
		f.do(func() {
			if f.loop.journal == j {
				f.loop.endJournal()
			}
		}, true)
	}, nil
}

// beginJournal writes the header.
func (l *loop) beginJournal(j *Journal) {
	l.journal = j
	j.hide = loggedIn(l.cfg.Venue)
	e := &l.engine.cfg
	h := capture.Header{Version: capture.HeaderVersion, Venue: l.spec.Name, Feed: l.cfg.Name, Epoch: l.cfg.Epoch, Part: 1, Joined: l.poller != nil,
		Login: j.hide, Engine: capture.Engine{Instruments: e.Instruments, REST: e.REST, Slots: e.Slots, Open: e.Open, SilenceNs: int64(e.Silence),
			SnapshotNs: int64(e.SnapshotEvery), AuditNs: int64(e.Audit), RetryNs: int64(e.RetryMost), Signals: e.Signals,
			CatalogueSize: len(l.cfg.Venue.Catalogue(e.REST))}}
	h.Engine.Channels = names(e.Channels)
	for i := range l.engine.lines {
		if l.engine.lines[i].up {
			h.Lines = append(h.Lines, strconv.Itoa(i))
		}
	}
	for _, in := range l.engine.instruments {
		h.Instruments = append(h.Instruments, capture.EntryOf(&in.md))
	}
	l.note(capture.Session, h)
}

// endJournal writes the last line.
func (l *loop) endJournal() {
	if l.journal != nil {
		l.note(capture.End, nil)
		l.journal.ended.Store(true)
		l.journal = nil
	}
}

// note writes down something that is no frame; data may be nil.
func (l *loop) note(dir capture.Dir, data any) {
	if l.journal == nil {
		return
	}
	var payload []byte
	if data != nil {
		payload = capture.Note(data)
	}
	l.journal.put(ring.FrameNote, noLine, uint8(dir), payload, l.wall)
}

// noteREST writes down a REST answer, before the engine is told of it.
func (l *loop) noteREST(n capture.RESTNote, body []byte, err error) {
	if l.journal == nil {
		return
	}
	id := uint32(0)
	if err != nil {
		n.Error = err.Error()
	} else if id = l.journal.keep(body); id == 0 {
		l.journal.miss(body)
	}
	if !l.journal.put(ring.FrameNote, id, uint8(capture.REST), capture.Note(n), l.wall) {
		l.journal.take(id) // nobody will come for it
	}
}

// noteCatalogue writes down lists that were read, page by page, and that they
// are taken into use.
func (l *loop) noteCatalogue(state string, lists []fetched) {
	if l.journal == nil {
		return
	}
	n := capture.CatalogueNote{State: state, Lists: []int{}}
	for i := range lists {
		if lists[i].err != nil {
			continue
		}
		n.Lists = append(n.Lists, i)
		for _, p := range lists[i].pages {
			l.noteREST(capture.RESTNote{URL: p.url, List: &i}, p.body, nil)
		}
	}
	l.note(capture.Catalogue, n)
}

// noteInstrument writes down an instrument taken into use.
func (l *loop) noteInstrument(in *md.Instrument) {
	if l.journal != nil {
		l.note(capture.Instrument, capture.EntryOf(in))
	}
}

// noteNumber writes down that a topic goes on from another feed's number.
func (l *loop) noteNumber(instrument uint32, ch md.Channel, seq uint64) {
	if l.journal != nil {
		l.note(capture.Number, capture.NumberNote{Instrument: instrument, Channel: ch.String(), Seq: seq})
	}
}

// serveRings gives readers of the rings their turn. It is written down if it may
// have written something: then when it came is part of what the rings hold.
func (l *loop) serveRings() {
	if l.journal == nil {
		l.more = l.pub.Turn(l.wall)
		return
	}
	before := l.pub.Written()
	l.more = l.pub.Turn(l.wall)
	if l.journal.dirty || l.pub.Written() != before {
		l.note(capture.Turn, nil)
		l.journal.dirty = false
	}
}

// loggedIn reports whether a venue has credentials: it differs from the plain
// one then.
func loggedIn(v Venue) bool {
	if _, ok := v.(Credentialed); !ok {
		return false
	}
	plain, ok := ByName(v.Spec().Name)
	return !ok || reflect.TypeOf(v) != reflect.TypeOf(plain) || !reflect.ValueOf(v).Comparable() || v != plain
}
