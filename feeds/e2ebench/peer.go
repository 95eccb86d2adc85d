package e2ebench

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math"
	"runtime"
	"runtime/metrics"
	"sync"
	"time"

	"tickrelay/feeds"
	"tickrelay/ring"
	"tickrelay/ring/md"
)

// PeerConfig is what the feed process is told.
type PeerConfig struct {
	URL  string // of the driver's exchange
	Dir  string // where the ring is to be made
	CPU  int    // of the hot loop, -1 for any
	Busy bool
	Load bool // attaches and garbage, again and again
}

// ringFile is the name of the feed's ring.
const ringFile = "e2e"

// Peer is the feed process: it says "ready" on out once the ring is there, runs
// until in ends, and then tells the longest pauses of the garbage collector.
func Peer(ctx context.Context, c PeerConfig, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	table, err := md.CreateTable(make([]byte, md.TableSize(16)), 16, 1)
	if err != nil {
		return err
	}
	feed, err := feeds.New(feeds.Config{
		Venue: feeds.OKX{}, URL: c.URL, REST: feeds.NoREST, Instruments: []string{"BTC-USDT"},
		Channels: []md.Channel{md.ChannelTrades, md.ChannelBook}, CPU: c.CPU, Busy: c.Busy, Table: table, Silence: -1,
		TLS: &tls.Config{InsecureSkipVerify: true}, // of the driver, on this host
	})
	if err != nil {
		return err
	}
	seg, err := ring.CreateShm(c.Dir, ringFile, 1<<16, ring.Meta{Name: ringFile}, ring.Perm{})
	if err != nil {
		return err
	}
	defer seg.Close()
	trades := func(_ uint32, ch md.Channel) bool { return ch == md.ChannelTrades }
	if _, err := feed.Attach(seg, trades); err != nil {
		return err
	}
	var wg sync.WaitGroup
	failed := make(chan error, 1)
	wg.Go(func() { failed <- feed.Run(ctx) })
	if c.Load {
		wg.Go(func() { attachAgain(ctx, feed) })
		wg.Go(func() { makeGarbage(ctx) })
	}
	fmt.Fprintln(out, "ready")
	line := make(chan struct{})
	go func() { bufio.NewReader(in).ReadString('\n'); close(line) }()
	select {
	case <-line:
	case err := <-failed:
		failed <- err
	}
	cancel()
	wg.Wait()
	p50, p99, longest, n := pauses()
	fmt.Fprintf(out, "pauses %d %d %d %d\n", p50, p99, longest, n)
	return <-failed
}

// attachAgain takes the whole book as a new reader does, five times a second.
func attachAgain(ctx context.Context, feed *feeds.Feed) {
	recs := make([]md.Record, 1024)
	for ctx.Err() == nil {
		seg := ring.NewHeap(1<<14, ring.Meta{Name: "late"})
		detach, err := feed.Attach(seg, nil)
		if err != nil {
			return
		}
		c, err := ring.OpenConsumer(seg)
		if err == nil {
			for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); {
				if n, err := c.Poll(recs); err != nil {
					break
				} else if n == 0 {
					time.Sleep(100 * time.Microsecond)
				}
			}
			c.Close()
		}
		detach()
	}
}

// makeGarbage has the collector run some ten times a second.
func makeGarbage(ctx context.Context) {
	var keep [64][]byte
	for i := 0; ctx.Err() == nil; i++ {
		keep[i%len(keep)] = make([]byte, 64<<10)
		if i%64 == 0 {
			runtime.GC()
			time.Sleep(100 * time.Millisecond)
		}
	}
	runtime.KeepAlive(&keep)
}

// pauses are those of the garbage collector in ns, and how many there were.
func pauses() (p50, p99, longest int64, n uint64) {
	s := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindFloat64Histogram {
		return 0, 0, 0, 0
	}
	h := s[0].Value.Float64Histogram()
	for _, c := range h.Counts {
		n += c
	}
	at, seen := [2]uint64{n / 2, n * 99 / 100}, uint64(0)
	for i, c := range h.Counts {
		upper := h.Buckets[i+1]
		if math.IsInf(upper, 1) {
			upper = h.Buckets[i]
		}
		if c > 0 {
			longest = int64(upper * 1e9)
		}
		if seen <= at[0] && at[0] < seen+c {
			p50 = int64(upper * 1e9)
		}
		if seen <= at[1] && at[1] < seen+c {
			p99 = int64(upper * 1e9)
		}
		seen += c
	}
	return p50, p99, longest, n
}
