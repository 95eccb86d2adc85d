package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"tickrelay/ring/md"
)

// Pace of a Subscriber.
const (
	incomingMost = 1 << 16                 // messages that wait for the loop
	turnEvery    = 20 * time.Millisecond   // of what is due, in a quiet market
	dueEvery     = time.Millisecond        // while a ring's reader makes snapshots wait
	batchMost    = 256                     // messages taken before the rings are served
	silentAfter  = 3500 * time.Millisecond // without a word a venue's values are stale
	offlineAfter = time.Second             // without a connection likewise
	askEvery     = time.Second             // between two requests for the same
	epochAsk     = 500 * time.Millisecond  // a new leader sends key-frames unasked
	rebuildAsk   = 3 * time.Second         // so does one whose book was broken
)

// SubscriberConfig says what a Subscriber takes from the bus.
type SubscriberConfig struct {
	Bus Config
	// Topics are what is taken; each names its venue: "binance.>", "okx.book.*".
	Topics []md.Pattern
	// Table gets the instruments; the records refer to it.
	Table *md.Table
}

// Subscriber takes venues' records from the bus and publishes them into rings,
// as a feed does, under the origin's epoch and numbers. Its methods may be
// called from any goroutine, Run once.
type Subscriber struct {
	cfg   SubscriberConfig
	sub   subjects
	log   *slog.Logger
	id    string
	nc    *nats.Conn
	in    chan *nats.Msg
	stats SubscriberStats

	venues  []*inVenue
	byVenue map[md.Venue]*inVenue

	filling bool // with history; the loop's
	warmed  bool // the history is in; the loop's
	mail    chan func()
	ended   chan struct{}
	warm    chan struct{} // closed once the history is in
	mu      sync.Mutex
	running bool // the loop owns what is not guarded otherwise; before, who holds mu does

	lost    atomic.Int64 // wall ns at which the connection was lost, 0: it stands
	again   atomic.Bool  // the connection is back, or messages were dropped
	slow    atomic.Bool
	scratch []md.Record
}

// NewSubscriber connects and makes a Subscriber; Run must follow. NATS need not
// be there yet.
func NewSubscriber(cfg SubscriberConfig) (*Subscriber, error) {
	cfg.Bus = cfg.Bus.WithDefaults()
	if err := join(cfg.Bus.Validate()); err != nil {
		return nil, err
	}
	s := &Subscriber{cfg: cfg, sub: newSubjects(cfg.Bus.Prefix), log: cfg.Bus.Log.With("part", "bus"), id: nuid.Next(),
		in: make(chan *nats.Msg, incomingMost), byVenue: map[md.Venue]*inVenue{},
		mail: make(chan func(), 64), ended: make(chan struct{}), warm: make(chan struct{})}
	for _, p := range cfg.Topics {
		v, err := PatternVenue(p)
		if err != nil {
			return nil, err
		}
		if s.byVenue[v] == nil {
			s.byVenue[v] = newInVenue(s, v)
			s.venues = append(s.venues, s.byVenue[v])
		}
		s.byVenue[v].patterns = append(s.byVenue[v].patterns, p)
	}
	if len(s.venues) == 0 {
		return nil, errors.New("bus: nothing to subscribe to")
	}
	var err error
	s.nc, err = cfg.Bus.connect("subscribe", events{up: s.connected, down: s.disconnected, slow: s.overrun})
	return s, err
}

// PatternVenue is the venue that a pattern names.
func PatternVenue(p md.Pattern) (md.Venue, error) {
	for v := md.Venue(1); v < 1<<10; v++ {
		if name := v.String() + "."; v.Known() && len(p.String()) > len(name) && p.String()[:len(name)] == name {
			return v, nil
		}
	}
	return 0, fmt.Errorf("bus: topic %q names no venue: want one such as binance.> or okx.book.*", p)
}

func (s *Subscriber) connected() {
	s.stats.Connected.Store(true)
	s.lost.Store(0)
	s.again.Store(true)
}

func (s *Subscriber) disconnected() {
	s.stats.Connected.Store(false)
	s.stats.Disconnects.Add(1)
	s.lost.Store(time.Now().UnixNano())
}

func (s *Subscriber) overrun() {
	s.stats.Slow.Add(1)
	s.slow.Store(true)
	s.again.Store(true)
}

// Stats are the connection's counters.
func (s *Subscriber) Stats() *SubscriberStats { return &s.stats }

// Venues are what is subscribed to, in the order of the configuration.
func (s *Subscriber) Venues() (out []*VenueStats) {
	for _, v := range s.venues {
		out = append(out, &v.stats)
	}
	return out
}

// Warm is closed when the history has been read, or there is none to be had:
// clients who resume are served from then on.
func (s *Subscriber) Warm() <-chan struct{} { return s.warm }

// Close ends a Subscriber that was never run.
func (s *Subscriber) Close() { s.nc.Close() }

// Run takes records until ctx ends. Rings are then detached: their readers
// drain them and find the producer gone.
func (s *Subscriber) Run(ctx context.Context) error {
	s.mu.Lock()
	s.running = true
	s.mu.Unlock()
	defer close(s.ended)
	defer s.nc.Close()
	defer func() {
		for _, v := range s.venues {
			for _, p := range v.pub.Rings() {
				v.pub.Detach(p)
			}
		}
	}()
	for _, v := range s.venues {
		for _, subject := range v.subjects() {
			if _, err := s.nc.ChanSubscribe(subject, s.in); err != nil {
				return fmt.Errorf("bus: subscribe to %s: %s", subject, explain(err))
			}
		}
	}
	history := make(chan *nats.Msg, batchMost)
	hctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go s.readHistory(hctx, history)
	s.fill(ctx, history)
	s.warmRings()
	close(s.warm)
	timer := time.NewTimer(turnEvery)
	defer timer.Stop()
	for ctx.Err() == nil {
		select {
		case m := <-s.in:
			s.take(m)
			for range batchMost {
				select {
				case m := <-s.in:
					s.take(m)
					continue
				default:
				}
				break
			}
		case f := <-s.mail:
			f()
		case <-timer.C:
		case <-ctx.Done():
		}
		wait := s.turn(time.Now())
		timer.Reset(wait)
	}
	return nil
}

// fill takes the history, as fast as readers of the rings take it. What is live
// waits meanwhile.
func (s *Subscriber) fill(ctx context.Context, history <-chan *nats.Msg) {
	s.filling = true
	defer func() { s.filling = false }()
	for {
		select {
		case m, ok := <-history:
			if !ok {
				return
			}
			s.makeRoom(ctx)
			s.take(m)
			s.turn(time.Now())
		case f := <-s.mail:
			f()
		case <-time.After(turnEvery):
			s.turn(time.Now())
		case <-ctx.Done():
			return
		}
	}
}

// makeRoom waits until the rings that get the history can take a message, a
// bounded time: a reader that stands still gets its gap.
func (s *Subscriber) makeRoom(ctx context.Context) {
	for range 200 {
		free := true
		for _, v := range s.venues {
			free = free && v.roomy()
		}
		if free || ctx.Err() != nil {
			return
		}
		s.turn(time.Now())
		pause(ctx, dueEvery)
	}
}

// take passes a message to its venue.
func (s *Subscriber) take(m *nats.Msg) {
	kind, t := s.sub.parse(m.Subject)
	v := s.byVenue[t.Venue]
	if v == nil {
		return
	}
	switch kind {
	case classTopic, classKeyFrame:
		if t.Channel == md.ChannelAll || !v.wants(t) {
			return
		}
		b, scratch, err := decodeBatch(m.Data, t, s.scratch)
		s.scratch = scratch
		if err != nil {
			v.reject(m.Subject, err)
			return
		}
		if kind == classTopic {
			v.records(t, &b)
		} else {
			v.keyFrame(t, &b)
		}
	case classInstruments:
		v.instruments(m)
	case classHeartbeats:
		v.heartbeat(m)
	}
}

// turn does what is due and returns when it wants to be called again.
func (s *Subscriber) turn(now time.Time) time.Duration {
	down := s.lost.Load()
	offline := down != 0 && now.UnixNano()-down > int64(offlineAfter)
	again := s.again.Swap(false)
	wait := turnEvery
	for _, v := range s.venues {
		if again {
			v.back(s.slow.Load())
		}
		if offline {
			v.fallSilent("no connection to NATS")
		}
		v.timers(now)
		if v.pub.Turn(now.UnixNano()) {
			wait = 0
		} else if v.pub.Due() {
			wait = min(wait, dueEvery)
		}
	}
	if again {
		s.slow.Store(false)
	}
	return wait
}
