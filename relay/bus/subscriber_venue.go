package bus

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// inVenue is a venue that comes over the bus. The Subscriber's loop alone uses
// it, its stats excepted.
type inVenue struct {
	s        *Subscriber
	venue    md.Venue
	patterns []md.Pattern
	pub      *ring.Publisher
	paced    []*ring.Producer // rings that get the history, which waits for them
	later    []laterRing      // rings that get nothing before the history is in
	stats    VenueStats

	epoch   int64 // 0: nothing was heard yet
	heard   time.Time
	silent  bool // its topics were told to be stale
	hello   bool // a full listing is wanted
	listed  bool // one has come: all topics are known
	helloAt time.Time
	reason  md.GapReason // of numbers that are found missing now
	topics  map[md.Topic]*inTopic
	needs   int // topics that wait for a key-frame
	told    string
}

// notHeard is the epoch of rings before the first message. Every real one is
// higher.
const notHeard = 1

func newInVenue(s *Subscriber, v md.Venue) *inVenue {
	return &inVenue{s: s, venue: v, stats: VenueStats{Venue: v}, silent: true, hello: true, reason: md.GapOverrun,
		pub: ring.NewPublisher(ring.PublisherConfig{Venue: v, Epoch: notHeard}), topics: map[md.Topic]*inTopic{}}
}

// subjects are what the venue needs of the bus.
func (v *inVenue) subjects() []string {
	sub := v.s.sub
	out := []string{sub.instruments(v.venue), sub.heartbeats(v.venue)}
	for _, p := range v.patterns {
		out = append(out, sub.prefix+p.String(), sub.keyFrame(toAll, p.String()), sub.keyFrame(v.s.id, p.String()))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (v *inVenue) wants(t md.Topic) bool {
	for _, p := range v.patterns {
		if p.MatchTopic(t) {
			return true
		}
	}
	return false
}

// roomy reports whether the rings that get the history can take a message
// without a loss.
func (v *inVenue) roomy() bool {
	for _, p := range v.paced {
		if p.Room() < 4*maxBatch {
			return false
		}
	}
	return true
}

func (v *inVenue) reject(subject string, err error) {
	v.stats.Rejected.Add(1)
	if text := err.Error(); text != v.told {
		v.told = text
		v.s.log.Warn("message makes no sense and is dropped", "subject", subject, "reason", err)
	}
}

// hear judges a message's epoch: false is one to be dropped. A higher one ends
// all topics.
func (v *inVenue) hear(epoch int64) bool {
	now := time.Now()
	switch {
	case epoch < v.epoch || epoch <= 0:
		v.stats.Fenced.Add(1)
		return false
	case epoch > v.epoch:
		v.restart(epoch, now)
	}
	v.heard = now
	v.stats.LastNs.Store(now.UnixNano())
	if v.silent {
		v.silent = false
		v.stats.Up.Store(true)
		v.back(false)
		v.s.log.Info("venue is heard", "venue", v.venue.String(), "epoch", epoch)
	}
	return true
}

// restart begins another epoch: a leader has taken over.
func (v *inVenue) restart(epoch int64, now time.Time) {
	if v.epoch != 0 {
		v.stats.Epochs.Add(1)
		v.s.log.Info("another leader", "venue", v.venue.String(), "epoch", epoch, "before", v.epoch)
	}
	v.epoch = epoch
	v.stats.Epoch.Store(epoch)
	v.pub.Restart(epoch, now.UnixNano())
	for _, t := range v.topics {
		t.restart(now)
	}
	v.hello, v.helloAt = true, now.Add(epochAsk)
}

// back asks for the numbers of all topics: messages may have been missed.
func (v *inVenue) back(slow bool) {
	v.hello, v.helloAt = true, time.Time{}
	v.reason = md.GapDisconnect
	if slow {
		v.reason = md.GapOverrun
	}
}

// fallSilent tells that what is held may not be current any more.
func (v *inVenue) fallSilent(why string) {
	if v.silent {
		return
	}
	v.silent = true
	v.stats.Up.Store(false)
	v.hello, v.reason = true, md.GapDisconnect
	now := time.Now()
	for _, t := range v.topics {
		t.stale(now)
	}
	v.pub.Flush()
	v.s.log.Warn("venue is not heard any more", "venue", v.venue.String(), "topics", len(v.topics), "reason", why)
}

// timers notices silence and asks for what is missing.
func (v *inVenue) timers(now time.Time) {
	if !v.silent && now.Sub(v.heard) > silentAfter {
		v.fallSilent("no heartbeat")
	}
	if v.hello && !now.Before(v.helloAt) {
		v.helloAt = now.Add(askEvery)
		v.ask(request{From: v.s.id, Hello: true})
	}
	if v.needs == 0 {
		return
	}
	var names []string
	for _, t := range v.topics {
		if t.need && !now.Before(t.askAt) {
			t.askAt = now.Add(askEvery)
			names = append(names, t.short)
		}
	}
	slices.Sort(names)
	for part := range slices.Chunk(names, maxAsked) {
		v.ask(request{From: v.s.id, Topics: part})
	}
}

func (v *inVenue) ask(r request) {
	if v.s.nc.IsConnected() { // what waits for a connection would be asked again
		_ = v.s.nc.Publish(v.s.sub.resync(v.venue), encode(r))
	}
}

// heartbeat takes the numbers of topics: one that is ahead of ours lost its last
// messages on the way.
func (v *inVenue) heartbeat(m *nats.Msg) {
	var l listing
	if err := json.Unmarshal(m.Data, &l); err != nil {
		v.reject(m.Subject, err)
		return
	}
	if !v.hear(l.Epoch) {
		return
	}
	for short, seq := range l.Topics {
		topic, err := md.ParseTopic(v.venue.String() + "." + short)
		if err != nil || !v.wants(topic) {
			continue
		}
		t := v.topicOf(topic, seq)
		if t != nil && seq > t.seen {
			t.lose(seq, v.reason)
		}
	}
	if l.Full {
		v.hello, v.listed, v.reason = false, true, md.GapOverrun
	}
}

// instruments takes entries of the origin's table into ours.
func (v *inVenue) instruments(m *nats.Msg) {
	var e entries
	if err := json.Unmarshal(m.Data, &e); err != nil {
		v.reject(m.Subject, err)
		return
	}
	if !v.hear(e.Epoch) {
		return
	}
	for i := range e.Instruments {
		if err := v.instrument(&e.Instruments[i]); err != nil {
			v.reject(m.Subject, err)
		}
	}
}

func (v *inVenue) instrument(e *entry) error {
	table := v.s.cfg.Table
	id, known := table.Lookup(v.venue, e.Symbol)
	if !known {
		in := md.Instrument{Venue: v.venue, Symbol: e.Symbol}
		e.fill(&in)
		_, err := table.Add(in)
		return err
	}
	old, _ := table.Get(id)
	if entryOf(&old) == *e {
		return nil
	}
	in, err := table.Update(id, e.fill)
	if err != nil {
		return err
	}
	v.pub.InstrumentChanged(id, instrumentRecord(&in))
	return nil
}

// instrumentRecord is the control record of a changed entry.
func instrumentRecord(in *md.Instrument) md.Record {
	r := md.Record{Flags: md.FlagFirst | md.FlagLast, TsRecv: time.Now().UnixNano(), ID: in.Generation, Price: md.Absent, Size: md.Absent}
	if in.Tick.Mant > 0 {
		r.Price, r.PriceExp = in.Tick.Mant, in.Tick.Exp
	}
	if in.Lot.Mant > 0 {
		r.Size, r.SizeExp = in.Lot.Mant, in.Lot.Exp
	}
	return r
}
