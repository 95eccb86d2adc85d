package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Level is one price of a book. Values are mantissas of the book's exponents.
type Level struct {
	Price int64
	Size  int64
	Count uint32 // resting orders
}

// Book is a copy of a book, best levels first.
type Book struct {
	Symbol            string
	PriceExp, SizeExp int8
	Bids, Asks        []Level
	// Seq is the venue's number of this state: lastUpdateId (Binance), seq
	// (Bitget), seqId (OKX).
	Seq int64
}

// Trade is one fill.
type Trade struct {
	ID    int64
	Price int64
	Size  int64
	Buy   bool  // the aggressor bought
	Time  int64 // ns since 1970 UTC
}

// Change is the new state of one price; Size 0 is an empty one.
type Change struct {
	Bid   bool
	Level Level
}

// Event is one thing that happened in the market: the fills, then the new state
// of every price touched, in that order.
type Event struct {
	Number  uint64 // 1, 2, 3 … over the whole market
	Time    int64  // ns since 1970 UTC, of the market's clock
	Symbol  string
	Trades  []Trade
	Changes []Change
	// Seq is the number of the last of Changes among all changes of the
	// instrument.
	Seq int64

	in *instrument
}

// MarketConfig describes a market. The zero value lists three instruments.
type MarketConfig struct {
	// Seed decides every event but its time.
	Seed uint64
	// Symbols to list, as BASE-QUOTE; empty means BTC-USDT, ETH-USDT, SOL-USDT.
	Symbols []string
	// Levels is the depth of a side that the market keeps to; 0 means 300, at
	// least 40.
	Levels int
	// Clock stamps the events; nil is RealClock.
	Clock Clock
	// Tap, if not nil, gets every event before any exchange shows it, under the
	// market's lock: it must be short, call no method of the market, and keep
	// nothing of the event.
	Tap func(*Event)
}

func (c MarketConfig) withDefaults() MarketConfig {
	if len(c.Symbols) == 0 {
		c.Symbols = []string{"BTC-USDT", "ETH-USDT", "SOL-USDT"}
	}
	if c.Levels == 0 {
		c.Levels = 300
	}
	if c.Clock == nil {
		c.Clock = RealClock{}
	}
	return c
}

func (c MarketConfig) validate() error {
	if c.Levels < 40 || c.Levels > 5000 {
		return fmt.Errorf("sim: market: %d levels, want 40 to 5000", c.Levels)
	}
	return nil
}

// observer sees the market's events; all calls hold the market's lock.
type observer interface {
	event(ev *Event)
	// due sends what time makes due, everything that is pending if force.
	due(now int64, force bool)
	// drained says whether all that was sent has left for the sockets.
	drained() bool
}

// Market makes the events of a small exchange out of a seed: the same seed,
// symbols and depth give the same events, whatever the clock. Its methods are
// safe for concurrent use; events happen one at a time under one lock, which
// the servers that show the market share, so that a snapshot is always whole.
type Market struct {
	cfg MarketConfig

	mu        sync.Mutex
	rng       *rand.Rand
	list      []*instrument
	bySymbol  map[string]*instrument
	number    uint64
	burst     *instrument // the instrument of the burst that is going on
	burstLeft int
	burstBuy  bool
	frozen    bool
	observers []observer
	ev        Event // reused
}

// NewMarket makes a market of the given symbols with the defaults of
// MarketConfig.
func NewMarket(seed uint64, symbols []string) (*Market, error) {
	return OpenMarket(MarketConfig{Seed: seed, Symbols: symbols})
}

// OpenMarket makes a market. It fails on a symbol that is not BASE-QUOTE, or
// given twice.
func OpenMarket(cfg MarketConfig) (*Market, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	m := &Market{
		cfg:      cfg,
		rng:      rand.New(rand.NewPCG(cfg.Seed, 0x7469636b72656c61)),
		bySymbol: make(map[string]*instrument, len(cfg.Symbols)),
	}
	for _, symbol := range cfg.Symbols {
		l, err := newListing(symbol)
		if err != nil {
			return nil, err
		}
		if m.bySymbol[symbol] != nil {
			return nil, fmt.Errorf("sim: market: %s is listed twice", symbol)
		}
		in := newInstrument(l, cfg.Levels, m.rng, cfg.Clock.Now().UnixNano())
		m.list = append(m.list, in)
		m.bySymbol[symbol] = in
	}
	return m, nil
}

// Symbols lists the market's symbols.
func (m *Market) Symbols() []string { return slices.Clone(m.cfg.Symbols) }

// Events is the number of the last event.
func (m *Market) Events() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.number
}

// Step makes n market events, now, and shows each to the servers, which send
// what is due. It works on a frozen market too.
func (m *Market) Step(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for range n {
		m.step()
	}
}

// Tick lets the servers send what the clock has made due, without an event.
func (m *Market) Tick() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tick(false)
}

func (m *Market) tick(force bool) {
	now := m.cfg.Clock.Now().UnixNano()
	for _, o := range m.observers {
		o.due(now, force)
	}
}

// step makes one event. Callers hold mu.
func (m *Market) step() *Event {
	m.number++
	now := m.cfg.Clock.Now().UnixNano()
	ev := &m.ev
	*ev = Event{Number: m.number, Time: now, Trades: ev.Trades[:0], Changes: ev.Changes[:0]}
	m.generate(ev)
	if m.cfg.Tap != nil {
		m.cfg.Tap(ev)
	}
	for _, o := range m.observers {
		o.event(ev)
		o.due(now, false)
	}
	return ev
}

// runEvery is how often Run looks at the clock.
const runEvery = 5 * time.Millisecond

// Run makes events in real time, perSecond of them on average with bursts in
// between, until ctx ends; it returns nil then. While the market is frozen no
// time passes for it.
func (m *Market) Run(ctx context.Context, perSecond float64) error {
	if !(perSecond > 0 && perSecond <= 1e6) {
		return fmt.Errorf("sim: market: %v events per second, want more than 0 and at most 1000000", perSecond)
	}
	const debt = 4096 // events in hand or owed at most: a suspended host does not catch up for ever
	credit, last := 0.0, m.cfg.Clock.Now()
	for m.cfg.Clock.Sleep(ctx.Done(), runEvery) {
		now := m.cfg.Clock.Now()
		credit = min(credit+max(0, now.Sub(last).Seconds())*perSecond, debt) // the clock may be set back
		last = now
		m.mu.Lock()
		if m.frozen {
			credit = 0
			m.mu.Unlock()
			continue
		}
		for credit >= 1 || m.burstLeft > 0 && credit > -debt {
			m.step()
			credit--
		}
		m.tick(false)
		m.mu.Unlock()
	}
	return nil
}

// Freeze stops Run, sends what is pending to every client of every server and
// waits until it has been written to the sockets: from then on every published
// book equals the true one. It returns ctx's error if a client does not take
// what it is sent in time; the market stays frozen.
func (m *Market) Freeze(ctx context.Context) error {
	m.mu.Lock()
	m.frozen = true
	m.tick(true)
	m.mu.Unlock()
	t := time.NewTicker(time.Millisecond)
	defer t.Stop()
	for !m.drained() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("sim: freeze: a client does not read: %w", ctx.Err())
		case <-t.C:
		}
	}
	return nil
}

func (m *Market) drained() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.observers {
		if !o.drained() {
			return false
		}
	}
	return true
}

// Resume lets Run go on.
func (m *Market) Resume() {
	m.mu.Lock()
	m.frozen = false
	m.mu.Unlock()
}

// Book is the whole book of a symbol, numbered by the changes of the instrument.
func (m *Market) Book(symbol string) (Book, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	in := m.bySymbol[symbol]
	if in == nil {
		return Book{}, fmt.Errorf("sim: market: %s is not listed", symbol)
	}
	return in.book(len(in.bids.levels) + len(in.asks.levels)), nil
}

// Trades are the last trades of a symbol, oldest first: what an exchange tells whoever
// asks for history.
func (m *Market) Trades(symbol string) []Trade {
	m.mu.Lock()
	defer m.mu.Unlock()
	if in := m.bySymbol[symbol]; in != nil {
		return slices.Clone(in.history)
	}
	return nil
}

// attach shows the market to o from now on.
func (m *Market) attach(o observer) {
	m.mu.Lock()
	m.observers = append(m.observers, o)
	m.mu.Unlock()
}

// detach is the reverse of attach.
func (m *Market) detach(o observer) {
	m.mu.Lock()
	m.observers = slices.DeleteFunc(m.observers, func(x observer) bool { return x == o })
	m.mu.Unlock()
}
