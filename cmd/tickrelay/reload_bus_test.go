package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"tickrelay/relay/bus/natsserver"
	"tickrelay/ring/md"
)

// TestReloadBus: a feed that a reload gives another name stays on the bus, and one
// that it gives another venue is published as that one, never as the old one.
func TestReloadBus(t *testing.T) {
	srv, err := natsserver.Start(natsserver.Config{Name: "one", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Stop)
	bin, okx := simulated(t, "binance", 200), simulated(t, "okx", 200)
	dir := t.TempDir()
	file := filepath.Join(dir, "relay.yaml")
	name := fmt.Sprintf("test-%d-%d", os.Getpid(), time.Now().UnixNano()%1e9)
	write := func(feed, venue, url, rest string) {
		text := fmt.Sprintf("relay: %s\nsocket: %s/s\nfeeds: [{name: %s, venue: %s, url: %q, rest: %q, instruments: [BTC-USDT], channels: [trades, book]}]\nbus: {nats: {url: %q, lease: 1s}}\n",
			name, dir, feed, venue, url, rest, srv.URL())
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	heard := &busWitness{last: map[string]time.Time{}}
	nc, err := nats.Connect(srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Subscribe(">", heard.take); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	write("main", "binance", bin.URL(), bin.REST())
	cfg, err := loadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	relay, err := newRelayd(cfg, runOptions{file: file, feedsOnly: true}, slog.New(slog.DiscardHandler))
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
	heard.await(t, "binance.trades.BTC-USDT")
	reload := func(want string) {
		t.Helper()
		if res := relay.reload(ctx); len(res.Problems) > 0 || !strings.Contains(strings.Join(res.Changes, "; "), want) || strings.Contains(strings.Join(res.Changes, "; "), "not complete") {
			t.Fatalf("%+v", res)
		}
	}
	write("other", "binance", bin.URL(), bin.REST())
	reload("feed other: added")
	heard.await(t, "binance.trades.BTC-USDT")
	write("other", "okx", okx.URL(), okx.REST())
	reload("feed other: okx in the place of binance")
	heard.await(t, "okx.trades.BTC-USDT")
	heard.await(t, "okx.book.BTC-USDT")
	heard.mu.Lock()
	defer heard.mu.Unlock()
	for _, s := range heard.wrong {
		t.Error(s)
	}
}

// busWitness hears all that goes over a bus.
type busWitness struct {
	mu    sync.Mutex
	last  map[string]time.Time // of a topic's records
	wrong []string
}

func (w *busWitness) take(m *nats.Msg) {
	w.mu.Lock()
	defer w.mu.Unlock()
	topic := m.Subject
	if rest, ok := strings.CutPrefix(topic, "_tickrelay.keyframes.all."); ok {
		topic = rest
	} else if strings.HasPrefix(topic, "_") || strings.HasPrefix(topic, "$") {
		return
	}
	recs := make([]md.Record, len(m.Data)/md.RecordSize)
	copy(md.AsBytes(recs), m.Data)
	for i := range recs {
		if r := &recs[i]; !strings.HasPrefix(topic, r.Venue.String()+".") && len(w.wrong) < 5 {
			w.wrong = append(w.wrong, fmt.Sprintf("%s: a %s of %s", m.Subject, r.Kind, r.Venue))
		}
	}
	w.last[topic] = time.Now()
}

// await waits until a topic has records that came after the call.
func (w *busWitness) await(t *testing.T, topic string) {
	t.Helper()
	from := time.Now()
	waitFor(t, topic+" on the bus", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.last[topic].After(from)
	})
}
