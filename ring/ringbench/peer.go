package ringbench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// Descriptors that a peer process inherits, in the order of exec.Cmd.ExtraFiles.
const (
	peerSocket = 3
	peerPipe   = 4
)

// lines is a file that both processes map: two cache lines for the floor of a
// round trip, and a futex word with the time of its last wake.
type lines struct {
	there uint64
	_     [120]byte
	back  uint64
	_     [120]byte
	word  uint32
	_     uint32
	at    int64
	_     [112]byte
}

func mapLines(dir string) (*lines, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lines"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(4096); err != nil {
		return nil, err
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return (*lines)(unsafe.Pointer(&mem[0])), nil
}

// pin keeps the calling thread on one of two processors, where there are two.
func pin(cpu int) {
	runtime.LockOSThread()
	var allowed, one unix.CPUSet
	if unix.SchedGetaffinity(0, &allowed) != nil || allowed.Count() < 2 {
		return
	}
	for i, seen := 0, 0; i < 1024; i++ {
		if !allowed.IsSet(i) {
			continue
		}
		if seen == cpu {
			one.Set(i)
			unix.SchedSetaffinity(0, &one)
			return
		}
		seen++
	}
}

// unpin gives the thread back to the scheduler.
func unpin(was *unix.CPUSet) {
	unix.SchedSetaffinity(0, was)
	runtime.UnlockOSThread()
}

// peer is the other process of a figure.
type peer struct {
	in   *ring.Consumer
	out  *ring.Producer
	l    *lines
	dir  string
	recs []md.Record
	// Held to the end: a file that nothing refers to closes its descriptor.
	socket, pipe *os.File
}

// Peer is the other process of the figures that need two: it opens the rings in
// dir, obeys commands from in and answers each with a line on out. It returns
// when in ends.
func Peer(ctx context.Context, dir string, in io.Reader, out io.Writer) error {
	pin(1)
	p := &peer{dir: dir, recs: make([]md.Record, 1024),
		socket: os.NewFile(peerSocket, "socket"), pipe: os.NewFile(peerPipe, "pipe")}
	var err error
	if p.l, err = mapLines(dir); err != nil {
		return err
	}
	back, err := ring.CreateShm(dir, "back", capacity, ring.Meta{}, ring.Perm{})
	if err != nil {
		return err
	}
	defer back.Close()
	if p.out, err = ring.NewProducer(back); err != nil {
		return err
	}
	if p.in, err = ring.Open(dir, "there"); err != nil {
		return err
	}
	defer p.in.Close()
	fmt.Fprintln(out, "ready")
	for lines := bufio.NewScanner(in); ctx.Err() == nil && lines.Scan(); {
		var role, arg string
		fmt.Sscan(lines.Text(), &role, &arg)
		answer, err := p.play(role, arg)
		if err != nil {
			return fmt.Errorf("ringbench: peer: %s: %w", role, err)
		}
		fmt.Fprintln(out, "done", answer)
	}
	return ctx.Err()
}

func (p *peer) play(role, arg string) (answer string, err error) {
	switch role {
	case "echo":
		for p.recs[0].ID = 0; p.recs[0].ID != stopPong; {
			pollOne(p.in, p.recs)
			mustPublish(p.out, p.recs[:1])
		}
	case "lines":
		for v := uint64(0); v != stopPong; {
			v = await(&p.l.there, v)
			atomic.StoreUint64(&p.l.back, v)
		}
	case "sink":
		return "", p.sink()
	case "socket":
		return "", drainBytes(p.socket)
	case "pipe":
		return "", drainBytes(p.pipe)
	case "tcp":
		conn, err := net.Dial("tcp", arg)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		return "", drainBytes(conn)
	case "sleep":
		return p.sleepOnRing()
	case "futex":
		return p.sleepOnFutex()
	case "quiet":
		return p.quiet(arg)
	default:
		return "", fmt.Errorf("no such role")
	}
	return "", nil
}

// sink reads records until the one that ends a figure.
func (p *peer) sink() error {
	for idle := 1; ; {
		n, err := p.in.Poll(p.recs)
		if err != nil {
			return err
		}
		if n == 0 {
			if idle++; idle%spinsPerYield == 0 {
				runtime.Gosched()
			}
			continue
		}
		if p.recs[n-1].ID == stopPong {
			return nil
		}
	}
}

// drainBytes reads records from a stream until the one that ends a figure.
func drainBytes(r io.Reader) error {
	buf := make([]byte, 64<<10)
	for have := 0; ; {
		n, err := r.Read(buf[have:])
		if err != nil {
			return err
		}
		have += n
		whole := have &^ (md.RecordSize - 1)
		if whole > 0 {
			var last [1]md.Record
			copy(md.AsBytes(last[:]), buf[whole-md.RecordSize:whole])
			if last[0].ID == stopPong {
				return nil
			}
		}
		have = copy(buf, buf[whole:have])
	}
}

func monotonic() int64 {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}

// sleepOnRing measures from a record's time until a sleeping reader has it.
func (p *peer) sleepOnRing() (string, error) {
	h := hdrhistogram.New(1, maxNs, 3)
	for {
		if _, err := p.in.Wait(ring.WaitBlock, time.Second); err != nil {
			return "", err
		}
		now := monotonic()
		n, err := p.in.Poll(p.recs)
		if err != nil {
			return "", err
		}
		if n == 0 {
			continue
		}
		if p.recs[n-1].ID == stopPong {
			return percentiles(h), nil
		}
		h.RecordValue(max(1, min(now-p.recs[n-1].TsRecv, maxNs)))
	}
}

// sleepOnFutex is the same for a bare futex.
func (p *peer) sleepOnFutex() (string, error) {
	h := hdrhistogram.New(1, maxNs, 3)
	for seen := atomic.LoadUint32(&p.l.word); ; {
		for atomic.LoadUint32(&p.l.word) == seen {
			ts := unix.NsecToTimespec(int64(time.Second))
			unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&p.l.word)), 0, uintptr(seen), uintptr(unsafe.Pointer(&ts)), 0, 0)
		}
		now := monotonic()
		seen = atomic.LoadUint32(&p.l.word)
		at := atomic.LoadInt64(&p.l.at)
		if at == 0 {
			return percentiles(h), nil
		}
		h.RecordValue(max(1, min(now-at, maxNs)))
	}
}

func percentiles(h *hdrhistogram.Histogram) string {
	return fmt.Sprint(h.ValueAtQuantile(50), h.ValueAtQuantile(99), h.ValueAtQuantile(99.9))
}

// quiet waits for d in block mode and tells which share of a processor, in
// percent, this whole process used for it.
func (p *peer) quiet(arg string) (string, error) {
	d, err := time.ParseDuration(arg)
	if err != nil {
		return "", err
	}
	var before, after unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &before)
	start := time.Now()
	for left := d; left > 0; left = d - time.Since(start) {
		if _, err := p.in.Wait(ring.WaitBlock, left); err != nil {
			return "", err
		}
		if _, err := p.in.Poll(p.recs); err != nil {
			return "", err
		}
	}
	unix.Getrusage(unix.RUSAGE_SELF, &after)
	cpu := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	return fmt.Sprint(100 * float64(cpu) / float64(time.Since(start))), nil
}

// await spins until the number in a cache line is another one.
func await(v *uint64, old uint64) uint64 {
	for n := 1; ; n++ {
		if got := atomic.LoadUint64(v); got != old {
			return got
		}
		if n%spinsPerYield == 0 {
			runtime.Gosched()
		}
	}
}
