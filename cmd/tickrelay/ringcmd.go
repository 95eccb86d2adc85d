package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tickrelay/ring"
)

func ringCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "ring",
		Short: "Look at shared-memory rings",
		Args:  noSuchCommand,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	base := c.PersistentFlags().String("dir", ring.DefaultBase, "folder that holds the relays' folders")
	relay := c.PersistentFlags().String("relay", "", "relay; default all, or the only one")
	c.AddCommand(ringLsCommand(base, relay), ringStatCommand(base, relay), ringTailCommand(base, relay))
	return c
}

// relayDirs are the folders of the relays below base, or of the one named.
func relayDirs(base, relay string) ([]string, error) {
	if relay != "" {
		dir := filepath.Join(base, relay)
		if _, err := os.Stat(dir); err != nil {
			return nil, fmt.Errorf("no relay %q in %s", relay, base)
		}
		return []string{dir}, nil
	}
	entries, err := os.ReadDir(base)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, filepath.Join(base, e.Name()))
		}
	}
	sort.Strings(dirs)
	return dirs, nil
}

func listRings(base, relay string) ([]ring.Info, error) {
	dirs, err := relayDirs(base, relay)
	if err != nil {
		return nil, err
	}
	rows := []ring.Info{}
	for _, dir := range dirs {
		infos, err := ring.List(dir)
		if err != nil {
			return nil, err
		}
		for _, in := range infos {
			in.Relay = filepath.Base(dir)
			rows = append(rows, in)
		}
	}
	return rows, nil
}

func ringLsCommand(base, relay *string) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "ls",
		Short: "List rings",
		Args:  usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			rows, err := listRings(*base, *relay)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), rows)
			}
			printRings(c.OutOrStdout(), rows)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func ringStatCommand(base, relay *string) *cobra.Command {
	var asJSON, watch bool
	c := &cobra.Command{
		Use:   "stat [NAME]",
		Short: "Show depth, lag, rates, losses and liveness of rings",
		Args:  usage(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			before := rateBase{}
			if _, err := statRows(*base, *relay, args, before); err != nil {
				return err
			}
			time.Sleep(ratePause) // a rate wants two looks
			for {
				rows, err := statRows(*base, *relay, args, before)
				if err != nil {
					return err
				}
				if asJSON {
					err = printJSON(c.OutOrStdout(), rows)
				} else {
					if watch && isTerminal(c.OutOrStdout()) {
						fmt.Fprint(c.OutOrStdout(), "\x1b[H\x1b[2J")
					}
					printStat(c.OutOrStdout(), rows)
				}
				if err != nil || !watch {
					return err
				}
				select {
				case <-c.Context().Done():
					return nil
				case <-time.After(time.Second):
				}
			}
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&watch, "watch", false, "again each second, until Ctrl-C")
	return c
}

// ratePause is between the two looks that the first rates come from.
const ratePause = 200 * time.Millisecond

// statRow is a ring with what two looks at it tell.
type statRow struct {
	ring.Info
	RecordsPerS float64 `json:"records_per_s"`
	ReadPerS    float64 `json:"read_per_s"`
	LostPerS    float64 `json:"lost_per_s"`
}

// rateBase remembers the last look at each ring, by path and creation.
type rateBase map[string]look

type look struct {
	at               time.Time
	head, tail, lost uint64
}

// statRows looks at the rings, or at the one named, and compares with before.
func statRows(base, relay string, args []string, before rateBase) ([]statRow, error) {
	infos, err := listRings(base, relay)
	if err != nil {
		return nil, err
	}
	if len(args) == 1 {
		if infos, err = onlyRing(infos, args[0]); err != nil {
			return nil, err
		}
	}
	rows := []statRow{}
	for _, in := range infos {
		row := statRow{Info: in}
		key := fmt.Sprint(in.Path, in.CreatedNs)
		now := look{time.Now(), in.Head, in.Tail, in.Counters.LostRecords}
		if was, ok := before[key]; ok && now.at.After(was.at) {
			s := now.at.Sub(was.at).Seconds()
			row.RecordsPerS = float64(now.head-was.head) / s
			row.ReadPerS = float64(now.tail-was.tail) / s
			row.LostPerS = float64(now.lost-was.lost) / s
		}
		before[key] = now
		rows = append(rows, row)
	}
	return rows, nil
}

func onlyRing(rows []ring.Info, name string) ([]ring.Info, error) {
	var names []string
	for _, r := range rows {
		if r.Name == name {
			return []ring.Info{r}, nil
		}
		names = append(names, r.Name)
	}
	return nil, fmt.Errorf("no ring %q%s; 'tickrelay ring ls' lists them", name, suggest(name, names))
}

func ringTailCommand(base, relay *string) *cobra.Command {
	var o tailOptions
	c := &cobra.Command{
		Use:   "tail NAME|TOPIC",
		Short: "Print the records of a ring or of topics as they come",
		Long: `tail attaches a ring of its own, so the strategy that owns NAME is not disturbed;
TOPIC may be a pattern. Of a relay that is gone it prints what still lies unread
in the ring's file.`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			return ringTail(c.Context(), *base, *relay, args[0], o, c.OutOrStdout())
		},
	}
	c.Flags().BoolVar(&o.json, "json", false, "print events as JSON, as the WebSocket does")
	c.Flags().IntVarP(&o.count, "count", "n", 0, "stop after so many lines; 0 for no end")
	return c
}

// tailOptions are the flags of ring tail.
type tailOptions struct {
	json  bool
	count int
}

func ringTail(ctx context.Context, base, relay, what string, o tailOptions, out io.Writer) error {
	if strings.Contains(what, ".") || what == ">" {
		dir, err := oneRelay(base, relay)
		if err != nil {
			return err
		}
		return tailLive(ctx, dir, []string{what}, o, out)
	}
	rows, err := listRings(base, relay)
	if err != nil {
		return err
	}
	if rows, err = onlyRing(rows, what); err != nil {
		return err
	}
	dir := filepath.Join(base, rows[0].Relay)
	if !rows[0].Producer.Alive {
		return tailDead(dir, what, o, out)
	}
	topics, err := topicsOfRing(dir, &rows[0])
	if err != nil {
		return err
	}
	return tailLive(ctx, dir, topics, o, out)
}

// oneRelay is the folder of the relay to use where none was named: the only one.
func oneRelay(base, relay string) (string, error) {
	dirs, err := relayDirs(base, relay)
	if err != nil {
		return "", err
	}
	switch len(dirs) {
	case 0:
		return "", fmt.Errorf("no relay runs here (nothing in %s)", base)
	case 1:
		return dirs[0], nil
	}
	var names []string
	for _, d := range dirs {
		names = append(names, filepath.Base(d))
	}
	return "", usageError{fmt.Errorf("several relays are here (%s): choose one with --relay", strings.Join(names, ", "))}
}
