package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// TestReloadLeases: rings attached over the control socket outlive their feeds. A
// feed that is connected anew goes on in the ring that a strategy holds, with the
// numbers that it had; one that is removed ends with a gap of each topic, for a reader
// that was slow too; one that is added gives a ring to who asks. All in one process, for the race detector.
func TestReloadLeases(t *testing.T) {
	dir := t.TempDir()
	r := &reloadRig{t: t, file: filepath.Join(dir, "relay.yaml"), socket: filepath.Join(dir, "s"), listen: "127.0.0.1:0",
		name: fmt.Sprintf("test-%d-%d", os.Getpid(), time.Now().UnixNano()%1e9),
		bin:  simulated(t, "binance", 300), okx: simulated(t, "okx", 300), bget: simulated(t, "bitget", 300)}
	r.config(0)
	cfg, err := loadConfig(r.file)
	if err != nil {
		t.Fatal(err)
	}
	relay, err := newRelayd(cfg, runOptions{file: r.file}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := relay.run(ctx); err != nil {
			t.Error(err)
		}
	})
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { // others look meanwhile
		for ctx.Err() == nil {
			_ = relay.overview()
			_ = relay.alive(ctx)
			time.Sleep(5 * time.Millisecond)
		}
	})
	var c *ring.Client
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err = ring.Dial(ctx, ring.ClientConfig{Socket: r.socket, Request: ring.AttachRequest{Strategy: "lease", Topics: []string{"okx.trades.BTC-USDT", "bitget.trades.BTC-USDT", "binance.trades.BTC-USDT"}}})
		if err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
		var refused *ring.AttachError
		if !errors.Is(err, ring.ErrNotRunning) && !errors.As(err, &refused) {
			t.Fatal(err)
		}
		if refused != nil && strings.Contains(refused.Message, "bitget") { // no feed yet
			c, err = ring.Dial(ctx, ring.ClientConfig{Socket: r.socket, Request: ring.AttachRequest{Strategy: "lease", Topics: []string{"okx.trades.BTC-USDT", "binance.trades.BTC-USDT"}}})
			if err == nil {
				break
			}
		}
	}
	defer c.Close()
	seen := &leaseWitness{t: t, c: c, last: map[string]uint64{}, live: map[md.Venue]int{}}
	seen.until(md.VenueOKX, 5)
	seen.until(md.VenueBinance, 5)
	step := func(k int) {
		t.Helper()
		r.config(k)
		done := make(chan reloadResult, 1)
		go func() { done <- relay.reload(ctx) }()
		for {
			select {
			case res := <-done:
				if len(res.Problems)+len(res.Restart) > 0 {
					t.Fatalf("%+v", res)
				}
				return
			default:
				seen.poll()
			}
		}
	}
	step(3) // okx with two lines: connected anew
	seen.until(md.VenueOKX, 5)
	step(2) // one line again, and bitget
	seen.until(md.VenueOKX, 5)
	if err := c.Rings().Subscribe(ctx, "bitget.trades.BTC-USDT"); err != nil {
		t.Fatal(err)
	}
	seen.until(md.VenueBitget, 3)
	slow, err := ring.Dial(ctx, ring.ClientConfig{Socket: r.socket, Request: ring.AttachRequest{Strategy: "slow", Topics: []string{"bitget.>"}, Capacity: 64}})
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	waitFor(t, "the slow reader's ring to overflow", func() bool {
		seen.poll()
		list, err := ring.List(filepath.Join(ring.DefaultBase, r.name))
		return err == nil && slices.ContainsFunc(list, func(in ring.Info) bool {
			return strings.HasPrefix(in.Name, "slow-") && in.Depth > in.Capacity/2 && len(in.Topics) == 2 && in.Topics[0].LostEvents > 0 && in.Topics[1].LostEvents > 0
		})
	})
	step(0) // bitget goes
	ended := &leaseWitness{t: t, c: slow, last: map[string]uint64{}, live: map[md.Venue]int{}}
	waitFor(t, "the end of both topics for the slow reader", func() bool {
		ended.poll()
		return len(ended.ended) == 2
	})
	waitFor(t, "the end of the topic", func() bool { seen.poll(); return len(seen.ended) == 1 })
	seen.until(md.VenueOKX, 5)
	if err := c.Rings().Subscribe(ctx, "binance.trades.ETH-USDT"); err != nil {
		t.Error("a lease with an ended topic:", err)
	}
	before := seen.live[md.VenueBitget]
	step(2) // and comes back, into the ring that is still held
	seen.until(md.VenueBitget, 3)
	seen.until(md.VenueBinance, 5)
	if before == 0 || c.Session() != 1 {
		t.Errorf("the client had to attach %d times", c.Session())
	}
	if seen.gaps[md.VenueBinance] != 0 || seen.gaps[md.VenueOKX] == 0 {
		t.Errorf("gaps by venue: %v", seen.gaps)
	}
}

// leaseWitness reads a client and finds numbers that are missing without a gap.
type leaseWitness struct {
	t    *testing.T
	c    *ring.Client
	recs [512]md.Record
	last map[string]uint64
	live map[md.Venue]int // numbered records that were no gaps
	gaps map[md.Venue]int
	// ended are Bitget's topics whose newest record is a gap.
	ended map[string]bool
}

func (w *leaseWitness) poll() {
	w.t.Helper()
	n, err := w.c.Poll(w.recs[:])
	if err != nil {
		w.t.Fatal(err)
	}
	if w.gaps == nil {
		w.gaps, w.ended = map[md.Venue]int{}, map[string]bool{}
	}
	for i := range w.recs[:n] {
		r := &w.recs[i]
		key := fmt.Sprint(r.Venue, r.Instrument, r.Channel())
		if delete(w.ended, key); r.Kind == md.KindGap && r.Venue == md.VenueBitget {
			w.ended[key] = true
		}
		switch {
		case r.Kind == md.KindHeartbeat && r.Side != 0:
			if last, known := w.last[key]; known && r.Seq != last {
				w.t.Errorf("%s begins again at %d after %d", key, r.Seq, last)
			}
			w.last[key] = r.Seq
		case r.Kind == md.KindHeartbeat || r.Kind == md.KindInstrument || r.Flags&md.FlagSnapshot != 0:
		default:
			first := r.Seq
			if r.Kind == md.KindGap {
				first = r.ID
			}
			if last, known := w.last[key]; known && first != last+1 {
				w.t.Errorf("%s: %d after %d", key, first, last)
			}
			w.last[key] = r.Seq
			if r.Kind == md.KindGap {
				w.gaps[r.Venue]++
			} else {
				w.live[r.Venue]++
			}
		}
	}
	if n == 0 {
		if _, err := w.c.Wait(ring.WaitBlock, 5*time.Millisecond); err != nil {
			w.t.Fatal(err)
		}
	}
}

// until reads so many more records of a venue.
func (w *leaseWitness) until(v md.Venue, more int) {
	w.t.Helper()
	want := w.live[v] + more
	for end := time.Now().Add(60 * time.Second); w.live[v] < want; w.poll() {
		if time.Now().After(end) {
			w.t.Fatalf("%d records of %s in a minute, want %d more", w.live[v], v, more)
		}
	}
}
