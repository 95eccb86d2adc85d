package feeds

import (
	"context"
	"fmt"
)

// Alive returns nil once the hot loop has gone through a turn since the call, or, when
// ctx ends before that, an error: the loop hangs. It is for watchdogs: a loop that
// sleeps is woken. Before Run and after it there is nothing to ask, and it returns nil.
// Any goroutine.
func (f *Feed) Alive(ctx context.Context) error {
	f.mu.Lock()
	running := f.phase == phaseRunning
	f.mu.Unlock()
	if !running {
		return nil
	}
	m, done := f.loop.mail, make(chan struct{})
	select {
	case m.commands <- func() { close(done) }:
		m.pending.Store(true)
		m.wake()
	case <-m.closed:
		return nil
	case <-ctx.Done():
		return f.hangs()
	}
	select {
	case <-done:
	case <-m.ended:
	case <-ctx.Done():
		return f.hangs()
	}
	return nil
}

func (f *Feed) hangs() error { return fmt.Errorf("feeds: %s does not respond", f.cfg.Name) }
