package feeds

import (
	"context"
	"fmt"
	"testing"
	"time"

	"tickrelay/feeds/sim"
	"tickrelay/ring"
	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// rig is a simulated exchange, a feed on it over real sockets, and a consumer.
type rig struct {
	t      *testing.T
	ctx    context.Context
	market *sim.Market
	server *sim.Server
	feed   *Feed
	table  *md.Table
	seen   *sightings
}

// sightings is what a consumer made of a ring.
type sightings struct {
	t         *testing.T
	c         *ring.Consumer
	recs      []md.Record
	books     map[uint32]*book.Reader
	gaps      map[md.GapReason]int
	tradeGaps map[md.GapReason]int
	kinds     map[md.Kind]int
	seqs      map[[2]uint32]uint64 // by instrument and channel
	invalid   int
	tradeIDs  map[uint32]uint64 // the last one by instrument, where they are consecutive; nil: not looked at
	gone      bool
}

func newSightings(t *testing.T, c *ring.Consumer) *sightings {
	return &sightings{t: t, c: c, recs: make([]md.Record, 4096), books: map[uint32]*book.Reader{},
		gaps: map[md.GapReason]int{}, tradeGaps: map[md.GapReason]int{}, kinds: map[md.Kind]int{}, seqs: map[[2]uint32]uint64{}}
}

// pump takes what is there.
func (s *sightings) pump() {
	for {
		n, err := s.c.Poll(s.recs)
		for i := range n {
			s.take(&s.recs[i])
		}
		s.gone = err != nil
		if n == 0 {
			return
		}
	}
}

func (s *sightings) take(r *md.Record) {
	if err := r.Valid(); err != nil {
		if s.invalid++; s.invalid == 1 {
			s.t.Errorf("invalid record: %v", err)
		}
	}
	s.kinds[r.Kind]++
	ch := r.Kind.Channel()
	if r.Kind == md.KindGap {
		s.gaps[md.GapReason(r.Level)]++
		if ch = md.Channel(r.Side); ch == md.ChannelTrades {
			s.tradeGaps[md.GapReason(r.Level)]++
		}
	}
	s.tradeChain(r)
	if r.Kind == md.KindGap || r.Flags&md.FlagSnapshot == 0 && r.Kind != md.KindHeartbeat && r.Kind != md.KindInstrument {
		key := [2]uint32{r.Instrument, uint32(ch)}
		if last := s.seqs[key]; last != 0 && r.Seq != last+1 {
			s.t.Errorf("instrument %d %s: number %d follows %d", r.Instrument, ch, r.Seq, last)
		}
		s.seqs[key] = r.Seq
	}
	if ch == md.ChannelBook || r.Kind == md.KindHeartbeat {
		b := s.books[r.Instrument]
		if b == nil {
			b = new(book.Reader)
			s.books[r.Instrument] = b
		}
		b.Apply(r)
	}
}

// tradeChain wants every consecutive trade id delivered or counted in a gap.
func (s *sightings) tradeChain(r *md.Record) {
	if s.tradeIDs == nil {
		return
	}
	last := s.tradeIDs[r.Instrument]
	switch {
	case r.Kind == md.KindGap && md.Channel(r.Side) == md.ChannelTrades:
		if r.Count == md.UnknownMissing {
			delete(s.tradeIDs, r.Instrument)
		} else if last != 0 {
			s.tradeIDs[r.Instrument] = last + uint64(r.Count)
		}
	case r.Kind == md.KindTrade && r.Flags&md.FlagSnapshot == 0:
		if last != 0 && r.ID != last+1 {
			s.t.Errorf("instrument %d: trade %d follows %d, and no gap says why", r.Instrument, r.ID, last)
		}
		s.tradeIDs[r.Instrument] = r.ID
	}
}

// tuned is a venue with other limits.
type tuned struct {
	Venue
	spec Spec
}

func (v *tuned) Spec() *Spec { return &v.spec }

// Open implements Opener as the venue does.
func (v *tuned) Open(dst [][]byte, rq *Requests) [][]byte {
	if o, ok := v.Venue.(Opener); ok {
		return o.Open(dst, rq)
	}
	return dst
}

// NewConn implements Stateful as the venue does; one without state is its own
// connection.
func (v *tuned) NewConn() Conn {
	if s, ok := v.Venue.(Stateful); ok {
		return s.NewConn()
	}
	return v.Venue
}

// quick makes a venue's pace fit for tests.
func quick(t *testing.T, name string) *tuned {
	t.Helper()
	v, ok := ByName(name)
	if !ok {
		t.Fatalf("no venue %s", name)
	}
	q := &tuned{v, *v.Spec()}
	q.spec.MaxFrame = min(q.spec.MaxFrame, sim.HugeFrameSize-1)
	q.spec.SendEvery, q.spec.SnapshotEvery = time.Millisecond, 20*time.Millisecond
	return q
}

// newRig starts all of it; edit may change the feed's configuration.
func newRig(t *testing.T, v Venue, o sim.Options, edit func(*Config, *sim.Server)) *rig {
	t.Helper()
	return newRigAt(t, v, o, sim.RealClock{}, edit)
}

// newRigAt is newRig on an exchange with a clock of its own.
func newRigAt(t *testing.T, v Venue, o sim.Options, clock sim.Clock, edit func(*Config, *sim.Server)) *rig {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	symbols := sim.Symbols(v.Spec().Name)[:2]
	m, err := sim.OpenMarket(sim.MarketConfig{Seed: 11, Symbols: symbols, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	if o.DepthEvery == 0 {
		o.DepthEvery = 10 * time.Millisecond
	}
	server, err := sim.Serve(ctx, v.Spec().Name, "127.0.0.1:0", m, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	r := &rig{t: t, ctx: ctx, market: m, server: server, table: newTable(t)}
	cfg := Config{Venue: v, URL: server.URL(), REST: server.REST(), CPU: -1, Table: r.table, Seed: 1,
		Instruments: symbols, Budget: NewBudget(100, time.Millisecond),
		Backoff: Backoff{Min: time.Millisecond, Base: 10 * time.Millisecond, Cap: 100 * time.Millisecond}}
	if edit != nil {
		edit(&cfg, server)
	}
	if r.feed, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	seg := ring.NewHeap(1<<16, ring.Meta{Name: "test"})
	if _, err := r.feed.Attach(seg, nil); err != nil {
		t.Fatal(err)
	}
	consumer, err := ring.OpenConsumer(seg)
	if err != nil {
		t.Fatal(err)
	}
	r.seen = newSightings(t, consumer)
	go m.Run(ctx, 2000)
	return r
}

// wait pumps until cond holds.
func (r *rig) wait(what string, cond func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		r.seen.pump()
		if cond() {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("waited in vain for %s\nhealth: %+v\ngaps: %v kinds: %v", what, r.feed.Health(), r.seen.gaps, r.seen.kinds)
		}
	}
}

func (r *rig) reader(symbol string) *book.Reader {
	id, ok := r.table.View().Lookup(r.feed.Venue().Spec().Venue, symbol)
	if !ok || r.seen.books[id] == nil {
		return new(book.Reader)
	}
	return r.seen.books[id]
}

// live waits until both books are whole and trades flow.
func (r *rig) live() {
	r.t.Helper()
	trades := r.seen.kinds[md.KindTrade]
	r.wait("live books and trades", func() bool {
		for _, symbol := range r.market.Symbols() {
			if r.reader(symbol).State != book.Live {
				return false
			}
		}
		return r.seen.kinds[md.KindTrade] > trades
	})
}

// same waits until the consumer's books equal the exchange's, level by level.
func (r *rig) same() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, 10*time.Second)
	defer cancel()
	if err := r.market.Freeze(ctx); err != nil {
		r.t.Fatal(err)
	}
	defer r.market.Resume()
	for _, symbol := range r.market.Symbols() {
		want, err := r.server.Book(symbol)
		if err != nil {
			r.t.Fatal(err)
		}
		why := "nothing compared"
		for deadline := time.Now().Add(10 * time.Second); why != "" && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			r.seen.pump()
			why = differs(r.reader(symbol), &want)
		}
		if why != "" {
			r.t.Fatalf("%s: the consumer's book is not the exchange's: %s", symbol, why)
		}
	}
}

func differs(got *book.Reader, want *sim.Book) string {
	if got.State != book.Live {
		return fmt.Sprintf("it is %s", got.State)
	}
	if why := sideDiffers(&got.Book.Bids, want.Bids, &got.Book, want); why != "" {
		return "bids: " + why
	}
	if why := sideDiffers(&got.Book.Asks, want.Asks, &got.Book, want); why != "" {
		return "asks: " + why
	}
	return ""
}

func sideDiffers(got *book.Side, want []sim.Level, b *book.Book, w *sim.Book) string {
	for i, lv := range want {
		if i >= got.Len() {
			break
		}
		g := got.At(i)
		if md.Cmp(g.Price, b.PriceExp, lv.Price, w.PriceExp) != 0 || md.Cmp(g.Size, b.SizeExp, lv.Size, w.SizeExp) != 0 {
			return fmt.Sprintf("level %d is %de%d × %de%d, want %de%d × %de%d", i, g.Price, b.PriceExp, g.Size, b.SizeExp,
				lv.Price, w.PriceExp, lv.Size, w.SizeExp)
		}
	}
	if got.Len() != len(want) || len(want) == 0 {
		return fmt.Sprintf("%d levels, want %d", got.Len(), len(want))
	}
	return ""
}
