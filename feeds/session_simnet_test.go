package feeds

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tickrelay/ring/md"
)

// acceptAll makes a peer per dial and keeps them.
func acceptAll(peers *[]*simPeer, set func(*simPeer)) func(*simNet, netip.AddrPort) (*simPeer, error) {
	return func(*simNet, netip.AddrPort) (*simPeer, error) {
		p := &simPeer{}
		if set != nil {
			set(p)
		}
		*peers = append(*peers, p)
		return p, nil
	}
}

func faultsOf(n *simNet, line int) map[string]uint64 {
	h := n.l.sessions[line].stats.health(line, 0)
	got := map[string]uint64{}
	for name, count := range h.Faults {
		if count != 0 {
			got[name] = count
		}
	}
	return got
}

func wantFaults(t *testing.T, n *simNet, want map[string]uint64) {
	t.Helper()
	got := faultsOf(n, 0)
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("fault %s counted %d times, want %d (all: %v)", name, got[name], want[name], got)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("unexpected fault %s, %d times", name, got[name])
		}
	}
}

func TestSessionRefusedBacksOffToTheCap(t *testing.T) {
	v := newToyVenue()
	n := newSimFeed(t, Config{Venue: v, Budget: NewBudget(1000, time.Nanosecond)}, func(*simNet, netip.AddrPort) (*simPeer, error) {
		return nil, syscall.ECONNREFUSED
	})
	n.run(20 * time.Minute)
	got := faultsOf(n, 0)
	// A mean delay of 15 s in the long run: 80 dials, and some quick first ones.
	if got["refused"] < 60 || got["refused"] > 110 {
		t.Errorf("%d refused dials in 20 minutes, want some 85 at a cap of 30 s", got["refused"])
	}
	for i := 1; i < len(n.dials); i++ {
		if gap := time.Duration(n.dials[i] - n.dials[i-1]); gap > 30*time.Second || gap < 20*time.Millisecond {
			t.Fatalf("dial %d came %s after the one before", i, gap)
		}
	}
	if first := time.Duration(n.dials[4] - n.dials[0]); first > 8*time.Second {
		t.Errorf("the first five dials took %s", first)
	}
}

func TestSessionBackoffResetsOnlyAfterHealth(t *testing.T) {
	gaps := func(life time.Duration) (last time.Duration) {
		v := newToyVenue()
		var cuts []int64
		n := newSimFeed(t, Config{Venue: v}, nil)
		n.accept = func(n *simNet, _ netip.AddrPort) (*simPeer, error) {
			p := &simPeer{}
			n.after(0, func() { p.send(ws.NewTextFrame([]byte("trade"))) })
			n.after(life, func() { p.s.end = syscall.ECONNRESET; cuts = append(cuts, n.now.Load()) })
			return p, nil
		}
		n.run(40 * (life + 20*time.Second))
		if len(cuts) < 20 {
			t.Fatalf("only %d connections of %s", len(cuts), life)
		}
		for i := 10; i < min(len(cuts), len(n.dials)-1); i++ {
			last = max(last, time.Duration(n.dials[i+1]-cuts[i]))
		}
		return last
	}
	if got := gaps(70 * time.Second); got > 2*time.Second {
		t.Errorf("after 70 s of health the next dial took %s, want a first attempt's delay", got)
	}
	if got := gaps(5 * time.Second); got < 10*time.Second {
		t.Errorf("a venue that cuts after 5 s is dialled again within %s for ever", got)
	}
}

func TestSessionSilentPeerIsLeft(t *testing.T) {
	v := newToyVenue()
	v.spec.DeadAfter = 10 * time.Second
	var peers []*simPeer
	n := newSimFeed(t, Config{Venue: v}, acceptAll(&peers, nil))
	for i := range 4 { // signs of life of every kind, 9 s apart
		n.after(time.Duration(i+1)*9*time.Second, func() {
			switch i {
			case 0:
				peers[0].send(ws.NewTextFrame([]byte("trade")))
			case 1:
				peers[0].send(ws.NewPingFrame([]byte("x")))
			case 2:
				peers[0].send(ws.NewPongFrame(nil))
			case 3:
				peers[0].send(ws.NewTextFrame([]byte("pong")))
			}
		})
	}
	n.run(45 * time.Second)
	if len(n.dials) != 1 {
		t.Fatalf("%d dials although something came every 9 s", len(n.dials))
	}
	if n.run(2 * time.Second); n.l.sessions[0].state == LineLive && len(n.dials) == 1 {
		t.Error("10 s after the last frame the connection is still thought alive")
	}
	wantFaults(t, n, map[string]uint64{"silent": 1})
	if len(peers[0].times(ws.OpPong, "x")) != 1 {
		t.Error("the venue's ping was not answered")
	}
}

func TestSessionHeartbeatsAndSendPace(t *testing.T) {
	v := newToyVenue()
	v.spec.Ping, v.spec.PingEvery, v.spec.SendEvery = []byte("ping"), 25*time.Second, 200*time.Millisecond
	var peers []*simPeer
	n := newSimFeed(t, Config{Venue: v, Silence: -1}, acceptAll(&peers, nil))
	n.after(30*time.Second, func() { peers[0].send(ws.NewTextFrame([]byte("ping"))) })
	n.run(10 * time.Minute)
	pings := peers[0].times(ws.OpText, "ping")
	if len(pings) != 23 && len(pings) != 24 {
		t.Errorf("%d heartbeats in ten minutes at 25 s, want 23 or 24", len(pings))
	}
	if len(peers[0].times(ws.OpText, "subscribe BTCUSDT")) != 1 {
		t.Errorf("subscriptions sent: %v", peers[0].got)
	}
	if len(peers[0].times(ws.OpText, "pong of the feed")) != 1 {
		t.Error("the venue's application-level ping was not answered")
	}
	for i := 1; i < len(peers[0].got); i++ {
		if gap := time.Duration(peers[0].got[i].at - peers[0].got[i-1].at); gap < v.spec.SendEvery {
			t.Fatalf("messages %d and %d are %s apart", i-1, i, gap)
		}
	}
}

func TestSessionProtocolPingWithoutVenuePing(t *testing.T) {
	v := newToyVenue()
	v.spec.PingEvery = time.Minute
	var peers []*simPeer
	n := newSimFeed(t, Config{Venue: v, Silence: -1}, acceptAll(&peers, nil))
	n.run(10*time.Minute + time.Second)
	if got := len(peers[0].times(ws.OpPing, "")); got != 10 {
		t.Errorf("%d protocol pings in ten minutes, want 10", got)
	}
}

func TestSessionTimeoutsAndRefusalsHaveNames(t *testing.T) {
	for _, c := range []struct {
		name   string
		accept func(*simNet, netip.AddrPort) (*simPeer, error)
	}{
		{"dial_timeout", func(*simNet, netip.AddrPort) (*simPeer, error) { return nil, nil }},
		{"refused", func(*simNet, netip.AddrPort) (*simPeer, error) { return nil, syscall.ECONNREFUSED }},
		{"unreachable", func(*simNet, netip.AddrPort) (*simPeer, error) { return nil, syscall.ENETUNREACH }},
		{"handshake_timeout", func(*simNet, netip.AddrPort) (*simPeer, error) { return &simPeer{mute: true}, nil }},
		{"upgrade", func(*simNet, netip.AddrPort) (*simPeer, error) { return &simPeer{status: 404}, nil }},
		{"rate_limited", func(*simNet, netip.AddrPort) (*simPeer, error) { return &simPeer{status: 429}, nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newSimFeed(t, Config{Venue: newToyVenue()}, c.accept)
			for len(faultsOf(n, 0)) == 0 && n.now.Load() < int64(time.Minute) {
				n.run(time.Second)
			}
			got := faultsOf(n, 0)
			if got[c.name] == 0 || len(got) != 1 {
				t.Errorf("faults are %v, want %s", got, c.name)
			}
			if h := n.l.sessions[0].stats.health(0, 0); h.LastFault != c.name || h.LastError == "" {
				t.Errorf("health says %q %q", h.LastFault, h.LastError)
			}
		})
	}
}

func TestSessionRateLimitedUpgradeStaysAway(t *testing.T) {
	n := newSimFeed(t, Config{Venue: newToyVenue()}, func(*simNet, netip.AddrPort) (*simPeer, error) {
		return &simPeer{status: 429}, nil
	})
	n.run(10 * time.Minute)
	for i := 1; i < len(n.dials); i++ {
		if gap := time.Duration(n.dials[i] - n.dials[i-1]); gap < 30*time.Second {
			t.Fatalf("dialled again %s after 429", gap)
		}
	}
}

func TestSessionTriesEveryAddressBeforeBackingOff(t *testing.T) {
	var to []netip.Addr
	addrs := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3")}
	n := newSimFeed(t, Config{Venue: newToyVenue(), URL: "ws://venue.example/ws", Resolve: resolveTo(addrs, nil)}, nil)
	n.accept = func(_ *simNet, a netip.AddrPort) (*simPeer, error) {
		if to = append(to, a.Addr()); a.Addr() == addrs[2] {
			return &simPeer{}, nil
		}
		return nil, syscall.EHOSTUNREACH
	}
	n.run(time.Second)
	if len(to) != 3 || to[0] != addrs[0] || to[1] != addrs[1] {
		t.Errorf("dialled %v within a second, want all three", to)
	}
	if n.l.sessions[0].state != LineLive {
		t.Errorf("line is %s", n.l.sessions[0].state)
	}
}

func TestSessionKeepsOldAddressesWhenNamesFail(t *testing.T) {
	fail := errors.New("no such host")
	resolver := &switchResolver{addrs: []netip.Addr{netip.MustParseAddr("192.0.2.7")}}
	var peers []*simPeer
	n := newSimFeed(t, Config{Venue: newToyVenue(), URL: "ws://venue.example/ws", Resolve: resolver.resolve, Silence: -1}, acceptAll(&peers, nil))
	n.run(time.Second)
	resolver.fail(fail)
	peers[0].s.end = syscall.ECONNRESET
	n.run(time.Minute)
	if len(peers) != 2 || n.l.sessions[0].state != LineLive {
		t.Errorf("%d connections, line is %s", len(peers), n.l.sessions[0].state)
	}
	wantFaults(t, n, map[string]uint64{"reset": 1, "resolve": 1})
}

func TestSessionVenueAnnouncesItsEnd(t *testing.T) {
	var peers []*simPeer
	n := newSimFeed(t, Config{Venue: newToyVenue()}, acceptAll(&peers, nil))
	n.after(time.Second, func() { peers[0].send(ws.NewTextFrame([]byte("leaving"))) })
	n.run(10 * time.Second)
	if len(peers) != 2 {
		t.Fatalf("%d connections, want a second one", len(peers))
	}
	wantFaults(t, n, map[string]uint64{"age": 1})
	last := peers[0].got[len(peers[0].got)-1]
	if last.op != ws.OpClose {
		t.Errorf("the old connection ended without a close frame: %v", last)
	}
}

// TestSessionIsRelievedBeforeTheDailyCut: the new connection is live before the
// old one is closed, with one line as with two.
func TestSessionIsRelievedBeforeTheDailyCut(t *testing.T) {
	for _, lines := range []int{1, 2} {
		var peers []*simPeer
		n := newSimFeed(t, Config{Venue: newToyVenue(), Lines: lines, Silence: -1, Limits: Deadlines{MaxAge: 10 * time.Minute}}, acceptAll(&peers, nil))
		n.after(time.Second, func() {
			for _, p := range peers {
				p.send(ws.NewTextFrame([]byte("trade")))
			}
		})
		n.run(11 * time.Minute)
		if len(n.dials) != 2*lines || len(n.l.sessions) != lines {
			t.Fatalf("%d lines made %d connections in eleven minutes, %d are left", lines, len(n.dials), len(n.l.sessions))
		}
		for i := range lines {
			closed := peers[i].got[len(peers[i].got)-1]
			if closed.op != ws.OpClose || closed.at <= n.dials[lines+i] {
				t.Errorf("connection %d: %v, its relief was dialled at %d", i, closed, n.dials[lines+i])
			}
			if h := n.l.sessions[i].stats.health(i, 0); h.Connects != 2 || h.Faults["age"] != 1 {
				t.Errorf("%d connections, faults %v", h.Connects, h.Faults)
			}
		}
	}
}

// TestSessionReliefWaitsForTheTopics: the old connection stays until the new one
// brings what it brought, or for half a minute.
func TestSessionReliefWaitsForTheTopics(t *testing.T) {
	var peers []*simPeer
	n := newSimFeed(t, Config{Venue: newToyVenue()}, acceptAll(&peers, nil))
	n.after(time.Second, func() { peers[0].send(ws.NewTextFrame([]byte("trade"))) })
	n.after(2*time.Second, func() { peers[0].send(ws.NewTextFrame([]byte("leaving"))) })
	n.after(3*time.Second, func() { peers[0].send(ws.NewTextFrame([]byte("trade"))) })
	n.run(10 * time.Second)
	if len(peers) != 2 || len(n.l.sessions) != 2 {
		t.Fatalf("%d connections, %d open", len(peers), len(n.l.sessions))
	}
	peers[1].send(ws.NewTextFrame([]byte("trade")))
	n.run(time.Second)
	if len(n.l.sessions) != 1 || n.l.sessions[0].state != LineLive {
		t.Errorf("%d connections after the relief brought everything", len(n.l.sessions))
	}
	if n.l.engine.Stats().Gaps[md.GapDisconnect].Load() != 0 {
		t.Error("a gap")
	}
}

// TestSessionReliefThatBringsNothing: what comes to nobody cannot be waited for
// for ever.
func TestSessionReliefThatBringsNothing(t *testing.T) {
	var peers []*simPeer
	n := newSimFeed(t, Config{Venue: newToyVenue()}, acceptAll(&peers, nil))
	n.after(time.Second, func() { peers[0].send(ws.NewTextFrame([]byte("trade"))) })
	n.after(2*time.Second, func() { peers[0].send(ws.NewTextFrame([]byte("leaving"))) })
	n.after(3*time.Second, func() { peers[0].send(ws.NewTextFrame([]byte("trade"))) })
	n.run(20 * time.Second)
	if len(n.l.sessions) != 2 {
		t.Error("closed too early")
	}
	n.run(20 * time.Second)
	if len(peers) != 2 || len(n.l.sessions) != 1 {
		t.Errorf("%d connections, %d open", len(peers), len(n.l.sessions))
	}
}

// TestSessionFollowsTheName: a connection to an address that the name has no
// more is relieved.
func TestSessionFollowsTheName(t *testing.T) {
	resolver := &switchResolver{addrs: []netip.Addr{netip.MustParseAddr("192.0.2.7")}}
	var peers []*simPeer
	n := newSimFeed(t, Config{Venue: newToyVenue(), URL: "ws://venue.example/ws", Resolve: resolver.resolve, Silence: -1}, acceptAll(&peers, nil))
	n.run(time.Second)
	resolver.mu.Lock()
	resolver.addrs = []netip.Addr{netip.MustParseAddr("192.0.2.8")}
	resolver.mu.Unlock()
	n.run(11 * time.Minute)
	if len(peers) != 2 || len(n.l.sessions) != 1 || n.l.sessions[0].stream.RemoteAddr().Addr() != netip.MustParseAddr("192.0.2.8") {
		t.Errorf("%d connections, the last to %v", len(peers), n.l.sessions[0].stream.RemoteAddr())
	}
}

// TestSessionCircuit: while a venue refuses everything one line at a time tries, and
// the others are back soon after it.
func TestSessionCircuit(t *testing.T) {
	down := true
	n := newSimFeed(t, Config{Venue: newToyVenue(), Lines: 4}, nil)
	n.accept = func(*simNet, netip.AddrPort) (*simPeer, error) {
		if down {
			return nil, syscall.EHOSTUNREACH
		}
		return &simPeer{}, nil
	}
	n.run(2 * time.Minute)
	if !n.l.circuit.open || len(n.dials) < circuitAfter+3 {
		t.Fatalf("open %v, %d dials", n.l.circuit.open, len(n.dials))
	}
	before := len(n.dials)
	n.run(10 * time.Minute)
	if got := len(n.dials) - before; got > 60 {
		t.Errorf("%d dials in ten minutes", got)
	}
	down = false
	n.run(time.Minute)
	for i, s := range n.l.sessions {
		if s.state != LineLive {
			t.Errorf("line %d is %s", i, s.state)
		}
	}
}

// TestSessionCircuitOfAnotherWay: where one line's way is dead, the venue's refusal of the
// other lines, however long, does not leave the trying to that line.
func TestSessionCircuitOfAnotherWay(t *testing.T) {
	dead := netip.MustParseAddr("192.0.2.7")
	down := false
	var peers []*simPeer
	all := acceptAll(&peers, nil)
	n := newSimFeed(t, Config{Venue: newToyVenue(), Silence: -1, Lines: 2, Ways: []Way{{URL: "ws://192.0.2.7/ws"}, {URL: "ws://192.0.2.8/ws"}}},
		func(n *simNet, to netip.AddrPort) (*simPeer, error) {
			if down || to.Addr() == dead {
				return nil, syscall.EHOSTUNREACH
			}
			return all(n, to)
		})
	n.run(10 * time.Minute)
	if len(peers) != 1 || n.l.circuit.open {
		t.Fatalf("%d connections, open %v", len(peers), n.l.circuit.open)
	}
	down = true
	peers[0].s.end = syscall.ECONNRESET
	n.run(10 * time.Minute)
	if !n.l.circuit.open {
		t.Fatal("the circuit is closed though nothing is reached")
	}
	down = false
	n.run(time.Minute)
	if s := n.l.sessions[1]; s.state != LineLive {
		t.Errorf("the line whose way is well is %s", s.state)
	}
}
