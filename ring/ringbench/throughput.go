package ringbench

import (
	"runtime"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"tickrelay/ring/md"
)

// rounds of each side of a throughput figure; the median counts.
const rounds = 5

// throughputRows measures records per second from one thread to another.
func throughputRows(d time.Duration) ([]Row, error) {
	var single, batched, channel, trips []float64
	for range rounds {
		for into, batch := range map[*[]float64]int{&single: 1, &batched: 32} {
			l, err := newLink("", "throughput")
			if err != nil {
				return nil, err
			}
			*into = append(*into, ringRate(l, batch, d/rounds))
			l.close()
		}
		channel = append(channel, channelRate(d/rounds))
		h := hdrhistogram.New(1, maxNs, 3)
		AtomicRoundTrip(d/rounds, h)
		trips = append(trips, 2e9/max(1, float64(h.ValueAtQuantile(50))))
	}
	row := func(name string, v []float64, base string, b []float64, goal string) Row {
		return NewRow(Row{Name: name, Value: median(v) / 1e6, Unit: "million records/s", Baseline: base, BaselineValue: median(b) / 1e6, Goal: goal})
	}
	return []Row{
		row("throughput, published one at a time", single, "Go channel of 4,096 records", channel, ">=2"),
		row("throughput, published 32 at a time", batched, "Go channel of 4,096 records", channel, ">=10"),
		row("throughput, published 32 at a time", batched, "atomic ping-pong, hand-overs", trips, ">=5"),
	}, nil
}

// ringRate is how many records per second go through the ring.
func ringRate(l *link, batch int, d time.Duration) float64 {
	var sent uint64
	start := time.Now()
	ended := onThread(func() {
		recs := make([]md.Record, batch)
		for end := start.Add(d); time.Now().Before(end); {
			for range 1024 {
				sent += uint64(batch)
				recs[batch-1].ID = sent
				mustPublish(l.p, recs)
			}
		}
		recs[batch-1].ID = stopPong
		mustPublish(l.p, recs)
	})
	<-onThread(func() {
		buf := make([]md.Record, 256)
		for idle := 0; ; {
			n, err := l.c.Poll(buf)
			if err != nil {
				panic(err) // both ends are ours
			}
			if n == 0 {
				if idle++; idle%spinsPerYield == 0 {
					runtime.Gosched()
				}
				continue
			}
			if buf[n-1].ID == stopPong {
				return
			}
		}
	})
	took := time.Since(start)
	<-ended
	return float64(sent) / took.Seconds()
}

// channelRate is the same through a channel of records.
func channelRate(d time.Duration) float64 {
	ch := make(chan md.Record, capacity)
	var sent uint64
	start := time.Now()
	ended := onThread(func() {
		defer close(ch)
		var rec md.Record
		for end := start.Add(d); time.Now().Before(end); {
			for range 1024 {
				sent++
				rec.ID = sent
				ch <- rec
			}
		}
	})
	<-onThread(func() {
		for range ch {
		}
	})
	took := time.Since(start)
	<-ended
	return float64(sent) / took.Seconds()
}

// costRows measures what a record costs one thread that writes and reads it.
func costRows(d time.Duration) ([]Row, error) {
	l, err := newLink("", "cost")
	if err != nil {
		return nil, err
	}
	defer l.close()
	var single, batched, channel []float64
	ch := make(chan md.Record, 1)
	recs, buf := make([]md.Record, 32), make([]md.Record, 32)
	for range rounds {
		single = append(single, nsPer(d/rounds, 1, func() { l.p.Publish(recs[:1]); l.c.Poll(buf) }))
		batched = append(batched, nsPer(d/rounds, 32, func() { l.p.Publish(recs); l.c.Poll(buf) }))
		channel = append(channel, nsPer(d/rounds, 1, func() { ch <- recs[0]; buf[0] = <-ch }))
	}
	row := func(name string, v []float64, goal string) Row {
		return NewRow(Row{Name: name, Value: median(v), P50: median(v), Unit: "ns/record", Baseline: "Go channel, send and receive", BaselineValue: median(channel), Goal: goal})
	}
	return []Row{
		row("publish and poll one record, one thread", single, "<=0.8"),
		row("publish and poll 32 records, one thread", batched, "<=0.1"),
	}, nil
}

// nsPer is how many ns one of n things takes that f does at once.
func nsPer(d time.Duration, n int, f func()) float64 {
	start, calls := time.Now(), 0
	for time.Since(start) < d {
		for range 256 {
			f()
		}
		calls += 256
	}
	return float64(time.Since(start)) / float64(calls*n)
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
