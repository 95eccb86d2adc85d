package feeds

import (
	"cmp"
	"slices"
	"time"

	"tickrelay/ring/md"
)

// Limits of lines.
const (
	ackWait      = 15 * time.Second // for the first sign that a subscription was understood
	maxRejects   = 10               // frames refused within rejectSpan before the line is made again
	rejectSpan   = int64(10 * time.Second)
	refusedFirst = time.Second // before a refused subscription is tried again, doubling …
	refusedMost  = 64 * time.Second
	// carriedRefusals bounds what a new connection of a venue with Spec.BlindRefusals
	// inherits: its first try is soon, and in small requests already.
	carriedRefusals = 2
	maxPieces       = 64 // requests of such a try
)

// engineLine is what the engine knows of one connection.
type engineLine struct {
	up      bool
	leaving bool // asked to be made again
	ready   bool // for subscriptions
	since   int64

	requests     Requests
	conn         Conn  // of a Stateful venue, else nil
	subs         []Sub // where requests replace what was subscribed
	connSeq      int64 // number of the last frame, where the venue counts them
	connSeqKnown bool

	rejects  int // frames refused since firstBad
	firstBad int64

	dataAt    int64 // ns of the last market data
	pausedAt  int64 // ns at which its last pause of more than scanEvery began …
	resumedAt int64 // … and ended
	renewedAt int64 // ns at which silent instruments were subscribed again first since the last data, 0 if never
	sentBy    int64 // ns at which the last request of its subscriptions is out
	askedBy   int64 // ns at which the last request for a subscription is out, renewals included
	scanned   int64 // dataAt at the last scan
	fresh     bool  // that scan found data
	proves    bool  // which no request had asked for
	quiet     int   // scans without data since the last, while other lines had some
	lively    int   // scans with data beside another line's
	mutes     int   // times the line was left for that, until a connection was lively

	asked    map[int]asked // requests without an answer, of venues that refuse them as a whole
	bad      []asked       // streams refused, one each
	badNames bool          // bad are all that was refused since the last try
	ackBy    int64         // ns at which an answer to a subscription is overdue, 0 for none
	retryAt  int64         // ns at which refused subscriptions are tried again, 0 for none
	refusals int
}

// answered notes a sign that the venue understood us.
func (l *engineLine) answered() { l.ackBy = 0 }

// data notes that market data came.
func (l *engineLine) data(now int64) {
	if before := max(l.dataAt, l.since); now-before > scanEvery {
		l.pausedAt, l.resumedAt = before, now
	}
	l.dataAt = now
}

// refused schedules another try.
func (l *engineLine) refused(now int64) {
	l.answered()
	if l.retryAt == 0 {
		l.retryAt = now + int64(min(refusedFirst<<min(l.refusals, 10), refusedMost))
		l.refusals++
	}
}

// reject counts a bad frame and reports whether there were too many.
func (l *engineLine) reject(now int64) bool {
	if l.rejects == 0 || now-l.firstBad > rejectSpan {
		l.rejects, l.firstBad = 0, now
	}
	l.rejects++
	return l.rejects >= maxRejects
}

// line returns the state of a line, made on first use.
func (e *Engine) line(i int) *engineLine {
	for len(e.lines) <= i {
		e.lines = append(e.lines, engineLine{})
	}
	return &e.lines[i]
}

// Connected tells that a line is up at now (CLOCK_REALTIME ns): the engine
// subscribes to everything selected.
func (e *Engine) Connected(line int, now int64) {
	e.now = now
	l := e.line(line)
	if l.up {
		e.Disconnected(line, now, "connected again")
	}
	if e.spec.BlindRefusals { // the good names wait for the requests to become small
		l.refusals = min(l.refusals, carriedRefusals)
	}
	*l = engineLine{up: true, requests: Requests{ID: 1}, since: now, refusals: l.refusals, mutes: l.mutes, badNames: true}
	for _, t := range e.carried(line) {
		t.acked &^= e.bit(line)
	}
	if v, ok := e.venue.(Stateful); ok {
		l.conn = v.NewConn()
	}
	if !e.whole {
		e.addExplicit()
	}
	e.greet(line, now)
}

// subscribeAll subscribes a line to its part of instruments' channels and begins
// their topics.
func (e *Engine) subscribeAll(line int, list []*instrument, now int64) {
	var subs []Sub
	e.addTopics(list)
	for _, in := range list {
		subs = e.subs(subs, in, e.partOf(line))
	}
	e.begin(line, subs, now)
}

// begin subscribes a line to subs, whose topics there are.
func (e *Engine) begin(line int, subs []Sub, now int64) {
	l := e.line(line)
	if len(subs) == 0 {
		return
	}
	sent := now + int64(e.subscribeNew(line, subs, now))*int64(e.spec.SendEvery) // when the last of them leaves
	l.ackBy, l.sentBy = sent+int64(ackWait), sent
	for _, s := range subs {
		if s.Channel == md.ChannelBook {
			e.awaitBook(e.instruments[e.bySymbol(s.Instrument.Symbol)].topics[s.Channel], sent)
		}
	}
}

// Disconnected tells that a line is down: topics that lived from it are broken,
// those that another line brings as well, told apart by ids, are not.
func (e *Engine) Disconnected(line int, now int64, reason string) {
	e.now = now
	l := e.line(line)
	if !l.up {
		return
	}
	l.up, l.leaving, l.ackBy, l.retryAt = false, false, 0, 0
	e.log.Info("line lost", "line", line, "reason", reason)
	bit := e.bit(line)
	e.fetches = slices.DeleteFunc(e.fetches, func(f fetching) bool { return f.line == line })
	for _, t := range e.topics {
		if t.owner != line && (t.part != e.partOf(line) || t.lines&bit == 0) {
			continue
		}
		t.lines &^= bit
		if slot := line % e.cfg.Slots; t.book != nil && slot < len(t.book.standby) && t.book.standby[slot] != nil {
			t.book.standby[slot].reset(now)
			t.book.standby[slot].due = 0 // the next connection brings one
		} else if slot < len(t.standbys) {
			t.standbys[slot].have = 0
		}
		e.lineGone(t, line, md.GapDisconnect, now)
	}
	if e.upIn(e.partOf(line)) < 0 {
		e.dropResyncs(e.partOf(line))
		e.dropFills(e.partOf(line))
	}
}

// retryRefused subscribes again to what brought nothing since the line is up.
func (e *Engine) retryRefused(line int, now int64) {
	l := &e.lines[line]
	l.retryAt = 0
	if bad := l.bad; l.badNames && len(bad) > 0 {
		l.bad = nil
		e.askEach(line, bad)
		return
	}
	l.bad, l.badNames = nil, true
	bit := e.bit(line)
	var subs []Sub
	for _, t := range e.carried(line) {
		if t.lines&bit == 0 && !t.inst.gone && (e.spec.SubsPerConn == 0 || len(subs) < e.spec.SubsPerConn) {
			subs = append(subs, Sub{t.ch, &t.inst.md})
		}
	}
	if !e.spec.BlindRefusals {
		e.subscribe(line, subs, now)
		return
	}
	sent := 0
	for _, piece := range e.pieces(subs, l.refusals) {
		sent += e.subscribe(line, piece, now)
	}
	l.sentBy = max(l.sentBy, now+int64(sent)*int64(e.spec.SendEvery))
}

// pieces cuts subs into requests of a channel each, a quarter as large after each refusal:
// in the end a name that the venue does not know is refused alone.
func (e *Engine) pieces(subs []Sub, refusals int) [][]Sub {
	slices.SortStableFunc(subs, func(a, b Sub) int { return cmp.Compare(a.Channel, b.Channel) })
	size := max(1, e.spec.SubsPerFrame>>min(2*refusals, 30), (len(subs)+maxPieces-1)/maxPieces)
	var list [][]Sub
	for len(subs) > 0 {
		n := 1
		for n < min(size, len(subs)) && subs[n].Channel == subs[0].Channel {
			n++
		}
		list = append(list, subs[:n])
		subs = subs[n:]
	}
	return list
}
