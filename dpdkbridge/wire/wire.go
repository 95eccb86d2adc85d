package wire

import (
	"container/heap"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Impairment says what the wire does to frames, in each direction. The zero
// value is a good wire.
type Impairment struct {
	Loss   float64 // part of the frames that is lost, 0 to 1
	Double float64 // part that arrives twice
	// Reorder is the part that is held back by a random time up to Hold, so
	// that later frames overtake it.
	Reorder float64
	Hold    time.Duration
	Delay   time.Duration // of every frame
	// Every BurstEvery all frames are lost for BurstFor; 0: never.
	BurstEvery, BurstFor time.Duration
}

// Config describes a wire.
type Config struct {
	A, B string // interfaces
	// Phases are gone through one after the other, each for Phase; the last one
	// stays. Empty: a good wire.
	Phases []Impairment
	Phase  time.Duration
	Seed   uint64
}

// Stats are totals of a run.
type Stats struct {
	Frames, Lost, Doubled, Held uint64
}

// held is a frame that waits.
type held struct {
	due  time.Time
	n    uint64 // keeps frames of one moment in order
	to   int
	data []byte
}

type queue []held

// Len implements heap.Interface.
func (q queue) Len() int { return len(q) }

// Less implements heap.Interface.
func (q queue) Less(i, k int) bool {
	return q[i].due.Before(q[k].due) || q[i].due.Equal(q[k].due) && q[i].n < q[k].n
}

// Swap implements heap.Interface.
func (q queue) Swap(i, k int) { q[i], q[k] = q[k], q[i] }

// Push implements heap.Interface.
func (q *queue) Push(x any) { *q = append(*q, x.(held)) }

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	(*q)[last] = held{}
	*q = (*q)[:last]
	return x
}

// wire is the state of one run.
type wire struct {
	cfg   Config
	fd    [2]int
	rng   *rand.Rand
	start time.Time
	queue queue
	n     uint64
	stats Stats
}

// Run carries frames until ctx ends.
func Run(ctx context.Context, cfg Config) (Stats, error) {
	w := &wire{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 1)), start: time.Now(), fd: [2]int{-1, -1}}
	for i, name := range []string{cfg.A, cfg.B} {
		fd, err := open(name)
		if err != nil {
			return Stats{}, err
		}
		defer unix.Close(fd)
		w.fd[i] = fd
	}
	buf := make([]byte, 64<<10)
	for ctx.Err() == nil {
		wait := 100 * time.Millisecond
		if len(w.queue) > 0 {
			wait = max(0, min(wait, time.Until(w.queue[0].due)))
		}
		ts := unix.NsecToTimespec(int64(wait))
		fds := []unix.PollFd{{Fd: int32(w.fd[0]), Events: unix.POLLIN}, {Fd: int32(w.fd[1]), Events: unix.POLLIN}}
		if _, err := unix.Ppoll(fds, &ts, nil); err != nil && err != unix.EINTR {
			return w.stats, os.NewSyscallError("ppoll", err)
		}
		for i := range fds {
			if fds[i].Revents != 0 {
				w.receive(i, buf)
			}
		}
		w.release(time.Now())
	}
	return w.stats, nil
}

// open makes a packet socket that sees what an interface receives.
func open(name string) (int, error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return -1, fmt.Errorf("wire: %s: %w", name, err)
	}
	const all = 0x0300 // ETH_P_ALL in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, all)
	if err != nil {
		return -1, fmt.Errorf("wire: %s: %w", name, os.NewSyscallError("socket", err))
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
	err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	if err == nil {
		err = unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
			&unix.PacketMreq{Ifindex: int32(ifi.Index), Type: unix.PACKET_MR_PROMISC})
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: ifi.Index})
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("wire: %s: %w", name, err)
	}
	return fd, nil
}

// receive takes a burst from one side.
func (w *wire) receive(from int, buf []byte) {
	for range 64 {
		n, _, err := unix.Recvfrom(w.fd[from], buf, unix.MSG_DONTWAIT)
		if err != nil || n == 0 {
			return
		}
		w.carry(1-from, buf[:n], time.Now())
	}
}

// phase is what the wire does now.
func (w *wire) phase(now time.Time) Impairment {
	if len(w.cfg.Phases) == 0 {
		return Impairment{}
	}
	i := len(w.cfg.Phases) - 1
	if w.cfg.Phase > 0 {
		i = min(i, int(now.Sub(w.start)/w.cfg.Phase))
	}
	return w.cfg.Phases[i]
}

// carry decides about one frame.
func (w *wire) carry(to int, frame []byte, now time.Time) {
	p := w.phase(now)
	w.stats.Frames++
	burst := p.BurstEvery > 0 && now.Sub(w.start)%p.BurstEvery < p.BurstFor
	if burst || w.rng.Float64() < p.Loss {
		w.stats.Lost++
		return
	}
	due := now.Add(p.Delay)
	if p.Reorder > 0 && w.rng.Float64() < p.Reorder {
		w.stats.Held++
		due = due.Add(time.Duration(w.rng.Int64N(int64(p.Hold) + 1)))
	}
	copies := 1
	if w.rng.Float64() < p.Double {
		w.stats.Doubled++
		copies = 2
	}
	for range copies {
		if !due.After(now) && len(w.queue) == 0 {
			w.send(to, frame)
			continue
		}
		w.n++
		heap.Push(&w.queue, held{due, w.n, to, append([]byte(nil), frame...)})
	}
}

func (w *wire) release(now time.Time) {
	for len(w.queue) > 0 && !w.queue[0].due.After(now) {
		h := heap.Pop(&w.queue).(held)
		w.send(h.to, h.data)
	}
}

// send gives a frame to the other side; a full queue there loses it, as a cable's
// far end would.
func (w *wire) send(to int, frame []byte) {
	if _, err := unix.Write(w.fd[to], frame); err != nil {
		w.stats.Lost++
	}
}
