package relay

import (
	"context"
	"errors"
	"os"
	"time"

	"tickrelay/nettune"
)

// closeRestart tells clients to come back at once, to whoever listens now ("Service
// Restart" in the IANA's registry of WebSocket close codes).
const closeRestart = 1012

// Open lets a gateway with Config.Hold accept. Safe from any goroutine.
func (g *Gateway) Open() {
	g.openOnce.Do(func() { close(g.opened) })
	g.accept.poller.Wake()
}

// held waits for Open where that was asked for; false if ctx ends before. Connections
// wait in the kernel's queue meanwhile.
func (a *acceptor) held(ctx context.Context) bool {
	if !a.g.cfg.Hold {
		return true
	}
	select {
	case <-a.g.opened:
		return true
	case <-ctx.Done():
		return false
	}
}

// ListenerFile returns a duplicate of the listening socket, for a process that takes
// over. The caller closes it. Before Run only.
func (g *Gateway) ListenerFile() (*os.File, error) {
	s, ok := g.accept.listener.(nettune.Sharer)
	if !ok {
		return nil, errors.New("relay: this transport's listener cannot be handed over")
	}
	return s.File()
}

// Retire makes place for another gateway that listens on the same socket: nobody is
// accepted any more, and clients are closed with 1012, evenly spread over the time given
// so that they do not all come back at once; each gets what is queued for it first. It
// returns when the last has gone, or soon after that time, or when ctx ends; Run goes on
// until its own context ends. Safe from any goroutine, once Run runs.
func (g *Gateway) Retire(ctx context.Context, spread time.Duration) {
	g.cfg.Log.Info("another gateway has taken over", "clients", g.connections(), "spread", spread)
	g.retired.Store(true)
	g.accept.poller.Wake()
	for _, s := range g.shards {
		s.inbox.put(delivery{op: deliverRetire, from: uint64(spread)})
	}
	l := g.cfg.Limits
	ctx, cancel := context.WithTimeout(ctx, spread+l.HeadTimeout+l.CloseTimeout)
	defer cancel()
	for ctx.Err() == nil && (g.connections() > 0 || g.accept.stats.pending.Load() > 0) {
		select {
		case <-ctx.Done():
		case <-time.After(sweepEvery):
		}
	}
}

// retireAll sets the time at which each connection is told to go.
func (s *shard) retireAll(spread time.Duration) {
	s.retire = s.now + int64(spread)
	for i, c := range s.conns {
		if c.state != connOpen {
			continue
		}
		c.deadline = s.now + 1 + int64(spread)*int64(i)/int64(len(s.conns))
	}
}
