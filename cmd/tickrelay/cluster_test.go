package main

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tickrelay/feeds/sim"
	"tickrelay/ring"
	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// Of TestCluster: how long processes are killed for (TICKRELAY_CLUSTER_KILLS, for
// instance 10m), which ones (TICKRELAY_CLUSTER_SEED), and how many clients there are
// (TICKRELAY_CLUSTER_CLIENTS).
const (
	clusterKills   = 8 * time.Second
	clusterClients = 200
)

func envOr[T any](t *testing.T, name string, def T, parse func(string) (T, error)) T {
	text := os.Getenv(name)
	if text == "" {
		return def
	}
	v, err := parse(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

// clusterRig is a real cluster on one simulated exchange.
type clusterRig struct {
	t      *testing.T
	c      *cluster
	market *sim.Market
	log    *lineLog
}

// lineLog keeps what the processes log, for a test that fails.
type lineLog struct {
	mu   sync.Mutex
	text []byte
}

func (l *lineLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, b...)
	return len(b), nil
}

func newClusterRig(t *testing.T, rate float64) *clusterRig {
	t.Helper()
	exe, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	m, err := sim.NewMarket(3, []string{"BTC-USDT", "ETH-USDT"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	srv, err := sim.Serve(ctx, "binance", "127.0.0.1:0", m, sim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { m.Run(ctx, rate) })
	t.Cleanup(func() { cancel(); srv.Close(); wg.Wait() })
	r := &clusterRig{t: t, market: m, log: &lineLog{}}
	feeds := []feedConfig{{Venue: "binance", URL: srv.URL(), REST: srv.REST(), Instruments: m.Symbols(), Channels: []string{"trades", "book", "bbo"}}}
	if r.c, err = newCluster(t.TempDir(), "", feeds, slog.New(slog.NewTextHandler(r.log, nil)), r.log); err != nil {
		t.Fatal(err)
	}
	r.c.exe = exe
	ready, ended := make(chan struct{}), make(chan error, 1)
	run, stop := context.WithCancel(ctx)
	go func() { ended <- r.c.run(run, func() { close(ready) }) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		reclaimed(t)
		if t.Failed() {
			t.Logf("%s", tailOf(r.log, 8000))
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		ended <- err
		t.Fatal(err)
	}
	return r
}

func tailOf(l *lineLog, n int) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text[max(0, len(l.text)-n):]
}

// reclaimed removes what killed relays left in shared memory.
func reclaimed(t *testing.T) {
	if _, err := ring.ReclaimDead(ring.DefaultBase); err != nil {
		t.Error(err)
	}
}

// kill kills a member and waits until it runs again.
func (r *clusterRig) kill(m *member) {
	pid := m.pid()
	if pid == 0 {
		return
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	for end := time.Now().Add(90 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if p := m.pid(); p != 0 && p != pid && r.runs(m) {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("%s does not come back", m.name)
		}
	}
}

// runs asks a gateway whether it serves; the others tell by their start.
func (r *clusterRig) runs(m *member) bool {
	i, ok := strings.CutPrefix(m.name, "gateway-")
	if !ok {
		return true
	}
	n, _ := strconv.Atoi(i)
	c := http.Client{Timeout: time.Second}
	resp, err := c.Get("http://" + r.c.gateways[n-1] + "/healthz")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// TestCluster is three NATS servers, two ingests, two gateways and 200 clients, of
// which any process is killed, again and again: every client sees each number of an
// epoch at most once and each missing one in a gap, and all books are the exchange's
// in the end.
func TestCluster(t *testing.T) {
	kills := envOr(t, "TICKRELAY_CLUSTER_KILLS", clusterKills, time.ParseDuration)
	seed := envOr(t, "TICKRELAY_CLUSTER_SEED", 1, func(s string) (uint64, error) { return strconv.ParseUint(s, 10, 64) })
	n := envOr(t, "TICKRELAY_CLUSTER_CLIENTS", clusterClients, strconv.Atoi)
	r := newClusterRig(t, 60)
	clients := wanderers(t, n, r.c.gateways)
	whole := func(c *wanderer) bool { return c.whole() }
	r.await(clients, 120*time.Second, "a complete book", whole)

	rng := rand.New(rand.NewPCG(seed, 1))
	killed := map[string]int{}
	order := rng.Perm(len(r.c.members))
	for at, end := 0, time.Now().Add(kills); at < 3 || time.Now().Before(end); at++ {
		m := r.c.members[order[at%len(order)]]
		r.kill(m)
		killed[m.name]++
		time.Sleep(time.Duration(rng.IntN(500)) * time.Millisecond)
		r.well(clients)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := r.market.Freeze(ctx); err != nil {
		t.Fatal(err)
	}
	books := map[string]sim.Book{}
	for _, s := range r.market.Symbols() {
		b, err := r.market.Book(s)
		if err != nil {
			t.Fatal(err)
		}
		books["binance.book."+s] = b
	}
	r.await(clients, 120*time.Second, "the exchange's books", func(c *wanderer) bool { return c.equals(books) })
	var sum wandererCount
	for _, c := range clients {
		sum.add(&c.count)
	}
	t.Logf("killed %v; %d clients: %+v", killed, n, sum)
	if sum.records == 0 || sum.gaps == 0 {
		t.Error("nothing was seen to be lost and told")
	}
}

// await waits until all clients have what is asked.
func (r *clusterRig) await(clients []*wanderer, within time.Duration, what string, ok func(*wanderer) bool) {
	r.t.Helper()
	for end := time.Now().Add(within); ; time.Sleep(50 * time.Millisecond) {
		r.well(clients)
		missing := 0
		for _, c := range clients {
			c.mu.Lock()
			if !ok(c) {
				missing++
			}
			c.mu.Unlock()
		}
		if missing == 0 {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("not within %s: %s: %d of %d clients", within, what, missing, len(clients))
		}
	}
}

// well ends the test at the first client that was served wrongly.
func (r *clusterRig) well(clients []*wanderer) {
	r.t.Helper()
	for i, c := range clients {
		c.mu.Lock()
		err := c.wrong
		c.mu.Unlock()
		if err != nil {
			r.t.Fatalf("client %d: %v", i, err)
		}
	}
}

// TestDemoCluster runs the command as a user would.
func TestDemoCluster(t *testing.T) {
	d := start(t, "demo", "--cluster", "--listen", "127.0.0.1:0", "--rate", "50")
	page := d.line("page ")
	addr := strings.TrimPrefix(strings.Fields(page)[0], "http://")
	addr = strings.TrimSuffix(addr, "/")
	if _, _, err := net.SplitHostPort(addr); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get("http://" + addr + "/api/v1/book/okx/ETH-USDT?depth=1")
		if err == nil {
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK && strings.Contains(string(body), `"bids":[[`) {
				break
			}
		}
		if time.Now().After(end) {
			t.Fatal("no book from the gateway")
		}
	}
	d.cmd.Process.Signal(os.Interrupt)
	select {
	case <-d.exited:
	case <-time.After(60 * time.Second):
		t.Fatal("Ctrl-C does not end it")
	}
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// sameLevels compares one side of a book with the exchange's.
func sameLevels(b *book.Book, got *book.Side, want []sim.Level, priceExp, sizeExp int8) bool {
	if got.Len() != len(want) {
		return false
	}
	for i := range want {
		l := got.At(i)
		if md.Cmp(l.Price, b.PriceExp, want[i].Price, priceExp) != 0 || md.Cmp(l.Size, b.SizeExp, want[i].Size, sizeExp) != 0 {
			return false
		}
	}
	return true
}
