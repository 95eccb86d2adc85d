package main

import (
	"errors"
	"fmt"
	"os/user"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

func groupID(name string) (int, error) {
	if id, err := strconv.Atoi(name); err == nil {
		return id, nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, fmt.Errorf("group %q: %w", name, err)
	}
	return strconv.Atoi(g.Gid)
}

func userID(name string) (int, error) {
	if id, err := strconv.Atoi(name); err == nil {
		return id, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, fmt.Errorf("user %q: %w", name, err)
	}
	return strconv.Atoi(u.Uid)
}

// admits takes up who may speak to the control socket.
func (r *relayd) admits() (err error) {
	if r.cfg.Group != "" {
		if r.group, err = groupID(r.cfg.Group); err != nil {
			return err
		}
	}
	return r.allowed(&r.cfg.Allow)
}

// allowed resolves the configuration's allow list.
func (r *relayd) allowed(c *allowConfig) error {
	for _, name := range c.Users {
		id, err := userID(name)
		if err != nil {
			return fmt.Errorf("allow: %w", err)
		}
		r.allowUIDs = append(r.allowUIDs, id)
	}
	for _, name := range c.Groups {
		id, err := groupID(name)
		if err != nil {
			return fmt.Errorf("allow: %w", err)
		}
		r.allowGIDs = append(r.allowGIDs, id)
	}
	return nil
}

func parsePatterns(topics []string) ([]md.Pattern, error) {
	var out []md.Pattern
	for _, t := range topics {
		p, err := md.ParsePattern(t)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// wants turns patterns into the question that a source asks of each of its topics.
func (r *relayd) wants(v md.Venue, pats []md.Pattern) func(uint32, md.Channel) bool {
	return func(instrument uint32, ch md.Channel) bool {
		in, ok := r.view.Get(instrument)
		if !ok {
			return false
		}
		topic := md.Topic{Venue: v, Channel: ch, Symbol: in.Symbol}.String()
		for _, p := range pats {
			if p.Match(topic) {
				return true
			}
		}
		return false
	}
}

func prefixMatches(pattern, venue, channel string) bool {
	tokens := strings.Split(pattern, ".")
	for i, want := range []string{venue, channel} {
		if i >= len(tokens) {
			return false
		}
		if tokens[i] == ">" {
			return true
		}
		if tokens[i] != "*" && tokens[i] != want {
			return false
		}
	}
	return true
}

// attachment is a strategy's rings: one for each source that serves its topics.
type attachment struct {
	r     *relayd
	req   ring.AttachRequest
	n     int // for the rings' names
	parts []attachedRing
}

type attachedRing struct {
	source string // its name: a feed may be taken up anew
	venue  md.Venue
	seg    *ring.Segment
	detach func() // may be called more than once
}

// of reports whether the ring is filled by src, or was by one that src follows.
func (p *attachedRing) of(src ringSource) bool {
	return p.source == src.Name() && p.venue == src.of()
}

// attach serves a strategy that asks for rings at run time.
func (r *relayd) attach(req ring.AttachRequest) (*ring.Grant, error) {
	if req.Capacity == 0 {
		req.Capacity = defaultRingCapacity
	}
	r.mu.Lock()
	r.attached++
	a := &attachment{r: r, req: req, n: r.attached}
	a.req.Topics = nil // none is granted yet
	r.leases[a] = struct{}{}
	r.mu.Unlock()
	segs, err := a.change(req.Topics)
	if err != nil {
		a.end()
		return nil, err
	}
	return &ring.Grant{Segments: segs, Change: a.change, End: a.end}, nil
}

// change makes topics the patterns of all rings, and adds rings for sources that
// serve some of them for the first time.
func (a *attachment) change(topics []string) (added []*ring.Segment, err error) {
	a.r.mu.Lock()
	defer a.r.mu.Unlock()
	pats, err := parsePatterns(topics)
	if err != nil {
		return nil, err
	}
	for _, t := range topics {
		if slices.Contains(a.req.Topics, t) {
			continue // a reload may have ended it
		}
		if err := a.r.known(t); err != nil {
			return nil, err
		}
	}
	had := len(a.parts)
	for _, src := range a.r.sources(a.r.feeds()) {
		if a.has(src) || !src.mayServe(topics) {
			continue
		}
		if err := a.add(src, pats); err != nil {
			a.drop(had)
			return nil, err
		}
	}
	for _, p := range a.parts[:had] {
		src := a.r.source(p.source)
		if src == nil || !p.of(src) {
			continue // a reload has taken it out
		}
		if err := src.Select(p.seg, a.r.wants(src.of(), pats)); err != nil {
			a.drop(had)
			return nil, err
		}
	}
	a.req.Topics = topics
	for _, p := range a.parts[had:] {
		added = append(added, p.seg)
	}
	return added, nil
}

// tellMemory logs what a ring wanted of memory and did not get.
func (r *relayd) tellMemory(seg *ring.Segment) {
	for _, d := range seg.Memory().Degraded {
		r.log.Warn("ring in other memory than asked for", "ring", seg.Name(), "missing", d)
	}
}

func (a *attachment) has(src ringSource) bool {
	return slices.ContainsFunc(a.parts, func(p attachedRing) bool { return p.of(src) })
}

func (a *attachment) add(src ringSource, pats []md.Pattern) error {
	name := ringName(a.req.Strategy, src.Name()) + "-" + strconv.Itoa(a.n)
	if slices.ContainsFunc(a.parts, func(p attachedRing) bool { return p.source == src.Name() }) {
		name += "-" + src.of().String() // a reload gave the feed's name to another venue
	}
	m := a.r.meta(a.req.Strategy)
	m.Memory.Huge = a.r.cfg.Memory.Huge // such a ring has no path
	seg, err := a.r.dir.CreateRing(name, a.req.Capacity, m)
	if err != nil {
		return err
	}
	a.r.tellMemory(seg)
	detach, err := src.Attach(seg, a.r.wants(src.of(), pats))
	if err != nil {
		return errors.Join(err, seg.Close())
	}
	a.parts = append(a.parts, attachedRing{src.Name(), src.of(), seg, detach})
	return nil
}

// drop gives back all rings but the first n.
func (a *attachment) drop(n int) {
	for _, p := range a.parts[n:] {
		p.detach()
		if err := p.seg.Close(); err != nil {
			a.r.log.Warn("ring not removed", "ring", p.seg.Name(), "err", err)
		}
	}
	a.parts = a.parts[:n]
}

func (a *attachment) end() {
	a.r.mu.Lock()
	defer a.r.mu.Unlock()
	a.drop(0)
	delete(a.r.leases, a)
}

// resume has a feed that was taken up anew publish into the ring that it had. A feed
// that is new gets a ring when the strategy asks for more.
func (a *attachment) resume(f *feedUnit) {
	pats, err := parsePatterns(a.req.Topics)
	if err != nil {
		return // they were parsed before
	}
	for i := range a.parts {
		p := &a.parts[i]
		if !p.of(f) {
			continue
		}
		p.detach() // an orphan goes home
		if p.detach, err = f.Attach(p.seg, a.r.wants(f.venue, pats)); err != nil {
			p.detach = func() {}
			a.r.log.Warn("ring not taken up again", "ring", p.seg.Name(), "err", err)
		}
	}
}

// orphaned has the rings of a feed that is gone for good go on without it, so that
// their readers hear of every topic's end: none is silent as in a quiet market.
func (a *attachment) orphaned(f *feedUnit) {
	for i := range a.parts {
		p := &a.parts[i]
		if !p.of(f) {
			continue
		}
		share := a.r.shares[f.venue]
		pub := ring.NewPublisher(ring.PublisherConfig{Venue: f.venue, Epoch: share.epoch, Numbers: share.numbers})
		prod, err := pub.Adopt(p.seg)
		if err != nil {
			a.r.log.Warn("ring of a feed that is gone not looked after", "ring", p.seg.Name(), "err", err)
			continue
		}
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for turn := time.NewTicker(50 * time.Millisecond); ; {
				pub.Turn(time.Now().UnixNano())
				select {
				case <-stop:
					turn.Stop()
					pub.Release(prod)
					return
				case <-turn.C:
				}
			}
		}()
		p.detach = sync.OnceFunc(func() { close(stop); <-done })
	}
}

// known refuses a topic that nothing here can ever serve, with the nearest ones.
func (r *relayd) known(topic string) error {
	for _, src := range r.sources(r.feeds()) {
		if src.mayServe([]string{topic}) {
			if strings.ContainsAny(topic, "*>") {
				return nil
			}
			if t, err := md.ParseTopic(topic); err == nil && src.knows(t, r.view) {
				return nil
			}
		}
	}
	return &ring.TopicError{Topic: topic, Nearest: r.nearest(topic)}
}

// nearest are the three topics that exist which are most similar.
func (r *relayd) nearest(topic string) []string {
	var near []string
	for _, src := range r.sources(r.feeds()) {
		near = append(near, src.topics(r.view)...)
	}
	sort.Slice(near, func(i, j int) bool {
		a, b := editDistance(topic, near[i]), editDistance(topic, near[j])
		return a < b || a == b && near[i] < near[j]
	})
	return near[:min(3, len(near))]
}
