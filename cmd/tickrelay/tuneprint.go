package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"tickrelay/nettune/tune"
)

func tuneKnobsCommand(f *tuneFlags) *cobra.Command {
	var markdown bool
	c := &cobra.Command{
		Use:   "knobs",
		Short: "List the table of settings and checks",
		Args:  usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case markdown:
				fmt.Fprint(c.OutOrStdout(), tune.Markdown())
				return nil
			case f.json:
				return printJSON(c.OutOrStdout(), knobRows())
			}
			printKnobs(c.OutOrStdout())
			return nil
		},
	}
	c.Flags().BoolVar(&markdown, "markdown", false, "print the tables of docs/tuning.md")
	return c
}

// knobRow is a knob as knobs --json prints it.
type knobRow struct {
	Name         string           `json:"name"`
	Group        tune.Group       `json:"group"`
	Path         string           `json:"path,omitempty"`
	Conservative string           `json:"conservative,omitempty"`
	LowLatency   string           `json:"low_latency,omitempty"`
	AWSENA       string           `json:"aws_ena,omitempty"`
	Severity     tune.Severity    `json:"severity"`
	PerNetns     bool             `json:"per_netns"`
	Why          string           `json:"why"`
	Source       string           `json:"source"`
	Risk         string           `json:"risk"`
	ReadBack     string           `json:"read_back"`
	Persistence  tune.Persistence `json:"persistence"`
	Needs        tune.Need        `json:"needs"`
}

func knobRows() []knobRow {
	rows := []knobRow{}
	for _, k := range tune.Table() {
		rows = append(rows, knobRow{k.Name, k.Group, k.Path, k.Want.Conservative, k.Want.LowLatency, k.Want.AWSENA,
			k.Severity, k.PerNetns, k.Why, k.Source, k.Risk, k.ReadBack(), k.Persist, k.Needs})
	}
	return rows
}

func printKnobs(w io.Writer) {
	tw := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "GROUP\tKNOB\tCONSERVATIVE\tLOW-LATENCY\tAWS-ENA\tPERSISTENCE")
	for _, k := range tune.Table() {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n", k.Group, k.Name, dash(k.Want.Conservative), dash(k.Want.LowLatency), dash(k.Want.AWSENA), k.Persist)
	}
	tw.Flush()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func printAudit(w io.Writer, r *tune.Report) {
	fmt.Fprintf(w, "profile %s, devices %s\n", r.Profile, dash(strings.Join(r.Ifaces, ", ")))
	for _, f := range r.Findings {
		fmt.Fprintf(w, "\n%-4s  %s", f.Severity, f.Knob)
		if f.Place != "" {
			fmt.Fprintf(w, " (%s)", f.Place)
		}
		if f.Have != "" {
			fmt.Fprintf(w, ": %s", f.Have)
		}
		if f.Want != "" {
			fmt.Fprintf(w, ", wanted %s", f.Want)
		}
		fmt.Fprintf(w, "\n      %s\n", f.Text)
		if f.Fix != "" {
			fmt.Fprintf(w, "      fix: %s\n", f.Fix)
		}
	}
	count := map[tune.Severity]int{}
	for _, f := range r.Findings {
		count[f.Severity]++
	}
	fmt.Fprintf(w, "\n%d critical, %d warnings, %d notes; %d settings as wanted, %d not on this host\n",
		count[tune.Critical], count[tune.Warn], count[tune.Info], r.Good, r.Absent)
}

// printPlan writes the plan in the form of a unified diff, grouped.
func printPlan(w io.Writer, profile string, plan []tune.Change) {
	fmt.Fprintf(w, "--- this host\n+++ profile %s\n", profile)
	group := tune.Group("")
	for _, c := range plan {
		if c.Group != group {
			group = c.Group
			fmt.Fprintf(w, "@@ %s @@\n", group)
		}
		fmt.Fprintf(w, "# %s\n", c.Why)
		fmt.Fprintf(w, "# risk: %s; lasts: %s\n", c.Risk, c.Persist)
		if c.Blocked != "" {
			fmt.Fprintf(w, "# blocked: %s\n", c.Blocked)
		}
		fmt.Fprintf(w, "-%s = %s\n+%s = %s\n", c.Key, c.Old, c.Key, c.New)
	}
	fmt.Fprintf(w, "# %d settings would change\n", len(plan))
}

func printResults(w io.Writer, none string, results []tune.Result) {
	if len(results) == 0 {
		fmt.Fprintln(w, none)
		return
	}
	tw := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "STATUS\tSETTING\tBEFORE\tWANTED\tNOW\t")
	count := map[tune.Status]int{}
	for _, r := range results {
		count[r.Status]++
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Status, r.Key, dash(r.Old), dash(r.New), dash(r.Read), r.Error)
	}
	tw.Flush()
	var parts []string
	for _, s := range []tune.Status{tune.Done, tune.Kept, tune.Adjusted, tune.Ignored, tune.Drifted, tune.Foreign, tune.Gone, tune.Blocked, tune.Failed} {
		if count[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[s], s))
		}
	}
	fmt.Fprintln(w, strings.Join(parts, ", "))
}

func printProof(w io.Writer, p *tune.Proof) {
	fmt.Fprintf(w, "%d pairs of rounds per group, confidence %v over all, each test at p ≤ %.2g\n", p.Rounds, p.Confidence, p.Alpha)
	for _, g := range p.Groups {
		fmt.Fprintf(w, "\n%s: %s", g.Group, g.Verdict)
		if g.Kept {
			fmt.Fprint(w, ", kept")
		}
		fmt.Fprintf(w, "\n  %s\n", g.Reason)
		for _, s := range g.Settings {
			fmt.Fprintf(w, "  %s: %s -> %s", s.Key, s.Old, s.New)
			if s.Status != tune.Done {
				fmt.Fprintf(w, " (%s %s)", s.Status, s.Error)
			}
			fmt.Fprintln(w)
		}
		tw := tabwriter.NewWriter(w, 2, 8, 2, ' ', tabwriter.AlignRight)
		if len(g.Metrics) > 0 {
			fmt.Fprintln(tw, "\twithout\twith\tgain\tp better\tp worse\t")
		}
		for _, m := range g.Metrics {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%+.1f%%\t%.2g\t%.2g\t\n", m.Name, nanos(m.Before), nanos(m.After), 100*m.Gain, m.PBetter, m.PWorse)
		}
		tw.Flush()
	}
}

func nanos(ns float64) string { return time.Duration(ns).Round(100 * time.Nanosecond).String() }
