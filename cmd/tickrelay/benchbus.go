package main

import (
	"time"

	"github.com/spf13/cobra"

	"tickrelay/relay/bus/busbench"
)

func benchBusCommand() *cobra.Command {
	var asJSON bool
	var cfg busbench.Config
	c := &cobra.Command{
		Use:   "bus",
		Short: "What the bus adds to a bare NATS publish and subscribe of the same bytes, and records per second",
		Args:  usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := busbench.Run(c.Context(), cfg)
			if c.Context().Err() != nil {
				return nil // Ctrl-C: there is nothing whole to print
			}
			return report(c, asJSON, r, err)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().IntVar(&cfg.Rounds, "rounds", 5, "rounds in which the two take turns")
	c.Flags().DurationVar(&cfg.Duration, "duration", time.Second, "time per figure and round")
	c.Flags().IntVar(&cfg.Rate, "rate", 1000, "events per second while latency is measured")
	return c
}
