package feeds

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"tickrelay/feeds/capture"
	"tickrelay/nettune"
	"tickrelay/ring"
)

// Pace of the loop.
const (
	tickEvery = 100 * time.Millisecond // of Engine.Tick, and of Publisher.Turn in a quiet market
	tickLeast = time.Millisecond       // between ticks that the engine wants earlier
	// dueEvery is the pace while a ring's reader makes the publisher wait for
	// space.
	dueEvery = time.Millisecond
	// maxSettle bounds the rounds in which the engine's actions lead to others.
	maxSettle = 16
	// goodbye is how long a stopping feed waits for the venues' close frames.
	goodbye = 200 * time.Millisecond
)

// loop is the state that belongs to the hot loop's goroutine; the few fields
// that others touch say so.
type loop struct {
	cfg  *Config
	spec *Spec
	tls  map[string]*tls.Config // by host
	log  *slog.Logger
	rng  *rand.Rand

	engine  *Engine
	pub     *ring.Publisher
	poller  nettune.Poller
	mail    *mailbox // any goroutine
	health  feedStats
	workers sync.WaitGroup

	ctx    context.Context // ends look-ups and REST requests
	cancel context.CancelFunc
	stop   atomic.Bool // any goroutine

	handOver atomic.Bool // any goroutine: the rings outlive the loop

	sessions  []*session
	rest      *restClient
	catalogue catalogue
	fetches   []fetch
	fetching  int

	wall, mono int64 // read at each turn and after each frame
	stepsFrom  bool  // they were read before: a jump between them is a step
	timerAt    int64 // mono ns at which timers has something to do
	tickAt     int64
	events     []nettune.Event
	actions    []EngineAction
	more       bool // the last Publisher.Turn left snapshot work
	started    bool // connections may be made
	stopping   bool
	circuit    circuit
	journal    *Journal // nil unless the feed is recorded
	taps       []*ring.FrameWriter
	tapped     ring.Frame
}

func newLoop(cfg *Config) (*loop, error) {
	l := &loop{cfg: cfg, spec: cfg.Venue.Spec(), mail: newMailbox(), tls: map[string]*tls.Config{}, rng: randomOf(cfg.Seed),
		log: cfg.Log.With("feed", cfg.Name, "venue", cfg.Venue.Spec().Name)}
	for i := range max(1, len(cfg.Ways)) {
		if _, err := parseEndpoint(cfg.way(i).URL); err != nil {
			return nil, err
		}
	}
	var err error
	l.readClock()
	l.pub = ring.NewPublisher(ring.PublisherConfig{Venue: l.spec.Venue, Epoch: cfg.Epoch, Numbers: cfg.Numbers, TookUp: l.noteNumber,
		Now: func() int64 { wall, _ := cfg.Clock(); return wall }})
	l.engine, err = NewEngine(EngineConfig{Venue: cfg.Venue, Table: cfg.Table, Pub: l.pub, Instruments: cfg.Instruments,
		Channels: cfg.Channels, REST: cfg.REST, Open: cfg.Open, Slots: cfg.slots(), RetryMost: cfg.Limits.BookRetry, Audit: cfg.Limits.Audit, Silence: cfg.Silence, Signals: cfg.Signals, Log: l.log, Added: l.noteInstrument})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// clientTLS fills in what a connection to host needs.
func clientTLS(base *tls.Config, host string) *tls.Config {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if base != nil {
		conf = base.Clone()
	}
	if conf.ServerName == "" {
		conf.ServerName = host
	}
	if conf.ClientSessionCache == nil { // a resumed session saves a round trip at each reconnect
		conf.ClientSessionCache = tls.NewLRUClientSessionCache(MaxLines)
	}
	return conf
}

// open acquires what run gives back.
func (l *loop) open(ctx context.Context) error {
	var err error
	if l.poller, err = l.cfg.Transport.NewPoller(nettune.PollerConfig{Busy: l.cfg.Busy}); err != nil {
		return err
	}
	l.mail.wake = l.poller.Wake
	l.ctx, l.cancel = context.WithCancel(ctx)
	if l.cfg.REST != "" {
		if l.rest, err = newRESTClient(l.ctx, l.cfg.REST, l.cfg); err != nil {
			l.cancel()
			return errors.Join(err, l.poller.Close())
		}
	}
	return nil
}

func (l *loop) run() error {
	unhook := context.AfterFunc(l.ctx, func() { l.stop.Store(true); l.poller.Wake() })
	defer unhook()
	l.readClock()
	l.tickAt = l.mono
	l.openCatalogue()
	if l.catalogue.startBy == 0 {
		l.startLines()
	}
	var err error
	for !l.stop.Load() && err == nil {
		err = l.turn()
	}
	return errors.Join(err, l.shutdown())
}

// startLines begins to connect. Further calls do nothing.
func (l *loop) startLines() {
	l.catalogue.startBy = 0
	if l.started || l.stopping {
		return
	}
	l.started = true
	l.note(capture.Start, nil)
	l.engine.Start()
	l.settle()
}

// turn is one round of the loop: what the network brought, what others want,
// what is due, what readers of the rings need.
func (l *loop) turn() error {
	var err error
	if l.events, err = l.poller.Poll(l.events[:0], l.wait()); err != nil {
		return err
	}
	l.readClock()
	for i := range l.events {
		if s, ok := l.events[i].Stream.Data().(*session); ok {
			s.event(&l.events[i])
			l.settle()
		}
	}
	for _, s := range l.sessions {
		if s.more {
			s.read()
			l.settle()
		}
	}
	l.mail.drain()
	if l.mono >= l.timerAt {
		l.timers()
	}
	l.sweep()
	l.serveRings()
	return nil
}

// wait is how long the poller may sleep.
func (l *loop) wait() time.Duration {
	if l.more {
		return 0
	}
	for _, s := range l.sessions {
		if s.more {
			return 0
		}
	}
	wait := time.Duration(max(0, l.timerAt-l.mono))
	if wait > dueEvery && l.pub.Due() {
		return dueEvery
	}
	return wait
}

// readClock reads both clocks, and tells the engine when the wall's was set.
func (l *loop) readClock() {
	ahead := l.wall - l.mono
	l.wall, l.mono = l.cfg.Clock()
	if d := l.wall - l.mono - ahead; (d > stepLeast || d < -stepLeast) && l.stepsFrom {
		l.log.Warn("the wall clock was set", "by", time.Duration(d))
		l.note(capture.Step, capture.StepNote{ByNs: d})
		l.engine.Stepped(d)
	}
	l.stepsFrom = true
}

// received is the receive time of a frame that says it is ahead of the clock: it came
// before the clock was set back, and nothing may wait until the clock is there again.
func (l *loop) received(rx int64) int64 {
	l.readClock()
	return min(rx, l.wall)
}

// rearm has timers called at the latest at mono ns.
func (l *loop) rearm(at int64) { l.timerAt = min(l.timerAt, at) }

// timers does what is due and finds out when it is wanted again.
func (l *loop) timers() {
	l.timerAt = never
	if l.mono >= l.tickAt {
		l.note(capture.Timer, nil)
		l.engine.Tick(l.wall)
		l.settle()
		due := min(int64(tickEvery), l.engine.NextTick()-l.wall)
		l.tickAt = l.mono + max(due, int64(tickLeast))
	}
	l.rearm(l.tickAt)
	for _, s := range l.sessions {
		next := s.timer()
		l.settle()
		l.rearm(next)
	}
	l.rearm(l.catalogueTimer())
	l.rearm(l.fetchTimer())
}

// frame hands one message to the engine and publishes what it made of it. Each
// message is flushed by itself: a flush costs some 80 ns more per message than
// one per burst (BenchmarkFlushEvery), while the first message of a burst would
// wait for the decoding of all others, from 150 ns each.
func (l *loop) frame(line int, payload []byte, rx int64) {
	_ = l.engine.Frame(line, payload, rx) // counted there; what must happen comes as an action
	l.settle()
	l.readClock()
	l.health.publish.record(l.mono, l.wall-rx)
	l.engine.recordFrame(rx, l.wall)
	if ts := l.engine.eventTime(); ts != 0 {
		l.health.receive.record(l.mono, rx-ts)
	}
	l.mail.drain()
}

// settle publishes what the engine staged and does what it wants, until it
// wants nothing more.
func (l *loop) settle() {
	for range maxSettle {
		l.pub.Flush()
		l.actions = l.engine.Actions(l.actions[:0])
		if len(l.actions) == 0 {
			return
		}
		for i := range l.actions {
			l.act(&l.actions[i])
		}
	}
}

func (l *loop) otherLive(than *session) bool {
	for _, s := range l.sessions {
		if s != than && s.state == LineLive {
			return true
		}
	}
	return false
}

// shutdown ends everything that open and the loop began.
func (l *loop) shutdown() error {
	l.stopping = true
	l.sayGoodbye()
	for _, s := range l.sessions {
		if s.state == LineIdle || s.state == LineBackoff {
			s.setState(LineIdle, 0)
			continue
		}
		s.fail(errStopped)
		l.settle()
	}
	l.cancel()
	close(l.mail.closed)
	ended := make(chan struct{})
	go func() { l.workers.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(l.cfg.Limits.Close):
		l.log.Warn("a name look-up or REST request did not end in time", "waited", l.cfg.Limits.Close)
	}
	if l.handOver.Load() {
		l.note(capture.GiveUp, nil)
		l.engine.giveUp(l.wall)
	}
	l.pub.Flush()
	l.endJournal()
	for _, r := range l.pub.Rings() {
		if l.handOver.Load() {
			l.pub.Release(r)
		} else { // readers drain it and then see that the producer is gone
			l.pub.Detach(r)
		}
	}
	return l.poller.Close()
}

// sayGoodbye sends close frames and waits a moment for the answers: closing a
// socket with unread bytes would make the kernel reset the connection and the
// venue lose our close frame.
func (l *loop) sayGoodbye() {
	waiting := 0
	for _, s := range l.sessions {
		if s.state == LineLive && s.conn.Close(1000, "") == nil {
			waiting++
		}
	}
	for until := l.mono + int64(goodbye); waiting > 0 && l.mono < until; l.readClock() {
		var err error
		l.events, err = l.poller.Poll(l.events[:0], time.Duration(until-l.mono))
		if err != nil {
			return
		}
		for i := range l.events {
			if s, ok := l.events[i].Stream.Data().(*session); ok && s.conn != nil && s.state == LineLive && s.discard() {
				waiting--
			}
		}
	}
}
