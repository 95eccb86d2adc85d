package feeds

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"tickrelay/feeds/capture"
	"tickrelay/ring/md"
)

// A rerun tells an engine once more what a feed was told, as a raw recording has
// it: the same calls in the same order at the same times, so the same records.
// Nothing is left to this machine: the clock is the recording's, REST answers
// come where they came, and instruments get the numbers that they had.
type rerun struct {
	n      *normalizer
	venue  Venue
	head   capture.Header
	answer restLines

	pages [][][]byte // of instrument lists that wait to be taken into use, by list
	lists [][]md.Instrument
	urls  map[int]string // of book snapshots asked for

	waiting *capture.Line // told to the engine once it is known which instruments it took into use then
	path    string        // of waiting's file
	added   []capture.InstrumentEntry
}

// header reads the Data of a Session line.
func header(line *capture.Line) (capture.Header, error) {
	var h capture.Header
	if err := json.Unmarshal(line.Data, &h); err != nil {
		return h, fmt.Errorf("header: %w", err)
	}
	if h.Version != capture.HeaderVersion {
		return h, fmt.Errorf("header: version %d, this program reads %d", h.Version, capture.HeaderVersion)
	}
	if h.Engine.Slots < 1 || h.Engine.Slots > maxSlots || h.Engine.CatalogueSize < 0 || h.Engine.CatalogueSize > 64 || h.Epoch <= 0 {
		return h, errors.New("header: slots, catalogues or epoch are out of range")
	}
	return h, nil
}

// session takes the header of a file: the recording goes on, or another begins.
func (n *normalizer) session(path string, line *capture.Line) error {
	h, err := header(line)
	if err != nil {
		return fmt.Errorf("%s:%d: %w", path, line.LineNo, err)
	}
	if n.run != nil {
		n.run.flush()
		old := &n.run.head
		if old.Feed == h.Feed && old.Epoch == h.Epoch && old.Part+1 == h.Part {
			old.Part = h.Part
			n.run.answer.open(path)
			return nil
		}
		n.run.answer.close()
	}
	n.run = &rerun{n: n, head: h, urls: map[int]string{}}
	n.run.answer.open(path)
	return n.run.begin(path, line)
}

// begin makes engine and ring anew.
func (r *rerun) begin(path string, line *capture.Line) error {
	n, h := r.n, &r.head
	var err error
	if r.venue, err = n.venueOf(h); err != nil {
		return fmt.Errorf("%s:%d: %w", path, line.LineNo, err)
	}
	if n.eng != nil {
		n.past = n.past.plus(n.engineSummary())
	}
	r.pages, r.lists = make([][][]byte, h.Engine.CatalogueSize), make([][]md.Instrument, h.Engine.CatalogueSize)
	cfg := EngineConfig{Venue: r.venue, Instruments: h.Engine.Instruments, REST: h.Engine.REST, Slots: h.Engine.Slots, Open: h.Engine.Open,
		Silence: time.Duration(h.Engine.SilenceNs), SnapshotEvery: time.Duration(h.Engine.SnapshotNs), Audit: time.Duration(h.Engine.AuditNs),
		RetryMost: time.Duration(h.Engine.RetryNs), Signals: h.Engine.Signals}
	if cfg.Channels, err = channelsOf(h.Engine.Channels); err != nil {
		return fmt.Errorf("%s:%d: header: %w", path, line.LineNo, err)
	}
	epoch := h.Epoch
	if n.cfg.Epoch != 0 {
		epoch = n.cfg.Epoch
	}
	if err := n.build(cfg, epoch, line.RecvNs, time.Second); err != nil {
		return fmt.Errorf("%s:%d: %w", path, line.LineNo, err)
	}
	if h.Joined || h.Part > 1 {
		n.inexact = fmt.Sprintf("%s: the recording begins in the middle of a session: books come with their next snapshot", path)
		r.joinMidway()
	}
	return nil
}

func channelsOf(names []string) ([]md.Channel, error) {
	var list []md.Channel
	for _, name := range names {
		ch, ok := md.ParseChannel(name)
		if !ok {
			return nil, fmt.Errorf("unknown channel %q", name)
		}
		list = append(list, ch)
	}
	return list, nil
}

// joinMidway brings the engine to where the recording begins, as far as it is
// known: instruments and connections.
func (r *rerun) joinMidway() {
	list := make([]md.Instrument, 0, len(r.head.Instruments))
	for i := range r.head.Instruments {
		r.place(&r.head.Instruments[i])
		list = append(list, r.head.Instruments[i].Instrument(r.venue.Spec().Venue))
	}
	if len(list) > 0 {
		r.n.eng.Catalogue(list)
	}
	r.n.eng.Start()
	for _, name := range r.head.Lines {
		if line, ok := r.lineOf(name); ok {
			r.n.eng.Connected(line, r.n.now)
		}
	}
	r.settle()
	r.turn()
}

// venueOf is the venue of a recording: one that logs in where the feed did.
func (n *normalizer) venueOf(h *capture.Header) (Venue, error) {
	v := n.cfg.Venue
	if v == nil {
		var ok bool
		if v, ok = ByName(h.Venue); !ok {
			return nil, fmt.Errorf("header: unknown venue %q", h.Venue)
		}
	}
	if v.Spec().Name != h.Venue {
		return nil, fmt.Errorf("the recording is of %s, not of %s", h.Venue, v.Spec().Name)
	}
	if c, ok := v.(Credentialed); ok && h.Login {
		if in, err := c.WithCredentials(Credentials{Key: "recorded", Secret: "recorded", Passphrase: "recorded"}); err == nil {
			v = in
		}
	}
	return v, nil
}

// maxRerunLines bounds the connections that a recording may name.
const maxRerunLines = 1 << 14

func (r *rerun) lineOf(name string) (int, bool) {
	i, err := strconv.Atoi(name)
	return i, err == nil && i >= 0 && i < maxRerunLines
}

// line takes one line. What the engine is told waits until the next such line,
// because between them stand the instruments that it took into use meanwhile.
func (r *rerun) line(path string, line *capture.Line) {
	switch line.Dir {
	case capture.Instrument:
		var e capture.InstrumentEntry
		if err := json.Unmarshal(line.Data, &e); err != nil {
			r.n.fail(fmt.Errorf("%s:%d: instrument: %w", path, line.LineNo, err))
			return
		}
		r.added = append(r.added, e)
	case capture.Number:
		var e capture.NumberNote
		ch, ok := md.Channel(0), false
		if err := json.Unmarshal(line.Data, &e); err == nil {
			ch, ok = md.ParseChannel(e.Channel)
		}
		if !ok {
			r.n.fail(fmt.Errorf("%s:%d: number: %s", path, line.LineNo, line.Data))
			return
		}
		r.n.numbers.Leave(e.Instrument, ch, e.Seq)
	case capture.Send, capture.Fetch, capture.Other:
	case capture.Lost:
		r.n.inexact = fmt.Sprintf("%s:%d: the recorder lost something: %s", path, line.LineNo, line.Data)
	default:
		r.flush()
		own := *line
		r.waiting, r.path = &own, path
	}
}

// flush tells the engine of the line that waits.
func (r *rerun) flush() {
	for i := range r.added {
		r.place(&r.added[i])
	}
	r.added = r.added[:0]
	line := r.waiting
	if line == nil {
		return
	}
	r.waiting = nil
	var step capture.StepNote
	if line.Dir == capture.Step {
		if err := json.Unmarshal(line.Data, &step); err != nil {
			r.n.fail(fmt.Errorf("%s:%d: step: %w", r.path, line.LineNo, err))
			return
		}
		r.n.stepped(step.ByNs)
		r.n.eng.Stepped(step.ByNs)
	}
	r.n.pace(line.RecvNs)
	if line.Dir != capture.Recv {
		r.n.now = line.RecvNs
	}
	if err := r.tell(line); err != nil {
		r.n.fail(fmt.Errorf("%s:%d: %w", r.path, line.LineNo, err))
	}
}

// tell is the calls of the live loop, one for one.
func (r *rerun) tell(line *capture.Line) error {
	e := r.n.eng
	switch line.Dir {
	case capture.Recv, capture.Connect, capture.Close:
		i, ok := r.lineOf(line.Conn)
		if !ok {
			return fmt.Errorf("connection %q: want the number of a line", line.Conn)
		}
		switch line.Dir {
		case capture.Connect:
			e.Connected(i, line.RecvNs)
		case capture.Close:
			e.Disconnected(i, line.RecvNs, line.Reason)
		default:
			_ = e.Frame(i, line.Frame, line.RecvNs) // refused as it was then
		}
	case capture.Start:
		e.Start()
	case capture.Timer:
		e.Tick(line.RecvNs)
	case capture.Turn:
		r.turn()
		return nil
	case capture.HandOver:
		var h capture.HandOverNote
		if err := json.Unmarshal(line.Data, &h); err != nil || h.From < 0 || h.To < 0 || h.From >= len(e.lines) || h.To >= len(e.lines) {
			return fmt.Errorf("handover: %s", line.Data)
		}
		e.HandOver(h.From, h.To)
	case capture.GiveUp:
		e.giveUp(line.RecvNs)
	case capture.Select:
		return r.reselect(line)
	case capture.REST:
		return r.rest(line)
	case capture.Catalogue:
		return r.catalogue(line)
	}
	r.settle()
	return nil
}

func (r *rerun) reselect(line *capture.Line) error {
	var n capture.SelectNote
	err := json.Unmarshal(line.Data, &n)
	var channels []md.Channel
	if err == nil {
		channels, err = channelsOf(n.Channels)
	}
	if err != nil {
		return fmt.Errorf("select: %w", err)
	}
	if n.Narrow {
		_ = r.n.eng.Narrow(n.Instruments, channels, line.RecvNs) // refused as it was then
	} else {
		_ = r.n.eng.Reselect(n.Instruments, channels, line.RecvNs)
	}
	r.settle()
	return nil
}

// rest takes an answer: a book snapshot, or a page of a list of instruments.
func (r *rerun) rest(line *capture.Line) error {
	var n capture.RESTNote
	if err := json.Unmarshal(line.Data, &n); err != nil {
		return fmt.Errorf("rest: %w", err)
	}
	var failed error
	var body []byte
	switch {
	case n.Error != "":
		failed = errors.New(n.Error)
	case n.Answer > 0:
		if body, failed = r.answer.at(n.Answer); failed != nil {
			r.n.fail(failed)
		}
	default:
		failed = errors.New("the answer was not recorded")
		r.n.inexact = fmt.Sprintf("%s:%d: an answer of %s was not recorded", r.path, line.LineNo, n.URL)
	}
	if n.List == nil {
		r.n.eng.Snapshot(n.Req, body, failed, line.RecvNs)
		r.settle()
		return nil
	}
	if *n.List < 0 || *n.List >= len(r.pages) || len(r.pages[*n.List]) >= maxPages {
		return fmt.Errorf("rest: list %d of %d", *n.List, len(r.pages))
	}
	r.pages[*n.List] = append(r.pages[*n.List], body)
	return nil
}

// catalogue takes the lists whose pages came before into use.
func (r *rerun) catalogue(line *capture.Line) error {
	var n capture.CatalogueNote
	if err := json.Unmarshal(line.Data, &n); err != nil {
		return fmt.Errorf("catalogue: %w", err)
	}
	for _, i := range n.Lists {
		if i < 0 || i >= len(r.lists) {
			return fmt.Errorf("catalogue: list %d of %d", i, len(r.lists))
		}
		pages := r.pages[i]
		r.pages[i] = nil
		list, err := readList(r.venue, func(n int, _ string) ([]byte, error) {
			if n >= len(pages) {
				return nil, errors.New("a page was not recorded")
			}
			return pages[n], nil
		})
		if err != nil {
			return err
		}
		r.lists[i] = list
	}
	if all := slices.Concat(r.lists...); len(all) > 0 {
		r.n.eng.takeCatalogue(all, wholeLists(r.lists))
		r.settle()
	}
	return nil
}

// settle is the loop's: staged records go to the ring, and what the engine wants
// was done then or is in the recording.
func (r *rerun) settle() {
	r.n.pub.Flush()
	r.n.actions = r.n.eng.Actions(r.n.actions[:0])
	r.n.read()
}

// turn is the loop's.
func (r *rerun) turn() {
	r.n.pub.Turn(r.n.now)
	r.n.read()
}

// place makes sure that an instrument gets the number in the table that it had:
// those before it that the recording does not know were other feeds'.
func (r *rerun) place(e *capture.InstrumentEntry) {
	table, venue := r.n.print.table, r.venue.Spec().Venue
	if int(e.ID) < table.Len() || e.ID >= normalizeTable {
		return
	}
	for table.Len() < int(e.ID) {
		if _, err := table.Add(md.Instrument{Venue: venue, Symbol: "other-" + strconv.Itoa(table.Len())}); err != nil {
			return
		}
	}
	in := e.Instrument(venue)
	id, err := table.Add(in)
	if err != nil {
		return // the engine will say so
	}
	for range min(e.Generation/2, 1<<16) {
		if now, _ := table.Get(id); now.Generation >= e.Generation {
			break
		}
		if _, err := table.Update(id, func(*md.Instrument) {}); err != nil {
			return
		}
	}
}

// finish ends a rerun.
func (r *rerun) finish() {
	r.flush()
	r.settle()
	r.answer.close()
}

// restLines are the answers beside a recording, read as they are wanted.
type restLines struct {
	path string
	r    *capture.RESTReader
	err  error
	last capture.Answer
}

func (a *restLines) open(path string) {
	a.close()
	*a = restLines{path: path}
	if name := capture.RESTFile(path); name != "" {
		a.r, a.err = capture.OpenREST(name)
	}
}

func (a *restLines) close() {
	if a.r != nil {
		a.r.Close()
		a.r = nil
	}
}

// at is the body of the answer in the given line; lines are asked for in their
// order.
func (a *restLines) at(line int) ([]byte, error) {
	if a.r == nil && a.err == nil {
		a.err = fmt.Errorf("feeds: %s: its file of REST answers is missing", a.path)
	}
	for a.err == nil && a.last.LineNo < line {
		a.last, a.err = a.r.Next()
		if a.err == io.EOF {
			a.err = fmt.Errorf("feeds: %s: its file of REST answers ends before line %d", a.path, line)
		}
	}
	if a.err != nil {
		return nil, a.err
	}
	if a.last.LineNo != line {
		return nil, fmt.Errorf("feeds: %s: line %d of its file of REST answers was read before", a.path, line)
	}
	return a.last.Body, nil
}

// RawVenue is the name of the venue that a raw recording says it is of, "" if
// the file is no raw recording.
func RawVenue(path string) string {
	r, err := capture.Open(path)
	if err != nil {
		return ""
	}
	defer r.Close()
	line, err := r.Next()
	if err != nil || line.Dir != capture.Session {
		return ""
	}
	h, err := header(&line)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(h.Venue)
}
