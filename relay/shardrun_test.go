package relay

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"tickrelay/nettune"
	"tickrelay/ring/md"
)

// moody is a stream that takes as much as it likes, or breaks.
type moody struct {
	nowhere
	r      *rand.Rand
	got    []byte
	broken bool
	closed bool
}

func (m *moody) Write(p []byte) (int, error) {
	if m.broken {
		return 0, errors.New("broken")
	}
	n := len(p)
	if m.r.IntN(3) == 0 {
		n = m.r.IntN(n + 1)
	}
	m.got = append(m.got, p[:n]...)
	if n < len(p) {
		return n, nettune.ErrWouldBlock
	}
	return n, nil
}

func (m *moody) Close() error { m.closed = true; return nil }

// TestRuns sends batches of one stream to subscribers whose sockets take parts, or
// break on the way: everybody left has every byte in order.
func TestRuns(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 30 {
		h, s, rec := fan(t, 40)
		var streams []*moody
		var formats []format
		for i, c := range s.conns {
			c.index = i
			m := &moody{r: r}
			c.stream = m
			streams, formats = append(streams, m), append(formats, c.format)
		}
		var want [numFormats][]byte
		for range 20 {
			n := 1 + r.IntN(5)
			for range n {
				rec.Seq++
				h.one[0] = *rec
				h.consume(h.one[:])
			}
			ds := s.staged
			s.staged = nil
			if !s.oneStream(ds) {
				t.Fatal("a batch of one stream goes through the queues")
			}
			for i := range ds {
				for k, f := range ds[i].frames {
					if f == nil {
						continue
					}
					want[k] = append(want[k], f.data...)
				}
			}
			if r.IntN(10) == 0 {
				streams[r.IntN(len(streams))].broken = true
			}
			s.deliverAll(ds)
			s.flushDirty()
			writable(s, r)
		}
		for len(blocked(s)) > 0 {
			writable(s, r)
		}
		left := 0
		for i, m := range streams {
			if m.broken {
				continue
			}
			left++
			if !bytes.Equal(m.got, want[formats[i]]) {
				t.Fatalf("subscriber %d got %d bytes, want %d", i, len(m.got), len(want[formats[i]]))
			}
		}
		if len(s.conns) < left || s.stats.messages[formatJSON].Load() == 0 {
			t.Fatalf("%d connections, %d whole", len(s.conns), left)
		}
	}
}

func blocked(s *shard) (out []*conn) {
	for _, c := range s.conns {
		if c.blocked {
			out = append(out, c)
		}
	}
	return out
}

// writable lets some of those that wait go on, as their events would.
func writable(s *shard, r *rand.Rand) {
	for _, c := range blocked(s) {
		if r.IntN(2) == 0 {
			s.flush(c)
		}
	}
}

// A batch of several streams, or with anything but events, is for the queues.
func TestRunsAreOfOneStream(t *testing.T) {
	_, s, _ := fan(t, 2)
	f := textFrame([]byte("x"))
	ev := func(stream uint32) delivery {
		return delivery{op: deliverEvent, stream: stream, frames: [numFormats]*frame{formatJSON: f}}
	}
	big := textFrame(make([]byte, s.limits.QueueBytes))
	for name, c := range map[string]struct {
		ds   []delivery
		want bool
	}{
		"nothing":     {nil, false},
		"one":         {[]delivery{ev(0)}, true},
		"three":       {[]delivery{ev(0), ev(0), ev(0)}, true},
		"two streams": {[]delivery{ev(0), ev(1)}, false},
		"unknown":     {[]delivery{ev(9)}, false},
		"an answer":   {[]delivery{ev(0), {op: deliverDone, conn: &conn{}}}, false},
		"too big":     {[]delivery{{op: deliverEvent, frames: [numFormats]*frame{formatBinary: big}}}, false},
		"many":        {make([]delivery, s.limits.QueueMessages+1), false},
	} {
		if got := s.oneStream(c.ds); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A tick of several events allocates its frames and nothing else.
func TestRunAllocations(t *testing.T) {
	h, s, rec := fan(t, 1000)
	var spare []delivery
	ev := make([]md.Record, 10)
	tick := func() {
		for i := range ev {
			rec.Seq++
			ev[i] = *rec
		}
		h.consume(ev)
		h.flush(t.Context())
		spare = s.inbox.take(spare)
		s.deliverAll(spare)
		s.flushDirty()
	}
	for range 10 {
		tick()
	}
	if a := testing.AllocsPerRun(100, tick); a > 40 {
		t.Errorf("%v allocations for a tick of 10 events to 1000 subscribers, want at most 4 per event", a)
	}
}
