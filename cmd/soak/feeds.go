package soak

import (
	"path/filepath"
	"time"

	"tickrelay/feeds"
)

// Hurried makes a feed as fast as simulated exchanges allow: a market many times as
// fast as a real one wants its waits many times as short. What is left as it is: all
// that decides what is right. The wall clock is the host's with the steps of the
// soak whose folder is dir. The function may be called for any number of feeds.
func Hurried(dir string) (func(*feeds.Config), error) {
	t, err := openTruth(filepath.Join(dir, truthFile))
	if err != nil {
		return nil, err
	}
	start := time.Now()
	clock := func() (wall, mono int64) {
		now := time.Now()
		return now.UnixNano() + t.offset(), int64(now.Sub(start)) + int64(time.Hour)
	}
	return func(c *feeds.Config) {
		c.Venue = feeds.WithSpec(c.Venue, func(s *feeds.Spec) {
			s.DeadAfter = 15 * time.Second
			s.SendEvery, s.SnapshotEvery = 5*time.Millisecond, 50*time.Millisecond
		})
		c.Budget = feeds.NewBudget(100, 10*time.Millisecond)
		c.Backoff = feeds.Backoff{Min: 5 * time.Millisecond, Base: 50 * time.Millisecond, Cap: time.Second}
		c.Limits.BookRetry, c.Silence = time.Second, 8*time.Second
		c.Clock = clock
	}, nil
}
