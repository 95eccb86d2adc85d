package sim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"sync"
	"time"

	"tickrelay/feeds/capture"
)

// ReplayOptions say how captures are replayed. The zero value is: at recorded
// pace, once, from the first subscription of each connection.
type ReplayOptions struct {
	// Speed multiplies the recorded pace; 0 means 1, SpeedMax as fast as the
	// client takes it.
	Speed float64
	// Loop starts again at the end instead of closing the connection.
	Loop bool
	// From is the offset from the first frame at which pacing starts; what lies
	// before is sent at once, so that books are right.
	From time.Duration
	// Since is From as a recorded time, in place of it; zero: From counts. A time
	// before the first frame is the first frame's.
	Since time.Time
	// Conn, if not empty, is the recorded connection whose frames are served: of a
	// feed that had redundant lines each brings the same.
	Conn string
	// Served, if set, is told of each frame of any connection that was queued: its
	// recorded time. It is called from several goroutines.
	Served func(ns int64)
	// NoWait starts when a client connects instead of when it has subscribed.
	NoWait bool
	// Faults can be injected but do not happen by themselves; For counts.
	Faults Faults
	// Clock paces; nil is RealClock.
	Clock Clock
	// TLS makes the server speak wss and https.
	TLS *tls.Config
	// Log gets connections and unreadable lines; nil discards them.
	Log *slog.Logger
}

// SpeedMax replays without waiting.
const SpeedMax = math.MaxFloat64

func (o ReplayOptions) withDefaults() ReplayOptions {
	if o.Speed == 0 {
		o.Speed = 1
	}
	if math.IsInf(o.Speed, 1) {
		o.Speed = SpeedMax
	}
	if o.Clock == nil {
		o.Clock = RealClock{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Faults = o.Faults.withDefaults()
	return o
}

func (o ReplayOptions) validate() error {
	if !(o.Speed > 0) {
		return fmt.Errorf("sim: replay: speed %v, want more than 0", o.Speed)
	}
	if o.From < 0 {
		return fmt.Errorf("sim: replay: from %s is negative", o.From)
	}
	if !o.Since.IsZero() && o.From != 0 {
		return errors.New("sim: replay: from an offset and since a time: want one")
	}
	if len(o.Faults.Every) > 0 {
		return errors.New("sim: replay: faults by themselves need a market, inject them")
	}
	return o.Faults.validate()
}

// replayQueue is how many frames of a replay wait for a client's socket.
const replayQueue = 256

// Replay serves capture files as the exchange named venue (see ReplayVenues) on
// listen. Every connection gets the recorded frames of all files and
// connections, merged by receive time, byte for byte and from the beginning,
// whatever it subscribes to; acks are made up only if the captures hold none.
// REST requests get the recorded answers of the same path and instrument, the
// next one each time. The connection ends with close code 1000 at the end, and
// with 1011 at a line that cannot be read, which the log names by file and line.
func Replay(ctx context.Context, venue, listen string, files []string, o ReplayOptions) (*Server, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, errors.New("sim: replay: no capture files")
	}
	s := &Server{venue: venue, mu: new(sync.Mutex), plan: &faultPlan{}}
	s.o = Options{Queue: replayQueue, PingEvery: time.Hour, Faults: o.Faults}
	d, err := newReplayDialect(s, files, o)
	if err != nil {
		return nil, err
	}
	s.dialect = d
	if err := s.start(ctx, listen, o.TLS, o.Log); err != nil {
		return nil, err
	}
	return s, nil
}

// recorded is one frame of a capture.
type recorded struct {
	ns     int64
	frame  []byte
	binary bool
}

// recording reads several captures as one: frames received, in order of their
// times; within a file the order of the file.
type recording struct {
	conn  string // "" for all
	files []*capture.Reader
	heads []recorded // next frame of each file, nil frame at its end
}

func openRecording(paths []string, conn string) (*recording, error) {
	r := &recording{conn: conn}
	for i, path := range paths {
		f, err := capture.Open(path)
		if err != nil {
			r.close()
			return nil, err
		}
		r.files, r.heads = append(r.files, f), append(r.heads, recorded{})
		if err := r.advance(i); err != nil {
			r.close()
			return nil, err
		}
		if r.heads[i].frame == nil {
			r.close()
			return nil, fmt.Errorf("sim: replay: %s: no received frame in the file%s", path, map[bool]string{true: " of connection " + conn}[conn != ""])
		}
	}
	return r, nil
}

// advance reads the next received frame of file i into its head.
func (r *recording) advance(i int) error {
	for {
		line, err := r.files[i].Next()
		if err == io.EOF {
			r.heads[i] = recorded{ns: math.MaxInt64}
			return nil
		}
		if err != nil {
			return fmt.Errorf("sim: replay: %w", err)
		}
		if line.Dir == capture.Recv && line.Frame != nil && (r.conn == "" || r.conn == line.Conn) {
			r.heads[i] = recorded{line.RecvNs, line.Frame, line.Binary}
			return nil
		}
	}
}

// next returns the frame with the least time; io.EOF after the last.
func (r *recording) next() (recorded, error) {
	least := 0
	for i := range r.heads {
		if r.heads[i].ns < r.heads[least].ns {
			least = i
		}
	}
	f := r.heads[least]
	if f.frame == nil {
		return recorded{}, io.EOF
	}
	return f, r.advance(least)
}

func (r *recording) close() {
	for _, f := range r.files {
		f.Close()
	}
}
