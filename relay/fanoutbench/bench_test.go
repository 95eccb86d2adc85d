package fanoutbench

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tickrelay/ring/md"
	"tickrelay/ring/ringbench"
)

const childEnv = "TICKRELAY_FANOUTBENCH_CHILD"

// TestMain is also the children of the benchmark.
func TestMain(m *testing.M) {
	kind := os.Getenv(childEnv)
	if kind == "" {
		os.Exit(m.Run())
	}
	ctx := context.Background()
	var err error
	switch kind {
	case "clients":
		err = Clients(ctx, os.Args[1:], os.Stdin, os.Stdout)
	case "stalled":
		err = Stalled(ctx, os.Args[1:], os.Stdin, os.Stdout)
	default:
		err = Gateway(ctx, os.Args[1:], os.Stdin, os.Stdout, slog.New(slog.DiscardHandler))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func child(ctx context.Context, args ...string) *exec.Cmd {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.CommandContext(ctx, exe, args[1:]...)
	cmd.Env = append(os.Environ(), childEnv+"="+args[0])
	return cmd
}

func small(t *testing.T, sources string) Config {
	return Config{Subscribers: 20, Rounds: 1, Duration: 100 * time.Millisecond, Idle: 50, Sources: sources, Child: child,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

func TestRun(t *testing.T) {
	rep, err := Run(t.Context(), small(t, "../.."))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := rep.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + text.String())
	seen := map[string]int{}
	for _, r := range rep.Rows {
		seen[r.Baseline]++
		if r.Value < 0 || r.Unit == "" || r.Name == "" {
			t.Errorf("%+v", r)
		}
		if strings.HasPrefix(r.Name, "CPU") && r.Value == 0 {
			t.Errorf("no time taken: %+v", r)
		}
		if strings.HasPrefix(r.Name, "p99") && (r.P50 <= 0 || r.P50 > r.P99 || r.P99 > r.P999) {
			t.Errorf("percentiles: %+v", r)
		}
		if strings.HasPrefix(r.Name, "delivered or named") && r.Value != 1 {
			t.Errorf("%+v: something was lost", r)
		}
		if r.Goal != "" && r.BaselineValue == 0 && !strings.HasPrefix(r.Name, "share") {
			t.Errorf("a goal without a baseline: %+v", r)
		}
	}
	if _, err := exec.LookPath("gcc"); err == nil && seen[nameFloor] == 0 {
		t.Errorf("the floor took no part: %v", seen)
	}
}

// Without sources ours is measured alone, and each row says why it has no baseline.
func TestWithoutPeers(t *testing.T) {
	cfg := small(t, t.TempDir())
	cfg.Plain, cfg.Idle = true, -1
	rep, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rep.Rows {
		if strings.HasPrefix(r.Name, "CPU") && (!strings.Contains(r.Baseline, "left out: no sources") || r.Goal != "" || r.BaselineValue != 0) {
			t.Errorf("%+v", r)
		}
	}
}

func TestConfig(t *testing.T) {
	_, err := Run(t.Context(), Config{Subscribers: 20_000, Rounds: -1, Duration: 1})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"20000 subscribers", "-1 rounds", "duration 1ns", "no child"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %q", err, want)
		}
	}
}

func TestRunEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, small(t, t.TempDir())); err == nil {
		t.Fatal("ran without being allowed to")
	}
}

// compile makes a server's frame.
func compile(op ws.OpCode, payload []byte) []byte {
	return ws.MustCompileFrame(ws.NewFrame(op, true, payload))
}

// TestSubscriberCounts feeds a subscriber with whole and cut frames, one byte at a time
// and all at once, and counts must agree.
func TestSubscriberCounts(t *testing.T) {
	event := func(seq uint64) []byte { return md.AppendJSON(nil, topic, seq-1, []md.Record{trade(seq, 1000)}) }
	gap := md.AppendJSON(nil, topic, 3, []md.Record{{Kind: md.KindGap, Flags: md.FlagFirst | md.FlagLast, Venue: instrument.Venue,
		Seq: 5, ID: 4, Side: uint8(md.ChannelTrades), Level: uint8(md.GapOverrun), Count: 2}})
	stream := []byte("HTTP/1.1 101 Switching Protocols\r\n\r\n")
	for _, p := range [][]byte{event(1), event(2), event(3), gap, event(6), event(8),
		slices.Concat(event(9), []byte("\n"), event(10))} { // 7 is missing
		stream = append(stream, compile(ws.OpText, p)...)
	}
	for _, step := range []int{1, 7, len(stream)} {
		s, got, h := &subscriber{}, &tally{}, newHistogram()
		for b := stream; len(b) > 0; {
			n := min(step, len(b))
			if err := s.input(got, h, nil, append(slices.Clone(s.left), b[:n]...), 1000+inTime); err != nil {
				t.Fatal(err)
			}
			b = b[n:]
		}
		if got.Ready != 1 || got.Received != 7 || got.InTime != 7 || got.Gaps != 1 || got.Missed != 2 || got.Holes != 1 {
			t.Errorf("step %d: %+v", step, got)
		}
		if n := h.TotalCount(); n != 7 {
			t.Errorf("step %d: %d latencies", step, n)
		}
	}
}

// Messages are of the size that is promised.
func TestMessageSize(t *testing.T) {
	if n := len(md.AppendJSON(nil, topic, 1, []md.Record{trade(2, time.Now().UnixNano())})); n < 210 || n > 270 {
		t.Errorf("a message has %d bytes", n)
	}
}

// Ours must not lose anything without a word; a peer may do as it likes.
func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name string
		t    tally
		ok   bool
	}{
		{nameOurs, tally{Received: 5, Gaps: 1, Missed: 2}, true},
		{nameOurs, tally{}, false},
		{nameOurs, tally{Received: 5, Holes: 1}, false},
		{nameOurs, tally{Received: 5, Lost: 1}, false},
		{nameGWS, tally{Lost: 5}, true},
	} {
		s := &server{name: c.name, proc: &process{err: &tail{}}}
		if err := s.judge(&c.t); (err == nil) != c.ok {
			t.Errorf("%s %+v: %v", c.name, c.t, err)
		}
	}
}

// A peer that delivered nothing is no baseline to be better than.
func TestNoBaseline(t *testing.T) {
	for _, k := range []*kind{{name: nameGWS}, {name: nameGWS, skip: "no go"}} {
		if r := beside(ringbench.Row{Name: "x", Value: 3}, k, 0, "<=1"); r.Goal != "" || !strings.Contains(r.Baseline, "(") {
			t.Errorf("%+v", r)
		}
	}
}
