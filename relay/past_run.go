package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"time"

	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// pastMaker makes the messages of one replay. It has a hub of its own that never
// runs: the archive's events go through the very code that live ones go through,
// and what that stages for its one subscriber is sent.
type pastMaker struct {
	p     *pastRun
	req   request
	hub   *hub
	stage *shard // where the hub stages
	self  *conn  // the subscriber

	table   *md.Table
	entries map[pastKey]*pastInstrument

	joined  bool
	began   time.Time // when the first event was sent
	first   int64     // its time
	batch   []delivery
	bytes   int
	events  uint64
	refused bool
}

type pastKey struct {
	venue  md.Venue
	symbol string
}

type pastInstrument struct {
	md.Instrument
	skipping bool // a snapshot of the book that tells nothing new
}

// pastInstruments bounds the instruments of one replay.
const pastInstruments = 1 << 13

// pastBatch is how many frames go to the shard at once.
const pastBatch = 64

var (
	errPastRefused = errors.New("refused")
	errPastTable   = fmt.Errorf("more than %d instruments in one replay: ask for fewer topics", pastInstruments)
)

func newPastMaker(p *pastRun, req *request, limits Limits) *pastMaker {
	limits.HistoryRecords, limits.HistoryBytes, limits.CandleBytes = 0, 0, 0
	m := &pastMaker{p: p, req: *req, entries: map[pastKey]*pastInstrument{}}
	m.hub = newHub(&Config{Limits: limits, Log: slog.New(slog.DiscardHandler)}, &hubStats{})
	m.hub.past = true
	m.hub.mono = func() int64 { return m.hub.now }
	m.hub.clock = func() int64 { return p.query.from }
	m.stage = &shard{hub: m.hub, limits: limits}
	m.hub.shards = []*shard{m.stage}
	m.self = &conn{shard: m.stage, format: p.conn.format.plain(), grant: req.grant}
	m.req.conn, m.req.op, m.req.verb = m.self, requestSubscribe, "replaying"
	return m
}

// run sends the window and returns what says how it ended.
func (m *pastMaker) run(ctx context.Context, archive Archive, log *slog.Logger) *frame {
	q := &m.p.query
	err := m.open()
	if err == nil {
		err = archive.Scan(ctx, q.topics, archive.KeyFrame(q.from), q.to, func(e *PastEvent) error { return m.event(ctx, e) })
	}
	if err == nil && !m.joined {
		err = m.join(ctx)
	}
	if err == nil {
		m.hub.now = q.to - q.from + int64(MaxConflate)*int64(time.Millisecond)
		m.hub.sendPaced() // what waited for its turn
		err = m.push(ctx)
	}
	reason := "done"
	switch {
	case m.p.stopped.Load():
		reason = "stopped"
	case errors.Is(err, errPastRefused):
		reason = "refused"
	case ctx.Err() != nil:
		reason = "cancelled" // the rights have changed, the relay stops, or nobody is there any more
	case err != nil:
		reason = "failed"
		log.Warn("replay failed", "topics", q.topics, "from", q.from, "to", q.to, "err", err)
	}
	m.hand()
	return m.end(reason, err)
}

// end is the last message of a replay.
func (m *pastMaker) end(reason string, err error) *frame {
	out := append([]byte(`{"op":"replay_end"`), appendID(nil, m.p.id)...)
	out = append(out, `,"reason":"`+reason+`","events":"`...)
	out = strconv.AppendUint(out, m.events, 10)
	out = append(out, '"')
	switch {
	case reason == "failed" && errors.Is(err, errPastTable):
		out = append(out, `,"message":"`+err.Error()+`"`...)
	case reason == "failed":
		out = append(out, `,"message":"the recording cannot be read; the relay's log says why"`...)
	}
	return textFrame(append(out, '}'))
}

func (m *pastMaker) open() error {
	mem := md.AsBytes(make([]md.Record, md.TableSize(pastInstruments)/md.RecordSize+1))
	var err error
	if m.table, err = md.CreateTable(mem, pastInstruments, 1); err != nil {
		return err
	}
	m.hub.table = m.table.View()
	m.hub.shown.Store(m.hub.table)
	return nil
}

// event takes the archive's next event. What lies before the window only makes the
// state that the window begins with.
func (m *pastMaker) event(ctx context.Context, e *PastEvent) error {
	if len(e.Records) == 0 || !m.req.grant.Topic(e.Topic.String()) {
		return nil
	}
	if !m.joined && e.Time >= m.p.query.from {
		if err := m.join(ctx); err != nil {
			return err
		}
	}
	if m.joined {
		if err := m.pace(ctx, e.Time); err != nil {
			return err
		}
		m.events++
	}
	if err := m.apply(e); err != nil {
		return err
	}
	if m.joined {
		m.hub.sendPaced()
	}
	return m.push(ctx)
}

// join subscribes the client to what there is at the window's start.
func (m *pastMaker) join(ctx context.Context) error {
	m.joined = true
	m.hub.now = 1
	m.hub.turnLeft = turnReplay
	m.hub.subscribe(&m.req)
	if m.hub.clients[m.self].patterns.len() == 0 {
		m.refused = true
	}
	if err := m.push(ctx); err != nil {
		return err
	}
	if m.refused {
		return errPastRefused
	}
	return nil
}

// pace waits until an event's time has come.
func (m *pastMaker) pace(ctx context.Context, at int64) error {
	q := &m.p.query
	m.hub.now = 1 + max(0, at-q.from)
	if q.speed == 0 {
		return nil
	}
	if m.began.IsZero() { // nobody waits for a recording that begins after from
		m.began, m.first = time.Now(), at
	}
	wait := min(float64(at-m.first)/q.speed, float64(math.MaxInt64/2)) - float64(time.Since(m.began))
	if wait <= 0 {
		return nil
	}
	m.hand()
	t := time.NewTimer(time.Duration(wait))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// apply gives the event to the hub, under the numbers of instruments of this
// replay.
func (m *pastMaker) apply(e *PastEvent) error {
	in, err := m.instrument(e)
	if err != nil {
		return err
	}
	first := &e.Records[0]
	t := m.topic(in.ID, e.Topic.Channel)
	if t == nil || !t.live || t.epoch != e.Epoch {
		seq := first.Seq
		if first.Flags&md.FlagSnapshot == 0 && !first.Kind.Control() {
			seq = max(first.Seq, 1) - 1
			if first.Kind == md.KindGap {
				seq = max(first.ID, 1) - 1
			}
		}
		m.hub.epochs[e.Topic.Venue] = e.Epoch
		m.hub.consume([]md.Record{{Kind: md.KindHeartbeat, Flags: md.FlagFirst | md.FlagLast, Venue: e.Topic.Venue, Instrument: in.ID,
			Seq: seq, TsRecv: e.Time, ID: uint64(e.Epoch), Side: uint8(e.Topic.Channel)}})
		in.skipping = false
	} else if m.repeats(in, t, e) {
		return nil
	}
	recs := append([]md.Record(nil), e.Records...)
	for i := range recs {
		recs[i].Instrument = in.ID
	}
	m.hub.consume(recs)
	return nil
}

// repeats reports whether an event tells the state that the client has: recorders
// write it down again each hour.
func (m *pastMaker) repeats(in *pastInstrument, t *topic, e *PastEvent) bool {
	first := &e.Records[0]
	if first.Flags&md.FlagSnapshot == 0 || first.Kind.Control() {
		return false
	}
	if first.Kind == md.KindGap { // told once more to who begins there
		return t.seq >= first.Seq
	}
	if t.book == nil {
		return t.complete() && t.seq >= first.Seq
	}
	if first.Side == md.SideClear {
		in.skipping = t.book.State == book.Live && t.seq >= first.Seq && m.sameExponents(t, e)
	}
	return in.skipping
}

// sameExponents reports whether a snapshot is in the exponents of the book held.
func (m *pastMaker) sameExponents(t *topic, e *PastEvent) bool {
	for i := range e.Records {
		if r := &e.Records[i]; r.Side == md.SideBid || r.Side == md.SideAsk {
			return r.PriceExp == t.book.Book.PriceExp && r.SizeExp == t.book.Book.SizeExp
		}
	}
	return true
}

func (m *pastMaker) topic(instrument uint32, ch md.Channel) *topic {
	if int(instrument) >= len(m.hub.byKey) || m.hub.byKey[instrument] == nil {
		return nil
	}
	return m.hub.byKey[instrument][ch]
}

// instrument is the entry of an event's instrument in the replay's own table.
func (m *pastMaker) instrument(e *PastEvent) (*pastInstrument, error) {
	key := pastKey{e.Topic.Venue, e.Topic.Symbol}
	in := m.entries[key]
	if in == nil {
		entry := md.Instrument{}
		if e.Instrument != nil {
			entry = *e.Instrument
		}
		entry.Venue, entry.Symbol = key.venue, key.symbol
		id, err := m.table.Add(entry)
		if errors.Is(err, md.ErrTableFull) {
			return nil, errPastTable
		}
		if err != nil {
			return nil, err
		}
		entry.ID = id
		in = &pastInstrument{Instrument: entry}
		m.entries[key] = in
		return in, nil
	}
	if n := e.Instrument; n != nil && (n.PriceExp != in.PriceExp || n.SizeExp != in.SizeExp || n.Tick != in.Tick || n.Lot != in.Lot || n.Native != in.Native) {
		now, err := m.table.Update(in.ID, func(x *md.Instrument) { *x = *n })
		if err != nil {
			return nil, err
		}
		in.Instrument = now
		rec := now.Record()
		m.hub.consume([]md.Record{rec})
	}
	return in, nil
}

// push takes what the hub staged and hands it on; it waits while the client has
// enough to read.
func (m *pastMaker) push(ctx context.Context) error {
	for i := range m.stage.staged {
		d := &m.stage.staged[i]
		switch d.op {
		case deliverEvent:
			if f := d.frames[m.self.format]; f != nil {
				m.queue(&delivery{op: deliverPast, frame: f})
			}
		case deliverAnswer, deliverSubscribe:
			if d.frame != nil {
				m.queue(&delivery{op: deliverPast, frame: d.frame})
			}
		}
	}
	clear(m.stage.staged)
	m.stage.staged = m.stage.staged[:0]
	if len(m.batch) < pastBatch && m.bytes < maxPastBytes/4 && m.p.query.speed == 0 {
		return ctx.Err()
	}
	m.hand()
	for m.p.full() {
		select {
		case <-m.p.moved:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return ctx.Err()
}

func (m *pastMaker) queue(d *delivery) {
	d.conn, d.past = m.p.conn, m.p
	m.batch = append(m.batch, *d)
	m.bytes += len(d.frame.data)
}

// hand gives the batch to the connection's shard.
func (m *pastMaker) hand() {
	if len(m.batch) == 0 {
		return
	}
	m.p.onWay.Add(int64(m.bytes))
	m.p.frames.Add(int64(len(m.batch)))
	m.p.conn.shard.inbox.put(m.batch...)
	m.batch, m.bytes = m.batch[:0], 0
}

// deliverPast queues a frame of a replay. Shard only.
func (s *shard) deliverPast(d *delivery) {
	c := d.conn
	if !d.last {
		d.past.onWay.Add(-int64(len(d.frame.data)))
		d.past.frames.Add(-1)
	}
	c.push(d.frame, nil)
	d.past.sent(c)
	if d.last {
		c.replaying = false
		delete(s.pasts, c)
	}
}
