package nettune

import (
	"errors"
	"os"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// netns runs f on a thread of its own in a fresh network namespace with
// loopback up. The thread ends with f and takes the namespace along.
func netns(t *testing.T, tcpFastOpen string, f func()) {
	t.Helper()
	done := make(chan string)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread must not be used again
		var skip string
		defer func() { done <- skip }()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			skip = "no network namespace of our own (needs root): " + err.Error()
			return
		}
		if err := loopbackUp(); err != nil {
			skip = "loopback does not come up: " + err.Error()
			return
		}
		if err := os.WriteFile("/proc/sys/net/ipv4/tcp_fastopen", []byte(tcpFastOpen), 0); err != nil {
			skip = "net.ipv4.tcp_fastopen cannot be set: " + err.Error()
			return
		}
		f()
	}()
	if skip := <-done; skip != "" {
		t.Skip(skip)
	}
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}

// The kernel's own counters say that the second connection carried data in its
// SYN, both ways.
func TestFastOpenByTheKernelsCounters(t *testing.T) {
	netns(t, "3", func() {
		l := newLoop(t)
		defer l.pollers[0].Close() // in this thread, with the namespace
		ln := l.listen("127.0.0.1:0", Options{})
		if !ln.Granted().FastOpen {
			t.Error("listener without Fast Open")
		}
		before, err := GlobalSnapshot()
		if err != nil {
			t.Error(err)
			return
		}
		for i := range 4 {
			c, err := l.pollers[0].Dial(DialOptions{Addr: ln.Addr()})
			if err != nil {
				t.Error(err)
				return
			}
			l.until("connected", func() bool { return l.seen[c]&Connected != 0 })
			l.send(c, []byte("early"))
			s := l.accept(ln)
			if got := l.recv(s, 5); string(got) != "early" {
				t.Errorf("got %q", got)
			}
			if want := i > 0; s.Granted().FastOpen != want || !c.Granted().FastOpen {
				t.Errorf("connection %d: data in the SYN %v, client option %v", i, s.Granted().FastOpen, c.Granted().FastOpen)
			}
			l.send(s, []byte("ok"))
			l.recv(c, 2)
			_ = c.Close()
			_ = s.Close()
		}
		after, _ := GlobalSnapshot()
		if a, p := after.Active-before.Active, after.Passive-before.Passive; a != 3 || p != 3 {
			t.Errorf("kernel counted %d active, %d passive, want 3, 3: %+v", a, p, after)
		}
		k := l.pollers[0].(*layered).Poller.(*kernelPoller).k.Counters()
		if k.FastOpenAsked != 4 || k.FastOpenCookie != 3 || k.FastOpenRefused != 0 {
			t.Errorf("our counters: %+v", k)
		}
		refusedWithCookie(t, l, ln)
	})
}

// With a cookie at hand, dialling a dead server "connects"; the first read says
// the truth.
func refusedWithCookie(t *testing.T, l *loop, ln Listener) {
	addr := ln.Addr()
	_ = ln.Close()
	c, err := l.pollers[0].Dial(DialOptions{Addr: addr})
	if err != nil {
		t.Error(err)
		return
	}
	l.until("connected", func() bool { return l.seen[c]&(Connected|Closed) != 0 })
	if l.seen[c]&Connected == 0 {
		t.Errorf("not deferred: %v", l.errs[c])
		return
	}
	_, werr := c.Write([]byte("anybody?"))
	if err := l.readErr(c); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("read: %v, write: %v", err, werr)
	}
	_ = c.Close()
}

// Where the sysctl forbids it, dials fall back and are counted.
func TestFastOpenFallBack(t *testing.T) {
	netns(t, "0", func() {
		l := newLoop(t)
		defer l.pollers[0].Close()
		ln := l.listen("127.0.0.1:0", Options{})
		c, s := l.connect(ln, DialOptions{})
		l.send(c, []byte("x"))
		l.recv(s, 1)
		k := l.pollers[0].(*layered).Poller.(*kernelPoller).k.Counters()
		if k.FastOpenAsked != 1 || k.FastOpenRefused != 1 || k.FastOpenCookie != 0 {
			t.Errorf("counters: %+v", k)
		}
		if c.Granted().FastOpen || ln.Granted().FastOpen {
			t.Error("Fast Open claimed although the sysctl forbids it")
		}
	})
}
