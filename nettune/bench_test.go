package nettune

import (
	"io"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"
)

// echoLoop is the server of the round-trip benchmarks: a loop of its own on a
// thread of its own.
func echoLoop(b *testing.B, p Poller, ln Listener, stop <-chan struct{}) {
	runtime.LockOSThread()
	buf := make([]byte, 4096)
	var evs []Event
	for {
		select {
		case <-stop:
			return
		default:
		}
		evs, _ = p.Poll(evs[:0], 100*time.Millisecond)
		for _, ev := range evs {
			if ev.Listener != nil {
				_, _ = ln.Accept()
				continue
			}
			if n, _, _ := ev.Stream.Read(buf); n > 0 {
				_, _ = ev.Stream.Write(buf[:n])
			}
		}
	}
}

// BenchmarkRoundTrip is an echo of 128 bytes over loopback, a loop and a thread
// on each side: sleeping in epoll, busy, and Go's own net package as baseline.
// It reports the 10th, 50th and 99th percentile, in µs. It lies when the two
// threads do not have a CPU each: busy loops then wait for each other's time
// slice.
func BenchmarkRoundTrip(b *testing.B) {
	for _, busy := range []bool{false, true} {
		b.Run(map[bool]string{false: "epoll", true: "busy"}[busy], func(b *testing.B) { roundTrip(b, busy) })
	}
	b.Run("netpoll", roundTripNet)
}

func roundTrip(b *testing.B, busy bool) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l := newLoop(b, PollerConfig{Busy: busy}, PollerConfig{Busy: busy})
	ln := l.listen("127.0.0.1:0", Options{})
	stop, done := make(chan struct{}), make(chan struct{})
	p := l.pollers[1]
	c, err := p.Dial(DialOptions{Addr: ln.Addr()})
	if err != nil {
		b.Fatal(err)
	}
	go func() { defer close(done); echoLoop(b, l.pollers[0], ln, stop) }()
	msg, buf, evs := make([]byte, 128), make([]byte, 4096), make([]Event, 0, 8)
	for up := false; !up; {
		evs, _ = p.Poll(evs[:0], -1)
		for _, ev := range evs {
			up = up || ev.Flags&Connected != 0
		}
	}
	lat := make([]time.Duration, 0, 1<<20)
	for b.Loop() {
		start := time.Now()
		_, _ = c.Write(msg)
		for got := 0; got < len(msg); {
			evs, _ = p.Poll(evs[:0], -1)
			for range evs {
				n, _, _ := c.Read(buf)
				got += n
			}
		}
		lat = append(lat, time.Since(start))
	}
	report(b, lat)
	close(stop)
	l.pollers[0].Wake()
	<-done
}

func roundTripNet(b *testing.B) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c, err := ln.Accept(); err == nil {
			_, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
			_ = c.Close()
		}
	}()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	msg := make([]byte, 128)
	lat := make([]time.Duration, 0, 1<<20)
	for b.Loop() {
		start := time.Now()
		_, _ = c.Write(msg)
		if _, err := io.ReadFull(c, msg); err != nil {
			b.Fatal(err)
		}
		lat = append(lat, time.Since(start))
	}
	report(b, lat)
	_ = c.Close()
	<-done
}

func report(b *testing.B, lat []time.Duration) {
	slices.Sort(lat)
	b.ReportMetric(float64(lat[len(lat)/10])/1e3, "p10-µs")
	b.ReportMetric(float64(lat[len(lat)/2])/1e3, "p50-µs")
	b.ReportMetric(float64(lat[len(lat)*99/100])/1e3, "p99-µs")
}

// BenchmarkIdleTurn is what a busy loop pays per question with nothing to read:
// asking epoll (what Poll does, yields included), or reading the empty socket.
func BenchmarkIdleTurn(b *testing.B) {
	l := newLoop(b, PollerConfig{Busy: true})
	c, _ := l.connect(l.listen("127.0.0.1:0", Options{}), DialOptions{})
	b.Run("poll", func(b *testing.B) {
		evs := make([]Event, 0, 8)
		b.ReportAllocs()
		for b.Loop() {
			evs, _ = l.pollers[0].Poll(evs[:0], 0)
		}
	})
	b.Run("read", func(b *testing.B) {
		buf := make([]byte, 4096)
		b.ReportAllocs()
		for b.Loop() {
			_, _, _ = c.Read(buf)
		}
	})
}

// BenchmarkTLSRead is a message of 300 bytes through crypto/tls on one thread.
func BenchmarkTLSRead(b *testing.B) {
	l := newLoop(b)
	client, server := tlsConfigs(b)
	c, s := l.connectTLS(l.listen("127.0.0.1:0", Options{}), client, server)
	msg, buf := make([]byte, 300), make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = s.Write(msg)
		for n := 0; n == 0; {
			n, _, _ = c.Read(buf)
		}
	}
}
