package ringbench

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clientRounds of each side of a throughput figure; the median counts.
const clientRounds = 3

// clientBench builds and runs the benchmarks of the clients in other languages.
type clientBench struct {
	src string // the folder ring of the sources
	dir string // in shared memory, for the rings
	bin string // for programs
	ms  string // of one measurement
}

// ClientRows measures the C and the Python client beside their baselines. It
// needs the sources below root (the repository), gcc and g++, and for Python a
// python3 with the package tickrelay and NumPy (TICKRELAY_PYTHON names it, else
// python3); without them it returns the rows that it can, which may be none.
func ClientRows(root string, d time.Duration) ([]Row, error) {
	b := &clientBench{src: filepath.Join(root, "ring"), ms: strconv.FormatInt(max(d.Milliseconds(), 20), 10)}
	if _, err := os.Stat(filepath.Join(b.src, "c/bench/bench.c")); err != nil {
		return nil, nil
	}
	for _, cc := range []string{"gcc", "g++"} {
		if _, err := exec.LookPath(cc); err != nil {
			return nil, nil
		}
	}
	var err error
	if b.bin, err = os.MkdirTemp("", "tickrelay-bench-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(b.bin)
	dir, done, err := shmDir()
	if err != nil {
		return nil, err
	}
	defer done()
	b.dir = dir
	if err := b.build(); err != nil {
		return nil, err
	}
	rows, err := b.c()
	if err != nil {
		return nil, err
	}
	python, err := b.python()
	return append(rows, python...), err
}

func (b *clientBench) build() error {
	for _, args := range [][]string{
		{"gcc", "-std=c11", "-O3", "-I", b.src + "/c", "-o", b.bin + "/bench", b.src + "/c/bench/bench.c"},
		{"g++", "-std=c++17", "-O3", "-o", b.bin + "/queue", b.src + "/c/bench/queue.cpp", "-lpthread"},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", args, err, out)
		}
	}
	return nil
}

// figures runs a program and reads its "key value" lines.
func figures(name string, args ...string) (map[string]float64, error) {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return nil, fmt.Errorf("%s %v: %w", name, args, err)
	}
	m := map[string]float64{}
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if m[key], err = strconv.ParseFloat(value, 64); err != nil {
			return nil, fmt.Errorf("%s %v printed %q", name, args, line)
		}
	}
	return m, nil
}

func (b *clientBench) c() ([]Row, error) {
	trip, err := figures(b.bin+"/bench", "roundtrip", b.dir, b.ms)
	if err != nil {
		return nil, err
	}
	rows := []Row{NewRow(Row{Name: "C client: round trip of one record, two processes", Unit: "ns", Value: trip["ours_p50"],
		P50: trip["ours_p50"], P99: trip["ours_p99"], P999: trip["ours_p999"],
		Baseline: "plain C ring of the same layout, p50", BaselineValue: trip["plain_p50"], Goal: "<=1.02"})}
	for _, batch := range []struct{ n, name, goal string }{{"1", "one at a time", ">=0.91"}, {"32", "32 at a time", ">=1"}} {
		var ours, queue []float64
		for range clientRounds {
			mine, err := figures(b.bin+"/bench", "rate", b.dir, b.ms, batch.n)
			if err != nil {
				return nil, err
			}
			base, err := figures(b.bin+"/queue", b.ms, batch.n)
			if err != nil {
				return nil, err
			}
			ours, queue = append(ours, mine["rate"]), append(queue, base["rate"])
		}
		rows = append(rows, NewRow(Row{Name: "C client: throughput, published " + batch.name, Unit: "million records/s", Value: median(ours) / 1e6,
			Baseline: "C++ queue between two threads, cached indices", BaselineValue: median(queue) / 1e6, Goal: batch.goal}))
	}
	return rows, nil
}

func (b *clientBench) python() (rows []Row, err error) {
	python := os.Getenv("TICKRELAY_PYTHON")
	if python == "" {
		python = "python3"
	}
	if exec.Command(python, "-I", "-c", "import tickrelay, numpy").Run() != nil {
		return nil, nil
	}
	var rates []float64
	for range clientRounds {
		r, err := b.pythonRate(python)
		if err != nil {
			return nil, err
		}
		rates = append(rates, r)
	}
	return []Row{NewRow(Row{Name: "Python client: NumPy batches read in place", Unit: "million records/s", Value: median(rates) / 1e6,
		Baseline: "the goal of 20 million", BaselineValue: 20, Goal: ">=1"})}, nil
}

// pythonRate runs a producer in C and a reader in Python.
func (b *clientBench) pythonRate(python string) (rate float64, err error) {
	dir, done, err := shmDir()
	if err != nil {
		return 0, err
	}
	defer done()
	p := exec.Command(b.bin+"/bench", "produce", dir, b.ms, "256")
	out, err := p.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := p.Start(); err != nil {
		return 0, err
	}
	defer func() {
		p.Process.Kill()
		p.Wait()
	}()
	if s := bufio.NewScanner(out); !s.Scan() || s.Text() != "ready" {
		return 0, errors.New("the producer for Python did not start")
	}
	m, err := figures(python, "-I", filepath.Join(b.src, "python/bench/bench.py"), dir)
	return m["rate"], err
}
