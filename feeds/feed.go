package feeds

import (
	"context"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// Feed is one venue's connections and the hot loop that drives them.
type Feed struct {
	cfg Config
}

// New checks cfg and prepares a feed; nothing is dialled before Run.
func New(cfg Config) (*Feed, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Feed{cfg: cfg}, nil
}

// Run drives the feed until ctx ends; it may be called once. It returns nil
// after a stop that ctx asked for.
func (f *Feed) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Attach makes the feed publish into seg the topics that want selects, from a
// fresh start of each. Any goroutine may call it, before Run too. detach ends
// it and returns once the feed no longer touches seg.
func (f *Feed) Attach(seg *ring.Segment, want func(instrument uint32, ch md.Channel) bool) (detach func(), err error) {
	return func() {}, nil
}

// Name returns the feed's name.
func (f *Feed) Name() string { return f.cfg.Name }

// Health returns a picture of the feed. Any goroutine may call it.
func (f *Feed) Health() Health { return Health{Name: f.cfg.Name, Venue: f.cfg.Venue.Spec().Name} }
