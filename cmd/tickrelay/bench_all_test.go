package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tickrelay/ring/ringbench"
)

// TestBenchAllReport: goals met and not met are counted, and every part has a picture.
func TestBenchAllReport(t *testing.T) {
	r := &allReport{Hardware: ringbench.Hardware(), NotRun: map[string]string{"transport": "no root"}, Benches: []*ringbench.Report{{Bench: "ring", Rows: []ringbench.Row{
		ringbench.NewRow(ringbench.Row{Name: "trip", Unit: "us", Value: 1, P50: 1, P99: 2, P999: 3, Baseline: "line", BaselineValue: 1, Goal: "<=1.3"}),
		ringbench.NewRow(ringbench.Row{Name: "rate", Unit: "1/s", Value: 1, Baseline: "pipe", BaselineValue: 2, Goal: ">=2"}),
	}}}}
	text := r.markdown(true)
	for _, want := range []string{"Goals met: 1 of 2", "Not run: transport, no root", "**not met**", "img/bench-ring.svg"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	dir := t.TempDir()
	if err := r.write(dir); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"bench.md", "bench.json", "img/bench-ring.svg"} {
		if st, err := os.Stat(filepath.Join(dir, f)); err != nil || st.Size() == 0 {
			t.Errorf("%s: %v", f, err)
		}
	}
}

// TestBenchParts: every benchmark of the program is in bench all.
func TestBenchParts(t *testing.T) {
	parts := map[string]bool{"all": true}
	for _, p := range benchParts() {
		parts[p.name] = true
	}
	for _, c := range benchCommand().Commands() {
		if !parts[c.Name()] && !c.Hidden && c.Name() != "help" {
			t.Errorf("bench %s is not in bench all", c.Name())
		}
	}
}
