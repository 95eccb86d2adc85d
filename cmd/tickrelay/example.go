package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"tickrelay/ring"
	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// exampleStrategy is a strategy as a user would write it: it opens its ring by
// path, keeps the book and says mid price and imbalance.
type exampleStrategy struct {
	dir, name string
	book      book.Reader
	trades    uint64
	last      md.Decimal

	mu   sync.Mutex
	text string
}

func newExampleStrategy(r *relayd) *exampleStrategy {
	return &exampleStrategy{dir: r.dir.Path(), name: ringName(demoStrategy, "binance"), text: "waiting for the book"}
}

// run reads the ring until ctx ends or the relay does.
func (s *exampleStrategy) run(ctx context.Context) error {
	c, err := ring.Open(s.dir, s.name)
	if err != nil {
		return err
	}
	defer c.Close()
	var recs [256]md.Record
	shown := time.Now()
	for ctx.Err() == nil {
		n, err := c.Poll(recs[:])
		for i := range recs[:n] {
			s.on(&recs[i])
		}
		if errors.Is(err, ring.ErrProducerGone) {
			return nil
		}
		if err != nil {
			return err
		}
		if time.Since(shown) > 200*time.Millisecond {
			s.show()
			shown = time.Now()
		}
		if n == 0 {
			if _, err := c.Wait(ring.WaitBlock, 200*time.Millisecond); err != nil && !errors.Is(err, ring.ErrProducerGone) {
				return err
			}
		}
	}
	return nil
}

func (s *exampleStrategy) on(r *md.Record) {
	if r.Kind == md.KindTrade {
		s.trades++
		s.last = md.Decimal{Mant: r.Price, Exp: r.PriceExp}
		return
	}
	s.book.Apply(r)
}

// show prepares the line that others may read.
func (s *exampleStrategy) show() {
	bid, okBid := s.book.Book.BestBid()
	ask, okAsk := s.book.Book.BestAsk()
	text := "book " + s.book.State.String()
	if s.book.State == book.Live && okBid && okAsk {
		mid := s.book.Book.AppendMid(nil)
		imbalance := (float64(bid.Size) - float64(ask.Size)) / (float64(bid.Size) + float64(ask.Size))
		text = fmt.Sprintf("binance BTC-USDT mid %s  imbalance %+.2f  trades %d  last %s", mid, imbalance, s.trades, s.last)
	}
	s.mu.Lock()
	s.text = text
	s.mu.Unlock()
}

// summary is the latest line; any goroutine may call it.
func (s *exampleStrategy) summary() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text
}
