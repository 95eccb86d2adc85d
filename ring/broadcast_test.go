package ring

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tickrelay/ring/md"
)

// TestBroadcastModel has readers of very different speed judge one ring, as
// TestModel does for a ring each.
func TestBroadcastModel(t *testing.T) {
	seeds := 30
	if testing.Short() {
		seeds = 5
	}
	var missed, gaps, snaps uint64
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWorld(uint64(seed), 3, everyChannel...)
			seg := NewHeap(MinBroadcast, Meta{Broadcast: true})
			if _, err := w.pub.Attach(seg, nil); err != nil {
				t.Fatal(err)
			}
			var rs []*castReader
			for i := range 3 {
				rs = append(rs, newCastReader(t, w, seg, []int{1, 60, 1500}[i]))
			}
			for range 4000 {
				w.step()
				if w.rnd.IntN(4) == 0 {
					w.now += rejoinEvery / 4
					w.pub.Turn(w.tick())
				}
				for _, r := range rs {
					if w.rnd.IntN(r.every) == 0 {
						r.read(t, 1+w.rnd.IntN(20))
					}
				}
			}
			for _, r := range rs {
				for idle := 0; idle < 20; idle++ {
					w.now += rejoinEvery
					w.turns()
					if r.read(t, 1000) > 0 {
						idle = 0
					}
				}
				if r.check.settled(nil); r.check.worst != nil {
					t.Fatalf("reader %d: %s", r.every, r.check.worst.msg)
				}
				missed += r.Missed()
				gaps += uint64(r.check.gaps)
				snaps += uint64(r.check.snaps)
			}
			if rs[0].Missed() != 0 {
				t.Fatalf("the fastest reader missed %d records", rs[0].Missed())
			}
			if n := len(seg.Info().Readers); n != 3 {
				t.Fatalf("%d readers are shown", n)
			}
		})
	}
	if missed == 0 || gaps == 0 || snaps == 0 {
		t.Fatalf("nobody was lapped: %d missed, %d gaps, %d snapshots", missed, gaps, snaps)
	}
	t.Logf("%d records missed, %d gaps, %d snapshots", missed, gaps, snaps)
}

// castReader is a reader with its judge; it reads one time in every.
type castReader struct {
	*BroadcastReader
	check *checker
	every int
	seen  uint32
	buf   []md.Record
}

func newCastReader(t *testing.T, w *world, seg *Segment, every int) *castReader {
	t.Helper()
	r, err := NewBroadcastReader(seg)
	if err != nil {
		t.Fatal(err)
	}
	c := newChecker(w)
	c.cast = true
	return &castReader{BroadcastReader: r, check: c, every: every, buf: make([]md.Record, 301)}
}

func (r *castReader) read(t *testing.T, polls int) (total int) {
	t.Helper()
	for range polls {
		n, err := r.Poll(r.buf)
		if err != nil {
			t.Fatal(err)
		}
		if r.session != r.seen { // an event may have been cut short
			r.seen, r.check.open = r.session, nil
		}
		r.check.take(r.buf[:n])
		if r.check.worst != nil {
			t.Fatalf("reader %d: %s", r.every, r.check.worst.msg)
		}
		total += n
	}
	return total
}

// TestBroadcastProcesses: a producer that never stops, readers of every speed
// in shared memory, each record checked whole. What a reader got, was told of
// and skipped must add up.
func TestBroadcastProcesses(t *testing.T) {
	dir := shmDir(t)
	seg, err := CreateShm(dir, "b", MinBroadcast, Meta{Broadcast: true}, Perm{})
	if err != nil {
		t.Fatal(err)
	}
	defer seg.Close()
	pub := NewPublisher(PublisherConfig{Venue: md.VenueOKX})
	topic := pub.AddTopic(7, md.ChannelTrades, nil)
	if _, err := pub.Attach(seg, nil); err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	var feed, readers sync.WaitGroup
	feed.Go(func() {
		evs := make([]md.Record, 16)
		for n := 0; !stop.Load(); n++ {
			for i := range evs {
				evs[i] = signed(pub.TopicSeq(topic) + 1 + uint64(i))
			}
			pub.Publish(topic, evs)
			pub.Turn(time.Now().UnixNano())
			if n%64 == 0 {
				time.Sleep(50 * time.Microsecond)
			}
		}
	})
	sums := make([]follower, 3)
	missed := make([]uint64, 3)
	for i := range sums {
		readers.Go(func() {
			r, err := OpenBroadcast(dir, "b")
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Close()
			buf := make([]md.Record, 600)
			for until := time.Now().Add(time.Second); time.Now().Before(until); {
				if _, err := r.Wait(WaitMode(i), time.Second); err != nil {
					t.Error(err)
					return
				}
				n, err := r.Poll(buf)
				if err == nil {
					err = sums[i].take(buf[:n])
				}
				if err != nil {
					t.Errorf("reader %d: %v", i, err)
					return
				}
				if i == 2 {
					time.Sleep(2 * time.Millisecond)
				}
			}
			missed[i] = r.Missed()
		})
	}
	time.Sleep(300 * time.Millisecond)
	if in, err := Stat(dir, "b"); err != nil || !in.Broadcast || len(in.Readers) != 3 {
		t.Errorf("%+v, %v", in, err)
	}
	readers.Wait()
	if in, err := Stat(dir, "b"); err != nil || len(in.Readers) != 0 {
		t.Errorf("%+v, %v", in, err)
	}
	stop.Store(true)
	feed.Wait()
	for i, f := range sums {
		if f.trades == 0 || f.lost > missed[i] {
			t.Errorf("reader %d: %d trades, %d named lost, %d records missed", i, f.trades, f.lost, missed[i])
		}
		t.Logf("reader %d: %d trades, %d named lost, %d records missed", i, f.trades, f.lost, missed[i])
	}
	if sums[2].lost == 0 {
		t.Error("the slow reader was never lapped")
	}
}

// TestBroadcastRefusals: the two kinds of ring are not taken for one another.
func TestBroadcastRefusals(t *testing.T) {
	dir := shmDir(t)
	cast, err := CreateShm(dir, "cast", 10, Meta{Broadcast: true}, Perm{})
	if err != nil || cast.Capacity() != MinBroadcast {
		t.Fatal(cast, err)
	}
	single, err := CreateShm(dir, "single", 64, Meta{}, Perm{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Segment{cast, single} {
		if p, err := NewProducer(s); err != nil || p == nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(dir, "cast"); !errors.Is(err, ErrFormat) {
		t.Error(err)
	}
	if _, err := OpenBroadcast(dir, "single"); !errors.Is(err, ErrFormat) {
		t.Error(err)
	}
	var rs []*BroadcastReader
	for range castReaders {
		r, err := OpenBroadcast(dir, "cast")
		if err != nil {
			t.Fatal(err)
		}
		rs = append(rs, r)
	}
	if _, err := OpenBroadcast(dir, "cast"); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	if err := errors.Join(rs[5].Close(), rs[5].Close()); err != nil {
		t.Error(err)
	}
	again, err := OpenBroadcast(dir, "cast")
	if err != nil {
		t.Fatal(err)
	}
	rs[5] = again
	if _, err := again.Poll(make([]md.Record, 1)); err == nil {
		t.Error("no room, no error")
	}
	cast.Close()
	if _, err := again.Wait(WaitBlock, time.Second); !errors.Is(err, ErrProducerGone) {
		t.Error(err)
	}
	for _, r := range rs {
		r.Close()
	}
	single.Close()
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(slices.Compact(left)) != 0 {
		t.Error(left)
	}
}

// TestBroadcastAllocs: neither side allocates in steady state.
func TestBroadcastAllocs(t *testing.T) {
	seg := NewHeap(MinBroadcast, Meta{Broadcast: true})
	pub := NewPublisher(PublisherConfig{Venue: md.VenueOKX})
	topic := pub.AddTopic(7, md.ChannelTrades, nil)
	pub.Attach(seg, nil)
	r, err := NewBroadcastReader(seg)
	if err != nil {
		t.Fatal(err)
	}
	recs, buf := []md.Record{signed(1), signed(2)}, make([]md.Record, 64)
	pub.Turn(time.Now().UnixNano())
	r.Poll(buf)
	if a := testing.AllocsPerRun(500, func() { pub.Publish(topic, recs); pub.Flush(); r.Poll(buf) }); a != 0 {
		t.Errorf("%v allocations", a)
	}
}

// polled returns all records that a reader can have now.
func polled(t *testing.T, r *BroadcastReader) (out []md.Record) {
	t.Helper()
	buf := make([]md.Record, 512)
	for {
		n, err := r.Poll(buf)
		if err != nil {
			t.Fatal(err)
		}
		if out = append(out, buf[:n]...); n == 0 {
			return out
		}
	}
}

// TestBroadcastJoinsSuppressed: whoever joins while a topic is suppressed is told
// of it, and those who were there hear of the loss.
func TestBroadcastJoinsSuppressed(t *testing.T) {
	seg := NewHeap(4*MinBroadcast, Meta{Broadcast: true})
	pub := NewPublisher(PublisherConfig{Venue: md.VenueOKX, Epoch: 5})
	var last TopicID
	for i := range uint32(tellsPerTurn + 8) {
		last = pub.AddTopic(i, md.ChannelTrades, nil)
	}
	_, err := pub.Attach(seg, nil)
	must(t, err)
	there, err := NewBroadcastReader(seg)
	must(t, err)
	pub.Turn(1)
	pub.Turn(2)
	polled(t, there)
	joins, err := NewBroadcastReader(seg)
	must(t, err)
	now := 2 * rejoinEvery
	pub.Turn(now) // tells all topics but the last ones
	big := make([]md.Record, seg.Capacity()/4+1)
	for i := range big {
		big[i] = signed(uint64(i) + 1)
	}
	pub.Publish(last, big)
	pub.Flush()
	pub.Turn(now + 1)
	pub.Publish(last, []md.Record{signed(9)})
	pub.Turn(now + 2)
	for name, r := range map[string]*BroadcastReader{"there": there, "joins": joins} {
		c := chain{map[topicKey]uint64{}, map[topicKey]int{}, 0}
		key := topicKey{uint32(last), md.ChannelTrades}
		if r == there {
			c.next[key] = 1
		}
		for _, rec := range polled(t, r) {
			if rec.Instrument == uint32(last) && rec.Channel() == md.ChannelTrades {
				c.take(t, []md.Record{rec})
			}
		}
		if want := uint64(len(big)) + 2; c.next[key] != want || c.told != 1 || r == there && c.gaps[key] != 1 {
			t.Errorf("%s: %+v, want the next number %d", name, c, want)
		}
	}
}

// TestBroadcastJoinsAfterClockStep: a clock that was set back does not keep
// readers out.
func TestBroadcastJoinsAfterClockStep(t *testing.T) {
	seg := NewHeap(0, Meta{Broadcast: true})
	pub := NewPublisher(PublisherConfig{Venue: md.VenueOKX, Epoch: 5})
	pub.AddTopic(7, md.ChannelTrades, nil)
	_, err := pub.Attach(seg, nil)
	must(t, err)
	now := int64(time.Hour)
	for range 3 {
		r, err := NewBroadcastReader(seg)
		must(t, err)
		pub.Turn(now)
		if recs := polled(t, r); len(recs) != 2 {
			t.Fatalf("at %d: %d records, want two heartbeats", now, len(recs))
		}
		now -= int64(10 * time.Minute)
	}
}
