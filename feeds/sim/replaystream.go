package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// ReplayVenues lists the exchanges whose captures can be replayed.
func ReplayVenues() []string {
	return Venues()
}

// replayDialect answers as much of a venue's dialect as clients of a replay
// need: subscriptions, text pings, REST.
type replayDialect struct {
	srv   *Server
	files []string
	o     ReplayOptions
	path  string
	acks  bool // the captures hold none: make them up
	rest  *recordedREST
}

// ackLook is how many frames at the beginning are searched for acks.
const ackLook = 1000

func newReplayDialect(s *Server, files []string, o ReplayOptions) (*replayDialect, error) {
	if !slices.Contains(ReplayVenues(), s.venue) {
		return nil, fmt.Errorf("sim: replay: venue %q: want one of %v", s.venue, ReplayVenues())
	}
	d := &replayDialect{srv: s, files: files, o: o, acks: true}
	d.path = map[string]string{"bitget": "/v2/ws/public", "okx": "/ws/v5/public"}[s.venue]
	if d.path == "" {
		d.path = "/stream"
	}
	rec, err := openRecording(files, o.Conn)
	if err != nil {
		return nil, err
	}
	defer rec.close()
	for range ackLook {
		f, err := rec.next()
		if err != nil {
			break // told to the client that gets there
		}
		if bytes.Contains(f.frame, []byte(`"event":"subscribe"`)) || bytes.HasPrefix(f.frame, []byte(`{"result":`)) {
			d.acks = false
			break
		}
	}
	d.rest, err = openRecordedREST(files)
	return d, err
}

func (d *replayDialect) home() string             { return d.path }
func (d *replayDialect) rate() int                { return 0 }
func (d *replayDialect) silence() time.Duration   { return 0 }
func (d *replayDialect) event(*Event)             {}
func (d *replayDialect) due(int64, bool)          {}
func (d *replayDialect) book(in *instrument) Book { return Book{} }

func (d *replayDialect) notice() []byte {
	switch d.srv.venue {
	case "okx":
		return (&okx{}).notice()
	case "bitget":
		return nil
	}
	return (&binance{}).notice()
}

func (d *replayDialect) busy() []byte {
	return []byte(`{"code":-1003,"msg":"Too many requests."}`)
}

func (d *replayDialect) supports(f Fault) error {
	if f == FaultRESTStale {
		return errors.New("a replay has the recorded answers only")
	}
	return nil
}

// open takes any path: captures of several dialects are replayed. Streams
// named in the address are a subscription.
func (d *replayDialect) open(s *session, r *http.Request) bool {
	s.urgent = make(chan outgoing, 1024)
	if names, ok := strings.CutPrefix(r.URL.Path, "/ws/"); ok && strings.Contains(names, "@") {
		s.wanted = []string{names}
	}
	if q := r.URL.Query().Get("streams"); q != "" {
		s.wanted = []string{q}
	}
	return true
}

func (d *replayDialect) opened(s *session) {
	if d.o.NoWait || len(s.wanted) > 0 {
		d.begin(s)
	}
}

// replayRequest is a request in any of the dialects.
type replayRequest struct {
	Method string            `json:"method"`
	ID     json.RawMessage   `json:"id"`
	Op     string            `json:"op"`
	Event  string            `json:"event"` // Bitfinex, Bitstamp, Kraken
	Type   string            `json:"type"`  // Coinbase, KuCoin
	Args   []json.RawMessage `json:"args"`
}

func (d *replayDialect) text(s *session, msg []byte) {
	if string(msg) == "ping" {
		s.pong()
		return
	}
	if !bytes.HasPrefix(bytes.TrimSpace(msg), []byte("{")) { // Upbit's requests are arrays
		d.begin(s)
		return
	}
	var q replayRequest
	if err := json.Unmarshal(msg, &q); err != nil {
		s.log.Warn("request is not JSON", "err", err)
		return
	}
	if d.acks {
		if q.Method != "" && q.ID != nil {
			s.reply([]byte(`{"result":null,"id":` + string(q.ID) + `}`))
		}
		if q.Op == "subscribe" || q.Op == "unsubscribe" {
			for _, arg := range q.Args {
				s.reply([]byte(`{"event":"` + q.Op + `","arg":` + string(arg) + `}`))
			}
		}
	}
	for _, verb := range []string{q.Method, q.Op, q.Event, q.Type} {
		if strings.Contains(strings.ToLower(verb), "subscribe") && !strings.HasPrefix(strings.ToLower(verb), "un") {
			d.begin(s)
			return
		}
	}
}

// begin starts the session's replay, once.
func (d *replayDialect) begin(s *session) {
	if s.started {
		return
	}
	s.started = true
	d.rest.rewind()
	d.srv.goes(func() {
		err := d.replay(s)
		switch {
		case err == io.EOF:
			s.block(closing(ws.StatusNormalClosure, "end of the capture", 0))
		case err != nil:
			s.log.Error("replay stopped", "err", err)
			s.block(closing(ws.StatusInternalServerError, "the capture cannot be read", 0))
		}
	})
}

// replay sends the recording; io.EOF at its end, nil if the session ended.
func (d *replayDialect) replay(s *session) error {
	for {
		rec, err := openRecording(d.files, d.o.Conn)
		if err != nil {
			return err
		}
		err = d.once(s, rec)
		rec.close()
		if err != io.EOF || !d.o.Loop {
			return err
		}
		d.srv.locked(d.rest.rewind)
	}
}

// once sends the recording from its beginning to its end.
func (d *replayDialect) once(s *session, rec *recording) error {
	var p pace
	for {
		f, err := rec.next()
		if f.frame == nil {
			return err
		}
		if wait := p.wait(f.ns, d.o); wait > 0 && !d.o.Clock.Sleep(s.done, wait) {
			return nil
		}
		op := ws.OpText
		if f.binary {
			op = ws.OpBinary
		}
		var out []outgoing
		d.srv.locked(func() { out = s.afflict("", recordedKind(f.frame), newFrame(op, f.frame)) })
		for _, o := range out {
			if !s.block(o) {
				return nil
			}
		}
		if d.o.Served != nil {
			d.o.Served(f.ns)
		}
		if err != nil {
			return err
		}
	}
}

// recordedKind guesses what a frame is to the faults.
func recordedKind(frame []byte) frameKind {
	for _, mark := range []string{`"depthUpdate"`, `"channel":"books`} {
		if bytes.Contains(frame, []byte(mark)) {
			if bytes.Contains(frame, []byte(`"event"`)) || bytes.Contains(frame, []byte(`"snapshot"`)) {
				return kindOther
			}
			return kindBook
		}
	}
	return kindOther
}

// pace turns recorded times into waits.
type pace struct {
	begun   bool
	firstNs int64     // of the recording
	start   time.Time // when pacing began
}

// wait is how long to wait before the frame recorded at ns.
func (p *pace) wait(ns int64, o ReplayOptions) time.Duration {
	if o.Speed == SpeedMax {
		return 0
	}
	if p.firstNs == 0 {
		p.firstNs = ns
	}
	offset := time.Duration(ns-p.firstNs) - o.From
	if !o.Since.IsZero() {
		offset = time.Duration(ns - max(p.firstNs, o.Since.UnixNano()))
	}
	if offset < 0 {
		return 0
	}
	now := o.Clock.Now()
	if !p.begun {
		p.begun, p.start = true, now
	}
	return p.start.Add(time.Duration(float64(offset) / o.Speed)).Sub(now)
}

func (d *replayDialect) answer(r *http.Request, _ bool) (int, []byte) {
	if strings.HasPrefix(d.srv.venue, "kucoin") && r.URL.Path == kucoinBullet { // no recorder keeps it: it is a key to the door
		return http.StatusOK, d.srv.kucoinDoor()
	}
	if body := d.rest.answer(r.URL.Path, r.URL.Query()); body != nil {
		return http.StatusOK, body
	}
	return http.StatusNotFound, []byte(`{"code":404,"msg":"the capture holds no answer to this request"}`)
}
