package soak

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"tickrelay/feeds/sim"
	"tickrelay/ring/md"
)

// plantedStream is a stream of one book and its trades, all of it right, of which a
// planter has its way; it returns what was reported and what a comparison says.
func plantedStream(t *testing.T, kind string) (found []Invariant, differs string) {
	t.Helper()
	s, _ := testStream(t)
	s.report = func(i Invariant, topic, what string) { found = append(found, i) }
	p := newPlanter(kind, s)
	p.after = 40
	take := func(r md.Record) {
		if !p.spoil(&r) {
			s.take(&r, 2)
		}
	}
	heart := md.Record{Kind: md.KindHeartbeat, Flags: md.FlagFirst | md.FlagLast, Venue: md.VenueBinance, ID: 9, Side: uint8(md.ChannelTrades)}
	take(heart)
	heart.Side = uint8(md.ChannelBook)
	take(heart)
	truth := trueBook{Trade: &sim.Trade{Price: 20, Size: 1}}
	add := func(r md.Record) {
		s.truth.insert(levelKey(symbolKey("BTC-USDT"), keyBid-int(md.SideBid)+int(r.Side), r.Price, 0, r.Size))
		take(r)
	}
	take(level(md.FlagSnapshot|md.FlagFirst, 0, md.SideClear, 0, 0))
	for i := range int64(10) {
		add(level(md.FlagSnapshot, 0, md.SideBid, 20-i, 1))
		add(level(md.FlagSnapshot, 0, md.SideAsk, 21+i, 1))
	}
	take(level(md.FlagSnapshot|md.FlagLast, 0, md.SideEnd, 0, 0))
	both := md.FlagFirst | md.FlagLast
	sizes := map[int64]int64{}
	for i := range uint64(100) {
		take(trade(i+1, i+5, int64(1+i%40)))
		price := 20 - int64(i%10)
		sizes[price] = int64(i)*10 + 3 // other digits each time
		add(level(both, i+1, md.SideBid, price, sizes[price]))
	}
	for i := range int64(10) {
		truth.Bids = append(truth.Bids, sim.Level{Price: 20 - i, Size: sizes[20-i]})
		truth.Asks = append(truth.Asks, sim.Level{Price: 21 + i, Size: 1})
	}
	var c comparison
	s.compare(trueBooks{"binance.book.BTC-USDT": truth}, func(string) bool { return true }, &c)
	return found, c.Why
}

// TestPlantedIsFound: one wrong thing is found by the invariant that it breaks, and
// without one nothing is.
func TestPlantedIsFound(t *testing.T) {
	for kind, want := range map[string]Invariant{plantPrice: Real, plantLost: Chain, plantSide: Real} {
		found, _ := plantedStream(t, kind)
		if !slices.Contains(found, want) {
			t.Errorf("%s: found %v, want %s", kind, found, want)
		}
	}
	if found, differs := plantedStream(t, plantLevel); len(found) > 0 || !strings.Contains(differs, "binance.book.BTC-USDT: bid") {
		t.Errorf("a wrong level: found %v, compared %q: only the comparison can see it", found, differs)
	}
	if found, differs := plantedStream(t, plantSilent); len(found) > 0 || !strings.Contains(differs, "binance.trades.BTC-USDT: the last trade") {
		t.Errorf("a silent topic: found %v, compared %q: only the comparison can see it", found, differs)
	}
	if found, differs := plantedStream(t, ""); len(found) > 0 || differs != "" {
		t.Errorf("nothing planted: found %v, compared %q", found, differs)
	}
	if validPlant("wrong-colour") == nil || validPlant("") != nil {
		t.Error("plants are not checked")
	}
}

// held is a run of 20 minutes in which a process holds what use says at a time.
func held(use func(s float64) Usage) *Result {
	r := newResult(Config{}, map[string]string{})
	for i := range 1200 {
		at := float64(i)
		u := use(at)
		u.Anon += int64(i%37) << 18 // a heap that is collected now and then
		use := map[string]Usage{"feeds": u}
		pids := map[string]int{"feeds": 7}
		r.Samples = append(r.Samples, Sample{T: at, Use: use, PIDs: pids})
		if i%30 == 29 {
			r.Points = append(r.Points, Point{T: at, Use: use, PIDs: pids})
		}
	}
	r.Seconds = 1200
	r.judge()
	return r
}

// TestLeaksAreFound: of memory, one descriptor in all, goroutines; and a process that
// only breathes is left alone.
func TestLeaksAreFound(t *testing.T) {
	calm := Usage{Anon: 50 << 20, FDs: 90, Files: 60, Goroutines: 40}
	for name, c := range map[string]struct {
		use  func(at float64) Usage
		want []Invariant
	}{
		"flat": {func(float64) Usage { return calm }, nil},
		"breathing": {func(at float64) Usage {
			u := calm
			n := int(at) / 30 % 5
			u.FDs, u.Goroutines = u.FDs+n, u.Goroutines+n
			return u
		}, nil},
		"one step": {func(at float64) Usage {
			u := calm
			if at > 700 {
				u.Anon += 30 << 20
			}
			return u
		}, nil},
		"alive": {func(at float64) Usage { // while the heap's limit hides it
			u := calm
			u.Heap = 30<<20 + int64(at)<<15
			return u
		}, []Invariant{FlatMemory}},
		"one descriptor": {func(at float64) Usage {
			u := calm
			if at > 600 {
				u.FDs, u.Files = u.FDs+1, u.Files+1
			}
			return u
		}, []Invariant{FlatFiles}},
		"sockets": {func(at float64) Usage {
			u := calm
			u.FDs += int(at) / 30
			return u
		}, []Invariant{FlatFiles}},
		"memory": {func(at float64) Usage {
			u := calm
			u.Anon += int64(at) << 16
			return u
		}, []Invariant{FlatMemory}},
		"goroutines": {func(at float64) Usage {
			u := calm
			u.Goroutines += int(at) / 60
			return u
		}, []Invariant{FlatGoroutines}},
	} {
		t.Run(name, func(t *testing.T) {
			r := held(c.use)
			found := map[Invariant]bool{}
			for _, v := range r.Violations {
				found[v.Invariant] = true
			}
			if got := slices.Sorted(maps.Keys(found)); !slices.Equal(got, c.want) {
				t.Errorf("found %v, want %v: %+v", got, c.want, r.Violations)
			}
			for _, i := range []Invariant{FlatMemory, FlatFiles, FlatGoroutines} {
				if x := r.Invariants[i]; x.Checks == 0 || x.Violated > 0 != found[i] {
					t.Errorf("%+v", x)
				}
			}
		})
	}
}

// TestExplain: a difference is excused by a fault of its venue just before, and by
// nothing else.
func TestExplain(t *testing.T) {
	s := &soak{cfg: Config{}.withDefaults(), hid: map[string]hidden{}, res: newResult(Config{}, nil)}
	s.readers = []*proc{{name: "alpha", compare: &comparison{Why: "differs", Wrong: []string{"okx.book.BTC-USDT"}}}}
	s.hide(Action{Kind: KindExchange, Target: "okx", Fault: sim.FaultLose.String()})
	s.explain()
	if s.res.Violated != 0 || len(s.res.Differences) != 1 || s.res.Differences[0].Fault != "lose" {
		t.Errorf("explained: %+v", s.res.Differences)
	}
	s.hid = map[string]hidden{}
	s.hide(Action{Kind: KindExchange, Target: "okx", Fault: sim.FaultGoingAway.String()}) // everybody is told of that
	s.hide(Action{Kind: KindExchange, Target: "kraken", Fault: sim.FaultLose.String()})
	s.explain()
	if s.res.violated[Explained] != 1 || s.res.checks[Explained] != 2 {
		t.Errorf("unexplained: %+v", s.res.Violations)
	}
}
