package xdp

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/vishvananda/netns"
)

// The feeder denies through a filter that is attached after it started, and
// the collector tells of both.
func TestFeederAndCollector(t *testing.T) {
	fs := bpffs(t)
	server, client := cable(t)
	port := wsServer(t, server)
	target := Target{Interface: serverIf, BPFFS: fs}
	feeder := NewFeeder(FeederConfig{Target: target, For: time.Hour})
	feeder.Deny(netip.MustParseAddr("127.0.0.1")) // ignored
	feeder.Deny(netip.MustParseAddr("::ffff:10.77.0.3"))
	attach(t, server, Config{Target: target, Port: port})
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the pins are those of its namespace
		if err := netns.Set(server.h); err != nil {
			over <- err
			return
		}
		over <- feeder.Run(ctx)
	}()
	if !until(func() bool { return feeder.Denied() == 1 }) {
		t.Fatalf("denied %d, lost %d", feeder.Denied(), feeder.Lost())
	}
	if c, err := dial(client, "10.77.0.3", port, 250*time.Millisecond); err == nil {
		_ = c.Close()
		t.Error("the offender connects")
	}
	if c, err := dial(client, "10.77.0.2", port, 3*time.Second); err != nil {
		t.Error(err)
	} else {
		_ = c.Close()
	}
	server.do(func() error {
		got := gather(t, NewCollector(target, feeder))
		for _, want := range []string{
			`tickrelay_xdp_attached{interface="gw0",mode="native"} 1`,
			`tickrelay_xdp_offenders_denied_total{interface="gw0"} 1`,
			`tickrelay_xdp_offenders_lost_total{interface="gw0"} 0`,
			`tickrelay_xdp_rules{interface="gw0",list="deny"} 1`,
			`tickrelay_xdp_packets_total{interface="gw0",reason="header_chain",verdict="drop"} 0`,
		} {
			if !slices.Contains(got, want) {
				t.Errorf("no %s in\n%s", want, strings.Join(got, "\n"))
			}
		}
		if n := len(got); n != 5+int(NumReasons) {
			t.Errorf("%d metrics:\n%s", n, strings.Join(got, "\n"))
		}
		return nil
	})
	cancel()
	if err := <-over; err != nil {
		t.Error(err)
	}
}

// gather reads c as lines of the text format. It collects in this goroutine,
// since a registry starts others, in another network namespace.
func gather(t *testing.T, c prometheus.Collector) (lines []string) {
	t.Helper()
	ch := make(chan prometheus.Metric, 100)
	c.Collect(ch)
	close(ch)
	var got collected
	for m := range ch {
		got = append(got, m)
	}
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(got); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			lines = append(lines, fmt.Sprintf("%s{%s} %v", f.GetName(), strings.Join(labels, ","), m.GetCounter().GetValue()+m.GetGauge().GetValue()))
		}
	}
	return lines
}

// collected are metrics that were read already.
type collected []prometheus.Metric

func (c collected) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }
func (c collected) Collect(ch chan<- prometheus.Metric) {
	for _, m := range c {
		ch <- m
	}
}

// Without a filter nothing fails, and what is lost is counted.
func TestFeederWithoutFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFeeder(FeederConfig{Target: Target{Interface: "lo", BPFFS: t.TempDir()}})
		ctx, cancel := context.WithCancel(t.Context())
		for range feederQueue + 3 {
			f.Deny(netip.MustParseAddr("192.0.2.1"))
		}
		if f.Lost() != 3 {
			t.Errorf("%d lost of a full queue", f.Lost())
		}
		over := make(chan error, 1)
		go func() { over <- f.Run(ctx) }()
		time.Sleep(3 * feederPeriod)
		if f.Lost() != feederQueue+3 || f.Denied() != 0 {
			t.Errorf("denied %d, lost %d", f.Denied(), f.Lost())
		}
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
	c := NewCollector(Target{Interface: "lo", BPFFS: t.TempDir()}, nil)
	if got := gather(t, c); !slices.Equal(got, []string{`tickrelay_xdp_attached{interface="lo",mode="none"} 0`}) {
		t.Errorf("%q", got)
	}
}
