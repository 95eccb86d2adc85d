package relay

import (
	"sync/atomic"
	"testing"

	"tickrelay/ring/md"
)

// aheadRig is a gateway whose hub's clock stands still until the test moves it, with
// trades 1 to 3.
type aheadRig struct {
	t     *testing.T
	s     *source
	g     *Gateway
	clock atomic.Int64
}

func newAheadRig(t *testing.T) *aheadRig {
	t.Helper()
	r := &aheadRig{t: t}
	tab := newTable(t)
	r.s = newSource(t, tab, md.VenueBinance)
	r.s.add(md.VenueBinance, "BTC-USDT", md.ChannelTrades)
	r.g = gateway(t, Config{Table: tab.View()}, r.s.ring(1<<12))
	r.inHub(func(h *hub) {
		r.clock.Store(h.mono())
		h.mono = r.clock.Load
	})
	r.trades(1, 3)
	awaitTopics(t, r.g, 1)
	eventually(t, "the trades are here", func() (ok bool) {
		r.inHub(func(h *hub) { ok = h.byName[btcTrades] != nil && h.byName[btcTrades].seq == 3 })
		return ok
	})
	return r
}

// inHub runs f in the hub's goroutine.
func (r *aheadRig) inHub(f func(*hub)) {
	done := make(chan struct{})
	r.g.hub.inbox.put(request{op: requestCall, call: func(h *hub) { f(h); close(done) }})
	<-done
}

func (r *aheadRig) trades(from, to uint64) {
	for id := from; id <= to; id++ {
		r.s.trade(btcTrades, id, 9_000_000+int64(id))
	}
}

func (r *aheadRig) waiting() (n int) {
	r.inHub(func(h *hub) { n = len(h.waiting) })
	return n
}

// resume has a client resume at a number and waits until the hub holds it.
func (r *aheadRig) resume(epoch int64, seq uint64) *wsClient {
	r.t.Helper()
	c, had := dial(r.t, r.g, ProtocolJSON), r.waiting()
	c.send(`{"op":"resume","topics":{"%s":{"epoch":"%d","seq":%d}}}`, btcTrades, epoch, seq)
	eventually(r.t, "the resumption waits", func() bool { return r.waiting() == had+1 })
	return c
}

// subscribed reads the answer, the instruments in front of it passed over.
func (c *wsClient) subscribed() position {
	c.t.Helper()
	for {
		m := c.next()
		if m.Op == "instruments" {
			continue
		}
		if m.Op != "subscribed" {
			c.t.Fatalf("got %+v, want subscribed", m)
		}
		return m.positions(c.t)[btcTrades]
	}
}

// TestAheadCatchesUp: a client that was told more elsewhere goes on where it was, as
// soon as the gateway is there: no gap, and nothing twice.
func TestAheadCatchesUp(t *testing.T) {
	r := newAheadRig(t)
	c := r.resume(testEpoch, 5)
	r.trades(4, 4)
	r.clock.Add(aheadMost - 1)
	if n := r.waiting(); n != 1 {
		t.Fatalf("%d resumptions wait one trade too early, want 1", n)
	}
	r.trades(5, 7)
	if at := c.subscribed(); at.Seq != 5 {
		t.Errorf("resumed at %+v, want 5", at)
	}
	for seq := uint64(6); seq <= 7; seq++ {
		if m := c.want("trade", btcTrades); m.Seq != seq {
			t.Errorf("trade %d, want %d", m.Seq, seq)
		}
	}
	c.quiet()
}

// TestAheadGivesUp: after a second it is served what there is: a gap of unknown size,
// whether the number never comes or the epoch.
func TestAheadGivesUp(t *testing.T) {
	r := newAheadRig(t)
	number, epoch := r.resume(testEpoch, 9), r.resume(testEpoch+1, 2)
	r.clock.Add(aheadMost - 1)
	if n := r.waiting(); n != 2 {
		t.Fatalf("%d resumptions wait a nanosecond before the end, want 2", n)
	}
	r.clock.Add(1)
	for name, c := range map[string]*wsClient{"number": number, "epoch": epoch} {
		if at := c.subscribed(); at.Seq != 0 {
			t.Errorf("%s: resumed at %+v, want 0: its own number says nothing here", name, at)
		}
		if m := c.want("gap", btcTrades); m.Missed != nil || m.Seq != 3 {
			t.Errorf("%s: %+v, want a gap of unknown size up to 3", name, m)
		}
	}
	r.trades(4, 4)
	for _, c := range []*wsClient{number, epoch} {
		if m := c.want("trade", btcTrades); m.Seq != 4 {
			t.Errorf("trade %d, want 4", m.Seq)
		}
	}
}

// TestAheadIsForgotten: a connection that goes takes what it waited for with it, and
// another one's waiting goes on.
func TestAheadIsForgotten(t *testing.T) {
	r := newAheadRig(t)
	gone, stays := r.resume(testEpoch, 9), r.resume(testEpoch, 4)
	gone.conn.Close()
	eventually(t, "one is forgotten", func() bool { return r.waiting() == 1 })
	r.trades(4, 4)
	if at := stays.subscribed(); at.Seq != 4 {
		t.Errorf("resumed at %+v, want 4", at)
	}
	if n := r.waiting(); n != 0 {
		t.Errorf("%d wait", n)
	}
}

// TestNotAhead: who is not ahead does not wait.
func TestNotAhead(t *testing.T) {
	r := newAheadRig(t)
	c := dial(t, r.g, ProtocolJSON)
	c.send(`{"op":"resume","topics":{"%s":{"epoch":"%d","seq":3}}}`, btcTrades, testEpoch)
	if at := c.subscribed(); at.Seq != 3 {
		t.Errorf("resumed at %+v, want 3", at)
	}
	c.quiet()
}
