package soak

import (
	"fmt"

	"tickrelay/feeds/sim"
	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// add takes what one of several readers has compared.
func (c *comparison) add(name string, one *comparison) {
	c.Books, c.Levels = c.Books+one.Books, c.Levels+one.Levels
	c.Wrong = append(c.Wrong, one.Wrong...)
	c.Lasts, c.Late = c.Lasts+one.Lasts, append(c.Late, one.Late...)
	if one.Why != "" {
		if c.Why != "" {
			c.Why += "; "
		}
		c.Why += name + ": " + one.Why
	}
}

// book compares one book level by level with the exchange's, within depth levels
// of each side if depth is not 0. What differs first stays in Why.
func (c *comparison) book(topic string, got *book.Book, want *sim.Book, depth int) {
	c.Books++
	for _, side := range []struct {
		name string
		got  *book.Side
		want []sim.Level
	}{{"bid", &got.Bids, want.Bids}, {"ask", &got.Asks, want.Asks}} {
		w := side.want
		if depth > 0 {
			w = w[:min(depth, len(w))]
		}
		for i, lv := range w {
			if i >= side.got.Len() {
				break
			}
			c.Levels++
			g := side.got.At(i)
			if md.Cmp(g.Price, got.PriceExp, lv.Price, want.PriceExp) != 0 || md.Cmp(g.Size, got.SizeExp, lv.Size, want.SizeExp) != 0 {
				c.Wrong = append(c.Wrong, topic)
				c.Why = fmt.Sprintf("%s: %s %d is %s × %s, the exchange has %s × %s", topic, side.name, i,
					md.Decimal{Mant: g.Price, Exp: got.PriceExp}, md.Decimal{Mant: g.Size, Exp: got.SizeExp},
					md.Decimal{Mant: lv.Price, Exp: want.PriceExp}, md.Decimal{Mant: lv.Size, Exp: want.SizeExp})
				return
			}
		}
		if side.got.Len() != len(w) {
			c.Wrong = append(c.Wrong, topic)
			c.Why = fmt.Sprintf("%s: %d levels of the %s side, the exchange has %d", topic, side.got.Len(), side.name, len(w))
			return
		}
	}
}
