package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"tickrelay/relay/record"
)

func recordListCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "ls DIR",
		Short: "What a recording holds, by venue, channel and hour",
		Long: `ls counts the rows of finished files (RECORDS) and of journals (OPEN), also while a
recorder is at work. A row is a record; those that carry no event are among them, such as
the heartbeats and key frames at an hour's beginning. "record verify --json" counts each
sort. A file that cannot be read is named, what the others hold is printed, and the exit
code is 1.`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			hours, err := record.List(args[0])
			if hours == nil {
				return err
			}
			if asJSON {
				return errors.Join(listJSON(c, hours), err)
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 4, 2, ' ', 0)
			fmt.Fprintln(w, "VENUE\tCHANNEL\tHOUR\tFILES\tRECORDS\tOPEN\tBYTES")
			for _, h := range hours {
				fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\n", h.Venue, h.Channel, hourText(h.Start), h.Files, h.Rows, h.Open, h.Bytes)
			}
			return errors.Join(w.Flush(), err)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func hourText(ns int64) string { return time.Unix(0, ns).UTC().Format("2006-01-02T15") }

// listedHour is one hour in the JSON form.
type listedHour struct {
	Venue   string `json:"venue"`
	Channel string `json:"channel"`
	Hour    string `json:"hour"`
	Files   int    `json:"files"`
	Records int64  `json:"records"`
	Open    int64  `json:"open"`
	Bytes   int64  `json:"bytes"`
	Unfit   uint64 `json:"decimals_unfit"`
}

func listJSON(c *cobra.Command, hours []record.Hour) error {
	out := []listedHour{}
	for _, h := range hours {
		out = append(out, listedHour{h.Venue.String(), h.Channel.String(), time.Unix(0, h.Start).UTC().Format(time.RFC3339), h.Files, h.Rows, h.Open, h.Bytes, h.Unfit})
	}
	return json.NewEncoder(c.OutOrStdout()).Encode(out)
}

func recordVerifyCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify DIR",
		Short: "Read a whole recording and say what is wrong with it",
		Long: `verify opens every file, decodes every row, and compares: each record of an hour is
there once, decimals equal mantissa and exponent, rows are in order of receive time, and
the numbers of each topic chain, or a gap says which are missing. Gaps are no fault of the
recording; they are counted. Of the records, heartbeats are a topic's number where an
epoch, a session or an hour begins, and state is what was told again. --json has the
counts of each channel too. Exit code 1 if something is wrong.`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			p := newProgress(c.ErrOrStderr(), "verify", -1)
			got, err := record.Verify(c.Context(), args[0], p.set)
			p.end()
			if err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(c.OutOrStdout()).Encode(verifiedOf(got))
			} else {
				fmt.Fprintf(c.OutOrStdout(), "hours %d\nrecords %d\nheartbeats %d\nstate %d\ngaps %d\nmissing %d\ngaps_of_unknown_size %d\nproblems %d\n",
					got.Hours, got.Rows, got.Heartbeats, got.State, got.Gaps, got.Missing, got.Unknown, len(got.Problems))
			}
			for _, problem := range got.Problems {
				fmt.Fprintln(c.ErrOrStderr(), problem)
			}
			if len(got.Problems) > 0 {
				return errors.New("the recording is damaged")
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, with the counts of each channel")
	return c
}

// verifiedCounts are counts in the JSON form, verifiedRecording a whole answer.
type verifiedCounts struct {
	Hours      int    `json:"hours"`
	Rows       int64  `json:"records"`
	Heartbeats int64  `json:"heartbeats"`
	State      int64  `json:"state"`
	Gaps       uint64 `json:"gaps"`
	Missing    uint64 `json:"missing"`
	Unknown    uint64 `json:"gaps_of_unknown_size"`
}

type verifiedChannel struct {
	Venue   string `json:"venue"`
	Channel string `json:"channel"`
	verifiedCounts
}

type verifiedRecording struct {
	verifiedCounts
	Channels []verifiedChannel `json:"channels"`
	Problems []string          `json:"problems"`
}

func verifiedOf(c *record.Checked) verifiedRecording {
	out := verifiedRecording{verifiedCounts: verifiedCounts(c.Counts), Channels: []verifiedChannel{}, Problems: append([]string{}, c.Problems...)}
	for _, ch := range c.Channels {
		out.Channels = append(out.Channels, verifiedChannel{ch.Venue.String(), ch.Channel.String(), verifiedCounts(ch.Counts)})
	}
	return out
}

func recordCompactCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "compact DIR",
		Short: "Make one file of each hour of a recording that nobody writes to",
		Long: `compact turns what a recorder has left open into files and merges the files of each
hour into one. A running recorder does the same by itself as hours end. What cannot be
read is set aside as NAME.damaged; all that went wrong is printed, and the exit code is 1.`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			p := newProgress(c.ErrOrStderr(), "compact", -1)
			n, err := record.Compact(c.Context(), args[0], p.set)
			p.end()
			if err == nil || n > 0 {
				fmt.Fprintf(c.OutOrStdout(), "hours %d\n", n)
			}
			return err
		},
	}
}

func recordConvertCommand() *cobra.Command {
	var topics []string
	var from, to string
	c := &cobra.Command{
		Use:   "convert DIR",
		Short: "A recording as JSON lines, as normalize prints them",
		Long: `convert prints one JSON line per event, in order of time, full-depth books included;
heartbeats are no events. A file that cannot be read is named, the events of the others
are printed, and the exit code is 1.
With --from, book updates come from that time on; the state at it is not printed.`,
		Example: "  tickrelay record convert --topics 'binance.trades.*' --from 2026-11-28T15:00:00Z DIR",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			var damaged []error
			q := record.Query{Topics: topics, Damaged: func(err error) { damaged = append(damaged, err) }}
			var err error
			if _, err = parsePatterns(topics); err != nil {
				return usageError{err}
			}
			if q.From, err = timeFlag("from", from); err != nil {
				return err
			}
			if q.To, err = timeFlag("to", to); err != nil {
				return err
			}
			out := bufio.NewWriterSize(c.OutOrStdout(), 1<<20)
			p := newProgress(c.ErrOrStderr(), "convert", -1)
			var lines record.Lines
			var buf []byte
			err = record.Scan(c.Context(), args[0], q, func(e record.Event) error {
				buf = lines.Append(buf[:0], &e)
				p.add(int64(len(e.Records)))
				_, err := out.Write(buf)
				return err
			})
			p.end()
			return errors.Join(append(damaged, err, out.Flush())...)
		},
	}
	c.Flags().StringSliceVar(&topics, "topics", []string{">"}, "topic patterns to print")
	c.Flags().StringVar(&from, "from", "", "first time, as 2026-11-28T15:04:05Z; default the beginning")
	c.Flags().StringVar(&to, "to", "", "time before which to end; default the end")
	return c
}

func timeFlag(name, text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() < 1971 || t.Year() > 2261 { // what int64 nanoseconds hold
		return 0, usageError{fmt.Errorf("--%s %q: want a time such as 2026-11-28T15:04:05Z, of the years 1971 to 2261", name, text)}
	}
	return t.UnixNano(), nil
}
