package transportbench

import (
	"context"
	"net/netip"
	"testing"
	"time"
)

// TestMeasure has both ends in this process, over loopback, asleep and busy.
func TestMeasure(t *testing.T) {
	for _, busy := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		ready, ended := make(chan netip.AddrPort, 1), make(chan error, 1)
		e := Endpoint{CPU: -1, Busy: busy}
		go func() {
			ended <- Serve(ctx, e, netip.MustParseAddrPort("127.0.0.1:0"), func(a netip.AddrPort) { ready <- a })
		}()
		type got struct {
			echo, stream Result
			err          error
		}
		done := make(chan got, 1)
		go func() {
			var g got
			g.echo, g.stream, g.err = Measure(ctx, e, <-ready, 50*time.Millisecond)
			done <- g
		}()
		g := <-done
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if g.err != nil {
			t.Fatal(g.err)
		}
		if g.echo.Messages == 0 || g.echo.P50 <= 0 || g.echo.P999 < g.echo.P99 || g.stream.Messages < 64 || g.echo.CPU <= 0 {
			t.Errorf("busy %v: %+v, %+v", busy, g.echo, g.stream)
		}
	}
}
