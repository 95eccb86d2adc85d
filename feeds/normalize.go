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

// NormalizeConfig says how captures are normalized. Venue and Out are required.
type NormalizeConfig struct {
	Venue    Venue
	Patterns []string  // topics to print; default all
	Epoch    int64     // ns; default the first line's receive time
	Out      io.Writer // one JSON line per event
}

// Summary counts what a normalization did.
type Summary struct {
	Lines, Frames, Records, Rejected, Gaps   uint64
	ChecksumsOK, ChecksumsBad, BooksCrossed  uint64
	BooksBuilt, Refits, Resyncs              uint64
	History, Duplicates, Stale, Early, Other uint64 // Other: frames and events that nobody asked for
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
	if err := n.out.Flush(); err != nil {
		n.fail(fmt.Errorf("feeds: normalize: %w", err))
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

	lines   uint64
	foreign string // file:line of the first frame in another dialect
	errs    []error
	more    int // errors beyond maxErrors
}

func newNormalizer(cfg NormalizeConfig) (*normalizer, error) {
	if cfg.Venue == nil || cfg.Out == nil {
		return nil, errors.New("feeds: normalize: venue and output are required")
	}
	n := &normalizer{cfg: cfg, out: bufio.NewWriterSize(cfg.Out, 64<<10), recs: make([]md.Record, 4096)}
	if len(cfg.Patterns) == 0 {
		cfg.Patterns = []string{">"}
	}
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
	n.now = now
	table, err := md.CreateTable(md.AsBytes(make([]md.Record, md.TableSize(normalizeTable)/md.RecordSize+1)), normalizeTable, uint64(epoch))
	if err != nil {
		return err
	}
	spec := n.cfg.Venue.Spec()
	n.pub = ring.NewPublisher(ring.PublisherConfig{Venue: spec.Venue, Epoch: epoch, Heartbeat: 24 * time.Hour,
		Now: func() int64 { return n.now }})
	seg := ring.NewHeap(normalizeRing, ring.Meta{Name: "normalize"})
	if _, err := n.pub.Attach(seg, nil); err != nil {
		return err
	}
	if n.ring, err = ring.OpenConsumer(seg); err != nil {
		return err
	}
	n.print.table, n.print.out = table, n.out
	n.eng, err = NewEngine(EngineConfig{Venue: n.cfg.Venue, Table: table, Pub: n.pub, REST: "https://recorded",
		Instruments: []string{""}, // none of the catalogue's: those that frames name
		Open:        true, Silence: -1, SnapshotEvery: -1})
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
			if err := n.begin(path, line.RecvNs); err != nil {
				return err
			}
		}
		n.line(path, &line)
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
		got := 0
		for {
			k, err := n.ring.Poll(n.recs)
			for i := range n.recs[:k] {
				n.print.take(&n.recs[i])
			}
			got += k
			if k == 0 || err != nil {
				break
			}
		}
		if !more && got == 0 {
			return
		}
	}
}

func (n *normalizer) summary() Summary {
	s := Summary{Lines: n.lines}
	if n.eng == nil {
		return s
	}
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
	name := n.cfg.Venue.Spec().Name
	if n.foreign != "" {
		errs = append(errs, fmt.Errorf("feeds: normalize: %w of %s: %d of %d frames, the first at %s",
			ErrUnsupported, name, st.Rejected[RejectUnsupported].Load(), st.Frames.Load(), n.foreign))
	} else if bad := st.Rejected[RejectMalformed].Load(); bad > 0 && st.Events.Load() == 0 {
		errs = append(errs, fmt.Errorf("feeds: normalize: %w of %s: none of %d frames could be read",
			ErrUnsupported, name, st.Frames.Load()))
	}
	return errors.Join(errs...)
}
