package main

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"tickrelay/feeds"
)

func venueList() string { return strings.Join(venueNames(), ", ") }

func normalizeCommand() *cobra.Command {
	var venue string
	var topics []string
	var epoch int64
	c := &cobra.Command{
		Use:   "normalize --venue V FILE…",
		Short: "Recorded frames in, one JSON line per event out",
		Long: `normalize drives recorded frames through the same code that a live feed runs and
prints one JSON line per event, full-depth books included. The output depends on
the input alone. A summary, one "key value" per line, goes to stderr.`,
		Example: "  tickrelay normalize --venue binance --topics 'binance.trades.*' capture.ndjson.gz",
		Args:    usage(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, files []string) error {
			v, ok := feeds.ByName(venue)
			if !ok {
				return usageError{fmt.Errorf("--venue %q%s; known: %s", venue, suggest(venue, venueNames()), venueList())}
			}
			out := bufio.NewWriterSize(c.OutOrStdout(), 1<<20)
			sum, err := feeds.Normalize(feeds.NormalizeConfig{Venue: v, Patterns: topics, Epoch: epoch, Out: out}, files)
			if ferr := out.Flush(); err == nil {
				err = ferr
			}
			fmt.Fprint(c.ErrOrStderr(), sum.String())
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&venue, "venue", "", "exchange whose frames they are, such as binance")
	f.StringSliceVar(&topics, "topics", []string{">"}, "topic patterns to print")
	f.Int64Var(&epoch, "epoch", 0, "epoch of the records in ns; 0 for the first frame's receive time")
	return c
}
