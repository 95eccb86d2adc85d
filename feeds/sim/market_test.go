package sim_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"tickrelay/feeds/sim"
)

func manualMarket(t *testing.T, seed uint64, step time.Duration, n int, symbols ...string) *sim.Market {
	t.Helper()
	clock := sim.NewManualClock(time.UnixMilli(1_763_842_100_000))
	m, err := sim.OpenMarket(sim.MarketConfig{Seed: seed, Symbols: symbols, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		clock.Advance(step)
		m.Step(1)
	}
	return m
}

// digest is a hash of everything in the books.
func digest(t *testing.T, m *sim.Market) string {
	t.Helper()
	h := sha256.New()
	for _, s := range m.Symbols() {
		b, err := m.Book(s)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(h, b)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

func TestMarketIsItsSeed(t *testing.T) {
	one := digest(t, manualMarket(t, 1, time.Millisecond, 20_000))
	again := digest(t, manualMarket(t, 1, time.Second, 20_000)) // another clock
	other := digest(t, manualMarket(t, 2, time.Millisecond, 20_000))
	if one != again {
		t.Errorf("seed 1 gave %s, then %s", one, again)
	}
	if one == other {
		t.Errorf("seeds 1 and 2 both gave %s", one)
	}
	// The generator uses integers only: the same on every architecture, and a
	// change of it is a change of every recorded expectation.
	if want := marketDigest; one != want {
		t.Errorf("seed 1 gives %s, recorded %s", one, want)
	}
}

func TestMarketStaysPlausible(t *testing.T) {
	symbols := []string{"BTC-USDT", "ETH-USDT", "PEPE-USDT", "DOGE-USDT", "FOO-BAR"}
	start := manualMarket(t, 3, 0, 0, symbols...)
	clock := sim.NewManualClock(time.UnixMilli(1_763_842_100_000))
	m, err := sim.OpenMarket(sim.MarketConfig{Seed: 3, Symbols: symbols, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	for range 600 {
		m.Step(100)
		for _, s := range symbols {
			b, _ := m.Book(s)
			if n := min(len(b.Bids), len(b.Asks)); n < 150 || max(len(b.Bids), len(b.Asks)) > 400 {
				t.Fatalf("%s: %d bids, %d asks", s, len(b.Bids), len(b.Asks))
			}
			if b.Bids[0].Price >= b.Asks[0].Price {
				t.Fatalf("%s is crossed: %v %v", s, b.Bids[0], b.Asks[0])
			}
			if spread := b.Asks[0].Price - b.Bids[0].Price; spread > max(4, b.Asks[0].Price/200) {
				t.Fatalf("%s: spread %d at %d", s, spread, b.Asks[0].Price)
			}
			checkSide(t, s, b.Bids, -1)
			checkSide(t, s, b.Asks, 1)
		}
	}
	for _, s := range symbols {
		b, _ := m.Book(s)
		a, _ := start.Book(s)
		if b.Seq < a.Seq+3000 {
			t.Errorf("%s: only %d changes", s, b.Seq-a.Seq)
		}
		was, is := a.Bids[0].Price, b.Bids[0].Price
		if was == is || is > was*5/4 || is < was*3/4 {
			t.Errorf("%s: best bid went from %d to %d", s, was, is)
		}
	}
}

// checkSide wants prices that go one way, and every level filled.
func checkSide(t *testing.T, symbol string, side []sim.Level, way int64) {
	t.Helper()
	for i, lv := range side {
		if lv.Price <= 0 || lv.Size <= 0 || lv.Count == 0 {
			t.Fatalf("%s level %d: %+v", symbol, i, lv)
		}
		if i > 0 && (lv.Price-side[i-1].Price)*way <= 0 {
			t.Fatalf("%s level %d: %d after %d", symbol, i, lv.Price, side[i-1].Price)
		}
	}
}

// TestMarketEventsMakeTheBook wants the changes shown to make up the book, and
// every trade at a price that was there.
func TestMarketEventsMakeTheBook(t *testing.T) {
	m, err := sim.NewMarket(6, []string{"BTC-USDT"})
	if err != nil {
		t.Fatal(err)
	}
	sides := map[bool]map[int64]sim.Level{true: {}, false: {}}
	start, _ := m.Book("BTC-USDT")
	for _, lv := range start.Bids {
		sides[true][lv.Price] = lv
	}
	for _, lv := range start.Asks {
		sides[false][lv.Price] = lv
	}
	trades, seq := 0, start.Seq
	stop := m.Watch(func(ev *sim.Event) {
		for _, tr := range ev.Trades {
			trades++
			if lv := sides[!tr.Buy][tr.Price]; lv.Size < tr.Size {
				t.Errorf("event %d: trade %+v against %+v", ev.Number, tr, lv)
			}
		}
		for _, c := range ev.Changes {
			sides[c.Bid][c.Level.Price] = c.Level
			if c.Level.Size == 0 {
				delete(sides[c.Bid], c.Level.Price)
			}
		}
		if seq += int64(len(ev.Changes)); seq != ev.Seq {
			t.Errorf("event %d: seq %d, counted %d", ev.Number, ev.Seq, seq)
		}
	})
	m.Step(5000)
	stop()
	end, _ := m.Book("BTC-USDT")
	m.Step(50) // not watched
	for i, want := range [][]sim.Level{end.Bids, end.Asks} {
		side := sides[i == 0]
		if len(side) != len(want) {
			t.Fatalf("side %d: %d levels, want %d", i, len(side), len(want))
		}
		for _, lv := range want {
			if side[lv.Price] != lv {
				t.Fatalf("side %d: %+v, want %+v", i, side[lv.Price], lv)
			}
		}
	}
	if trades < 500 {
		t.Errorf("only %d trades", trades)
	}
}

func TestMarketRefusesBadSymbols(t *testing.T) {
	for _, symbols := range [][]string{{"BTCUSDT"}, {"BTC-"}, {"-USDT"}, {"A-B-"}, {"A.B-C"}, {"BTC-USDT", "BTC-USDT"}} {
		if _, err := sim.NewMarket(1, symbols); err == nil || !strings.HasPrefix(err.Error(), "sim: ") {
			t.Errorf("%v: error %v", symbols, err)
		}
	}
	if _, err := sim.OpenMarket(sim.MarketConfig{Levels: 3}); err == nil {
		t.Error("3 levels accepted")
	}
}

func TestMarketRunPaces(t *testing.T) {
	clock := sim.NewManualClock(time.UnixMilli(0))
	m, err := sim.OpenMarket(sim.MarketConfig{Seed: 5, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx, 1000) }()
	advance(t, clock, 2*time.Second, m, 2000-128, 2000+128) // bursts are paid back afterwards
	if err := m.Freeze(ctx); err != nil {
		t.Fatal(err)
	}
	frozen := m.Events()
	for range 20 {
		clock.Advance(100 * time.Millisecond)
		time.Sleep(time.Millisecond)
	}
	if n := m.Events(); n != frozen {
		t.Errorf("%d events while frozen", n-frozen)
	}
	m.Resume()
	advance(t, clock, time.Second, m, frozen+800, frozen+1400)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := m.Run(ctx, 0); err == nil {
		t.Error("0 events per second accepted")
	}
}

// advance moves the clock on in steps and wants the market to get to between lo
// and hi events.
func advance(t *testing.T, clock *sim.ManualClock, d time.Duration, m *sim.Market, lo, hi uint64) {
	t.Helper()
	for range d / (10 * time.Millisecond) {
		clock.Advance(10 * time.Millisecond)
		time.Sleep(200 * time.Microsecond)
	}
	for range 1000 {
		if m.Events() >= lo {
			break
		}
		clock.Advance(0)
		time.Sleep(time.Millisecond)
	}
	if n := m.Events(); n < lo || n > hi {
		t.Errorf("%d events, want %d to %d", n, lo, hi)
	}
}
