package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"time"

	"tickrelay/feeds"
	"tickrelay/ring"
	"tickrelay/ring/md"
)

// feedUnit is a feed and what its configuration says it serves. It never
// changes: a reload replaces it.
type feedUnit struct {
	*feeds.Feed
	cfg      feedConfig
	files    [sha256.Size]byte // of what its configuration names
	venue    md.Venue
	channels []md.Channel
	life     *feedLife // of Feed
}

// feedLife is the time from a feed's start to its end.
type feedLife struct {
	end  context.CancelFunc
	done chan struct{} // closed when Run has returned
}

// venueShare is what the feeds of one venue have in common.
type venueShare struct {
	epoch   int64
	budget  *feeds.Budget // of connection attempts
	numbers *ring.Numbers
}

// feeds are those of this moment. Any goroutine; the list does not change.
func (r *relayd) feeds() []*feedUnit {
	if list := r.units.Load(); list != nil {
		return *list
	}
	return nil
}

// unit is the feed of a name, nil if there is none.
func (r *relayd) unit(name string) *feedUnit {
	for _, f := range r.feeds() {
		if f.Name() == name {
			return f
		}
	}
	return nil
}

// newUnit makes a feed that does not run yet. It changes nothing else.
func (r *relayd) newUnit(c *feedConfig) (*feedUnit, error) {
	fc, err := r.feedConfig(c)
	if err != nil {
		return nil, fmt.Errorf("feed %s: %w", c.Name, err)
	}
	if r.tune != nil {
		r.tune(&fc)
	}
	f, err := feeds.New(fc)
	if err != nil {
		return nil, err
	}
	return &feedUnit{Feed: f, cfg: *c, files: c.digest(), venue: fc.Venue.Spec().Venue, channels: c.serves(),
		life: &feedLife{end: func() {}, done: make(chan struct{})}}, nil
}

// feedConfig translates what the file says of a feed.
func (r *relayd) feedConfig(c *feedConfig) (feeds.Config, error) {
	v, err := c.venue()
	if err != nil {
		return feeds.Config{}, err
	}
	ways, err := c.ways()
	if err != nil {
		return feeds.Config{}, err
	}
	share := r.shares[v.Spec().Venue]
	if share == nil {
		share = &venueShare{time.Now().UnixNano(), feeds.NewBudget(0, 0), &ring.Numbers{}}
		r.shares[v.Spec().Venue] = share
	}
	fc := feeds.Config{
		Name: c.Name, Venue: v, URL: c.URL, REST: c.REST, Instruments: c.Instruments, Channels: c.channels(), Signals: c.Signals,
		Lines: c.Lines, Ways: ways, Limits: feeds.Deadlines{Audit: c.auditEvery()}, CPU: -1, Busy: c.Poll == "busy",
		Table: r.table, Epoch: share.epoch, Numbers: share.numbers, Budget: share.budget, CacheDir: c.Cache, Log: r.log,
	}
	r.feedTransport(&fc, r.stacks)
	r.stacks++
	if c.CPU != nil {
		fc.CPU = *c.CPU
		if err := feeds.CheckCPU(fc.CPU); err != nil {
			return fc, fmt.Errorf("%w: name one that is online and that this process may use, or leave cpu out", err)
		}
	}
	if c.CA != "" {
		fc.TLS, err = c.authorities()
	}
	return fc, err
}

// channels are those of the file.
func (c *feedConfig) channels() []md.Channel {
	var out []md.Channel
	for _, name := range c.Channels {
		ch, _ := md.ParseChannel(name) // validated
		out = append(out, ch)
	}
	return out
}

// serves are the channels that readers may ask for.
func (c *feedConfig) serves() []md.Channel {
	out := c.channels()
	if c.Signals > 0 {
		out = append(out, md.ChannelSignals)
	}
	return out
}

// authorities are the system's and those of the file named.
func (c *feedConfig) authorities() (*tls.Config, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	pem, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca: %s holds no PEM certificate", c.CA)
	}
	return &tls.Config{RootCAs: pool}, nil
}

// digest sums up the files that the configuration names: a reload takes a feed
// up anew when they change.
func (c *feedConfig) digest() (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, name := range []string{c.CA, c.Credentials.KeyFile, c.Credentials.SecretFile, c.Credentials.PassphraseFile} {
		if name == "" {
			continue
		}
		text, err := os.ReadFile(name)
		fmt.Fprintf(h, "%q %x %v\n", name, sha256.Sum256(text), err != nil)
	}
	h.Sum(sum[:0])
	return sum
}

// addUnit takes a feed into the list.
func (r *relayd) addUnit(f *feedUnit) {
	list := append(slices.Clone(r.feeds()), f)
	r.units.Store(&list)
}

// startUnit runs a feed until the relay or the feed is to end.
func (r *relayd) startUnit(f *feedUnit) { r.runUnit(f, f.Run) }

// beginAgain is the pause before a feed that could not begin tries once more.
const beginAgain = time.Second

// reloadUnit runs a feed of a reload. One that cannot begin, for want of descriptors
// say, is told and tried again: it must not end what runs beside it.
func (r *relayd) reloadUnit(f *feedUnit) {
	r.runUnit(f, func(ctx context.Context) error {
		for told := ""; ; {
			err := f.Run(ctx)
			if err == nil || f.Begun() {
				return err
			}
			if err.Error() != told {
				told = err.Error()
				r.log.Error("feed cannot begin: it is tried again", "feed", f.Name(), "err", err)
			}
			select {
			case <-ctx.Done():
				f.GiveUp()
				return nil
			case <-time.After(beginAgain):
			}
		}
	})
}

func (r *relayd) runUnit(f *feedUnit, run func(context.Context) error) {
	ctx, end := context.WithCancel(r.running.ctx)
	f.life.end = end
	r.recordRaw(f)
	r.running.part("feed "+f.Name(), func(context.Context) error {
		defer close(f.life.done)
		defer end()
		return run(ctx)
	})
}

// feedReader is a part of this process that reads every feed, over a ring of
// its own in this process's memory.
type feedReader struct {
	name     string
	capacity int                  // of each ring, in records
	add      func(*ring.Consumer) // takes a ring, which is its own from then on
	rings    map[string]*ring.Segment
}

// addReader gives a reader the feeds that there are, and those that come later.
func (r *relayd) addReader(reader *feedReader) error {
	reader.rings = map[string]*ring.Segment{}
	r.readers = append(r.readers, reader)
	for _, f := range r.feeds() {
		if err := r.attachReader(reader, f); err != nil {
			return err
		}
	}
	return nil
}

// attachReader makes a feed publish everything to a reader, into the ring that
// another feed of this name has left, if one has.
func (r *relayd) attachReader(reader *feedReader, f *feedUnit) error {
	seg, made := reader.rings[f.Name()], false
	if seg == nil {
		m := r.meta(reader.name)
		m.Name, made = ringName(reader.name, f.Name()), true
		seg = ring.NewHeap(reader.capacity, m)
		reader.rings[f.Name()] = seg
		c, err := ring.OpenConsumer(seg)
		if err != nil {
			return err
		}
		defer reader.add(c)
	}
	_, err := f.Attach(seg, func(uint32, md.Channel) bool { return true })
	if err != nil && made {
		delete(reader.rings, f.Name())
	}
	return err
}

// dropRings ends the rings of a feed that is gone for good. Those of leases stay
// until the strategies give them back.
func (r *relayd) dropRings(feed string) {
	for _, reader := range r.readers {
		if seg := reader.rings[feed]; seg != nil {
			r.closeRing(seg)
			delete(reader.rings, feed)
		}
	}
	for _, d := range r.declared {
		if seg := d.rings[feed]; seg != nil {
			r.closeRing(seg)
			delete(d.rings, feed)
		}
	}
}

func (r *relayd) closeRing(seg *ring.Segment) {
	if err := seg.Close(); err != nil {
		r.log.Warn("ring not removed", "ring", seg.Name(), "err", err)
	}
}
