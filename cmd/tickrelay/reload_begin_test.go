package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tickrelay/feeds"
	"tickrelay/nettune"
	"tickrelay/ring"
	"tickrelay/ring/md"
)

// scarce is a transport whose pollers cannot be had for a while.
type scarce struct {
	nettune.Transport
	none  *atomic.Bool
	asked *atomic.Int64
}

func (s scarce) NewPoller(c nettune.PollerConfig) (nettune.Poller, error) {
	s.asked.Add(1)
	if s.none.Load() {
		return nil, errors.New("too many open files")
	}
	return s.Transport.NewPoller(c)
}

// TestReloadThatCannotBegin: a feed that a reload brings ends nothing that runs. A
// processor that there is not is refused; one that finds no descriptors is tried again,
// and can be replaced meanwhile.
func TestReloadThatCannotBegin(t *testing.T) {
	bin, okx := simulated(t, "binance", 100), simulated(t, "okx", 100)
	dir := t.TempDir()
	file := filepath.Join(dir, "relay.yaml")
	name := fmt.Sprintf("test-%d-%d", os.Getpid(), time.Now().UnixNano()%1e9)
	write := func(more string) {
		text := fmt.Sprintf("relay: %s\nsocket: %s/s\nfeeds:\n  - {venue: binance, url: %q, rest: %q, instruments: [BTC-USDT], channels: [trades]}\n", name, dir, bin.URL(), bin.REST())
		if more != "" {
			text += fmt.Sprintf("  - {venue: okx, url: %q, rest: %q, instruments: [BTC-USDT], channels: [trades], %s}\n", okx.URL(), okx.REST(), more)
		}
		text += "rings: [{strategy: alpha, topics: [\"binance.>\"], capacity: 4096}]\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	cfg, err := loadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	var none atomic.Bool
	var asked atomic.Int64
	relay, err := newRelayd(cfg, runOptions{file: file, feedsOnly: true, tune: func(c *feeds.Config) { c.Transport = scarce{c.Transport, &none, &asked} }}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := relay.run(ctx); err != nil {
			t.Error(err)
		}
	})
	defer wg.Wait()
	defer cancel()
	live := func(feed string) func() bool {
		return func() bool { f := relay.unit(feed); return f != nil && f.Stats().Records.Load() > 0 }
	}
	waitFor(t, "the first feed", live("binance"))
	write("cpu: 1023")
	if res := relay.reload(ctx); len(res.Problems) != 1 || !strings.Contains(res.Problems[0], "feed okx: feeds: pin the hot loop to cpu 1023") {
		t.Errorf("a processor that there is not: %+v", res)
	}
	none.Store(true)
	before := asked.Load()
	for _, more := range []string{"lines: 1", "lines: 2"} {
		write(more)
		if res := relay.reload(ctx); len(res.Problems) > 0 || strings.Contains(fmt.Sprint(res.Changes), "not complete") {
			t.Fatalf("%+v", res)
		}
	}
	waitFor(t, "another try", func() bool { return asked.Load() >= before+3 })
	none.Store(false)
	waitFor(t, "the second feed", live("okx"))
	if ctx.Err() != nil || relay.running.ctx.Err() != nil {
		t.Error("the relay has ended")
	}
	w := httptest.NewRecorder()
	relay.serveHealth(w, httptest.NewRequest("GET", "/healthz", nil))
	if w.Code != 200 || w.Body.String() != "ok\n" {
		t.Errorf("/healthz: %d %s", w.Code, w.Body)
	}
	// A loop that hangs is told.
	hold, held := make(chan struct{}), make(chan struct{})
	hang := sync.OnceFunc(func() { close(held); <-hold })
	wg.Go(func() {
		detach, err := relay.unit("okx").Attach(ring.NewHeap(1024, ring.Meta{}), func(uint32, md.Channel) bool { hang(); return true })
		if err != nil {
			t.Error(err)
			return
		}
		detach()
	})
	<-held
	short, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	defer stop()
	w = httptest.NewRecorder()
	relay.serveHealth(w, httptest.NewRequestWithContext(short, "GET", "/healthz", nil))
	if w.Code != 503 || !strings.Contains(w.Body.String(), "okx") {
		t.Errorf("/healthz of a loop that hangs: %d %s", w.Code, w.Body)
	}
	close(hold)
}
