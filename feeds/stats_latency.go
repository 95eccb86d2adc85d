package feeds

import (
	"math/bits"
	"sync/atomic"
)

// Buckets of a latency window: values below latencySub are exact, above there
// are latencySub buckets an octave, so a percentile is at most 1/16 too high.
const (
	latencySub     = 16
	latencyMaxBits = 40 // 2^40 ns = 18 min; more counts as that
	latencyBuckets = latencySub * (latencyMaxBits - 3)
	latencySlots   = 8 // seconds kept, of which the last latencySpan are read
	latencySpan    = 5
)

// latencyWindow is a histogram of the last seconds: one goroutine records, any
// may read, none waits. It has a slot per second; a reader that meets a slot
// while it is recycled sees a part of it, which a display can bear.
type latencyWindow struct {
	slots [latencySlots]latencySlot
}

type latencySlot struct {
	second   atomic.Int64
	max      atomic.Int64
	negative atomic.Uint32
	buckets  [latencyBuckets]atomic.Uint32
}

func latencyBucket(ns int64) int {
	v := uint64(ns)
	if v < latencySub {
		return int(v)
	}
	if v >= 1<<latencyMaxBits {
		return latencyBuckets - 1
	}
	octave := bits.Len64(v) - 5 // 0 for 16 … 31
	return (octave+1)*latencySub + int(v>>octave) - latencySub
}

// latencyUpper is the largest value that falls into bucket b.
func latencyUpper(b int) int64 {
	if b < latencySub {
		return int64(b)
	}
	octave := b/latencySub - 1
	return int64(latencySub+b%latencySub+1)<<octave - 1
}

// record counts ns under the second that mono lies in. Single writer.
func (w *latencyWindow) record(mono, ns int64) {
	second := mono / 1e9
	slot := &w.slots[uint64(second)%latencySlots]
	if slot.second.Load() != second {
		slot.second.Store(-1)
		for i := range slot.buckets {
			slot.buckets[i].Store(0)
		}
		slot.negative.Store(0)
		slot.max.Store(0)
		slot.second.Store(second)
	}
	if ns < 0 {
		slot.negative.Add(1)
		return
	}
	slot.buckets[latencyBucket(ns)].Add(1)
	if ns > slot.max.Load() {
		slot.max.Store(ns)
	}
}

// read sums the last latencySpan whole or begun seconds before mono.
func (w *latencyWindow) read(mono int64) Latency {
	var sum [latencyBuckets]uint64
	var out Latency
	now := mono / 1e9
	for i := range w.slots {
		slot := &w.slots[i]
		second := slot.second.Load()
		if second > now || second <= now-latencySpan {
			continue
		}
		for b := range slot.buckets {
			n := uint64(slot.buckets[b].Load())
			sum[b] += n
			out.Count += n
		}
		out.Negative += uint64(slot.negative.Load())
		out.Max = max(out.Max, slot.max.Load())
	}
	if out.Count == 0 {
		return out
	}
	out.P50 = percentile(&sum, out.Count, 50, out.Max)
	out.P99 = percentile(&sum, out.Count, 99, out.Max)
	return out
}

// percentile returns the least bucket edge that p percent of count samples do
// not exceed.
func percentile(sum *[latencyBuckets]uint64, count uint64, p uint64, largest int64) int64 {
	rank := (count*p + 99) / 100
	for b := range sum {
		if sum[b] >= rank {
			return min(latencyUpper(b), largest)
		}
		rank -= sum[b]
	}
	return largest
}

// eventTime is the venue's time of the first live event of the last frame, 0 if
// it had none: trades of before the subscription would show as latency.
func (e *Engine) eventTime() int64 {
	for i := range e.dec.Events {
		ev := &e.dec.Events[i]
		if ev.Action == ActionUpdate && ev.From < ev.To {
			return e.dec.Recs[ev.From].TsEvent
		}
	}
	return 0
}
