package ringbench

import (
	"fmt"
	"time"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// broadcastRows measure what readers cost the producer and themselves, by
// kind of ring, all in one thread, so that nothing but the work counts.
func broadcastRows(d time.Duration) ([]Row, error) {
	const batch, most = 32, 8
	single, cast := map[int][]float64{}, map[int][]float64{}
	var readSingle, readCast []float64
	for range rounds {
		for _, n := range []int{1, most} {
			s, err := feedSingle(n)
			if err != nil {
				return nil, err
			}
			single[n] = append(single[n], nsPer(d/rounds/4, batch, s.publish))
			if n == 1 {
				readSingle = append(readSingle, s.reading(d/rounds/4))
			}
			c, err := feedCast(n)
			if err != nil {
				return nil, err
			}
			cast[n] = append(cast[n], nsPer(d/rounds/4, batch, c.publish))
			if n == 1 {
				readCast = append(readCast, c.reading(d/rounds/4))
			}
		}
	}
	row := func(name string, ours, base []float64, goal string) Row {
		return NewRow(Row{Name: name, Unit: "ns/record", Value: median(ours), P50: median(ours), Baseline: "rings of one reader each", BaselineValue: median(base), Goal: goal})
	}
	return []Row{
		row("publish 32 records to 1 broadcast reader", cast[1], single[1], "<=1.5"),
		row(fmt.Sprintf("publish 32 records to %d broadcast readers", most), cast[most], single[most], "<=0.5"),
		row("publish and read 32 records, one broadcast reader", readCast, readSingle, "<=5"),
	}, nil
}

// rig is a producer with its readers; nobody is lapped and nobody blocks it.
type rig struct {
	publish func()
	read    func()
}

// reading is what publishing and reading takes together, in ns per record.
func (r *rig) reading(d time.Duration) float64 {
	return nsPer(d, 32, func() { r.publish(); r.read() })
}

func feedSingle(n int) (*rig, error) {
	var ps []*ring.Producer
	var cs []*ring.Consumer
	recs, buf := make([]md.Record, 32), make([]md.Record, 64)
	for range n {
		l, err := newLink("", "single")
		if err != nil {
			return nil, err
		}
		ps, cs = append(ps, l.p), append(cs, l.c)
	}
	drain := func() {
		for _, c := range cs {
			for k := 1; k > 0; {
				k, _ = c.Lend(1<<20, func([]md.Record) {}) // free the slots, touch no record
			}
		}
	}
	return &rig{
		publish: func() {
			for _, p := range ps {
				if !p.Publish(recs) {
					drain()
				}
			}
		},
		read: func() { cs[0].Poll(buf) },
	}, nil
}

func feedCast(n int) (*rig, error) {
	seg := ring.NewHeap(capacity, ring.Meta{Broadcast: true})
	p, err := ring.NewProducer(seg)
	if err != nil {
		return nil, err
	}
	var rs []*ring.BroadcastReader
	for range n {
		r, err := ring.NewBroadcastReader(seg)
		if err != nil {
			return nil, err
		}
		rs = append(rs, r)
	}
	recs, buf := make([]md.Record, 32), make([]md.Record, 64)
	for i := range recs {
		recs[i].Kind = md.KindHeartbeat // of the whole stream: passes to the reader
	}
	return &rig{
		publish: func() { p.Publish(recs) },
		read:    func() { rs[0].Poll(buf) },
	}, nil
}
