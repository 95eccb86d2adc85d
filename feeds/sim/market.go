package sim

import (
	"context"
)

// Level is one price of a book. Values are mantissas of the instrument's
// exponents.
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

// Market makes the events of a small exchange.
type Market struct{}

// NewMarket makes a market of the symbols (BASE-QUOTE).
func NewMarket(seed uint64, symbols []string) (*Market, error) { return &Market{}, nil }

// Step makes n market events now and shows them to the servers.
func (m *Market) Step(n int) {}

// Run makes events in real time, perSecond of them on average, until ctx ends.
func (m *Market) Run(ctx context.Context, perSecond float64) error { return nil }

// Freeze stops Run, sends what is pending to every client of every server and
// waits until it is written: then all published books equal the true ones.
func (m *Market) Freeze(ctx context.Context) error { return nil }

// Resume lets Run go on.
func (m *Market) Resume() {}
