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
		m.burst, m.burstLeft, m.burstBuy = in, 8+m.rng.IntN(40), m.rng.IntN(2) == 0
		m.burstEvent(ev)
	case p < 140:
		m.takeLiquidity(ev, m.wantsBuy(in), 6)
	case p < 500:
		m.quoteNear(ev)
	case p < 780:
		m.cancelNear(ev)
	default:
		m.deep(ev)
	}
	m.keepSpread(ev)
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

// lean says which side must give way for the price to get to the fair one, nil
// where it is near enough: market makers do not stand in the way for long.
func (in *instrument) lean() (gives, follows *ladder) {
	off := in.fair/fairUnit*in.tick - (in.bids.best()+in.asks.best())/2
	near := 4*in.tick + in.start/2000
	switch {
	case off > near:
		return &in.asks, &in.bids
	case off < -near:
		return &in.bids, &in.asks
	}
	return nil, nil
}

// quoteNear adds an order near the touch, often inside the spread.
func (m *Market) quoteNear(ev *Event) {
	in := ev.in
	side := m.side(in)
	_, follows := in.lean()
	if follows != nil {
		side = follows
	}
	away := m.rng.Int64N(16) * m.rng.Int64N(1+m.nearTicks(in)/4) / 8
	away += m.rng.Int64N(4) - 1
	if follows != nil || m.rng.IntN(6) == 0 { // close a wide spread
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
	gives, _ := ev.in.lean()
	if gives != nil {
		side = gives
	}
	if len(side.levels) <= floorLevels {
		return
	}
	if gives != nil {
		ev.in.change(ev, side, Level{Price: side.best()})
		return
	}
	m.cancel(ev, side, side.levels[m.rng.IntN(floorLevels)])
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
			in.change(ev, side, in.order(m.somewhere(in, side), m.rng))
		}
	}
}

// takeLiquidity is a market order: it fills level by level, one trade each, at
// most deepest of them.
func (m *Market) takeLiquidity(ev *Event, buy bool, deepest int) {
	in := ev.in
	side := &in.bids
	if buy {
		side = &in.asks
	}
	left := in.size(m.rng)
	if m.rng.IntN(20) == 0 {
		left *= 4 // a sweep
	}
	for left > 0 && len(side.levels) > floorLevels && len(ev.Trades) < deepest {
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
		m.takeLiquidity(ev, m.burstBuy, 2)
		return
	}
	if len(side.levels) > floorLevels {
		m.cancel(ev, side, side.levels[m.rng.IntN(3)])
	}
}

// nearTicks is the width of the neighbourhood of the touch, in ticks: 1/5000 of
// the price, 2 at least.
func (m *Market) nearTicks(in *instrument) int64 { return max(2, in.start/in.tick/5000) }

// keepSpread has a market maker quote around the fair price, on the side that
// is farther from it, once the spread is wider than makers leave it.
func (m *Market) keepSpread(ev *Event) {
	in := ev.in
	near := m.nearTicks(in)
	bid, ask, fair := in.bids.best(), in.asks.best(), in.fair/fairUnit*in.tick
	if ask-bid <= near*in.tick {
		return
	}
	side, from := &in.bids, min(fair, ask-in.tick)
	if ask-fair > fair-bid {
		side, from = &in.asks, max(fair, bid+in.tick)
	}
	price := in.fit(side, from+in.step(side, m.rng.Int64N(1+near/2)))
	if !side.better(price, side.best()) {
		price = in.fit(side, side.best()+in.step(side, -1))
	}
	lv := side.at(price)
	lv.Size += in.size(m.rng)
	lv.Count++
	in.change(ev, side, lv)
}

// somewhere is a price behind the touch, within the width of a fresh book and
// more often near.
func (m *Market) somewhere(in *instrument, side *ladder) int64 {
	width := int64(in.depth) * (1 + in.widest()) / 2
	away := 1 + m.rng.Int64N(width)*m.rng.Int64N(width)/width
	return in.fit(side, side.best()+in.step(side, away))
}

// keepDepth draws a side's number of levels towards the depth of the market.
func (m *Market) keepDepth(ev *Event, side *ladder) {
	in := ev.in
	n := len(side.levels)
	switch {
	case n < in.depth-in.depth/20:
		for range 8 { // until a hole is found
			if at := m.somewhere(in, side); side.at(at).Size == 0 {
				in.change(ev, side, in.order(at, m.rng))
				return
			}
		}
	case n > in.depth+in.depth/20:
		in.change(ev, side, Level{Price: side.levels[n-1].Price})
	}
}
