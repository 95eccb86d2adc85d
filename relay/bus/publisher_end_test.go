package bus

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// TestAddAtTheEnd: a Publisher whose last feed has gone takes no other one's ring
// on its way to the end, which would be lost with it.
func TestAddAtTheEnd(t *testing.T) {
	open := func() (*ring.Segment, *ring.Consumer) {
		seg := ring.NewHeap(1024, ring.Meta{})
		c, err := ring.OpenConsumer(seg)
		if err != nil {
			t.Fatal(err)
		}
		return seg, c
	}
	segA, a := open()
	segB, b := open()
	p, err := NewPublisher(PublisherConfig{Bus: Config{URL: drain(t), NoLease: true}, Venue: md.VenueBinance, Rings: ring.NewPoller(a), Table: newTable(t, 0).View()})
	if err != nil {
		t.Fatal(err)
	}
	defer p.ctl.Close()
	defer p.data.Close()
	if !p.Add(b) {
		t.Fatal("the second feed's ring was not taken")
	}
	p.answer(time.Now())
	for i, seg := range []*ring.Segment{segA, segB} {
		if err := seg.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := p.read(); errors.Is(err, ring.ErrProducerGone) != (i == 1) {
			t.Fatalf("feed %d has gone: %v", i, err)
		}
	}
	_, late := open()
	if p.Add(late) {
		t.Error("a ring was taken by a Publisher that has ended")
	}
	p.close()
	if _, err := late.Poll(make([]md.Record, 1)); err != nil {
		t.Errorf("the ring that was not taken: %v", err)
	}
	late.Close()
}

// TestLastRecordsAreSent: what the rings hold at an orderly end goes out under the
// lease, which is given back after.
func TestLastRecordsAreSent(t *testing.T) {
	srv := natsOne(t, nil)
	cfg := testConfig(srv.URL())
	src := newSource(t, 0, 1<<12)
	src.start()
	p, err := NewPublisher(PublisherConfig{Bus: cfg, Venue: md.VenueBinance, Rings: src.rings, Table: src.table.View()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() {
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	defer run.Wait()
	defer cancel()
	eventually(t, "leading", func() bool { return p.Stats().Epoch.Load() != 0 })
	src.tick()
	eventually(t, "the first records", func() bool { return p.Stats().Records.Load() >= 4 })
	p.mu.Lock() // the loop stands still at its next look at requests
	src.tick()
	eventually(t, "the loop stands", func() bool { return p.Stats().Records.Load() >= 8 })
	for range 10 {
		src.tick()
	}
	cancel()
	for end := time.Now().Add(100 * time.Millisecond); p.lease.held.Load() != nil && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	p.mu.Unlock()
	run.Wait()
	if n := p.Stats().Records.Load(); n != 48 {
		t.Errorf("%d records sent of 48", n)
	}
}
