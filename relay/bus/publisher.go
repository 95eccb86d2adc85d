package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// Pace of a Publisher.
const (
	listEvery     = time.Second      // heartbeats
	listFullEvery = 30 * time.Second // heartbeats that name every topic
	helloEvery    = 200 * time.Millisecond
	drainTurns    = 256  // bounds what is read after the end
	pollMost      = 4096 // records read from a ring at a time
	// keyFrameBudget is how many records of key-frames are sent before the rings
	// are looked at again.
	keyFrameBudget = 4096
)

// PublisherConfig says what a Publisher reads and where it sends it.
type PublisherConfig struct {
	Bus   Config
	Venue md.Venue
	// Rings are those of all feeds of the venue, on the heap or attached over a
	// control socket. Run closes them.
	Rings *ring.Poller
	// Table names the instruments of the records.
	Table *md.TableView
	// Topics select what is published; none: everything.
	Topics []md.Pattern
}

// Publisher publishes one venue's records. It reads rings like any consumer,
// keeps every topic's state, and is silent on the bus unless it holds the
// venue's lease; a follower is therefore ready at once.
type Publisher struct {
	cfg   PublisherConfig
	sub   subjects
	log   *slog.Logger
	lease *lease // nil: without
	fixed int64  // epoch without a lease
	data  *nats.Conn
	ctl   *nats.Conn
	back  chan struct{} // ctl is connected again
	stats PublisherStats

	mu    sync.Mutex
	asked []request // by other goroutines
	added []*ring.Consumer
	ended bool // the rings are closed, or the last one's feed is gone

	rings  []*ring.Consumer
	source *ring.Consumer // whose records are being taken
	byKey  [][]*outTopic  // by instrument, then channel
	topics []*outTopic
	byName map[string]*outTopic
	dirty  []*outTopic // with records in their batch

	leading int64 // epoch that is published, 0: none
	frames  frameQueue
	listAt  time.Time
	fullAt  time.Time
	helloAt time.Time // earliest answer to the next hello
	hello   bool
	keyAt   time.Time // of the next unasked key-frame
	keyNext int       // whose it is
	scratch []md.Record
	buf     []md.Record
}

// NewPublisher connects and makes a Publisher; Run must follow. NATS need not be
// there yet.
func NewPublisher(cfg PublisherConfig) (*Publisher, error) {
	cfg.Bus = cfg.Bus.WithDefaults()
	if err := join(cfg.Bus.Validate()); err != nil {
		return nil, err
	}
	p := &Publisher{cfg: cfg, sub: newSubjects(cfg.Bus.Prefix), log: cfg.Bus.Log.With("part", "bus", "venue", cfg.Venue.String()),
		byName: map[string]*outTopic{}, buf: make([]md.Record, pollMost), frames: newFrameQueue(), back: make(chan struct{}, 1)}
	p.stats.Venue, p.rings = cfg.Venue, cfg.Rings.Consumers()
	var err error
	if p.data, err = cfg.Bus.connect("publish "+cfg.Venue.String(), events{down: func() { p.stats.Disconnects.Add(1) }}); err != nil {
		return nil, err
	}
	// What leads must be heard even when the connection of the data is full.
	up := func() {
		select {
		case p.back <- struct{}{}:
		default:
		}
	}
	if p.ctl, err = cfg.Bus.connect("lease "+cfg.Venue.String(), events{up: up}); err != nil {
		p.data.Close()
		return nil, err
	}
	if cfg.Bus.NoLease {
		p.fixed = time.Now().UnixNano()
	} else {
		p.lease = newLease(&p.cfg.Bus, cfg.Venue, p.ctl, p.wake)
	}
	return p, nil
}

// wake ends the loop's sleep. Any goroutine, while Run runs.
func (p *Publisher) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.cfg.Rings.Interrupt()
	}
}

// close gives the rings back.
func (p *Publisher) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for _, c := range p.added {
		c.Close()
	}
	p.cfg.Rings.Close()
}

// Stats are the publisher's counters. Any goroutine.
func (p *Publisher) Stats() *PublisherStats { return &p.stats }

// Run publishes until ctx ends or the rings do, then gives the lease back.
func (p *Publisher) Run(ctx context.Context) error {
	// The lease holds until what the rings still have is sent.
	holds, giveBack := context.WithCancel(context.WithoutCancel(ctx))
	ctx, cancel := context.WithCancel(ctx)
	var helpers sync.WaitGroup
	defer p.close()
	defer p.data.Close()
	defer p.ctl.Close()
	defer helpers.Wait()
	defer giveBack()
	defer cancel()
	if p.lease != nil {
		helpers.Go(func() { p.lease.run(holds) })
	}
	if p.cfg.Bus.Stream.Name != "" {
		helpers.Go(func() { p.keepStream(ctx) })
	}
	sub, err := p.ctl.Subscribe(p.sub.resync(p.cfg.Venue), p.ask)
	if err != nil {
		return fmt.Errorf("bus: listen for gateways: %s", explain(err))
	}
	stop := context.AfterFunc(ctx, p.wake)
	defer func() {
		sub.Unsubscribe()
		stop()
	}()
	for ctx.Err() == nil {
		if err := p.turn(time.Now()); err != nil {
			if errors.Is(err, ring.ErrProducerGone) {
				p.log.Info("feeds have ended: nothing more to publish")
				return nil
			}
			return fmt.Errorf("bus: publish %s: %w", p.cfg.Venue, err)
		}
	}
	p.lead(time.Now())
	for range drainTurns {
		if n, err := p.read(); n == 0 || err != nil {
			break
		}
	}
	if p.data.IsConnected() {
		_ = p.data.FlushTimeout(time.Second)
	}
	return nil
}

// ask notes what a gateway wants.
func (p *Publisher) ask(m *nats.Msg) {
	var r request
	if err := json.Unmarshal(m.Data, &r); err != nil || r.From == "" || md.CheckToken(r.From) != nil || len(r.Topics) > maxAsked {
		p.stats.BadRequests.Add(1)
		return
	}
	p.stats.Requests.Add(1)
	p.mu.Lock()
	if len(p.asked) < maxWaiting {
		p.asked = append(p.asked, r)
	}
	p.mu.Unlock()
	p.wake()
}

// maxWaiting bounds the requests that wait for the loop; gateways ask again.
const maxWaiting = 1024

// turn is one round: who leads, what the rings hold, what gateways want, what
// is due.
func (p *Publisher) turn(now time.Time) error {
	p.lead(now)
	n, err := p.read()
	if err != nil {
		return err
	}
	p.answer(now)
	p.timers(now)
	more := p.leading != 0 && p.sendFrames(keyFrameBudget)
	if n > 0 || more {
		return nil
	}
	_, err = p.cfg.Rings.Wait(ring.WaitBlock, p.sleep(now))
	if errors.Is(err, ring.ErrProducerGone) {
		return nil // read finds which
	}
	return err
}

// read takes what the rings hold, a bounded amount of each, and sends it.
func (p *Publisher) read() (all int, err error) {
	for _, c := range p.rings {
		n, err := c.Poll(p.buf)
		if errors.Is(err, ring.ErrProducerGone) {
			if err := p.ringEnded(c); err != nil {
				return all, err
			}
			return all, nil // the list has changed
		}
		if err != nil {
			return all, err
		}
		p.source = c
		for i := range p.buf[:n] {
			p.take(&p.buf[i])
		}
		all += n
		p.flush()
	}
	return all, nil
}

// ringEnded gives a ring back whose feed is gone. What it carried is not current
// any more. The last one's end ends the Publisher.
func (p *Publisher) ringEnded(c *ring.Consumer) error {
	p.rings = slices.DeleteFunc(p.rings, func(r *ring.Consumer) bool { return r == c })
	p.mu.Lock()
	p.ended = len(p.rings)+len(p.added) == 0 // from now on Add takes none
	last := p.ended
	if !last {
		_ = p.cfg.Rings.Remove(c)
	}
	p.mu.Unlock()
	if last {
		return ring.ErrProducerGone
	}
	for _, t := range p.topics {
		if t.source != c {
			continue
		}
		t.open, t.late = false, false
		if t.stateful() {
			t.lost(&md.Record{Kind: md.KindGap, Venue: p.cfg.Venue, Seq: t.seq, ID: t.seq, TsRecv: time.Now().UnixNano(),
				Flags: md.FlagSnapshot, Side: uint8(t.topic.Channel), Level: uint8(md.GapDisconnect), Count: md.UnknownMissing})
			p.frames.push(frame{t, toAll})
		}
	}
	return nil
}

// Add gives the Publisher the ring of one more feed of the venue, which is its
// own from then on. It returns false, and the ring stays the caller's, when the
// Publisher is ending: another one has to be made. Any goroutine.
func (p *Publisher) Add(c *ring.Consumer) bool {
	p.mu.Lock()
	ended := p.ended
	if !ended {
		p.added = append(p.added, c)
	}
	p.mu.Unlock()
	p.wake()
	return !ended
}

// sleep is the time until something is due.
func (p *Publisher) sleep(now time.Time) time.Duration {
	if p.leading == 0 {
		return listEvery
	}
	wait := p.listAt.Sub(now)
	if p.hello {
		wait = min(wait, p.helloAt.Sub(now))
	}
	if len(p.topics) > 0 {
		wait = min(wait, p.keyAt.Sub(now))
	}
	return max(wait, time.Millisecond)
}

// lead finds out whether we lead, and begins or ends to publish.
func (p *Publisher) lead(now time.Time) {
	epoch, ok := p.fixed, p.fixed != 0
	if p.lease != nil {
		epoch, ok = p.lease.epoch(now)
	}
	if !ok {
		epoch = 0
	}
	if epoch == p.leading {
		return
	}
	p.leading = epoch
	p.stats.Epoch.Store(epoch)
	for _, t := range p.dirty {
		t.reset()
	}
	p.dirty = p.dirty[:0]
	p.frames.clear()
	if epoch == 0 {
		p.log.Warn("silent: the lease does not hold")
		return
	}
	p.listAt, p.keyAt = now, now.Add(p.cfg.Bus.KeyFrame)
	p.helloAt, p.hello = now, true
	for _, t := range p.topics {
		t.late = t.open
		p.frames.push(frame{t, toAll})
	}
}

// answer serves what gateways asked for.
func (p *Publisher) answer(now time.Time) {
	p.mu.Lock()
	asked := p.asked
	p.asked = nil
	for _, c := range p.added {
		p.cfg.Rings.Add(c)
		p.rings = append(p.rings, c)
	}
	p.added = nil
	p.mu.Unlock()
	if p.leading == 0 {
		return
	}
	for _, r := range asked {
		p.hello = p.hello || r.Hello
		for _, name := range r.Topics {
			if t := p.byName[name]; t != nil {
				p.frames.push(frame{t, r.From})
			}
		}
	}
	if p.hello && !now.Before(p.helloAt) {
		p.hello = false
		p.helloAt = now.Add(helloEvery)
		p.tellInstruments(nil)
		p.list(now, true)
	}
}

// timers sends heartbeats and key-frames that nobody asked for.
func (p *Publisher) timers(now time.Time) {
	if p.leading == 0 {
		return
	}
	if !now.Before(p.listAt) {
		full := !now.Before(p.fullAt)
		p.list(now, full)
		if full {
			p.tellInstruments(nil)
		}
	}
	if n := len(p.topics); n > 0 && !now.Before(p.keyAt) {
		t := p.topics[p.keyNext%n]
		p.keyNext++
		p.keyAt = now.Add(p.cfg.Bus.KeyFrame / time.Duration(n))
		if t.stateful() {
			p.frames.push(frame{t, toAll})
		}
	}
}

// maxListed keeps a heartbeat within a message's size.
const maxListed = 4096

// list publishes the epoch and numbers of topics, those that moved lately or all.
func (p *Publisher) list(now time.Time, full bool) {
	l := listing{Epoch: p.leading, Topics: map[string]uint64{}}
	for _, t := range p.topics {
		if full || now.Sub(t.moved) < 3*listEvery {
			l.Topics[t.short] = t.seq
		}
		if len(l.Topics) == maxListed {
			p.send(p.sub.heartbeats(p.cfg.Venue), encode(l), 0)
			clear(l.Topics)
		}
	}
	l.Full = full
	p.listAt = now.Add(listEvery)
	if full {
		p.fullAt = now.Add(listFullEvery)
	}
	p.send(p.sub.heartbeats(p.cfg.Venue), encode(l), 0)
}

// tellInstruments publishes the entries of one instrument, or of all that have
// topics.
func (p *Publisher) tellInstruments(only *uint32) {
	e := entries{Epoch: p.leading}
	add := func(id uint32) {
		if in, ok := p.cfg.Table.Get(id); ok {
			e.Instruments = append(e.Instruments, entryOf(&in))
		}
	}
	if only != nil {
		add(*only)
	} else {
		for id, row := range p.byKey {
			if row != nil {
				add(uint32(id))
			}
		}
	}
	for len(e.Instruments) > 0 { // within a message's size
		part := e
		n := min(len(part.Instruments), 512)
		part.Instruments = part.Instruments[:n]
		e.Instruments = e.Instruments[n:]
		p.send(p.sub.instruments(p.cfg.Venue), encode(part), 0)
	}
}

// send publishes one message. One that the client cannot hold is lost, which
// its numbers tell to gateways.
func (p *Publisher) send(subject string, data []byte, records int) {
	if err := p.data.Publish(subject, data); err != nil {
		p.stats.Dropped.Add(uint64(records))
		p.stats.Failed.Add(1)
		if text := explain(err); p.stats.trouble(text) {
			p.log.Warn("messages are lost on their way to NATS", "reason", text)
		}
		return
	}
	p.stats.Messages.Add(1)
	p.stats.Records.Add(uint64(records))
	p.stats.Bytes.Add(uint64(len(data)))
}
