package sim_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"tickrelay/feeds/sim"
)

func TestTLS(t *testing.T) {
	conf, roots, err := sim.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	x := open(t, "okx", sim.Options{TLS: conf})
	if !strings.HasPrefix(x.URL(), "wss://") || !strings.HasPrefix(x.REST(), "https://") {
		t.Fatal(x.URL(), x.REST())
	}
	c := dial(t, x.URL(), roots)
	c.send("ping")
	c.want("pong")
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get(x.REST() + "/api/v5/public/time")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if _, err := tls.Dial("tcp", x.Addr(), &tls.Config{}); err == nil {
		t.Error("a client without the roots was served")
	}
}

func TestManyClients(t *testing.T) {
	x := open(t, "bitget", sim.Options{})
	clients := make([]*client, 40)
	for i := range clients {
		clients[i] = dial(t, x.URL(), nil)
		clients[i].send(bitgetBooks)
		clients[i].next()
	}
	x.run(1000)
	x.freeze(t)
	truth, _ := x.Book("BTC-USDT")
	for _, c := range clients {
		c.send("ping")
		b := newTextBook(2, 5)
		followBitget(t, c, b, sim.Options{})
		b.equal(t, truth)
	}
}

func TestServeRefuses(t *testing.T) {
	m, err := sim.NewMarket(1, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]func() (*sim.Server, error){
		"venue":   func() (*sim.Server, error) { return sim.Serve(t.Context(), "nosuch", "127.0.0.1:0", m, sim.Options{}) },
		"address": func() (*sim.Server, error) { return sim.Serve(t.Context(), "okx", "nowhere", m, sim.Options{}) },
		"queue": func() (*sim.Server, error) {
			return sim.Serve(t.Context(), "okx", "127.0.0.1:0", m, sim.Options{Queue: -1})
		},
		"fault": func() (*sim.Server, error) {
			return sim.Serve(t.Context(), "binance", "127.0.0.1:0", m, sim.Options{Faults: sim.Faults{Every: map[sim.Fault]int{sim.FaultBadChecksum: 5}}})
		},
	} {
		if s, err := try(); err == nil {
			s.Close()
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestCloseLeavesNothing runs everything that starts goroutines and counts them
// afterwards.
func TestCloseLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, venue := range sim.Venues() {
		ctx, cancel := context.WithCancel(context.Background())
		m, err := sim.NewMarket(1, nil)
		if err != nil {
			t.Fatal(err)
		}
		x, err := sim.Serve(ctx, venue, "127.0.0.1:0", m, sim.Options{Faults: sim.Faults{For: time.Hour}})
		if err != nil {
			t.Fatal(err)
		}
		ran := make(chan struct{})
		go func() { m.Run(ctx, 2000); close(ran) }()
		conns := []*client{dial(t, x.URL(), nil), dial(t, x.URL(), nil)}
		conns[0].send(bitgetBooks)
		conns[0].next()
		for _, f := range []sim.Fault{sim.FaultStall, sim.FaultNotice, sim.FaultRefuse} {
			if err := x.Inject(f); err != nil {
				t.Fatal(err)
			}
		}
		cancel() // ends the server too
		<-ran
		if err := x.Close(); err != nil {
			t.Error(err)
		}
		if err := x.Close(); err != nil {
			t.Error("second close:", err)
		}
		for _, c := range conns {
			c.conn.Close()
		}
	}
	for range 200 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	buf := make([]byte, 1<<20)
	t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
}

// lockedBuffer collects a log.
type lockedBuffer struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *lockedBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }
