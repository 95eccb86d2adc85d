package relay

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tickrelay/nettune"
)

// TestUnfinishedMessages: whoever begins a message must end it, however alive it looks.
func TestUnfinishedMessages(t *testing.T) {
	_, g := start(t, Limits{MessageTimeout: 300 * time.Millisecond}, 4096)
	long := raw(fin|text, make([]byte, 60000))
	for name, x := range map[string]struct{ first, drip []byte }{
		"a frame byte by byte":         {long[:20], long[20:21]},
		"half a header":                {long[:1], nil},
		"fragments, each in time":      {raw(text, []byte("{")), raw(cont, []byte(" "))},
		"pings while a message waits":  {raw(text, []byte("{")), raw(fin|ping, nil)},
		"whole ones before the last":   {join(raw(fin|text, []byte(query)), long[:20]), nil},
		"an own clock for each second": {join(raw(text, []byte("{")), raw(fin|ping, nil), raw(cont, nil)), nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, g)
			if _, err := c.conn.Write(x.first); err != nil {
				t.Fatal(err)
			}
			stop := make(chan struct{})
			defer close(stop)
			go func() {
				for i := 0; len(x.drip) > 0; i++ {
					select {
					case <-stop:
						return
					case <-time.After(60 * time.Millisecond):
						_, _ = c.conn.Write(x.drip)
					}
				}
			}()
			if code, reason := c.closed(); code != ws.StatusPolicyViolation || !strings.HasPrefix(reason, "message not complete") {
				t.Errorf("closed with %d %q", code, reason)
			}
		})
	}
	// A client that ends its messages is left alone, however long it stays.
	c := dial(t, g)
	for i := 0; i < 6; i++ {
		c.frame(ws.NewFrame(ws.OpText, false, []byte(`{"op":`)))
		time.Sleep(100 * time.Millisecond)
		c.frame(ws.NewFrame(ws.OpContinuation, true, []byte(`"ping"}`)))
		if m := c.next(); m.Op != "pong" {
			t.Fatalf("%+v", m)
		}
	}
}

// TestByteByByte: a message of the largest size, cut at will, arrives whole.
func TestByteByByte(t *testing.T) {
	_, g := start(t, Limits{}, 4096)
	c := dial(t, g)
	b := raw(fin|text, []byte(`{"op":"ping","id":1`+strings.Repeat(" ", 60000)+`}`))
	for from, size := 0, 1; from < len(b); from, size = from+size, size*3/2+1 {
		size = min(size, len(b)-from)
		if _, err := c.conn.Write(b[from : from+size]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond)
	}
	if m := c.next(); m.Op != "pong" {
		t.Errorf("%+v", m)
	}
}

// TestStalledWrites: a peer that takes nothing more is ended by the kernel
// (TCP_USER_TIMEOUT), though it talks and its queue never overflows.
func TestStalledWrites(t *testing.T) {
	tab := newTable(t)
	g := gateway(t, Config{Table: tab.View(), Shards: 1, Limits: Limits{SlowTimeout: time.Hour, QueueMessages: 1 << 20, QueueBytes: 1 << 30,
		Requests: 100000, RequestBurst: 100000, MaxConns: 100},
		Options: nettune.Options{NoDelay: true, SndBuf: 8 << 10, RcvBuf: 8 << 10, UserTimeout: time.Second}})
	c, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
	fmt.Fprint(c, upgradeRequest)
	end := time.Now().Add(30 * time.Second)
	for g.shards[0].stats.closed[closedLost].Load() == 0 {
		if time.Now().After(end) {
			t.Fatal("never closed")
		}
		_ = c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		_, _ = c.Write(raw(fin|text, []byte(query))) // whose answers are not read
		if g.shards[0].stats.writes.Load() > 3000 {
			time.Sleep(time.Millisecond)
		}
	}
}

// TestHandshakeRate: beyond the rate connections are refused, of all clients and of one
// address, and counted.
func TestHandshakeRate(t *testing.T) {
	_, g := startWith(t, Config{Shards: 1, ProxyProtocol: []netip.Prefix{netip.MustParsePrefix(theProxy + "/32")},
		Limits: Limits{HandshakesPerAddr: 20}}, 4096)
	ask := func() string {
		c, err := net.Dial("tcp", g.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprint(c, upgradeRequest)
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
		_, status, _ := strings.Cut(strings.TrimSpace(line), " ")
		return status
	}
	end := time.Now().Add(20 * time.Second)
	for n := 0; ask() != "429 Too Many Requests"; n++ {
		if time.Now().After(end) {
			t.Fatal("never refused")
		}
	}
	eventually(t, "it may again", func() bool { return strings.HasPrefix(ask(), "101") })
	if g.accept.stats.refused[refusedRate].Load() == 0 {
		t.Error("not counted")
	}
}

func TestRates(t *testing.T) {
	now := time.Unix(1000, 0)
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	take := func(r *rates, who netip.Addr, tries int, at time.Duration) (n int) {
		for range tries {
			if r.allow(who, now.Add(at)) {
				n++
			}
		}
		return n
	}
	r := newRates(Limits{Handshakes: 15, HandshakesPerAddr: 10})
	for i, x := range []struct {
		who  netip.Addr
		at   time.Duration
		want int
	}{{a, 0, 10}, {b, 0, 5}, {a, 200 * time.Millisecond, 2}, {b, 200 * time.Millisecond, 1}, {b, 5 * time.Second, 10}, {a, 5 * time.Second, 5}} {
		if n := take(r, x.who, 50, x.at); n != x.want {
			t.Errorf("step %d: %d let in, want %d", i, n, x.want)
		}
	}
	if n := take(newRates(Limits{}), a, 1000, 0); n != 1000 {
		t.Errorf("%d of 1000 without a bound", n)
	}
	r = newRates(Limits{HandshakesPerAddr: 1})
	for i := range 2 * maxRated {
		r.allow(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), now)
		if len(r.due) > maxRated {
			t.Fatalf("%d addresses are remembered", len(r.due))
		}
	}
}
