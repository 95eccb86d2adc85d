package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"

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
	gw     *relay.Gateway    // nil in a process with feeds only
	alone  *alone            // nil in a process with feeds
	xdp    *xdp.Feeder       // nil without a packet filter
	bridge dpdkbridge.Bridge // nil with the kernel's sockets
	debug  *debugServer      // nil: none was asked for
	bus    busd
	socket string
	raw    rawRecorders
	tune   func(*feeds.Config) // of every feed; nil: nothing
	// recorder writes Parquet files, if the configuration says so.
	recorder recordd
	// Who may attach besides this user and root.
	group                int
	allowUIDs, allowGIDs []int

	units    atomic.Pointer[[]*feedUnit] // see feeds
	running  runState
	reloads  reloadStats
	refusals refusals

	mu       sync.Mutex // one change at a time: of leases, by a reload; guards what follows
	attached int        // strategies attached so far, for their rings' names
	leases   map[*attachment]struct{}
	shares   map[md.Venue]*venueShare
	stacks   int // given to feeds so far
	readers  []*feedReader
	declared []*declaredRing
}

// runState is what run shares with parts that begin later.
type runState struct {
	ctx  context.Context
	part func(name string, run func(context.Context) error)
}

// newRelayd builds a relay with feeds from cfg and opens all that it needs. On success
// run must be called; on failure nothing is left behind.
func newRelayd(cfg *fileConfig, o runOptions, log *slog.Logger) (r *relayd, err error) {
	r = &relayd{cfg: cfg, log: log, socket: cfg.Socket, leases: map[*attachment]struct{}{}, shares: map[md.Venue]*venueShare{}, tune: o.tune}
	r.reloads.begin(o.file)
	if err = r.admits(); err != nil {
		return nil, err
	}
	if r.dir, err = ring.OpenDir(ring.DefaultBase, cfg.Relay, ring.Perm{Group: r.group}); err != nil {
		return nil, err
	}
	opened := r // what is returned on failure is nil
	defer func() {
		if err != nil {
			opened.close()
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
	for i := range cfg.Feeds {
		f, err := r.newUnit(&cfg.Feeds[i])
		if err != nil {
			return nil, err
		}
		r.addUnit(f)
	}
	if err = r.openBus(); err != nil {
		return nil, err
	}
	if err = r.openRecorder(); err != nil {
		return nil, err
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
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP) // to the end: one in the drain must not kill
	defer signal.Stop(hup)
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
	r.running = runState{ctx, part}
	for _, f := range r.feeds() {
		r.startUnit(f)
	}
	if r.gw != nil {
		later, stop := context.WithCancel(context.WithoutCancel(ctx))
		defer stop()
		part("gateway", func(context.Context) error { return r.gw.Run(later) })
		part("drain", func(ctx context.Context) error { return r.drain(ctx, stop) })
	}
	part("reload", func(ctx context.Context) error { return r.reloadOnHangup(ctx, hup) })
	if r.xdp != nil {
		part("xdp", r.xdp.Run)
	}
	part("watchdog", func(ctx context.Context) error { return r.service().watch(ctx, r.alive) })
	if r.debug != nil {
		part("debug", r.debug.run)
	}
	if r.alone != nil {
		r.alone.control, r.alone.leave = context.WithCancel(ctx) // which the parts use
		defer r.alone.leave()
		part("handover", r.succeed)
		part("feeds", r.watchFeeds)
		r.log.Info("gateway started", "relay", r.cfg.Relay, "listen", r.gw.Addr(), "socket", r.socket)
	} else {
		r.startLocal(part, cancel)
	}
	stopping := context.AfterFunc(ctx, func() { r.service().tell(daemon.SdNotifyStopping) })
	defer stopping()
	err := r.await(ctx, &wg)
	if errors.Is(err, errDrain) {
		return err // what hangs may still use the rings: the next start removes them
	}
	r.log.Info("relay stopped", "relay", r.cfg.Relay)
	return errors.Join(err, r.close())
}

// startLocal starts what a relay with feeds has beside them.
func (r *relayd) startLocal(part func(string, func(context.Context) error), fail func(error)) {
	serve := ring.ServeConfig{Group: r.group, AllowUIDs: r.allowUIDs, AllowGIDs: r.allowGIDs, Nearest: r.nearest, Commands: r.commands(), Refused: r.refusals.count, Log: r.log.With("part", "control socket")}
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
	r.startBus()
	r.startRecorder()
	r.log.Info("relay started", "relay", r.cfg.Relay, "gateway", r.gw != nil, "rings", r.dir.Path(), "socket", r.socket)
	r.ready()
}

// close removes the rings and the directory.
func (r *relayd) close() error {
	var errs []error
	for _, reader := range r.readers {
		for _, seg := range reader.rings {
			errs = append(errs, seg.Close())
		}
	}
	for _, d := range r.declared {
		errs = append(errs, d.close())
	}
	r.closeBus()
	errs = append(errs, r.recorder.close())
	if r.bridge != nil {
		errs = append(errs, r.bridge.Close())
	}
	if r.dir != nil {
		errs = append(errs, r.dir.Close())
	}
	return errors.Join(errs...)
}
