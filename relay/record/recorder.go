package record

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// Source is what a Recorder reads: a ring.Client, or Rings.
type Source interface {
	// Poll, Wait and Interrupt are those of ring.Client. Poll returns io.EOF when nothing
	// will ever come again.
	Poll(dst []md.Record) (int, error)
	Wait(mode ring.WaitMode, timeout time.Duration) (bool, error)
	Interrupt()
	// Table is the instrument table that the records refer to, nil if there is none. It
	// may be another one, with other numbers, whenever Session is.
	Table() *md.TableView
	Session() int
}

// Recorder writes a recording. Run uses it in one goroutine; Stats may be read by any.
type Recorder struct {
	cfg     Config
	pats    []md.Pattern
	stats   Stats
	lock    *os.File
	src     Source
	session int

	epochs  map[md.Venue]int64
	byID    [][md.NumChannels]*topic // by instrument of the session
	topics  map[md.Topic]*topic
	parts   map[stream]*partition
	reason  error // of the suspension
	now     int64 // when the records at hand were read
	tickAt  int64
	flushAt int64
	back    *background
}

// unwanted stands in byID for a topic that no pattern selects.
var unwanted = &topic{}

// ErrInUse says that another recorder writes to the folder.
var ErrInUse = errors.New("another recorder writes there")

const (
	pollBatch    = 4096
	drainBatches = 1024 // at most, when the recording ends: feeds may go on
	tickEvery    = int64(time.Second)
	// frameRecords bounds the key frames written between two polls.
	frameRecords = 4096
	hourGrace    = int64(5 * time.Second) // after an hour's end, before quiet streams go on to the next
)

// New opens a recording and brings it in order after whatever ended the recorder before.
// Run or Close must follow.
func New(cfg Config) (*Recorder, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	r := &Recorder{cfg: cfg, epochs: map[md.Venue]int64{}, topics: map[md.Topic]*topic{}, parts: map[stream]*partition{}}
	q := Query{Topics: cfg.Topics}
	var err error
	if r.pats, err = q.patterns(); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	if r.lock, err = lockDir(cfg.Dir); err != nil {
		return nil, err
	}
	r.back = newBackground(&r.cfg, &r.stats)
	if err := r.recover(); err != nil {
		r.lock.Close()
		return nil, err
	}
	return r, nil
}

// lockDir keeps others from writing to a recording, until the file is closed or the
// process ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("record: %s: %w", dir, ErrInUse)
	}
	return f, nil
}

// recover does the streams that are there.
func (r *Recorder) recover() error {
	streams, err := listStreams(r.cfg.Dir)
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	for _, s := range streams {
		got, err := r.back.sealer.recover(s.dir(r.cfg.Dir), r.cfg.Now())
		if err != nil {
			return fmt.Errorf("record: recover %s: %w", s, err)
		}
		r.tell(s, got.errs)
		if got.journals > 0 {
			r.cfg.Log.Info("recovered what the recorder before had open", "stream", s.String(), "records", got.records, "torn_bytes", got.torn)
		}
		r.stats.Recovered.Add(uint64(got.records))
		r.stats.Torn.Add(uint64(got.torn))
		p := r.partition(s)
		p.hour, p.next, p.arrival, p.last = got.hour, got.next, got.arrival, got.topics
		p.newest, p.serial = got.newest, got.serial+1
		if got.newest > r.cfg.Now()+clockSlack {
			r.cfg.Log.Warn("the recording has hours that are still to come: a clock is or was wrong; records go into the hour of now", "stream", s.String(), "hour", time.Unix(0, got.newest).UTC())
		}
		r.back.carry[s] = got.topics
		for _, path := range got.unsealed {
			r.back.sealCut(s, path)
		}
		r.back.mergeOld(s, hourOf(r.cfg.Now()))
	}
	return nil
}

// tell says what is wrong with files.
func (r *Recorder) tell(s stream, errs []error) {
	for _, e := range errs {
		if a := (*aside)(nil); errors.As(e, &a) {
			r.stats.Damaged.Add(1)
			r.cfg.Log.Warn("a file of the recording cannot be read; it is kept under another name, and what it held is missing", "path", a.path, "name", filepath.Base(a.as), "reason", a.err)
			continue
		}
		r.cfg.Log.Warn("a file is not as it should be; nothing is missing or read twice", "stream", s.String(), "err", e)
	}
}

func (r *Recorder) partition(s stream) *partition {
	p := r.parts[s]
	if p == nil {
		p = &partition{stream: s, dir: s.dir(r.cfg.Dir)}
		r.parts[s] = p
	}
	return p
}

// Stats are the recorder's counters.
func (r *Recorder) Stats() *Stats { return &r.stats }

// Close gives a recording back, whether it was run or not. Not while it runs.
func (r *Recorder) Close() error {
	if err := r.lock.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// Run records src until ctx ends or src does, then seals what is open. It returns an
// error only if src fails; a device that is full or fails suspends the recording, see
// Stats.Suspended, and never ends it.
func (r *Recorder) Run(ctx context.Context, src Source) error {
	r.src = src
	defer r.lock.Close()
	stop := context.AfterFunc(ctx, src.Interrupt)
	defer stop()
	done := r.back.start()
	recs := make([]md.Record, pollBatch)
	var err error
	for ctx.Err() == nil && err == nil {
		err = r.turn(recs)
	}
	if err == nil {
		err = r.drain(recs)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	for _, p := range r.parts {
		if p.j != nil {
			r.seal(p)
		}
	}
	r.back.finish()
	<-done
	return err
}

// drain takes what waits in the rings at the end.
func (r *Recorder) drain(recs []md.Record) error {
	for range drainBatches {
		n, err := r.src.Poll(recs)
		if n == 0 || err != nil {
			return err
		}
		r.newSession()
		r.now = r.cfg.Now()
		r.take(recs[:n])
	}
	return nil
}

// turn reads what is there and does what is due.
func (r *Recorder) turn(recs []md.Record) error {
	n, err := r.src.Poll(recs)
	if err != nil && n == 0 {
		return err
	}
	r.newSession()
	now := r.cfg.Now()
	r.now = now
	r.take(recs[:n])
	busy := r.frames(frameRecords)
	if now >= r.flushAt || now < r.flushAt-2*int64(r.cfg.Flush) {
		r.flushAt = now + int64(r.cfg.Flush)
		r.flush()
	}
	if now >= r.tickAt || now < r.tickAt-2*tickEvery {
		r.tickAt = now + tickEvery
		r.tick(now)
	}
	if n == 0 && !busy {
		_, err = r.src.Wait(ring.WaitBlock, r.cfg.Flush)
	}
	return err
}

// newSession looks whether instrument numbers mean others from here on. No journal may
// hold both: one that cannot be sealed now takes nothing of the new session, see room.
func (r *Recorder) newSession() {
	s := r.src.Session()
	if s == r.session {
		return
	}
	r.session = s
	clear(r.byID)
	r.byID = r.byID[:0]
	for _, p := range r.parts {
		if p.j != nil {
			r.seal(p)
		}
	}
}

// flush writes what journals have gathered.
func (r *Recorder) flush() {
	if r.stats.Suspended.Load() {
		return
	}
	for _, p := range r.parts {
		if p.j == nil {
			continue
		}
		if err := p.j.flush(); err != nil {
			r.suspend(err)
			return
		}
	}
}

// tick looks at clocks and at the device's room.
func (r *Recorder) tick(now int64) {
	r.space()
	if r.stats.Suspended.Load() {
		return
	}
	for _, p := range r.parts {
		hour := hourOf(now - hourGrace)
		switch {
		case p.hour < hour && len(p.topics) > 0 && p.hour > 0 && !r.cfg.NoKeyFrames:
			p.clock = max(p.clock, hour)
			r.roll(p, hour, r.session)
		case p.j != nil && p.hour < hour:
			p.clock = max(p.clock, hour)
			r.seal(p)
			r.back.mergeOld(p.stream, hour)
		case p.j != nil && (now-p.opened >= int64(r.cfg.Seal) || now < min(p.opened, p.hour)-clockSlack):
			r.seal(p) // it is old, or the clock was set back
		}
	}
}
