package main

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"tickrelay/relay"
	"tickrelay/ring"
)

// readyOf runs ready with --json.
func readyOf(t *testing.T, want int, args ...string) (r readyReport) {
	t.Helper()
	out, errs, code := tickrelay(t, append([]string{"ready", "--json"}, args...)...)
	if code != want {
		t.Fatalf("ready %s: exit %d, want %d\n%s%s", args, code, want, out, errs)
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("ready %s: %v in %q", args, err, out)
	}
	return r
}

// TestReadySplit asks both processes of a relay whether they are ready, has both reload,
// and lets a second gateway take the control socket over.
func TestReadySplit(t *testing.T) {
	s := newSplit(t, "")
	socket := s.feeds.line("socket ")
	if r := readyOf(t, 0, "--socket", socket, "--wait", "60s"); !r.Ready || len(r.Processes) != 1 || r.Processes[0].Process != processFeeds {
		t.Fatalf("feeds alone: %+v", r)
	}
	if r := readyOf(t, 1, "-c", s.config, "--part", "gateway"); r.Ready || !strings.Contains(r.Error, "gateway of this relay does not run") {
		t.Fatalf("no gateway: %+v", r)
	}
	gw := s.gateway()
	control := gw.line("control ")
	r := readyOf(t, 0, "-c", s.config, "--part", "gateway", "--wait", "60s")
	if len(r.Processes) != 1 || r.Processes[0].Process != processGateway || r.Processes[0].PID != gw.cmd.Process.Pid {
		t.Fatalf("the gateway: %+v", r)
	}
	if r := readyOf(t, 0, "--socket", socket, "--live"); len(r.Processes) != 2 {
		t.Fatalf("both alive: %+v", r)
	}
	for _, more := range [][]string{nil, {"--live"}} {
		readyOf(t, 0, append([]string{"--url", "http://" + s.listen}, more...)...)
	}
	reloadBoth(t, s, socket, control)
	overviewOfBoth(t, socket)

	// Rings come from the feeds' socket alone, and who asks here is counted.
	_, err := ring.Attach(t.Context(), control, ring.AttachRequest{Strategy: "lost", Topics: []string{"binance.trades.>"}})
	var refused *ring.AttachError
	if !errors.As(err, &refused) || !strings.Contains(refused.Message, "attach at "+socket) {
		t.Errorf("attach at a gateway: %v", err)
	}
	m := metricsOf(t, s.listen)
	if n, zero := m[`tickrelay_control_refused_total{code="refused"}`], m[`tickrelay_control_refused_total{code="denied"}`]; n != "1" || zero != "0" {
		t.Errorf("refused %q, denied %q: want 1 and 0", n, zero)
	}

	next := s.gateway("--takeover")
	if code := gw.ended(); code != 0 {
		t.Errorf("the replaced gateway ended with %d\n%s", code, gw.errors())
	}
	if r := readyOf(t, 0, "--socket", control, "--wait", "60s"); r.Processes[0].PID != next.cmd.Process.Pid {
		t.Errorf("after the take-over the socket is that of %+v", r)
	}
	if code := next.stop(); code != 0 {
		t.Errorf("exit %d\n%s", code, next.errors())
	}
	if _, err := os.Stat(control); !os.IsNotExist(err) {
		t.Errorf("%s is left (%v)", control, err)
	}
	if code := s.feeds.stop(); code != 0 {
		t.Errorf("exit %d\n%s", code, s.feeds.errors())
	}
	if out, errs, code := tickrelay(t, "ready", "--socket", socket); code != 1 || !strings.Contains(errs, "nobody listens") {
		t.Errorf("nobody there: exit %d\n%s%s", code, out, errs)
	}
}

// reloadBoth reloads the two with one command, and the gateway alone by its socket.
func reloadBoth(t *testing.T, s *split, socket, control string) {
	t.Helper()
	text := textOf(t, s.config) + "\nlimits: {conns_per_address: 77}\n"
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, code := tickrelay(t, "reload", "--socket", socket)
	if code != 0 || !strings.Contains(out, "feeds: reloaded") || !strings.Contains(out, "gateway: limits: changed\n") {
		t.Errorf("both: exit %d\n%s%s", code, out, errs)
	}
	if out, errs, code = tickrelay(t, "reload", "--socket", control); code != 0 || !strings.HasPrefix(out, "reloaded: 0 changes") {
		t.Errorf("the gateway alone: exit %d\n%s%s", code, out, errs)
	}
	if err := os.WriteFile(s.config, []byte(text+"nonsense: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, code = tickrelay(t, "reload", "--socket", socket); code != 1 || strings.Count(errs, "unknown key") != 2 || !strings.Contains(errs, "gateway: not reloaded") {
		t.Errorf("a wrong file: exit %d\n%s", code, errs)
	}
	readyOf(t, 0, "-c", s.config) // of such a file ready wants the relay's name only
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// overviewOfBoth wants top to show gateway, feeds and rings of a relay in two processes.
func overviewOfBoth(t *testing.T, socket string) {
	t.Helper()
	var o relay.Overview
	out, errs, code := tickrelay(t, "top", "--once", "--json", "--interval", "100ms", "--socket", socket)
	if err := json.Unmarshal([]byte(out), &o); code != 0 || err != nil {
		t.Fatalf("top: exit %d, %v\n%s%s", code, err, out, errs)
	}
	if o.Gateway == nil || len(o.Feeds) != 1 || o.Feeds[0].State != "live" || len(o.Rings) < 2 {
		t.Errorf("top shows %+v", o)
	}
}

// TestReadyUsage: what does not fit together is wrong usage, a relay that is not there
// is a failure.
func TestReadyUsage(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"--timeout 0s", 2, "want 10ms to 10m"},
		{"--wait 2h", 2, "want 0 to 1h"},
		{"--part gatway", 2, `did you mean "gateway"?`},
		{"--url localhost:8080", 2, "want http://HOST:PORT"},
		{"--url http://x --socket y", 2, "--url excludes"},
		{"-c x --relay y", 2, "-c excludes"},
		{"--ca x", 2, "--ca is for --url"},
		{"operand", 2, ""},
		{"-c /nowhere.yaml", 1, "/nowhere.yaml"},
		{"--relay not-there", 1, "nobody listens"},
		{"--url http://127.0.0.1:1", 1, "connection refused"},
	} {
		if out, errs, code := tickrelay(t, append([]string{"ready"}, strings.Fields(c.args)...)...); code != c.code || !strings.Contains(errs, c.says) || out != "" {
			t.Errorf("ready %s: exit %d, want %d and %q\n%s%s", c.args, code, c.code, c.says, out, errs)
		}
	}
}
