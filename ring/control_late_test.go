package ring

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tickrelay/ring/md"
)

// late attaches for one topic and gives up on a request for a second ring, which
// the relay has not got round to.
func late(t *testing.T) (rig *leaseRig, p *Poller) {
	t.Helper()
	rig = newLeaseRig(t, ServeConfig{})
	p, err := Attach(t.Context(), rig.sock, AttachRequest{Strategy: "s", Topics: []string{"okx.trades.X"}, Capacity: 1024})
	must(t, err)
	t.Cleanup(func() { p.Close() })
	rig.Lock()
	defer rig.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := p.Subscribe(ctx, "bitget.trades.X"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	return rig, p
}

// TestLateAnswer: an answer that nobody waited for is not taken for the next one.
func TestLateAnswer(t *testing.T) {
	_, p := late(t)
	var refused *AttachError
	if err := p.Subscribe(t.Context(), "okx.trades.NOPE"); !errors.As(err, &refused) || refused.Code != CodeBadTopic {
		t.Fatal(err)
	}
	if err := p.Unsubscribe(t.Context(), "okx.trades.X"); err != nil {
		t.Fatal(err)
	}
	if n := len(p.Consumers()); n != 2 {
		t.Fatalf("%d rings, want that of the late answer too", n)
	}
}

// TestLateAnswerIsTakenUp: its rings are read, also if nothing more is asked.
func TestLateAnswerIsTakenUp(t *testing.T) {
	_, p := late(t)
	got := seen(t, p, md.Topic{Venue: md.VenueBitget, Channel: md.ChannelTrades}, md.Topic{Venue: md.VenueOKX, Channel: md.ChannelTrades})
	if len(got) != 2 || p.lease.owed {
		t.Fatal(got)
	}
}

// TestHalfAnAnswer ends the lease: what comes after it cannot be understood.
func TestHalfAnAnswer(t *testing.T) {
	sock := filepath.Join(t.TempDir(), "c.sock")
	l, err := net.Listen("unix", sock)
	must(t, err)
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		buf := make([]byte, maxRequest)
		conn.Read(buf)
		conn.Write([]byte(`{"op":"attached"}` + "\n"))
		conn.Read(buf)
		conn.Write([]byte(`{"op":"subscr`))
		conn.Read(buf) // until the client hangs up
	}()
	p, err := Attach(t.Context(), sock, AttachRequest{Strategy: "s", Topics: []string{"okx.>"}})
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	for range 2 {
		if err := p.Subscribe(ctx, "okx.trades.X"); !errors.Is(err, context.DeadlineExceeded) && p.lease.spoilt == nil {
			t.Fatal(err)
		}
	}
	if p.lease.spoilt == nil {
		t.Fatal("it is asked on")
	}
	must(t, p.Close())
}

// TestManyDescriptors: an answer with more of them than the kernel passes at once.
func TestManyDescriptors(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	ends := make([]*net.UnixConn, 2)
	for i, fd := range pair {
		f := os.NewFile(uintptr(fd), "pair")
		c, err := net.FileConn(f)
		must(t, err)
		must(t, f.Close())
		defer c.Close()
		ends[i] = c.(*net.UnixConn)
	}
	for _, n := range []int{0, 1, maxPassed, maxPassed + 1, 2*maxRings + 2} {
		before := openFDs(t)
		fds := make([]int, n)
		for i := range fds {
			fds[i], err = unix.Eventfd(uint(i+1), unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
			must(t, err)
		}
		must(t, send(ends[0], line(wireAnswer{Op: "attached"}), fds))
		ans, got, err := receive(ends[1])
		if err != nil || ans.Op != "attached" || len(got) != n {
			t.Fatalf("%d descriptors: %q with %d, %v", n, ans.Op, len(got), err)
		}
		for i, fd := range got {
			var b [8]byte
			if _, err := unix.Read(fd, b[:]); err != nil || b[0] != byte(i+1) {
				t.Fatalf("descriptor %d of %d is another: %d, %v", i, n, b[0], err)
			}
		}
		closeAll(fds)
		closeAll(got)
		if after := openFDs(t); after > before {
			t.Fatalf("%d descriptors open, %d before", after, before)
		}
	}
}
