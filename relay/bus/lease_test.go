package bus

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickrelay/ring/md"
)

// TestTakeOver: a follower leads when the leader dies, with a higher epoch;
// gateways get gap and snapshots; what the dead one still sends is dropped.
func TestTakeOver(t *testing.T) {
	srv := natsOne(t, nil)
	cfg := testConfig(srv.URL())
	a, b := newSource(t, 0, 1<<12), newSource(t, 2, 1<<12)
	a.start()
	b.start()
	pa, stopA := a.publish(cfg)
	eventually(t, "the first leads", func() bool { return pa.Stats().Epoch.Load() != 0 })
	pb, _ := b.publish(cfg)
	k := subscribe(t, cfg, 5)
	for range 30 {
		a.tick()
		b.tick()
	}
	eventually(t, "the first one's book", func() bool { return k.agrees(a) })
	first := pa.Stats().Epoch.Load()
	if pb.Stats().Epoch.Load() != 0 {
		t.Fatal("two leaders")
	}
	stopA()
	eventually(t, "the second leads", func() bool { return pb.Stats().Epoch.Load() > first })
	for range 10 {
		b.tick()
	}
	eventually(t, "the second one's book", func() bool { return k.agrees(b) })
	if n, _ := k.lost(md.ChannelTrades); n == 0 {
		t.Error("no gap at the take-over")
	}
	stale := []md.Record{header(md.Topic{Venue: md.VenueBinance, Channel: md.ChannelTrades, Symbol: testSymbol}, first, 30, 1),
		{Kind: md.KindTrade, Flags: md.FlagFirst | md.FlagLast, Venue: md.VenueBinance, Seq: 31, Price: 1, Size: 1}}
	if err := pb.data.Publish("binance.trades."+testSymbol, md.AsBytes(stale)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the old leader's message is dropped", func() bool { return k.s.Venues()[0].Fenced.Load() == 1 })
}

// TestLeaseOneAtATime lets several contend while NATS comes and goes and hosts are
// cut off: two never hold it at the same time, epochs only rise.
func TestLeaseOneAtATime(t *testing.T) {
	srv := natsOne(t, nil)
	cfg := testConfig(srv.URL()).WithDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	leases := make([]*lease, 4)
	for i := range leases {
		nc, err := cfg.connect("test", events{})
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		leases[i] = newLease(&cfg, md.VenueOKX, nc, func() {})
		if i > 0 {
			wg.Go(func() { leases[i].run(ctx) })
			continue
		}
		// The first one dies without a word as soon as it leads.
		if err := leases[0].step(ctx); err != nil {
			t.Fatal(err)
		}
	}
	last, holders := int64(0), map[int]bool{}
	for end := time.Now().Add(patience); len(holders) < 3; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("only %v led", holders)
		}
		now, holds := time.Now(), 0
		for i, l := range leases {
			if e, ok := l.epoch(now); ok {
				holds++
				if e < last {
					t.Fatalf("epoch %d after %d", e, last)
				}
				if e > last && i > 0 {
					// Cut it off: it cannot renew, and must stop before another begins.
					l.nc.Close()
				}
				last = e
				holders[i] = true
			}
		}
		if holds > 1 {
			t.Fatalf("%d hold the lease at a time", holds)
		}
	}
}

// TestEpochAboveAFastClock: a leader whose clock was ahead leaves an epoch of the
// future, which the next one exceeds.
func TestEpochAboveAFastClock(t *testing.T) {
	srv := natsOne(t, nil)
	cfg := testConfig(srv.URL()).WithDefaults()
	nc, err := cfg.connect("test", events{})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	l := newLease(&cfg, md.VenueOKX, nc, func() {})
	ctx := context.Background()
	if err := l.step(ctx); err != nil {
		t.Fatal(err)
	}
	future := time.Now().Add(time.Hour).UnixNano()
	if _, err := l.kv.Put(ctx, l.key, encode(leaseEntry{Epoch: future, Holder: "ahead"})); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the lease is ours again", func() bool {
		if err := l.step(ctx); err != nil {
			t.Fatal(err)
		}
		e, ok := l.epoch(time.Now())
		return ok && e == future+1
	})
	l.release()
	if _, ok := l.epoch(time.Now()); ok {
		t.Error("held after its release")
	}
	other := newLease(&cfg, md.VenueOKX, nc, func() {})
	if err := other.step(ctx); err != nil {
		t.Fatal(err)
	}
	if e, ok := other.epoch(time.Now()); !ok || e != future+2 {
		t.Errorf("a released lease was not taken at once: %d %v", e, ok)
	}
	if _, err := other.kv.Update(ctx, l.key, nil, 1); !wrongRevision(err) {
		t.Errorf("an old revision gives %v", err)
	}
}

// TestBucketLost: servers that lost their JetStream, as one in a container without a
// volume does when it is restarted, get leases and stream again, and the venue goes
// on under a higher epoch.
func TestBucketLost(t *testing.T) {
	srv := natsOne(t, nil)
	cfg := testConfig(srv.URL())
	a := newSource(t, 0, 1<<12)
	a.start()
	pa, _ := a.publish(cfg)
	eventually(t, "leading", func() bool { return pa.Stats().Epoch.Load() != 0 })
	js, err := jetstream.New(pa.data)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	before := pa.Stats().Epoch.Load()
	if err := js.DeleteKeyValue(ctx, leaseBucket); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the leader leads again", func() bool { return pa.Stats().Epoch.Load() > before })
	eventually(t, "the stream", func() bool { _, err := js.Stream(ctx, "history"); return err == nil })
	if err := js.DeleteStream(ctx, "history"); err != nil {
		t.Fatal(err)
	}
	if err := pa.ctl.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stream again", func() bool { _, err := js.Stream(ctx, "history"); return err == nil })
}

// TestLostKeyWaits: a follower that finds the key missing waits as long as who led may
// not know it, and then leads with an epoch above the lost one.
func TestLostKeyWaits(t *testing.T) {
	srv := natsOne(t, nil)
	cfg := testConfig(srv.URL()).WithDefaults()
	nc, err := cfg.connect("test", events{})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	ctx := context.Background()
	first, second := newLease(&cfg, md.VenueOKX, nc, func() {}), newLease(&cfg, md.VenueOKX, nc, func() {})
	if err := first.step(ctx); err != nil {
		t.Fatal(err)
	}
	future := time.Now().Add(time.Hour).UnixNano()
	if _, err := first.kv.Put(ctx, first.key, encode(leaseEntry{Epoch: future, Holder: "ahead"})); err != nil {
		t.Fatal(err)
	}
	if err := second.step(ctx); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteKeyValue(ctx, leaseBucket); err != nil {
		t.Fatal(err)
	}
	gone := time.Now()
	if err := second.step(ctx); !bucketGone(err) {
		t.Fatalf("a bucket that is gone: %v", err)
	}
	eventually(t, "the second leads", func() bool {
		if err := second.step(ctx); err != nil {
			t.Fatal(err)
		}
		e, ok := second.epoch(time.Now())
		if ok && (time.Since(gone) < cfg.Lease || e <= future) {
			t.Fatalf("epoch %d after %s, the lost one was %d", e, time.Since(gone), future)
		}
		return ok
	})
}

// slowly is a connection whose every write waits first.
type slowly struct {
	net.Conn
	by time.Duration
}

func (s slowly) Write(p []byte) (int, error) {
	time.Sleep(s.by)
	return s.Conn.Write(p)
}

// Dial implements nats.CustomDialer.
func (s slowly) Dial(network, address string) (net.Conn, error) {
	c, err := net.Dial(network, address)
	return slowly{c, s.by}, err
}

// TestLeaseOfSlowServer: a lease of a second is had and held where each answer takes a
// third of one, and got back after an answer that was lost.
func TestLeaseOfSlowServer(t *testing.T) {
	srv := natsOne(t, nil)
	cfg := testConfig(srv.URL()).WithDefaults()
	cfg.Lease = time.Second
	nc, err := nats.Connect(srv.URL(), nats.SetCustomDialer(slowly{by: 300 * time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	ctx := t.Context()
	l := newLease(&cfg, md.VenueOKX, nc, func() {})
	leads := func() bool {
		if err := l.step(ctx); err != nil {
			t.Log(err)
		}
		_, ok := l.epoch(time.Now())
		return ok
	}
	eventually(t, "leading", leads)
	epoch := l.mine.epoch
	if _, err := l.kv.Put(ctx, l.key, encode(leaseEntry{Epoch: epoch, Holder: l.me})); err != nil { // as a renewal whose answer was lost
		t.Fatal(err)
	}
	l.held.Store(nil)
	eventually(t, "leading again", leads)
	if l.mine.epoch != epoch {
		t.Errorf("epoch %d after %d, and nobody else led", l.mine.epoch, epoch)
	}
}
