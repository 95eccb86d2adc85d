package main

import (
	"context"
	"sync"
	"time"

	"tickrelay/relay"
	"tickrelay/relay/bus"
	"tickrelay/ring"
	"tickrelay/ring/md"
)

const (
	// busCapacity is the ring between a feed and the bus, in records: what NATS may
	// be behind before records are lost to it.
	busCapacity = 1 << 17
	// busWarmWithin is how long a gateway accepts nobody because the history is being
	// read.
	busWarmWithin = 20 * time.Second
)

// busd is this host's part of the bus. The zero value: none.
type busd struct {
	in    *bus.Subscriber // nil: nothing is subscribed to
	units []*busUnit      // its venues

	mu      sync.Mutex
	out     map[md.Venue]*bus.Publisher
	running *runState // nil until they run
	rings   []*ring.Segment
}

// publishers are those of this moment.
func (b *busd) publishers() (list []*bus.Publisher) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.out {
		list = append(list, p)
	}
	return list
}

func (b *busd) metrics() *bus.Metrics {
	return &bus.Metrics{Publishers: b.publishers, Subscriber: b.in}
}

// openBus makes this host's part of the bus, for the feeds that there are.
func (r *relayd) openBus() error {
	n := r.cfg.nats()
	if n == nil {
		return nil
	}
	cfg := n.bus(r.cfg.Relay, r.log, func(string, string) {}) // validated
	if len(n.Subscribe) > 0 {
		pats, err := parsePatterns(n.Subscribe)
		if err != nil {
			return err
		}
		if r.bus.in, err = bus.NewSubscriber(bus.SubscriberConfig{Bus: cfg, Topics: pats, Table: r.table}); err != nil {
			return err
		}
		r.bus.units = busUnits(r.bus.in, pats)
	}
	pats, err := parsePatterns(n.Publish)
	if err != nil {
		return err
	}
	r.bus.out = map[md.Venue]*bus.Publisher{}
	return r.addReader(&feedReader{name: "bus", capacity: busCapacity, add: func(c *ring.Consumer) { r.publishOn(cfg, pats, c) }})
}

// publishOn gives a feed's ring to the publisher of its venue.
func (r *relayd) publishOn(cfg bus.Config, pats []md.Pattern, c *ring.Consumer) {
	b := &r.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	v := c.Venue()
	if p := b.out[v]; p != nil && p.Add(c) {
		return
	}
	p, err := bus.NewPublisher(bus.PublisherConfig{Bus: cfg, Venue: v, Rings: ring.NewPoller(c), Table: r.view, Topics: pats})
	if err != nil {
		r.log.Error("venue is not published on the bus", "venue", v.String(), "err", err)
		c.Close()
		return
	}
	b.out[v] = p
	if b.running != nil {
		r.runPublisher(p, v)
	}
}

func (r *relayd) runPublisher(p *bus.Publisher, v md.Venue) {
	r.running.part("bus "+v.String(), func(ctx context.Context) error {
		later, stop := context.WithCancel(context.WithoutCancel(ctx))
		defer stop()
		context.AfterFunc(ctx, func() { // what the feeds publish up to their end goes out too
			defer stop()
			late := time.After(feedsWithin)
			for _, f := range r.feeds() {
				select {
				case <-f.life.done:
				case <-late:
					return
				}
			}
		})
		err := p.Run(later)
		r.bus.mu.Lock()
		defer r.bus.mu.Unlock()
		if r.bus.out[v] == p && ctx.Err() == nil {
			delete(r.bus.out, v) // its feeds are gone; others may come
		}
		return err
	})
}

// startBus runs this host's part of the bus.
func (r *relayd) startBus() {
	b := &r.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running = &r.running
	for v, p := range b.out {
		r.runPublisher(p, v)
	}
	if b.in == nil {
		return
	}
	r.running.part("bus", b.in.Run)
	if r.gw != nil {
		r.running.part("bus history", func(ctx context.Context) error {
			select {
			case <-b.in.Warm():
				r.warmUpBus(ctx)
			case <-time.After(busWarmWithin):
				r.log.Warn("clients are accepted before the history has come", "within", busWarmWithin)
			case <-ctx.Done():
				return nil
			}
			r.gw.Open()
			return nil
		})
	}
}

// warmUpBus waits until the gateway has read up what the history was.
func (r *relayd) warmUpBus(ctx context.Context) {
	for end := time.Now().Add(time.Second); ctx.Err() == nil && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		depth := 0
		for _, seg := range r.bus.rings {
			depth += seg.Info().Depth
		}
		if depth == 0 && r.gw.Warm() {
			return
		}
	}
}

// busGateway has the gateway read what comes over the bus.
func (r *relayd) busGateway() error {
	if r.bus.in == nil {
		return nil
	}
	for _, v := range r.bus.in.Venues() {
		m := r.meta("gateway")
		m.Name = ringName("gateway", busName(v.Venue))
		seg := ring.NewHeap(gatewayCapacity, m)
		r.bus.rings = append(r.bus.rings, seg)
		c, err := ring.OpenConsumer(seg)
		if err != nil {
			return err
		}
		if err := r.bus.in.AttachWithHistory(v.Venue, seg); err != nil {
			return err
		}
		r.gw.AddRing(c)
	}
	return nil
}

// busName stands for a venue that comes over the bus where a feed's name would.
func busName(v md.Venue) string { return "bus-" + v.String() }

// busStatus tells how the venues on the bus are, as feeds.
func (r *relayd) busStatus() (out []relay.FeedStatus) {
	if r.bus.in == nil {
		return nil
	}
	for _, v := range r.bus.in.Venues() {
		s := relay.FeedStatus{Name: busName(v.Venue), Venue: v.Venue.String(), State: "connecting", Frames: v.Messages.Load(),
			Records: v.Records.Load(), Gaps: v.Gaps.Load(), Rejected: v.Rejected.Load(), Resyncs: v.Resyncs.Load(), LastRecvNs: v.LastNs.Load()}
		if v.Up.Load() {
			s.State = "live"
		}
		out = append(out, s)
	}
	return out
}

// closeBus gives back what was opened and never run.
func (r *relayd) closeBus() {
	if r.bus.in != nil {
		r.bus.in.Close()
	}
	for _, seg := range r.bus.rings {
		if err := seg.Close(); err != nil {
			r.log.Warn("ring not removed", "ring", seg.Name(), "err", err)
		}
	}
}
