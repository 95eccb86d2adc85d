package wsconn

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tickrelay/nettune"
)

// BenchmarkReadMemory is the frame reader alone: 64 messages of 300 bytes per
// read of the stream. It would lie if the messages did not fit the cache, as
// they do not when a feed is idle between bursts.
func BenchmarkReadMemory(b *testing.B) {
	burst := slices.Concat(slices.Repeat([][]byte{serverFrame(fin|1, strings.Repeat("x", 300))}, 64)...)
	c, m := opened(b, Config{}, nil, 0)
	b.ReportAllocs()
	b.SetBytes(300)
	n := 0
	for b.Loop() {
		_, _, _, err := c.Read()
		for err != nil {
			m.in = burst
			_, _, _, err = c.Read()
		}
		n++
	}
}

// pair is a connection over loopback, both ends streams of one poller.
func pair(b *testing.B) (p nettune.Poller, near, far nettune.Stream) {
	b.Helper()
	p, err := nettune.KernelTransport().NewPoller(nettune.PollerConfig{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.Close() })
	ln, err := p.Listen(nettune.ListenOptions{Addr: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		b.Fatal(err)
	}
	if near, err = p.Dial(nettune.DialOptions{Addr: ln.Addr()}); err != nil {
		b.Fatal(err)
	}
	for connected := false; far == nil || !connected; {
		evs, err := p.Poll(nil, -1)
		if err != nil {
			b.Fatal(err)
		}
		for _, ev := range evs {
			connected = connected || ev.Flags&nettune.Connected != 0
		}
		if far == nil {
			far, _ = ln.Accept()
		}
	}
	return p, near, far
}

// handshaken opens a client connection on near; the test is the server on far.
func handshaken(b *testing.B, near, far nettune.Stream) *Conn {
	b.Helper()
	c := New(near, Config{Host: "bench"})
	buf := make([]byte, 4096)
	for n := 0; ; {
		err := c.Handshake()
		if err == nil {
			return c
		}
		if !errors.Is(err, nettune.ErrWouldBlock) {
			b.Fatal(err)
		}
		if k, _, _ := far.Read(buf[n:]); k > 0 {
			if n += k; strings.HasSuffix(string(buf[:n]), "\r\n\r\n") {
				_, _ = far.Write(answerTo(b, buf[:n]))
			}
		}
	}
}

// The next three read one message of 300 bytes per socket write, on one thread:
// the raw system calls, the stream, the WebSocket on top. The write is in all
// of them; the differences are what the layers cost.
func BenchmarkReadRawSyscalls(b *testing.B) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	near, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(near)
	if err := unix.Connect(near, &unix.SockaddrInet4{Port: ln.Addr().(*net.TCPAddr).Port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		b.Fatal(err)
	}
	peer, err := ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	f, err := peer.(*net.TCPConn).File()
	if err != nil {
		b.Fatal(err)
	}
	_ = peer.Close()
	defer f.Close()
	far := int(f.Fd())
	frame, buf := serverFrame(fin|1, strings.Repeat("x", 300)), make([]byte, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = unix.Write(far, frame)
		_, _ = unix.Read(near, buf)
	}
}

func BenchmarkReadStream(b *testing.B) {
	_, near, far := pair(b)
	frame, buf := serverFrame(fin|1, strings.Repeat("x", 300)), make([]byte, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = far.Write(frame)
		for n := 0; n == 0; {
			n, _, _ = near.Read(buf)
		}
	}
}

func BenchmarkReadWebSocket(b *testing.B) {
	_, near, far := pair(b)
	c := handshaken(b, near, far)
	frame := serverFrame(fin|1, strings.Repeat("x", 300))
	b.ReportAllocs()
	for b.Loop() {
		_, _ = far.Write(frame)
		for err := error(nettune.ErrWouldBlock); err != nil; {
			_, _, _, err = c.Read()
		}
	}
}

// BenchmarkReadWebSocketPoll adds the epoll call of a sleeping loop.
func BenchmarkReadWebSocketPoll(b *testing.B) {
	p, near, far := pair(b)
	c := handshaken(b, near, far)
	frame := serverFrame(fin|1, strings.Repeat("x", 300))
	evs := make([]nettune.Event, 0, 8)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = far.Write(frame)
		for got := false; !got; {
			evs, _ = p.Poll(evs[:0], -1)
			for err := error(nil); err == nil; {
				if _, _, _, err = c.Read(); err == nil {
					got = true
				}
			}
		}
	}
}
