package ring

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"tickrelay/ring/md"
)

// modelReader is one ring with its consumer and its judge.
type modelReader struct {
	seg   *Segment
	want  func(uint32, md.Channel) bool
	prod  *Producer
	cons  *Consumer
	check *checker
	stall int
	total int
	gaps  int
}

func (m *modelReader) open(t *testing.T, w *world) {
	t.Helper()
	c, err := OpenConsumer(m.seg)
	if err != nil {
		t.Fatal(err)
	}
	m.cons, m.check = c, newChecker(w)
}

func (m *modelReader) read(t *testing.T, buf []md.Record, lend bool) (n int) {
	t.Helper()
	var err error
	if lend {
		n, err = m.cons.Lend(len(buf), m.check.take)
	} else if n, err = m.cons.Poll(buf); n > 0 {
		m.check.take(buf[:n])
	}
	if err != nil {
		t.Fatal(err)
	}
	if m.check.worst != nil {
		t.Fatal(m.check.worst.msg)
	}
	m.total += n
	return n
}

var everyChannel = []md.Channel{md.ChannelBook, md.ChannelTrades, md.ChannelBBO, md.ChannelTicker, md.ChannelFunding}

// TestModel drives a Publisher and several readers in random order, with
// stalls, re-attachments, gaps and changes of exponents, and holds every reader
// to the promises of docs/ring.md. A failing seed fails again.
func TestModel(t *testing.T) {
	seeds := 60
	if testing.Short() {
		seeds = 10
	}
	var total, gaps, snaps, overruns int
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			readers := runModel(t, uint64(seed), 3000)
			for _, m := range readers {
				total += m.total
				gaps += m.gaps + m.check.gaps
				snaps += m.check.snaps
				overruns += int(m.seg.Counters().Overruns)
			}
		})
	}
	if gaps == 0 || snaps == 0 || overruns == 0 {
		t.Fatalf("the model never got interesting: %d gaps, %d snapshots, %d overruns", gaps, snaps, overruns)
	}
	t.Logf("%d records read, %d gaps, %d snapshots at the end, %d overruns", total, gaps, snaps, overruns)
}

func runModel(t *testing.T, seed uint64, steps int) []*modelReader {
	w := newWorld(seed, 3, everyChannel...)
	wants := []func(uint32, md.Channel) bool{
		nil,
		func(_ uint32, ch md.Channel) bool { return ch == md.ChannelBook },
		func(in uint32, ch md.Channel) bool { return in == 101 && ch != md.ChannelTrades },
	}
	var readers []*modelReader
	for i, want := range wants {
		m := &modelReader{seg: NewHeap(64<<w.rnd.IntN(5), Meta{Name: fmt.Sprint("m", i)}), want: want}
		m.prod, _ = w.pub.Attach(m.seg, want)
		m.open(t, w)
		readers = append(readers, m)
	}
	buf := make([]md.Record, 97)
	for range steps {
		w.step()
		if w.rnd.IntN(4) == 0 {
			w.pub.Turn(w.tick())
		}
		for _, m := range readers {
			m.act(t, w, buf)
		}
	}
	for _, m := range readers {
		for idle := 0; idle < 4; idle++ {
			w.turns()
			for m.read(t, buf, false) > 0 {
				w.turns()
				idle = 0
			}
		}
		if m.check.settled(m.want); m.check.worst != nil {
			t.Fatalf("capacity %d: %s", m.seg.Capacity(), m.check.worst.msg)
		}
		if w.pub.Due() {
			// Another reader may still have to read; this one must not.
			if m.prod.attention.n > 0 || m.prod.dueBook() {
				t.Fatal("work is left for a ring that was drained")
			}
		}
	}
	return readers
}

// act lets a consumer read, stall, or be replaced by another one.
func (m *modelReader) act(t *testing.T, w *world, buf []md.Record) {
	switch k := w.rnd.IntN(1000); {
	case m.stall > 0:
		m.stall--
	case k < 20:
		m.stall = w.rnd.IntN(400)
	case k < 25:
		m.gaps += m.check.gaps
		if err := m.cons.Close(); err != nil {
			t.Fatal(err)
		}
		m.open(t, w)
	case k < 30:
		m.choose(t, w, buf)
	case k < 600:
		m.read(t, buf[:1+w.rnd.IntN(len(buf))], k%2 == 0)
	}
}

// choose changes the ring's topics. What was written of topics that end still
// comes, so it is read before the judge forgets them.
func (m *modelReader) choose(t *testing.T, w *world, buf []md.Record) {
	ch := everyChannel[w.rnd.IntN(len(everyChannel))]
	m.want = func(_ uint32, c md.Channel) bool { return c != ch }
	for m.read(t, buf, false) > 0 {
	}
	w.pub.Flush()
	for m.read(t, buf, false) > 0 {
	}
	w.pub.Select(m.prod, m.want)
	for key, rt := range m.check.topics {
		if key.channel == ch {
			*rt = readTopic{t: rt.t, values: map[int]md.Record{}}
		}
	}
}

// TestModelConcurrent has one goroutine per consumer, for the race detector.
func TestModelConcurrent(t *testing.T) {
	const readers, steps = 2, 20_000
	w := newWorld(99, 2, everyChannel...)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	results := make([][]md.Record, readers)
	var segs []*Segment
	for i := range readers {
		seg := NewHeap(1024, Meta{Name: "c"})
		segs = append(segs, seg)
		if _, err := w.pub.Attach(seg, nil); err != nil {
			t.Fatal(err)
		}
		c, err := OpenConsumer(seg)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { results[i] = collect(t, c, WaitMode(1+i), rand.New(rand.NewPCG(uint64(i), 3)), stop) })
	}
	for i := range steps {
		w.step()
		if i%3 == 0 {
			w.pub.Turn(w.tick())
		}
	}
	deadline := time.Now().Add(20 * time.Second)
	for w.pub.Turn(w.tick()) || w.pub.Due() || segs[0].Info().Depth+segs[1].Info().Depth > 0 {
		if time.Now().After(deadline) {
			t.Fatal("the readers never caught up")
		}
		time.Sleep(100 * time.Microsecond)
	}
	close(stop)
	wg.Wait()
	for i, recs := range results {
		c := newChecker(w)
		for in := range c.genAt {
			c.genAt[in] = 0 // attached before the first change
		}
		c.take(recs)
		if c.settled(nil); c.worst != nil {
			t.Errorf("reader %d: %s", i, c.worst.msg)
		}
		t.Logf("reader %d: %d records, %d gaps, %d wakes", i, c.records, c.gaps, segs[i].Counters().Wakes)
	}
}

// collect reads with random pauses until stop is closed and nothing is left.
func collect(t *testing.T, c *Consumer, mode WaitMode, rnd *rand.Rand, stop chan struct{}) (out []md.Record) {
	buf := make([]md.Record, 64)
	for {
		n, err := c.Poll(buf)
		if err != nil {
			t.Error(err)
			return out
		}
		out = append(out, buf[:n]...)
		if rnd.IntN(200) == 0 {
			time.Sleep(time.Duration(rnd.IntN(1000)) * time.Microsecond)
		}
		if n > 0 {
			continue
		}
		if ok, err := c.Wait(mode, 5*time.Millisecond); err != nil {
			t.Error(err)
			return out
		} else if !ok {
			select {
			case <-stop:
				return out
			default:
			}
		}
	}
}
