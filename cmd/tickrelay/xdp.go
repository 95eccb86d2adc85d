package main

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tickrelay/nettune/xdp"
)

func xdpCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "xdp",
		Short: "Filter floods and denied addresses in front of the gateway's port, in the network driver",
		Long: `xdp attaches an eBPF program to a network interface. It drops packets of denied
addresses and of sources that exceed their budgets of new connections, before
the kernel spends memory on them. Established connections are never hurt by a
budget. The filter stays when this command ends, and until detach or reboot.

It needs root, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON.`,
		Args: noSuchCommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	fs := c.PersistentFlags().String("bpffs", xdp.DefaultBPFFS, "mount point of the bpffs that holds the filter")
	c.AddCommand(xdpAttachCommand(fs), xdpDetachCommand(fs), xdpStatsCommand(fs), xdpListCommand(fs, xdp.Deny), xdpListCommand(fs, xdp.Allow))
	return c
}

// budgetFlags adds --NAME-rate and --NAME-burst; a rate of 0 means no limit.
func budgetFlags(c *cobra.Command, name, what string, rate, burst uint32) func() (xdp.Budget, error) {
	r := c.Flags().Uint32(name+"-rate", rate, what+" per second and source; 0 for no limit")
	b := c.Flags().Uint32(name+"-burst", burst, what+" of one source at once")
	return func() (xdp.Budget, error) {
		if *b == 0 {
			return xdp.Budget{}, usageError{fmt.Errorf("--%s-burst 0: want 1 or more", name)}
		}
		return xdp.Budget{Rate: *r, Burst: *b, None: *r == 0}, nil
	}
}

func xdpAttachCommand(fs *string) *cobra.Command {
	var port uint16
	var mode string
	var asJSON bool
	c := &cobra.Command{
		Use:   "attach INTERFACE --port PORT",
		Short: "Attach the filter, or bring the one that is there up to date",
		Args:  usage(cobra.ExactArgs(1)),
	}
	c.Flags().Uint16Var(&port, "port", 0, "TCP port of the gateway")
	c.Flags().StringVar(&mode, "mode", "auto", "native (in the driver), generic (any interface, slower), or auto: native, else generic")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	syn := budgetFlags(c, "syn", "new connections", xdp.DefaultSYNRate, xdp.DefaultSYNBurst)
	packets := budgetFlags(c, "packet", "packets without connection", xdp.DefaultPacketRate, xdp.DefaultPacketBurst)
	logger := addLogFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if port == 0 {
			return usageError{fmt.Errorf("xdp attach: --port is needed: the gateway's, such as 8080")}
		}
		modes := map[string]xdp.Mode{"auto": xdp.ModeAuto, "native": xdp.ModeNative, "generic": xdp.ModeGeneric}
		m, ok := modes[mode]
		if !ok {
			return usageError{fmt.Errorf("--mode %q: want auto, native or generic", mode)}
		}
		cfg := xdp.Config{Target: xdp.Target{Interface: args[0], BPFFS: *fs}, Port: port, Mode: m}
		var err error
		if cfg.SYN, err = syn(); err != nil {
			return err
		}
		if cfg.Packets, err = packets(); err != nil {
			return err
		}
		if cfg.Log, err = logger(); err != nil {
			return err
		}
		a, err := xdp.Attach(cfg)
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(c.OutOrStdout(), a)
		}
		printAttached(c.OutOrStdout(), a, port)
		return nil
	}
	return c
}

func printAttached(w io.Writer, a xdp.Attached, port uint16) {
	verb := "attached to"
	if a.TakenOver {
		verb = "updated on"
	}
	fmt.Fprintf(w, "filter %s %s in %s mode, in front of TCP port %d\n", verb, a.Interface, a.Mode, port)
	if a.Fallback != "" {
		fmt.Fprintf(w, "native mode was refused by the driver (%s): packets are dropped after the driver, at a higher cost\n", a.Fallback)
	}
	if a.Leftover {
		fmt.Fprintln(w, "lists and counters of an earlier filter were found and kept")
	}
	if a.Mounted {
		fmt.Fprintf(w, "a bpffs was mounted at %s\n", xdp.DefaultBPFFS)
	}
	fmt.Fprintf(w, "pins %s\n", a.Pins)
}

func xdpDetachCommand(fs *string) *cobra.Command {
	return &cobra.Command{
		Use:   "detach INTERFACE",
		Short: "Take the filter off and remove its lists and counters",
		Args:  usage(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			found, err := xdp.Detach(xdp.Target{Interface: args[0], BPFFS: *fs})
			if err != nil {
				return err
			}
			if found {
				fmt.Fprintf(c.OutOrStdout(), "filter detached from %s\n", args[0])
			} else {
				fmt.Fprintf(c.OutOrStdout(), "no filter on %s\n", args[0])
			}
			return nil
		},
	}
}

// xdpListCommand is allow or deny.
func xdpListCommand(fs *string, list xdp.List) *cobra.Command {
	var remove, cut, asJSON bool
	var lasts time.Duration
	c := &cobra.Command{
		Use:   string(list) + " INTERFACE [PREFIX...]",
		Short: "Show or change the " + string(list) + " list",
		Args:  usage(cobra.MinimumNArgs(1)),
	}
	switch list {
	case xdp.Deny:
		c.Long = "deny drops new connections of addresses to the gateway's port; connections that\nexist go on, unless --cut. Without PREFIX it prints the list."
		c.Flags().BoolVar(&cut, "cut", false, "drop packets of connections that exist too")
	default:
		c.Long = "allow passes all packets of addresses, whatever the deny list and budgets say.\nWithout PREFIX it prints the list."
	}
	c.Example = fmt.Sprintf("  tickrelay xdp %s eth0 192.0.2.0/24 2001:db8::7 --for 10m", list)
	c.Flags().DurationVar(&lasts, "for", 0, "how long, such as 10m; default for ever")
	c.Flags().BoolVar(&remove, "remove", false, "take the prefixes off the list")
	c.Flags().BoolVar(&asJSON, "json", false, "print the list as JSON")
	c.RunE = func(c *cobra.Command, args []string) error {
		if lasts < 0 {
			return usageError{fmt.Errorf("--for %v: want a time to come", lasts)}
		}
		prefixes, err := parsePrefixes(args[1:])
		if err != nil {
			return err
		}
		f, err := xdp.Open(xdp.Target{Interface: args[0], BPFFS: *fs})
		if err != nil {
			return err
		}
		defer f.Close()
		for _, p := range prefixes {
			if !remove {
				if err := f.Add(list, xdp.Rule{Prefix: p, Left: lasts, Cut: cut}); err != nil {
					return err
				}
				continue
			}
			found, err := f.Remove(list, p)
			if err != nil {
				return err
			}
			if !found {
				return fmt.Errorf("%s is not on the %s list of %s", p, list, args[0])
			}
		}
		if len(prefixes) > 0 {
			return nil
		}
		if _, err := f.Sweep(); err != nil {
			return err
		}
		rules, err := f.Rules(list)
		if err != nil {
			return err
		}
		return printRules(c.OutOrStdout(), rules, asJSON)
	}
	return c
}

// parsePrefixes reads addresses and prefixes; an address is its own prefix.
func parsePrefixes(args []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range args {
		if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
			a = a.Unmap()
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, usageError{fmt.Errorf("%q is no address or prefix such as 192.0.2.0/24 or 2001:db8::/32", strings.TrimSpace(s))}
		}
		if p != p.Masked() {
			return nil, usageError{fmt.Errorf("%s has bits beyond its length; did you mean %s?", s, p.Masked())}
		}
		out = append(out, p)
	}
	return out, nil
}
