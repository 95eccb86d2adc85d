package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/prometheus/client_golang/prometheus"

	"tickrelay/feeds"
	"tickrelay/relay"
	"tickrelay/relay/handover"
	"tickrelay/ring"
	"tickrelay/ring/md"
)

// runOptions say which parts of a relay a process runs; the zero value: all.
type runOptions struct {
	feedsOnly   bool
	gatewayOnly bool
	takeover    bool                // from the gateway that runs, if one does
	debug       string              // address of profiles and traces, "": none
	file        string              // of the configuration; "": there is none to read again
	listener    *os.File            // that systemd has opened; nil: open one
	tune        func(*feeds.Config) // of every feed, at last; nil: nothing
}

const (
	// warmWithin is how long a gateway that takes over waits for its rings.
	warmWithin = 30 * time.Second
	// retireSpread is the time over which the clients of a gateway that is replaced are
	// sent away.
	retireSpread = 10 * time.Second
)

// errReplaced ends a gateway that another process has replaced. It is no failure.
var errReplaced = errors.New("another gateway has taken over")

// alone is a gateway in a process without feeds.
type alone struct {
	listener *os.File        // to hand to the next one
	taken    *handover.Taken // nil: nobody was there to take over from
	// control ends, by leave, when the next gateway may have the control socket.
	control context.Context
	leave   context.CancelFunc
}

// handoverPath is where gateways of a relay meet.
func (r *relayd) handoverPath() string { return r.socket + ".gateway" }

// newGateway opens a gateway with what the configuration says.
func (r *relayd) newGateway(c relay.Config, more ...prometheus.Collector) error {
	addr, err := resolveListen(r.cfg.Listen)
	if err != nil {
		return err
	}
	reg := newRegistry(more...)
	if r.bridge != nil {
		reg.MustRegister(dpdkMetrics{r.bridge})
	}
	c.Relay = r.cfg.Relay
	c.Listen, c.Transport, c.Registry = addr.String(), r.gatewayTransport(), reg
	c.Log, c.Offender = r.log.With("part", "gateway"), r.addXDP(reg)
	c.TLS, c.Auth, c.Origins, c.Deflate = r.cfg.TLS.gateway(), r.cfg.Auth.gateway(), r.cfg.Origins, r.cfg.Deflate
	c.Raw = r.cfg.rawVenues()
	c.ProxyProtocol, c.Limits = r.cfg.proxyNetworks(func(string) {}), r.cfg.Limits.limits()
	r.cfg.Replay.use(&c)
	r.gw, err = relay.New(c)
	return err
}

// addGateway makes the gateway beside the feeds, over rings in this process's memory.
func (r *relayd) addGateway(listener *os.File) error {
	err := r.newGateway(relay.Config{Table: r.view, Feeds: r.status, Alive: r.feedsAlive, Rings: ringsOf(r.dir.Path()), Listener: listener, Hold: r.bus.in != nil},
		&feedMetrics{feeds: r.feeds}, &ringMetrics{dir: r.dir.Path()}, &r.reloads, &r.refusals, &r.raw, &r.recorder, r.bus.metrics())
	if err != nil {
		return err
	}
	if err := r.busGateway(); err != nil {
		return err
	}
	return r.addReader(&feedReader{name: "gateway", capacity: gatewayCapacity, add: r.gw.AddRing})
}

// newGatewayd builds a process that runs the gateway alone. It reads the feeds of
// another process over its control socket, as a strategy does.
func newGatewayd(ctx context.Context, cfg *fileConfig, o runOptions, log *slog.Logger) (*relayd, error) {
	r := &relayd{cfg: cfg, log: log, socket: cfg.Socket, alone: &alone{}}
	r.reloads.begin(o.file)
	if r.socket == "" {
		r.socket = ring.FindSocket(cfg.Relay)
	}
	if err := r.admits(); err != nil {
		return nil, err
	}
	dir := filepath.Join(ring.DefaultBase, cfg.Relay)
	none, err := md.CreateTable(make([]byte, md.TableSize(1)), 1, 1) // until a relay is there
	if err != nil {
		return nil, err
	}
	c := relay.Config{Table: none.View(), Feeds: func() []relay.FeedStatus { return remoteStatus(dir, r.configured()) }, Rings: ringsOf(dir), Listener: o.listener}
	if o.takeover {
		switch r.alone.taken, err = handover.Take(ctx, r.handoverPath()); {
		case errors.Is(err, handover.ErrNone):
			log.Info("no gateway to take over from: starting", "path", r.handoverPath())
		case err != nil:
			return nil, err
		default:
			defer r.alone.taken.Listener.Close()
			c.Listener, c.Hold = r.alone.taken.Listener, true
		}
	}
	if err := r.newGateway(c, &ringMetrics{dir: dir}, &r.reloads, &r.refusals); err != nil {
		r.giveUp()
		return nil, err
	}
	if r.alone.listener, err = r.gw.ListenerFile(); err != nil {
		r.giveUp()
		return nil, err
	}
	r.gw.AddSocket(r.socket, gatewayCapacity)
	if len(cfg.busVenues()) > 0 {
		log.Info("topics of the bus come from the process with --feeds-only, which subscribes to them", "socket", r.socket)
	}
	return r, nil
}

// giveUp leaves a gateway that was to be replaced as it is.
func (r *relayd) giveUp() {
	if r.alone.taken != nil {
		r.alone.taken.Close()
	}
	if r.gw != nil {
		r.gw.Close()
	}
}

// succeed completes a take-over once this gateway could serve everybody, then offers the
// socket to the next one. It returns errReplaced when that has come.
func (r *relayd) succeed(ctx context.Context) error {
	if t := r.alone.taken; t != nil {
		defer t.Close()
		if err := r.warmUp(ctx); err != nil {
			r.alone.listener.Close()
			return err
		}
		r.gw.Open()
		if err := t.Ready(); err != nil {
			r.log.Warn("the gateway before has died", "err", err)
		}
		r.log.Info("taken over from the gateway before")
		go func() {
			t.Wait(ctx)
			if ctx.Err() == nil {
				r.log.Info("the gateway before has no client left")
			}
		}()
	}
	if err := os.MkdirAll(filepath.Dir(r.handoverPath()), 0o755); err != nil {
		r.alone.listener.Close()
		return err
	}
	r.running.part("control socket", func(context.Context) error { return r.serveGateway(r.alone.control) })
	r.ready()
	replaced := false
	s := handover.Server{Listener: r.alone.listener, Log: r.log.With("part", "handover"), Retire: func(ctx context.Context) {
		replaced = true
		r.alone.leave()
		r.gw.Retire(ctx, retireSpread)
	}}
	err := s.Serve(ctx, r.handoverPath())
	if err == nil && replaced {
		err = errReplaced
	}
	return err
}

// warmUp waits until the rings have been read up.
func (r *relayd) warmUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, warmWithin, fmt.Errorf("no feeds on %s within %s: the gateway before goes on", r.socket, warmWithin))
	defer cancel()
	for !r.gw.Warm() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// activated is the listening socket that systemd has opened for this process
// (sd_listen_fds(3)), nil if there is none.
func activated(log *slog.Logger) *os.File {
	files := activation.Files(true)
	if len(files) == 0 {
		return nil
	}
	for _, f := range files[1:] {
		log.Warn("a second socket of systemd's is not used", "name", f.Name())
		f.Close()
	}
	return files[0]
}
