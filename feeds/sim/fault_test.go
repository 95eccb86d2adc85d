package sim_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tickrelay/feeds/sim"
)

// victim is an exchange with checksums and one client that follows a book.
func victim(t *testing.T, o sim.Options) (*exchange, *client) {
	t.Helper()
	o.Checksums = true
	if o.Faults.For == 0 {
		o.Faults.For = 300 * time.Millisecond
	}
	x := open(t, "okx", o)
	c := dial(t, x.URL(), nil)
	c.send(okxBooks)
	c.next() // ack
	c.next() // snapshot
	return x, c
}

func inject(t *testing.T, x *exchange, f sim.Fault) {
	t.Helper()
	if err := x.Inject(f); err != nil {
		t.Fatal(err)
	}
}

// book reads the next push, which must be a whole JSON document.
func book(t *testing.T, c *client) okxFrame {
	t.Helper()
	return decode[okxFrame](t, c.next())
}

func TestFaultCutMidFrame(t *testing.T) {
	x, c := victim(t, sim.Options{})
	inject(t, x, sim.FaultCutMidFrame)
	x.run(200)
	h, err := ws.ReadHeader(c.rd)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, c.rd)
	if err != nil || n == 0 || n >= h.Length {
		t.Fatalf("%d of %d bytes, %v", n, h.Length, err)
	}
	waitSessions(t, x.Server, 0)
}

func TestFaultGarbage(t *testing.T) {
	x, c := victim(t, sim.Options{})
	for range 20 {
		inject(t, x, sim.FaultGarbage)
		if text := c.next(); json.Valid(text) {
			t.Fatalf("valid JSON: %.100q", text)
		}
	}
	x.push()
	book(t, c) // the connection lives on
}

func TestFaultHugeFrame(t *testing.T) {
	x, c := victim(t, sim.Options{})
	inject(t, x, sim.FaultHugeFrame)
	if text := c.next(); len(text) != sim.HugeFrameSize || !json.Valid(text) {
		t.Fatalf("%d bytes", len(text))
	}
}

func TestFaultBadChecksum(t *testing.T) {
	x, c := victim(t, sim.Options{DepthEvery: -1})
	bad := 0
	other := dial(t, x.URL(), nil) // connects later, follows from its snapshot
	other.send(okxBooks)
	other.next()
	b := newTextBook(2, 5)
	d := book(t, other).Data[0]
	b.apply(pairs(d.Bids), pairs(d.Asks))
	inject(t, x, sim.FaultBadChecksum)
	x.run(40)
	x.freeze(t)
	truth, _ := x.Book("BTC-USDT")
	for last := *d.Seq; last != truth.Seq; {
		d := book(t, other).Data[0]
		b.apply(pairs(d.Bids), pairs(d.Asks))
		last = *d.Seq
		if *d.Checksum != b.crcOf() {
			bad++
		}
	}
	if bad != 1 {
		t.Errorf("%d wrong checksums, want 1", bad)
	}
	b.equal(t, truth)
	_ = c
}

// chain reads n updates and returns their (prevSeqId, seqId).
func chain(t *testing.T, c *client, n int) (out [][2]int64) {
	t.Helper()
	for range n {
		d := book(t, c).Data[0]
		out = append(out, [2]int64{*d.Prev, *d.Seq})
	}
	return out
}

func TestFaultSequences(t *testing.T) {
	x, c := victim(t, sim.Options{})
	step := x.push
	step()
	last := chain(t, c, 1)[0][1]

	inject(t, x, sim.FaultMissingSeq)
	step()
	step()
	got := chain(t, c, 1)[0]
	if got[0] <= last {
		t.Fatalf("nothing is missing: %v after %d", got, last)
	}
	last = got[1]

	inject(t, x, sim.FaultDuplicate)
	step()
	two := chain(t, c, 2)
	if two[0] != two[1] || two[0][0] != last {
		t.Fatalf("no duplicate: %v after %d", two, last)
	}
	last = two[1][1]

	inject(t, x, sim.FaultReorder)
	step()
	step()
	two = chain(t, c, 2)
	if two[1][0] != last || two[0][0] != two[1][1] {
		t.Fatalf("no change of places: %v after %d", two, last)
	}

	x.freeze(t)
	last = chain(t, c, 1)[0][1]
	inject(t, x, sim.FaultReorder)
	for before, _ := x.market.Book("BTC-USDT"); ; {
		x.clock.Advance(100 * time.Millisecond)
		x.market.Step(1)
		if now, _ := x.market.Book("BTC-USDT"); now.Seq != before.Seq {
			break
		}
	}
	x.freeze(t) // no successor comes: what was held is sent
	if got := chain(t, c, 1)[0]; got[0] != last {
		t.Fatalf("%v after %d", got, last)
	}
}

func TestFaultStallAndDrip(t *testing.T) {
	x, c := victim(t, sim.Options{})
	for _, f := range []sim.Fault{sim.FaultStall, sim.FaultSlowDrip} {
		start := time.Now()
		inject(t, x, f)
		x.push()
		book(t, c)
		// A push has some hundred bytes at least: a millisecond each.
		if d := time.Since(start); d < 150*time.Millisecond || d > 3*time.Second {
			t.Errorf("%s: the frame took %s", f, d)
		}
	}
}

func TestFaultSilentAndMute(t *testing.T) {
	for _, f := range []sim.Fault{sim.FaultSilent, sim.FaultMute} {
		t.Run(f.String(), func(t *testing.T) {
			x, c := victim(t, sim.Options{})
			inject(t, x, f)
			c.send("ping")
			x.run(300)
			if f == sim.FaultMute {
				c.want("pong")
			}
			c.quiet(30 * time.Millisecond)
			// A connection made meanwhile is welcomed, then the same.
			d := dial(t, x.URL(), nil)
			d.send(okxBooks)
			if ack := string(d.next()); !strings.HasPrefix(ack, `{"event":"subscribe"`) {
				t.Fatal(ack)
			}
			d.send("ping")
			if f == sim.FaultMute {
				d.want("pong")
			}
			x.run(300)
			d.quiet(30 * time.Millisecond)
			time.Sleep(400 * time.Millisecond)
			e := dial(t, x.URL(), nil)
			e.send(okxBooks)
			e.next()
			book(t, e)
		})
	}
}

func TestFaultRefuse(t *testing.T) {
	x, c := victim(t, sim.Options{})
	inject(t, x, sim.FaultRefuse)
	if _, err := net.Dial("tcp", x.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("dial: %v, want refused", err)
	}
	x.push()
	book(t, c) // open connections live on
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial("tcp", x.Addr()); err == nil {
			conn.Close()
			break
		}
		if time.Since(start) > 5*time.Second {
			t.Fatal("still refused")
		}
	}
}

func TestFaultGoingAwayAndNotice(t *testing.T) {
	x, c := victim(t, sim.Options{})
	inject(t, x, sim.FaultGoingAway)
	wantClose(t, c, ws.StatusGoingAway)

	x, c = victim(t, sim.Options{})
	inject(t, x, sim.FaultNotice)
	if text := string(c.next()); !strings.Contains(text, `"event":"notice","code":"64008"`) {
		t.Fatal(text)
	}
	x.push()
	book(t, c) // between notice and close the data goes on
	wantClose(t, c, ws.StatusGoingAway)

	y := open(t, "binance", sim.Options{Faults: sim.Faults{For: time.Millisecond}})
	d := dial(t, y.URL(), nil)
	waitSessions(t, y.Server, 1)
	inject(t, y, sim.FaultNotice)
	if text := string(d.next()); !strings.HasPrefix(text, `{"e":"serverShutdown","E":`) {
		t.Fatal(text)
	}
	wantClose(t, d, ws.StatusGoingAway)
}

func TestFaultREST(t *testing.T) {
	x := open(t, "binance", sim.Options{Faults: sim.Faults{For: 1200 * time.Millisecond}})
	depth := x.REST() + "/api/v3/depth?symbol=BTCUSDT&limit=5000"
	_, body, _, _ := get(t, depth)
	first := decode[binanceSnapshot](t, body).Last
	x.run(100)

	inject(t, x, sim.FaultRESTError)
	if status, _, _, _ := get(t, depth); status != 500 {
		t.Errorf("status %d, want 500", status)
	}
	inject(t, x, sim.FaultRESTTruncated)
	if _, body, _, err := get(t, depth); !errors.Is(err, io.ErrUnexpectedEOF) || len(body) == 0 {
		t.Errorf("%d bytes, %v", len(body), err)
	}
	inject(t, x, sim.FaultRESTStale)
	if _, body, _, _ := get(t, depth); decode[binanceSnapshot](t, body).Last != first {
		t.Errorf("%.60s is not stale", body)
	}
	if _, body, _, _ := get(t, depth); decode[binanceSnapshot](t, body).Last <= first {
		t.Errorf("%.60s is stale again", body)
	}
	inject(t, x, sim.FaultREST429)
	status, _, header, _ := get(t, depth)
	if status != 429 || header.Get("Retry-After") != "2" {
		t.Errorf("status %d, Retry-After %s", status, header.Get("Retry-After"))
	}
	time.Sleep(1300 * time.Millisecond)
	if status, _, _, _ := get(t, depth); status != 200 {
		t.Errorf("status %d after the time", status)
	}
}

func TestFaultsThatAVenueCannotHave(t *testing.T) {
	for venue, f := range map[string]sim.Fault{"binance": sim.FaultBadChecksum, "okx": sim.FaultRESTStale, "bitget": sim.FaultBadChecksum} {
		x := open(t, venue, sim.Options{})
		if err := x.Inject(f); err == nil || !strings.Contains(err.Error(), f.String()) {
			t.Errorf("%s: %s: error %v", venue, f, err)
		}
	}
}

// TestSeededFaults wants the same faults at the same market events.
func TestSeededFaults(t *testing.T) {
	count := func(seed uint64, n int) map[sim.Fault]uint64 {
		x := open(t, "okx", sim.Options{Faults: sim.Faults{Seed: seed, For: time.Millisecond,
			Every: map[sim.Fault]int{sim.FaultGarbage: 50, sim.FaultDuplicate: 200, sim.FaultRESTError: 1000}}})
		x.run(n)
		return x.Stats().Injected
	}
	a, b := count(1, 10_000), count(1, 10_000)
	for f, mean := range map[sim.Fault]uint64{sim.FaultGarbage: 50, sim.FaultDuplicate: 200, sim.FaultRESTError: 1000} {
		if a[f] != b[f] {
			t.Errorf("%s: %d, then %d", f, a[f], b[f])
		}
		if want := 10_000 / mean; a[f] < want*6/10 || a[f] > want*14/10 {
			t.Errorf("%s: %d times, want about %d", f, a[f], want)
		}
	}
}

func TestParseFaults(t *testing.T) {
	f, err := sim.ParseFaults("garbage=50, stall=200,for=3s,seed=9")
	if err != nil || f.Seed != 9 || f.For != 3*time.Second || f.Every[sim.FaultGarbage] != 50 || f.Every[sim.FaultStall] != 200 {
		t.Errorf("%+v, %v", f, err)
	}
	for _, text := range []string{"nosuch=1", "garbage", "garbage=0", "garbage=x", "for=soon", "none=3", "for=-1s"} {
		if _, err := sim.ParseFaults(text); err == nil {
			t.Errorf("%q accepted", text)
		}
	}
	seen := map[string]bool{}
	for _, f := range sim.AllFaults() {
		back, err := sim.ParseFault(f.String())
		if err != nil || back != f || seen[f.String()] {
			t.Errorf("%d %s: %v %v", f, f, back, err)
		}
		seen[f.String()] = true
	}
}

func TestSlowClientIsDropped(t *testing.T) {
	x := open(t, "binance", sim.Options{Queue: 16, DepthEvery: -1})
	dial(t, x.URL()+"?streams=btcusdt@depth@100ms/ethusdt@depth@100ms", nil) // never reads
	waitSessions(t, x.Server, 1)
	for range 400 {
		x.run(200)
		if x.Stats().Slow == 1 {
			break
		}
	}
	if x.Stats().Slow != 1 {
		t.Fatal("the client was not dropped")
	}
	waitSessions(t, x.Server, 0)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := x.market.Freeze(ctx); err != nil {
		t.Error(err)
	}
}
