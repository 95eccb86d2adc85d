package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"tickrelay/nettune/tune"
)

func tuneSysctlCommand(f *tuneFlags) *cobra.Command {
	c := &cobra.Command{
		Use:   "sysctl",
		Short: "Print a profile's sysctls as a file for /etc/sysctl.d",
		Long: `sysctl prints a profile's sysctls as a drop-in for sysctl.d(5): for images and fleets
that are configured before the relay runs there. On a host that runs, apply --persist
is better: it leaves values alone that are better already, and can be undone.

    tickrelay tune sysctl --profile low-latency > /etc/sysctl.d/90-tickrelay-low-latency.conf`,
		Args: usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := f.options()
			if err != nil {
				return err
			}
			if o.RTT != 0 {
				o.Profile.RTT = o.RTT
			}
			if o.Bandwidth != 0 {
				o.Profile.Bandwidth = o.Bandwidth
			}
			fmt.Fprint(c.OutOrStdout(), tune.SysctlFile(o.Profile))
			return nil
		},
	}
	fl := c.Flags()
	fl.StringVar(&f.profile, "profile", "conservative", "built-in profile, or a YAML file")
	fl.DurationVar(&f.rtt, "rtt", 0, "round trip to the exchange, for the buffers' sizes")
	fl.StringVar(&f.bandwidth, "bandwidth", "", "of the path to the exchange, such as 1Gbit")
	return c
}
