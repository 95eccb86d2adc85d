package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tickrelay/ring/ringbench"
)

// benchPart is one benchmark of bench all: its arguments for each size.
type benchPart struct {
	name   string
	quick  []string
	normal []string
	why    string // it cannot be run here, "" if it can
}

// Sizes of bench all.
const (
	sizeQuick  = "quick" // to see that all of them run
	sizeNormal = "normal"
	sizeFull   = "full" // each benchmark as it is by itself
)

// benchParts are all that this program has.
func benchParts() []benchPart {
	root := ""
	if os.Geteuid() != 0 {
		root = "makes network namespaces: run it as root"
	}
	return []benchPart{
		{"ring", []string{"--duration", "200ms"}, nil, ""},
		{"decode", nil, nil, ""},
		{"e2e", []string{"--rounds", "1", "--frames", "500"}, nil, ""},
		{"fanout", []string{"--subscribers", "100", "--rounds", "1", "--duration", "200ms", "--idle", "200"}, []string{"--rounds", "2"}, ""},
		{"transport", []string{"--duration", "200ms"}, nil, root},
		{"record", []string{"--rounds", "1", "--records", "100000"}, nil, ""},
		{"bus", []string{"--rounds", "1", "--duration", "200ms"}, []string{"--rounds", "3"}, ""},
	}
}

// allReport is what bench all found.
type allReport struct {
	Date     time.Time           `json:"date"`
	Size     string              `json:"size"`
	Version  string              `json:"version"`
	Seconds  float64             `json:"seconds"`
	Took     map[string]float64  `json:"took_seconds"` // by benchmark
	Load     string              `json:"load"`         // /proc/loadavg before the first
	Hardware map[string]string   `json:"hardware"`
	Benches  []*ringbench.Report `json:"benches"`
	NotRun   map[string]string   `json:"not_run"`

	failed bool
}

func benchAllCommand() *cobra.Command {
	var dir, size string
	var asJSON bool
	c := &cobra.Command{
		Use:   "all",
		Short: "Every benchmark with its baselines, in one report",
		Long: `all runs every benchmark one after the other, each in a process of its own, and writes one
report: text, or JSON, and with --report a folder with bench.md, bench.json and pictures. What
cannot be run here is named with the reason. Run it on a machine that does nothing else, as root
and in the folder of the sources, where the servers are that the fan-out is compared with.

--size full runs each benchmark as it is by itself; --size quick is the shortest, to see
that all of them run: its figures are worth nothing.`,
		Args: usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if size != sizeQuick && size != sizeNormal && size != sizeFull {
				return usageError{fmt.Errorf("--size %q: want %s, %s or %s", size, sizeQuick, sizeNormal, sizeFull)}
			}
			r, err := runBenches(c, size)
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
	c.Flags().StringVar(&size, "size", sizeNormal, "of the runs: "+sizeQuick+", "+sizeNormal+" or "+sizeFull)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// runBenches runs all; one that fails is named in the report. Ctrl-C ends with those
// that are done.
func runBenches(c *cobra.Command, size string) (*allReport, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	load, _ := os.ReadFile("/proc/loadavg")
	r := &allReport{Date: time.Now().UTC(), Size: size, Version: version(), Took: map[string]float64{}, Load: strings.TrimSpace(string(load)), Hardware: ringbench.Hardware(), NotRun: map[string]string{}}
	for _, p := range benchParts() {
		if p.why == "" && c.Context().Err() != nil {
			p.why = "interrupted"
		}
		if p.why != "" {
			r.NotRun[p.name] = p.why
			continue
		}
		args := []string{"bench", p.name, "--json"}
		switch size {
		case sizeQuick:
			args = append(args, p.quick...)
		case sizeNormal:
			args = append(args, p.normal...)
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
		r.Benches, r.Took[p.name] = append(r.Benches, one), time.Since(began).Seconds()
	}
	r.Seconds = time.Since(r.Date).Seconds()
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
