package feeds

import (
	"math/bits"
	"sync/atomic"

	"tickrelay/ring/md"
)

// HistogramBounds are the upper bounds of a Histogram's buckets in ns, each
// twice the one before, from 1 µs to 34 s; what is above all is in no bucket
// but in Count.
var HistogramBounds = func() (b [histogramBuckets]int64) {
	for i := range b {
		b[i] = 1000 << i
	}
	return b
}()

const histogramBuckets = 26

// Histogram counts latencies from the start of the process. One goroutine
// records, any may read; a reader may see a sample in one figure and not yet in
// another.
type Histogram struct {
	Buckets  [histogramBuckets]atomic.Uint64 // each without those of the lower ones
	Count    atomic.Uint64                   // samples that are not negative
	Negative atomic.Uint64                   // below zero: the clocks differ
	Sum      atomic.Int64                    // ns, of the samples that are not negative
}

func (h *Histogram) record(ns int64) {
	if ns < 0 {
		h.Negative.Add(1)
		return
	}
	h.Count.Add(1)
	h.Sum.Add(ns)
	if i := bits.Len64(uint64(max(0, ns-1)) / 1000); i < histogramBuckets {
		h.Buckets[i].Add(1)
	}
}

// ChannelLatency are the latencies of one channel's events.
type ChannelLatency struct {
	Receive Histogram // venue's time of the event to reception; events without a time are not counted
	Publish Histogram // reception to publication in the rings
}

// recordFrame counts the events of the frame just taken, received at rx and
// published by now (ns).
func (e *Engine) recordFrame(rx, now int64) {
	for i := range e.dec.Events {
		ev := &e.dec.Events[i]
		l := &e.stats.Latency[ev.Channel]
		l.Publish.record(now - rx)
		if ev.From < ev.To {
			if ts := e.dec.Recs[ev.From].TsEvent; ts != 0 {
				l.Receive.record(rx - ts)
			}
		}
	}
}

// LineWins tells how the lines of a feed compete, by index of the line as
// configured.
type LineWins struct {
	Wins  atomic.Uint64 // events of which this line was the first
	Leads atomic.Uint64 // of those, how many another line repeated as the very next
	Lead  atomic.Int64  // ns, sum over Leads of how much later the other one was
}

// index is the configured line that a connection stands for.
func (e *Engine) index(line int) int { return line % e.cfg.Slots % max(1, e.cfg.Slots/2) }

// compete counts who was first, for topics that several lines bring. before is
// Stats.Records before the event.
func (e *Engine) compete(t *topic, line int, ev *Event, recs []md.Record, before uint64) {
	if e.stats.Records.Load() != before {
		e.stats.Lines[e.index(line)].Wins.Add(1)
		t.wonBy, t.wonAt = line, e.now
		return
	}
	if t.wonAt == 0 || t.wonBy == line || len(recs) == 0 {
		return
	}
	same := recs[len(recs)-1].ID == t.lastID && t.lastID != 0
	if t.book != nil {
		same = ev.SeqLast == t.book.state.Seq && ev.SeqLast != 0
	}
	if same {
		w := &e.stats.Lines[e.index(t.wonBy)]
		w.Leads.Add(1)
		w.Lead.Add(e.now - t.wonAt)
		t.wonAt = 0
	}
}
