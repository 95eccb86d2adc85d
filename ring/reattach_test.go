package ring

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"tickrelay/ring/md"
)

// judge checks what a Client delivers over several relays: each session as a
// follower does, and between two of them a gap for every topic that was told.
type judge struct {
	follower
	epochs map[uint64]bool
	ended  int // gaps of ended sessions
}

func (j *judge) take(t *testing.T, recs []md.Record) {
	t.Helper()
	for i := range recs {
		r := &recs[i]
		if err := r.Valid(); err != nil {
			t.Fatal(err)
		}
		if r.Kind == md.KindGap && r.Level == uint8(md.GapDisconnect) {
			if !j.told || r.Seq != j.next || r.ID != j.next || r.Count != md.UnknownMissing || r.Instrument != 7 || r.Venue != md.VenueOKX {
				t.Fatalf("at %d: %+v", j.next, *r)
			}
			j.ended++
			trades, lost := j.trades, j.lost
			j.follower = follower{trades: trades, lost: lost}
			continue
		}
		if r.Kind == md.KindHeartbeat && !j.begun {
			if j.epochs[r.ID] {
				t.Fatalf("epoch %d came twice", r.ID)
			}
			j.epochs[r.ID] = true
		}
		if err := j.follower.take(recs[i : i+1]); err != nil {
			t.Fatal(err)
		}
	}
}

// TestClientComesBack kills relays under a client of declared rings.
func TestClientComesBack(t *testing.T) {
	const relays = 4
	base := shmDir(t)
	relay := start(t, "produce", base)
	relay.line(t)
	fds := openFDs(t)
	sessions := 0
	c, err := Dial(t.Context(), ClientConfig{Dir: filepath.Join(base, "relay"), Rings: []string{"r"}, Retry: time.Millisecond, Attached: func(c *Client) { sessions++ }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	j := judge{epochs: map[uint64]bool{}}
	buf := make([]md.Record, 128)
	deadline := time.Now().Add(60 * time.Second)
	read := func(until func() bool) {
		t.Helper()
		for !until() {
			n, err := c.Poll(buf)
			if err != nil {
				t.Fatal(err)
			}
			j.take(t, buf[:n])
			if n == 0 {
				if _, err := c.Wait(WaitBlock, 200*time.Millisecond); err != nil {
					t.Fatal(err)
				}
			}
			if time.Now().After(deadline) {
				t.Fatalf("session %d, %d trades", c.Session(), j.trades)
			}
		}
	}
	for round := 1; ; round++ {
		want := j.trades + 3000
		read(func() bool { return j.trades >= want })
		if round == relays {
			break
		}
		relay.kill()
		read(func() bool { return j.ended == round })
		if c.Connected() {
			t.Fatal("connected to a dead relay")
		}
		if n, err := c.Poll(buf); n != 0 || err != nil {
			t.Fatal(n, err)
		}
		relay = start(t, "produce", base)
		relay.line(t)
	}
	if sessions != relays || c.Session() != relays || len(j.epochs) != relays {
		t.Fatalf("%d sessions, %d epochs", sessions, len(j.epochs))
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Poll(buf); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	if n := openFDs(t); n > fds+4 { // pipes of children
		t.Fatalf("%d descriptors, %d before", n, fds)
	}
}

// TestClientLeases comes back over the control socket, and is interrupted while
// the relay is away.
func TestClientLeases(t *testing.T) {
	sock := filepath.Join(t.TempDir(), "c.sock")
	base := shmDir(t)
	serve := func() (stop func()) {
		d, err := OpenDir(base, "rig", Perm{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		r := &leaseRig{dir: d, sock: sock, pubs: []*Publisher{NewPublisher(PublisherConfig{Venue: md.VenueOKX})}}
		r.pubs[0].AddTopic(7, md.ChannelTrades, nil)
		r.pubs[0].AddTopic(7, md.ChannelBBO, nil)
		looped := make(chan struct{})
		go func() { defer close(looped); r.loop(ctx) }()
		go func() {
			defer close(done)
			ServeConfig{}.ServeLeases(ctx, sock, r.attach)
		}()
		return func() { cancel(); <-done; <-looped; d.Close() }
	}
	if _, err := Dial(t.Context(), ClientConfig{Socket: sock, Request: AttachRequest{Strategy: "s", Topics: []string{"okx.>"}}}); !errors.Is(err, ErrNotRunning) {
		t.Fatal(err)
	}
	stop := serve()
	var c *Client
	var err error
	for range 200 {
		c, err = Dial(t.Context(), ClientConfig{Socket: sock, Retry: time.Millisecond, Request: AttachRequest{Strategy: "s", Topics: []string{"okx.>"}, Wake: WakeEventFD}})
		if err == nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	buf := make([]md.Record, 64)
	count := func(kind md.Kind, want int) {
		t.Helper()
		for deadline, got := time.Now().Add(20*time.Second), 0; got < want; {
			n, err := c.Poll(buf)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range buf[:n] {
				if r.Kind == kind {
					got++
				}
			}
			if n == 0 {
				c.Wait(WaitBlock, 100*time.Millisecond)
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d of %d %v", got, want, kind)
			}
		}
	}
	count(md.KindTrade, 5)
	stop()
	count(md.KindGap, 2)
	go func() { time.Sleep(20 * time.Millisecond); c.Interrupt() }()
	if ok, err := c.Wait(WaitBlock, 20*time.Second); ok || err != nil {
		t.Fatal(ok, err)
	}
	stop = serve()
	count(md.KindTrade, 5)
	if c.Session() != 2 {
		t.Fatal(c.Session())
	}
	stop()
	count(md.KindGap, 2)
	c.Close()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestClientAllocs: while attached a Client costs no allocation.
func TestClientAllocs(t *testing.T) {
	dir := shmDir(t)
	seg, err := CreateShm(dir, "r", 1024, Meta{}, Perm{})
	if err != nil {
		t.Fatal(err)
	}
	defer seg.Close()
	pub := NewPublisher(PublisherConfig{Venue: md.VenueOKX})
	topic := pub.AddTopic(7, md.ChannelTrades, nil)
	pub.Attach(seg, nil)
	c, err := Dial(t.Context(), ClientConfig{Dir: dir, Rings: []string{"r"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	pub.Turn(1)
	recs, buf := make([]md.Record, 8), make([]md.Record, 64)
	for i := range recs {
		recs[i] = signed(1)
	}
	for n := 1; n > 0; {
		n, _ = c.Poll(buf)
	}
	if a := testing.AllocsPerRun(500, func() { pub.Publish(topic, recs); pub.Flush(); c.Poll(buf) }); a != 0 {
		t.Errorf("%v allocations", a)
	}
}
