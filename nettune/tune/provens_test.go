package tune

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tickrelay/nettune/tune/probe"
)

func TestNetnsProve(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some ten seconds")
	}
	inNamespaces(t, "prove")
}

// longPath forwards Ethernet frames between two TAP devices, each a fixed time
// after it came: a path with a round trip of twice that. extra adds to it in
// the direction to a.
type longPath struct {
	a, b  *os.File
	delay time.Duration
	extra func() time.Duration
}

type frame struct {
	data []byte
	due  time.Time
}

func (p *longPath) run() (stop func()) {
	var wg sync.WaitGroup
	oneWay := func(from, to *os.File, extra func() time.Duration) {
		queue := make(chan frame, 8192)
		wg.Go(func() {
			defer close(queue)
			for {
				buf := make([]byte, 2048)
				n, err := from.Read(buf)
				if err != nil {
					return
				}
				queue <- frame{buf[:n], time.Now().Add(p.delay + extra())}
			}
		})
		wg.Go(func() {
			for f := range queue {
				time.Sleep(time.Until(f.due))
				to.Write(f.data) // a full or closing device loses frames, as paths do
			}
		})
	}
	oneWay(p.a, p.b, func() time.Duration { return 0 })
	oneWay(p.b, p.a, p.extra)
	return func() {
		p.a.Close()
		p.b.Close()
		wg.Wait()
	}
}

// farEnd makes a TAP and a listener in a network namespace of their own.
func farEnd(t *testing.T) (tap *os.File, ln net.Listener) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // not unlocked: the thread ends with its namespace
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error(err)
			return
		}
		tap = newTap(t, "far", [4]byte{10, 97, 0, 2})
		var err error
		if ln, err = net.Listen("tcp4", "10.97.0.2:7799"); err != nil {
			t.Error(err)
		}
	}()
	<-done
	if t.Failed() || tap == nil || ln == nil {
		t.FailNow()
	}
	return tap, ln
}

// insideProve has two bad settings and a useless change over a path of 6 ms:
// the receive buffer is far too small, and the device is told to collect
// frames, on which the path holds them back for a while, as a device does that
// coalesces.
func insideProve(t *testing.T) {
	ownSys(t)
	near := newTap(t, "near", [4]byte{10, 97, 0, 1})
	far, ln := farEnd(t)
	h := Live()
	defer h.Close()
	nic := Live() // asked from the forwarder's goroutine
	defer nic.Close()
	const frames = "nic:near/coalesce/rx-frames"
	var mu sync.Mutex
	path := longPath{a: near, b: far, delay: 3 * time.Millisecond, extra: func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		if v, err := nic.Get(frames); err == nil && v != "0" {
			return 6 * time.Millisecond
		}
		return 0
	}}
	defer path.run()()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { probe.Serve(ctx, ln) })
	defer wg.Wait()
	defer cancel()

	rmem, alive := sysctlPath("net.ipv4.tcp_rmem"), sysctlPath("net.ipv4.tcp_keepalive_time")
	for key, value := range map[string]string{rmem: "4096 8192 16384", frames: "64"} {
		if err := h.Set(key, value); err != nil {
			t.Fatal(err)
		}
	}
	journal := filepath.Join(t.TempDir(), "journal")
	// On a loaded machine noise may hide what helps, or look like harm, and then all is
	// written back; it must not make the useless change look like help.
	for try := 1; ; try++ {
		if proveOnce(t, ctx, h, journal) {
			break
		}
		if t.Failed() || try == 4 {
			t.Fatal("the two changes that help were not both found")
		}
		if _, err := os.Stat(journal); err == nil { // one of them was
			if _, err := Revert(ctx, h, RevertConfig{Journal: journal}); err != nil {
				t.Fatal(err)
			}
		}
	}
	holds(t, h, rmem, Ints, "4096 131072 6291456")
	holds(t, h, frames, Int, "0")
	holds(t, h, alive, Int, "7200")
	if back, err := Revert(ctx, h, RevertConfig{Journal: journal}); err != nil || len(back) != 2 {
		t.Errorf("revert: %+v, %v", back, err)
	}
	holds(t, h, rmem, Ints, "4096 8192 16384")
	holds(t, h, frames, Int, strconv.Itoa(64))
}

// proveOnce tries the three changes and reports whether the two that help were found.
// That the useless one is kept is an error in any case; harm is judged less strictly.
func proveOnce(t *testing.T, ctx context.Context, h *Host, journal string) bool {
	t.Helper()
	plan, err := Plan(h, Options{Ifaces: []string{"near"}, Profile: Profile{Base: "none", Values: map[string]string{
		"net.ipv4.tcp_rmem": "4096 131072 6291456", "nic.rx-frames": "0", "net.ipv4.tcp_keepalive_time": "600"}}})
	if err != nil || len(plan) != 3 {
		t.Fatalf("%+v, %v", plan, err)
	}
	proof, err := Prove(ctx, h, plan,
		probe.Config{Addr: "10.97.0.2:7799", Pings: 6, Gap: -1, Burst: 192 << 10, Transfers: 1},
		ProveConfig{Journal: journal, Rounds: 12, MinEffect: 0.1, Confidence: 0.99, Progress: func(s string) { t.Log(s) }})
	if err != nil {
		t.Fatal(err)
	}
	verdicts := map[Group]Verdict{}
	for _, g := range proof.Groups {
		for _, m := range g.Metrics {
			t.Log(g.Group, m.Name, time.Duration(m.Before), "->", time.Duration(m.After), fmt.Sprintf("gain %.2f p %.2g", m.Gain, m.PBetter))
		}
		if verdicts[g.Group] = g.Verdict; g.Kept != (g.Verdict == Helps) {
			t.Errorf("%s: %s, kept %v: %s", g.Group, g.Verdict, g.Kept, g.Reason)
		}
	}
	useless := verdicts[GroupKeepalive]
	if len(verdicts) != 3 || useless != NoEffect && useless != Harms {
		t.Errorf("verdicts: %v", verdicts)
	}
	return verdicts[GroupBuffers] == Helps && verdicts[GroupCoalescing] == Helps
}

func holds(t *testing.T, h *Host, key string, f Format, want string) {
	t.Helper()
	if got, err := current(h, key, f); err != nil || got != want {
		t.Errorf("%s holds %q (%v), want %q", key, got, err, want)
	}
}
