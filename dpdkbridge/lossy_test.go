//go:build dpdk

package dpdkbridge

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"tickrelay/dpdkbridge/wire"
)

func wireRole(args []byte) (any, error) {
	var a wireArgs
	if err := json.Unmarshal(args, &a); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), a.For)
	defer cancel()
	return wire.Run(ctx, a.Config)
}

func talkRole(args []byte) (any, error) {
	var a talkArgs
	if err := json.Unmarshal(args, &a); err != nil {
		return nil, err
	}
	return a.run()
}

type wireArgs struct {
	wire.Config
	For time.Duration
}

// talkArgs is one end of two conversations, a paced one and one as fast as the
// path allows, each in both directions.
type talkArgs struct {
	Device  string // "" for the kernel's sockets
	Address string // ours, for a device
	Listen  string // or
	Dial    string
	Phase   time.Duration
	Phases  int
}

// stall is the longest silence of each phase, and what arrived in it.
type stall struct {
	Longest []time.Duration
	Bytes   []uint64
}

// talked is the outcome: of the paced and of the fast conversation, as received
// here.
type talked struct {
	Paced, Fast stall
	Counters    map[string]uint64
}

func (a *talkArgs) run() (*talked, error) {
	dial := func(ctx context.Context, addr string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", addr)
	}
	out := &talked{Counters: map[string]uint64{}}
	if a.Device != "" {
		b, err := Open(Config{Device: a.Device, Addresses: []netip.Prefix{netip.MustParsePrefix(a.Address)}})
		if err != nil {
			return nil, err
		}
		defer b.Close()
		dial = func(ctx context.Context, addr string) (net.Conn, error) { return b.DialContext(ctx, "tcp", addr) }
		defer func() {
			for _, c := range b.Counters() {
				out.Counters[c.Name] = c.Value
			}
		}()
	}
	conns, err := a.connect(dial)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	end := start.Add(a.Phase * time.Duration(a.Phases))
	errs := make(chan error, 4)
	var wg sync.WaitGroup
	for i, c := range conns {
		dst := []*stall{&out.Paced, &out.Fast}[i]
		wg.Go(func() { errs <- speak(c, i == 0, end) })
		wg.Go(func() { errs <- a.hear(c, dst, start) })
	}
	wg.Wait()
	for range 4 {
		if err := <-errs; err != nil {
			return out, err
		}
	}
	time.Sleep(time.Second) // the other end may still be reading
	for _, c := range conns {
		c.Close()
	}
	return out, nil
}

// connect opens the two conversations; the first byte says which it is.
func (a *talkArgs) connect(dial func(context.Context, string) (net.Conn, error)) ([]net.Conn, error) {
	conns := make([]net.Conn, 2)
	if a.Listen != "" {
		l, err := net.Listen("tcp", a.Listen)
		if err != nil {
			return nil, err
		}
		defer l.Close()
		for range conns {
			c, err := l.Accept()
			if err != nil {
				return nil, err
			}
			var kind [1]byte
			if _, err := io.ReadFull(c, kind[:]); err != nil {
				return nil, err
			}
			conns[kind[0]] = c
		}
		return conns, nil
	}
	for i := range conns {
		var err error
		for until := time.Now().Add(20 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			conns[i], err = dial(ctx, a.Dial)
			cancel()
			if err == nil {
				break
			}
		}
		if err != nil {
			return nil, err
		}
		if _, err := conns[i].Write([]byte{byte(i)}); err != nil {
			return nil, err
		}
	}
	return conns, nil
}

const messageSize = 512

// speak sends numbered messages until end, then a last one that says so.
func speak(c net.Conn, paced bool, end time.Time) error {
	msg := make([]byte, messageSize)
	fill := func(n uint64) {
		for i := 0; i < messageSize; i += 8 {
			binary.LittleEndian.PutUint64(msg[i:], n*0x9e3779b97f4a7c15+uint64(i))
		}
	}
	n := uint64(1)
	for ; time.Now().Before(end); n++ {
		fill(n)
		if _, err := c.Write(msg); err != nil {
			return fmt.Errorf("send: %w", err)
		}
		if paced {
			time.Sleep(time.Millisecond)
		} else if n%16 == 0 {
			time.Sleep(500 * time.Microsecond) // some 10 MB/s at most: two small cores
		}
	}
	fill(0)
	_, err := c.Write(msg)
	return err
}

// hear checks every byte and notes the longest silence.
func (a *talkArgs) hear(c net.Conn, s *stall, start time.Time) error {
	s.Longest, s.Bytes = make([]time.Duration, a.Phases), make([]uint64, a.Phases)
	msg := make([]byte, messageSize)
	_ = c.SetReadDeadline(start.Add(a.Phase*time.Duration(a.Phases) + time.Minute))
	last := time.Now()
	for n := uint64(1); ; n++ {
		if _, err := io.ReadFull(c, msg); err != nil {
			return fmt.Errorf("receive message %d: %w", n, err)
		}
		now := time.Now()
		i := min(int(last.Sub(start)/a.Phase), a.Phases-1)
		s.Longest[i] = max(s.Longest[i], now.Sub(last))
		s.Bytes[i] += messageSize
		last = now
		want := n
		if binary.LittleEndian.Uint64(msg) == 0 {
			want = 0
		}
		for i := 0; i < messageSize; i += 8 {
			if binary.LittleEndian.Uint64(msg[i:]) != want*0x9e3779b97f4a7c15+uint64(i) {
				return fmt.Errorf("message %d is corrupted at byte %d", n, i)
			}
		}
		if want == 0 {
			return nil
		}
	}
}

// badPath is what the wire does, phase by phase.
func badPath() ([]wire.Impairment, []string) {
	return []wire.Impairment{
		{Loss: 0.001, Delay: time.Millisecond},
		{Loss: 0.01, Delay: time.Millisecond},
		{BurstEvery: 2 * time.Second, BurstFor: 20 * time.Millisecond, Delay: time.Millisecond},
		{Reorder: 0.02, Hold: 4 * time.Millisecond, Double: 0.01, Delay: time.Millisecond},
		{Loss: 0.005, Reorder: 0.01, Hold: 4 * time.Millisecond, Double: 0.005, Delay: 10 * time.Millisecond},
	}, []string{"0.1 % lost", "1 % lost", "bursts of 20 ms lost", "reordered, doubled", "all, 20 ms away"}
}

// TestLossyPath talks over a bad wire, by the kernel's stack and by ours, and
// compares the longest silences. TICKRELAY_DPDK_LOSSY sets how long each runs
// (5m for the long run); the default is short.
func TestLossyPath(t *testing.T) {
	needRoot(t)
	total := 5 * time.Second
	if v := os.Getenv("TICKRELAY_DPDK_LOSSY"); v != "" {
		var err error
		if total, err = time.ParseDuration(v); err != nil {
			t.Fatal(err)
		}
	}
	phases, names := badPath()
	each := total / time.Duration(len(phases))
	outcome := func(device string) (there, here *talked) {
		nsS, nsW, nsC := namespace(t, "s"), namespace(t, "w"), namespace(t, "c")
		ours := "10.8.0.2/24"
		if device != "" {
			ours = ""
		}
		cable(t, nsS, "vs", "10.8.0.1/24", nsW, "ws", "")
		cable(t, nsC, "vc", ours, nsW, "wc", "")
		w := role(t, nsW, "wire", wireArgs{Config: wire.Config{A: "ws", B: "wc", Phases: phases, Phase: each, Seed: 7}, For: total + time.Minute})
		if err := w.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = w.Process.Kill(); _ = w.Wait() }()
		results := make(chan *talked, 1)
		go func() {
			results <- talk(t, nsS, talkArgs{Listen: "10.8.0.1:7000", Phase: each, Phases: len(phases)})
		}()
		here = talk(t, nsC, talkArgs{Device: device, Address: "10.8.0.2/24", Dial: "10.8.0.1:7000", Phase: each, Phases: len(phases)})
		return <-results, here
	}
	kThere, kHere := outcome("")
	dThere, dHere := outcome("af_packet:vc")
	if t.Failed() {
		return
	}
	t.Logf("retransmits %d, timeouts %d, tail probes %d", dHere.Counters["stack_retransmits"], dHere.Counters["stack_timeouts"], dHere.Counters["stack_tail_probes"])
	var longest, ours time.Duration
	for i, name := range names {
		t.Logf("%-22s longest silence, kernel | dpdk: paced in %v | %v, out %v | %v; fast in %v | %v (%s), out %v | %v (%s)", name,
			ms(kHere.Paced.Longest[i]), ms(dHere.Paced.Longest[i]), ms(kThere.Paced.Longest[i]), ms(dThere.Paced.Longest[i]),
			ms(kHere.Fast.Longest[i]), ms(dHere.Fast.Longest[i]), rate(kHere, dHere, i, each), ms(kThere.Fast.Longest[i]), ms(dThere.Fast.Longest[i]), rate(kThere, dThere, i, each))
		for _, k := range []*talked{kHere, kThere} {
			longest = max(longest, k.Paced.Longest[i], k.Fast.Longest[i])
		}
		for _, d := range []*talked{dHere, dThere} {
			ours = max(ours, d.Paced.Longest[i], d.Fast.Longest[i])
		}
	}
	// A short run sees few of the kernel's long silences: leave room for luck,
	// and for machines that are busy.
	if limit := max(2*longest, 1500*time.Millisecond); ours > limit {
		t.Errorf("longest silence %v, allowed are %v (the kernel's was %v)", ours, limit, longest)
	}
}

func ms(d time.Duration) string { return fmt.Sprintf("%.0f ms", float64(d)/1e6) }

func rate(k, d *talked, i int, each time.Duration) string {
	f := func(x *talked) float64 { return float64(x.Fast.Bytes[i]) / each.Seconds() / 1e6 }
	return fmt.Sprintf("%.1f | %.1f MB/s", f(k), f(d))
}

func talk(t *testing.T, ns string, a talkArgs) *talked {
	out, err := role(t, ns, "talk", a).Output()
	var r talked
	if err == nil {
		err = json.Unmarshal(out, &r)
	}
	if err != nil {
		t.Errorf("talk over %q: %v", a.Device, err)
		return &talked{}
	}
	return &r
}
