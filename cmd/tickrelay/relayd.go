package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"tickrelay/dpdkbridge"
	"tickrelay/feeds"
	"tickrelay/nettune/xdp"
	"tickrelay/relay"
	"tickrelay/ring"
	"tickrelay/ring/md"
)

// tableEntries is the room of the instrument table: every instrument of every
// venue several times over. Unused entries cost no memory.
const tableEntries = 1 << 16

// gatewayCapacity is the gateway's ring per feed, in records.
const gatewayCapacity = 1 << 17

// relayd is one relay: its directory, feeds, rings and gateway.
type relayd struct {
	cfg    *fileConfig
	log    *slog.Logger
	dir    *ring.Dir
	table  *md.Table
	view   *md.TableView
	feeds  []*feedUnit
	rings  []*ring.Segment   // closed at the end
	gw     *relay.Gateway    // nil in a process with feeds only
	alone  *alone            // nil in a process with feeds
	xdp    *xdp.Feeder       // nil without a packet filter
	bridge dpdkbridge.Bridge // nil with the kernel's sockets
	debug  *debugServer      // nil: none was asked for
	socket string
	// Who may attach besides this user and root.
	group                int
	allowUIDs, allowGIDs []int

	mu       sync.Mutex
	attached int // strategies attached so far, for their rings' names
}

// feedUnit is a feed and what its configuration says it serves.
type feedUnit struct {
	*feeds.Feed
	venue    md.Venue
	channels []md.Channel
}

// newRelayd builds a relay with feeds from cfg and opens all that it needs. On success
// run must be called; on failure nothing is left behind.
func newRelayd(cfg *fileConfig, o runOptions, log *slog.Logger) (r *relayd, err error) {
	r = &relayd{cfg: cfg, log: log, socket: cfg.Socket}
	perm := ring.Perm{}
	if cfg.Group != "" {
		if perm.Group, err = groupID(cfg.Group); err != nil {
			return nil, err
		}
		r.group = perm.Group
	}
	if err = r.allowed(&cfg.Allow); err != nil {
		return nil, err
	}
	if r.dir, err = ring.OpenDir(ring.DefaultBase, cfg.Relay, perm); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if r.table, err = r.dir.CreateTable(tableEntries); err != nil {
		return nil, err
	}
	r.view = r.table.View()
	if r.socket == "" {
		r.socket = ring.SocketPath(cfg.Relay)
	}
	if err = r.openBridge(); err != nil {
		return nil, err
	}
	venues := map[md.Venue]*venueShare{}
	for i := range cfg.Feeds {
		if err = r.addFeed(&cfg.Feeds[i], venues); err != nil {
			return nil, err
		}
	}
	for i := range cfg.Rings {
		if err = r.addDeclared(&cfg.Rings[i]); err != nil {
			return nil, err
		}
	}
	if o.feedsOnly {
		return r, nil
	}
	return r, r.addGateway(o.listener)
}

// venueShare is what the feeds of one venue have in common.
type venueShare struct {
	epoch  int64
	budget *feeds.Budget // of connection attempts
}

func (r *relayd) addFeed(c *feedConfig, venues map[md.Venue]*venueShare) error {
	v, err := c.venue()
	if err != nil {
		return fmt.Errorf("feed %s: %w", c.Name, err)
	}
	ways, err := c.ways()
	if err != nil {
		return fmt.Errorf("feed %s: %w", c.Name, err)
	}
	spec := v.Spec()
	share := venues[spec.Venue]
	if share == nil {
		share = &venueShare{time.Now().UnixNano(), feeds.NewBudget(0, 0)}
		venues[spec.Venue] = share
	}
	fc := feeds.Config{
		Name: c.Name, Venue: v, URL: c.URL, REST: c.REST, Instruments: c.Instruments,
		Lines: c.Lines, Ways: ways, Limits: feeds.Deadlines{Audit: c.auditEvery()}, CPU: -1, Busy: c.Poll == "busy",
		Table: r.table, Epoch: share.epoch, Budget: share.budget, CacheDir: c.Cache, Log: r.log,
	}
	r.feedTransport(&fc, len(r.feeds))
	if c.CPU != nil {
		fc.CPU = *c.CPU
	}
	for _, name := range c.Channels {
		ch, _ := md.ParseChannel(name)
		fc.Channels = append(fc.Channels, ch)
	}
	fc.Signals = c.Signals
	serves := slices.Clone(fc.Channels)
	if c.Signals > 0 {
		serves = append(serves, md.ChannelSignals)
	}
	if c.CA != "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return fmt.Errorf("feed %s: ca: %w", c.Name, err)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return fmt.Errorf("feed %s: ca: %s holds no PEM certificate", c.Name, c.CA)
		}
		fc.TLS = &tls.Config{RootCAs: pool}
	}
	f, err := feeds.New(fc)
	if err != nil {
		return err
	}
	r.feeds = append(r.feeds, &feedUnit{Feed: f, venue: spec.Venue, channels: serves})
	return nil
}

// addDeclared creates the rings of one strategy of the configuration, one for
// each feed that may serve its topics.
func (r *relayd) addDeclared(c *ringConfig) error {
	pats, err := parsePatterns(c.Topics)
	if err != nil {
		return err
	}
	served := false
	for _, f := range r.feeds {
		if !f.mayServe(c.Topics) {
			continue
		}
		served = true
		m := r.meta(c.Strategy)
		m.Broadcast = c.Broadcast
		seg, err := r.dir.CreateRing(ringName(c.Strategy, f.Name()), c.Capacity, m)
		if err != nil {
			return err
		}
		r.tellMemory(seg)
		r.rings = append(r.rings, seg)
		if _, err := f.Attach(seg, r.wants(f.venue, pats)); err != nil {
			return err
		}
	}
	if !served {
		return fmt.Errorf("ring %s: no feed serves any of %v", c.Strategy, c.Topics)
	}
	return nil
}

// meta describes a ring of this relay.
func (r *relayd) meta(strategy string) ring.Meta {
	c := &r.cfg.Memory
	m := ring.Meta{Strategy: strategy, TableID: r.table.ID(), Memory: ring.Memory{Touch: c.Touch, Lock: c.Lock}}
	if c.Node != nil {
		m.Memory.Bind, m.Memory.Node = true, *c.Node
	}
	return m
}

func ringName(strategy, feed string) string { return strategy + "-" + feed }

func resolveListen(listen string) (netip.AddrPort, error) {
	a, err := net.ResolveTCPAddr("tcp", listen)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("listen %q: %w", listen, err)
	}
	ap := a.AddrPort()
	if !ap.Addr().IsValid() {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), ap.Port()), nil
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
}

// run drives the relay until ctx ends, then drains and removes what it made.
// The first part that fails ends the others.
func (r *relayd) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	part := func(name string, run func(context.Context) error) {
		wg.Go(func() {
			if err := run(ctx); err != nil {
				cancel(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	for _, f := range r.feeds {
		part("feed "+f.Name(), f.Run)
	}
	if r.gw != nil {
		part("gateway", r.gw.Run)
		part("reload", func(ctx context.Context) error { return reloadOnHangup(ctx, r.gw) })
	}
	if r.xdp != nil {
		part("xdp", r.xdp.Run)
	}
	part("watchdog", func(ctx context.Context) error { return r.service().watch(ctx, r.alive) })
	if r.debug != nil {
		part("debug", r.debug.run)
	}
	if r.alone != nil {
		part("handover", r.succeed)
		r.log.Info("gateway started", "relay", r.cfg.Relay, "listen", r.gw.Addr(), "socket", r.socket)
	} else {
		r.startLocal(part, cancel)
	}
	stopping := context.AfterFunc(ctx, func() { r.service().tell(daemon.SdNotifyStopping) })
	defer stopping()
	wg.Wait()
	err := context.Cause(ctx)
	if errors.Is(err, context.Canceled) || errors.Is(err, errReplaced) {
		err = nil
	}
	r.log.Info("relay stopped", "relay", r.cfg.Relay)
	return errors.Join(err, r.close())
}

// startLocal starts what a relay with feeds has beside them.
func (r *relayd) startLocal(part func(string, func(context.Context) error), fail func(error)) {
	serve := ring.ServeConfig{Group: r.group, AllowUIDs: r.allowUIDs, AllowGIDs: r.allowGIDs, Nearest: r.nearest, Log: r.log.With("part", "control socket")}
	part("control socket", func(ctx context.Context) error { return serve.ServeLeases(ctx, r.socket, r.attach) })
	if err := r.announce(); err != nil {
		fail(err)
	}
	if r.gw == nil {
		part("status", r.tellStatus)
		if r.cfg.Metrics != "" {
			part("metrics", r.serveMetrics)
		}
	}
	r.log.Info("relay started", "relay", r.cfg.Relay, "gateway", r.gw != nil, "rings", r.dir.Path(), "socket", r.socket)
	r.ready()
}

// close removes the rings and the directory.
func (r *relayd) close() error {
	var errs []error
	for _, seg := range r.rings {
		errs = append(errs, seg.Close())
	}
	if r.bridge != nil {
		errs = append(errs, r.bridge.Close())
	}
	if r.dir != nil {
		errs = append(errs, r.dir.Close())
	}
	return errors.Join(errs...)
}
