package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tickrelay/nettune/tune"
)

// Exit codes of tune beside the general ones: the work was done and found
// something.
const (
	exitWarn     foundError = 3 // warnings, drift, or a driver that ignored a write
	exitCritical foundError = 4 // critical findings
)

// foundError is an exit code for work that was done and whose result has been
// printed already.
type foundError int

func (e foundError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// tuneFlags are the flags that several sub-commands share.
type tuneFlags struct {
	root      string
	journal   string
	profile   string
	ifaces    []string
	groups    []string
	pid       int
	rtt       time.Duration
	bandwidth string
	json      bool
}

func tuneCommand() *cobra.Command {
	f := &tuneFlags{}
	c := &cobra.Command{
		Use:   "tune",
		Short: "Tune the host, prove that it helped, undo it",
		Long: `tune compares the host with a table of kernel, device and process settings.

  audit    what is not as the profile wants it; changes nothing
  plan     what apply would write, as a diff
  apply    write it, with the old values in a journal first
  verify   is everything still as apply left it
  prove    try each group in turns with and without it; keep what helps
  revert   put the old values back
  sysctl   print a profile as a file for /etc/sysctl.d

Profiles: conservative (default), low-latency, aws-ena, or a YAML file.`,
		Args: noSuchCommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	p := c.PersistentFlags()
	p.StringVar(&f.root, "root", "", "work on a copied tree of /proc and /sys instead of this machine")
	p.StringVar(&f.journal, "journal", "", "file with the old values; default "+tune.DefaultJournal+", one per network namespace")
	p.BoolVar(&f.json, "json", false, "print JSON")
	c.AddCommand(tuneKnobsCommand(f), tuneAuditCommand(f), tunePlanCommand(f), tuneApplyCommand(f), tuneVerifyCommand(f),
		tuneRevertCommand(f), tuneProveCommand(f), tuneProbeCommand(), tuneDumpCommand(f), tuneSysctlCommand(f))
	return c
}

// choose adds the flags that say what is looked at.
func (f *tuneFlags) choose(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.profile, "profile", "conservative", strings.Join(tune.ProfileNames(), ", ")+", or a YAML file")
	fl.StringSliceVar(&f.ifaces, "iface", nil, "network devices; default those with hardware that are up, and that of the default route")
	f.chooseGroups(c)
	fl.IntVar(&f.pid, "pid", 0, "process of the relay, for limits, affinity and memory; default this one")
	fl.DurationVar(&f.rtt, "rtt", 0, "round trip to the exchange, for the buffers' sizes")
	fl.StringVar(&f.bandwidth, "bandwidth", "", "of the path to the exchange, such as 1Gbit")
}

func (f *tuneFlags) chooseGroups(c *cobra.Command) {
	c.Flags().StringSliceVar(&f.groups, "group", nil, "only these groups; 'tickrelay tune knobs' shows them")
}

// host opens the machine or the tree.
func (f *tuneFlags) host() (*tune.Host, error) {
	if f.root == "" {
		return tune.Live(), nil
	}
	return tune.Tree(f.root)
}

func (f *tuneFlags) groupList() ([]tune.Group, error) {
	var out []tune.Group
	for _, g := range f.groups {
		if !slices.Contains(tune.Groups(), tune.Group(g)) {
			var names []string
			for _, known := range tune.Groups() {
				names = append(names, string(known))
			}
			return nil, usageError{fmt.Errorf("unknown group %q%s; there are %s", g, suggest(g, names), strings.Join(names, ", "))}
		}
		out = append(out, tune.Group(g))
	}
	return out, nil
}

// options makes the library's options of the flags.
func (f *tuneFlags) options() (tune.Options, error) {
	o := tune.Options{Ifaces: f.ifaces, PID: f.pid, RTT: f.rtt}
	var err error
	if o.Groups, err = f.groupList(); err != nil {
		return o, err
	}
	if f.bandwidth != "" {
		if o.Bandwidth, err = tune.ParseBandwidth(f.bandwidth); err != nil {
			return o, usageError{fmt.Errorf("--%w", err)}
		}
	}
	if p, ok := tune.BuiltIn(f.profile); ok {
		o.Profile = p
		return o, nil
	}
	if !strings.ContainsAny(f.profile, "./") {
		return o, usageError{fmt.Errorf("unknown profile %q%s; there are %s, or name a YAML file", f.profile,
			suggest(f.profile, tune.ProfileNames()), strings.Join(tune.ProfileNames(), ", "))}
	}
	o.Profile, err = tune.LoadProfile(f.profile)
	return o, err
}

func tuneAuditCommand(f *tuneFlags) *cobra.Command {
	c := &cobra.Command{
		Use:   "audit",
		Short: "Compare the host with a profile; changes nothing",
		Long: `audit reads the host and names what is not as the profile wants it, worst first.

Exit code: 0 nothing beyond notes, 3 warnings, 4 critical findings, 1 the audit failed.`,
		Args: usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := f.options()
			if err != nil {
				return err
			}
			h, err := f.host()
			if err != nil {
				return err
			}
			defer h.Close()
			r, err := tune.Audit(h, o)
			if err != nil {
				return err
			}
			if f.json {
				err = printJSON(c.OutOrStdout(), r)
			} else {
				printAudit(c.OutOrStdout(), r)
			}
			switch {
			case err != nil:
				return err
			case r.Worst == tune.Critical:
				return exitCritical
			case r.Worst == tune.Warn:
				return exitWarn
			}
			return nil
		},
	}
	f.choose(c)
	return c
}

func tunePlanCommand(f *tuneFlags) *cobra.Command {
	c := &cobra.Command{
		Use:   "plan",
		Short: "Show what apply would write, as a diff",
		Args:  usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			h, plan, err := f.plan()
			if err != nil {
				return err
			}
			defer h.Close()
			if f.json {
				return printJSON(c.OutOrStdout(), plan)
			}
			printPlan(c.OutOrStdout(), f.profile, plan)
			return nil
		},
	}
	f.choose(c)
	return c
}

func (f *tuneFlags) plan() (*tune.Host, []tune.Change, error) {
	o, err := f.options()
	if err != nil {
		return nil, nil, err
	}
	h, err := f.host()
	if err != nil {
		return nil, nil, err
	}
	plan, err := tune.Plan(h, o)
	if err != nil {
		h.Close()
		return nil, nil, err
	}
	return h, plan, nil
}

// outcome prints results and turns them into an exit code.
func (f *tuneFlags) outcome(c *cobra.Command, title string, results []tune.Result, err error) error {
	if results == nil {
		results = []tune.Result{}
	}
	if f.json {
		err = errors.Join(err, printJSON(c.OutOrStdout(), results))
	} else {
		printResults(c.OutOrStdout(), title, results)
	}
	if err != nil {
		return err
	}
	failed, blocked := 0, 0
	var found error
	for _, r := range results {
		switch r.Status {
		case tune.Failed:
			failed++
		case tune.Blocked:
			blocked++
			found = exitWarn
		case tune.Ignored, tune.Adjusted, tune.Drifted, tune.Foreign:
			found = exitWarn
		}
	}
	if blocked > 0 && blocked == len(results) {
		return errors.New("nothing was written: " + results[0].Error)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d settings could not be read or written", failed, len(results))
	}
	return found
}

func tuneVerifyCommand(f *tuneFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Show what is no longer as apply left it",
		Long:  "verify reads every setting that apply changed. Exit code 3: something drifted.",
		Args:  usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			h, err := f.host()
			if err != nil {
				return err
			}
			defer h.Close()
			results, err := tune.Verify(h, f.journal)
			return f.outcome(c, "nothing has been applied here", results, err)
		},
	}
}

func tuneRevertCommand(f *tuneFlags) *cobra.Command {
	var yes, force bool
	c := &cobra.Command{
		Use:   "revert",
		Short: "Put the old values back",
		Long: `revert writes the journal's old values, last change first, and removes the
journal. It may be run again at any time, after a crash in the middle too. What
somebody else changed since is reported and left alone, unless --force.`,
		Args: usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			groups, err := f.groupList()
			if err != nil {
				return err
			}
			h, err := f.host()
			if err != nil {
				return err
			}
			defer h.Close()
			before, err := tune.Verify(h, f.journal)
			if err != nil {
				return err
			}
			if len(groups) > 0 { // the drop-in is of no group
				before = slices.DeleteFunc(before, func(r tune.Result) bool { return !slices.Contains(groups, r.Group) })
			}
			if len(before) > 0 {
				if err := confirm(c, yes, fmt.Sprintf("Put %d settings back?", len(before))); err != nil {
					return err
				}
			}
			results, err := tune.Revert(c.Context(), h, tune.RevertConfig{Journal: f.journal, Groups: groups, Force: force})
			return f.outcome(c, "nothing to put back", results, err)
		},
	}
	f.chooseGroups(c)
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	c.Flags().BoolVar(&force, "force", false, "also put back what somebody else changed since")
	return c
}

func tuneDumpCommand(f *tuneFlags) *cobra.Command {
	c := &cobra.Command{
		Use:   "dump DIR",
		Short: "Copy what an audit reads into DIR, to look at it elsewhere with --root",
		Args:  usage(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			h, err := f.host()
			if err != nil {
				return err
			}
			defer h.Close()
			n, err := tune.Dump(h, tune.Options{Ifaces: f.ifaces, PID: f.pid}, args[0])
			if err == nil {
				fmt.Fprintf(c.OutOrStdout(), "%d files in %s; look at it with: tickrelay tune audit --root %s\n", n, args[0], args[0])
			}
			return err
		},
	}
	c.Flags().StringSliceVar(&f.ifaces, "iface", nil, "network devices")
	c.Flags().IntVar(&f.pid, "pid", 0, "process of the relay")
	return c
}

// loopbackProbe is where prove serves to itself.
const loopbackProbe = "127.0.0.1:0"

// serveProbe runs a probe's far end until stop is called.
func serveProbe(ctx context.Context) (addr string, stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	addr, done, err := startProbe(ctx, loopbackProbe)
	if err != nil {
		cancel()
		return "", nil, err
	}
	return addr, func() { cancel(); <-done }, nil
}
