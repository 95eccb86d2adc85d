package relay

import (
	"context"
	"slices"
	"sync"
	"time"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// attachment is the rings that a relay in another process has given over its control
// socket, one per feed. They come and go together. The hub's goroutine uses it.
type attachment struct {
	socket   string
	capacity int // of each ring, in records
	rings    *ring.Poller
	ending   bool // one ring has ended
	// busy is held while more rings are asked for, in a goroutine of its own, and by the
	// hub while it gives them back.
	busy sync.Mutex
}

const (
	// endTogether is how long the rings of an attachment may outlast the first that
	// ended: they are read to their ends.
	endTogether = 2 * time.Second
	// keepTable is how long an instrument table stays mapped after it was replaced, for
	// HTTP requests that are reading it.
	keepTable = time.Minute
	// attachWithin bounds one try to attach.
	attachWithin = 10 * time.Second
	// moreWithin bounds one question for more rings.
	moreWithin = 2 * time.Second
)

// AddSocket makes the gateway read all feeds of the relay that listens on a control
// socket, through rings of so many records (0: the relay's default), as any strategy
// would. It attaches as soon as the relay is there, and again whenever it has gone and is
// back. Safe as AddRing.
func (g *Gateway) AddSocket(path string, capacity int) {
	g.hub.inbox.put(request{op: requestAttach, att: &attachment{socket: path, capacity: capacity}})
}

// Warm reports whether every ring is there and was read up once, so that clients who
// resume here are served from a history that reaches back to when the rings were opened.
func (g *Gateway) Warm() bool { return g.hubStats.warm.Load() }

// seek attaches in a goroutine and hands the rings to the hub.
func (h *hub) seek(at *attachment, ctx context.Context, waiters func(func())) {
	h.stats.ringsDown.Add(1)
	h.stats.warm.Store(false)
	at.rings, at.ending = nil, false
	waiters(func() {
		wait, told := reopenFirst, ""
		for ctx.Err() == nil {
			try, cancel := context.WithTimeout(ctx, attachWithin)
			p, err := ring.Attach(try, at.socket, ring.AttachRequest{Strategy: "gateway", Topics: []string{">"}, Capacity: at.capacity})
			cancel()
			if err == nil {
				h.inbox.put(request{op: requestAttached, att: at, rings: p})
				return
			}
			if ctx.Err() == nil && told != err.Error() {
				told = err.Error()
				h.log.Warn("relay not there yet", "socket", at.socket, "reason", err)
			}
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
			wait = min(2*wait, reopenMost)
		}
	})
}

// attached begins to read the rings that seek was given.
func (h *hub) attached(r *request, ctx context.Context, waiters func(func())) {
	at := r.att
	at.rings = r.rings
	if table, unmap := at.rings.TakeTable(); table != nil {
		old := unmap // of the same relay again: the view in use stays
		if h.useTable(table) {
			old, h.unmap = h.unmap, unmap
		}
		if old != nil {
			time.AfterFunc(keepTable, func() { _ = old() })
		}
	}
	h.stats.ringsDown.Add(-1)
	h.attachEach(at, at.rings.Consumers(), ctx, waiters)
}

// attachEach begins to read rings of an attachment.
func (h *hub) attachEach(at *attachment, list []*ring.Consumer, ctx context.Context, waiters func(func())) {
	for _, c := range list {
		in := &input{c: c, att: at, buf: make([]md.Record, ringBatch), arm: make(chan struct{}, 1)}
		h.inputs = append(h.inputs, in)
		h.await(in, ctx, waiters)
		h.stats.rings.Add(1)
		h.stats.ringsOpened.Add(1)
		h.log.Info("ring attached", "ring", c.Name(), "venue", c.Venue().String())
	}
}

// ringOf notes that a ring of an attachment has ended and reports whether it was the
// last.
func (h *hub) ringOf(at *attachment) (last bool) {
	if !at.ending {
		at.ending = true
		// A ring alone may end, when the relay gives it up: then the others follow.
		rings := at.rings // by then there may be new ones, which are to stay
		time.AfterFunc(endTogether, func() { h.inbox.put(request{op: requestDetach, att: at, rings: rings}) })
	}
	return !slices.ContainsFunc(h.inputs, func(in *input) bool { return in.att == at && !in.gone })
}

// detach gives the rings of an attachment back and looks for the relay again.
func (h *hub) detach(at *attachment, ctx context.Context, waiters func(func())) {
	h.inputs = slices.DeleteFunc(h.inputs, func(in *input) bool {
		if in.att != at {
			return false
		}
		in.disarm()
		if !in.gone {
			h.ringEnded(in, ring.ErrProducerGone)
		}
		return true
	})
	at.busy.Lock()
	at.rings.Close()
	at.busy.Unlock()
	h.seek(at, ctx, waiters)
}

// disarm ends an input's waiter, which may be asleep on the ring.
func (in *input) disarm() {
	close(in.arm)
	for in.armed.Load() {
		in.c.Interrupt()
		time.Sleep(time.Millisecond)
	}
}

// warmUp notes when all rings were read up for the first time.
func (h *hub) warmUp() {
	if h.stats.warm.Load() || len(h.inputs) == 0 || len(h.topics) == 0 || h.stats.ringsDown.Load() > 0 {
		return
	}
	for _, in := range h.inputs {
		if !in.drained {
			return
		}
	}
	h.stats.warm.Store(true)
}

// AskForMore asks the relays of AddSocket for rings of feeds that they have added since
// the gateway attached. Safe as AddRing.
func (g *Gateway) AskForMore() { g.hub.inbox.put(request{op: requestMore}) }

// more asks each relay that is attached, in a goroutine: rings that there are already are
// not touched by it.
func (h *hub) more(ctx context.Context, waiters func(func())) {
	seen := map[*attachment]bool{}
	for _, in := range h.inputs {
		at := in.att
		if at == nil || at.rings == nil || at.ending || seen[at] {
			continue
		}
		seen[at] = true
		p := at.rings
		waiters(func() {
			at.busy.Lock()
			defer at.busy.Unlock()
			had := p.Consumers()
			if len(had) == 0 {
				return // given back meanwhile
			}
			try, cancel := context.WithTimeout(ctx, moreWithin)
			defer cancel()
			if err := p.Subscribe(try, ">"); err != nil {
				if ctx.Err() == nil {
					h.log.Warn("relay gives no more rings", "socket", at.socket, "reason", err)
				}
				return
			}
			if list := p.Consumers()[len(had):]; len(list) > 0 {
				h.inbox.put(request{op: requestMore, att: at, rings: p, more: list})
			}
		})
	}
}

// moreAttached begins to read what more was given, unless the attachment has ended.
func (h *hub) moreAttached(r *request, ctx context.Context, waiters func(func())) {
	if r.att.rings == r.rings {
		h.attachEach(r.att, r.more, ctx, waiters)
	}
}
