package main

import (
	"os"
	"os/exec"
	"time"

	"github.com/spf13/cobra"

	"tickrelay/cmd/transportbench"
)

func benchTransportCommand() *cobra.Command {
	var asJSON bool
	var cfg transportbench.Config
	hold := 0
	c := &cobra.Command{
		Use:   "transport",
		Short: "WebSocket round trip and stream: kernel asleep, kernel busy, DPDK over AF_XDP and memif",
		Long: `transport measures a WebSocket between two network namespaces that it makes
(as root; needs ip and ethtool): round trips of 128 bytes, a one-way stream, and
the CPU that both ends spent per message. Rows that cannot be had (a build
without the tag dpdk) are named with the reason. A veth pair has no NIC, no
interrupt and no wire: it shows what the stacks cost, not what a device saves.`,
		Args: usage(cobra.NoArgs),
	}
	logger := addLogFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		log, err := logger()
		if err != nil {
			return err
		}
		exe, err := os.Executable()
		if err != nil {
			return err
		}
		defer holdCPULatency(&hold, log)()
		cfg.Log = log
		cfg.Peer = func(arg string) *exec.Cmd { return exec.Command(exe, "bench", "transport", "peer", arg) }
		r, err := transportbench.Run(c.Context(), cfg)
		return report(c, asJSON, r, err)
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().DurationVar(&cfg.Duration, "duration", 2*time.Second, "time per figure")
	c.AddCommand(&cobra.Command{
		Use:    "peer ARGUMENT",
		Short:  "A process of bench transport, which starts it",
		Hidden: true,
		Args:   usage(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			return transportbench.PeerMain(c.Context(), args[0], c.InOrStdin(), c.OutOrStdout())
		},
	})
	return c
}
