package ring

import (
	"math/rand/v2"

	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// world is a made-up venue: it publishes random events of random topics and
// keeps the truth, record by record, for readers to be judged by.
type world struct {
	rnd    *rand.Rand
	pub    *Publisher
	now    int64
	topics []*truth
	instrs []*instrTruth
	work   []md.Record
}

// truth is everything that a topic ever published: recs[i] has number i+1.
type truth struct {
	id      TopicID
	in      *instrTruth
	channel md.Channel
	recs    []md.Record
	gens    []int // generation of the instrument at that record
	book    *book.Book
	built   bool
	broken  bool
	recover uint16 // slots without a value since the last gap
}

type instrTruth struct {
	id                uint32
	priceExp, sizeExp int8
	gen               int
}

const testEpoch = 1_763_842_100_123_456_789

func newWorld(seed uint64, instruments int, channels ...md.Channel) *world {
	w := &world{rnd: rand.New(rand.NewPCG(seed, 7)), now: testEpoch}
	w.pub = NewPublisher(PublisherConfig{Venue: md.VenueBinance, Epoch: testEpoch, Now: func() int64 { return w.now }})
	for i := range instruments {
		in := &instrTruth{id: uint32(100 + i), priceExp: -2, sizeExp: -4}
		w.instrs = append(w.instrs, in)
		for _, ch := range channels {
			w.add(in, ch)
		}
	}
	return w
}

func (w *world) add(in *instrTruth, ch md.Channel) *truth {
	t := &truth{in: in, channel: ch}
	var src BookSource
	if ch == md.ChannelBook {
		t.book = &book.Book{PriceExp: in.priceExp, SizeExp: in.sizeExp}
		src = t.book
	}
	t.id = w.pub.AddTopic(in.id, ch, src)
	w.topics = append(w.topics, t)
	return t
}

func (w *world) tick() int64 {
	w.now += 1 + w.rnd.Int64N(1e6)
	return w.now
}

// step does one random thing that a feed does.
func (w *world) step() {
	t := w.topics[w.rnd.IntN(len(w.topics))]
	switch k := w.rnd.IntN(100); {
	case k < 2:
		w.gap(t)
	case k < 3:
		w.changeExponents(t.in)
	case t.channel == md.ChannelBook && (!t.built || t.broken):
		w.rebuild(t, 1+w.rnd.IntN(40)*(1+w.rnd.IntN(8))) // small ones, and some that need many turns
	default:
		w.event(t, 1+w.rnd.IntN(4))
	}
	if w.rnd.IntN(3) == 0 {
		w.pub.Flush()
	}
}

// event publishes one event of n records, or as many as the channel has.
func (w *world) event(t *truth, n int) {
	now := w.tick()
	evs := w.work[:0]
	for i := range n {
		evs = append(evs, w.record(t, i, now))
	}
	if t.channel == md.ChannelBBO {
		evs = append(evs[:0], w.record(t, 0, now), w.record(t, 1, now))
	}
	w.work = evs
	w.publish(t, evs)
}

// record makes one record as a venue's file would, and applies it to the book.
func (w *world) record(t *truth, i int, now int64) md.Record {
	r := md.Record{
		TsEvent: now - 1000, TsRecv: now, ID: w.rnd.Uint64(), PriceExp: t.in.priceExp, SizeExp: t.in.sizeExp,
		Price: 10_000 + w.rnd.Int64N(400), Size: 1 + w.rnd.Int64N(1000), Count: w.rnd.Uint32N(9),
	}
	switch t.channel {
	case md.ChannelBook:
		r.Kind, r.Side = md.KindBook, uint8(1+w.rnd.IntN(2))
		if r.Side == md.SideAsk {
			r.Price += 400
		}
		if w.rnd.IntN(3) == 0 {
			r.Size = 0
		}
		t.book.Set(r.Side, book.Level{Price: r.Price, Size: r.Size, Count: r.Count})
	case md.ChannelTrades:
		r.Kind, r.Side = md.KindTrade, uint8(w.rnd.IntN(3))
	case md.ChannelBBO:
		r.Kind, r.Side = md.KindBBO, uint8(1+i)
	case md.ChannelTicker:
		r.Kind, r.ID, r.Level = md.KindTicker, 0, uint8(w.rnd.IntN(md.NumStats))
	case md.ChannelFunding:
		r.Kind, r.Level = md.KindFunding, uint8(1+w.rnd.IntN(2))
	}
	return r
}

// publish publishes an event and writes down what every reader must get.
func (w *world) publish(t *truth, evs []md.Record) {
	var seen uint16
	for i, r := range evs {
		r.Venue, r.Instrument, r.Seq = md.VenueBinance, t.in.id, uint64(len(t.recs)+1)
		if i == 0 {
			r.Flags |= md.FlagFirst
		}
		if i == len(evs)-1 {
			r.Flags |= md.FlagLast
		}
		if t.channel != md.ChannelBook && t.recover&(1<<slotOf(&r)) != 0 {
			r.Flags |= md.FlagRecovered
		}
		seen |= 1 << slotOf(&r)
		t.recs, t.gens = append(t.recs, r), append(t.gens, t.in.gen)
	}
	if t.channel == md.ChannelTrades {
		seen = ^uint16(0)
	}
	if t.channel != md.ChannelBook {
		t.recover &^= seen
		t.broken = false
	}
	w.pub.Publish(t.id, evs)
}

func (w *world) gap(t *truth) {
	missing := w.rnd.Uint32N(5)
	if missing == 0 {
		missing = md.UnknownMissing
	}
	now := w.tick()
	n := uint64(len(t.recs) + 1)
	t.recs = append(t.recs, md.Record{
		Kind: md.KindGap, Flags: md.FlagFirst | md.FlagLast, Venue: md.VenueBinance, Instrument: t.in.id, Seq: n, ID: n,
		TsRecv: now, Side: uint8(t.channel), Level: uint8(md.GapSequence), Count: missing,
	})
	t.gens = append(t.gens, 0) // a gap has no exponents
	t.broken, t.recover = t.channel != md.ChannelTrades, ^uint16(0)
	w.pub.Gap(t.id, md.GapSequence, missing, now)
}

// rebuild gives the book n new levels and says that it is complete.
func (w *world) rebuild(t *truth, n int) {
	t.book.Clear()
	t.book.PriceExp, t.book.SizeExp = t.in.priceExp, t.in.sizeExp
	for n > 0 {
		if r := w.record(t, 0, w.now); r.Size > 0 {
			n--
		}
	}
	t.built, t.broken = true, false
	w.pub.Rebuilt(t.id, w.tick())
}

// changeExponents lowers the instrument's exponents, as a finer digit does.
func (w *world) changeExponents(in *instrTruth) {
	if in.priceExp <= -8 {
		return
	}
	for _, t := range w.topics {
		if t.in == in && t.book != nil && !t.book.Rescale(in.priceExp-1, in.sizeExp) {
			return
		}
	}
	in.priceExp--
	in.gen++
	w.pub.InstrumentChanged(in.id, md.Record{TsRecv: w.tick(), ID: uint64(in.gen), PriceExp: in.priceExp, SizeExp: in.sizeExp})
}

// turns lets the loop run until nothing is left that it could do at once.
func (w *world) turns() {
	for w.pub.Turn(w.tick()) {
	}
}
