package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"tickrelay/nettune"
	"tickrelay/ring/md"
)

// tradeReader reads trades in the binary format and checks that none is missing.
func tradeReader(c *wsClient, got *atomic.Uint64, stop uint64) error {
	for got.Load() < stop {
		op, p, err := c.read()
		if err != nil {
			return err
		}
		if op != ws.OpBinary {
			continue
		}
		for ; len(p) >= md.RecordSize; p = p[md.RecordSize:] {
			var r md.Record
			copy(unsafe.Slice((*byte)(unsafe.Pointer(&r)), md.RecordSize), p)
			switch {
			case r.Kind == md.KindHeartbeat:
			case r.Kind != md.KindTrade || r.Seq != got.Load()+1:
				return fmt.Errorf("%+v after %d", r, got.Load())
			default:
				got.Store(r.Seq)
			}
		}
	}
	return nil
}

// dialSmall connects with a small receive buffer: a window that was announced once is
// not taken back, so a buffer made small later may still take most of what is sent.
func dialSmall(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var set error
		err := c.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<10) })
		return errors.Join(err, set)
	}}
	return d.DialContext(ctx, network, addr)
}

// TestStalledMemory: a tenth of the subscribers stops reading. Each of them is closed
// under the reason that it has, memory stays bounded, and nobody else misses a trade.
func TestStalledMemory(t *testing.T) {
	const all, stalls, trades = 2000, 200, 1500
	if testing.Short() {
		t.Skip("2,000 connections")
	}
	s, g := startWith(t, Config{Shards: 2, Limits: Limits{QueueMessages: 512, SlowTimeout: time.Second, RequestBurst: 100},
		Options: nettune.Options{NoDelay: true, SndBuf: 8 << 10, RcvBuf: 8 << 10}}, 1<<14)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var readers sync.WaitGroup
	got := make([]atomic.Uint64, all)
	errs := make([]error, all)
	for i := range all {
		d := ws.Dialer{Protocols: []string{ProtocolBinary}, Timeout: 5 * time.Second}
		if i%10 == 0 {
			d.NetDial = dialSmall
		}
		c := dialAs(t, g, d)
		policy := policies[i/10%2*2] // of those that stall conflate or close, by turns
		c.send(`{"op":"subscribe","topics":["%s"],"policy":"%s"}`, btcTrades, policy)
		if i%10 == 0 {
			got[i].Store(trades)
			continue
		}
		c.want("subscribed", "")
		readers.Go(func() { errs[i] = tradeReader(c, &got[i], trades) })
	}
	eventually(t, "all are subscribed", func() bool {
		n := 0
		g.http.inHub(func(h *hub) { n = h.byName[btcTrades].streams[0].subscribers() })
		return n == all
	})
	slowest := func() uint64 {
		n := uint64(trades)
		for i := range got {
			n = min(n, got[i].Load())
		}
		return n
	}
	end := time.Now().Add(90 * time.Second)
	for i := range uint64(trades) {
		s.trade(btcTrades, i, 100)
		for i%64 == 0 && slowest()+256 < i { // so that nobody stalls for want of a processor
			if time.Now().After(end) {
				t.Fatalf("the slowest reader is at %d of %d: %v", slowest(), i, errs)
			}
			time.Sleep(time.Millisecond)
		}
	}
	readers.Wait()
	for i, err := range errs {
		if err != nil {
			t.Fatalf("reader %d: %v", i, err)
		}
	}
	count := func(r closeReason) (n uint64) {
		for _, sh := range g.shards {
			n += sh.stats.closed[r].Load()
		}
		return n
	}
	eventually(t, "each stalled one is closed", func() bool {
		var n uint64
		for r := range numCloseReasons {
			n += count(r)
		}
		return n == stalls
	})
	if slow, policy := count(closedSlow), count(closedPolicy); slow != stalls/2 || policy != stalls/2 {
		t.Errorf("%d closed as slow, %d by policy, want %d each", slow, policy, stalls/2)
	}
	for r := range numCloseReasons {
		if n := count(r); n != 0 && r != closedSlow && r != closedPolicy {
			t.Errorf("%d closed: %s", n, closeReasons[r])
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if more := int64(after.HeapAlloc) - int64(before.HeapAlloc); more > 96<<20 {
		t.Errorf("%d MiB more in use", more>>20)
	}
}
