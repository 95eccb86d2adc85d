package feeds

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// EngineConfig describes an engine. Venue, Table and Pub are required.
type EngineConfig struct {
	Venue Venue
	Table *md.Table
	Pub   *ring.Publisher

	Instruments []string     // patterns of symbols, "*" stands for any run of characters; default all
	Channels    []md.Channel // default all that the venue has
	REST        string       // base of snapshot addresses; "" means that nothing can be fetched
	// Slots is the number of connections of each part of the subscriptions, see
	// engine_parts.go; default and at most 32.
	Slots int
	// Open accepts every instrument that a frame names, for replays.
	Open bool
	// Silence is how long an instrument that sent data may send none before it
	// is subscribed again, default 60 s, negative never. Instruments that are
	// quieter by nature get longer.
	Silence time.Duration
	// SnapshotEvery is the least time between REST snapshots; default the
	// venue's, negative none.
	SnapshotEvery time.Duration
	// Audit is how often a live book is compared with a fresh REST snapshot, where
	// the venue has them; default never.
	Audit time.Duration
	// RetryMost is the longest wait between attempts to get a book back that keeps
	// breaking; default 5 min.
	RetryMost time.Duration
	// Signals is how many levels of each side order-book imbalance takes, at most
	// MaxSignalLevels; 0: no topic of channel signals, nothing is computed.
	Signals int
	Log     *slog.Logger // default discards
	// Added is told of every instrument taken into use, as it is then; default
	// nobody.
	Added func(in *md.Instrument)
}

func (c EngineConfig) withDefaults() EngineConfig {
	if c.Silence == 0 {
		c.Silence = 60 * time.Second
	}
	if c.RetryMost == 0 {
		c.RetryMost = 5 * time.Minute
	}
	if c.Slots == 0 {
		c.Slots = maxSlots
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Venue != nil {
		if c.SnapshotEvery == 0 {
			c.SnapshotEvery = c.Venue.Spec().SnapshotEvery
		}
		if len(c.Channels) == 0 {
			for _, ch := range c.Venue.Spec().Channels {
				c.Channels = append(c.Channels, ch.Channel)
			}
		}
	}
	return c
}

func (c *EngineConfig) validate() error {
	if c.Venue == nil {
		return errors.New("feeds: engine: no venue")
	}
	var errs []error
	if c.Table == nil {
		errs = append(errs, errors.New("feeds: engine: no instrument table"))
	}
	if c.Pub == nil {
		errs = append(errs, errors.New("feeds: engine: no publisher"))
	}
	if c.Slots < 1 || c.Slots > maxSlots {
		errs = append(errs, fmt.Errorf("feeds: engine: %d slots, allowed are 1 to %d", c.Slots, maxSlots))
	}
	for _, ch := range c.Channels {
		if !c.Venue.Spec().has(ch) {
			errs = append(errs, fmt.Errorf("feeds: engine: %s has no channel %s", c.Venue.Spec().Name, ch))
		}
	}
	return errors.Join(errs...)
}

func (s *Spec) has(ch md.Channel) bool {
	for _, c := range s.Channels {
		if c.Channel == ch {
			return true
		}
	}
	return false
}

// Engine is a feed without I/O: no socket, no clock, no goroutine. Everything
// that happens is a call, everything that it wants is an EngineAction. The same
// calls in the same order make the same records, whatever the machine. One
// goroutine calls its methods; only Stats may be read by others.
type Engine struct {
	venue Venue
	spec  *Spec
	table *md.Table
	pub   *ring.Publisher
	cfg   EngineConfig
	log   *slog.Logger
	wants [md.NumChannels]bool

	instruments []*instrument
	symbols     map[string]int32 // index in instruments
	topics      []*topic
	names       []nameIndex
	catalogue   []md.Instrument // nil before the first
	whole       bool            // nothing is missing in it
	byNative    map[string][]int32

	lines []engineLine
	parts []part
	dec   Decoded
	snap  Decoded // of REST snapshots
	spare Book    // to which a repeated snapshot is read
	diff  []md.Record

	resyncing  []*topic // broken books, in the order in which they broke
	resyncWork bool     // one of them may be served at once
	fetches    []fetching
	lastReq    int
	nextFetch  int64 // ns before which no snapshot is asked for
	limitedTo  int64 // ns at which a book that a limit holds up is looked at again, 0: none is
	resubTAT   int64 // theoretical arrival time of the resubscriptions' rate limit
	nextScan   int64 // of the silence watchdog

	filling     []*topic // with a hole that another line may fill
	switching   []*topic // books that wait for a standby to catch up
	auditing    *topic   // whose audit is under way
	nextAudit   int64    // ns before which none begins
	nextStandby int64    // ns of the next look at standby books

	// now is the time of the last call that told it. All waits count in it, none in the
	// receive times of frames: those that were received before the wall clock was set are
	// of another time.
	now int64

	actions []EngineAction
	stats   Stats
}

// NewEngine checks cfg and returns an engine that has no line yet.
func NewEngine(cfg EngineConfig) (*Engine, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	e := &Engine{venue: cfg.Venue, spec: cfg.Venue.Spec(), table: cfg.Table, pub: cfg.Pub, cfg: cfg, log: cfg.Log,
		symbols: map[string]int32{}}
	for _, ch := range cfg.Channels {
		e.wants[ch] = true
	}
	return e, nil
}

// Stats returns the counters; any goroutine may read them.
func (e *Engine) Stats() *Stats { return &e.stats }

// Frame takes one whole message of a line, received at rxNs (CLOCK_REALTIME),
// decodes and checks it and stages what it makes known; the caller flushes the
// publisher. frame is not kept. An error means that the message was refused; it
// is counted, and what must follow is among the actions.
func (e *Engine) Frame(line int, frame []byte, rxNs int64) error {
	e.stats.Frames.Add(1)
	e.now = max(e.now, rxNs) // one that was received before the clock was set forward is no pause
	l := e.line(line)
	d := &e.dec
	d.Reset()
	var err error
	if l.conn != nil {
		err = l.conn.Decode(frame, d)
	} else {
		err = e.venue.Decode(frame, d)
	}
	if err != nil {
		return e.rejectFrame(line, l, frame, err)
	}
	if d.Refused != 0 {
		e.stats.Rejected[RejectRange].Add(uint64(d.Refused))
	}
	if d.HasConnSeq {
		e.chainFrames(line, d, e.now)
	}
	if d.Control != ControlNone {
		e.control(line, l, d, e.now)
	}
	if len(d.Events) == 0 {
		e.ignore(IgnoreNothing)
		return nil
	}
	l.answered()
	l.data(e.now)
	e.stats.Events.Add(uint64(len(d.Events)))
	if ts := d.Recs; len(ts) > 0 && ts[0].TsEvent > rxNs {
		e.stats.EarlyEvents.Add(1)
	}
	for i := range d.Events {
		ev := &d.Events[i]
		e.event(line, ev, d.Recs[ev.From:ev.To], rxNs)
	}
	if e.resyncWork {
		e.resync(e.now)
	}
	return nil
}

// event finds the topic that an event belongs to and hands it there.
func (e *Engine) event(line int, ev *Event, recs []md.Record, rx int64) {
	in := e.lookup(ev.Native, ev.Class)
	if in == nil || in.gone {
		e.ignore(IgnoreInstrument)
		return
	}
	in.heard(e.now, &e.lines[line], int64(e.cfg.Silence))
	t := in.topics[ev.Channel]
	if t == nil {
		if !e.wants[ev.Channel] {
			e.ignore(IgnoreChannel)
			return
		}
		t = e.addTopic(in, ev.Channel)
		e.pub.Turn(rx) // rings begin a topic there: without it this event would come before its beginning
	}
	t.lines |= e.bit(line)
	if t.book != nil && ev.Action == ActionReplace && t.state == TopicBroken {
		t.owner = line // a whole book is worth more than the line that lost its own
	}
	if t.owner < 0 && (t.book == nil || t.book.switchBy == 0) {
		t.owner = line
	}
	if t.book != nil && (t.owner == line || t.state != TopicLive) {
		t.book.outdated(line%e.cfg.Slots, e.now)
	}
	if t.owner == line {
		e.ownerBrings(t)
	} else if !e.second(t, line, ev, recs, rx) {
		return
	}
	e.noteAhead(t, line)
	before, several := e.stats.Records.Load(), t.several()
	switch ev.Channel {
	case md.ChannelBook:
		e.bookEvent(t, line, ev, recs, rx)
	case md.ChannelBBO:
		e.quote(t, line, recs, rx)
	case md.ChannelTrades, md.ChannelLiquidations:
		e.trades(t, line, ev, recs, rx)
	default:
		e.values(t, line, recs, rx)
	}
	if e.stats.Records.Load() != before {
		t.by, t.bySince = line, e.lines[line].since
	}
	if several {
		e.compete(t, line, ev, recs, before)
	}
	e.unpark(t, e.now)
}

func (e *Engine) ignore(why IgnoreReason) { e.stats.Ignored[why].Add(1) }

// control does what a frame says about the session.
func (e *Engine) control(line int, l *engineLine, d *Decoded, now int64) {
	switch d.Control {
	case ControlAck:
		e.stats.Acks.Add(1)
		l.answered()
		delete(l.asked, d.Request)
		if d.Native != nil {
			e.acked(line, d)
		}
	case ControlError, ControlHeld:
		e.stats.VenueErrors.Add(1)
		e.log.Warn("the venue refused a request", "line", line, "text", string(d.Text))
		if e.spec.WaitReady && !l.ready { // the log-in, which is sent once on a connection
			e.reconnect(line, "the venue refused the log-in")
			break
		}
		if !e.refusedRequest(line, l, d, now) {
			l.badNames = false
			l.refused(now)
		}
	case ControlReply:
		e.actions = append(e.actions, EngineAction{Kind: ActionSend, Line: line, Frame: append([]byte(nil), d.Text...)})
	case ControlReconnect:
		e.actions = append(e.actions, EngineAction{Kind: ActionRelieve, Line: line, Reason: "the venue announced the end of the connection"})
	case ControlReady:
		e.ready(line, now)
	case ControlMaintenance:
		e.log.Warn("the venue pauses", "line", line, "text", string(d.Text))
		e.paused(line, now)
	case ControlNotice:
		e.log.Info("notice of the venue", "line", line, "text", string(d.Text))
	}
}

func (e *Engine) reconnect(line int, reason string) {
	l := e.line(line)
	if !l.up || l.leaving {
		return
	}
	l.leaving = true
	e.stats.Reconnects.Add(1)
	e.actions = append(e.actions, EngineAction{Kind: ActionReconnect, Line: line, Reason: reason})
}
