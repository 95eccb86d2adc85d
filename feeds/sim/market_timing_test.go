package sim

import (
	"testing"
	"time"
)

// BenchmarkStep is the generator alone.
func BenchmarkStep(b *testing.B) {
	m, err := OpenMarket(MarketConfig{Seed: 1, Clock: NewManualClock(time.UnixMilli(0))})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		m.Step(1)
	}
}

// BenchmarkStepServed is the generator with an exchange that encodes a book, the
// best prices, trades and statistics of an instrument for ten clients.
func BenchmarkStepServed(b *testing.B) {
	m, err := OpenMarket(MarketConfig{Seed: 1, Clock: RealClock{}})
	if err != nil {
		b.Fatal(err)
	}
	s := &Server{lists: isSpot, m: m, mu: &m.mu, o: Options{}.withDefaults(), plan: &faultPlan{}}
	d := newBinance(s, binanceSpot)
	s.dialect = d
	var all []*session
	for range 10 {
		x := &session{srv: s, queue: make(chan outgoing, 1024), done: make(chan struct{}), log: s.o.Log, wrapped: true}
		all = append(all, x)
		for _, name := range []string{"btcusdt@trade", "btcusdt@depth@100ms", "btcusdt@bookTicker", "btcusdt@ticker"} {
			d.subscribe(x, name)
		}
	}
	m.attach(s)
	b.ReportAllocs()
	for b.Loop() {
		m.Step(1)
		for _, x := range all {
			for len(x.queue) > 0 {
				<-x.queue
			}
		}
	}
}
