package bus

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"tickrelay/relay/bus/natsserver"
	"tickrelay/ring"
	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

const patience = 60 * time.Second

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

func natsOne(t *testing.T, change func(*server.Options)) *natsserver.Server {
	t.Helper()
	s, err := natsserver.Start(natsserver.Config{Name: "one", Dir: t.TempDir(), Change: change})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// source is a feed of one instrument's channels whose events a test makes.
type source struct {
	t       *testing.T
	mu      sync.Mutex
	pub     *ring.Publisher
	table   *md.Table
	instr   uint32
	trades  ring.TopicID
	bbo     ring.TopicID
	bookID  ring.TopicID
	book    book.Book
	n       int64
	rings   *ring.Poller
	stop    chan struct{}
	stopped chan struct{}
}

const testSymbol = "BTC-USDT"

// newSource makes a feed; skip is how many instruments are in its table first, so
// that ids of hosts differ.
func newSource(t *testing.T, skip, capacity int) *source {
	t.Helper()
	s := &source{t: t, table: newTable(t, skip), stop: make(chan struct{}), stopped: make(chan struct{})}
	var err error
	if s.instr, err = s.table.Add(md.Instrument{Venue: md.VenueBinance, Symbol: testSymbol, Native: "BTCUSDT", Kind: md.InstrumentSpot,
		PriceExp: -2, SizeExp: -3, Tick: md.Decimal{Mant: 1, Exp: -2}}); err != nil {
		t.Fatal(err)
	}
	s.pub = ring.NewPublisher(ring.PublisherConfig{Venue: md.VenueBinance})
	s.trades = s.pub.AddTopic(s.instr, md.ChannelTrades, nil)
	s.bbo = s.pub.AddTopic(s.instr, md.ChannelBBO, nil)
	s.bookID = s.pub.AddTopic(s.instr, md.ChannelBook, &s.book)
	seg := ring.NewHeap(capacity, ring.Meta{Name: "bus"})
	if _, err := s.pub.Attach(seg, nil); err != nil {
		t.Fatal(err)
	}
	c, err := ring.OpenConsumer(seg)
	if err != nil {
		t.Fatal(err)
	}
	s.rings = ring.NewPoller(c)
	go func() {
		defer close(s.stopped)
		for {
			select {
			case <-s.stop:
				return
			case <-time.After(time.Millisecond):
				s.do(func() {})
			}
		}
	}()
	t.Cleanup(func() { close(s.stop); <-s.stopped })
	return s
}

func newTable(t *testing.T, skip int) *md.Table {
	t.Helper()
	table, err := md.CreateTable(make([]byte, md.TableSize(64)), 64, uint64(skip)+1)
	if err != nil {
		t.Fatal(err)
	}
	for i := range skip {
		if _, err := table.Add(md.Instrument{Venue: md.VenueOKX, Symbol: fmt.Sprintf("X%d-Y", i)}); err != nil {
			t.Fatal(err)
		}
	}
	return table
}

// do works on the feed between two turns of its loop.
func (s *source) do(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	for s.pub.Turn(time.Now().UnixNano()) {
	}
}

// start completes the book for the first time.
func (s *source) start() {
	s.do(func() {
		for i := range int64(20) {
			s.book.Set(md.SideBid, book.Level{Price: 100_00 - i, Size: 1 + i})
			s.book.Set(md.SideAsk, book.Level{Price: 100_01 + i, Size: 1 + i})
		}
		s.book.PriceExp, s.book.SizeExp = -2, -3
		s.pub.Rebuilt(s.bookID, s.now())
	})
}

func (s *source) now() int64 { return time.Now().UnixNano() }

// tick publishes a trade, a quote and a change of the book.
func (s *source) tick() {
	s.do(func() {
		s.n++
		r := md.Record{TsRecv: s.now(), PriceExp: -2, SizeExp: -3, Price: 100_00, Size: s.n, Kind: md.KindTrade, Side: md.SideBuy, ID: uint64(s.n)}
		s.pub.Publish(s.trades, []md.Record{r})
		r.Kind, r.ID = md.KindBBO, 0
		ask := r
		r.Side, ask.Side, ask.Price = md.SideBid, md.SideAsk, 100_01
		s.pub.Publish(s.bbo, []md.Record{r, ask})
		r.Kind, r.Price = md.KindBook, 100_00-s.n%20
		s.book.Set(md.SideBid, book.Level{Price: r.Price, Size: r.Size})
		s.pub.Publish(s.bookID, []md.Record{r})
	})
}

// publish starts a Publisher on the feed; cancel ends it.
func (s *source) publish(cfg Config) (*Publisher, func()) {
	s.t.Helper()
	p, err := NewPublisher(PublisherConfig{Bus: cfg, Venue: md.VenueBinance, Rings: s.rings, Table: s.table.View()})
	if err != nil {
		s.t.Fatal(err)
	}
	return p, background(s.t, p.Run)
}

// background runs until cancel, or the test's end.
func background(t *testing.T, run func(context.Context) error) (cancel func()) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	cancel = sync.OnceFunc(func() {
		stop()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Error("Run does not end")
		}
	})
	t.Cleanup(cancel)
	return cancel
}

// sink is a gateway host: a Subscriber and a strategy that checks what it reads.
type sink struct {
	t     *testing.T
	s     *Subscriber
	table *md.Table
	c     *ring.Consumer
	stop  func()

	mu     sync.Mutex
	books  book.Reader
	epoch  uint64
	epochs int
	next   map[md.Channel]uint64
	got    map[[3]uint64]bool // epoch, channel, number
	gaps   []md.Record
	trades int
	bbo    [2]md.Record
	bad    []string
}

// subscribe starts a gateway host.
func subscribe(t *testing.T, cfg Config, skip int) *sink {
	t.Helper()
	k := newSink(t, cfg, skip)
	k.run()
	return k
}

// newSink makes a gateway host that does not run yet.
func newSink(t *testing.T, cfg Config, skip int) *sink {
	t.Helper()
	p, err := md.ParsePattern("binance.>")
	if err != nil {
		t.Fatal(err)
	}
	k := &sink{t: t, table: newTable(t, skip), next: map[md.Channel]uint64{}, got: map[[3]uint64]bool{}}
	if k.s, err = NewSubscriber(SubscriberConfig{Bus: cfg, Topics: []md.Pattern{p}, Table: k.table}); err != nil {
		t.Fatal(err)
	}
	seg := ring.NewHeap(1<<14, ring.Meta{})
	if err := k.s.AttachWithHistory(md.VenueBinance, seg); err != nil {
		t.Fatal(err)
	}
	if k.c, err = ring.OpenConsumer(seg); err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *sink) run() {
	k.t.Helper()
	stopRun := background(k.t, k.s.Run)
	stopRead := background(k.t, func(ctx context.Context) error {
		buf := make([]md.Record, 256)
		for ctx.Err() == nil {
			n, err := k.c.Poll(buf)
			if err != nil {
				return nil // the subscriber has ended
			}
			k.mu.Lock()
			for i := range buf[:n] {
				k.take(&buf[i])
			}
			k.mu.Unlock()
			if n == 0 {
				_, _ = k.c.Wait(ring.WaitBlock, 10*time.Millisecond)
			}
		}
		return nil
	})
	k.stop = func() { stopRun(); stopRead() }
	k.t.Cleanup(k.check)
}

// take judges one record: each number once, in order, or in a gap.
func (k *sink) take(r *md.Record) {
	k.books.Apply(r)
	ch := r.Channel()
	switch {
	case r.Kind == md.KindHeartbeat && ch == md.ChannelAll:
		if r.ID != k.epoch {
			if r.ID < k.epoch {
				k.bad = append(k.bad, fmt.Sprintf("epoch %d after %d", r.ID, k.epoch))
			}
			k.epoch = r.ID
			k.epochs++
			clear(k.next)
		}
	case r.Kind == md.KindHeartbeat:
		k.next[ch] = r.Seq + 1
	case r.Kind == md.KindInstrument:
	case r.Kind == md.KindGap:
		k.gaps = append(k.gaps, *r)
		if r.Flags&md.FlagSnapshot == 0 {
			if r.ID != k.next[ch] {
				k.bad = append(k.bad, fmt.Sprintf("%s: gap %d-%d, next is %d", ch, r.ID, r.Seq, k.next[ch]))
			}
			k.next[ch] = r.Seq + 1
		}
	case r.Flags&md.FlagSnapshot != 0:
		k.keep(r)
	default:
		key := [3]uint64{k.epoch, uint64(ch), r.Seq}
		if k.got[key] {
			k.bad = append(k.bad, fmt.Sprintf("%s: number %d twice", ch, r.Seq))
		}
		k.got[key] = true
		if r.Seq != k.next[ch] {
			k.bad = append(k.bad, fmt.Sprintf("%s: number %d, next is %d", ch, r.Seq, k.next[ch]))
		}
		k.next[ch] = r.Seq + 1
		k.keep(r)
	}
	if in, ok := k.table.Get(r.Instrument); !r.Kind.Control() && (!ok || in.Symbol != testSymbol || in.Venue != md.VenueBinance) {
		k.bad = append(k.bad, fmt.Sprintf("%s of instrument %d, %q", r.Kind, r.Instrument, in.Symbol))
	}
}

func (k *sink) keep(r *md.Record) {
	switch r.Kind {
	case md.KindTrade:
		k.trades++
	case md.KindBBO:
		k.bbo[r.Side-1] = *r
	}
}

func (k *sink) check() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, b := range k.bad {
		if i == 5 {
			k.t.Errorf("and %d more", len(k.bad)-5)
			break
		}
		k.t.Error(b)
	}
}

// read looks at the sink's state.
func (k *sink) read(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
}

// agrees reports whether the sink's book, quote and number of trades are the
// source's.
func (k *sink) agrees(s *source) (ok bool) {
	s.do(func() {
		k.read(func() {
			ok = k.books.State == book.Live && sameBook(&k.books.Book, &s.book) && k.bbo[0].Size == s.n && k.bbo[1].Size == s.n
		})
	})
	return ok
}

func sameBook(a, b *book.Book) bool {
	return a.PriceExp == b.PriceExp && a.SizeExp == b.SizeExp && sameSide(&a.Bids, &b.Bids) && sameSide(&a.Asks, &b.Asks)
}

func sameSide(a, b *book.Side) bool {
	if a.Len() != b.Len() {
		return false
	}
	for i := range a.Len() {
		if *a.At(i) != *b.At(i) {
			return false
		}
	}
	return true
}

// lost counts gaps that name numbers, and those; stale ones are not counted.
func (k *sink) lost(c md.Channel) (gaps int, numbers uint64) {
	k.read(func() {
		for i := range k.gaps {
			if g := &k.gaps[i]; g.Channel() == c && g.Flags&md.FlagSnapshot == 0 {
				gaps++
				numbers += g.Seq - g.ID + 1
			}
		}
	})
	return gaps, numbers
}
