package main

import (
	"github.com/spf13/cobra"

	"tickrelay/relay/recordbench"
)

func benchRecordCommand() *cobra.Command {
	var asJSON bool
	var cfg recordbench.Config
	c := &cobra.Command{
		Use:   "record",
		Short: "Records per second that one core writes to Parquet, beside raw records through zstd and a plain Parquet writer",
		Args:  usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := recordbench.Run(c.Context(), cfg)
			return report(c, asJSON, r, err)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().IntVar(&cfg.Records, "records", 2_000_000, "records per round")
	c.Flags().IntVar(&cfg.Rounds, "rounds", 3, "rounds of each row, interleaved")
	c.Flags().StringVar(&cfg.Dir, "dir", "", "folder for the files; default a temporary one")
	return c
}
