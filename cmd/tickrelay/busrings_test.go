package main

import (
	"context"
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
	"testing"
	"time"

	"tickrelay/relay/bus/natsserver"
	"tickrelay/relay/record"
	"tickrelay/ring"
	"tickrelay/ring/md"
)

// taker is a strategy that attached and keeps the live records of trades.
type taker struct {
	p      *ring.Poller
	mu     sync.Mutex
	epoch  uint64
	trades map[string]map[uint64]md.Record // by symbol and number
	wrong  error

	calls chan func() // run by the goroutine that reads
}

// subscribe adds a topic.
func (k *taker) subscribe(t *testing.T, topic string) {
	t.Helper()
	done := make(chan error)
	k.calls <- func() { done <- k.p.Subscribe(t.Context(), topic) }
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// take attaches as any strategy does and reads until the test's end.
func take(t *testing.T, socket string, topics ...string) *taker {
	t.Helper()
	k := &taker{trades: map[string]map[uint64]md.Record{}, calls: make(chan func())}
	waitFor(t, "attach to "+socket, func() bool {
		p, err := ring.Attach(t.Context(), socket, ring.AttachRequest{Strategy: "alpha", Topics: topics, Capacity: 1 << 16})
		k.p = p
		return err == nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer k.p.Close()
		recs := make([]md.Record, 512)
		for ctx.Err() == nil {
			select {
			case f := <-k.calls:
				f()
			default:
			}
			n, err := k.p.Poll(recs)
			k.mu.Lock()
			for i := range recs[:n] {
				k.record(&recs[i])
			}
			k.mu.Unlock()
			if err != nil {
				return
			}
			if n == 0 {
				_, _ = k.p.Wait(ring.WaitBlock, 50*time.Millisecond)
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return k
}

func (k *taker) record(r *md.Record) {
	switch {
	case r.Kind == md.KindHeartbeat && r.Channel() == md.ChannelAll:
		k.epoch = r.ID
	case r.Kind == md.KindTrade && r.Flags&md.FlagSnapshot == 0:
		in, ok := k.p.Table().Get(r.Instrument)
		if !ok || in.Symbol == "" {
			k.wrong = fmt.Errorf("trade %d of instrument %d, %+v", r.Seq, r.Instrument, in)
			return
		}
		of := k.trades[in.Symbol]
		if of == nil {
			of = map[uint64]md.Record{}
			k.trades[in.Symbol] = of
		}
		if _, twice := of[r.Seq]; twice {
			k.wrong = fmt.Errorf("%s: number %d twice", in.Symbol, r.Seq)
		}
		of[r.Seq] = *r
	}
}

// common counts trades of a symbol that both have, all of which must be equal but
// for the host's own number of the instrument.
func (k *taker) common(t *testing.T, o *taker, symbol string) (n int) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := errors.Join(k.wrong, o.wrong); err != nil {
		t.Fatal(err)
	}
	for seq, a := range k.trades[symbol] {
		b, ok := o.trades[symbol][seq]
		if !ok {
			continue
		}
		b.Instrument = a.Instrument
		if a != b {
			t.Fatalf("%s: number %d is %+v at one host and %+v at the other", symbol, seq, a, b)
		}
		n++
	}
	return n
}

// recorded wants a recording to be whole, and its trades to be those that k has, under the
// bus's epoch.
func recorded(t *testing.T, dir string, k *taker, epoch string) {
	t.Helper()
	if by := agreed(t, dir); by["book"].Rows == 0 {
		t.Errorf("recorded: %+v", by)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	n := 0
	err := record.Scan(t.Context(), dir, record.Query{Topics: []string{"binance.trades.>"}}, func(e record.Event) error {
		for _, r := range e.Records {
			if had, ok := k.trades[e.Topic.Symbol][r.Seq]; ok && r.Kind == md.KindTrade {
				if had.Instrument = r.Instrument; had != r || strconv.FormatInt(e.Epoch, 10) != epoch {
					return fmt.Errorf("%s: number %d is recorded as %+v of epoch %d, want %+v of %s", e.Topic, r.Seq, r, e.Epoch, had, epoch)
				}
				n++
			}
		}
		return nil
	})
	if err != nil || n < 100 {
		t.Errorf("%d trades of the origin are recorded: %v", n, err)
	}
}

// TestStrategiesOfGatewayHost: on a host whose records come over the bus, strategies
// attach and open their declared rings as beside a feed, and a gateway in a process
// of its own serves what the bus brings.
func TestStrategiesOfGatewayHost(t *testing.T) {
	nats, err := natsserver.Start(natsserver.Config{Name: "one", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nats.Stop)
	srv := exchange(t, 400)
	dir, id := t.TempDir(), fmt.Sprintf("%d-%d", os.Getpid(), time.Now().UnixNano()%1e9)
	in := writeFile(t, "in.yaml", fmt.Sprintf(`
relay: in-%s
socket: %s/in
feeds: [{venue: binance, url: %s, rest: %s, instruments: ["*-USDT"], channels: [trades, book]}]
bus: {nats: {url: %s, stream: ticks, lease: 1s}}
`, id, dir, srv.URL(), srv.REST(), nats.URL()))
	listen := freePort(t)
	out := writeFile(t, "gw.yaml", fmt.Sprintf(`
relay: gw-%s
listen: %s
socket: %s/gw
rings: [{strategy: beta, topics: ["binance.trades.BTC-USDT"], capacity: 65536}]
bus: {nats: {url: %s, stream: ticks, subscribe: ["binance.trades.>", "binance.book.*"]}}
record: {dir: %s/rec}
`, id, listen, dir, nats.URL(), dir))
	start(t, "run", "--feeds-only", "-c", in).line("rings ")
	host := start(t, "run", "--feeds-only", "-c", out)
	beta := watchStrategy(t, host.line("rings "), "beta-bus-binance")

	origin := take(t, filepath.Join(dir, "in"), "binance.trades.>")
	here := take(t, filepath.Join(dir, "gw"), "binance.trades.BTC-USDT")
	waitFor(t, "trades at both hosts", func() bool { return origin.common(t, here, "BTC-USDT") >= 100 })
	waitFor(t, "the instrument's entry", func() bool { // may come a moment after its first records
		id, ok := here.p.Table().Lookup(md.VenueBinance, "BTC-USDT")
		in, known := here.p.Table().Get(id)
		return ok && known && in.Native == "BTCUSDT"
	})
	waitFor(t, "the declared ring", func() bool { return beta.records.Load() >= 100 })
	if here.common(t, origin, "ETH-USDT") != 0 {
		t.Error("trades that were not asked for")
	}
	here.subscribe(t, "binance.trades.ETH-USDT")
	waitFor(t, "trades of the second topic", func() bool { return origin.common(t, here, "ETH-USDT") >= 20 })
	refused := func(topic, near string) {
		t.Helper()
		var no *ring.AttachError
		_, err := ring.Attach(t.Context(), filepath.Join(dir, "gw"), ring.AttachRequest{Strategy: "x", Topics: []string{topic}})
		if !errors.As(err, &no) || no.Code != ring.CodeBadTopic || !slices.Contains(no.Nearest, near) {
			t.Errorf("%s: %v", topic, err)
		}
	}
	refused("binance.trades.BTC-USD", "binance.trades.BTC-USDT")
	refused("binance.bbo.BTC-USDT", "binance.book.BTC-USDT")

	gw := start(t, "run", "--gateway-only", "-c", out)
	gw.line("websocket ")
	clients := follow(t, 2, listen, nil, nil)
	moved(t, clients)
	here.mu.Lock()
	epoch := strconv.FormatUint(here.epoch, 10)
	here.mu.Unlock()
	for _, c := range clients {
		c.mu.Lock()
		for topic, at := range c.at {
			if at.Epoch != epoch {
				t.Errorf("%s has epoch %s at the gateway and %s in the ring", topic, at.Epoch, epoch)
			}
		}
		c.mu.Unlock()
	}
	body := func() string {
		res, err := http.Get("http://" + listen + "/api/v1/feeds")
		if err != nil {
			return err.Error()
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return string(b)
	}
	waitFor(t, "the gateway shows the bus", func() bool { b := body(); return strings.Contains(b, "bus-binance") && strings.Contains(b, "live") })
	for _, p := range []*process{gw, host} {
		if code := p.stop(); code != 0 {
			t.Errorf("%s ended with %d\n%s", p.cmd.Args, code, p.errors())
		}
	}
	if !strings.Contains(gw.errors(), "topics of the bus come from the process with --feeds-only") {
		t.Errorf("the gateway says\n%s", gw.errors())
	}
	recorded(t, filepath.Join(dir, "rec"), origin, epoch)
}

// TestCheckRingsOfBus: rings may want what comes over the bus, and nothing else.
func TestCheckRingsOfBus(t *testing.T) {
	text := `
bus: {nats: {url: "nats://127.0.0.1:4222", subscribe: ["binance.trades.>", "okx.book.*"]}}
rings:
  - {strategy: a, topics: ["binance.>", "*.book.BTC-USDT", "okx.book.BTC-USDT"]}
  - {strategy: b, topics: ["%s"]}
`
	if out, errs, code := tickrelay(t, "check", "-c", writeFile(t, "x.yaml", fmt.Sprintf(text, ">"))); code != 0 {
		t.Errorf("%s%s", out, errs)
	}
	for topic, want := range map[string]string{
		"okx.trades.*":      `rings[1].topics: no feed serves "okx.trades.*": over the bus come binance.trades.>, okx.book.*; add it to bus.nats.subscribe`,
		"bybit.trades.*":    `rings[1].topics: no feed serves "bybit.trades.*"`,
		"binance.bbo.X-USD": `rings[1].topics: no feed serves "binance.bbo.X-USD"`,
	} {
		_, errs, code := tickrelay(t, "check", "-c", writeFile(t, "x.yaml", fmt.Sprintf(text, topic)))
		if code != 1 || !strings.Contains(errs, want) {
			t.Errorf("%s: exit %d\n%s", topic, code, errs)
		}
	}
}

func TestPatternsMeet(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{">", "binance.trades.*", true}, {"binance.>", "binance.trades.X", true}, {"binance.>", "okx.>", false},
		{"*.book.*", "okx.book.X", true}, {"okx.*.X", "okx.book.*", true}, {"okx.trades.*", "okx.book.*", false},
		{"okx.book.X", "okx.book.X", true}, {"okx.book.X", "okx.book.Y", false}, {"okx.*", "okx.book.X", false},
	} {
		if patternsMeet(c.a, c.b) != c.want || patternsMeet(c.b, c.a) != c.want {
			t.Errorf("%s and %s: want %v", c.a, c.b, c.want)
		}
	}
}
