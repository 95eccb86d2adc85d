package feeds

import (
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"tickrelay/feeds/sim"
	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// setClock is the host's clock until it is set.
type setClock struct {
	sim.RealClock
	by *atomic.Int64 // ns
}

func (c setClock) Now() time.Time { return time.Now().Add(time.Duration(c.by.Load())) }

// TestVenueClockGoesBack: an exchange whose books are ordered by time sets its clock back by
// an hour, then by ten seconds. Readers get a gap, and then the exchange's book, long before
// its clock is where it was.
func TestVenueClockGoesBack(t *testing.T) {
	for _, name := range []string{"hyperliquid", "coinbase-exchange"} {
		for _, lines := range []int{1, 2} {
			t.Run(name+"/"+strconv.Itoa(lines), func(t *testing.T) {
				t.Parallel()
				clock := setClock{by: new(atomic.Int64)}
				r := newRigAt(t, quick(t, name), sim.Options{}, clock, func(c *Config, _ *sim.Server) { c.Lines = lines })
				runFeed(t, r.feed)
				r.live()
				r.same()
				for _, by := range []time.Duration{-time.Hour, -time.Hour - 10*time.Second} {
					before := r.seen.gaps[md.GapVenue]
					clock.by.Store(int64(by))
					r.wait("a gap of each book", func() bool { return r.seen.gaps[md.GapVenue] >= before+2 })
					r.live()
					r.same()
				}
			})
		}
	}
}

// TestTurnedBack: what reordering explains, or a REST snapshot ahead of the stream, breaks
// nothing; times are in the venue's unit.
func TestTurnedBack(t *testing.T) {
	for _, name := range []string{"hyperliquid", "coinbase-exchange", "bitstamp"} {
		v, _ := ByName(name)
		e := &Engine{spec: v.Spec()}
		at := int64(1_763_842_100_000_000_000) / int64(e.spec.BookTime)
		for _, c := range []struct {
			back     time.Duration
			fromREST bool
			want     bool
		}{{-time.Hour, false, false}, {0, false, false}, {time.Second, false, false}, {1001 * time.Millisecond, false, true},
			{9 * time.Second, true, false}, {11 * time.Second, true, true}} {
			ev := Event{SeqLast: at - int64(c.back/e.spec.BookTime)}
			if got := e.turnedBack(&BookState{Seq: at, FromREST: c.fromREST}, &ev); got != c.want {
				t.Errorf("%s: back by %s, REST %v: %v", name, c.back, c.fromREST, got)
			}
			if e.turnedBack(&BookState{Seq: at, Empty: true}, &ev) {
				t.Errorf("%s: back by %s: an empty book", name, c.back)
			}
		}
	}
	if e := (&Engine{spec: Binance{}.Spec()}); e.turnedBack(&BookState{Seq: 1 << 50}, &Event{SeqLast: 1}) {
		t.Error("numbers taken for times")
	}
}

// TestReorderedWithoutNumbers: of two lines that bring books ordered by time only the owner's
// events count, so one that comes late was not there before: the book has a hole.
func TestReorderedWithoutNumbers(t *testing.T) {
	r := newRig(t, quick(t, "coinbase-exchange"), sim.Options{}, func(c *Config, _ *sim.Server) { c.Lines = 2 })
	runFeed(t, r.feed)
	r.live()
	for range 4 {
		if err := r.server.Inject(sim.FaultReorder); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // not two faults of one frame
	}
	r.wait("live books", func() bool { return r.reader(r.market.Symbols()[0]).State == book.Live })
	r.same()
}
