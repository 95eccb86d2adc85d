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
	r := &allReport{Size: sizeNormal, Took: map[string]float64{"ring": 7}, Hardware: ringbench.Hardware(), NotRun: map[string]string{"transport": "no root"}, Benches: []*ringbench.Report{{Bench: "ring", Rows: []ringbench.Row{
		ringbench.NewRow(ringbench.Row{Name: "trip", Unit: "us", Value: 1, P50: 1, P99: 2, P999: 3, Baseline: "line", BaselineValue: 1, Goal: "<=1.3"}),
		ringbench.NewRow(ringbench.Row{Name: "rate", Unit: "1/s", Value: 1, Baseline: "pipe", BaselineValue: 2, Goal: ">=2"}),
	}}, {Bench: "decode", Rows: []ringbench.Row{
		ringbench.NewRow(ringbench.Row{Name: "okx trades, frame of 203 bytes", Unit: "ns/frame", Value: 300, Baseline: "fastjson", BaselineValue: 1000, Goal: "<=0.4"}),
		ringbench.NewRow(ringbench.Row{Name: "okx trades, throughput", Unit: "MB/s", Value: 3, Baseline: "fastjson", BaselineValue: 1}),
		ringbench.NewRow(ringbench.Row{Name: "okx book, frame of 900 bytes", Unit: "ns/frame", Value: 5000, Baseline: "fastjson", BaselineValue: 10000, Goal: "<=0.4"}),
		ringbench.NewRow(ringbench.Row{Name: "upbit book, frame of 900 bytes", Unit: "ns/frame", Value: 1000, Baseline: "fastjson", BaselineValue: 10000}),
	}}}}
	text := r.markdown(true)
	for _, want := range []string{"| ring | 2 | 1 of 2 | 7 s |", "| all |  | 2 of 4 |", "Not run: transport, no root", "**not met**", "img/bench-ring.svg", "--size normal",
		"| trip | 1 µs | 2 µs | 3 µs | line | 1 µs | 1 | <=1.3 met |", "| decode | okx book, frame of 900 bytes | fastjson | 0.5 | <=0.4 |",
		"| venue | trades | book |", "| okx | 300 ns, 0.3 | **5 µs, 0.5** |", "| upbit | – | 1 µs, 0.1 |"} {
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
