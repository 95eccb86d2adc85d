package relay

import (
	"sync/atomic"
	"testing"
	"time"

	"tickrelay/relay/auth"
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

func newAheadRig(t *testing.T, access ...*auth.Config) *aheadRig {
	t.Helper()
	r := &aheadRig{t: t}
	tab := newTable(t)
	r.s = newSource(t, tab, md.VenueBinance)
	r.s.add(md.VenueBinance, "BTC-USDT", md.ChannelTrades)
	cfg := Config{Table: tab.View()}
	for _, a := range access {
		cfg.Auth = a
	}
	r.g = gateway(t, cfg, r.s.ring(1<<12))
	r.inHub(func(h *hub) {
		r.clock.Store(h.mono())
		h.mono = r.clock.Load
	})
	r.trades(1, 3)
	awaitTopics(t, r.g, 1)
	r.arrived(3)
	return r
}

// arrived waits until the gateway has a trade.
func (r *aheadRig) arrived(seq uint64) {
	r.t.Helper()
	eventually(r.t, "the trades are here", func() (ok bool) {
		r.inHub(func(h *hub) { ok = h.byName[btcTrades] != nil && h.byName[btcTrades].seq == seq })
		return ok
	})
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
	r.clock.Add(aheadMost / 2)
	if n := r.waiting(); n != 1 {
		t.Fatalf("%d resumptions wait one trade too early, want 1", n)
	}
	r.trades(5, 7)
	r.arrived(7)
	r.clock.Add(int64(aheadLook))
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
	r.arrived(4)
	r.clock.Add(int64(aheadLook))
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

// TestAheadKeepsNoRights: a token that is given up while a resumption waits grants it
// nothing, and the new one does not wait.
func TestAheadKeepsNoRights(t *testing.T) {
	r := newAheadRig(t, authConfig(t))
	c, status := dialWith(t, r.g, "/ws", bearerHeader(signed(t, time.Hour, ">")))
	if status != 101 {
		t.Fatalf("status %d", status)
	}
	c.send(`{"op":"resume","id":1,"topics":{"%s":{"epoch":"%d","seq":9}}}`, btcTrades, testEpoch)
	eventually(t, "the resumption waits", func() bool { return r.waiting() == 1 })
	c.send(`{"op":"auth","id":2,"token":"%s"}`, signed(t, 10*time.Hour, "okx.>"))
	if m := c.next(); m.Code != codeForbidden || string(m.ID) != "1" {
		t.Fatalf("%+v, want 1 to be forbidden", m)
	}
	if m := c.next(); m.Op != "auth" || string(m.ID) != "2" {
		t.Fatalf("%+v, want the answer to 2", m)
	}
	r.trades(4, 9)
	r.arrived(9)
	r.clock.Add(aheadMost)
	c.quiet()
	r.inHub(func(h *hub) {
		for _, k := range h.clients {
			if k.streams.len()+k.patterns.len() != 0 || k.grant.Topic(btcTrades) {
				t.Errorf("%d topics, %d patterns, grant %+v", k.streams.len(), k.patterns.len(), k.grant)
			}
		}
	})
}

// TestBehindAhead: what a client asks for after a resumption that waits is done after
// it, in order.
func TestBehindAhead(t *testing.T) {
	r := newAheadRig(t)
	c := r.resume(testEpoch, 5)
	c.send(`{"op":"unsubscribe","id":2,"topics":["%s"]}`, btcTrades)
	c.send(`{"op":"resume","id":3,"topics":{"%s":{"epoch":"%d","seq":6}}}`, btcTrades, testEpoch)
	c.send(`{"op":"unsubscribe","id":4,"topics":["%s"]}`, btcTrades)
	eventually(t, "three wait behind it", func() (ok bool) {
		r.inHub(func(h *hub) { ok = len(h.waiting) == 1 && len(h.waiting[0].later) == 3 })
		return ok
	})
	r.trades(4, 5)
	r.arrived(5)
	r.clock.Add(int64(aheadLook))
	if at := c.subscribed(); at.Seq != 5 {
		t.Errorf("resumed at %+v, want 5", at)
	}
	if m := c.next(); m.Op != "unsubscribed" || string(m.ID) != "2" {
		t.Fatalf("%+v, want 2 to end it", m)
	}
	r.trades(6, 6)
	r.arrived(6)
	r.clock.Add(int64(aheadLook))
	if at := c.subscribed(); at.Seq != 6 {
		t.Errorf("resumed at %+v, want 6", at)
	}
	if m := c.next(); m.Op != "unsubscribed" || string(m.ID) != "4" {
		t.Fatalf("%+v, want 4 to end it", m)
	}
	r.trades(7, 7)
	r.arrived(7)
	c.quiet()
}
