package ring

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// rig is a Publisher with one topic per channel of one instrument.
func rig(channels ...md.Channel) (*world, []*truth) {
	w := newWorld(1, 1, channels...)
	return w, w.topics
}

func attachRing(t *testing.T, w *world, capacity int) (*Producer, *Consumer) {
	t.Helper()
	p, err := w.pub.Attach(NewHeap(capacity, Meta{Name: "r"}), nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := OpenConsumer(p.Segment())
	if err != nil {
		t.Fatal(err)
	}
	w.turns()
	return p, c
}

// drain reads everything that comes, letting the publisher's loop run.
func drain(t *testing.T, w *world, c *Consumer) (out []md.Record) {
	t.Helper()
	buf := make([]md.Record, 512)
	for idle := 0; idle < 3; idle++ {
		w.turns()
		for {
			n, err := c.Poll(buf)
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
			out, idle = append(out, buf[:n]...), 0
		}
	}
	return out
}

// describe gives records as short text, for tables.
func describe(recs []md.Record) (out []string) {
	for i := range recs {
		r := &recs[i]
		s := r.Kind.String()
		switch {
		case r.Kind == md.KindBook && r.Side == md.SideClear:
			s = "clear"
		case r.Kind == md.KindBook && r.Side == md.SideEnd:
			s = "end"
		case r.Kind == md.KindHeartbeat:
			s += " " + md.Channel(r.Side).String()
		case r.Kind == md.KindGap:
			s += " " + md.GapReason(r.Level).String()
		}
		if r.Flags&md.FlagSnapshot != 0 {
			s += " S"
		}
		if r.Flags&md.FlagRecovered != 0 {
			s += " R"
		}
		out = append(out, s)
	}
	return out
}

func wantText(t *testing.T, got []md.Record, want ...string) {
	t.Helper()
	if d := describe(got); !slices.Equal(d, want) {
		t.Fatalf("got  %q\nwant %q", d, want)
	}
}

func TestStartOfSession(t *testing.T) {
	w, ts := rig(md.ChannelBook, md.ChannelTrades, md.ChannelBBO)
	w.rebuild(ts[0], 1)
	w.event(ts[1], 1)
	w.event(ts[2], 2)
	_, c := attachRing(t, w, 1024)
	all, book, trades, bbo := "heartbeat "+md.ChannelAll.String(), "heartbeat book", "heartbeat trades", "heartbeat bbo"
	wantText(t, drain(t, w, c), all, book, "clear S", trades, bbo, "bbo S", "bbo S", "book S", "end S")

	w.gap(ts[0])
	w.gap(ts[2])
	w.event(ts[1], 1)
	wantText(t, drain(t, w, c), "gap sequence", "gap sequence", "trade")

	// Who comes now gets the gaps first, and nothing that may be wrong.
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := OpenConsumer(c.seg)
	if err != nil {
		t.Fatal(err)
	}
	wantText(t, drain(t, w, c), all, book, "gap sequence S", trades, bbo, "gap sequence S")

	w.event(ts[2], 2)
	w.rebuild(ts[0], 1)
	wantText(t, drain(t, w, c), "bbo R", "bbo R", "clear S", "book S", "end S")
}

func TestInstrumentAndClearComeTogether(t *testing.T) {
	w, ts := rig(md.ChannelBook, md.ChannelTrades)
	w.rebuild(ts[0], 1)
	_, c := attachRing(t, w, 1024)
	drain(t, w, c)
	w.changeExponents(w.instrs[0])
	w.event(ts[0], 1)
	w.event(ts[1], 1)
	w.pub.Flush()
	wantText(t, drain(t, w, c)[:4], "instrument", "clear S", "book", "trade")
}

// TestStalledReader wants a reader that stops to lose exactly what it was told
// that it lost, to get fresh state, and to cost the other reader nothing.
func TestStalledReader(t *testing.T) {
	w, ts := rig(md.ChannelTrades, md.ChannelBBO)
	_, stalled := attachRing(t, w, 64)
	_, other := attachRing(t, w, 4096)
	drain(t, w, stalled)
	drain(t, w, other)
	const events = 1000
	for range events {
		w.event(ts[0], 1)
		w.event(ts[1], 2)
		w.pub.Flush()
		w.now = testEpoch + 1e7 // no heartbeat falls due
	}
	if got := drain(t, w, other); len(got) != 3*events {
		t.Fatalf("the other reader got %d records, want %d", len(got), 3*events)
	}
	got := drain(t, w, stalled)
	var live, lost uint64
	for _, r := range got {
		switch {
		case r.Kind == md.KindGap:
			lost += uint64(r.Count)
			if uint64(r.Count) != r.Seq-r.ID+1 || r.Level != uint8(md.GapOverrun) {
				t.Errorf("gap %+v", r)
			}
		case r.Flags&md.FlagSnapshot == 0:
			live++
		}
	}
	if live+lost != 3*events || lost == 0 {
		t.Fatalf("%d read + %d lost, want %d", live, lost, 3*events)
	}
	wantText(t, got[len(got)-4:], "gap overrun", "bbo S", "bbo S", "gap overrun")
	in := stalled.seg.Info()
	if in.Counters.LostRecords != lost || in.Topics[0].LostRecords+in.Topics[1].LostRecords != lost || in.Topics[0].Overruns != 1 {
		t.Fatalf("counters %+v %+v, want %d lost", in.Counters, in.Topics, lost)
	}
}

// TestHugeBookIntoSmallRing sends a book of 46,000 levels through a ring of 256,
// with live updates beside the snapshot.
func TestHugeBookIntoSmallRing(t *testing.T) {
	w, ts := rig(md.ChannelBook)
	b := ts[0]
	for i := range int64(23_000) {
		b.book.Set(md.SideBid, book.Level{Price: 50_000 - i, Size: 1 + i})
		b.book.Set(md.SideAsk, book.Level{Price: 50_001 + i, Size: 1 + i})
	}
	b.built = true
	w.pub.Rebuilt(b.id, w.tick())
	p, c := attachRing(t, w, 256)
	check := newChecker(w)
	buf := make([]md.Record, 100)
	largest := uint64(0)
	for loops := 0; check.snaps == 0; loops++ {
		if loops > 20_000 {
			t.Fatal("the snapshot never ended")
		}
		before := atomic.LoadUint64(&p.seg.hdr.head)
		w.pub.Turn(w.tick())
		largest = max(largest, atomic.LoadUint64(&p.seg.hdr.head)-before)
		if loops%5 == 0 {
			w.event(b, 1+w.rnd.IntN(3))
			w.pub.Flush()
		}
		n, err := c.Poll(buf)
		if err != nil {
			t.Fatal(err)
		}
		check.take(buf[:n])
	}
	check.take(drain(t, w, c))
	if check.settled(nil); check.worst != nil {
		t.Fatal(check.worst.msg)
	}
	if largest > levelsPerTurn+8 {
		t.Fatalf("one turn wrote %d records", largest)
	}
	// One event of more than a quarter of the ring: a gap, and a new snapshot.
	w.event(b, 65)
	w.pub.Flush()
	got := drain(t, w, c)
	check.take(got)
	if check.settled(nil); check.worst != nil {
		t.Fatal(check.worst.msg)
	}
	if got[0].Kind != md.KindGap || got[0].Count != 65 || got[1].Side != md.SideClear {
		t.Fatalf("large event became %q", describe(got[:2]))
	}
}

func TestHostileIndices(t *testing.T) {
	for name, spoil := range map[string]func(*Segment){
		"tail beyond head":  func(s *Segment) { atomic.AddUint64(&s.ctl.tail, 1<<20) },
		"tail far behind":   func(s *Segment) { atomic.StoreUint64(&s.ctl.tail, 1<<63) },
		"generation racing": func(s *Segment) { atomic.AddUint64(&s.ctl.attachGen, 1<<40) },
	} {
		t.Run(name, func(t *testing.T) {
			w, ts := rig(md.ChannelTrades)
			bad, _ := attachRing(t, w, 64)
			_, good := attachRing(t, w, 4096)
			drain(t, w, good)
			spoil(bad.Segment())
			for range 200 {
				w.event(ts[0], 1)
				w.pub.Turn(w.tick())
			}
			if got := drain(t, w, good); len(got) != 200 {
				t.Fatalf("the good reader got %d records", len(got))
			}
			if name != "generation racing" && (!errors.Is(bad.Err(), ErrCorrupt) || bad.Segment().Info().State != "broken") {
				t.Fatalf("err %v, state %s", bad.Err(), bad.Segment().Info().State)
			}
		})
	}
}

func TestDetachDrainsThenGone(t *testing.T) {
	w, ts := rig(md.ChannelTrades)
	p, c := attachRing(t, w, 64)
	w.event(ts[0], 3)
	w.pub.Detach(p) // what was staged is still handed over
	buf := make([]md.Record, 64)
	if n, err := c.Poll(buf); n != 5 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if _, err := c.Poll(buf); !errors.Is(err, ErrProducerGone) {
		t.Fatal(err)
	}
	if ok, err := c.Wait(WaitBlock, time.Second); ok || !errors.Is(err, ErrProducerGone) {
		t.Fatal(ok, err)
	}
	if _, err := w.pub.Attach(p.Segment(), nil); err != nil {
		t.Fatal(err)
	}
	if n := len(p.Segment().Topics()); n != 1 {
		t.Fatalf("%d topic entries after a second attach", n)
	}
}

func TestBusy(t *testing.T) {
	w, _ := rig(md.ChannelTrades)
	p, c := attachRing(t, w, 64)
	if _, err := w.pub.Attach(p.Segment(), nil); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	if _, err := OpenConsumer(c.seg); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	if c.Close(); c.Close() != nil {
		t.Error("second Close")
	}
	if _, err := c.Poll(make([]md.Record, 1)); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func TestWait(t *testing.T) {
	for mode, name := range map[WaitMode]string{WaitSpin: "spin", WaitYield: "yield", WaitBlock: "block"} {
		t.Run(name, func(t *testing.T) {
			w, ts := rig(md.ChannelTrades)
			_, c := attachRing(t, w, 64)
			drain(t, w, c)
			if ok, err := c.Wait(mode, 2*time.Millisecond); ok || err != nil {
				t.Fatal(ok, err)
			}
			go func() { time.Sleep(20 * time.Millisecond); c.Interrupt() }()
			if ok, err := c.Wait(mode, -1); ok || err != nil {
				t.Fatal(ok, err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				time.Sleep(20 * time.Millisecond)
				for i := 0; mode == WaitBlock && !c.seg.Info().Sleeping && i < 5000; i++ {
					time.Sleep(time.Millisecond) // a busy machine takes its time
				}
				w.event(ts[0], 1)
				w.pub.Flush()
			}()
			if ok, err := NewPoller(c).Wait(mode, -1); !ok || err != nil {
				t.Fatal(ok, err)
			}
			<-done
			if wakes := c.seg.Counters().Wakes; (wakes > 0) != (mode == WaitBlock) {
				t.Errorf("%d system calls to wake the reader", wakes)
			}
		})
	}
}

// TestNoLostWake: what comes between the last look and the sleep is seen.
func TestNoLostWake(t *testing.T) {
	w, ts := rig(md.ChannelTrades)
	_, c := attachRing(t, w, 64)
	drain(t, w, c)
	if !c.prepareSleep() {
		t.Fatal("no sleep although nothing is there")
	}
	w.event(ts[0], 1)
	w.pub.Flush()
	if c.seg.Counters().Wakes != 1 {
		t.Error("a sleeping reader was not woken")
	}
	if c.prepareSleep() {
		t.Error("sleeps although a record is there")
	}
}

func TestNoAllocations(t *testing.T) {
	w, ts := rig(md.ChannelBook, md.ChannelBBO)
	w.rebuild(ts[0], 50)
	_, c := attachRing(t, w, 4096)
	_, slow := attachRing(t, w, 64) // always overrun and resumed
	_, _ = slow, c
	evs := []md.Record{w.record(ts[1], 0, w.now), w.record(ts[1], 1, w.now)}
	level := []md.Record{w.record(ts[0], 0, w.now)}
	buf := make([]md.Record, 64)
	p := NewPoller(c)
	run := func() {
		for range 3 {
			w.pub.Publish(ts[1].id, evs)
			w.pub.Publish(ts[0].id, level)
		}
		w.pub.Flush()
		for n := 1; n > 0; {
			n, _ = p.Poll(buf)
		}
	}
	if n := testing.AllocsPerRun(1000, run); n != 0 {
		t.Errorf("publish, flush, poll: %v allocations", n)
	}
	all := func() {
		run()
		w.pub.Gap(ts[0].id, md.GapSequence, 1, w.now)
		w.pub.Rebuilt(ts[0].id, w.now)
		w.pub.Turn(w.tick())
		slow.Lend(40, func([]md.Record) {})
		c.Wait(WaitBlock, 0)
	}
	if n := testing.AllocsPerRun(1000, all); n != 0 {
		t.Errorf("gaps, overruns, turns, snapshots: %v allocations", n)
	}
}
