package feeds

import (
	"context"
	"crypto/tls"
	"errors"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"tickrelay/feeds/sim"
	"tickrelay/ring"
	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

func openFDs(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("descriptors cannot be counted here: %v", err)
	}
	return len(list)
}

// TestFeedStopsWithoutLeaks stops feeds in every state of a line and wants the
// sockets closed and the goroutines gone.
func TestFeedStopsWithoutLeaks(t *testing.T) {
	serverTLS, roots, err := sim.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		o     sim.Options
		edit  func(*Config, *sim.Server)
		until func(h LineHealth) bool
	}{
		{name: "live", until: func(h LineHealth) bool { return h.Frames > 100 }},
		{name: "live over TLS", o: sim.Options{TLS: serverTLS},
			edit:  func(c *Config, _ *sim.Server) { c.TLS = &tls.Config{RootCAs: roots} },
			until: func(h LineHealth) bool { return h.Frames > 100 }},
		{name: "backing off", edit: func(c *Config, _ *sim.Server) { c.URL = "ws://127.0.0.1:1/" },
			until: func(h LineHealth) bool { return h.Faults["refused"] > 3 }},
		{name: "unreachable REST", edit: func(c *Config, _ *sim.Server) { c.REST = "http://127.0.0.1:1" },
			until: func(h LineHealth) bool { return h.Frames > 0 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, quick(t, "okx"), c.o, c.edit)
			goroutines, fds := runtime.NumGoroutine(), openFDs(t)
			stop := runFeed(t, r.feed)
			r.wait("the line's state", func() bool { return c.until(r.feed.Health().Lines[0]) })
			stop()
			r.wait("the ring's end", func() bool { return r.seen.gone })
			waitFor(t, "goroutines and descriptors of before", func() bool {
				return runtime.NumGoroutine() <= goroutines && openFDs(t) <= fds
			})
			if h := r.feed.Health(); h.State != "idle" || h.Lines[0].State != LineIdle {
				t.Errorf("a stopped feed says %q, its line %s", h.State, h.Lines[0].State)
			}
			if _, err := r.feed.Attach(ring.NewHeap(1024, ring.Meta{Name: "late"}), nil); !errors.Is(err, ErrStopped) {
				t.Errorf("attach after the end: %v", err)
			}
			if err := r.feed.Run(context.Background()); !errors.Is(err, ErrStopped) {
				t.Errorf("a second run: %v", err)
			}
		})
	}
}

func TestFeedStopSaysGoodbye(t *testing.T) {
	r := newRig(t, quick(t, "binance"), sim.Options{}, nil)
	stop := runFeed(t, r.feed)
	r.live()
	stop()
	r.seen.pump()
	if r.seen.gaps[md.GapDisconnect] == 0 {
		t.Error("readers were not told that the books are no longer fed")
	}
	waitFor(t, "the exchange to see us leave", func() bool { return r.server.Stats().Sessions == 0 })
}

func TestFeedTLS(t *testing.T) {
	serverTLS, roots, err := sim.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, quick(t, "bitget"), sim.Options{TLS: serverTLS}, func(c *Config, _ *sim.Server) {
		c.TLS = &tls.Config{RootCAs: roots}
	})
	runFeed(t, r.feed)
	r.live()
	r.same()
	if h := r.feed.Health(); h.Instruments != 2 {
		t.Errorf("catalogue over https is %q", h.Catalogue)
	}
}

func TestFeedNamesACertificateItCannotTrust(t *testing.T) {
	serverTLS, _, err := sim.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, quick(t, "okx"), sim.Options{TLS: serverTLS}, nil)
	runFeed(t, r.feed)
	r.wait("the certificate fault, again and again", func() bool {
		return r.feed.Health().Lines[0].Faults["certificate"] > 2
	})
	h := r.feed.Health()
	if !strings.Contains(h.Lines[0].LastError, "certificate") || h.Lines[0].LastFault != "certificate" {
		t.Errorf("health says %q: %q", h.Lines[0].LastFault, h.Lines[0].LastError)
	}
	if h.Lines[0].Connects != 0 || !strings.HasPrefix(h.Catalogue, "failed") {
		t.Errorf("%d connects, catalogue %q", h.Lines[0].Connects, h.Catalogue)
	}
}

func TestFeedRefusedThenThere(t *testing.T) {
	r := newRig(t, quick(t, "bitget"), sim.Options{Faults: sim.Faults{For: 300 * time.Millisecond}}, nil)
	if err := r.server.Inject(sim.FaultRefuse); err != nil {
		t.Fatal(err)
	}
	runFeed(t, r.feed)
	r.wait("refused connects", func() bool { return r.feed.Health().Lines[0].Faults["refused"] > 0 })
	r.live()
	r.same()
}

func TestFeedRESTFaultsThenWorking(t *testing.T) {
	for _, fault := range []sim.Fault{sim.FaultRESTError, sim.FaultRESTTruncated, sim.FaultRESTStale, sim.FaultREST429} {
		t.Run(fault.String(), func(t *testing.T) {
			o := sim.Options{Faults: sim.Faults{For: 200 * time.Millisecond}}
			r := newRig(t, quick(t, "binance"), o, func(c *Config, s *sim.Server) {
				for range 3 { // the catalogue's and the first snapshots' answers
					if err := s.Inject(fault); err != nil {
						t.Fatal(err)
					}
				}
			})
			runFeed(t, r.feed)
			r.live()
			r.same()
			if h := r.feed.Health(); fault != sim.FaultRESTStale && h.RESTFailures == 0 && r.feed.Stats().RejectedTotal() == 0 {
				t.Errorf("no failure counted: %+v", h)
			}
		})
	}
}

func TestFeedAttachDuringRun(t *testing.T) {
	r := newRig(t, quick(t, "okx"), sim.Options{}, nil)
	runFeed(t, r.feed)
	r.live()
	seg := ring.NewHeap(1<<14, ring.Meta{Name: "second"})
	detach, err := r.feed.Attach(seg, func(_ uint32, ch md.Channel) bool { return ch == md.ChannelBook })
	if err != nil {
		t.Fatal(err)
	}
	c, err := ring.OpenConsumer(seg)
	if err != nil {
		t.Fatal(err)
	}
	first := r.seen
	r.seen = newSightings(t, c)
	r.wait("the second reader's snapshots", func() bool {
		first.pump()
		return r.reader("BTC-USDT").State == book.Live && r.reader("ETH-USDT").State == book.Live
	})
	r.same()
	if n := r.seen.kinds[md.KindTrade]; n != 0 {
		t.Errorf("%d trades in a ring of books", n)
	}
	detach()
	detach()
	r.wait("the ring's end", func() bool { first.pump(); return r.seen.gone })
	r.seen = first
	r.live()
}

func TestFeedTwoInOneProcessShareTableAndMarket(t *testing.T) {
	a := newRig(t, quick(t, "okx"), sim.Options{}, nil)
	b := newRig(t, quick(t, "bitget"), sim.Options{}, func(c *Config, _ *sim.Server) { c.Table = a.table })
	b.table = a.table
	runFeed(t, a.feed)
	runFeed(t, b.feed)
	a.live()
	b.live()
	a.same()
	b.same()
}

func TestFeedHealthTellsWhatWasGranted(t *testing.T) {
	cpu := firstCPU(t)
	r := newRig(t, quick(t, "okx"), sim.Options{}, func(c *Config, _ *sim.Server) { c.Busy, c.CPU = true, cpu })
	runFeed(t, r.feed)
	r.live()
	r.wait("latency samples", func() bool { return r.feed.Health().Publish.Count > 100 })
	h := r.feed.Health()
	line := h.Lines[0]
	if !slices.Contains(line.Options, "nodelay=1") {
		t.Errorf("options granted: %v", line.Options)
	}
	if h.State != "live" || line.State != LineLive || line.Connects != 1 || line.Bytes < line.Frames || line.LastFrame == 0 || line.Sent == 0 {
		t.Errorf("health %+v", h)
	}
	if h.Publish.P50 <= 0 || h.Publish.P99 < h.Publish.P50 || h.Publish.Max < h.Publish.P99 {
		t.Errorf("publish latency %+v", h.Publish)
	}
	if h.Latency.Count+h.Latency.Negative == 0 {
		t.Errorf("venue latency %+v", h.Latency)
	}
	if len(line.Faults) != int(faultCount)-1 {
		t.Errorf("%d fault names, want all %d", len(line.Faults), int(faultCount)-1)
	}
}

// TestFeedLinesStandInForEachOther ends one of two lines: trades that the other
// brings as well, told apart by their ids, go on without a gap.
func TestFeedLinesStandInForEachOther(t *testing.T) {
	r := newRig(t, quick(t, "binance"), sim.Options{}, func(c *Config, _ *sim.Server) { c.Lines = 2 })
	runFeed(t, r.feed)
	r.wait("both lines", func() bool {
		h := r.feed.Health()
		return h.Lines[0].Frames > 50 && h.Lines[1].Frames > 50
	})
	r.live()
	for line := range 2 {
		r.feed.loop.mail.call(func() {
			r.feed.loop.sessions[line].fail(errAsked)
			r.feed.loop.settle()
		})
		if h := r.feed.Health(); h.State != "live" {
			t.Errorf("with one line down the feed is %s", h.State)
		}
		r.wait("the line to come back", func() bool { h := r.feed.Health().Lines[line]; return h.Connects == 2 && h.Frames > 100 })
		r.live()
		r.same()
	}
	for reason, n := range r.seen.tradeGaps {
		t.Errorf("%d gaps of trades, reason %s", n, reason)
	}
}

// TestFeedBooksComeBackWithTheFirstLineThatHasThem ends the lines in turn, the
// one that owns the books among them: the snapshot that a new connection brings
// is taken although the book belonged to the other line.
func TestFeedBooksComeBackWithTheFirstLineThatHasThem(t *testing.T) {
	for _, name := range []string{"bitget", "okx"} {
		r := newRig(t, quick(t, name), sim.Options{}, func(c *Config, _ *sim.Server) { c.Lines = 2 })
		stop := runFeed(t, r.feed)
		r.live()
		for cut := range 6 {
			start := time.Now()
			r.feed.loop.mail.call(func() {
				r.feed.loop.sessions[cut%2].fail(errAsked)
				r.feed.loop.settle()
			})
			r.wait("both lines", func() bool {
				h := r.feed.Health()
				return h.Lines[0].State == LineLive && h.Lines[1].State == LineLive
			})
			r.live()
			if took := time.Since(start); took > 4*time.Second {
				t.Errorf("%s: after cut %d the books took %s", name, cut, took)
			}
		}
		r.same()
		stop()
	}
}

// TestFeedTriesTheNextAddressOfAName has a name with a dead address first.
func TestFeedTriesTheNextAddressOfAName(t *testing.T) {
	addrs := []netip.Addr{netip.MustParseAddr("127.0.0.9"), netip.MustParseAddr("127.0.0.1")}
	r := newRig(t, quick(t, "okx"), sim.Options{}, func(c *Config, _ *sim.Server) {
		c.URL = strings.Replace(c.URL, "127.0.0.1", "venue.example", 1)
		c.Resolve = resolveTo(addrs, nil)
	})
	runFeed(t, r.feed)
	r.live()
	if h := r.feed.Health().Lines[0]; h.Attempts != 1 || h.Faults["refused"] != 1 {
		t.Errorf("%d attempts, faults %v", h.Attempts, h.Faults)
	}
}
