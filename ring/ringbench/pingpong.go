package ringbench

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

const (
	spinsPerYield = 2000 // a thread that waits longer lets others run: there may be no free core
	stopPong      = 1<<64 - 1
	maxNs         = int64(10 * time.Second)
)

// roundTripRows measures a record going there and back between two threads.
func roundTripRows(d time.Duration) ([]Row, error) {
	dir, done, err := shmDir()
	if err != nil {
		return nil, err
	}
	defer done()
	var rows []Row
	for _, place := range []struct{ name, dir string }{{"heap", ""}, {"shared memory, two mappings", dir}} {
		base, ours := hdrhistogram.New(1, maxNs, 3), hdrhistogram.New(1, maxNs, 3)
		dx, err := newDuplex(place.dir)
		if err != nil {
			return nil, err
		}
		for range 4 { // in turn, so that noise hits both
			AtomicRoundTrip(d/4, base)
			ringRoundTrip(dx, d/4, ours)
		}
		dx.close()
		rows = append(rows, NewRow(Row{
			Name: "round trip of one record, two threads, " + place.name, Unit: "ns",
			Value: float64(ours.ValueAtQuantile(50)), P50: float64(ours.ValueAtQuantile(50)),
			P99: float64(ours.ValueAtQuantile(99)), P999: float64(ours.ValueAtQuantile(99.9)),
			Baseline: "atomic ping-pong, p50", BaselineValue: float64(base.ValueAtQuantile(50)), Goal: "<=2.5",
		}))
	}
	return rows, nil
}

// RingRoundTrip records round trips in ns between two locked OS threads over
// two rings on the heap, for d.
func RingRoundTrip(d time.Duration, into *hdrhistogram.Histogram) error {
	dx, err := newDuplex("")
	if err != nil {
		return err
	}
	defer dx.close()
	ringRoundTrip(dx, d, into)
	return nil
}

func ringRoundTrip(dx *duplex, d time.Duration, into *hdrhistogram.Histogram) {
	ended := onThread(func() {
		buf := make([]md.Record, 1)
		for {
			pollOne(dx.there.c, buf)
			mustPublish(dx.back.p, buf)
			if buf[0].ID == stopPong {
				return
			}
		}
	})
	<-onThread(func() {
		buf := make([]md.Record, 1)
		trip := func(id uint64) {
			buf[0].ID = id
			mustPublish(dx.there.p, buf)
			pollOne(dx.back.c, buf)
		}
		repeat(d, into, trip)
		trip(stopPong)
	})
	<-ended
}

// AtomicRoundTrip records round trips in ns of a number between two locked OS
// threads that each write one cache line and read the other's, for d: what the
// machine can do at best.
func AtomicRoundTrip(d time.Duration, into *hdrhistogram.Histogram) {
	var there, back struct {
		_ [128]byte
		v atomic.Uint64
		_ [128]byte
	}
	await := func(w *atomic.Uint64, old uint64) (v uint64) {
		for n := 1; ; n++ {
			if v = w.Load(); v != old {
				return v
			}
			if n%spinsPerYield == 0 {
				runtime.Gosched()
			}
		}
	}
	ended := onThread(func() {
		for v := uint64(0); v != stopPong; {
			v = await(&there.v, v)
			back.v.Store(v)
		}
	})
	<-onThread(func() {
		trip := func(id uint64) {
			old := back.v.Load()
			there.v.Store(id)
			await(&back.v, old)
		}
		repeat(d, into, trip)
		trip(stopPong)
	})
	<-ended
}

// repeat calls trip with 1, 2, 3 … for d and records how long each took.
func repeat(d time.Duration, into *hdrhistogram.Histogram, trip func(uint64)) {
	id := uint64(0)
	for range 1000 { // until caches and branch predictors know the way
		id++
		trip(id)
	}
	last := time.Now()
	for end := last.Add(d); last.Before(end); {
		id++
		trip(id)
		now := time.Now()
		into.RecordValue(min(int64(now.Sub(last)), maxNs))
		last = now
	}
}

// onThread runs f on an OS thread of its own; the channel closes when it ends.
func onThread(f func()) chan struct{} {
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(done)
		f()
	}()
	return done
}

func mustPublish(p *ring.Producer, batch []md.Record) {
	for n := 1; !p.Publish(batch); n++ {
		if n%spinsPerYield == 0 {
			runtime.Gosched()
		}
	}
}

func pollOne(c *ring.Consumer, buf []md.Record) {
	for n := 1; ; n++ {
		k, err := c.Poll(buf[:1])
		if err != nil {
			panic(err) // both ends are ours
		}
		if k == 1 {
			return
		}
		if n%spinsPerYield == 0 {
			runtime.Gosched()
		}
	}
}
