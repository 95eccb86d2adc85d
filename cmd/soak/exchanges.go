package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"tickrelay/feeds"
	"tickrelay/feeds/sim"
	"tickrelay/ring/md"
)

// faultFor is how long the lasting faults of exchanges last.
const faultFor = 300 * time.Millisecond

// marketStep is how often the market's events are made.
const marketStep = 5 * time.Millisecond

// exchanges are all simulated exchanges on one market.
type exchanges struct {
	out    *talk
	dir    string
	market *sim.Market
	truth  *truth
	keys   map[string]uint64
	exps   map[string]int8
	list   []*exchange

	mu     sync.Mutex
	rate   float64
	frozen bool
	gone   simStat // of servers that were restarted
}

type exchange struct {
	venueInfo
	reads   map[md.Channel]bool
	server  *sim.Server
	options sim.Options
}

// Exchanges runs every simulated exchange until in ends; it serves a soak, in a
// process of its own. dir is the soak's folder.
func Exchanges(ctx context.Context, seed uint64, dir string, in io.Reader, out io.Writer) error {
	x := &exchanges{out: newTalk(out), dir: dir, keys: map[string]uint64{}, exps: map[string]int8{}}
	if err := x.open(ctx, seed); err != nil {
		return err
	}
	ready := message{Type: "ready"}
	for _, e := range x.list {
		ready.Venues = append(ready.Venues, e.venueInfo)
	}
	x.out.say(ready)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { x.run(ctx) })
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	told := orders(in)
	for {
		select {
		case <-tick.C:
			x.out.say(message{Type: "stats", Exchange: x.stats()})
		case o, ok := <-told:
			if !ok {
				stop()
				for _, e := range x.list {
					e.server.Close()
				}
				return nil
			}
			if err := x.obey(ctx, o); err != nil {
				x.out.say(message{Type: "failed", Error: fmt.Sprintf("%s %s %s: %v", o.Op, o.Venue, o.Fault, err)})
			}
		}
	}
}

func (x *exchanges) open(ctx context.Context, seed uint64) (err error) {
	if x.truth, err = createTruth(filepath.Join(x.dir, truthFile), truthSlots); err != nil {
		return err
	}
	var symbols []string
	for _, v := range sim.Venues() {
		for _, s := range sim.Symbols(v)[:2] {
			if !slices.Contains(symbols, s) {
				symbols = append(symbols, s)
			}
		}
	}
	cfg := sim.MarketConfig{Seed: seed, Symbols: symbols, Levels: 100, Tap: x.tap}
	if x.market, err = sim.OpenMarket(cfg); err != nil {
		return err
	}
	for _, s := range symbols {
		b, err := x.market.Book(s)
		if err != nil {
			return err
		}
		x.keys[s], x.exps[s] = symbolKey(s), b.PriceExp
		x.addBook(s, &b)
	}
	for _, v := range sim.Venues() {
		e := &exchange{options: sim.Options{Checksums: true, DepthEvery: 20 * time.Millisecond, Faults: sim.Faults{For: faultFor}}}
		if e.server, err = sim.Serve(ctx, v, "127.0.0.1:0", x.market, e.options); err != nil {
			return err
		}
		e.venueInfo = venueInfo{Name: v, URL: e.server.URL(), REST: e.server.REST(), Symbols: sim.Symbols(v)[:2]}
		e.reads = map[md.Channel]bool{}
		for _, c := range channels(v) {
			e.reads[c] = true
		}
		for _, f := range sim.AllFaults() {
			if e.server.Can(f) == nil && shows(v, f) {
				e.Faults = append(e.Faults, f.String())
			}
		}
		x.list = append(x.list, e)
	}
	return nil
}

// shows says whether a venue's protocol lets a client know that the fault happened.
// Some number nothing and sign at most the levels near the touch: what is lost or
// swapped within the exchange, not on the way, leaves a book that nobody can see is
// wrong, until an audit or the next snapshot (feeds[].audit in the configuration).
func shows(venue string, f sim.Fault) bool {
	if v, ok := feeds.ByName(venue); ok && v.Spec().BlindBooks {
		return f != sim.FaultLose && f != sim.FaultMissingSeq && f != sim.FaultReorder
	}
	return true
}

// tap notes what the exchanges are about to show.
func (x *exchanges) tap(ev *sim.Event) {
	key, exp := x.keys[ev.Symbol], x.exps[ev.Symbol]
	for i := range ev.Trades {
		x.truth.insert(levelKey(key, tradeClass(ev.Trades[i].Buy), ev.Trades[i].Price, exp, ev.Trades[i].Size))
	}
	for i := range ev.Changes {
		c := &ev.Changes[i]
		class := keyAsk
		if c.Bid {
			class = keyBid
		}
		x.truth.insert(priceKey(key, class, c.Level.Price, exp))
		if c.Level.Size > 0 {
			x.truth.insert(levelKey(key, class, c.Level.Price, exp, c.Level.Size))
		}
	}
}

// forget makes room in the set of what was shown, in time.
func (x *exchanges) forget() {
	if !x.truth.full() {
		return
	}
	for s := range x.keys {
		if b, err := x.market.Book(s); err == nil {
			x.addBook(s, &b)
		}
	}
	x.truth.turn()
}

// addBook notes what an exchange may show of an instrument as it is.
func (x *exchanges) addBook(symbol string, b *sim.Book) {
	for _, t := range x.market.Trades(symbol) {
		x.truth.insert(levelKey(x.keys[symbol], tradeClass(t.Buy), t.Price, b.PriceExp, t.Size))
	}
	for class, side := range map[int][]sim.Level{keyBid: b.Bids, keyAsk: b.Asks} {
		for _, lv := range side {
			x.truth.insert(priceKey(x.keys[symbol], class, lv.Price, b.PriceExp))
			x.truth.insert(levelKey(x.keys[symbol], class, lv.Price, b.PriceExp, lv.Size))
		}
	}
}

// run makes the market's events at the rate that it is told.
func (x *exchanges) run(ctx context.Context) {
	credit, last := 0.0, time.Now()
	for (sim.RealClock{}).Sleep(ctx.Done(), marketStep) {
		now := time.Now()
		x.mu.Lock()
		if x.frozen {
			credit = 0
		} else {
			// A process that was kept waiting does not catch up for ever.
			credit = min(credit+now.Sub(last).Seconds()*x.rate, x.rate/10+1)
			n := int(credit)
			credit -= float64(n)
			x.forget()
			x.market.Step(n)
			x.market.Tick()
		}
		x.mu.Unlock()
		last = now
	}
}

func (x *exchanges) obey(ctx context.Context, o order) error {
	switch o.Op {
	case "rate":
		x.mu.Lock()
		x.rate = o.Rate
		x.mu.Unlock()
	case "inject":
		f, err := sim.ParseFault(o.Fault)
		if err != nil {
			return err
		}
		if e := x.find(o.Venue); e != nil {
			return e.server.Inject(f)
		}
	case "restart":
		if e := x.find(o.Venue); e != nil {
			return x.restart(ctx, e)
		}
	case "step":
		x.truth.step(int64(o.Offset))
	case "freeze":
		path, err := x.freeze(ctx, o.N, o.Since)
		m := message{Type: "frozen", N: o.N, Path: path}
		if err != nil {
			m.Error = err.Error()
		}
		x.out.say(m)
	case "resume":
		x.market.Resume()
		x.mu.Lock()
		x.frozen = false
		x.mu.Unlock()
	}
	return nil
}

func (x *exchanges) find(venue string) *exchange {
	if i := slices.IndexFunc(x.list, func(e *exchange) bool { return e.Name == venue }); i >= 0 {
		return x.list[i]
	}
	return nil
}

// restart ends an exchange and starts it again at the same address.
func (x *exchanges) restart(ctx context.Context, e *exchange) error {
	addr := e.server.Addr()
	e.server.Close()
	x.gone.add(e.server.Stats())
	for deadline := time.Now().Add(10 * time.Second); ; {
		server, err := sim.Serve(ctx, e.Name, addr, x.market, e.options)
		if err == nil {
			e.server = server
			return nil
		}
		if time.Now().After(deadline) || !(sim.RealClock{}).Sleep(ctx.Done(), 5*time.Millisecond) {
			return err
		}
	}
}

// freeze stops the market and writes the true books of every exchange, with the last trades
// if there were any since that time in ns.
func (x *exchanges) freeze(ctx context.Context, n int, since int64) (string, error) {
	x.mu.Lock()
	x.frozen = true
	x.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := x.market.Freeze(ctx); err != nil {
		return "", err
	}
	books := trueBooks{}
	for _, e := range x.list {
		for _, s := range e.Symbols {
			b, err := e.server.Book(s)
			if err != nil {
				return "", err
			}
			books[e.Name+".book."+s] = trueBook{Book: b, Quoted: e.reads[md.ChannelBBO], Trade: x.lately(e, s, since), TradeExp: x.exps[s]}
		}
	}
	data, err := json.Marshal(books)
	if err != nil {
		return "", err
	}
	path := filepath.Join(x.dir, fmt.Sprintf("books-%d.json", n%2))
	return path, os.WriteFile(path, data, 0o600)
}

// trueBooks are the exchanges' books by topic.
type trueBooks map[string]trueBook

func readTrueBooks(path string) (trueBooks, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var b trueBooks
	return b, json.Unmarshal(data, &b)
}

func (s *simStat) add(st sim.Stats) {
	s.Accepted += st.Accepted
	s.Slow += st.Slow
	for f, n := range st.Injected {
		if s.Injected == nil {
			s.Injected = map[string]uint64{}
		}
		s.Injected[f.String()] += n
	}
}

func (x *exchanges) stats() *simStat {
	s := simStat{Accepted: x.gone.Accepted, Slow: x.gone.Slow, Injected: map[string]uint64{}}
	for f, n := range x.gone.Injected {
		s.Injected[f] = n
	}
	for _, e := range x.list {
		st := e.server.Stats()
		s.Sessions += st.Sessions
		if s.Withheld += st.Withheld; st.Withheld > 0 {
			s.Mute = append(s.Mute, e.Name)
		}
		s.add(st)
	}
	s.Events, s.Keys, s.Goroutines = x.market.Events(), x.truth.header.keys.Load(), runtime.NumGoroutine()
	return &s
}
