package feeds

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestBackoffDelayHasFullJitterBelowACappedCeiling(t *testing.T) {
	b := Backoff{Min: 10 * time.Millisecond, Base: time.Second, Cap: 20 * time.Second}
	rng := rand.New(rand.NewPCG(3, 4))
	f := func(n int, ceil time.Duration) {
		t.Helper()
		var low, high, sum = ceil, time.Duration(0), time.Duration(0)
		for range 2000 {
			d := b.delay(n, rng)
			low, high, sum = min(low, d), max(high, d), sum+d
		}
		if low < b.Min || high > ceil {
			t.Errorf("attempt %d: delays in [%s, %s], want [%s, %s]", n, low, high, b.Min, ceil)
		}
		if low > ceil/20 || high < ceil-ceil/20 {
			t.Errorf("attempt %d: delays in [%s, %s] do not spread over [%s, %s]", n, low, high, b.Min, ceil)
		}
		if mean := sum / 2000; mean < ceil*4/10 || mean > ceil*6/10 {
			t.Errorf("attempt %d: mean %s is not half of %s", n, mean, ceil)
		}
	}
	f(1, time.Second)
	f(2, 2*time.Second)
	f(5, 16*time.Second)
	f(6, 20*time.Second)
	f(40, 20*time.Second)
	f(1_000_000, 20*time.Second)
}

func TestBackoffIsReproducibleFromItsSeed(t *testing.T) {
	b := Backoff{}.withDefaults()
	x, y := randomOf(7), randomOf(7)
	for n := 1; n < 50; n++ {
		if b.delay(n, x) != b.delay(n, y) {
			t.Fatal("two generators of one seed differ")
		}
	}
}

func TestBudgetKeepsEveryWindow(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	b := NewBudget(3, 1200*time.Millisecond)
	var at []int64
	now := int64(0)
	for range 3000 {
		now += rng.Int64N(int64(2 * time.Second))
		at = append(at, b.take(now))
	}
	within := func(window time.Duration) int {
		most, from := 0, 0
		for i := range at {
			for at[i]-at[from] >= int64(window) {
				from++
			}
			most = max(most, i-from+1)
		}
		return most
	}
	for i := 1; i < len(at); i++ {
		if at[i] < at[i-1] {
			t.Fatalf("attempt %d is allowed before the one before it", i)
		}
	}
	if n := within(time.Second); n > 3 {
		t.Errorf("%d attempts in a second, OKX allows 3", n)
	}
	if n := within(5 * time.Minute); n > 300 {
		t.Errorf("%d attempts in 5 minutes, Binance allows 300", n)
	}
}

func TestBudgetGrantsAtOnceWhenRested(t *testing.T) {
	b := NewBudget(2, time.Second)
	for i, want := range []int64{100, 100, 100 + 1e9, 100 + 2e9} {
		if got := b.take(100); got != want {
			t.Errorf("attempt %d at %d, want %d", i, got, want)
		}
	}
	if got := b.take(100 + 10e9); got != 100+10e9 {
		t.Errorf("a rested budget makes us wait until %d", got)
	}
}
