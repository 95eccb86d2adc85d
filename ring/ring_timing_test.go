package ring

import (
	"testing"

	"tickrelay/ring/md"
)

// These benchmarks model one thread that writes and reads, so they show the
// instructions and not the cache misses between two cores; ringbench has those.
// They would lie if nobody read: a full ring drops, which is cheaper.

func benchLink(b *testing.B) (*Producer, *Consumer) {
	s := NewHeap(4096, Meta{})
	c, err := OpenConsumer(s)
	if err != nil {
		b.Fatal(err)
	}
	p, err := NewProducer(s)
	if err != nil {
		b.Fatal(err)
	}
	return p, c
}

func BenchmarkPublishPoll(b *testing.B) {
	for name, n := range map[string]int{"single": 1, "batch32": 32} {
		b.Run(name, func(b *testing.B) {
			p, c := benchLink(b)
			recs, buf := make([]md.Record, n), make([]md.Record, n)
			b.ReportAllocs()
			for b.Loop() {
				p.Publish(recs)
				c.Poll(buf)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/record")
		})
	}
}

func BenchmarkPublish(b *testing.B) {
	for name, n := range map[string]int{"single": 1, "batch32": 32} {
		b.Run(name, func(b *testing.B) {
			p, c := benchLink(b)
			recs := make([]md.Record, n)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if !p.Publish(recs) {
					b.Fatal("full")
				}
				if i++; i%(2048/n) == 0 { // a reader that keeps up, in large pieces
					c.Lend(1<<20, func([]md.Record) {})
					c.Lend(1<<20, func([]md.Record) {})
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/record")
		})
	}
}

func BenchmarkPollEmpty(b *testing.B) {
	p, c := benchLink(b)
	buf := make([]md.Record, 1)
	p.Publish(buf)
	c.Poll(buf)
	b.ReportAllocs()
	for b.Loop() {
		c.Poll(buf)
	}
}

// BenchmarkPublisher is a feed's whole way: number, keep the last value, stage,
// flush to one ring or to eight.
func BenchmarkPublisher(b *testing.B) {
	for name, rings := range map[string]int{"1ring": 1, "8rings": 8} {
		b.Run(name, func(b *testing.B) {
			w, ts := rig(md.ChannelBBO)
			var cs []*Consumer
			for range rings {
				p, err := w.pub.Attach(NewHeap(4096, Meta{}), nil)
				if err != nil {
					b.Fatal(err)
				}
				c, err := OpenConsumer(p.Segment())
				if err != nil {
					b.Fatal(err)
				}
				cs = append(cs, c)
			}
			w.turns()
			ev := []md.Record{w.record(ts[0], 0, w.now), w.record(ts[0], 1, w.now)}
			buf := make([]md.Record, 64)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				w.pub.Publish(ts[0].id, ev)
				w.pub.Flush()
				if i++; i%16 == 0 {
					for _, c := range cs {
						c.Poll(buf)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(ev)), "ns/record")
		})
	}
}

// BenchmarkFaultGuard is what the guard against truncated .ctl files costs a flush.
func BenchmarkFaultGuard(b *testing.B) {
	dir := "/dev/shm"
	s, err := CreateShm(dir, "tickrelay-benchmark", 4096, Meta{}, Perm{})
	if err != nil {
		b.Skip(err)
	}
	defer s.Close()
	c, err := Open(dir, "tickrelay-benchmark")
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	p, err := NewProducer(s)
	if err != nil {
		b.Fatal(err)
	}
	recs, buf := make([]md.Record, 1), make([]md.Record, 1)
	for b.Loop() {
		p.Publish(recs)
		c.Poll(buf)
	}
}
