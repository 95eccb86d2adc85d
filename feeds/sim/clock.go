package sim

import (
	"sync"
	"time"
)

// Clock is where the package reads the time of market events and waits for
// recorded gaps to pass, so that tests need not wait.
type Clock interface {
	// Now is the present time.
	Now() time.Time
	// Sleep waits for d and returns true, or false as soon as done is closed.
	// d ≤ 0 returns at once.
	Sleep(done <-chan struct{}, d time.Duration) bool
}

// RealClock is the host's clock.
type RealClock struct{}

// Now is time.Now.
func (RealClock) Now() time.Time { return time.Now() }

// Sleep waits on a timer.
func (RealClock) Sleep(done <-chan struct{}, d time.Duration) bool {
	if d <= 0 {
		select {
		case <-done:
			return false
		default:
			return true
		}
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return false
	case <-t.C:
		return true
	}
}

// ManualClock stands still until it is advanced. It is safe for concurrent use.
type ManualClock struct {
	mu      sync.Mutex
	now     time.Time
	changed chan struct{} // closed and replaced at every Advance
}

// NewManualClock starts at the given time.
func NewManualClock(start time.Time) *ManualClock {
	return &ManualClock{now: start, changed: make(chan struct{})}
}

// Now is the time the clock was last advanced to.
func (c *ManualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock on and wakes the sleepers whose time has come.
func (c *ManualClock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	close(c.changed)
	c.changed = make(chan struct{})
}

// Sleep waits until the clock has been advanced by d.
func (c *ManualClock) Sleep(done <-chan struct{}, d time.Duration) bool {
	c.mu.Lock()
	until := c.now.Add(d)
	for c.now.Before(until) {
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-done:
			return false
		case <-changed:
		}
		c.mu.Lock()
	}
	c.mu.Unlock()
	select {
	case <-done:
		return false
	default:
		return true
	}
}
