package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSoak runs the shortest soak there is, as a user would. TICKRELAY_SOAK_FOR and
// TICKRELAY_SOAK_SEED make it another one.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	length, seed := os.Getenv("TICKRELAY_SOAK_FOR"), os.Getenv("TICKRELAY_SOAK_SEED")
	if length == "" {
		length = "20s"
	}
	if seed == "" {
		seed = "20261128"
	}
	dir := t.TempDir()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	p := startCommand(t, exec.Command(path, "soak", "--for", length, "--seed", seed, "--speed", "2", "--json", "--report", dir))
	<-p.exited
	var r struct {
		Seed        uint64
		Venues      int
		Violated    int
		Comparisons int
		Events      uint64 `json:"market_events"`
	}
	var out strings.Builder
	for l := range p.stdout {
		out.WriteString(l)
	}
	if err := json.Unmarshal([]byte(out.String()), &r); err != nil {
		t.Fatalf("%v\n%s%s", err, out.String(), p.errors())
	}
	if r.Violated > 0 || p.cmd.ProcessState.ExitCode() != 0 || fmt.Sprint(r.Seed) != seed {
		t.Errorf("%+v, exit %d\n%s", r, p.cmd.ProcessState.ExitCode(), p.errors())
	}
	if r.Venues != 21 || r.Comparisons == 0 || r.Events == 0 {
		t.Errorf("hardly anything happened: %+v\n%s", r, p.errors())
	}
	for _, f := range []string{"soak.md", "soak.json", "img/soak-latency-p99.svg"} {
		if st, err := os.Stat(filepath.Join(dir, f)); err != nil || st.Size() < 500 {
			t.Errorf("%s: %v", f, err)
		}
	}
}
