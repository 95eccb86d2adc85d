package relay

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"tickrelay/relay/auth"
	passthrough "tickrelay/relay/raw"
	"tickrelay/ring"
)

// Gateway serves WebSocket and HTTP clients from rings.
type Gateway struct {
	cfg       Config
	hub       *hub
	hubStats  hubStats
	shards    []*shard
	accept    *acceptor
	clients   *clients
	offenders *offenders   // nil: nobody asks
	cert      *certificate // nil: plain text
	reloads   reloaders
	auth      atomic.Pointer[auth.Verifier] // nil: everybody is everyone
	idle      *auth.Verifier                // of before, while auth is nil; reloads.mu guards it
	everyone  atomic.Pointer[auth.Grant]
	live      atomic.Pointer[settings]
	raws      []*passthrough.Hub
	http      *httpServer
	addr      netip.AddrPort
	started   time.Time
	upgraded  atomic.Uint64
	state     atomic.Int32
	opened    chan struct{} // closed by Open
	openOnce  sync.Once
	retired   atomic.Bool // nobody is accepted any more, clients are told to go
}

// Values of Gateway.state.
const (
	gatewayRun = iota + 1
	gatewayClosed
)

// New opens the listener, so that Addr is known, and starts nothing: Run or Close it.
// All problems of cfg come joined in one error.
func New(cfg Config) (*Gateway, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	g := &Gateway{opened: make(chan struct{}), cfg: cfg, clients: newClients(cfg.Limits), started: time.Now()}
	g.live.Store(cfg.settings())
	g.offenders = newOffenders(&cfg, g.trusted)
	g.reloads.log = cfg.Log
	if cfg.TLS != nil {
		var err error
		if g.cert, err = newCertificate(*cfg.TLS); err != nil {
			return nil, err
		}
	}
	g.everyone.Store(auth.Open())
	var err error
	if g.raws, err = newRaws(g); err != nil {
		return nil, err
	}
	if cfg.Auth != nil {
		v, err := g.verifier(cfg.Auth)
		if err != nil {
			return nil, err
		}
		g.auth.Store(v)
	}
	g.reloads.add("certificate", g.cert.files, g.cert.load)
	g.reloads.add("auth", g.authFiles, g.loadAuth)
	g.hub = newHub(&g.cfg, &g.hubStats)
	for i := range cfg.Shards {
		s, err := newShard(i, &g.cfg, g.hub)
		if err != nil {
			g.closePollers()
			return nil, err
		}
		s.places, s.offenders, s.admit, s.raws = g.clients, g.offenders, g.admit, g.raws
		g.shards = append(g.shards, s)
	}
	g.hub.shards = g.shards
	if g.accept, err = newAcceptor(g); err != nil {
		g.closePollers()
		return nil, err
	}
	if g.cert != nil {
		g.accept.tls = g.cert.server()
	}
	g.addr = g.accept.listener.Addr()
	if g.http, err = newHTTPServer(g); err != nil {
		g.accept.poller.Close()
		g.closePollers()
		return nil, err
	}
	return g, nil
}

func (g *Gateway) closePollers() {
	for _, s := range g.shards {
		s.poller.Close()
	}
}

// AddRing makes the gateway read c, which is its own from then on and closed when
// Run ends. Safe from any goroutine, before Run and while it runs.
func (g *Gateway) AddRing(c *ring.Consumer) {
	g.hub.inbox.put(request{op: requestRing, ring: c})
}

// AddRingPath makes the gateway read the ring dir/name, which is opened when it is
// there, and again whenever its producer has gone and is back: its topics get a gap, and
// fresh state when there is a producer. Safe as AddRing.
func (g *Gateway) AddRingPath(dir, name string) {
	g.hub.inbox.put(request{op: requestRing, path: &ringPath{dir, name}})
}

// Close ends a gateway that was never run: its listener, and the rings that it was
// given. Once Run was called it does nothing.
func (g *Gateway) Close() {
	if !g.state.CompareAndSwap(0, gatewayClosed) {
		return
	}
	g.accept.poller.Close()
	g.closePollers()
	g.hub.closeWaiting()
}

// Addr is the address that is listened on.
func (g *Gateway) Addr() netip.AddrPort { return g.addr }

// connections counts WebSocket connections, those on their way to a shard included.
func (g *Gateway) connections() int {
	n := int64(g.upgraded.Load())
	for _, s := range g.shards {
		n += s.stats.open.Load() - int64(s.stats.adopted.Load())
	}
	return int(n)
}

// Run serves until ctx is cancelled, then drains: it accepts nobody any more, clients
// get what was queued for them and a close frame with code 1001, within
// Limits.DrainTimeout. It returns nil after a drain, or what broke a loop. Call it
// once, and not after Close.
func (g *Gateway) Run(ctx context.Context) error {
	if !g.state.CompareAndSwap(0, gatewayRun) {
		return errors.New("relay: the gateway was run or closed before")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	errs := make([]error, len(g.shards)+1)
	loop := func(at int, run func(context.Context) error) {
		wg.Go(func() {
			errs[at] = run(ctx)
			cancel() // one loop alone is of no use
		})
	}
	for i, s := range g.shards {
		loop(i, s.run)
	}
	loop(len(g.shards), g.accept.run)
	wg.Go(func() { g.hub.run(ctx, wg.Go) })
	wg.Go(func() { g.reloads.run(ctx) })
	g.runRaws(ctx, wg.Go)
	g.cfg.Log.Info("gateway listens", "addr", g.addr.String(), "shards", len(g.shards))
	<-ctx.Done()
	end := time.Now().Add(g.cfg.Limits.DrainTimeout)
	wg.Wait() // the acceptor too, so that no request begins any more
	g.hub.closeWaiting()
	g.http.shutdown(max(0, time.Until(end)))
	g.cfg.Log.Info("gateway stopped", "addr", g.addr.String())
	return errors.Join(errs...)
}
