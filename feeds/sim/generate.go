package sim

// fairUnit is the resolution of the fair price: 1/256 tick.
const fairUnit = 256

// floorLevels is how many levels of a side trades and cancels leave alone.
const floorLevels = 20

// generate fills ev with one market event. All arithmetic is on integers, so
// that a seed gives the same events on every architecture.
func (m *Market) generate(ev *Event) {
	in := m.pick()
	ev.in, ev.Symbol = in, in.symbol
	m.drift(in)
	switch p := m.rng.IntN(1000); {
	case m.burst == in:
		m.burstEvent(ev)
	case p < 2:
		m.burst, m.burstLeft, m.burstBuy = in, 10+m.rng.IntN(60), m.rng.IntN(2) == 0
		m.burstEvent(ev)
	case p < 140:
		m.takeLiquidity(ev, m.wantsBuy(in))
	case p < 500:
		m.quoteNear(ev)
	case p < 780:
		m.cancelNear(ev)
	default:
		m.deep(ev)
	}
	m.keepDepth(ev, &in.bids)
	m.keepDepth(ev, &in.asks)
	if len(ev.Changes) == 0 {
		m.quoteNear(ev)
	}
	ev.Seq = in.seq
}

// pick chooses the instrument: that of a burst, else the first ones more often.
func (m *Market) pick() *instrument {
	if m.burstLeft > 0 {
		m.burstLeft--
		return m.burst
	}
	m.burst = nil
	return m.list[min(m.rng.IntN(len(m.list)), m.rng.IntN(len(m.list)))]
}

// drift moves the fair price one step of a random walk that reverts to the
// anchor with a pull that grows with the distance.
func (m *Market) drift(in *instrument) {
	scale := max(fairUnit/8, in.anchor/200_000)
	in.fair += m.rng.Int64N(2*scale+1) - scale + (in.anchor-in.fair)/4096
	in.fair = max(in.fair, fairUnit*64)
}

// wantsBuy decides the side of an aggressor: towards the fair price, and now
// and then against it.
func (m *Market) wantsBuy(in *instrument) bool {
	mid := (in.bids.best() + in.asks.best()) / 2
	if m.rng.IntN(10) < 3 {
		return m.rng.IntN(2) == 0
	}
	return in.fair/fairUnit*in.tick >= mid
}

// change sets one level and numbers the change.
func (in *instrument) change(ev *Event, side *ladder, lv Level) {
	if lv.Size == 0 {
		lv.Count = 0
	}
	side.set(lv)
	in.seq++
	ev.Changes = append(ev.Changes, Change{Bid: side.bid, Level: lv})
}

// side chooses a side.
func (m *Market) side(in *instrument) *ladder {
	if m.rng.IntN(2) == 0 {
		return &in.bids
	}
	return &in.asks
}

// fit keeps a price on its own side of the touch, so that no book is crossed,
// and positive.
func (in *instrument) fit(side *ladder, price int64) int64 {
	if side.bid {
		return max(in.tick, min(price, in.asks.best()-in.tick))
	}
	return max(price, in.bids.best()+in.tick)
}

// quoteNear adds an order near the touch, often inside the spread.
func (m *Market) quoteNear(ev *Event) {
	in := ev.in
	side := m.side(in)
	away := m.rng.Int64N(9) - 1
	if m.rng.IntN(6) == 0 { // close a wide spread
		away = -m.rng.Int64N(max(1, (in.asks.best()-in.bids.best())/in.tick))
	}
	lv := side.at(in.fit(side, side.best()+in.step(side, away)))
	lv.Size += in.size(m.rng)
	lv.Count++
	in.change(ev, side, lv)
}

// cancelNear takes an order away near the touch, the level with the last one.
func (m *Market) cancelNear(ev *Event) {
	side := m.side(ev.in)
	if len(side.levels) <= floorLevels {
		return
	}
	m.cancel(ev, side, side.levels[m.rng.IntN(12)])
}

// cancel takes one order out of a level.
func (m *Market) cancel(ev *Event, side *ladder, lv Level) {
	if left := lv.Size / int64(lv.Count) * int64(lv.Count-1); lv.Count > 1 && left > 0 {
		lv.Size, lv.Count = left/ev.in.lot*ev.in.lot, lv.Count-1
	} else {
		lv.Size = 0
	}
	ev.in.change(ev, side, lv)
}

// deep adds, resizes or cancels somewhere in the book, a few levels at once.
func (m *Market) deep(ev *Event) {
	in := ev.in
	for range 1 + m.rng.IntN(4) {
		side := m.side(in)
		n := len(side.levels)
		if n <= floorLevels {
			continue
		}
		at := side.levels[floorLevels/2+m.rng.IntN(n-floorLevels/2)]
		switch m.rng.IntN(3) {
		case 0:
			m.cancel(ev, side, at)
		case 1:
			at.Size = in.size(m.rng)
			in.change(ev, side, at)
		default:
			price := in.fit(side, at.Price+in.step(side, 1+m.rng.Int64N(3)))
			in.change(ev, side, in.order(price, m.rng))
		}
	}
}

// takeLiquidity is a market order: it fills level by level, one trade each.
func (m *Market) takeLiquidity(ev *Event, buy bool) {
	in := ev.in
	side := &in.bids
	if buy {
		side = &in.asks
	}
	left := in.size(m.rng)
	if m.rng.IntN(20) == 0 {
		left *= 4 // a sweep
	}
	for left > 0 && len(side.levels) > floorLevels && len(ev.Trades) < 12 {
		lv := side.levels[0]
		fill := min(left, lv.Size)
		in.tradeID++
		t := Trade{ID: in.tradeID, Price: lv.Price, Size: fill, Buy: buy, Time: ev.Time}
		ev.Trades = append(ev.Trades, t)
		in.traded(t)
		left -= fill
		if lv.Size -= fill; lv.Count > 1 && lv.Size > 0 {
			lv.Count -= uint32(m.rng.IntN(int(lv.Count)))
		}
		in.change(ev, side, lv)
	}
}

// burstEvent is part of a run in one direction: trades, and quotes pulled away
// in front of them.
func (m *Market) burstEvent(ev *Event) {
	in := ev.in
	side := &in.bids
	if m.burstBuy {
		side = &in.asks
	}
	if m.rng.IntN(3) > 0 && len(side.levels) > floorLevels {
		m.takeLiquidity(ev, m.burstBuy)
		return
	}
	if len(side.levels) > floorLevels {
		m.cancel(ev, side, side.levels[m.rng.IntN(3)])
	}
}

// keepDepth draws a side's number of levels towards the depth of the market.
func (m *Market) keepDepth(ev *Event, side *ladder) {
	in := ev.in
	n := len(side.levels)
	switch {
	case n < in.depth-in.depth/20:
		last := side.levels[n-1].Price + in.step(side, 1+in.gap(n, m.rng))
		if last > 0 {
			in.change(ev, side, in.order(last, m.rng))
			return
		}
		// The bids have reached the bottom: fill a hole instead.
		at := side.levels[m.rng.IntN(n)].Price + in.step(side, 1)
		if at = in.fit(side, at); side.at(at).Size == 0 {
			in.change(ev, side, in.order(at, m.rng))
		}
	case n > in.depth+in.depth/20:
		in.change(ev, side, Level{Price: side.levels[n-1].Price})
	}
}
