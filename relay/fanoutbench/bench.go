package fanoutbench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"tickrelay/ring/ringbench"
)

// maxSubscribers fits a process of 20,000 open files, the server's as the clients'.
const maxSubscribers = 19_000

// Config says what to measure. The zero value of every field but Child works.
type Config struct {
	// Subscribers of each server, 1 to 19000, default 1000. Each costs one open file in
	// its server and one in the process of subscribers.
	Subscribers int
	// Rounds in which every server takes its turn, default 5.
	Rounds int
	// Duration of one server's turn at one rate, default 2 s.
	Duration time.Duration
	// Idle is how many connections the memory of idle ones is measured with, default
	// 10000; negative: not at all.
	Idle int
	// Plain leaves the rows over TLS out.
	Plain bool
	// Sources is the repository, whose peers are built. Default: the working directory.
	Sources string
	// Child is a process of this program that runs Clients, Stalled or Gateway: the
	// first argument says which, "clients", "stalled" or "gateway", the others are for
	// it. Required.
	Child func(ctx context.Context, args ...string) *exec.Cmd
	// Log gets what is being done, default: discarded.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Subscribers == 0 {
		c.Subscribers = 1000
	}
	if c.Rounds == 0 {
		c.Rounds = 5
	}
	if c.Duration == 0 {
		c.Duration = 2 * time.Second
	}
	if c.Idle == 0 {
		c.Idle = 10_000
	}
	if c.Sources == "" {
		c.Sources = "."
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c *Config) validate() error {
	var errs []error
	if c.Subscribers < 1 || c.Subscribers > maxSubscribers {
		errs = append(errs, fmt.Errorf("fanoutbench: %d subscribers: want 1 to %d", c.Subscribers, maxSubscribers))
	}
	if c.Idle > maxSubscribers {
		errs = append(errs, fmt.Errorf("fanoutbench: %d idle connections: want at most %d", c.Idle, maxSubscribers))
	}
	if c.Rounds < 1 {
		errs = append(errs, fmt.Errorf("fanoutbench: %d rounds: want at least 1", c.Rounds))
	}
	if c.Duration < 20*time.Millisecond {
		errs = append(errs, fmt.Errorf("fanoutbench: duration %s: want at least 20ms", c.Duration))
	}
	if c.Child == nil {
		errs = append(errs, errors.New("fanoutbench: no child process is configured"))
	}
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err == nil {
		if want := max(c.Subscribers, c.Idle) + 200; lim.Max < uint64(want) {
			errs = append(errs, fmt.Errorf("fanoutbench: a process may open %d files and needs %d: raise ulimit -n or ask for fewer connections", lim.Max, want))
		}
	}
	return errors.Join(errs...)
}

func (c *Config) child(ctx context.Context, args ...string) *exec.Cmd { return c.Child(ctx, args...) }

// rate is how events come: perTick at once, hz times a second.
type rate struct{ perTick, hz int }

func (r rate) String() string { return fmt.Sprintf("%d per tick", r.perTick) }

func rates() []rate { return []rate{{1, 50}, {4, 100}, {10, 100}} }

// Run measures everything. It returns early, with an error, when ctx ends.
func Run(ctx context.Context, cfg Config) (*ringbench.Report, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := newWorkshop()
	if err != nil {
		return nil, err
	}
	defer w.close()
	built, missing := map[string]string{}, map[string]string{}
	for _, name := range []string{nameFloor, nameGWS, nameCentrifuge} {
		cfg.Log.Info("building a peer", "peer", name)
		built[name], missing[name] = w.build(ctx, cfg.Sources, name, cfg.Log)
	}
	rep := &ringbench.Report{Bench: "fanout", Hardware: ringbench.Hardware()}
	for _, secure := range []bool{false, true} {
		if secure && cfg.Plain {
			continue
		}
		rows, err := cfg.contest(ctx, w, w.kinds(&cfg, built, missing, secure), secure)
		if err != nil {
			return nil, errors.Join(ctx.Err(), err)
		}
		rep.Rows = append(rep.Rows, rows...)
	}
	stalled, err := cfg.stalledRows(ctx, w.kinds(&cfg, built, missing, false)[0])
	if err != nil {
		return nil, errors.Join(ctx.Err(), err)
	}
	rep.Rows = append(rep.Rows, stalled...)
	if cfg.Idle > 0 {
		rows, err := cfg.idleRows(ctx, w.kinds(&cfg, built, missing, false))
		if err != nil {
			return nil, errors.Join(ctx.Err(), err)
		}
		rep.Rows = append(rep.Rows, rows...)
	}
	return rep, nil
}

// contest starts all servers at once and measures them by turns.
func (c *Config) contest(ctx context.Context, w *workshop, kinds []*kind, secure bool) ([]ringbench.Row, error) {
	ca := ""
	if secure {
		ca = w.cert
	}
	var servers []*server
	defer func() {
		for _, s := range servers {
			s.close()
		}
	}()
	for _, k := range kinds {
		if k.skip != "" {
			continue
		}
		s, err := k.open(ctx)
		if err != nil {
			return nil, err
		}
		servers = append(servers, s)
		if err := s.fill(ctx, c, c.Subscribers, ca, k.greet); err != nil {
			return nil, err
		}
		if _, err := s.run(ctx, c.Subscribers, rate{1, 50}, 200*time.Millisecond); err != nil { // warm
			return nil, err
		}
	}
	all := results{}
	for round := range c.Rounds {
		for _, r := range rates() {
			for i := range servers {
				s := servers[(i+round)%len(servers)]
				got, err := s.run(ctx, c.Subscribers, r, c.Duration)
				if err != nil {
					return nil, err
				}
				c.Log.Info("measured", "round", round+1, "server", s.name, "tls", secure, "rate", r.String(), "us_per_delivery", got.cpu/1e3,
					"p99_us", got.p99/1e3, "in_time", got.inTime)
				all.add(s.name, r, got)
			}
		}
	}
	rows := all.rows(kinds, secure)
	if secure {
		return rows, nil
	}
	more, err := c.saturate(ctx, servers)
	return append(rows, more...), err
}
