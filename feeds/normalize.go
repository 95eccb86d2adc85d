package feeds

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"tickrelay/feeds/capture"
	"tickrelay/ring"
	"tickrelay/ring/md"
)

// NormalizeConfig says how captures are normalized. Venue is required, but for
// raw recordings, which name theirs.
type NormalizeConfig struct {
	Venue    Venue
	Patterns []string // topics to print; default all
	Epoch    int64    // ns; default the recording's, or the first line's receive time
	// Out gets one JSON line per event; nil for none.
	Out io.Writer
	// Records gets every record of a ring that is read from the beginning, as it
	// is: 64 bytes each. nil for none.
	Records io.Writer
	// Speed multiplies the recorded pace; 0 does not wait.
	Speed float64
	// Serve, if set, is given the publisher and the instrument table of each engine
	// before its first record, to attach rings of its own. wait is called before
	// every line, so that the rings' readers may keep up.
	Serve func(pub *ring.Publisher, table *md.TableView) (wait func(), err error)
	// Progress, if set, is told the number of lines done every now and then.
	Progress func(lines uint64)
}

// Summary counts what a normalization did.
type Summary struct {
	Lines, Frames, Records, Rejected, Gaps   uint64
	ChecksumsOK, ChecksumsBad, BooksCrossed  uint64
	BooksBuilt, Refits, Resyncs              uint64
	History, Duplicates, Stale, Early, Other uint64 // Other: frames and events that nobody asked for
	// Inexact says why the run of a raw recording is not in all the live feed's:
	// it begins midway, or something was lost. "" if it is, and for captures.
	Inexact string
}

// plus is the sum of the counters.
func (s Summary) plus(o Summary) Summary {
	s.Frames, s.Records, s.Rejected, s.Gaps = s.Frames+o.Frames, s.Records+o.Records, s.Rejected+o.Rejected, s.Gaps+o.Gaps
	s.ChecksumsOK, s.ChecksumsBad, s.BooksCrossed = s.ChecksumsOK+o.ChecksumsOK, s.ChecksumsBad+o.ChecksumsBad, s.BooksCrossed+o.BooksCrossed
	s.BooksBuilt, s.Refits, s.Resyncs = s.BooksBuilt+o.BooksBuilt, s.Refits+o.Refits, s.Resyncs+o.Resyncs
	s.History, s.Duplicates, s.Stale, s.Early, s.Other = s.History+o.History, s.Duplicates+o.Duplicates, s.Stale+o.Stale, s.Early+o.Early, s.Other+o.Other
	return s
}

// String is one "key value" per line, in a fixed order.
func (s Summary) String() string {
	var b strings.Builder
	for _, f := range []struct {
		key string
		n   uint64
	}{
		{"frames", s.Frames}, {"records", s.Records}, {"rejected", s.Rejected}, {"gaps", s.Gaps},
		{"checksums_ok", s.ChecksumsOK}, {"checksums_bad", s.ChecksumsBad}, {"books_crossed", s.BooksCrossed},
		{"books_built", s.BooksBuilt}, {"lines", s.Lines}, {"refits", s.Refits}, {"resyncs", s.Resyncs},
		{"history", s.History}, {"duplicates", s.Duplicates}, {"stale", s.Stale}, {"early", s.Early}, {"ignored", s.Other},
	} {
		fmt.Fprintf(&b, "%s %d\n", f.key, f.n)
	}
	return b.String()
}

// Normalize drives captures, in the order given, through an engine and a ring,
// and writes every event as one line in the JSON form of the WebSocket
// protocol. The output depends on the input alone.
//
// A raw recording (see capture.Header) is run again: its engine is told what the
// live one was told, and the records are the live ones, byte for byte.
//
// Lines that cannot be read are counted, the rest is processed all the same,
// and the error, which then names them, comes at the end. It wraps
// ErrUnsupported if frames are of a dialect that the venue does not list.
func Normalize(cfg NormalizeConfig, captures []string) (Summary, error) {
	n, err := newNormalizer(cfg)
	if err != nil {
		return Summary{}, err
	}
	for _, path := range captures {
		if err := n.file(path); err != nil {
			n.fail(err)
		}
	}
	if n.run != nil {
		n.run.finish()
	}
	if err := n.out.Flush(); err != nil {
		n.fail(fmt.Errorf("feeds: normalize: %w", err))
	}
	if n.wrong != nil {
		n.fail(fmt.Errorf("feeds: normalize: records: %w", n.wrong))
	}
	return n.summary(), n.err()
}

const (
	normalizeTable = 1 << 14 // instruments
	normalizeRing  = 1 << 17 // records: 8 MiB
	maxErrors      = 20      // errors told one by one
)

// normalizer is the state of one Normalize.
type normalizer struct {
	cfg   NormalizeConfig
	out   *bufio.Writer
	print printer

	eng  *Engine // nil before the first line, whose time is the epoch
	pub  *ring.Publisher
	ring *ring.Consumer
	recs []md.Record

	now     int64
	conns   map[string]int // line by name of the connection, in this file
	rest    restAnswers
	actions []EngineAction

	numbers *ring.Numbers
	run     *rerun  // of a raw recording
	inexact string  // why a run is not that of the live feed, "" if it is
	past    Summary // of recordings before this one
	began   time.Time
	first   int64 // the recording's time at began
	wrong   error // of Records
	wait    func()

	lines   uint64
	foreign string // file:line of the first frame in another dialect
	errs    []error
	more    int // errors beyond maxErrors
}

func newNormalizer(cfg NormalizeConfig) (*normalizer, error) {
	if cfg.Out == nil && cfg.Records == nil && cfg.Serve == nil {
		return nil, errors.New("feeds: normalize: an output is required")
	}
	if cfg.Out == nil {
		cfg.Out = io.Discard
	} else if len(cfg.Patterns) == 0 {
		cfg.Patterns = []string{">"}
	}
	if cfg.Speed < 0 {
		return nil, fmt.Errorf("feeds: normalize: speed %v: want 0 or more", cfg.Speed)
	}
	n := &normalizer{cfg: cfg, out: bufio.NewWriterSize(cfg.Out, 64<<10), recs: make([]md.Record, 4096)}
	for _, p := range cfg.Patterns {
		pattern, err := md.ParsePattern(p)
		if err != nil {
			return nil, fmt.Errorf("feeds: normalize: %w", err)
		}
		n.print.patterns = append(n.print.patterns, pattern)
	}
	return n, nil
}

func (n *normalizer) fail(err error) {
	if len(n.errs) < maxErrors {
		n.errs = append(n.errs, err)
	} else {
		n.more++
	}
}

// start makes engine and ring; now is the first line's time.
func (n *normalizer) start(now int64) error {
	if n.eng != nil {
		return nil
	}
	epoch := n.cfg.Epoch
	if epoch == 0 {
		epoch = now
	}
	if n.cfg.Venue == nil {
		return errors.New("the file is no raw recording, which would name it: the venue is required")
	}
	return n.build(EngineConfig{Venue: n.cfg.Venue, REST: "https://recorded",
		Instruments: []string{""}, // none of the catalogue's: those that frames name
		Open:        true, Silence: -1, SnapshotEvery: -1}, epoch, now, 24*time.Hour)
}

// build makes engine and ring; beat is the time between heartbeats.
func (n *normalizer) build(cfg EngineConfig, epoch, now int64, beat time.Duration) error {
	n.now = now
	table, err := md.CreateTable(md.AsBytes(make([]md.Record, md.TableSize(normalizeTable)/md.RecordSize+1)), normalizeTable, uint64(epoch))
	if err != nil {
		return err
	}
	n.numbers = new(ring.Numbers)
	n.pub = ring.NewPublisher(ring.PublisherConfig{Numbers: n.numbers, Venue: cfg.Venue.Spec().Venue, Epoch: epoch, Heartbeat: beat,
		Now: func() int64 { return n.now }})
	seg := ring.NewHeap(normalizeRing, ring.Meta{Name: "normalize"})
	if _, err := n.pub.Attach(seg, nil); err != nil {
		return err
	}
	if n.ring, err = ring.OpenConsumer(seg); err != nil {
		return err
	}
	n.print.restart(table, n.out)
	if n.cfg.Serve != nil {
		if n.wait, err = n.cfg.Serve(n.pub, table.View()); err != nil {
			return err
		}
	}
	cfg.Table, cfg.Pub = table, n.pub
	n.eng, err = NewEngine(cfg)
	return err
}

// file processes one capture.
func (n *normalizer) file(path string) error {
	r, err := capture.Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	first := true
	for {
		line, err := r.Next()
		if err == io.EOF {
			return nil
		}
		n.lines++
		if err != nil {
			n.fail(err)
			continue
		}
		if first {
			first = false
			if err := n.open(path, &line); err != nil {
				return err
			}
		}
		if n.cfg.Progress != nil && n.lines%4096 == 0 {
			n.cfg.Progress(n.lines)
		}
		switch {
		case n.run == nil:
			n.pace(line.RecvNs)
			n.line(path, &line)
		case line.Dir != capture.Session:
			n.run.line(path, &line)
		}
	}
}

// open looks at a file's first line: a raw recording has a header.
func (n *normalizer) open(path string, line *capture.Line) error {
	switch {
	case line.Dir == capture.Session:
		if n.run == nil && n.eng != nil {
			return fmt.Errorf("%s: a raw recording among other captures: give them one kind at a time", path)
		}
		return n.session(path, line)
	case n.run != nil:
		return fmt.Errorf("%s: no raw recording, as those before it: give them one kind at a time", path)
	}
	return n.begin(path, line.RecvNs)
}

// pace waits until the time of a line has come, at the speed asked for.
func (n *normalizer) pace(at int64) {
	if n.wait != nil {
		n.wait()
	}
	if n.cfg.Speed == 0 || at == 0 {
		return
	}
	if n.first == 0 {
		n.first, n.began = at, time.Now()
		return
	}
	time.Sleep(time.Until(n.began.Add(time.Duration(float64(at-n.first) / n.cfg.Speed))))
}

// stepped says that the recording's clock was set by d ns: nobody waits for that.
func (n *normalizer) stepped(d int64) {
	if n.first != 0 {
		n.first += d
	}
}

// begin starts a file: what it knows of REST comes first.
func (n *normalizer) begin(path string, now int64) error {
	if err := n.start(now); err != nil {
		return err
	}
	n.now = now
	for i := range n.eng.lines {
		n.eng.Disconnected(i, now, "end of the capture")
	}
	n.settle()
	n.conns = map[string]int{}
	rest := capture.RESTFile(path)
	if rest == "" {
		n.rest.answers = nil
		return nil
	}
	answers, err := capture.ReadREST(rest)
	if err != nil {
		n.fail(err)
	}
	n.rest.load(n.cfg.Venue, answers)
	if len(n.rest.instruments) > 0 {
		n.eng.Catalogue(n.rest.instruments)
	}
	return nil
}

// line processes one line of a capture.
func (n *normalizer) line(path string, line *capture.Line) {
	n.answer(line.RecvNs)
	n.now = line.RecvNs
	n.eng.Tick(n.now)
	n.settle()
	index, known := n.conns[line.Conn]
	if !known && line.Dir <= capture.Close {
		index = len(n.conns)
		n.conns[line.Conn] = index
	}
	switch line.Dir {
	case capture.Connect:
		n.eng.Connected(index, n.now)
	case capture.Close:
		n.eng.Disconnected(index, n.now, "recorded")
	case capture.Recv:
		if !n.eng.line(index).up { // a capture without connect lines
			n.eng.Connected(index, n.now)
		}
		if err := n.eng.Frame(index, line.Frame, n.now); errors.Is(err, ErrUnsupported) && n.foreign == "" {
			n.foreign = fmt.Sprintf("%s:%d", path, line.LineNo)
		}
	}
	n.settle()
}

// settle prints what the engine staged and answers its requests from what was
// recorded by now.
func (n *normalizer) settle() {
	n.collect()
	n.answer(n.now)
}

// collect prints what the engine staged and notes what it asks for.
func (n *normalizer) collect() {
	n.drain()
	n.actions = n.eng.Actions(n.actions[:0])
	for i := range n.actions {
		if a := &n.actions[i]; a.Kind == ActionFetch {
			n.rest.asked = append(n.rest.asked, a.Req)
		}
	}
}

// answer gives the engine the REST answers recorded until the given time, each
// at its own time or, if it was asked for later, at once.
func (n *normalizer) answer(until int64) {
	for len(n.rest.asked) > 0 {
		req, a, ok := n.rest.next(n.eng, until)
		if !ok {
			return
		}
		if a != nil {
			n.now = max(n.now, a.RecvNs)
			n.eng.Snapshot(req, a.Body, nil, n.now)
		}
		n.collect()
	}
}

// drain reads the ring until it is empty and no snapshot is under way.
func (n *normalizer) drain() {
	n.pub.Flush()
	for {
		more := n.pub.Turn(n.now)
		if got := n.read(); !more && got == 0 {
			return
		}
	}
}

// read prints what is in the ring.
func (n *normalizer) read() (got int) {
	for {
		k, err := n.ring.Poll(n.recs)
		if n.cfg.Records != nil && k > 0 && n.wrong == nil {
			_, n.wrong = n.cfg.Records.Write(md.AsBytes(n.recs[:k]))
		}
		if len(n.print.patterns) > 0 {
			for i := range n.recs[:k] {
				n.print.take(&n.recs[i])
			}
		}
		got += k
		if k == 0 || err != nil {
			return got
		}
	}
}

func (n *normalizer) summary() Summary {
	s := n.past
	if n.eng != nil {
		s = s.plus(n.engineSummary())
	}
	s.Lines, s.Inexact = n.lines, n.inexact
	return s
}

func (n *normalizer) engineSummary() (s Summary) {
	st := n.eng.Stats()
	s.Frames, s.Records, s.Rejected, s.Gaps = st.Frames.Load(), st.Records.Load(), st.RejectedTotal(), st.GapsTotal()
	s.ChecksumsOK, s.ChecksumsBad, s.BooksCrossed = st.ChecksumsOK.Load(), st.ChecksumsBad.Load(), st.BooksCrossed.Load()
	s.BooksBuilt, s.Refits, s.Resyncs = st.BooksBuilt.Load(), st.Refits.Load(), st.Resyncs.Load()
	s.History, s.Early = st.Ignored[IgnoreHistory].Load(), st.EarlyEvents.Load()
	s.Duplicates, s.Stale = st.Ignored[IgnoreDuplicate].Load(), st.Ignored[IgnoreStale].Load()
	s.Other = st.Ignored[IgnoreNothing].Load() + st.Ignored[IgnoreChannel].Load() + st.Ignored[IgnoreInstrument].Load()
	return s
}

// err is everything that went wrong.
func (n *normalizer) err() error {
	errs := n.errs
	if n.more > 0 {
		errs = append(errs, fmt.Errorf("feeds: normalize: %d more errors", n.more))
	}
	if n.eng == nil {
		return errors.Join(errs...)
	}
	st := n.eng.Stats()
	name := n.eng.spec.Name
	if n.foreign != "" {
		errs = append(errs, fmt.Errorf("feeds: normalize: %w of %s: %d of %d frames, the first at %s",
			ErrUnsupported, name, st.Rejected[RejectUnsupported].Load(), st.Frames.Load(), n.foreign))
	} else if bad := st.Rejected[RejectMalformed].Load(); bad > 0 && st.Events.Load() == 0 {
		errs = append(errs, fmt.Errorf("feeds: normalize: %w of %s: none of %d frames could be read",
			ErrUnsupported, name, st.Frames.Load()))
	}
	return errors.Join(errs...)
}
