package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"tickrelay/nettune/tune"
	"tickrelay/nettune/tune/probe"
)

// confirm asks before the host is changed, unless --yes was given. Without
// anybody to ask it refuses.
func confirm(c *cobra.Command, yes bool, question string) error {
	if yes {
		return nil
	}
	if in, ok := c.InOrStdin().(*os.File); ok {
		if _, err := unix.IoctlGetTermios(int(in.Fd()), unix.TCGETS); err != nil {
			return usageError{errors.New("nobody to ask; give --yes to change the host")}
		}
	}
	fmt.Fprintf(c.ErrOrStderr(), "%s [y/N] ", question)
	answer, _ := bufio.NewReader(c.InOrStdin()).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errors.New("not confirmed; nothing was changed")
}

func tuneApplyCommand(f *tuneFlags) *cobra.Command {
	var yes, persist bool
	c := &cobra.Command{
		Use:   "apply",
		Short: "Write the plan, with the old values in a journal first",
		Long: `apply writes what plan shows. The old values are on disk before the first write,
each write is read back, and drivers that ignored one are named (exit code 3).
Without --persist nothing outlives a reboot; with it the sysctls do.`,
		Args: usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			h, plan, err := f.plan()
			if err != nil {
				return err
			}
			defer h.Close()
			if len(plan) > 0 && !yes {
				printPlan(c.ErrOrStderr(), f.profile, plan)
				if err := confirm(c, yes, fmt.Sprintf("Write these %d settings?", len(plan))); err != nil {
					return err
				}
			}
			results, err := tune.Apply(c.Context(), h, plan, tune.ApplyConfig{Journal: f.journal, Profile: f.profile, Persist: persist})
			return f.outcome(c, "everything is as the profile wants it", results, err)
		},
	}
	f.choose(c)
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	c.Flags().BoolVar(&persist, "persist", false, "also write the sysctls to "+tune.DefaultDropIn)
	return c
}

func tuneProveCommand(f *tuneFlags) *cobra.Command {
	var yes bool
	pc := tune.ProveConfig{}
	pr := probe.Config{}
	c := &cobra.Command{
		Use:   "prove",
		Short: "Try each group in turns with and without it; keep what helps",
		Long: `prove measures small messages and bursts in rounds that take turns without and
with each group of the plan, over loopback or to a peer that runs
'tickrelay tune probe'. It keeps the groups that help at the stated confidence
and writes everything else back. The load of other programs is part of what is
measured: prove on a quiet host, against the path that matters.`,
		Args: usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if f.root != "" {
				return usageError{errors.New("prove measures this machine; --root has none to measure")}
			}
			h, plan, err := f.plan()
			if err != nil {
				return err
			}
			defer h.Close()
			pc.Wakeup = len(f.groups) == 0 && f.profile != "conservative" || contains(f.groups, string(tune.GroupWakeup))
			pc.Disruptive = len(f.groups) > 0
			if len(plan) > 0 || pc.Wakeup {
				if err := confirm(c, yes, fmt.Sprintf("Switch %d settings to and fro while measuring?", len(plan))); err != nil {
					return err
				}
			}
			return f.prove(c, h, plan, pc, pr)
		},
	}
	f.choose(c)
	fl := c.Flags()
	fl.BoolVar(&yes, "yes", false, "do not ask")
	fl.StringVar(&pr.Addr, "peer", "", "host:port of 'tickrelay tune probe'; default this machine's loopback")
	fl.IntVar(&pc.Rounds, "rounds", 0, "pairs of rounds per group; default what the confidence needs and four more")
	fl.Float64Var(&pc.Confidence, "confidence", 0.95, "that no useless group is kept, over all groups together")
	fl.Float64Var(&pc.MinEffect, "min-effect", 0.03, "least improvement worth keeping, as a fraction")
	fl.IntVar(&pr.Pings, "pings", 400, "messages per round")
	fl.DurationVar(&pr.Gap, "gap", 200*time.Microsecond, "pause before each message")
	fl.IntVar(&pr.Burst, "burst", 1<<20, "bytes of a transfer")
	fl.IntVar(&pr.Transfers, "transfers", 3, "transfers each way per round")
	fl.DurationVar(&pr.Idle, "idle", 0, "pause before each transfer")
	return c
}

func contains(words []string, w string) bool {
	for _, x := range words {
		if x == w {
			return true
		}
	}
	return false
}

func (f *tuneFlags) prove(c *cobra.Command, h *tune.Host, plan []tune.Change, pc tune.ProveConfig, pr probe.Config) error {
	if pr.Addr == "" {
		addr, stop, err := serveProbe(c.Context())
		if err != nil {
			return err
		}
		defer stop()
		pr.Addr = addr
	}
	pc.Journal, pc.Profile = f.journal, f.profile
	pc.Progress = func(line string) { fmt.Fprintln(c.ErrOrStderr(), line) }
	proof, err := tune.Prove(c.Context(), h, plan, pr, pc)
	if proof != nil && (err == nil || len(proof.Groups) > 0) {
		if f.json {
			err = errors.Join(err, printJSON(c.OutOrStdout(), proof))
		} else {
			printProof(c.OutOrStdout(), proof)
		}
	}
	return err
}

func tuneProbeCommand() *cobra.Command {
	var listen string
	c := &cobra.Command{
		Use:   "probe",
		Short: "Be the far end of prove --peer, until Ctrl-C",
		Long: `probe answers the messages and bursts of 'tickrelay tune prove --peer'. It asks
nobody who they are: listen where only the other end can reach it.`,
		Args: usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			addr, done, err := startProbe(c.Context(), listen)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "listening on %s\n", addr)
			return <-done
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:7799", "address")
	return c
}

// startProbe serves probes on addr until ctx is done; done gets the outcome.
func startProbe(ctx context.Context, addr string) (at string, done <-chan error, err error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return "", nil, err
	}
	ch := make(chan error, 1)
	go func() { ch <- probe.Serve(ctx, ln) }()
	return ln.Addr().String(), ch, nil
}
