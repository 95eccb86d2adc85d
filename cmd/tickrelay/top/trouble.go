package top

import (
	"fmt"
	"slices"
	"time"

	"tickrelay/relay"
)

// Trouble is something that a person on call should look at. Severe: data is missing,
// wrong or late now; else it was lately, or will be.
type Trouble struct {
	Severe bool   `json:"severe"`
	What   string `json:"what"`
}

const (
	// silentAfter is how long a live feed may bring nothing.
	silentAfter = 15 * time.Second
	// slowBehind is the part of a ring that may wait for its strategy.
	slowBehind = 0.5
)

// Troubles are those of the last minute, the severe ones first.
func (h *History) Troubles() []Trouble {
	now := h.Last()
	if now == nil {
		return nil
	}
	was := h.before(span)
	var t troubles
	if len(now.Feeds) == 0 {
		t.add(true, "no feed is configured, or the process with the feeds is not there")
	}
	for i := range now.Feeds {
		f := &now.Feeds[i]
		t.feed(f, feedOf(was, f.Name), now.NowNs)
	}
	for i := range now.Rings {
		r := &now.Rings[i]
		t.ring(r, ringOf(was, r.Name))
	}
	if g := now.Gateway; g != nil {
		before := was.Gateway
		if before == nil {
			before = &relay.GatewayStatus{}
		}
		t.gateway(g, before, was != now)
	}
	slices.SortStableFunc(t, func(a, b Trouble) int {
		switch {
		case a.Severe == b.Severe:
			return 0
		case a.Severe:
			return -1
		}
		return 1
	})
	return t
}

type troubles []Trouble

func (t *troubles) add(severe bool, format string, args ...any) {
	*t = append(*t, Trouble{severe, fmt.Sprintf(format, args...)})
}

func (t *troubles) feed(f, was *relay.FeedStatus, now int64) {
	if f.State != "live" {
		t.add(true, "feed %s is %s", f.Name, f.State)
	}
	if f.BrokenBooks > 0 {
		t.add(true, "feed %s: %d %s broken", f.Name, f.BrokenBooks, plural(f.BrokenBooks, "book is", "books are"))
	}
	for i := range f.Lines {
		l := &f.Lines[i]
		if l.State == "live" {
			continue
		}
		text := fmt.Sprintf("feed %s: line %d is %s for %s", f.Name, l.Line, l.State, age(now-l.SinceNs))
		if l.Error != "" {
			text += ": " + l.Error
		}
		t.add(f.State != "live", "%s", text)
	}
	if silent := now - f.LastRecvNs; f.State == "live" && f.LastRecvNs > 0 && silent > int64(silentAfter) {
		t.add(true, "feed %s: nothing received for %s", f.Name, age(silent))
	}
	if was == nil {
		return
	}
	for _, c := range []struct {
		n    uint64
		what string
	}{{since(f.Gaps, was.Gaps), "gaps"}, {since(f.Rejected, was.Rejected), "frames rejected"}, {since(f.Resyncs, was.Resyncs), "books resynchronised"}} {
		if c.n > 0 {
			t.add(false, "feed %s: %d %s in the last minute", f.Name, c.n, c.what)
		}
	}
}

func (t *troubles) ring(r, was *relay.RingStatus) {
	switch {
	case r.State != "open":
		t.add(true, "ring %s is %s", r.Name, r.State)
	case r.Alive && float64(r.Depth) > slowBehind*float64(r.Capacity):
		t.add(true, "ring %s: %d of %d records wait for %s, the oldest for %s", r.Name, r.Depth, r.Capacity, r.Strategy, age(r.LagNs))
	}
	if was != nil && since(r.Lost, was.Lost) > 0 {
		t.add(r.Alive, "ring %s lost %d records in the last minute: %s is too slow", r.Name, since(r.Lost, was.Lost), r.Strategy)
	}
}

func (t *troubles) gateway(g, was *relay.GatewayStatus, earlier bool) {
	if g.RingsDown > 0 {
		t.add(true, "gateway: %d %s not there", g.RingsDown, plural(int(g.RingsDown), "ring is", "rings are"))
	}
	for _, c := range g.Clients {
		if c.SlowNs > 0 {
			t.add(false, "client %s is slow for %s: %d messages, %s wait", named(&c), age(c.SlowNs), c.QueueMessages, bytesText(float64(c.QueueBytes)))
		}
	}
	if !earlier {
		return
	}
	if n := since(g.ClosedSlow, was.ClosedSlow); n > 0 {
		t.add(false, "gateway: %d slow %s closed in the last minute", n, plural(int(n), "client was", "clients were"))
	}
	if n := since(g.Dropped, was.Dropped); n > 0 {
		t.add(false, "gateway: %d numbers left out for slow clients in the last minute", n)
	}
}

func named(c *relay.ClientStatus) string {
	if c.Who != "" {
		return c.Client + " (" + c.Who + ")"
	}
	return c.Client
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
