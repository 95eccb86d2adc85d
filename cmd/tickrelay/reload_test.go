package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws/wsutil"

	"tickrelay/feeds/sim"
	"tickrelay/ring"
	"tickrelay/ring/md"
)

// reloads is how many the test makes: TICKRELAY_RELOADS, or a few.
func reloads(t *testing.T) int {
	t.Helper()
	text := os.Getenv("TICKRELAY_RELOADS")
	if text == "" {
		return 12
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// simulated is an exchange of this process.
func simulated(t *testing.T, venue string, rate float64) *sim.Server {
	t.Helper()
	m, err := sim.NewMarket(7, []string{"BTC-USDT", "ETH-USDT", "SOL-USDT"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	srv, err := sim.Serve(ctx, venue, "127.0.0.1:0", m, sim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = m.Run(ctx, rate) })
	t.Cleanup(func() { cancel(); srv.Close(); wg.Wait() })
	return srv
}

// reloadRig is a relay of which one feed, binance, is never touched.
type reloadRig struct {
	t              *testing.T
	file, socket   string
	listen, name   string
	bin, okx, bget *sim.Server
	relay          *process
}

// config writes one of the configurations that the test goes round.
func (r *reloadRig) config(k int) {
	okx, more, rings := "[BTC-USDT]", "", ""
	lines, channels := 1, "[trades, book]"
	switch k % 5 {
	case 1:
		okx, channels = `["*-USDT"]`, "[trades, book, bbo]"
	case 2:
		more = fmt.Sprintf("  - {venue: bitget, url: %q, rest: %q, instruments: [BTC-USDT], channels: [trades, book]}\n", r.bget.URL(), r.bget.REST())
		rings = "  - {strategy: beta, topics: [\"bitget.>\", \"okx.trades.*\"], capacity: 4096}\n"
	case 3:
		lines = 2
		rings = "  - {strategy: beta, topics: [\"okx.>\"], capacity: 8192}\nlimits: {conns_per_address: 50}\norigins: [https://desk.example]\n"
	}
	text := fmt.Sprintf(`relay: %s
listen: %s
socket: %s
feeds:
  - {venue: binance, url: %q, rest: %q, instruments: [BTC-USDT, ETH-USDT], channels: [trades, book]}
  - {venue: okx, url: %q, rest: %q, instruments: %s, channels: %s, lines: %d}
%srings:
  - {strategy: alpha, topics: ["binance.>"], capacity: 1048576}
%s`, r.name, r.listen, r.socket, r.bin.URL(), r.bin.REST(), r.okx.URL(), r.okx.REST(), okx, channels, lines, more, rings)
	if err := os.WriteFile(r.file, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func newReloadRig(t *testing.T, rate float64) *reloadRig {
	t.Helper()
	dir := t.TempDir()
	r := &reloadRig{t: t, file: filepath.Join(dir, "relay.yaml"), socket: filepath.Join(dir, "s"), listen: freePort(t),
		name: fmt.Sprintf("test-%d-%d", os.Getpid(), time.Now().UnixNano()%1e9),
		bin:  simulated(t, "binance", rate), okx: simulated(t, "okx", rate), bget: simulated(t, "bitget", rate)}
	r.config(0)
	r.relay = start(t, "run", "-c", r.file)
	r.relay.line("socket ")
	return r
}

func (r *reloadRig) reload() reloadResult {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	var res reloadResult
	for {
		err := ring.Command(ctx, r.socket, "reload", &res)
		if errors.Is(err, ring.ErrNotRunning) && ctx.Err() == nil {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		if err != nil {
			r.t.Fatal(err)
		}
		return res
	}
}

// witness reads a ring and finds every number that is missing.
type witness struct {
	last   map[string]uint64
	epochs map[uint64]bool
	recs   int
	wrong  []string
}

func (w *witness) see(recs []md.Record) {
	for i := range recs {
		r := &recs[i]
		key := fmt.Sprint(r.Instrument, r.Channel())
		switch {
		case r.Kind == md.KindHeartbeat && r.Side == 0:
			w.epochs[r.ID] = true
		case r.Kind == md.KindHeartbeat:
			if _, known := w.last[key]; known {
				w.wrong = append(w.wrong, "a topic begins twice: "+key)
			}
			w.last[key] = r.Seq
		case r.Kind == md.KindInstrument || r.Flags&md.FlagSnapshot != 0:
		case r.Kind == md.KindGap:
			w.wrong = append(w.wrong, fmt.Sprintf("gap of %s: %s", key, md.GapReason(r.Level)))
			w.last[key] = r.Seq
		default:
			if last, known := w.last[key]; known && r.Seq != last+1 {
				w.wrong = append(w.wrong, fmt.Sprintf("%s: %d after %d", key, r.Seq, last))
			}
			w.last[key] = r.Seq
			w.recs++
		}
	}
}

// TestReloadUnderLoad: a relay goes through configurations that add and remove
// feeds, instruments, channels, lines, rings, limits and origins, while a strategy
// and a WebSocket client read a feed that none of them touches: no record of it is
// missing, its epoch stays, its connection stays.
func TestReloadUnderLoad(t *testing.T) {
	r := newReloadRig(t, 2000)
	c, err := ring.Open(filepath.Join(ring.DefaultBase, r.name), "alpha-binance")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w := &witness{last: map[string]uint64{}, epochs: map[uint64]bool{}}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		recs := make([]md.Record, 4096)
		for {
			n, err := c.Poll(recs)
			if err != nil {
				w.wrong = append(w.wrong, err.Error())
				return
			}
			w.see(recs[:n])
			if n == 0 {
				select {
				case <-stop:
					return
				default:
					_, _ = c.Wait(ring.WaitBlock, 50*time.Millisecond)
				}
			}
		}
	})
	client := newChain(t, r.listen, "binance.trades.*")
	wg.Go(func() { client.read(stop) })
	touched := newChain(t, r.listen, "okx.>", "bitget.>")
	touched.gaps = true
	wg.Go(func() { touched.read(stop) })
	client.begun(t)
	touched.begun(t)
	changes := 0
	for k := 1; k <= reloads(t); k++ {
		if k%5 == 4 { // one that must change nothing
			if err := os.WriteFile(r.file, []byte("relay: x\nfeeds:\n  - {venue: binanse}\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if res := r.reload(); len(res.Problems) != 2 || !strings.Contains(res.Problems[0], "relay.yaml:3: feeds[0]") || len(res.Changes) > 0 {
				t.Fatalf("a bad configuration: %+v", res)
			}
			continue
		}
		r.config(k)
		res := r.reload()
		if len(res.Problems)+len(res.Restart) > 0 || len(res.Changes) == 0 {
			t.Fatalf("reload %d: %+v\n%s", k, res, r.relay.errors())
		}
		changes += len(res.Changes)
		client.await(t, client.count()+20)
		touched.await(t, touched.count()+20)
	}
	close(stop)
	client.conn.Close()
	touched.conn.Close()
	wg.Wait()
	for _, s := range slices.Concat(w.wrong, client.wrong, touched.wrong) {
		t.Error(s)
	}
	if len(w.epochs) != 1 {
		t.Errorf("epochs %v", w.epochs)
	}
	m := metricsOf(t, r.listen)
	if n := m[`tickrelay_line_connects_total{feed="binance",line="0",part="0"}`]; n != "1" {
		t.Errorf("the feed that nothing touches has connected %s times", n)
	}
	for _, name := range []string{"tickrelay_hub_jumps_total", "tickrelay_hub_duplicates_total"} {
		if m[name] != "0" {
			t.Errorf("%s is %q: numbers do not go on where a feed was taken up anew", name, m[name])
		}
	}
	if m[`tickrelay_config_reloads_total{result="ok"}`] == "0" || m[`tickrelay_config_reloads_total{result="failed"}`] == "0" {
		t.Error("reloads are not counted")
	}
	if code := r.relay.stop(); code != 0 {
		t.Errorf("exit %d\n%s", code, r.relay.errors())
	}
	t.Logf("%d reloads with %d changes: %d records in the strategy's ring and %d messages over WebSocket of the feed left alone, none missing; %d of the others", reloads(t), changes, w.recs, client.count(), touched.count())
}

// metricsOf reads /metrics, one value per series.
func metricsOf(t *testing.T, addr string) map[string]string {
	t.Helper()
	resp, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			m[line[:i]] = strings.TrimSpace(line[i+1:])
		}
	}
	return m
}

// chain is a WebSocket client that checks that nothing is missing.
type chain struct {
	conn  io.Closer
	rw    io.ReadWriter
	mu    sync.Mutex
	n     int
	last  map[string]uint64
	wrong []string
	gaps  bool // are right, as long as they say what is missing
}

func newChain(t *testing.T, addr string, topics ...string) *chain {
	t.Helper()
	conn := wsClient(t, addr, "tickrelay.v1.json")
	list, _ := json.Marshal(topics)
	if err := wsutil.WriteClientText(conn, fmt.Appendf(nil, `{"op":"unsubscribe","topics":["okx.trades.*","okx.book.*","okx.bbo.*","okx.ticker.*"]}`)); err != nil {
		t.Fatal(err)
	}
	if err := wsutil.WriteClientText(conn, fmt.Appendf(nil, `{"op":"subscribe","topics":%s}`, list)); err != nil {
		t.Fatal(err)
	}
	return &chain{conn: conn, rw: conn, last: map[string]uint64{}}
}

func (c *chain) read(stop chan struct{}) {
	for {
		text, err := wsutil.ReadServerText(c.rw)
		if err != nil {
			select {
			case <-stop:
			default:
				c.mu.Lock()
				c.wrong = append(c.wrong, "the client was cut off: "+err.Error())
				c.mu.Unlock()
			}
			return
		}
		c.see(text)
	}
}

func (c *chain) see(text []byte) {
	var m struct {
		Type, Topic string
		Seq, Prev   uint64
	}
	if json.Unmarshal(text, &m) != nil || m.Seq == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	if m.Type == "gap" && !c.gaps {
		c.wrong = append(c.wrong, "gap: "+string(text))
	} else if last, known := c.last[m.Topic]; known && m.Prev > last && m.Type != "gap" {
		c.wrong = append(c.wrong, fmt.Sprintf("%s: %d after %d", m.Topic, m.Prev, last))
	}
	c.last[m.Topic] = m.Seq
}

func (c *chain) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func (c *chain) begun(t *testing.T) { c.await(t, 10) }

func (c *chain) await(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); c.count() < n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d messages in a minute, want %d; %v", c.count(), n, c.wrong)
		}
	}
}

// TestReloadNeedsRestart: what cannot change is named with its line and stays; the
// command says so, SIGHUP does the same.
func TestReloadNeedsRestart(t *testing.T) {
	r := newReloadRig(t, 200)
	text, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(string(text), "listen: "+r.listen, "listen: 127.0.0.1:1\ncpu_latency_us: 3", 1)
	if err := os.WriteFile(r.file, []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	r.reload() // waits until the socket is there
	out, errs, code := tickrelay(t, "reload", "--relay", r.name)
	if code != 0 || !strings.Contains(out, "relay.yaml:2: listen: it cannot change") || !strings.Contains(out, "relay.yaml:3: cpu_latency_us:") ||
		!strings.Contains(out, "reloaded: 0 changes, 2 keys need a restart") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	if err := os.WriteFile(r.file, []byte("fedes: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errs, code = tickrelay(t, "reload", "--socket", r.socket); code != 1 || !strings.Contains(errs, `relay.yaml:1: unknown key "fedes" in the top level, did you mean "feeds"?`) || out != "" {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	m := metricsOf(t, r.listen)
	if m["tickrelay_config_needs_restart"] != "2" || m[`tickrelay_config_reloads_total{result="failed"}`] != "1" {
		t.Errorf("needs restart %s, failed %s", m["tickrelay_config_needs_restart"], m[`tickrelay_config_reloads_total{result="failed"}`])
	}
	r.config(1)
	if err := r.relay.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); !strings.Contains(r.relay.errors(), `feed okx: +*-USDT -BTC-USDT +bbo`); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("SIGHUP changed nothing\n%s", r.relay.errors())
		}
	}
}
