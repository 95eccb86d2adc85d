package feeds

import (
	"sync/atomic"
	"testing"
	"time"

	"tickrelay/feeds/sim"
	"tickrelay/ring/book"
)

// TestClockSteps: a wall clock that is set forwards and back again by an hour keeps no
// broken book waiting, where books need REST snapshots too. The kernel's receive times
// are not set here, so the clock is never behind them.
func TestClockSteps(t *testing.T) {
	for _, name := range []string{"binance", "gateio", "kraken"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var offset atomic.Int64
			start := time.Now()
			r := newRig(t, quick(t, name), sim.Options{}, func(c *Config, _ *sim.Server) {
				c.Clock = func() (wall, mono int64) {
					now := time.Now()
					return now.UnixNano() + offset.Load(), int64(now.Sub(start)) + int64(time.Hour)
				}
			})
			runFeed(t, r.feed)
			r.live()
			for _, step := range []time.Duration{time.Hour, 0} {
				offset.Store(int64(step))
				if err := r.server.Inject(sim.FaultGoingAway); err != nil {
					t.Fatal(err)
				}
				symbol := r.market.Symbols()[0]
				r.wait("a broken book", func() bool { return r.reader(symbol).State != book.Live })
				r.live()
			}
			r.same()
		})
	}
}
