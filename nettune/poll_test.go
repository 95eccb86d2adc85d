package nettune

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestWake(t *testing.T) {
	for _, cfg := range []PollerConfig{{}, {Busy: true}} {
		l := newLoop(t, cfg)
		p := l.pollers[0]
		var told atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for range 200 {
					told.Add(1)
					p.Wake()
				}
			}()
		}
		for told.Load() < 800 { // a lost wake-up would hang here
			if _, err := p.Poll(nil, -1); err != nil {
				t.Fatal(err)
			}
		}
		wg.Wait()
		p.Wake()
		if _, err := p.Poll(nil, -1); err != nil {
			t.Fatal(err)
		}
	}
}

// Every value handed over before its Wake is seen although wakes coalesce.
func TestWakeIsNeverLost(t *testing.T) {
	l := newLoop(t)
	box := make(chan int, 1)
	go func() {
		for i := range 2000 {
			box <- i
			l.pollers[0].Wake()
		}
	}()
	end := time.Now().Add(10 * time.Second)
	for want := 0; want < 2000; {
		select {
		case got := <-box:
			if got != want {
				t.Fatalf("got %d, want %d", got, want)
			}
			want++
			continue
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("stuck at %d", want)
		}
		start := time.Now()
		if _, err := l.pollers[0].Poll(nil, 5*time.Second); err != nil {
			t.Fatal(err)
		}
		if time.Since(start) > 4*time.Second {
			t.Fatalf("wake %d was lost", want)
		}
	}
}

func TestPollWait(t *testing.T) {
	for _, tc := range []struct {
		cfg      PollerConfig
		fallback bool
		max      time.Duration
	}{{PollerConfig{}, false, 0}, {PollerConfig{}, true, 0}, {PollerConfig{Busy: true}, false, 0}} {
		l := newLoop(t, tc.cfg)
		p := l.pollers[0].(*layered).Poller.(*kernelPoller)
		p.k.noPwait2.Store(tc.fallback)
		best := time.Hour
		for range 20 {
			start := time.Now()
			if evs, err := p.Poll(nil, 200*time.Microsecond); err != nil || len(evs) > 0 {
				t.Fatal(evs, err)
			}
			best = min(best, time.Since(start))
		}
		limit := 900 * time.Microsecond
		if p.k.noPwait2.Load() {
			limit = 5 * time.Millisecond // millisecond steps
		}
		if best < 200*time.Microsecond || best > limit {
			t.Errorf("%+v: a wait of 200 µs took at best %v", tc, best)
		}
		start := time.Now()
		if _, err := p.Poll(nil, 0); err != nil || time.Since(start) > time.Second {
			t.Errorf("wait 0 took %v, %v", time.Since(start), err)
		}
	}
}

// Accept on one poller, serve on another one in another goroutine.
func TestAdopt(t *testing.T) {
	l := newLoop(t)
	ln := l.listen("127.0.0.1:0", Options{Timestamps: true, NoDelay: true})
	shard, err := KernelTransport().NewPoller(PollerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	hand := make(chan Stream, 8)
	done := make(chan error, 1)
	go func() { done <- serveEcho(shard, hand, 4) }()
	for i := range 4 {
		peer, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer peer.Close()
		_, _ = peer.Write([]byte("early")) // before anybody watches
		s := l.accept(ln)
		if i%2 == 1 { // also one that was already registered
			_, _ = l.pollers[0].Poll(nil, 0)
		}
		if err := shard.Adopt(s); i == 0 && !errors.Is(err, ErrNotReleased) {
			t.Errorf("adopt before release: %v", err)
		}
		if err := l.pollers[0].Release(s); err != nil {
			t.Fatal(err)
		}
		hand <- s
		shard.Wake()
		got := make([]byte, 5)
		_ = peer.SetReadDeadline(time.Now().Add(3 * time.Second))
		if _, err := io.ReadFull(peer, got); err != nil || string(got) != "early" {
			t.Fatalf("echo %q, %v", got, err)
		}
		_ = peer.Close()
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if evs, _ := l.pollers[0].Poll(nil, time.Millisecond); len(evs) != 0 {
		t.Errorf("former owner still gets %v", evs)
	}
}

// serveEcho adopts and echoes until n streams have ended.
func serveEcho(p Poller, hand chan Stream, n int) error {
	defer p.Close()
	var evs []Event
	var err error
	for buf := make([]byte, 100); n > 0; {
		select {
		case s := <-hand:
			if err := p.Adopt(s); err != nil {
				return err
			}
		default:
		}
		if evs, err = p.Poll(evs[:0], time.Second); err != nil {
			return err
		}
		for _, ev := range evs {
			k, _, err := ev.Stream.Read(buf)
			if k > 0 {
				_, _ = ev.Stream.Write(buf[:k])
			} else if !errors.Is(err, ErrWouldBlock) {
				_ = ev.Stream.Close()
				n--
			}
		}
	}
	return nil
}

func TestForeign(t *testing.T) {
	l := newLoop(t, PollerConfig{}, PollerConfig{})
	c, _ := l.connect(l.listen("127.0.0.1:0", Options{}), DialOptions{})
	if err := l.pollers[0].Release(c); !errors.Is(err, ErrForeign) {
		t.Errorf("release of another poller's stream: %v", err)
	}
	if err := l.pollers[1].Release(c); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil { // allowed between Release and Adopt
		t.Error(err)
	}
	if err := l.pollers[0].Adopt(c); !errors.Is(err, net.ErrClosed) {
		t.Errorf("adopt of a closed stream: %v", err)
	}
}

func TestReadAllocatesNothing(t *testing.T) {
	for _, stamps := range []bool{false, true} {
		l := newLoop(t)
		o := Options{NoDelay: true, Timestamps: stamps}
		c, s := l.connect(l.listen("127.0.0.1:0", o), DialOptions{Options: o})
		buf, msg := make([]byte, 1024), make([]byte, 128)
		evs := make([]Event, 0, 8)
		n := testing.AllocsPerRun(500, func() {
			if _, err := c.Write(msg); err != nil {
				t.Fatal(err)
			}
			evs, _ = l.pollers[0].Poll(evs[:0], -1)
			for _, ev := range evs {
				_, _, _ = ev.Stream.Read(buf)
			}
			_, _, _ = s.Read(buf)
		})
		if n != 0 {
			t.Errorf("timestamps %v: %v allocations per message", stamps, n)
		}
	}
}
