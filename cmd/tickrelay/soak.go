package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tickrelay/cmd/soak"
)

// soakOptions are the flags of soak.
type soakOptions struct {
	cfg    soak.Config
	speed  string
	report string
	asJSON bool
}

func soakCommand() *cobra.Command {
	var o soakOptions
	c := &cobra.Command{
		Use:   "soak",
		Short: "Everything at once, many times as fast as a market, with faults injected, every invariant checked",
		Long: `soak runs simulated exchanges of all venues, the feeds, the gateway, three strategies and
WebSocket clients fast and slow, each in a process of its own, and lets happen on a seed what
goes wrong in practice: cut, stalled and damaged connections, killed and stopped processes,
gateways replaced, a full /dev/shm (as root, in a /dev/shm of its own), a stepped clock.

Meanwhile every reader checks every record: numbers chain or a gap says which do not come,
nothing comes twice, no book is crossed, no price is one that the exchange never sent. Between
storms of faults the market stands still and every reader's books must equal the exchanges',
level by level. Memory, file descriptors and goroutines must not grow.

The soak can fail: --plant has one part of it do one wrong thing, which must be found. Leaks
need some four minutes to be told from noise.

A violation is printed with the seed, and makes the exit code 1. The same seed, time and speed
give the same faults. Ctrl-C ends early, with the report of what was seen. See docs/soak.md.`,
		Example: "  tickrelay soak --for 2m\n  tickrelay soak --for 20m --seed 7 --speed max --report soak-report",
		Args:    usage(cobra.NoArgs),
	}
	f := c.Flags()
	f.DurationVar(&o.cfg.For, "for", 20*time.Minute, "how long, at least 20s")
	f.Uint64Var(&o.cfg.Seed, "seed", 0, "seed of faults and market; 0: one of the clock")
	f.StringVar(&o.speed, "speed", "10", "pace of the market in multiples of a real one, or max: as fast as this host takes it")
	f.StringVar(&o.report, "report", "", "folder to write soak.md, soak.json and pictures into")
	f.StringVar(&o.cfg.Plant, "plant", "", "do one wrong thing on purpose, which must be found: "+strings.Join(soak.Plants(), ", "))
	f.BoolVar(&o.asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error { return runSoak(c, &o) }
	c.AddCommand(soakExchanges(), soakFeeds(), soakStrategy(), soakClients())
	return c
}

func runSoak(c *cobra.Command, o *soakOptions) error {
	if o.speed != "max" {
		v, err := strconv.ParseFloat(o.speed, 64)
		if err != nil || !(v > 0) {
			return usageError{fmt.Errorf("--speed %q: want a number above 0, or max", o.speed)}
		}
		o.cfg.Speed = v
	}
	if o.cfg.Seed == 0 {
		o.cfg.Seed = uint64(time.Now().UnixNano())
	}
	if err := o.cfg.Validate(); err != nil {
		return usageError{err}
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	inside, code, err := soak.Isolate(c.Context(), o.cfg.Seed, c.OutOrStdout(), c.ErrOrStderr())
	if err != nil {
		return err
	}
	if inside == nil {
		if code != exitDone {
			return foundError(code)
		}
		return nil
	}
	o.cfg.Seed, o.cfg.Shm, o.cfg.ShmWhy = inside.Seed, inside.Own, inside.Why
	o.cfg.Version = version()
	o.cfg.Child = func(args ...string) *exec.Cmd { return exec.Command(exe, append([]string{"soak"}, args...)...) }
	o.cfg.Program = func(args ...string) *exec.Cmd { return exec.Command(exe, args...) }
	o.cfg.Progress, o.cfg.Log = c.ErrOrStderr(), slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil))
	fmt.Fprintf(c.ErrOrStderr(), "soak: seed %d, for %s, speed %s; repeat it with --seed %[1]d\n", o.cfg.Seed, o.cfg.For, o.speed)
	r, err := soak.Run(c.Context(), o.cfg)
	if err != nil {
		if c.Context().Err() != nil {
			return nil // nothing was found out yet
		}
		return err
	}
	if o.report != "" {
		if err := r.WriteReport(o.report); err != nil {
			return err
		}
	}
	if o.asJSON {
		err = r.WriteJSON(c.OutOrStdout())
	} else {
		err = r.WriteText(c.OutOrStdout())
	}
	if err == nil && r.Violated > 0 {
		err = fmt.Errorf("%d violations, with seed %d", r.Violated, r.Seed)
	}
	return err
}

// soakChild is a process that soak starts. It ends with its standard input, not
// with an interrupt.
func soakChild(use string, n int, run func(c *cobra.Command, args []string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: "A process of soak, which starts it", Hidden: true, Args: usage(cobra.ExactArgs(n)), RunE: run}
}

func soakExchanges() *cobra.Command {
	return soakChild("exchanges DIR SEED", 2, func(c *cobra.Command, args []string) error {
		seed, err := strconv.ParseUint(args[1], 10, 64)
		if err != nil {
			return usageError{err}
		}
		return soak.Exchanges(c.Context(), seed, args[0], c.InOrStdin(), c.OutOrStdout())
	})
}

func soakFeeds() *cobra.Command {
	plant := ""
	c := soakChild("feeds CONFIG DIR", 2, func(c *cobra.Command, args []string) error {
		cfg, err := loadConfig(args[0])
		if err != nil {
			return err
		}
		tune, err := soak.Hurried(args[1])
		if err != nil {
			return err
		}
		// Its log would be faults, thousands of them.
		log := slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelError}))
		if plant != "" {
			go soak.Leak(c.Context(), plant)
		}
		return runRelay(c.Context(), cfg, runOptions{feedsOnly: true, tune: tune}, log, c.OutOrStdout())
	})
	c.Flags().StringVar(&plant, "plant", "", "what to leak")
	return c
}

func soakStrategy() *cobra.Command {
	var cfg soak.StrategyConfig
	c := soakChild("strategy DIR", 1, func(c *cobra.Command, args []string) error {
		cfg.Dir = args[0]
		return ended(c.Context(), soak.Strategy(c.Context(), cfg, c.InOrStdin(), c.OutOrStdout()))
	})
	c.Flags().StringVar(&cfg.Name, "name", "", "of the strategy")
	c.Flags().StringVar(&cfg.Socket, "socket", "", "control socket of the relay")
	c.Flags().StringVar(&cfg.Rings, "rings", "", "folder of declared rings, instead")
	c.Flags().StringSliceVar(&cfg.Topics, "topics", nil, "patterns")
	c.Flags().StringVar(&cfg.Plant, "plant", "", "one wrong thing to be given")
	c.Flags().IntVar(&cfg.Capacity, "capacity", 0, "of the rings, in records")
	return c
}

func soakClients() *cobra.Command {
	var cfg soak.ClientsConfig
	c := soakChild("clients DIR", 1, func(c *cobra.Command, args []string) error {
		cfg.Dir = args[0]
		return ended(c.Context(), soak.Clients(c.Context(), cfg, c.InOrStdin(), c.OutOrStdout()))
	})
	c.Flags().StringVar(&cfg.Address, "address", "", "of the gateway")
	c.Flags().BoolVar(&cfg.Slow, "slow", false, "slow ones, and ones that come and go")
	c.Flags().Uint64Var(&cfg.Seed, "seed", 1, "of their pauses")
	return c
}

// ended takes an interrupt for no error.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
