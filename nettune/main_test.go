package nettune

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"
)

// TestMain fails a run that leaks descriptors.
func TestMain(m *testing.M) {
	before := countFds()
	code := m.Run()
	for end := time.Now().Add(2 * time.Second); countFds() > before && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond) // Go's network poller opens two of its own, once
	}
	if n := countFds(); code == 0 && n > before+2 {
		fmt.Fprintf(os.Stderr, "leak: %d descriptors before the tests, %d after\n", before, n)
		code = 1
	}
	os.Exit(code)
}

func countFds() int {
	e, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(e)
}

// loop drives pollers in one goroutine and keeps what their events said.
type loop struct {
	t       testing.TB
	pollers []Poller
	seen    map[Stream]EventFlags
	errs    map[Stream]error
	accepts map[Listener]bool
}

func newLoop(t testing.TB, cfgs ...PollerConfig) *loop {
	t.Helper()
	l := &loop{t: t, seen: map[Stream]EventFlags{}, errs: map[Stream]error{}, accepts: map[Listener]bool{}}
	if len(cfgs) == 0 {
		cfgs = []PollerConfig{{}}
	}
	k := KernelTransport()
	for _, c := range cfgs {
		p, err := k.NewPoller(c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		})
		l.pollers = append(l.pollers, p)
	}
	return l
}

// until polls until ok or five seconds have passed.
func (l *loop) until(what string, ok func() bool) {
	l.t.Helper()
	var evs []Event
	for end := time.Now().Add(5 * time.Second); !ok(); {
		if time.Now().After(end) {
			l.t.Fatalf("timed out waiting for: %s", what)
		}
		for _, p := range l.pollers {
			var err error
			if evs, err = p.Poll(evs[:0], time.Millisecond); err != nil {
				l.t.Fatal(err)
			}
			for _, ev := range evs {
				if ev.Listener != nil {
					l.accepts[ev.Listener] = true
					continue
				}
				l.seen[ev.Stream] |= ev.Flags
				if ev.Err != nil {
					l.errs[ev.Stream] = ev.Err
				}
			}
		}
	}
}

func (l *loop) listen(addr string, o Options) Listener {
	l.t.Helper()
	ln, err := l.pollers[0].Listen(ListenOptions{Addr: netip.MustParseAddrPort(addr), Options: o})
	if err != nil {
		l.t.Skipf("no listener on %s: %v", addr, err)
	}
	return ln
}

// connect returns both ends of a connection; the client is the last poller's.
func (l *loop) connect(ln Listener, o DialOptions) (client, server Stream) {
	l.t.Helper()
	o.Addr = ln.Addr()
	client, err := l.pollers[len(l.pollers)-1].Dial(o)
	if err != nil {
		l.t.Fatal(err)
	}
	l.until("connected", func() bool { return l.seen[client]&(Connected|Closed) != 0 })
	if l.seen[client]&Closed != 0 {
		l.t.Fatal(l.errs[client])
	}
	return client, l.accept(ln)
}

func (l *loop) accept(ln Listener) (s Stream) {
	l.t.Helper()
	l.until("accept", func() bool {
		var err error
		s, err = ln.Accept()
		if err != nil && !errors.Is(err, ErrWouldBlock) {
			l.t.Fatal(err)
		}
		return err == nil
	})
	return s
}

// send writes all of p, waiting for Writable as needed.
func (l *loop) send(s Stream, p []byte) {
	l.t.Helper()
	l.until("write", func() bool {
		n, err := s.Write(p)
		p = p[n:]
		if err != nil && !errors.Is(err, ErrWouldBlock) {
			l.t.Fatal(err)
		}
		s.WantWrite(len(p) > 0)
		return len(p) == 0
	})
}

// recv reads n bytes.
func (l *loop) recv(s Stream, n int) []byte {
	l.t.Helper()
	got := make([]byte, 0, n)
	buf := make([]byte, 1<<16)
	l.until("read", func() bool {
		k, rx, err := s.Read(buf[:min(len(buf), n-len(got))])
		got = append(got, buf[:k]...)
		if err != nil && !errors.Is(err, ErrWouldBlock) {
			l.t.Fatalf("after %d of %d bytes: %v", len(got), n, err)
		}
		if d := time.Now().UnixNano() - rx; k > 0 && (d < -int64(time.Millisecond) || d > int64(5*time.Second)) {
			l.t.Fatalf("receive time is %v off", time.Duration(d))
		}
		return len(got) == n
	})
	return got
}

// readErr polls until a read fails for good.
func (l *loop) readErr(s Stream) (err error) {
	l.t.Helper()
	var buf [256]byte
	l.until("read error", func() bool {
		_, _, err = s.Read(buf[:])
		return err != nil && !errors.Is(err, ErrWouldBlock)
	})
	return err
}
