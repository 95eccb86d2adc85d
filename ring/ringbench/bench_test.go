package ringbench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const peerEnv = "TICKRELAY_RINGBENCH_PEER"

// TestMain is the other process of the figures that need two.
func TestMain(m *testing.M) {
	dir := os.Getenv(peerEnv)
	if dir == "" {
		os.Exit(m.Run())
	}
	if err := Peer(context.Background(), dir, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func peerCommand(dir string) *exec.Cmd {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), peerEnv+"="+dir)
	return cmd
}

func TestRun(t *testing.T) {
	rep, err := Run(context.Background(), Config{Duration: 20 * time.Millisecond, Peer: peerCommand})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rep.Rows {
		if r.Value <= 0 || r.BaselineValue <= 0 || r.Ratio <= 0 || r.Goal == "" || r.Unit == "" {
			t.Errorf("%+v", r)
		}
		if r.Unit == "ns" && (r.P50 > r.P99 || r.P99 > r.P999 || r.P50 == 0) {
			t.Errorf("percentiles of %+v", r)
		}
	}
	var text, js strings.Builder
	if err := rep.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if err := rep.WriteJSON(&js); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + text.String())
	var back Report
	if err := json.Unmarshal([]byte(js.String()), &back); err != nil || len(back.Rows) != len(rep.Rows) || back.Bench != "ring" {
		t.Fatal(err, js.String())
	}
	for _, key := range []string{`"hardware":{`, `"baseline_value":`, `"p999":`, `"met":`} {
		if !strings.Contains(js.String(), key) {
			t.Errorf("no %s in %s", key, js.String())
		}
	}
}

func TestRunEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, Config{}); err == nil {
		t.Fatal("ran without being allowed to")
	}
}

func TestGoals(t *testing.T) {
	for _, c := range []struct {
		goal        string
		value, base float64
		met         bool
	}{{"<=1.3", 13, 10, true}, {"<=1.3", 14, 10, false}, {">=10", 100, 10, true}, {">=10", 99, 10, false}, {"", 1, 0, true}} {
		if r := NewRow(Row{Value: c.value, BaselineValue: c.base, Goal: c.goal}); r.Met != c.met {
			t.Errorf("%+v: %+v", c, r)
		}
	}
}
