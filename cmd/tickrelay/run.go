package main

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"tickrelay/ring"
)

func runCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "run -c FILE",
		Short: "Run the relay",
		Long:  "run starts the feeds, the rings and the gateway of a configuration and serves until Ctrl-C.",
		Args:  usage(cobra.NoArgs),
	}
	logger := addLogFlag(c)
	c.Flags().StringVarP(&file, "config", "c", "", "configuration file")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if file == "" {
			return usageError{fmt.Errorf("run: -c FILE is needed")}
		}
		log, err := logger()
		if err != nil {
			return err
		}
		cfg, err := loadConfig(file)
		if err != nil {
			return err
		}
		reclaim(log)
		defer holdCPULatency(cfg.CPULatency, log)()
		r, err := newRelayd(cfg, log)
		if err != nil {
			return err
		}
		http, ws := cfg.TLS.schemes()
		fmt.Fprintf(c.OutOrStdout(), "page %s://%s/\nwebsocket %s://%s/ws\nrings %s\nsocket %s\n", http, r.gw.Addr(), ws, r.gw.Addr(), r.dir.Path(), r.socket)
		return r.run(c.Context())
	}
	return c
}

// reclaim removes what relays that died have left behind.
func reclaim(log *slog.Logger) {
	gone, err := ring.ReclaimDead(ring.DefaultBase)
	if err != nil {
		log.Warn("leftovers of dead relays not removed", "err", err)
	}
	for _, dir := range gone {
		log.Info("removed what a dead relay left", "dir", dir)
	}
}
