package ringbench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"tickrelay/ring"
	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// neighbour is a feed with a deep book and two rings: one is read all the time,
// the other is read or neglected.
type neighbour struct {
	pub        *ring.Publisher
	book       ring.TopicID
	live       *book.Book
	good, bad  *ring.Consumer
	badSeg     *ring.Segment
	buf, event []md.Record
	turns      int
}

const (
	deepBook    = 46_000 // levels, as the deepest books that venues send
	badCapacity = 4096
)

func newNeighbour() (*neighbour, error) {
	n := &neighbour{pub: ring.NewPublisher(ring.PublisherConfig{Venue: md.VenueBinance}), buf: make([]md.Record, 1024), event: make([]md.Record, 4)}
	n.live = &book.Book{PriceExp: -2, SizeExp: -4}
	for i := range int64(deepBook / 2) {
		n.live.Set(md.SideBid, book.Level{Price: 1_000_000 - i, Size: 1})
		n.live.Set(md.SideAsk, book.Level{Price: 1_000_001 + i, Size: 1})
	}
	n.book = n.pub.AddTopic(1, md.ChannelBook, n.live)
	for _, r := range []struct {
		capacity int
		c        **ring.Consumer
	}{{1 << 16, &n.good}, {badCapacity, &n.bad}} {
		seg := ring.NewHeap(r.capacity, ring.Meta{})
		if _, err := n.pub.Attach(seg, nil); err != nil {
			return nil, err
		}
		var err error
		if *r.c, err = ring.OpenConsumer(seg); err != nil {
			return nil, err
		}
		n.badSeg = seg
	}
	n.pub.Rebuilt(n.book, 1)
	return n, nil
}

// run publishes for d and records how long each hand-over of an event to all
// rings takes. If neglected, the second ring is read only after it has overrun,
// until its snapshot is under way, and then left alone again.
func (n *neighbour) run(d time.Duration, neglected bool, into *hdrhistogram.Histogram) error {
	end := time.Now().Add(d)
	for i := int64(0); time.Now().Before(end); i++ {
		for k := range n.event {
			side, price := uint8(md.SideBid), 1_000_000-(i+int64(k))%50
			n.live.Set(side, book.Level{Price: price, Size: 1 + i%7})
			n.event[k] = md.Record{Kind: md.KindBook, Side: side, Price: price, Size: 1 + i%7, PriceExp: -2, SizeExp: -4, TsRecv: i}
		}
		start := time.Now()
		n.pub.Publish(n.book, n.event)
		n.pub.Flush()
		into.RecordValue(min(int64(time.Since(start)), maxNs))
		n.turns++
		if n.turns%8 == 0 {
			n.pub.Turn(time.Now().UnixNano())
		}
		if err := n.drain(n.good); err != nil {
			return err
		}
		if !neglected || n.turns/2000%2 == 1 {
			if err := n.drain(n.bad); err != nil {
				return err
			}
		}
	}
	return nil
}

func (n *neighbour) drain(c *ring.Consumer) error {
	for {
		if k, err := c.Poll(n.buf); k == 0 || err != nil {
			return err
		}
	}
}

// overrunRows shows what a neglected ring costs the others.
func overrunRows(d time.Duration) ([]Row, error) {
	var calm, mad [3][]float64 // p50, p99 and p99.9 of each run
	n, err := newNeighbour()
	if err != nil {
		return nil, err
	}
	warm := hdrhistogram.New(1, maxNs, 3)
	if err := n.run(d/rounds, false, warm); err != nil {
		return nil, err
	}
	before := n.badSeg.Counters()
	for range 3 * rounds { // in turn, so that noise hits both
		for into, neglected := range map[*[3][]float64]bool{&calm: false, &mad: true} {
			h := hdrhistogram.New(1, maxNs, 3)
			if err := n.run(d/rounds, neglected, h); err != nil {
				return nil, err
			}
			for i, q := range []float64{50, 99, 99.9} {
				into[i] = append(into[i], float64(h.ValueAtQuantile(q)))
			}
		}
	}
	after := n.badSeg.Counters()
	row := func(name string, i int) Row {
		return NewRow(Row{Name: name, Unit: "ns", Value: median(mad[i]), P50: median(mad[0]), P99: median(mad[1]), P999: median(mad[2]),
			Baseline: "the same with every ring read", BaselineValue: median(calm[i]), Goal: "<=1.1"})
	}
	overruns := row("publish, p50, while another ring overruns and takes a book of 46,000 levels again", 0)
	tail := row("publish, p99.9, likewise", 2)
	if after.Overruns == before.Overruns { // too short a run to say anything
		overruns.Met, tail.Met = false, false
	}
	return []Row{overruns, tail}, nil
}
