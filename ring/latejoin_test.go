package ring

import (
	"testing"

	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// TestLateJoiner attaches to a feed whose book has 46,000 levels and never
// stands still, through the smallest ring there is.
func TestLateJoiner(t *testing.T) {
	const levels = 46_000
	for _, capacity := range []int{MinCapacity, 1024} {
		live := &book.Book{PriceExp: -2, SizeExp: -4}
		for i := range int64(levels / 2) {
			live.Set(md.SideBid, book.Level{Price: 10_000_000 - i, Size: 1 + i})
			live.Set(md.SideAsk, book.Level{Price: 10_000_001 + i, Size: 1 + i})
		}
		pub := NewPublisher(PublisherConfig{Venue: md.VenueBinance})
		topic := pub.AddTopic(1, md.ChannelBook, live)
		pub.Rebuilt(topic, 1)
		seg := NewHeap(capacity, Meta{})
		pub.Attach(seg, nil)
		event := make([]md.Record, 8)
		n := int64(0)
		update := func() {
			for k := range event {
				n++
				r := md.Record{Kind: md.KindBook, Side: md.SideBid, Price: 10_000_000 - n*37%(levels/2), Size: 1 + n%9, PriceExp: -2, SizeExp: -4, TsRecv: n}
				if n%3 == 0 {
					r.Side, r.Price = md.SideAsk, 10_000_001+n*41%(levels/2)
				}
				live.Set(r.Side, book.Level{Price: r.Price, Size: r.Size})
				event[k] = r
			}
			pub.Publish(topic, event)
			pub.Turn(n)
		}
		for range 100 {
			update() // before anybody reads
		}
		c, err := OpenConsumer(seg)
		if err != nil {
			t.Fatal(err)
		}
		var r book.Reader
		buf := make([]md.Record, 64)
		turns := 0
		for r.State != book.Live {
			if turns++; turns > levels {
				t.Fatalf("capacity %d: %v after %d turns, %d + %d levels", capacity, r.State, turns, r.Book.Bids.Len(), r.Book.Asks.Len())
			}
			update()
			for k, _ := c.Poll(buf); k > 0; k, _ = c.Poll(buf) {
				for i := range buf[:k] {
					r.Apply(&buf[i])
				}
			}
		}
		if diff := diffBooks(&r.Book, live); diff != "" {
			t.Fatalf("capacity %d: %s", capacity, diff)
		}
		if o := seg.Counters().Overruns; o != 0 {
			t.Errorf("capacity %d: %d overruns with a reader that keeps up", capacity, o)
		}
		t.Logf("capacity %d: live after %d turns of the feed, each with an update of %d levels", capacity, turns, len(event))
	}
}
