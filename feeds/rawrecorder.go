package feeds

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"tickrelay/feeds/capture"
	"tickrelay/ring/md"
)

// RawConfig says how a feed is recorded. Dir is required.
type RawConfig struct {
	// Dir gets a folder named after the feed, made if it is missing.
	Dir string
	// Compress is "zstd" (default), "gzip" or "none".
	Compress string
	// Every is the time after which a new file begins, counted in whole periods
	// since 1970; default 1 h.
	Every time.Duration
	// Buffer is the memory between feed and recorder in bytes, a power of two;
	// default DefaultJournal.
	Buffer int
	// KeepAge and KeepBytes bound the finished files of the feed by age and by
	// their size together; 0 keeps all. The oldest go first.
	KeepAge   time.Duration
	KeepBytes int64
	Log       *slog.Logger // default discards
}

func (c RawConfig) withDefaults() RawConfig {
	if c.Compress == "" {
		c.Compress = "zstd"
	}
	if c.Every == 0 {
		c.Every = time.Hour
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func rawEnding(compress string) (string, bool) {
	switch compress {
	case "zstd":
		return ".ndjson.zst", true
	case "gzip":
		return ".ndjson.gz", true
	case "none":
		return ".ndjson", true
	}
	return "", false
}

func (c *RawConfig) validate() error {
	var errs []error
	if c.Dir == "" {
		errs = append(errs, errors.New("feeds: raw recorder: no folder"))
	}
	if _, ok := rawEnding(c.Compress); !ok {
		errs = append(errs, fmt.Errorf("feeds: raw recorder: compress %q: want zstd, gzip or none", c.Compress))
	}
	if c.Every < time.Second || c.KeepAge < 0 || c.KeepBytes < 0 {
		errs = append(errs, errors.New("feeds: raw recorder: a new file at most every second, and no negative bounds"))
	}
	return errors.Join(errs...)
}

// RawStats are a recorder's counters; any goroutine may read them.
type RawStats struct {
	Lines, Bytes, Files atomic.Uint64 // lines written, bytes of text, files begun
	// Lost are the lines that are not in any file: the recorder was too slow, or
	// the disk refused them.
	Lost     atomic.Uint64
	Failures atomic.Uint64 // attempts to write that failed
	Failing  atomic.Bool   // the disk refuses at present
	Removed  atomic.Uint64 // files removed by retention
}

// Pace of a RawRecorder.
const (
	rawFlushEvery = time.Second // and whenever a block is full
	rawIdle       = 5 * time.Millisecond
	rawRetry      = 5 * time.Second // after the disk refused
	rawDrain      = 10 * time.Second
)

// RawRecorder writes down all that one feed is told, as capture files.
type RawRecorder struct {
	cfg     RawConfig
	feed    *Feed
	journal *Journal
	stats   RawStats
	dir     string
	ending  string

	head  capture.Header // of the recording, with what is in use now
	w     *capture.Writer
	until int64 // recording's time at which the next file begins
	named int64 // recording's time in the name of the last file

	lost    uint64 // lines since the last mark
	seen    uint64 // of the journal's losses
	retryAt time.Time
	flushAt time.Time
}

// RecordRaw begins to record f: from its beginning if Run was not called yet. Run
// of the recorder must follow. ErrRecorded if f is recorded already.
func RecordRaw(f *Feed, cfg RawConfig) (*RawRecorder, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	r := &RawRecorder{cfg: cfg, feed: f, dir: filepath.Join(cfg.Dir, f.Name())}
	r.ending, _ = rawEnding(cfg.Compress)
	if err := os.MkdirAll(r.dir, 0o750); err != nil {
		return nil, fmt.Errorf("feeds: raw recorder: %w", err)
	}
	var err error
	if r.journal, err = NewJournal(cfg.Buffer); err != nil {
		return nil, err
	}
	r.recover()
	if _, err = f.Record(r.journal); err != nil {
		return nil, err
	}
	return r, nil
}

// Stats returns the counters.
func (r *RawRecorder) Stats() *RawStats { return &r.stats }

// Feed is the name of the feed that is recorded.
func (r *RawRecorder) Feed() string { return r.feed.Name() }

// recover gives the files of a recorder that died their names.
func (r *RawRecorder) recover() {
	list, err := capture.Unfinished(r.dir)
	if err != nil {
		r.cfg.Log.Warn("raw recordings not looked through", "dir", r.dir, "err", err)
	}
	for _, path := range list {
		cut, err := capture.Finish(path)
		switch {
		case err != nil:
			r.cfg.Log.Warn("unfinished raw recording left as it is", "file", path, "err", err)
		case cut != 0:
			r.cfg.Log.Warn("finished a raw recording whose recorder had died: its last line was cut and is left out", "file", path, "line", cut)
		default:
			r.cfg.Log.Info("finished a raw recording whose recorder had died", "file", path)
		}
	}
}

// Run writes until the feed has stopped, or until ctx has ended and the feed
// takes longer than some seconds to stop. It never fails for a disk that refuses:
// that is counted and logged, and tried again.
func (r *RawRecorder) Run(ctx context.Context) error {
	var deadline time.Time
	for {
		n, err := r.pump()
		if err != nil {
			return fmt.Errorf("feeds: raw recorder: %s: %w", r.feed.Name(), err)
		}
		now := time.Now()
		if !now.Before(r.flushAt) {
			r.flushAt = now.Add(rawFlushEvery)
			r.flush()
		}
		if n > 0 {
			continue
		}
		if r.journal.Ended() {
			if n, err = r.pump(); err != nil {
				return fmt.Errorf("feeds: raw recorder: %s: %w", r.feed.Name(), err)
			}
			if n == 0 {
				break
			}
			continue
		}
		if ctx.Err() != nil {
			if deadline.IsZero() {
				deadline = now.Add(rawDrain)
			} else if now.After(deadline) {
				break
			}
		}
		time.Sleep(rawIdle)
	}
	r.close()
	return nil
}

// pump writes what waits, at most some thousand lines.
func (r *RawRecorder) pump() (n int, err error) {
	for ; n < 4096; n++ {
		ok, err := r.journal.Next(r.line)
		if !ok || err != nil {
			return n, err
		}
	}
	return n, nil
}

// line writes one line, in a new file if its time has come.
func (r *RawRecorder) line(l *capture.Line, body []byte) {
	if lost, _ := r.journal.Lost(); lost != r.seen {
		r.stats.Lost.Add(lost - r.seen)
		r.seen = lost
	}
	if l.Dir == capture.Session {
		if err := json.Unmarshal(l.Data, &r.head); err == nil {
			r.head.Part = 0
			r.next(l.RecvNs)
		}
		return
	}
	if r.w == nil && !time.Now().Before(r.retryAt) || r.w != nil && l.RecvNs >= r.until {
		r.next(l.RecvNs)
	}
	r.follow(l)
	if r.w == nil {
		r.drop()
		return
	}
	own := *l
	if l.Dir == capture.REST {
		own.Data = r.answer(l, body)
	}
	if r.w == nil { // the disk refused the answer
		r.drop()
		return
	}
	if err := r.w.Write(&own); err != nil {
		r.failed(err)
		return
	}
	r.stats.Lines.Add(1)
	r.stats.Bytes.Add(uint64(len(l.Frame) + len(body)))
}

// follow keeps the header up to date with what the recording holds.
func (r *RawRecorder) follow(l *capture.Line) {
	switch l.Dir {
	case capture.Connect:
		r.head.Lines = append(r.head.Lines, l.Conn)
	case capture.Close:
		r.head.Lines = slices.DeleteFunc(r.head.Lines, func(s string) bool { return s == l.Conn })
	case capture.Step:
		r.until = min(r.until, r.ends(l.RecvNs))
	case capture.Instrument:
		var e capture.InstrumentEntry
		if json.Unmarshal(l.Data, &e) == nil {
			r.head.Instruments = append(r.head.Instruments, e)
		}
	case capture.Select:
		var n capture.SelectNote
		if json.Unmarshal(l.Data, &n) != nil {
			break
		}
		for _, name := range n.Channels {
			if ch, ok := md.ParseChannel(name); !ok || !r.feed.cfg.Venue.Spec().has(ch) {
				return // it was refused
			}
		}
		r.head.Engine.Instruments, r.head.Engine.Channels = n.Instruments, n.Channels
	}
}

// answer writes a REST answer into its file and returns the note that refers to
// it.
func (r *RawRecorder) answer(l *capture.Line, body []byte) json.RawMessage {
	var n capture.RESTNote
	if err := json.Unmarshal(l.Data, &n); err != nil || body == nil {
		return slices.Clone(l.Data)
	}
	no, err := r.w.Answer(l.RecvNs, n.URL, body)
	if err != nil {
		r.failed(err)
		return nil
	}
	n.Answer = no
	return capture.Note(n)
}

func (r *RawRecorder) drop() {
	r.lost++
	r.stats.Lost.Add(1)
}

// next ends the file and begins another, with a header.
func (r *RawRecorder) next(at int64) {
	r.close()
	r.named = max(at, r.named+1) // files sort in their order if the clock was set back, too
	name := time.Unix(0, r.named).UTC().Format("20060102T150405.000000000Z")
	path := filepath.Join(r.dir, strings.ReplaceAll(r.feed.Name(), "/", "_")+"-"+name+r.ending)
	w, err := capture.Create(path)
	if err != nil {
		r.failed(err)
		return
	}
	r.w = w
	r.until = r.ends(at)
	r.head.Part++
	r.stats.Files.Add(1)
	err = w.Write(&capture.Line{RecvNs: at, Dir: capture.Session, Data: capture.Note(r.head)})
	if err == nil && r.lost > 0 {
		err = w.Write(&capture.Line{RecvNs: at, Dir: capture.Lost,
			Data: capture.Note(capture.LostNote{Frames: r.lost, Why: "the disk refused them"})})
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		r.w = nil
		w.Abandon() // it held marks alone, which are no losses
		r.failed(err)
		return
	}
	r.lost = 0
	if r.stats.Failing.CompareAndSwap(true, false) {
		r.cfg.Log.Info("raw recording goes on", "file", path)
	}
	r.retain()
}

// ends is when a file ends that holds the recording's time at.
func (r *RawRecorder) ends(at int64) int64 {
	every := int64(r.cfg.Every)
	return at - at%every + every
}

// failed gives the file up: what was flushed stays, the rest is lost.
func (r *RawRecorder) failed(err error) {
	r.stats.Failures.Add(1)
	if !r.stats.Failing.Swap(true) {
		r.cfg.Log.Error("raw recording interrupted", "feed", r.feed.Name(), "err", err, "retry", rawRetry)
	}
	r.retryAt = time.Now().Add(rawRetry)
	if w := r.w; w != nil {
		r.w = nil
		lines := w.Abandon()
		r.lost += uint64(lines)
		r.stats.Lost.Add(uint64(lines))
	}
}

func (r *RawRecorder) flush() {
	if r.w != nil {
		if err := r.w.Flush(); err != nil {
			r.failed(err)
		}
	}
}

func (r *RawRecorder) close() {
	if r.w == nil {
		return
	}
	if err := r.w.Flush(); err != nil {
		r.failed(err)
		return
	}
	if err := r.w.Close(); err != nil {
		r.cfg.Log.Error("raw recording not closed", "file", r.w.Path(), "err", err)
	}
	r.w = nil
}

// retain removes the oldest finished files beyond the bounds.
func (r *RawRecorder) retain() {
	if r.cfg.KeepAge == 0 && r.cfg.KeepBytes == 0 {
		return
	}
	removed, err := capture.Retain(r.dir, r.cfg.KeepAge, r.cfg.KeepBytes, time.Now())
	r.stats.Removed.Add(uint64(removed))
	if err != nil {
		r.cfg.Log.Warn("old raw recordings not removed", "dir", r.dir, "err", err)
	}
}
