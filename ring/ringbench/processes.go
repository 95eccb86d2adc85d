package ringbench

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// pair is this process and its peer, each on a processor of its own.
type pair struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Scanner
	there  *ring.Producer
	seg    *ring.Segment
	back   *ring.Consumer
	l      *lines
	socket *os.File
	pipe   *os.File
}

// newPair starts the peer process in dir.
func newPair(dir string, command func(dir string) *exec.Cmd) (*pair, error) {
	p := &pair{}
	err := p.open(dir, command)
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *pair) open(dir string, command func(dir string) *exec.Cmd) (err error) {
	if p.l, err = mapLines(dir); err != nil {
		return err
	}
	if p.seg, err = ring.CreateShm(dir, "there", capacity, ring.Meta{}, ring.Perm{}); err != nil {
		return err
	}
	if p.there, err = ring.NewProducer(p.seg); err != nil {
		return err
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	p.socket = os.NewFile(uintptr(fds[0]), "socket")
	other := os.NewFile(uintptr(fds[1]), "socket")
	defer other.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	p.pipe = w
	defer r.Close()
	p.cmd = command(dir)
	p.cmd.Stderr = os.Stderr
	p.cmd.ExtraFiles = []*os.File{other, r}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.out = bufio.NewScanner(stdout)
	if !p.out.Scan() || p.out.Text() != "ready" {
		return fmt.Errorf("the peer process said %q", p.out.Text())
	}
	p.back, err = ring.Open(dir, "back")
	return err
}

func (p *pair) close() {
	if p.in != nil {
		p.in.Close()
	}
	if p.cmd != nil && p.cmd.Process != nil {
		p.cmd.Wait()
	}
	if p.back != nil {
		p.back.Close()
	}
	if p.seg != nil {
		p.there.Close()
		p.seg.Close()
	}
	for _, f := range []*os.File{p.socket, p.pipe} {
		if f != nil {
			f.Close()
		}
	}
}

// with has the peer play a role while f runs here, and returns its answer.
func (p *pair) with(role string, f func() error) (answer string, err error) {
	if _, err := fmt.Fprintln(p.in, role); err != nil {
		return "", err
	}
	if err := f(); err != nil {
		return "", err
	}
	if !p.out.Scan() {
		return "", fmt.Errorf("the peer process ended in role %q", role)
	}
	return p.out.Text()[len("done"):], nil
}

// processRows measures between two processes.
func processRows(d time.Duration, command func(dir string) *exec.Cmd) ([]Row, error) {
	dir, done, err := shmDir()
	if err != nil {
		return nil, err
	}
	defer done()
	var was unix.CPUSet
	unix.SchedGetaffinity(0, &was)
	p, err := newPair(dir, command) // before pinning, which a child inherits
	if err != nil {
		return nil, err
	}
	defer p.close()
	pin(0)
	defer unpin(&was)
	var rows []Row
	for _, measure := range []func(time.Duration) ([]Row, error){p.roundTrips, p.throughputs, p.wakes, p.quiet} {
		r, err := measure(d)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r...)
	}
	return rows, nil
}

// roundTrips is a record there and back, beside a number in a cache line.
func (p *pair) roundTrips(d time.Duration) ([]Row, error) {
	floor, ours := hdrhistogram.New(1, maxNs, 3), hdrhistogram.New(1, maxNs, 3)
	buf := make([]md.Record, 1)
	for range 4 { // in turn, so that noise hits both
		_, err := p.with("lines", func() error {
			trip := func(id uint64) {
				old := atomic.LoadUint64(&p.l.back)
				atomic.StoreUint64(&p.l.there, id)
				await(&p.l.back, old)
			}
			repeat(d/4, floor, trip)
			trip(stopPong)
			return nil
		})
		if err != nil {
			return nil, err
		}
		atomic.StoreUint64(&p.l.there, 0)
		atomic.StoreUint64(&p.l.back, 0)
		_, err = p.with("echo", func() error {
			trip := func(id uint64) {
				buf[0].ID = id
				mustPublish(p.there, buf)
				pollOne(p.back, buf)
			}
			repeat(d/4, ours, trip)
			trip(stopPong)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	q := func(h *hdrhistogram.Histogram, f float64) float64 { return float64(h.ValueAtQuantile(f)) }
	return []Row{
		NewRow(Row{Name: "round trip of one record, two processes", Unit: "ns", Value: q(ours, 50), P50: q(ours, 50), P99: q(ours, 99), P999: q(ours, 99.9),
			Baseline: "cache line there and back, same processes", BaselineValue: q(floor, 50), Goal: "<=2.5"}),
		NewRow(Row{Name: "cache line there and back, two processes (the floor)", Unit: "ns", Value: q(floor, 50), P50: q(floor, 50), P99: q(floor, 99), P999: q(floor, 99.9),
			Baseline: "itself", BaselineValue: q(floor, 50), Goal: "<=1"}),
	}, nil
}

// throughputs is records per second to the peer by every way there is.
func (p *pair) throughputs(d time.Duration) ([]Row, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	type way struct {
		name, role string
		batch      int
		send       func(recs []md.Record) error
	}
	onRing := func(recs []md.Record) error { mustPublish(p.there, recs); return nil }
	onFile := func(f io.Writer) func([]md.Record) error {
		return func(recs []md.Record) error { _, err := f.Write(md.AsBytes(recs)); return err }
	}
	ways := []way{
		{"ring", "sink", 1, onRing}, {"ring", "sink", 32, onRing},
		{"Unix socket", "socket", 1, onFile(p.socket)}, {"Unix socket", "socket", 32, onFile(p.socket)},
		{"pipe", "pipe", 1, onFile(p.pipe)}, {"pipe", "pipe", 32, onFile(p.pipe)},
		{"loopback TCP", "tcp " + l.Addr().String(), 1, nil}, {"loopback TCP", "tcp " + l.Addr().String(), 32, nil},
	}
	rates := make([][]float64, len(ways))
	for range rounds {
		for i, w := range ways {
			_, err := p.with(w.role, func() error {
				send := w.send
				if send == nil {
					conn, err := l.Accept()
					if err != nil {
						return err
					}
					defer conn.Close()
					send = onFile(conn)
				}
				rate, err := sendFor(d/rounds, w.batch, send)
				rates[i] = append(rates[i], rate)
				return err
			})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", w.name, err)
			}
		}
	}
	var rows []Row
	for i, w := range ways[2:] {
		base, goal := rates[i+2], ">=5"
		if w.batch > 1 {
			goal = ">=1" // a system call carries 2 KiB here
		}
		ours := rates[(i+2)%2]
		rows = append(rows, NewRow(Row{
			Name: fmt.Sprintf("throughput to another process, %d at a time", w.batch), Unit: "million records/s", Value: median(ours) / 1e6,
			Baseline: w.name, BaselineValue: median(base) / 1e6, Goal: goal,
		}))
	}
	return rows, nil
}

// sendFor sends batches for d and returns how many records per second went out.
func sendFor(d time.Duration, batch int, send func([]md.Record) error) (float64, error) {
	recs := make([]md.Record, batch)
	start, sent := time.Now(), 0
	for time.Since(start) < d {
		for range 64 {
			if err := send(recs); err != nil {
				return 0, err
			}
		}
		sent += 64 * batch
	}
	recs[batch-1].ID = stopPong
	err := send(recs)
	return float64(sent) / time.Since(start).Seconds(), err
}

// wakes is how long a sleeping reader takes to see a record.
func (p *pair) wakes(d time.Duration) ([]Row, error) {
	const apart = 300 * time.Microsecond // it sleeps by then
	count := max(20, int(d/apart))
	nap := func() { unix.Nanosleep(&unix.Timespec{Nsec: int64(apart)}, nil) }
	var ring, futex [3]float64
	answer, err := p.with("sleep", func() error {
		rec := make([]md.Record, 1)
		for range count {
			nap()
			rec[0].TsRecv = monotonic()
			mustPublish(p.there, rec)
		}
		nap()
		rec[0].ID = stopPong
		mustPublish(p.there, rec)
		return nil
	})
	if err != nil {
		return nil, err
	}
	fmt.Sscan(answer, &ring[0], &ring[1], &ring[2])
	wake := func(at int64) {
		atomic.StoreInt64(&p.l.at, at)
		atomic.AddUint32(&p.l.word, 1)
		unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&p.l.word)), 1, 1, 0, 0, 0)
	}
	if answer, err = p.with("futex", func() error {
		for range count {
			nap()
			wake(monotonic())
		}
		nap()
		wake(0)
		return nil
	}); err != nil {
		return nil, err
	}
	fmt.Sscan(answer, &futex[0], &futex[1], &futex[2])
	return []Row{NewRow(Row{
		Name: "wake-up of a reader that sleeps, two processes", Unit: "ns", Value: ring[0], P50: ring[0], P99: ring[1], P999: ring[2],
		Baseline: "bare futex, p50", BaselineValue: futex[0], Goal: "<=1.3",
	})}, nil
}

// quiet is what a sleeping strategy costs while only heartbeats come.
func (p *pair) quiet(d time.Duration) ([]Row, error) {
	d = max(d, time.Second)
	answer, err := p.with("quiet "+d.String(), func() error {
		rec := []md.Record{{Kind: md.KindHeartbeat}}
		for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(min(time.Second, time.Until(end))) {
			mustPublish(p.there, rec)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var percent float64
	fmt.Sscan(answer, &percent)
	return []Row{NewRow(Row{
		Name: "a strategy that sleeps through a quiet market", Unit: "% of a core", Value: max(percent, 0.001),
		Baseline: "one percent", BaselineValue: 1, Goal: "<=1",
	})}, nil
}
