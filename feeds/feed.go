package feeds

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// ErrStopped is returned by Attach and Run of a feed whose Run has ended.
var ErrStopped = errors.New("feeds: feed has stopped")

// Feed is one venue's connections and the hot loop that drives them. Run is
// the loop; every other method is safe from any goroutine at any time.
type Feed struct {
	cfg  Config
	loop *loop

	mu    sync.Mutex // guards phase, and the publisher while no loop runs
	phase phase
}

type phase uint8

const (
	phaseNew phase = iota
	phaseRunning
	phaseEnded
)

// New checks cfg and prepares a feed; nothing is dialled and no goroutine runs
// before Run. Its error names every problem of cfg.
func New(cfg Config) (*Feed, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	f := &Feed{cfg: cfg}
	var err error
	if f.loop, err = newLoop(&f.cfg); err != nil {
		return nil, err
	}
	return f, nil
}

// Name returns the feed's name.
func (f *Feed) Name() string { return f.cfg.Name }

// Venue returns the venue that the feed listens to.
func (f *Feed) Venue() Venue { return f.cfg.Venue }

// Stats returns the counters of the feed's engine.
func (f *Feed) Stats() *Stats { return f.loop.engine.Stats() }

// Run drives the feed until ctx ends and returns nil then; connections are
// closed and all goroutines have ended. Any error is of the host (descriptors,
// the processor to pin to): whatever a venue does is dealt with inside. A feed
// runs once.
func (f *Feed) Run(ctx context.Context) error {
	release, err := lockThread(f.cfg.CPU)
	if err != nil {
		return err
	}
	defer release()
	if err := f.begin(ctx); err != nil {
		return err
	}
	err = f.loop.run()
	f.mu.Lock()
	f.loop.mail.drainAll()
	f.phase = phaseEnded
	close(f.loop.mail.ended)
	f.mu.Unlock()
	if err != nil {
		return fmt.Errorf("feeds: %s: %w", f.cfg.Name, err)
	}
	return nil
}

// Begun reports whether Run has begun. Until then an error of Run's leaves the feed as
// it was, and Run may be called again. Any goroutine.
func (f *Feed) Begun() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.phase != phaseNew
}

// GiveUp ends a feed whose Run has not begun: its segments wait for another feed, as
// after HandOver. Any goroutine.
func (f *Feed) GiveUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.phase != phaseNew {
		return
	}
	for _, p := range f.loop.pub.Rings() {
		f.loop.pub.Release(p)
	}
	f.phase = phaseEnded
}

func (f *Feed) begin(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.phase != phaseNew {
		return ErrStopped
	}
	if err := f.loop.open(ctx); err != nil {
		return fmt.Errorf("feeds: %s: %w", f.cfg.Name, err)
	}
	f.phase = phaseRunning
	return nil
}

// Attach makes the feed publish into seg the topics that want selects, nil for
// all, each from a fresh start; want is called in the hot loop, once per topic.
// At the end of Run every segment is detached. detach
// does it earlier and returns once the feed no longer touches seg; it may be
// called more than once.
func (f *Feed) Attach(seg *ring.Segment, want func(instrument uint32, ch md.Channel) bool) (detach func(), err error) {
	var p *ring.Producer
	ended := f.do(func() {
		p, err = f.loop.pub.Attach(seg, want)
	}, false)
	if ended {
		return nil, ErrStopped
	}
	if err != nil {
		return nil, fmt.Errorf("feeds: %s: attach %s: %w", f.cfg.Name, seg.Name(), err)
	}
	var once sync.Once
	return func() { once.Do(func() { f.do(func() { f.loop.pub.Detach(p) }, true) }) }, nil
}

// Refresh has the catalogue fetched now rather than at the end of its period,
// so that patterns follow new listings. It does nothing unless Run is active.
func (f *Feed) Refresh() {
	f.mu.Lock()
	running := f.phase == phaseRunning
	f.mu.Unlock()
	if running {
		f.loop.mail.post(f.loop.refreshCatalogue)
	}
}

// do runs command where the publisher may be touched: in the loop while it
// runs, else here. After the loop's end it runs it only if late, and reports
// the end.
func (f *Feed) do(command func(), late bool) (ended bool) {
	f.mu.Lock()
	if f.phase == phaseRunning {
		f.mu.Unlock()
		if f.loop.mail.call(command) {
			return false
		}
		f.mu.Lock() // the loop has ended meanwhile
	}
	defer f.mu.Unlock()
	ended = f.phase == phaseEnded
	if !ended || late {
		command()
	}
	return ended
}
