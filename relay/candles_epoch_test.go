package relay

import (
	"encoding/json"
	"testing"

	"github.com/gobwas/ws"

	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// recordClient is a program that keeps one book out of binary records, by the rules of
// the protocol: a heartbeat of the venue in another epoch voids what is held of it.
type recordClient struct {
	*wsClient
	book   book.Reader
	epochs map[md.Channel]uint64 // of the heartbeats that came, by their channel
	live   bool                  // the book was whole once
	bars   int                   // records of candles
}

func dialRecords(t *testing.T, g *Gateway, topics string) *recordClient {
	c := &recordClient{wsClient: dial(t, g, ProtocolBinary), epochs: map[md.Channel]uint64{}}
	c.send(`{"op":"subscribe","id":1,"topics":[%s]}`, topics)
	return c
}

// until reads until ok. A book that was whole must stay so.
func (c *recordClient) until(ok func() bool) {
	c.t.Helper()
	for !ok() {
		op, p, err := c.read()
		if err != nil {
			c.t.Fatal(err)
		}
		if op != ws.OpBinary {
			continue
		}
		recs := make([]md.Record, len(p)/64)
		copy(md.AsBytes(recs), p)
		for i := range recs {
			r := &recs[i]
			switch r.Kind {
			case md.KindHeartbeat:
				c.epochs[md.Channel(r.Side)] = r.ID
			case md.KindCandle:
				c.bars++
			}
			c.book.Apply(r)
			c.live = c.live || c.book.State == book.Live
			if c.live && c.book.State != book.Live {
				c.t.Fatalf("the book is %s after %s of channel %d, epoch %d", c.book.State, r.Kind, r.Side, r.ID)
			}
		}
	}
}

// TestCandlesLeaveBinaryBooksAlone: candles are numbered in an epoch of the gateway's
// process. Told of the venue, it would void every book of it that a binary client
// holds, be it that the candles begin while the book is held or are there before.
func TestCandlesLeaveBinaryBooksAlone(t *testing.T) {
	s, g := start(t, Limits{}, 4096)
	early := dialRecords(t, g, `"binance.book.*","binance.candles_1s.*","binance.candles_1m.*"`)
	early.until(func() bool { return early.live })
	s.trade(btcTrades, 1, 1) // the candles begin
	early.until(func() bool { return early.bars > 0 })
	late := dialRecords(t, g, `"binance.>"`)
	late.until(func() bool { return late.live && late.bars > 0 })

	s.levels(btcBook, level{md.SideBid, 9995, 7})
	for name, c := range map[string]*recordClient{"early": early, "late": late} {
		c.until(func() bool { return c.book.Seq >= 1 })
		if bid, ok := c.book.Book.BestBid(); !ok || bid.Price != 10000 || c.book.Book.Bids.Len() != 5 {
			t.Errorf("%s: %d bids, the best %+v", name, c.book.Book.Bids.Len(), bid)
		}
		venue, bars := c.epochs[md.ChannelAll], c.epochs[md.ChannelCandles1s]
		if venue != testEpoch || bars == 0 || bars == venue || c.epochs[md.ChannelCandles1m] != bars {
			t.Errorf("%s: epochs by channel %v, want the venue's to be %d and one of the candles' own", name, c.epochs, testEpoch)
		}
	}

	// The text beside the records says the same.
	c := dial(t, g, ProtocolBinary)
	c.send(`{"op":"subscribe","id":1,"topics":["%s","binance.candles_1s.BTC-USDT"]}`, btcBook)
	var m answerMsg
	if _, p, err := c.read(); err != nil || json.Unmarshal(p, &m) != nil {
		t.Fatalf("%q %v", p, err)
	}
	at := m.positions(t)
	if at[btcBook].Epoch != "1763842100123456789" || at["binance.candles_1s.BTC-USDT"].Epoch == at[btcBook].Epoch {
		t.Errorf("told positions %v", at)
	}
}
