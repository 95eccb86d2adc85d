package feeds

import (
	"strconv"
	"testing"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// BenchmarkFlushEvery is the price of publishing each message by itself: engine
// and ring without a socket, the batch flushed every n messages. A reader sees
// the first of n messages (n−1) × ns/op later than it could; compare that with
// what a flush per message adds to ns/op.
func BenchmarkFlushEvery(b *testing.B) {
	for _, n := range []int{1, 8, 32} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			table, err := md.CreateTable(make([]byte, md.TableSize(64)), 64, 1)
			if err != nil {
				b.Fatal(err)
			}
			f, err := New(Config{Venue: newToyVenue(), CPU: -1, REST: NoREST, Table: table, Instruments: []string{"BTC-USDT"}})
			if err != nil {
				b.Fatal(err)
			}
			seg := ring.NewHeap(1<<12, ring.Meta{Name: "bench"})
			if _, err := f.Attach(seg, nil); err != nil {
				b.Fatal(err)
			}
			c, err := ring.OpenConsumer(seg)
			if err != nil {
				b.Fatal(err)
			}
			l := f.loop
			l.engine.Connected(0, l.wall)
			l.pub.Turn(l.wall)
			dst, frame := make([]md.Record, 256), []byte("trade")
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				l.engine.Frame(0, frame, l.wall)
				if i%n == n-1 {
					l.pub.Flush()
				}
				if i%128 == 127 {
					for {
						if k, err := c.Poll(dst); k == 0 || err != nil {
							break
						}
					}
				}
			}
		})
	}
}
