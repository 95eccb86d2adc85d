package feeds

import (
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// Backoff spaces attempts to connect: capped exponential with full jitter, so
// that lines and relays cut at one moment do not come back at one moment. The
// delay before attempt n (from 1) is uniform in [Min, Base × 2^(n−1)], capped.
type Backoff struct {
	Min  time.Duration // least delay; default 20 ms
	Base time.Duration // upper bound of the first delay; default 500 ms
	Cap  time.Duration // upper bound of every delay; default 30 s
	// Healthy is how long a connection must have delivered before the next
	// failure counts as the first again; default 60 s. Without it a venue that
	// accepts and cuts at once would be dialled at the shortest delay for ever.
	Healthy time.Duration
}

func (b Backoff) withDefaults() Backoff {
	if b.Min == 0 {
		b.Min = 20 * time.Millisecond
	}
	if b.Base == 0 {
		b.Base = 500 * time.Millisecond
	}
	if b.Cap == 0 {
		b.Cap = 30 * time.Second
	}
	if b.Healthy == 0 {
		b.Healthy = time.Minute
	}
	return b
}

func (b Backoff) validate() error {
	if b.Min < 0 || b.Base < b.Min || b.Cap < b.Base || b.Healthy < 0 {
		return errors.New("backoff: want 0 <= min <= base <= cap")
	}
	return nil
}

// delay returns the wait before attempt n, which counts from 1.
func (b Backoff) delay(n int, rng *rand.Rand) time.Duration {
	ceil := b.Cap
	if shift := n - 1; shift < 32 && b.Base<<shift>>shift == b.Base {
		ceil = min(b.Cap, b.Base<<shift)
	}
	return b.Min + time.Duration(rng.Int64N(int64(ceil-b.Min)+1))
}

// Budget bounds connection attempts to one venue from one address: venues ban
// who dials too often (Binance and Bitget 300 in 5 minutes, OKX 3 in a second).
// It is a token bucket; any goroutine may use it.
type Budget struct {
	mu    sync.Mutex
	every int64 // ns per token
	burst int64
	spent int64 // mono ns at which the bucket is full again
}

// NewBudget allows burst attempts at once and one per every after that. Zero
// values mean 3 and 1.2 s, which keeps within all venues' limits.
func NewBudget(burst int, every time.Duration) *Budget {
	if burst <= 0 {
		burst = 3
	}
	if every <= 0 {
		every = 1200 * time.Millisecond
	}
	return &Budget{every: int64(every), burst: int64(burst)}
}

// take spends a token for an attempt at or after now (mono ns) and returns when
// the attempt may be made.
func (b *Budget) take(now int64) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spent = max(b.spent, now) + b.every
	return max(now, b.spent-b.burst*b.every)
}
