package feeds

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestLatencyBucketsCoverEachValueOnce(t *testing.T) {
	for b := 1; b < latencyBuckets; b++ {
		low, high := latencyUpper(b-1)+1, latencyUpper(b)
		if latencyBucket(low) != b || latencyBucket(high) != b {
			t.Fatalf("bucket %d: [%d, %d] falls into %d and %d", b, low, high, latencyBucket(low), latencyBucket(high))
		}
	}
	if got := latencyBucket(1 << 62); got != latencyBuckets-1 {
		t.Errorf("an absurd value falls into %d", got)
	}
}

func TestLatencyPercentilesAgainstSorting(t *testing.T) {
	var w latencyWindow
	rng := rand.New(rand.NewPCG(1, 2))
	var all []int64
	for range 20_000 {
		v := int64(rng.ExpFloat64() * 50_000)
		all = append(all, v)
		w.record(7e9, v)
	}
	slices.Sort(all)
	got := w.read(7e9)
	for _, c := range []struct {
		name      string
		got, want int64
	}{{"p50", got.P50, all[len(all)/2-1]}, {"p99", got.P99, all[len(all)*99/100-1]}} {
		if c.got < c.want || float64(c.got) > float64(c.want)*17/16+1 {
			t.Errorf("%s is %d, sorting gives %d", c.name, c.got, c.want)
		}
	}
	if got.Max != all[len(all)-1] || got.Count != uint64(len(all)) {
		t.Errorf("max %d count %d, want %d %d", got.Max, got.Count, all[len(all)-1], len(all))
	}
}

func TestLatencyWindowForgetsOldSeconds(t *testing.T) {
	var w latencyWindow
	w.record(1e9, 100)
	w.record(2e9, -5)
	if got := w.read(5e9); got.Count != 1 || got.Negative != 1 {
		t.Errorf("after 4 s: %+v", got)
	}
	if got := w.read(6e9); got.Count != 0 || got.Negative != 1 {
		t.Errorf("after 5 s: %+v", got)
	}
	w.record((1+latencySlots)*1e9, 7) // recycles the first slot
	if got := w.read((1 + latencySlots) * 1e9); got.Count != 1 || got.P50 != 7 {
		t.Errorf("recycled slot: %+v", got)
	}
}

func TestLatencyRecordDoesNotAllocate(t *testing.T) {
	var w latencyWindow
	now := int64(0)
	if n := testing.AllocsPerRun(1000, func() { now += 1e7; w.record(now, now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLatencyRecord(b *testing.B) {
	var w latencyWindow
	now := int64(0)
	for b.Loop() {
		now += 1000
		w.record(now, now&0xfffff)
	}
}
