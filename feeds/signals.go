package feeds

import (
	"math/bits"

	"tickrelay/ring"
	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// MaxSignalLevels bounds the depth of order-book imbalance.
const MaxSignalLevels = 64

// signals are the derived quantities of one book, defined in docs/signals.md.
// They are computed where the book changes, from the same levels, before the
// batch leaves, and publish nothing that did not change.
type signals struct {
	id     ring.TopicID
	stats  *topicStats
	levels int

	have bool // touch holds that of the last event
	last touch
	sent [2]int64 // imbalance and microprice as published last
	recs [3]md.Record
}

// touch is the best level of both sides.
type touch struct {
	bid, ask          int64
	bidSize, askSize  uint64
	priceExp, sizeExp int8
}

// addSignals begins the topic beside that of a book. Control path.
func (e *Engine) addSignals(in *instrument) *signals {
	if e.cfg.Signals <= 0 {
		return nil
	}
	return &signals{
		id:     e.pub.AddTopic(in.md.ID, md.ChannelSignals, nil),
		stats:  e.stats.addTopic(md.Topic{Venue: e.spec.Venue, Channel: md.ChannelSignals, Symbol: in.md.Symbol}.String()),
		levels: min(e.cfg.Signals, MaxSignalLevels),
	}
}

// signals publishes what a book event has changed. It allocates nothing.
func (e *Engine) signals(s *signals, b *Book, tsEvent, rx int64) {
	bid, okBid := b.BestBid()
	ask, okAsk := b.BestAsk()
	if !okBid || !okAsk {
		s.have = false
		return
	}
	now := touch{bid.Price, ask.Price, uint64(bid.Size), uint64(ask.Size), b.PriceExp, b.SizeExp}
	imbalance, used, ok := bookImbalance(b, s.levels)
	micro, okMicro := ratio(now.bidSize, now.askSize, now.bidSize, now.askSize)
	if !ok || !okMicro {
		s.have = false // sizes beyond 2^64 in all: no such market
		return
	}
	flow, okFlow := int64(0), false
	if s.have && s.last.priceExp == now.priceExp && s.last.sizeExp == now.sizeExp {
		flow, okFlow = orderFlow(&s.last, &now)
	}
	first := !s.have
	s.last, s.have = now, true
	if !first && flow == 0 && s.sent == [2]int64{imbalance, micro} {
		return
	}
	s.sent = [2]int64{imbalance, micro}
	n := 2
	s.recs[0] = md.Record{Level: uint8(md.SignalOBI), Price: imbalance, Count: uint32(used)}
	s.recs[1] = md.Record{Level: uint8(md.SignalMicroprice), Price: micro, Count: 1}
	if okFlow {
		s.recs[2] = md.Record{Level: uint8(md.SignalOFI), Price: flow, Count: 1}
		n = 3
	}
	for i := range s.recs[:n] {
		r := &s.recs[i]
		r.Kind, r.PriceExp, r.TsEvent, r.TsRecv = md.KindSignal, md.SignalExp, tsEvent, rx
	}
	e.pub.Publish(s.id, s.recs[:n])
	e.stats.Records.Add(uint64(n))
	s.stats.last.Store(rx)
	s.stats.state.Store(uint32(TopicLive))
}

// breakSignals tells readers that signals are missing because their book is.
func (e *Engine) breakSignals(s *signals, reason md.GapReason, now int64) {
	s.have = false
	e.pub.Gap(s.id, reason, md.UnknownMissing, now)
	s.stats.gaps.Add(1)
	s.stats.state.Store(uint32(TopicBroken))
}

// bookImbalance is (B − A) / (B + A) over the sizes of the first levels of each
// side, and how many levels the deeper side gave.
func bookImbalance(b *Book, levels int) (value int64, used int, ok bool) {
	var sums [2]uint64
	for k, side := range [2]*book.Side{&b.Bids, &b.Asks} {
		n := min(levels, side.Len())
		used = max(used, n)
		for i := range n {
			var carry uint64
			if sums[k], carry = bits.Add64(sums[k], uint64(side.At(i).Size), 0); carry != 0 {
				return 0, 0, false
			}
		}
	}
	value, ok = ratio(sums[0], sums[1], sums[0], sums[1])
	return value, used, ok
}

// orderFlow is the order-flow imbalance of the touch between two events (Cont,
// Kukanov and Stoikov, "The Price Impact of Order Book Events", 2014, section
// 2.1), divided by the sum of the four sizes.
func orderFlow(was, is *touch) (int64, bool) {
	var pos, neg uint64 // two sizes below 2^63 each: no overflow
	if is.bid >= was.bid {
		pos += is.bidSize
	}
	if is.bid <= was.bid {
		neg += was.bidSize
	}
	if is.ask <= was.ask {
		neg += is.askSize
	}
	if is.ask >= was.ask {
		pos += was.askSize
	}
	return ratio(pos, neg, is.bidSize+was.bidSize, is.askSize+was.askSize)
}

// ratio is (pos − neg) / (a + b) with nine decimals, cut towards zero; false if
// a + b is 0 or beyond 2^64. |pos − neg| must not exceed a + b.
func ratio(pos, neg, a, b uint64) (int64, bool) {
	den, carry := bits.Add64(a, b, 0)
	if carry != 0 || den == 0 {
		return 0, false
	}
	if pos < neg {
		hi, lo := bits.Mul64(neg-pos, 1e9)
		q, _ := bits.Div64(hi, lo, den)
		return -int64(q), true
	}
	hi, lo := bits.Mul64(pos-neg, 1e9)
	q, _ := bits.Div64(hi, lo, den)
	return int64(q), true
}
