package main

import (
	"os"
	"os/exec"
	"strconv"

	"github.com/spf13/cobra"

	"tickrelay/feeds/e2ebench"
)

func benchE2ECommand() *cobra.Command {
	var asJSON bool
	var cfg e2ebench.Config
	c := &cobra.Command{
		Use:   "e2e",
		Short: "From an exchange's send() to a strategy in another process, beside a C program that copies bytes",
		Args:  usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			exe, err := os.Executable()
			if err != nil {
				return err
			}
			cfg.Peer = func(p e2ebench.PeerConfig) *exec.Cmd {
				return exec.Command(exe, "bench", "e2e", "peer", "--url", p.URL, "--dir", p.Dir, "--cpu", strconv.Itoa(p.CPU),
					"--busy="+strconv.FormatBool(p.Busy), "--load="+strconv.FormatBool(p.Load))
			}
			r, err := e2ebench.Run(c.Context(), cfg)
			return report(c, asJSON, r, err)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().IntVar(&cfg.Rounds, "rounds", 5, "rounds of each row, interleaved with the baseline")
	c.Flags().IntVar(&cfg.Frames, "frames", 4000, "frames per round")
	var p e2ebench.PeerConfig
	peer := &cobra.Command{
		Use:    "peer",
		Short:  "The feed process of bench e2e, which starts it",
		Hidden: true,
		Args:   usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			return e2ebench.Peer(c.Context(), p, c.InOrStdin(), c.OutOrStdout())
		},
	}
	peer.Flags().StringVar(&p.URL, "url", "", "address of the exchange")
	peer.Flags().StringVar(&p.Dir, "dir", "", "folder of the ring")
	peer.Flags().IntVar(&p.CPU, "cpu", -1, "processor of the hot loop")
	peer.Flags().BoolVar(&p.Busy, "busy", false, "never sleep")
	peer.Flags().BoolVar(&p.Load, "load", false, "attaches and garbage beside")
	c.AddCommand(peer)
	return c
}
