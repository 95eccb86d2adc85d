package relay

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// input is one ring. While armed is set its waiter sleeps on it and nobody else
// touches it; the hub polls it otherwise.
type input struct {
	c     *ring.Consumer // nil until a path is opened for the first time
	path  *ringPath      // nil if the ring cannot be opened again
	buf   []md.Record
	held  int // records in buf that begin an event of which the rest is to come
	armed atomic.Bool
	arm   chan struct{}
	// failed is why the waiter ended its wait; written before armed is cleared.
	failed error
	gone   bool // the producer ended, or never was there

	att     *attachment // that the ring belongs to; nil if it stands alone
	some    bool        // a record has come
	drained bool        // and then all had been read, once
}

// ringPath is where a ring in shared memory is found.
type ringPath struct {
	dir, name string
}

const (
	ringBatch = 4096 // records read from a ring at a time
	ringNap   = time.Second / 2
	// A ring that is gone is looked for again after reopenFirst, then after twice the
	// time, up to reopenMost.
	reopenFirst = 50 * time.Millisecond
	reopenMost  = time.Second
)

// addInput starts to read a ring, or to look for one.
func (h *hub) addInput(r *request, ctx context.Context, waiters func(func())) {
	in := &input{c: r.ring, path: r.path, buf: make([]md.Record, ringBatch), arm: make(chan struct{}, 1)}
	h.inputs = append(h.inputs, in)
	h.await(in, ctx, waiters)
	if in.c == nil {
		in.gone = true
		h.stats.ringsDown.Add(1)
		h.look(in, ctx, waiters)
		return
	}
	h.stats.rings.Add(1)
}

// await starts an input's waiter, which sleeps on the ring whenever it is armed.
func (h *hub) await(in *input, ctx context.Context, waiters func(func())) {
	waiters(func() {
		for range in.arm {
			for ctx.Err() == nil {
				ready, err := in.c.Wait(ring.WaitBlock, ringNap)
				if ready || err != nil {
					in.failed = err
					break
				}
			}
			in.armed.Store(false)
			h.ring()
		}
	})
}

// look opens a ring's path in a goroutine, as soon as there is a ring with a producer,
// and hands it to the hub.
func (h *hub) look(in *input, ctx context.Context, waiters func(func())) {
	table := h.table
	waiters(func() {
		wait, told := reopenFirst, ""
		for ctx.Err() == nil {
			c, view, err := in.path.open(table, h.reopen)
			if err == nil {
				h.inbox.put(request{op: requestOpened, ring: c, input: in, table: view})
				return
			}
			if told != err.Error() {
				told = err.Error()
				h.log.Warn("ring cannot be read yet", "ring", in.path.name, "reason", err)
			}
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
			wait = min(2*wait, reopenMost)
		}
	})
}

// open opens the ring and, if its instrument table is another one than table, that.
func (p *ringPath) open(table *md.TableView, reopen func() (*md.TableView, error)) (*ring.Consumer, *md.TableView, error) {
	c, err := ring.Open(p.dir, p.name)
	if err != nil {
		return nil, nil, err
	}
	id := c.TableID()
	if id == 0 || id == table.ID() {
		return c, table, nil
	}
	err = errors.New("relay: no way to open the table is configured")
	if reopen != nil {
		if table, err = reopen(); err == nil && table.ID() != id {
			err = fmt.Errorf("relay: the table found has id %d", table.ID())
		}
	}
	if err != nil {
		c.Close()
		return nil, nil, fmt.Errorf("relay: ring %s wants instrument table %d: %w", p.name, id, err)
	}
	return c, table, nil
}

// opened takes the ring that look has found. Another instrument table ends all topics
// of the one before: its numbers mean other instruments.
func (h *hub) opened(r *request) {
	in := r.input
	h.useTable(r.table)
	in.c, in.gone, in.held = r.ring, false, 0
	h.stats.rings.Add(1)
	h.stats.ringsDown.Add(-1)
	h.stats.ringsOpened.Add(1)
	h.log.Info("ring opened", "ring", in.c.Name(), "venue", in.c.Venue().String())
}

// useTable makes the table of rings just opened the gateway's, unless it is the one in use.
func (h *hub) useTable(table *md.TableView) (used bool) {
	id := table.ID()
	if id == h.table.ID() {
		return false
	}
	h.log.Info("instrument table replaced", "table", id)
	h.table = table
	h.shown.Store(table)
	h.retireAll()
	return true
}

// closeInputs ends the waiters and closes the rings; a waiter that still sleeps is
// woken first.
func (h *hub) closeInputs() {
	var attached []*attachment
	for _, in := range h.inputs {
		in.disarm()
		switch {
		case in.att != nil && in.att.rings != nil:
			attached = append(attached, in.att)
		case in.att == nil && in.c != nil:
			in.c.Close()
		}
	}
	for _, at := range attached {
		if at.rings != nil {
			at.busy.Lock()
			at.rings.Close()
			at.busy.Unlock()
			at.rings = nil
		}
	}
}

// closeWaiting closes rings that nobody has begun to read. Only when the hub does not
// run.
func (h *hub) closeWaiting() {
	for _, r := range append(h.deferred, h.inbox.take(nil)...) {
		if r.ring != nil {
			r.ring.Close()
		}
		if r.op == requestAttached {
			r.rings.Close()
		}
	}
}

// readRings takes what the rings hold, a bounded amount of each, and reports
// whether there was any.
func (h *hub) readRings(ctx context.Context, waiters func(func())) bool {
	busy := false
	var over *attachment // all rings of it have ended
	for _, in := range h.inputs {
		if in.gone || in.armed.Load() {
			continue
		}
		n, err := in.c.Poll(in.buf[in.held:])
		if n == 0 && err == nil {
			// A producer that was killed: Poll asks for its life only now and then.
			err = in.failed
		}
		in.failed = nil
		if err != nil {
			h.ringEnded(in, err)
			if in.att != nil && h.ringOf(in.att) {
				over = in.att
			}
			if in.path != nil {
				in.c.Close()
				h.stats.ringsDown.Add(1)
				h.look(in, ctx, waiters)
			}
			continue
		}
		if n == 0 {
			in.drained = in.drained || in.some
			in.armed.Store(true)
			in.arm <- struct{}{}
			continue
		}
		busy, in.some = true, true
		h.stats.records.Add(uint64(n))
		h.lastRec.Store(time.Now().UnixNano())
		h.source = in
		recs := in.buf[:in.held+n]
		used := h.consume(recs)
		in.held = copy(in.buf, recs[used:])
		if in.held == len(in.buf) {
			in.buf = append(in.buf, make([]md.Record, len(in.buf))...)
		}
	}
	if over != nil {
		h.detach(over, ctx, waiters)
	}
	h.warmUp()
	return busy
}

// ringEnded stops reading a ring whose producer is gone. Every topic of it gets a gap of
// no number: nobody knows what is being missed, and no state is right any more.
func (h *hub) ringEnded(in *input, err error) {
	in.gone, in.held = true, 0
	h.stats.rings.Add(-1)
	if errors.Is(err, ring.ErrProducerGone) {
		h.stats.ringsLost.Add(1)
	} else {
		h.stats.ringErrors.Add(1)
	}
	n := 0
	for _, t := range h.topics {
		if t.source == in && t.live && !t.down {
			h.topicDown(t)
			n++
		}
	}
	h.log.Warn("ring ended", "ring", in.c.Name(), "topics", n, "again", in.path != nil || in.att != nil, "reason", err)
}

// topicDown tells that a topic has no source for the time being.
func (h *hub) topicDown(t *topic) {
	t.down = true
	gap := md.Record{Kind: md.KindGap, Flags: md.FlagFirst | md.FlagLast, Venue: t.venue, Instrument: t.instrument,
		Seq: t.seq, TsRecv: h.wall(), ID: t.seq + 1, Side: uint8(t.channel), Level: uint8(md.GapDisconnect),
		Count: md.UnknownMissing}
	t.lost(&gap)
	for _, st := range t.streams {
		h.gap(st, &gap)
	}
	h.candleGap(t)
}

// topicUp is the first word of a topic whose source is back in the same epoch, at
// number seq.
func (h *hub) topicUp(t *topic, seq uint64) {
	t.down = false
	if seq <= t.seq {
		return
	}
	gap := md.Record{Kind: md.KindGap, Flags: md.FlagFirst | md.FlagLast, Venue: t.venue, Instrument: t.instrument,
		Seq: seq, TsRecv: h.wall(), ID: t.seq + 1, Side: uint8(t.channel), Level: uint8(md.GapDisconnect),
		Count: missing(t.seq+1, seq)}
	t.lost(&gap)
	for _, st := range t.streams {
		h.gap(st, &gap)
	}
	h.candleGap(t)
}

// retireAll ends every topic. Its subscribers wait for a topic of the same name, with
// what they were sent last, as if they had come back.
func (h *hub) retireAll() {
	for _, t := range h.topics {
		if t.live && !t.down {
			h.topicDown(t)
		}
		for c, k := range h.clients {
			st := k.streams.get(t)
			if st == nil {
				continue
			}
			if p, err := md.ParsePattern(t.name); err == nil {
				opt := st.opt
				opt.policy = k.policies[t]
				h.hold(c, k, patternKey{p, opt})
			}
			k.keepPoint(t.name, resumePoint{epoch: t.epoch, seq: t.seq})
			k.streams.delete(t)
			delete(k.policies, t)
			h.leave(c, st)
		}
		t.history.free()
	}
	none := &stream{} // stream ids are not used again
	for i := range h.streams {
		h.streams[i] = none
	}
	clear(h.byName)
	h.byKey, h.topics, h.paced = nil, nil, nil
	h.dropCandles()
	h.stats.topics.Store(0)
}
