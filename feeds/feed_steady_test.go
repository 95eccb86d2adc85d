package feeds

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// hose is a WebSocket server that sends the same bytes again and again, to
// whoever connects, without allocating: what remains is the feed's.
type hose struct {
	ln     net.Listener
	frames []byte
	pause  time.Duration // between two repetitions
}

func newHose(tb testing.TB, frames []byte, pause time.Duration) *hose {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	h := &hose{ln, frames, pause}
	tb.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go h.serve(c)
		}
	}()
	return h
}

func (h *hose) serve(c net.Conn) {
	defer c.Close()
	req, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return
	}
	fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		acceptOf(req.Header.Get("Sec-WebSocket-Key")))
	go io.Copy(io.Discard, c)
	for {
		if _, err := c.Write(h.frames); err != nil {
			return
		}
		if h.pause > 0 {
			time.Sleep(h.pause)
		}
	}
}

func (h *hose) url() string { return "ws://" + h.ln.Addr().String() + "/ws" }

// mixedFrames are frames of the toy venue: trades, heartbeats of the venue's.
func mixedFrames(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		text := "trade"
		if i%16 == 15 {
			text = "pong"
		}
		b.Write(ws.MustCompileFrame(ws.NewTextFrame([]byte(text))))
	}
	return b.Bytes()
}

// startSteady runs a feed of the toy venue on h with a reader that keeps up.
func startSteady(tb testing.TB, h *hose, busy bool) *Feed {
	tb.Helper()
	table, err := md.CreateTable(make([]byte, md.TableSize(64)), 64, 1)
	if err != nil {
		tb.Fatal(err)
	}
	f, err := New(Config{Venue: newToyVenue(), URL: h.url(), REST: NoREST, CPU: -1, Busy: busy, Table: table, Instruments: []string{"BTC-USDT"}})
	if err != nil {
		tb.Fatal(err)
	}
	seg := ring.NewHeap(1<<16, ring.Meta{Name: "steady"})
	if _, err := f.Attach(seg, nil); err != nil {
		tb.Fatal(err)
	}
	c, err := ring.OpenConsumer(seg)
	if err != nil {
		tb.Fatal(err)
	}
	go func() {
		dst := make([]md.Record, 1024)
		for {
			n, err := c.Poll(dst)
			if err != nil {
				return
			}
			if n == 0 {
				c.Wait(ring.WaitBlock, time.Second)
			}
		}
	}()
	if t, ok := tb.(*testing.T); ok {
		runFeed(t, f)
	}
	return f
}

// TestFeedSteadyStateDoesNotAllocate counts the allocations of the whole
// process, kernel socket to ring, over 100,000 frames. The tolerance of one in
// 500 frames is for the runtime itself and the timers of the tests; a single
// allocation per frame, read or turn is far above it.
func TestFeedSteadyStateDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	f := startSteady(t, newHose(t, mixedFrames(64), 200*time.Microsecond), false)
	waitFor(t, "the loop to be warm", func() bool { return f.Stats().Records.Load() > 20_000 })
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := f.Stats().Frames.Load()
	for f.Stats().Frames.Load() < start+100_000 {
		time.Sleep(20 * time.Millisecond)
	}
	runtime.ReadMemStats(&after)
	frames := f.Stats().Frames.Load() - start
	allocs := after.Mallocs - before.Mallocs
	t.Logf("%d allocations in %d frames", allocs, frames)
	if allocs > frames/500 {
		t.Errorf("%d allocations in %d frames", allocs, frames)
	}
}

// BenchmarkFeedLoop is the whole way of a small frame: loopback socket, poll,
// WebSocket, engine, ring. The sender shares the machine, so it is an upper
// bound; the time per frame that matters is publish-p50, reception to ring.
func BenchmarkFeedLoop(b *testing.B) {
	for _, c := range []struct {
		burst int
		pause time.Duration
		busy  bool
	}{{1, 50 * time.Microsecond, false}, {1, 50 * time.Microsecond, true}, {32, 50 * time.Microsecond, false}, {512, 0, false}} {
		b.Run("burst="+strconv.Itoa(c.burst)+"/busy="+strconv.FormatBool(c.busy), func(b *testing.B) {
			f := startSteady(b, newHose(b, mixedFrames(c.burst), c.pause), c.busy)
			stop := benchRun(b, f)
			defer stop()
			for f.Stats().Frames.Load() < 1000 {
				time.Sleep(time.Millisecond)
			}
			b.ReportAllocs()
			start := f.Stats().Frames.Load()
			b.ResetTimer()
			for f.Stats().Frames.Load() < start+uint64(b.N) {
				time.Sleep(time.Millisecond)
			}
			b.StopTimer()
			h := f.Health()
			b.ReportMetric(float64(h.Publish.P50), "publish-p50-ns")
			b.ReportMetric(float64(h.Publish.P99), "publish-p99-ns")
		})
	}
}
