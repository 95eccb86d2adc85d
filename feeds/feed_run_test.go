package feeds

import (
	"context"
	"testing"
	"time"
)

// runFeed runs f until the test ends, or the returned function is called, and
// checks that it ends promptly and without an error.
func runFeed(t *testing.T, f *Feed) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		start := time.Now()
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("run: %v", err)
			}
			if took := time.Since(start); took > 1500*time.Millisecond {
				t.Errorf("the feed took %s to stop", took)
			}
		case <-time.After(20 * time.Second):
			t.Error("the feed does not stop")
		}
	}
	t.Cleanup(stop)
	return stop
}

// waitFor polls until cond holds; the limit is generous because tests share
// small machines.
func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if cond() {
			return
		}
	}
	t.Fatalf("waited in vain for %s", what)
}

// benchRun is runFeed for benchmarks.
func benchRun(b *testing.B, f *Feed) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := f.Run(ctx); err != nil {
			b.Error(err)
		}
	}()
	return func() { cancel(); <-ended }
}
