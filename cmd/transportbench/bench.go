package transportbench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"tickrelay/dpdkbridge"
	"tickrelay/ring/ringbench"
)

// Config configures Run. The zero value is not useful: Peer is required.
type Config struct {
	// Peer makes a command that calls PeerMain with this argument, in the
	// namespace that its caller runs it in.
	Peer     func(arg string) *exec.Cmd
	Duration time.Duration // per figure; default 2 s
	Log      *slog.Logger  // says which rows cannot be had, and why
}

// PeerArgs is one process of a measurement.
type PeerArgs struct {
	Endpoint Endpoint
	Serve    string // address to serve on, or
	Connect  string // server to measure
	Duration time.Duration
}

// outcome is what a measuring peer prints.
type outcome struct{ Echo, Stream Result }

// PeerMain is a process of Run: it serves until in ends, or measures and prints
// what it found.
func PeerMain(ctx context.Context, arg string, in io.Reader, out io.Writer) error {
	var a PeerArgs
	if err := json.Unmarshal([]byte(arg), &a); err != nil {
		return err
	}
	if a.Serve == "" {
		to, err := netip.ParseAddrPort(a.Connect)
		if err != nil {
			return err
		}
		var o outcome
		if o.Echo, o.Stream, err = Measure(ctx, a.Endpoint, to, a.Duration); err != nil {
			return err
		}
		return json.NewEncoder(out).Encode(o)
	}
	at, err := netip.ParseAddrPort(a.Serve)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() { _, _ = io.Copy(io.Discard, in); cancel() }()
	return Serve(ctx, a.Endpoint, at, func(netip.AddrPort) { fmt.Fprintln(out, "ready") })
}

// way is one row's pair of endpoints.
type way struct {
	name           string
	server, client Endpoint
	baseline, goal string
	dpdk           bool
}

// Run makes two network namespaces, joins them by a veth pair, and measures each
// way between them.
func Run(ctx context.Context, cfg Config) (*ringbench.Report, error) {
	if cfg.Duration == 0 {
		cfg.Duration = 2 * time.Second
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("bench transport makes network namespaces: run it as root")
	}
	w, err := newLab(ctx)
	if err != nil {
		return nil, err
	}
	defer w.close()
	r := &ringbench.Report{Bench: "transport", Hardware: ringbench.Hardware()}
	seen := map[string]outcome{}
	for _, x := range w.ways() {
		if x.dpdk && !dpdkbridge.Built {
			cfg.Log.Warn("row left out", "row", x.name, "reason", dpdkbridge.ErrNotBuilt)
			continue
		}
		o, err := w.measure(ctx, cfg, x)
		if err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			cfg.Log.Warn("row left out", "row", x.name, "reason", err)
			continue
		}
		seen[x.name] = o
		base := seen[x.baseline]
		r.Rows = append(r.Rows, rows(x, o, base)...)
	}
	return r, nil
}

// rows are the figures of one way beside its baseline.
func rows(x way, o, base outcome) []ringbench.Row {
	goal, name := x.goal, func(what string) string {
		if x.baseline == "" {
			return ""
		}
		return x.baseline + " " + what
	}
	if base == (outcome{}) {
		goal = ""
	}
	return []ringbench.Row{
		ringbench.NewRow(ringbench.Row{Name: x.name + " round trip", Unit: "us", Value: o.Echo.P50, P50: o.Echo.P50, P99: o.Echo.P99,
			P999: o.Echo.P999, Baseline: name("round trip"), BaselineValue: base.Echo.P50, Goal: goal}),
		ringbench.NewRow(ringbench.Row{Name: x.name + " round trip, CPU", Unit: "us/message", Value: o.Echo.CPU, Baseline: name("round trip, CPU"),
			BaselineValue: base.Echo.CPU}),
		ringbench.NewRow(ringbench.Row{Name: x.name + " stream", Unit: "messages/s", Value: o.Stream.Rate, Baseline: name("stream"),
			BaselineValue: base.Stream.Rate}),
		ringbench.NewRow(ringbench.Row{Name: x.name + " stream, CPU", Unit: "us/message", Value: o.Stream.CPU, Baseline: name("stream, CPU"),
			BaselineValue: base.Stream.CPU}),
	}
}

// lab is the pair of namespaces.
type lab struct {
	ns  [2]string
	dir string
}

func newLab(ctx context.Context) (*lab, error) {
	id := os.Getpid()
	w := &lab{ns: [2]string{fmt.Sprintf("tickrelay-bs-%d", id), fmt.Sprintf("tickrelay-bc-%d", id)}}
	var err error
	if w.dir, err = os.MkdirTemp("", "tickrelay-bench-"); err != nil {
		return nil, err
	}
	lines := []string{
		"ip netns add " + w.ns[0], "ip netns add " + w.ns[1],
		"ip link add bs netns " + w.ns[0] + " type veth peer name bc netns " + w.ns[1],
		"ip netns exec " + w.ns[0] + " ethtool -K bs tx off tso off gso off gro off",
		"ip netns exec " + w.ns[1] + " ethtool -K bc tx off tso off gso off gro off",
		"ip -n " + w.ns[0] + " addr add 10.6.0.1/24 dev bs", "ip -n " + w.ns[1] + " addr add 10.6.0.2/24 dev bc",
		"ip -n " + w.ns[0] + " link set bs up", "ip -n " + w.ns[1] + " link set bc up",
	}
	for _, l := range lines {
		f := strings.Fields(l)
		if out, err := exec.CommandContext(ctx, f[0], f[1:]...).CombinedOutput(); err != nil {
			w.close()
			return nil, fmt.Errorf("%s: %w: %s", l, err, bytes.TrimSpace(out))
		}
	}
	return w, nil
}

func (w *lab) close() {
	for _, ns := range w.ns {
		_ = exec.Command("ip", "netns", "del", ns).Run()
	}
	os.RemoveAll(w.dir)
}

// ways are what is measured, baselines first.
func (w *lab) ways() []way {
	cpus := [2]int{-1, -1}
	if runtime.NumCPU() >= 2 {
		cpus = [2]int{0, 1}
	}
	kernel := func(i int, busy bool) Endpoint { return Endpoint{Busy: busy, CPU: cpus[i]} }
	port := func(i int, device, args, addr string) Endpoint {
		return Endpoint{Device: device, Args: args, Addresses: []string{addr}, Busy: true, CPU: cpus[i]}
	}
	sock := filepath.Join(w.dir, "memif")
	return []way{
		{name: "kernel, asleep", server: kernel(0, false), client: kernel(1, false)},
		{name: "kernel, busy", server: kernel(0, true), client: kernel(1, true), baseline: "kernel, asleep", goal: "<=0.333"},
		{name: "dpdk af_xdp", server: kernel(0, true), client: port(1, "af_xdp:bc", "", "10.6.0.3/24"), baseline: "kernel, busy", goal: "<=1", dpdk: true},
		{name: "dpdk memif", server: port(0, "memif:"+sock, "role=server", "10.6.1.1/24"),
			client: port(1, "memif:"+sock, "role=client", "10.6.1.2/24"), baseline: "kernel, busy", goal: "<=0.5", dpdk: true},
	}
}

// measure runs the two processes of one way.
func (w *lab) measure(ctx context.Context, cfg Config, x way) (outcome, error) {
	var o outcome
	ctx, cancel := context.WithTimeout(ctx, 2*cfg.Duration+time.Minute)
	defer cancel()
	at := "10.6.0.1:7000"
	if len(x.server.Addresses) > 0 {
		at = "10.6.1.1:7000"
	}
	server, err := w.peer(ctx, cfg, 0, PeerArgs{Endpoint: x.server, Serve: at})
	if err != nil {
		return o, err
	}
	var said bytes.Buffer
	server.Stderr = &said
	in, err := server.StdinPipe()
	if err != nil {
		return o, err
	}
	out, err := server.StdoutPipe()
	if err != nil {
		return o, err
	}
	if err := server.Start(); err != nil {
		return o, err
	}
	defer func() { in.Close(); _ = server.Wait() }()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || strings.TrimSpace(line) != "ready" {
		in.Close()
		_ = server.Wait()
		return o, fmt.Errorf("the server did not start: %s", lastLine(said.String()))
	}
	client, err := w.peer(ctx, cfg, 1, PeerArgs{Endpoint: x.client, Connect: at, Duration: cfg.Duration})
	if err != nil {
		return o, err
	}
	var text bytes.Buffer
	client.Stderr = &text
	data, err := client.Output()
	if err != nil {
		return o, fmt.Errorf("%w: %s", err, lastLine(text.String()))
	}
	return o, json.Unmarshal(data, &o)
}

// peer is a process of this program in one of the namespaces.
func (w *lab) peer(ctx context.Context, cfg Config, ns int, a PeerArgs) (*exec.Cmd, error) {
	arg, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	c := cfg.Peer(string(arg))
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", w.ns[ns]}, c.Args...)...), nil
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndex(s, "\n")+1:]
}
