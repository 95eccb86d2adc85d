package main

import (
	"fmt"
	"io"
	"sort"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"tickrelay/nettune/xdp"
)

func xdpStatsCommand(fs *string) *cobra.Command {
	var asJSON, watch bool
	c := &cobra.Command{
		Use:   "stats INTERFACE",
		Short: "Show what the filter passed and dropped, by reason",
		Args:  usage(cobra.ExactArgs(1)),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&watch, "watch", false, "again every second, with rates, until Ctrl-C")
	c.RunE = func(c *cobra.Command, args []string) error {
		var last *xdp.Stats
		for {
			st, err := readXDP(xdp.Target{Interface: args[0], BPFFS: *fs})
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(c.OutOrStdout(), xdpJSON(&st))
			} else {
				printXDP(c.OutOrStdout(), &st, last)
			}
			if err != nil || !watch {
				return err
			}
			last = &st
			select {
			case <-c.Context().Done():
				return nil
			case <-time.After(time.Second):
			}
		}
	}
	return c
}

func readXDP(t xdp.Target) (xdp.Stats, error) {
	f, err := xdp.Open(t)
	if err != nil {
		return xdp.Stats{}, err
	}
	defer f.Close()
	return f.Stats()
}

// xdpStats is the JSON of xdp stats.
type xdpStats struct {
	xdp.Stats
	SYNBudget    string            `json:"syn_budget"`
	PacketBudget string            `json:"packet_budget"`
	Passed       map[string]uint64 `json:"passed"`
	Dropped      map[string]uint64 `json:"dropped"`
}

func xdpJSON(st *xdp.Stats) xdpStats {
	out := xdpStats{Stats: *st, SYNBudget: st.SYN.String(), PacketBudget: st.Packets.String(),
		Passed: map[string]uint64{}, Dropped: map[string]uint64{}}
	for r := range xdp.NumReasons {
		if r.Drops() {
			out.Dropped[r.String()] = st.Counts[r]
		} else {
			out.Passed[r.String()] = st.Counts[r]
		}
	}
	return out
}

// printXDP prints st, and rates since last, which was read a second before.
func printXDP(w io.Writer, st, last *xdp.Stats) {
	state := st.Mode + " mode"
	if !st.Attached {
		state = "NOT ATTACHED: these are the lists and counters of an earlier filter; attach takes them up, detach removes them"
	}
	fmt.Fprintf(w, "%s  %s\nport %d  new connections %s  packets without connection %s  rules %d allow, %d deny\n",
		st.Interface, state, st.Port, st.SYN, st.Packets, st.Allowed, st.Denied)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for r := range xdp.NumReasons {
		verdict := "pass"
		if r.Drops() {
			verdict = "drop"
		}
		fmt.Fprintf(t, "%s\t%s\t%d", verdict, r, st.Counts[r])
		if last != nil {
			fmt.Fprintf(t, "\t%d/s", st.Counts[r]-last.Counts[r])
		}
		fmt.Fprintln(t)
	}
	t.Flush()
	if last != nil {
		fmt.Fprintln(w)
	}
}

// xdpRule is the JSON of one rule.
type xdpRule struct {
	Prefix  string  `json:"prefix"`
	Seconds float64 `json:"seconds_left,omitempty"` // absent: for ever
	Cut     bool    `json:"cut,omitempty"`
}

func printRules(w io.Writer, rules []xdp.Rule, asJSON bool) error {
	sort.Slice(rules, func(i, j int) bool { return rules[i].Prefix.Compare(rules[j].Prefix) < 0 })
	if asJSON {
		out := []xdpRule{}
		for _, r := range rules {
			out = append(out, xdpRule{r.Prefix.String(), r.Left.Seconds(), r.Cut})
		}
		return printJSON(w, out)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rules {
		left := "for ever"
		if r.Left > 0 {
			left = r.Left.Round(time.Second).String() + " left"
		}
		note := ""
		if r.Cut {
			note = "\tcuts connections"
		}
		fmt.Fprintf(t, "%s\t%s%s\n", r.Prefix, left, note)
	}
	return t.Flush()
}
