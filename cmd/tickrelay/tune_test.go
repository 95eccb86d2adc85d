package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tickrelay/nettune/tune/probe"
)

// tuneTree is a small copied host: one CPU, one device, a CPU quota.
func tuneTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for path, text := range map[string]string{
		"proc/sys/net/ipv4/tcp_fastopen":          "1",
		"proc/sys/net/ipv4/tcp_rmem":              "4096\t131072\t6291456",
		"proc/sys/net/ipv4/tcp_keepalive_time":    "7200",
		"proc/sys/net/core/somaxconn":             "128",
		"sys/devices/system/cpu/online":           "0",
		"sys/class/net/eth0/operstate":            "up",
		"sys/class/net/eth0/device/numa_node":     "-1",
		"sys/class/net/eth0/queues/rx-0/rps_cpus": "0",
		"ethtool/eth0/driver":                     "driver: ixgbe",
		"ethtool/eth0/coalesce":                   "Adaptive RX: on  TX: off\nrx-usecs: 50",
		"proc/self/cgroup":                        "0::/",
		"proc/mounts":                             "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0",
		"sys/fs/cgroup/cpu.max":                   "20000 100000",
		"sys/fs/cgroup/cpu.stat":                  "nr_periods 10\nnr_throttled 3\nthrottled_usec 5000",
	} {
		file := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// tuneRun runs one command line and wants its exit code and words in stdout
// (or stderr, for failures).
func tuneRun(t *testing.T, code int, args []string, words ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if got := execute(t.Context(), append([]string{"tune"}, args...), &out, &errs); got != code {
		t.Fatalf("%v: exit %d, want %d\n%s%s", args, got, code, &out, &errs)
	}
	text := out.String()
	if code == exitFailed || code == exitUsage {
		text += errs.String()
	}
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%v: %q is missing in\n%s", args, w, text)
		}
	}
	return out.String()
}

func TestTuneWorkflow(t *testing.T) {
	root := "--root=" + tuneTree(t)
	fast := "--profile=low-latency"
	tuneRun(t, int(exitCritical), []string{"audit", root}, "crit  cpu.quota", "throttled in 3 of 10 periods", "warn  net.ipv4.tcp_fastopen: 1, wanted 3")
	tuneRun(t, int(exitWarn), []string{"audit", root, "--group=fastopen"})
	tuneRun(t, exitDone, []string{"audit", root, "--group=keepalive"})
	tuneRun(t, exitDone, []string{"plan", root, fast}, "-nic:eth0/coalesce/rx-usecs = 50\n+nic:eth0/coalesce/rx-usecs = 0\n", "@@ fastopen @@")
	tuneRun(t, exitDone, []string{"plan", root, "--rtt=80ms", "--bandwidth=1Gbit", "--group=buffers"}, "= 4096 131072 33554432")
	tuneRun(t, exitDone, []string{"verify", root}, "nothing has been applied here")
	tuneRun(t, exitUsage, []string{"apply", root, fast}, "--yes")
	tuneRun(t, exitDone, []string{"apply", root, fast, "--yes", "--persist"}, "done", "net/core/somaxconn")
	tuneRun(t, exitDone, []string{"plan", root, fast}, "0 settings would change")
	var results []struct{ Status, Key string }
	if err := json.Unmarshal([]byte(tuneRun(t, exitDone, []string{"verify", root, "--json"})), &results); err != nil || len(results) < 6 {
		t.Fatalf("verify --json: %d results, %v", len(results), err)
	}
	dropIn, err := os.ReadFile(filepath.Join(root[len("--root="):], "etc/sysctl.d/90-tickrelay.conf"))
	if err != nil || !strings.Contains(string(dropIn), "net.core.somaxconn = 4096") {
		t.Errorf("drop-in: %s, %v", dropIn, err)
	}
	key := filepath.Join(root[len("--root="):], "proc/sys/net/core/somaxconn")
	if err := os.WriteFile(key, []byte("7\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	tuneRun(t, int(exitWarn), []string{"verify", root}, "drifted", "1 drifted")
	tuneRun(t, int(exitWarn), []string{"revert", root, "--yes"}, "foreign", "--force puts 128 back")
	tuneRun(t, exitDone, []string{"revert", root, "--yes", "--force"}, "1 done")
	tuneRun(t, exitDone, []string{"revert", root, "--yes"}, "nothing to put back")
	if text, _ := os.ReadFile(key); strings.TrimSpace(string(text)) != "128" {
		t.Errorf("somaxconn is %s after revert", text)
	}
}

func TestTuneWrongUsage(t *testing.T) {
	root := "--root=" + tuneTree(t)
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("base: none\nknobs:\n  net.ipv4.tcp_fastopn: 3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	tuneRun(t, exitUsage, []string{"audit", root, "--profile=low-latncy"}, `did you mean "low-latency"?`)
	tuneRun(t, exitUsage, []string{"audit", root, "--group=bufers"}, `did you mean "buffers"?`)
	tuneRun(t, exitUsage, []string{"audit", root, "--bandwidth=fast"}, "--bandwidth")
	tuneRun(t, exitUsage, []string{"prove", root}, "measures this machine")
	tuneRun(t, exitUsage, []string{"ausit"}, "unknown command")
	tuneRun(t, exitUsage, []string{"dump"}, "arg")
	tuneRun(t, exitFailed, []string{"audit", root, "--profile=" + bad}, bad+":3: unknown knob")
	tuneRun(t, exitFailed, []string{"audit", "--root=" + bad + ".d"}, "no such file")
}

func TestTuneKnobsAndDump(t *testing.T) {
	var rows []struct{ Name, Why, Source, Risk string }
	if err := json.Unmarshal([]byte(tuneRun(t, exitDone, []string{"knobs", "--json"})), &rows); err != nil || len(rows) < 60 {
		t.Fatalf("%d knobs, %v", len(rows), err)
	}
	tuneRun(t, exitDone, []string{"knobs"}, "net.ipv4.tcp_fastopen", "cpu.dma_latency")
	tuneRun(t, exitDone, []string{"knobs", "--markdown"}, "### coalescing")
	root := tuneTree(t)
	dump := filepath.Join(t.TempDir(), "dump")
	tuneRun(t, exitDone, []string{"dump", "--root=" + root, dump}, "files in "+dump)
	want := tuneRun(t, int(exitCritical), []string{"audit", "--root=" + root, "--profile=aws-ena"})
	if got := tuneRun(t, int(exitCritical), []string{"audit", "--root=" + dump, "--profile=aws-ena"}); got != want {
		t.Errorf("the dump's audit differs:\n%s\nwant\n%s", got, want)
	}
}

// TestHoldCPULatency asks for it by the configuration; without permission the
// relay goes on with a warning.
func TestHoldCPULatency(t *testing.T) {
	const feeds = "feeds:\n- {venue: okx, instruments: [BTC-USDT]}\n"
	if c, err := parseConfig("x.yaml", []byte(feeds)); err != nil || c.CPULatency != nil {
		t.Fatalf("held without being asked: %v", err)
	}
	if _, err := parseConfig("x.yaml", []byte("cpu_latency_us: -1\n"+feeds)); err == nil || !strings.Contains(err.Error(), "x.yaml:1: cpu_latency_us") {
		t.Errorf("-1: %v", err)
	}
	c, err := parseConfig("x.yaml", []byte("cpu_latency_us: 0\n"+feeds))
	if err != nil || c.CPULatency == nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	release := holdCPULatency(c.CPULatency, slog.New(slog.NewTextHandler(&log, nil)))
	defer release()
	held := strings.Contains(log.String(), "us=0")
	if held == strings.Contains(log.String(), "may wake slowly") {
		t.Errorf("log: %s", &log)
	}
}

// TestTuneProbe measures against tune probe.
func TestTuneProbe(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	addr, done, err := startProbe(ctx, loopbackProbe)
	if err != nil {
		t.Fatal(err)
	}
	r, err := probe.Config{Addr: addr, Pings: 20, Gap: -1, Burst: 1 << 16}.Round(ctx)
	if err != nil || r[0] <= 0 || time.Duration(r[0]) > time.Second {
		t.Errorf("%v, %v", r, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
