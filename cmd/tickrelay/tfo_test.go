package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"tickrelay/feeds"
	"tickrelay/feeds/sim"
	"tickrelay/nettune"
	"tickrelay/relay"
	"tickrelay/ring/md"
)

// fastOpenEnv marks the process that runs within a namespace of its own.
const fastOpenEnv = "TICKRELAY_TEST_FASTOPEN"

// TestFastOpen runs TestFastOpenInside as a process in a fresh network
// namespace, whose counters and sysctl are nobody else's.
func TestFastOpen(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: a network namespace and net.ipv4.tcp_fastopen")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"Gateway", "Feed"} {
		cmd := exec.Command(self, "-test.v", "-test.run", "^TestFastOpen"+what+"Inside$")
		cmd.Env = append(os.Environ(), fastOpenEnv+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestFastOpen"+what+"Inside") {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

// insideNamespace prepares the namespace: loopback up, the sysctl set.
func insideNamespace(t *testing.T, sysctl string) {
	t.Helper()
	if os.Getenv(fastOpenEnv) == "" {
		t.Skip("run by TestFastOpen in a network namespace")
	}
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err == nil {
		err = os.WriteFile("/proc/sys/net/ipv4/tcp_fastopen", []byte(sysctl), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func fastOpenCounters(t *testing.T) nettune.FastOpenCounters {
	t.Helper()
	c, err := nettune.GlobalSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestFastOpenGatewayInside: from the second connection on, a client's upgrade
// request reaches the gateway in the SYN, by the kernel's own count.
func TestFastOpenGatewayInside(t *testing.T) {
	insideNamespace(t, "3")
	table, err := md.CreateTable(make([]byte, md.TableSize(16)), 16, 1)
	if err != nil {
		t.Fatal(err)
	}
	g, err := relay.New(relay.Config{Listen: "127.0.0.1:0", Table: table.View()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- g.Run(ctx) }()
	request := "GET /ws HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	before := fastOpenCounters(t)
	const rounds = 5
	for range rounds {
		var d nettune.Dialer
		c, err := d.Dial(g.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("%v %v", answer, err)
		}
		_ = c.Close()
	}
	after := fastOpenCounters(t)
	if p, a := after.Passive-before.Passive, after.Active-before.Active; p != rounds-1 || a != rounds-1 || after.PassiveFail != before.PassiveFail {
		t.Errorf("of %d connections the kernel counts %d passive, %d active, want %d each: %+v", rounds, p, a, rounds-1, after)
	}
	t.Logf("%+v", after)
	cancel()
	if err := <-over; err != nil {
		t.Error(err)
	}
}

// TestFastOpenFeedInside: a feed whose exchange hangs up comes back with its
// upgrade request in the SYN. Bit 0x400 of the sysctl lets the simulated
// exchange's plain listener take part; without REST no other connection is made.
func TestFastOpenFeedInside(t *testing.T) {
	insideNamespace(t, "1027") // 0x403
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	market, err := sim.NewMarket(1, []string{"BTC-USDT"})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = market.Run(ctx, 500) }()
	exchange, err := sim.Serve(ctx, "okx", "127.0.0.1:0", market, sim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer exchange.Close()
	table, err := md.CreateTable(make([]byte, md.TableSize(64)), 64, 1)
	if err != nil {
		t.Fatal(err)
	}
	venue, _ := feeds.ByName("okx")
	feed, err := feeds.New(feeds.Config{Venue: venue, URL: exchange.URL(), REST: feeds.NoREST, Instruments: []string{"BTC-USDT"},
		Channels: []md.Channel{md.ChannelTrades}, Transport: nettune.KernelTransport(), Table: table, Epoch: 1, CPU: -1})
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- feed.Run(ctx) }()
	live := func(connects uint64) feeds.LineHealth {
		t.Helper()
		var h feeds.LineHealth
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if h = feed.Health().Lines[0]; h.State == feeds.LineLive && h.Connects >= connects {
				return h
			}
		}
		t.Fatalf("not live: %+v", h)
		return h
	}
	live(1)
	first := fastOpenCounters(t)
	if err := exchange.Inject(sim.FaultCutMidFrame); err != nil {
		t.Fatal(err)
	}
	h := live(2)
	again := fastOpenCounters(t)
	if again.Active <= first.Active || again.Passive <= first.Passive {
		t.Errorf("first connection: %+v\nsecond: %+v", first, again)
	}
	if !slices.Contains(h.Options, "fastopen=1") || !slices.Contains(h.Options, "nodelay=1") {
		t.Errorf("granted %q", h.Options)
	}
	t.Logf("granted %q; %+v", h.Options, again)
	cancel()
	if err := <-over; err != nil {
		t.Error(err)
	}
}
