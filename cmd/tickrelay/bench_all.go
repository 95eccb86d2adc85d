package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tickrelay/cmd/chart"
	"tickrelay/ring/ringbench"
)

// benchPart is one benchmark of bench all: its arguments, and those that make it short.
type benchPart struct {
	name  string
	quick []string
	why   string // it cannot be run here, "" if it can
}

// benchParts are all that this program has.
func benchParts() []benchPart {
	root := ""
	if os.Geteuid() != 0 {
		root = "makes network namespaces: run it as root"
	}
	return []benchPart{
		{"ring", []string{"--duration", "200ms"}, ""},
		{"decode", nil, ""},
		{"e2e", []string{"--rounds", "1", "--frames", "500"}, ""},
		{"fanout", []string{"--subscribers", "100", "--rounds", "1", "--duration", "200ms", "--idle", "200"}, ""},
		{"transport", []string{"--duration", "200ms"}, root},
		{"record", []string{"--rounds", "1", "--records", "100000"}, ""},
		{"bus", []string{"--rounds", "1", "--duration", "200ms"}, ""},
	}
}

// allReport is what bench all found.
type allReport struct {
	Date     time.Time           `json:"date"`
	Quick    bool                `json:"quick"`
	Load     string              `json:"load"` // /proc/loadavg before the first
	Hardware map[string]string   `json:"hardware"`
	Benches  []*ringbench.Report `json:"benches"`
	NotRun   map[string]string   `json:"not_run"`

	failed bool
}

func benchAllCommand() *cobra.Command {
	var dir string
	var quick, asJSON bool
	c := &cobra.Command{
		Use:   "all",
		Short: "Every benchmark with its baselines, in one report",
		Long: `all runs every benchmark one after the other, each in a process of its own, and writes one
report: text, or JSON, and with --report a folder with bench.md, bench.json and pictures. What
cannot be run here is named with the reason. It takes about ten minutes on a quiet machine, which
it should be; --quick takes about one, to see that all runs: its figures are worth nothing.`,
		Args: usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := runBenches(c, quick)
			if err != nil {
				return err
			}
			if dir != "" {
				err = r.write(dir)
			}
			switch {
			case err != nil:
			case asJSON:
				err = json.NewEncoder(c.OutOrStdout()).Encode(r)
			default:
				_, err = fmt.Fprint(c.OutOrStdout(), r.markdown(false))
			}
			if err == nil && r.failed {
				err = fmt.Errorf("bench all: not everything ran: %v", r.NotRun)
			}
			return err
		},
	}
	c.Flags().StringVar(&dir, "report", "", "folder to write the report and its pictures into")
	c.Flags().BoolVar(&quick, "quick", false, "short runs, to see that all of them run")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// runBenches runs all; one that fails is named in the report. Ctrl-C ends with those
// that are done.
func runBenches(c *cobra.Command, quick bool) (*allReport, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	load, _ := os.ReadFile("/proc/loadavg")
	r := &allReport{Date: time.Now().UTC(), Quick: quick, Load: strings.TrimSpace(string(load)), Hardware: ringbench.Hardware(), NotRun: map[string]string{}}
	for _, p := range benchParts() {
		if p.why == "" && c.Context().Err() != nil {
			p.why = "interrupted"
		}
		if p.why != "" {
			r.NotRun[p.name] = p.why
			continue
		}
		args := []string{"bench", p.name, "--json"}
		if quick {
			args = append(args, p.quick...)
		}
		fmt.Fprintf(c.ErrOrStderr(), "bench all: %s …\n", p.name)
		began := time.Now()
		one, err := runBench(c.Context(), exe, args)
		if err != nil && c.Context().Err() == nil { // a shared host may miss a deadline once
			one, err = runBench(c.Context(), exe, args)
		}
		if err != nil {
			r.NotRun[p.name] = err.Error()
			r.failed = c.Context().Err() == nil
			fmt.Fprintf(c.ErrOrStderr(), "bench all: %s: %v\n", p.name, err)
			continue
		}
		fmt.Fprintf(c.ErrOrStderr(), "bench all: %s: %d rows in %s\n", p.name, len(one.Rows), time.Since(began).Round(time.Second))
		r.Benches = append(r.Benches, one)
	}
	if len(r.Benches) == 0 {
		return nil, errors.New("bench all: nothing was measured")
	}
	return r, nil
}

func runBench(ctx context.Context, exe string, args []string) (*ringbench.Report, error) {
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, lastLine(errs.String()))
	}
	r := &ringbench.Report{}
	if err := json.Unmarshal(out.Bytes(), r); err != nil {
		return nil, fmt.Errorf("its output: %w", err)
	}
	return r, nil
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// write writes bench.md, bench.json and a picture for each benchmark.
func (r *allReport) write(dir string) error {
	data, err := json.MarshalIndent(r, "", " ")
	errs := []error{err, os.MkdirAll(filepath.Join(dir, "img"), 0o755),
		os.WriteFile(filepath.Join(dir, "bench.json"), append(data, '\n'), 0o644),
		os.WriteFile(filepath.Join(dir, "bench.md"), []byte(r.markdown(true)), 0o644)}
	for _, b := range r.Benches {
		errs = append(errs, os.WriteFile(filepath.Join(dir, "img", "bench-"+b.Bench+".svg"), benchPicture(b), 0o644))
	}
	return errors.Join(errs...)
}

// markdown is the report, of which the plain text is good to read too.
func (r *allReport) markdown(pictures bool) string {
	var b strings.Builder
	h := r.Hardware
	fmt.Fprintf(&b, "# Benchmarks, %s\n\n%s, %s processors, Linux %s, %s, governor %s, load before: %s.\n", r.Date.Format("2006-01-02 15:04 MST"),
		h["cpu"], h["cores"], h["kernel"], h["go"], h["governor"], r.Load)
	if r.Quick {
		b.WriteString("\n**Short runs: these figures say only that everything runs.**\n")
	}
	met, all := 0, 0
	for _, x := range r.Benches {
		for _, row := range x.Rows {
			if row.Goal != "" {
				if all++; row.Met {
					met++
				}
			}
		}
	}
	fmt.Fprintf(&b, "\nGoals met: %d of %d. A ratio is ours to the baseline's, of the same run.\n", met, all)
	for name, why := range r.NotRun {
		fmt.Fprintf(&b, "\nNot run: %s, %s.\n", name, why)
	}
	for _, x := range r.Benches {
		fmt.Fprintf(&b, "\n## %s\n\n", x.Bench)
		if pictures {
			fmt.Fprintf(&b, "![%s](img/bench-%[1]s.svg)\n\n", x.Bench)
		}
		b.WriteString("| what | value | p99 | p99.9 | unit | baseline | its value | ratio | goal |\n|---|---|---|---|---|---|---|---|---|\n")
		for _, row := range x.Rows {
			goal := row.Goal
			if goal != "" && row.Met {
				goal += " met"
			} else if goal != "" {
				goal += " **not met**"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", row.Name, chart.Short(row.Value), figure(row.P99), figure(row.P999), row.Unit,
				row.Baseline, figure(row.BaselineValue), figure(math.Round(row.Ratio*100)/100), goal)
		}
	}
	return b.String()
}

func figure(v float64) string {
	if v == 0 {
		return ""
	}
	return chart.Short(v)
}

// benchPicture shows each row as its ratio to the baseline's value, for rows have
// units of their own, and latencies with their percentiles where there is one unit.
func benchPicture(b *ringbench.Report) []byte {
	p := chart.Bars{Title: b.Bench + ": ours relative to the baseline of the same run", Unit: "× baseline", Series: []string{"ours / baseline"}, Log: true}
	lat := chart.Bars{Title: b.Bench + ": latency", Series: []string{"p50", "p99", "p99.9", "baseline"}, Log: true}
	units := map[string]bool{}
	for _, r := range b.Rows {
		if len(b.Rows) > 40 && r.Goal == "" {
			continue // the table has them
		}
		if r.Ratio > 0 {
			p.Rows = append(p.Rows, chart.Bar{Name: r.Name, Values: []float64{r.Ratio}, Note: r.Goal})
		}
		if r.P99 > 0 {
			units[r.Unit], lat.Unit = true, r.Unit
			lat.Rows = append(lat.Rows, chart.Bar{Name: r.Name, Values: []float64{r.P50, r.P99, r.P999, r.BaselineValue}})
		}
	}
	if len(lat.Rows) > 0 && len(units) == 1 {
		return lat.SVG()
	}
	return p.SVG()
}
