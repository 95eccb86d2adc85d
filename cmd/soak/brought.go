package soak

import (
	"fmt"
	"strings"
	"time"

	"tickrelay/feeds/sim"
	"tickrelay/ring/md"
)

// dwellFor is how long the market goes on after everything is whole again: what it does
// then must reach every reader.
const dwellFor = 2 * time.Second

// trueBook is an instrument as an exchange has it.
type trueBook struct {
	sim.Book
	Quoted   bool       `json:"quoted,omitempty"` // the venue's quotes are read
	Trade    *sim.Trade `json:"trade,omitempty"`  // the last one, if all was whole before it
	TradeExp int8       `json:"trade_exp,omitempty"`
}

// lately is the last trade of an instrument, nil if it was before since (ns) or the venue's
// trades are not read.
func (x *exchanges) lately(e *exchange, symbol string, since int64) *sim.Trade {
	list := x.market.Trades(symbol)
	if !e.reads[md.ChannelTrades] || len(list) == 0 || list[len(list)-1].Time < since {
		return nil
	}
	return &list[len(list)-1]
}

// mark is a price with its size that a reader got last.
type mark struct{ price, size md.Decimal }

func (m mark) String() string { return fmt.Sprintf("%s × %s", m.price, m.size) }

// is says whether that is an exchange's; of sizes only the digits count, for venues say
// them in different units.
func (m mark) is(price int64, exp int8, size int64) bool {
	got, _ := shortest(m.size.Mant, 0)
	want, _ := shortest(size, 0)
	return md.Cmp(m.price.Mant, m.price.Exp, price, exp) == 0 && got == want
}

// marks are the last trade and quotes of a topic.
type marks struct{ trade, bid, ask mark }

// of is where a price of that class belongs.
func (m *marks) of(class int) *mark {
	switch class {
	case keyBid:
		return &m.bid
	case keyAsk:
		return &m.ask
	}
	return &m.trade
}

// brought holds the last trade and quotes of a reader against the exchange's. get gives
// those of a topic, nil if it never brought anything.
func (c *comparison) brought(book string, want *trueBook, serves func(topic string) bool, get func(topic string) *marks) {
	if topic := strings.Replace(book, ".book.", ".trades.", 1); want.Trade != nil && serves(topic) {
		c.Lasts++
		got := get(topic)
		if got == nil {
			got = &marks{}
		}
		if !got.trade.is(want.Trade.Price, want.TradeExp, want.Trade.Size) {
			c.late(topic, fmt.Sprintf("the last trade is %s, the exchange's %s", got.trade,
				mark{md.Decimal{Mant: want.Trade.Price, Exp: want.TradeExp}, md.Decimal{Mant: want.Trade.Size, Exp: want.SizeExp}}))
		}
	}
	topic := strings.Replace(book, ".book.", ".bbo.", 1)
	if !want.Quoted || !serves(topic) || len(want.Bids) == 0 || len(want.Asks) == 0 {
		return
	}
	got := get(topic)
	if got == nil {
		got = &marks{}
	}
	for _, side := range []struct {
		name string
		got  mark
		want sim.Level
	}{{"bid", got.bid, want.Bids[0]}, {"ask", got.ask, want.Asks[0]}} {
		c.Lasts++
		if !side.got.is(side.want.Price, want.PriceExp, side.want.Size) {
			c.late(topic, fmt.Sprintf("the %s is %s, the exchange's %s", side.name, side.got,
				mark{md.Decimal{Mant: side.want.Price, Exp: want.PriceExp}, md.Decimal{Mant: side.want.Size, Exp: want.SizeExp}}))
		}
	}
}

// late notes a topic whose last trade or quote is not the exchange's.
func (c *comparison) late(topic, what string) {
	c.Late = append(c.Late, topic)
	if c.Why == "" {
		c.Why = topic + ": " + what
	}
}
