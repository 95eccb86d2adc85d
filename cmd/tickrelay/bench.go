package main

import (
	"os"
	"os/exec"
	"time"

	"github.com/spf13/cobra"

	"tickrelay/feeds/decodebench"
	"tickrelay/ring/ringbench"
)

func benchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Figures with their baseline, measured in the same run",
		Args:  noSuchCommand,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(benchRingCommand(), benchDecodeCommand(), benchTransportCommand(), benchFanoutCommand(), benchE2ECommand(), benchRecordCommand(), benchBusCommand(), benchAllCommand())
	return c
}

// report prints a benchmark's outcome as text, or as JSON for programs.
func report(c *cobra.Command, asJSON bool, r *ringbench.Report, err error) error {
	if err != nil {
		return err
	}
	if asJSON {
		return r.WriteJSON(c.OutOrStdout())
	}
	return r.WriteText(c.OutOrStdout())
}

func benchRingCommand() *cobra.Command {
	var asJSON bool
	var cfg ringbench.Config
	c := &cobra.Command{
		Use:   "ring",
		Short: "Round trip and throughput of a ring, beside an atomic ping-pong between two threads",
		Args:  usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			exe, err := os.Executable()
			if err != nil {
				return err
			}
			cfg.Peer = func(dir string) *exec.Cmd { return exec.Command(exe, "bench", "ring", "peer", dir) }
			r, err := ringbench.Run(c.Context(), cfg)
			return report(c, asJSON, r, err)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().DurationVar(&cfg.Duration, "duration", 2*time.Second, "time per figure")
	c.Flags().StringVar(&cfg.Sources, "clients", "", "folder of the project's sources: measures the C and Python clients too (needs gcc and g++)")
	c.AddCommand(&cobra.Command{
		Use:    "peer DIR",
		Short:  "The other process of bench ring, which starts it",
		Hidden: true,
		Args:   usage(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			return ringbench.Peer(c.Context(), args[0], c.InOrStdin(), c.OutOrStdout())
		},
	})
	return c
}

func benchDecodeCommand() *cobra.Command {
	var asJSON bool
	var cfg decodebench.Config
	c := &cobra.Command{
		Use:   "decode",
		Short: "ns per frame of each venue's decoder, beside encoding/json and a fast JSON parser",
		Args:  usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := decodebench.Run(c.Context(), cfg)
			return report(c, asJSON, r, err)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().StringVar(&cfg.Captures, "captures", "", "folder of recorded frames to use instead of the built-in ones")
	return c
}
