package nettune

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

func TestOptionsReadBack(t *testing.T) {
	all := Options{NoDelay: true, QuickAck: true, Timestamps: true, RcvBuf: 100_000, SndBuf: 90_000, Unsent: 70_000,
		UserTimeout: 7 * time.Second, KeepAlive: 11 * time.Second, KeepAliveInterval: 3 * time.Second,
		KeepAliveCount: 4, BusyPoll: 50 * time.Microsecond}
	check := func(who string, got Options) {
		t.Helper()
		want := all
		// the kernel's own choice: buffers are doubled, busy polling needs
		// privilege, quick-ack mode ends by itself
		want.RcvBuf, want.SndBuf = 2*all.RcvBuf, 2*all.SndBuf
		want.BusyPoll, want.QuickAck, want.FastOpen = got.BusyPoll, got.QuickAck, got.FastOpen
		if got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", who, got, want)
		}
		if got.BusyPoll != 0 && got.BusyPoll != all.BusyPoll {
			t.Errorf("%s: busy poll %v", who, got.BusyPoll)
		}
	}
	l := newLoop(t)
	ln := l.listen("127.0.0.1:0", all)
	c, s := l.connect(ln, DialOptions{Options: all})
	check("dialled", c.Granted())
	check("accepted", s.Granted())
	check("listener", ln.Granted())
	if !c.Granted().QuickAck {
		t.Error("quick-ack not in force on a fresh connection")
	}
}

func TestDefaultsAndNothing(t *testing.T) {
	l := newLoop(t)
	c, _ := l.connect(l.listen("127.0.0.1:0", Options{}), DialOptions{})
	g, d := c.Granted(), DefaultOptions()
	if !g.NoDelay || g.UserTimeout != d.UserTimeout || g.KeepAlive != d.KeepAlive ||
		g.KeepAliveInterval != d.KeepAliveInterval || g.KeepAliveCount != d.KeepAliveCount {
		t.Errorf("defaults not in force: %+v", g)
	}
	if want := fastOpenSysctl()&fastOpenClientBit != 0; g.FastOpen != want {
		t.Errorf("FastOpen %v, sysctl says %v", g.FastOpen, want)
	}
	c, _ = l.connect(l.listen("127.0.0.1:0", Options{QuickAck: true}), DialOptions{Options: Options{QuickAck: true}})
	if g := c.Granted(); g.NoDelay || g.FastOpen || g.KeepAlive != 0 || g.UserTimeout != 0 || g.Timestamps {
		t.Errorf("not asked, but in force: %+v", g)
	}
}

// The kernel's stamp is of arrival: it does not grow while the bytes wait.
func TestReceiveTimestamps(t *testing.T) {
	l := newLoop(t)
	o := Options{NoDelay: true, Timestamps: true}
	c, s := l.connect(l.listen("127.0.0.1:0", o), DialOptions{Options: o})
	buf := make([]byte, 64)
	var waited time.Duration
	for range 5 {
		sent := time.Now().UnixNano()
		l.send(c, []byte("tick"))
		time.Sleep(30 * time.Millisecond)
		n, rx, err := s.Read(buf)
		if n != 4 || err != nil {
			t.Fatal(n, err)
		}
		if rx < sent-int64(time.Millisecond) || rx > time.Now().UnixNano() {
			t.Fatalf("stamp %d outside of [sent, now]", rx-sent)
		}
		waited = max(waited, time.Duration(time.Now().UnixNano()-rx))
	}
	if waited < 20*time.Millisecond {
		t.Error("stamps are of the read, not of the arrival")
	}
}

func TestDialerAndListenConfig(t *testing.T) {
	o := Options{NoDelay: true, FastOpen: true, UserTimeout: 9 * time.Second, KeepAlive: 13 * time.Second,
		KeepAliveInterval: 2 * time.Second, KeepAliveCount: 5, RcvBuf: 50_000}
	ln, err := (&ListenConfig{Options: o}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	got := make(chan net.Conn, 1)
	go func() {
		c, _ := ln.Accept()
		got <- c
	}()
	c, err := (&Dialer{Options: o}).Dial(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	s := <-got
	defer s.Close()
	b := make([]byte, 5)
	if _, err := io.ReadFull(s, b); err != nil || string(b) != "hello" {
		t.Fatalf("%q, %v", b, err)
	}
	for who, conn := range map[string]net.Conn{"dialled": c, "accepted": s} {
		g, err := Granted(conn, who == "dialled")
		if err != nil {
			t.Fatal(err)
		}
		if !g.NoDelay || g.UserTimeout != o.UserTimeout || g.KeepAlive != o.KeepAlive ||
			g.KeepAliveInterval != o.KeepAliveInterval || g.KeepAliveCount != o.KeepAliveCount || g.RcvBuf != 2*o.RcvBuf {
			t.Errorf("%s: %+v", who, g)
		}
	}
	p, q := net.Pipe()
	defer p.Close()
	defer q.Close()
	if _, err := Granted(p, true); !errors.Is(err, ErrNotSupported) {
		t.Errorf("pipe: %v", err)
	}
}

func TestNetConn(t *testing.T) {
	l := newLoop(t)
	ln := l.listen("127.0.0.1:0", Options{NoDelay: true, Timestamps: true})
	for _, already := range []string{"", "GET /"} {
		peer, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		s := l.accept(ln)
		_, _ = peer.Write([]byte("GET / HTTP"))
		before := l.recv(s, len(already))
		if string(before) != already {
			t.Fatalf("read %q", before)
		}
		c, err := NetConn(s, before)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 10)
		_ = c.SetDeadline(time.Now().Add(2 * time.Second))
		if _, err := io.ReadFull(c, b); err != nil || string(b) != "GET / HTTP" {
			t.Errorf("%q, %v", b, err)
		}
		if _, err := c.Write([]byte("200")); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadFull(peer, b[:3]); err != nil || string(b[:3]) != "200" {
			t.Errorf("%q, %v", b[:3], err)
		}
		if _, _, err := s.Read(b); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the stream after detaching: %v", err)
		}
		_ = peer.Close()
		if _, err := c.Read(b); err != io.EOF {
			t.Errorf("end: %v", err)
		}
		_ = c.Close()
		if evs, _ := l.pollers[0].Poll(nil, 0); len(evs) != 0 {
			t.Errorf("detached stream still reports %v", evs)
		}
	}
}

func TestParseNetstat(t *testing.T) {
	const text = "Ip: A\nIp: 1\nTcpExt: SyncookiesSent TCPFastOpenActive TCPFastOpenPassive TCPFastOpenCookieReqd\nTcpExt: 9 3 4 5\n"
	c, err := parseNetstat([]byte(text))
	if want := (FastOpenCounters{Active: 3, Passive: 4, CookieRequested: 5}); err != nil || c != want {
		t.Errorf("%+v, %v", c, err)
	}
	for _, bad := range []string{"", "TcpExt: A B\nTcpExt: 1\n", "TcpExt: TCPFastOpenActive\nTcpExt: x\n", "Ip: A\nIp: 1"} {
		if _, err := parseNetstat([]byte(bad)); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}
