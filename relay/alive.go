package relay

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// turnCheck is how often a loop is looked at that was woken.
const turnCheck = 5 * time.Millisecond

// Alive returns nil once the hub and every fan-out loop have gone through a turn since
// the call, or, when ctx ends before that, an error that names the loop that hangs. It
// is for watchdogs: idle loops are woken. Before Run and after it there is nothing to
// ask, and it returns nil. Any goroutine.
func (g *Gateway) Alive(ctx context.Context) error {
	if g.state.Load() != gatewayRun {
		return nil
	}
	if err := turned(ctx, "hub", &g.hub.turns, g.hub.ring); err != nil {
		return err
	}
	for i, s := range g.shards {
		if err := turned(ctx, fmt.Sprintf("shard %d", i), &s.turns, s.poller.Wake); err != nil {
			return err
		}
	}
	return nil
}

// turned waits until a loop's turns go on. A loop that has made none has not begun.
func turned(ctx context.Context, name string, turns *atomic.Uint64, wake func()) error {
	was := turns.Load()
	if was == 0 {
		return nil
	}
	wake()
	tick := time.NewTicker(turnCheck)
	defer tick.Stop()
	for turns.Load() == was {
		select {
		case <-ctx.Done():
			return fmt.Errorf("relay: %s does not respond", name)
		case <-tick.C:
		}
	}
	return nil
}
