package feeds

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"tickrelay/feeds/sim"
	"tickrelay/ring"
	"tickrelay/ring/book"
)

var (
	chaosSeed = flag.Uint64("chaos-seed", 20261128, "seed of the chaos run")
	chaosFor  = flag.Duration("chaos-for", 20*time.Second, "how long the chaos run lasts")
	chaosOnly = flag.String("chaos-venue", "", "run this venue alone")
)

// chaosVenue is one exchange, one feed on it by two names of addresses, and one
// reader.
type chaosVenue struct {
	name    string
	server  *sim.Server
	options sim.Options
	feed    *Feed
	seen    *sightings
	symbols []string
}

// TestChaos runs every venue at once on one market while everything goes wrong
// on a seed: cuts, garbage, truncated and corrupted frames, losses,
// duplicates, reordering, stalls, dripping bytes, silence, REST answers that
// fail, lie or come late, refused connections, restarts and a name service that
// fails. Afterwards every book equals its exchange's level by level; on the way
// no number was skipped without a gap, and where trade ids are consecutive every
// one of them was delivered or counted in a gap.
func TestChaos(t *testing.T) {
	rng := rand.New(rand.NewPCG(*chaosSeed, 1))
	t.Logf("seed %d for %s: -chaos-seed and -chaos-for repeat it", *chaosSeed, *chaosFor)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var names, symbols []string
	for _, name := range sim.Venues() {
		if *chaosOnly != "" && *chaosOnly != name {
			continue
		}
		names = append(names, name)
		for _, s := range sim.Symbols(name)[:2] {
			if !slices.Contains(symbols, s) {
				symbols = append(symbols, s)
			}
		}
	}
	market, err := sim.OpenMarket(sim.MarketConfig{Seed: *chaosSeed, Symbols: symbols, Levels: 100})
	if err != nil {
		t.Fatal(err)
	}
	var all []*chaosVenue
	for i, name := range names {
		all = append(all, newChaosVenue(t, ctx, market, name, rng.Uint64(), 1+i%2))
	}
	go market.Run(ctx, 1500)
	start, restarts := time.Now(), 0
	for time.Since(start) < *chaosFor {
		if time.Since(start) > time.Duration(restarts+1)**chaosFor/time.Duration(2*len(all)+1) {
			all[restarts%len(all)].restart(t, ctx, market)
			restarts++
		}
		for _, c := range all {
			c.seen.pump()
		}
		time.Sleep(time.Millisecond)
	}
	for _, c := range all {
		c.server.Calm()
	}
	t.Logf("%d restarts", restarts)
	for _, c := range all {
		c.settle(t, market)
	}
	var gaps, refused uint64
	for _, c := range all {
		c.compare(t, ctx, market)
		s := c.feed.Stats()
		gaps, refused = gaps+s.GapsTotal(), refused+s.RejectedTotal()
	}
	// Of all together: on a slow machine one exchange alone may send too little.
	if gaps == 0 || refused == 0 {
		t.Errorf("%d gaps, %d refused: nothing went wrong", gaps, refused)
	}
}

func newChaosVenue(t *testing.T, ctx context.Context, m *sim.Market, name string, seed uint64, lines int) *chaosVenue {
	t.Helper()
	v := quick(t, name)
	v.spec.DeadAfter = 1500 * time.Millisecond
	every := map[sim.Fault]int{}
	for _, f := range sim.AllFaults() {
		every[f] = 4000
	}
	every[sim.FaultLose], every[sim.FaultDuplicate] = 1500, 1500
	every[sim.FaultHugeFrame], every[sim.FaultSilent], every[sim.FaultMute] = 30000, 20000, 20000
	o := sim.Options{Checksums: true, DepthEvery: 20 * time.Millisecond,
		Faults: sim.Faults{Seed: seed, Every: every, For: 150 * time.Millisecond, Possible: true}}
	server, err := sim.Serve(ctx, name, "127.0.0.1:0", m, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	c := &chaosVenue{name: name, server: server, options: o, symbols: sim.Symbols(name)[:2]}
	names := rand.New(rand.NewPCG(seed, 2))
	resolve := func(context.Context, string) ([]netip.Addr, error) {
		if names.IntN(4) == 0 {
			return nil, errors.New("the name service fails")
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	cfg := Config{Venue: v, URL: byName(server.URL()), REST: server.REST(), CPU: -1, Table: newTable(t), Seed: seed | 1,
		Instruments: c.symbols, Lines: lines, Budget: NewBudget(100, time.Millisecond), Resolve: locked(resolve),
		Limits:  Deadlines{BookRetry: 500 * time.Millisecond},
		Backoff: Backoff{Min: time.Millisecond, Base: 10 * time.Millisecond, Cap: 200 * time.Millisecond}}
	if c.feed, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	seg := ring.NewHeap(1<<17, ring.Meta{Name: name})
	if _, err := c.feed.Attach(seg, nil); err != nil {
		t.Fatal(err)
	}
	consumer, err := ring.OpenConsumer(seg)
	if err != nil {
		t.Fatal(err)
	}
	c.seen = newSightings(t, consumer)
	if v.spec.ConsecutiveTrades {
		c.seen.tradeIDs = map[uint32]uint64{}
	}
	runFeed(t, c.feed)
	return c
}

// restart ends the exchange and starts it again at the same address.
func (c *chaosVenue) restart(t *testing.T, ctx context.Context, m *sim.Market) {
	t.Helper()
	addr := c.server.Addr()
	c.server.Close()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		server, err := sim.Serve(ctx, c.name, addr, m, c.options)
		if err == nil {
			c.server = server
			t.Cleanup(func() { server.Close() })
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not started again: %v", c.name, err)
		}
	}
}

func (c *chaosVenue) reader(symbol string) *book.Reader {
	id, ok := c.feed.cfg.Table.View().Lookup(c.feed.Venue().Spec().Venue, symbol)
	if !ok || c.seen.books[id] == nil {
		return new(book.Reader)
	}
	return c.seen.books[id]
}

// settle waits until every book is live again.
func (c *chaosVenue) settle(t *testing.T, m *sim.Market) {
	t.Helper()
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		c.seen.pump()
		live := true
		for _, s := range c.symbols {
			live = live && c.reader(s).State == book.Live
		}
		if live {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: books are not live again: %+v", c.name, c.feed.Health())
		}
	}
}

// compare holds the books against the exchange's, which stands still meanwhile.
func (c *chaosVenue) compare(t *testing.T, ctx context.Context, m *sim.Market) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := m.Freeze(ctx); err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	defer m.Resume()
	for _, symbol := range c.symbols {
		want, err := c.server.Book(symbol)
		if err != nil {
			t.Fatal(err)
		}
		why := "nothing compared"
		for deadline := time.Now().Add(20 * time.Second); why != "" && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			c.seen.pump()
			why = differs(c.reader(symbol), &want)
		}
		if why != "" {
			t.Errorf("%s: the book of %s is not the exchange's: %s", c.name, symbol, why)
		}
	}
	s := c.feed.Stats()
	t.Logf("%-18s frames %d records %d gaps %v resyncs %d parked %d switches %d rejected %d connects %d", c.name, s.Frames.Load(), s.Records.Load(),
		c.seen.gaps, s.Resyncs.Load(), s.Parked.Load(), s.Switches.Load(), s.RejectedTotal(), c.feed.Health().Lines[0].Connects)
	if n := c.feed.Health().Lines[0].Connects; n < 2 {
		t.Errorf("%s: %d connections: nothing went wrong", c.name, n)
	}
}

// byName replaces the address of a URL by a name.
func byName(url string) string {
	i, j := 0, 0
	if _, err := fmt.Sscanf(url, "ws://127.0.0.%d:%d", &i, &j); err != nil {
		return url
	}
	return "ws://exchange.example" + url[len("ws://127.0.0.1"):]
}

// locked makes a resolver safe for several look-ups at once.
func locked(r Resolver) Resolver {
	gate := make(chan struct{}, 1)
	return func(ctx context.Context, host string) ([]netip.Addr, error) {
		gate <- struct{}{}
		defer func() { <-gate }()
		return r(ctx, host)
	}
}
