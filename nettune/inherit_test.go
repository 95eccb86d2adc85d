package nettune

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

// acceptOne polls until the listener has accepted one connection.
func acceptOne(t *testing.T, p Poller, l Listener) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		evs, err := p.Poll(nil, 100*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range evs {
			if e.Flags&Accept == 0 {
				continue
			}
			s, err := l.Accept()
			if errors.Is(err, ErrWouldBlock) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			s.Close()
			return
		}
	}
	t.Fatal("nothing accepted in 10 s")
}

func TestListenerIsHandedOver(t *testing.T) {
	poller := func() Poller {
		p, err := KernelTransport().NewPoller(PollerConfig{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		return p
	}
	old, next := poller(), poller()
	a, err := old.Listen(ListenOptions{Addr: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	f, err := a.(Sharer).File()
	if err != nil {
		t.Fatal(err)
	}
	b, err := next.Listen(ListenOptions{Inherited: f})
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if b.Addr() != a.Addr() {
		t.Fatalf("addresses %s and %s", a.Addr(), b.Addr())
	}
	dial := func() {
		c, err := net.Dial("tcp", a.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	dial()
	acceptOne(t, old, a)
	a.Close()
	dial()
	// The socket lives on in the other poller: this one must hear no more of it.
	if evs, err := old.Poll(nil, 50*time.Millisecond); err != nil || len(evs) > 0 {
		t.Errorf("the closed listener's poller: %v, %v", evs, err)
	}
	acceptOne(t, next, b)

	// What is no listening socket is refused.
	conn, _ := net.Dial("tcp", b.Addr().String())
	defer conn.Close()
	cf, err := conn.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer cf.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, bad := range []*os.File{cf, null} {
		if l, err := next.Listen(ListenOptions{Inherited: bad}); err == nil {
			l.Close()
			t.Errorf("%s was accepted as a listener", bad.Name())
		}
	}
}
