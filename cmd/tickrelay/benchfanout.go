package main

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"time"

	"github.com/spf13/cobra"

	"tickrelay/relay/fanoutbench"
)

func benchFanoutCommand() *cobra.Command {
	var asJSON bool
	var cfg fanoutbench.Config
	c := &cobra.Command{
		Use:   "fanout",
		Short: "CPU, latency and memory of the gateway's fan-out, beside other servers on the same work",
		Long: `Delivers trade-sized messages to many subscribers on loopback and prints the server's CPU time
per delivery, the latency, what came in time, and the memory of idle subscribers, beside a bare
C loop (the floor) and broadcast servers on lxzan/gws and centrifugal/centrifuge. The peers are
built from the project's sources, with gcc, go and the module proxy; what cannot be built is
left out, and its rows say why. Every server is a process of its own and so are its subscribers.
A default run takes about six minutes; run it on a quiet machine.`,
		Args: usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			exe, err := os.Executable()
			if err != nil {
				return err
			}
			cfg.Child = func(ctx context.Context, args ...string) *exec.Cmd {
				return exec.CommandContext(ctx, exe, append([]string{"bench", "fanout"}, args...)...)
			}
			cfg.Log = slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil))
			r, err := fanoutbench.Run(c.Context(), cfg)
			if c.Context().Err() != nil {
				return nil // Ctrl-C: there is nothing whole to print
			}
			return report(c, asJSON, r, err)
		},
	}
	f := c.Flags()
	f.BoolVar(&asJSON, "json", false, "print JSON")
	f.IntVar(&cfg.Subscribers, "subscribers", 1000, "subscribers of each server, at most 19000")
	f.IntVar(&cfg.Rounds, "rounds", 5, "rounds in which every server takes its turn")
	f.DurationVar(&cfg.Duration, "duration", 2*time.Second, "time per server, rate and round")
	f.IntVar(&cfg.Idle, "idle", 10_000, "connections to measure the memory of idle ones with, -1 for none")
	f.BoolVar(&cfg.Plain, "plain", false, "leave out the rows over TLS")
	f.StringVar(&cfg.Sources, "sources", ".", "folder of the project's sources, where the peers are")
	c.AddCommand(
		fanoutChild("clients ADDR N CA [MESSAGE…]", cobra.MinimumNArgs(3), func(c *cobra.Command, args []string) error {
			return fanoutbench.Clients(c.Context(), args, c.InOrStdin(), c.OutOrStdout())
		}),
		fanoutChild("stalled ADDR N [MESSAGE…]", cobra.MinimumNArgs(2), func(c *cobra.Command, args []string) error {
			return fanoutbench.Stalled(c.Context(), args, c.InOrStdin(), c.OutOrStdout())
		}),
		fanoutChild("gateway DIR [CERT KEY]", cobra.RangeArgs(1, 3), func(c *cobra.Command, args []string) error {
			log := slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil))
			return fanoutbench.Gateway(c.Context(), args, c.InOrStdin(), c.OutOrStdout(), log)
		}))
	return c
}

// fanoutChild is a process that bench fanout starts.
func fanoutChild(use string, args cobra.PositionalArgs, run func(*cobra.Command, []string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: "A process of bench fanout, which starts it", Hidden: true, Args: usage(args), RunE: run}
}
