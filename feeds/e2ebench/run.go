package e2ebench

import (
	"context"
	"crypto/tls"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"tickrelay/feeds/sim"
	"tickrelay/ring/ringbench"
)

//go:embed baseline/baseline.c
var baselineSource []byte

// bookLevels is the depth of the book that the feed holds under load.
const bookLevels = 46_000

// Config says what to measure. Peer is required.
type Config struct {
	// Peer makes the command that runs Peer in a process of its own.
	Peer   func(PeerConfig) *exec.Cmd
	Rounds int           // of each row, interleaved with its baseline; default 5
	Frames int           // per round; default 4000
	Gap    time.Duration // least time between frames; default 200 µs
}

func (c Config) withDefaults() Config {
	if c.Rounds <= 0 {
		c.Rounds = 5
	}
	if c.Frames <= 0 {
		c.Frames = 4000
	}
	if c.Gap <= 0 {
		c.Gap = 200 * time.Microsecond
	}
	return c
}

// cpu is a processor to pin to, -1 where there are fewer than two.
func (c Config) cpu(i int) int {
	if runtime.NumCPU() < 2 {
		return -1
	}
	return i
}

// setting is one way to run the feed.
type setting struct {
	name             string
	busy, load, tls  bool
	goal50, goal999  string
	h                *hdrhistogram.Histogram
	p50, p99, longGC float64
	pausesSeen       int
}

// Run measures every setting, round by round, the C program in each round too.
// Without gcc the rows have no baseline.
func Run(ctx context.Context, c Config) (*ringbench.Report, error) {
	c = c.withDefaults()
	if c.Peer == nil {
		return nil, errors.New("e2ebench: no command for the feed process")
	}
	dir, err := os.MkdirTemp("/dev/shm", "tickrelay-e2e-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	program := compile(dir)
	secure, _, err := sim.SelfSigned("127.0.0.1")
	if err != nil {
		return nil, err
	}
	restore := settle(c.cpu(0))
	defer restore()
	settings := []*setting{
		{name: "plain, busy", busy: true, goal50: "<=1.3", goal999: "<=2"},
		{name: "plain, busy, under load", busy: true, load: true, goal50: "<=1.3", goal999: "<=2"},
		{name: "plain, block"},
		{name: "TLS, busy", busy: true, tls: true},
		{name: "TLS, busy, under load", busy: true, load: true, tls: true},
	}
	bare := hdrhistogram.New(1, maxNs, 3)
	for _, s := range settings {
		s.h = hdrhistogram.New(1, maxNs, 3)
	}
	for round := range c.Rounds {
		if program != "" {
			if err := runBare(ctx, c, program, dir, bare); err != nil {
				return nil, err
			}
		}
		for _, s := range settings {
			if err := s.run(ctx, c, filepath.Join(dir, fmt.Sprint(round)), secure); err != nil {
				return nil, fmt.Errorf("e2ebench: %s: %w", s.name, err)
			}
		}
	}
	return rows(settings, bare, program != ""), nil
}

// settle pins this process and keeps its collector from running meanwhile.
func settle(cpu int) (restore func()) {
	gc := debug.SetGCPercent(-1)
	runtime.LockOSThread()
	var was, set unix.CPUSet
	_ = unix.SchedGetaffinity(0, &was)
	if cpu >= 0 {
		set.Set(cpu)
		_ = unix.SchedSetaffinity(0, &set) // children inherit it; the hot loop pins itself elsewhere
	}
	return func() {
		_ = unix.SchedSetaffinity(0, &was)
		runtime.UnlockOSThread()
		debug.SetGCPercent(gc)
	}
}

// compile builds the baseline, "" where there is no compiler.
func compile(dir string) string {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		return ""
	}
	source, program := filepath.Join(dir, "baseline.c"), filepath.Join(dir, "baseline")
	if os.WriteFile(source, baselineSource, 0o600) != nil {
		return ""
	}
	if err := exec.Command(gcc, "-std=gnu11", "-O3", "-o", program, source).Run(); err != nil {
		return ""
	}
	return program
}

func runBare(ctx context.Context, c Config, program, dir string, h *hdrhistogram.Histogram) error {
	s, err := startBare(c, program, dir)
	if err != nil {
		return fmt.Errorf("e2ebench: baseline: %w", err)
	}
	return errors.Join(warmed(ctx, c, s, h), closed(s))
}

func closed(s subject) error {
	_, err := s.close()
	return err
}

// warmed measures after a tenth of the frames that do not count.
func warmed(ctx context.Context, c Config, s subject, h *hdrhistogram.Histogram) error {
	warm := c.Frames/10 + 1
	if err := measure(ctx, s, 1, warm, c.Gap, hdrhistogram.New(1, maxNs, 1)); err != nil {
		return err
	}
	return measure(ctx, s, 1+uint64(warm), c.Frames, c.Gap, h)
}

func (s *setting) run(ctx context.Context, c Config, dir string, secure *tls.Config) error {
	dir += "-" + fmt.Sprint(len(s.name), s.busy, s.load, s.tls)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if !s.tls {
		secure = nil
	}
	sub, err := startFeed(c, dir, secure, s.busy, s.load)
	if err != nil {
		return err
	}
	err = warmed(ctx, c, sub, s.h)
	told, closeErr := sub.close()
	p50, p99, longest, n := parsePauses(told)
	s.p50, s.p99, s.longGC, s.pausesSeen = max(s.p50, p50), max(s.p99, p99), max(s.longGC, longest), s.pausesSeen+n
	return errors.Join(err, closeErr)
}

func rows(settings []*setting, bare *hdrhistogram.Histogram, based bool) *ringbench.Report {
	r := &ringbench.Report{Bench: "e2e", Hardware: ringbench.Hardware()}
	us := func(h *hdrhistogram.Histogram, q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1e3 }
	row := func(name string, h *hdrhistogram.Histogram, q float64, goal string) {
		x := ringbench.Row{Name: name, Unit: "µs", Value: us(h, q), P50: us(h, 50), P99: us(h, 99), P999: us(h, 99.9)}
		if based {
			x.Baseline, x.BaselineValue, x.Goal = "C, the bytes copied into a ring", us(bare, q), goal
		}
		r.Rows = append(r.Rows, ringbench.NewRow(x))
	}
	for _, s := range settings {
		row("send to record in the strategy, "+s.name, s.h, 50, s.goal50)
		if s.goal999 != "" {
			row("… p99.9 of it", s.h, 99.9, s.goal999)
		}
	}
	if based {
		row("C, the bytes copied into a ring (the floor)", bare, 50, "")
	}
	for _, s := range settings {
		if s.load {
			r.Rows = append(r.Rows, ringbench.NewRow(ringbench.Row{Name: fmt.Sprintf("pauses of the collector in the feed, %s (%d)", s.name, s.pausesSeen),
				Unit: "µs", Value: s.p50 / 1e3, P50: s.p50 / 1e3, P99: s.p99 / 1e3, P999: s.longGC / 1e3}))
		}
	}
	return r
}
