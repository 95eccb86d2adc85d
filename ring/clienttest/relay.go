package clienttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"tickrelay/ring"
	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// What the relay serves.
const (
	Venue  = md.VenueOKX
	Symbol = "BTC-USDT"
	// Topics are both topics, as a client asks for them.
	Topics = "okx.book.BTC-USDT okx.trades.BTC-USDT"
	// Declared is the name of the ring that can be opened by path alone.
	Declared = "declared"
)

// Mix is a bijection of 64 bits (the finalizer of splitmix64), so that a torn or
// stale record has the wrong content.
func Mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Hash is what one level adds to a book's checksum, modulo 2^64.
func Hash(side uint8, price, size int64) uint64 {
	return Mix(uint64(price) ^ Mix(uint64(size)^Mix(uint64(side))))
}

// Trade is the seq-th trade of the relay: its content follows from its number,
// its id is the book's checksum, its count the book's number (low 32 bits).
func Trade(seq, bookSeq, checksum uint64) md.Record {
	return md.Record{Kind: md.KindTrade, TsEvent: int64(Mix(seq) >> 1), TsRecv: int64(Mix(seq+1) >> 1), Price: int64(Mix(seq+2) >> 1),
		Size: int64(Mix(seq+3) >> 1), ID: checksum, Side: md.SideBuy, PriceExp: -2, SizeExp: -5, Count: uint32(bookSeq)}
}

// Config says what relay to start. Base and Socket are needed.
type Config struct {
	Base   string        // directory for the relay's directory, on tmpfs
	Socket string        // path of the control socket
	Levels int           // of each side of the book at the start. 0: 300
	Pause  time.Duration // between two turns of the feed's loop. 0: 200 µs
}

// Relay is a running one. Its methods are safe for concurrent use.
type Relay struct {
	cfg    Config
	dir    *ring.Dir
	table  *md.Table
	cancel context.CancelFunc
	wg     sync.WaitGroup
	served error

	mu       sync.Mutex // the hot loop's state: a test relay may lock
	pub      *ring.Publisher
	book     book.Book
	sum      uint64
	rng      *rand.Rand
	bookT    ring.TopicID
	tradesT  ring.TopicID
	id       uint32
	declared *ring.Segment
	n        int // rings made
	event    []md.Record
}

// Start starts a relay.
func Start(cfg Config) (*Relay, error) {
	if cfg.Levels == 0 {
		cfg.Levels = 300
	}
	if cfg.Pause == 0 {
		cfg.Pause = 200 * time.Microsecond
	}
	d, err := ring.OpenDir(cfg.Base, "rig", ring.Perm{})
	if err != nil {
		return nil, err
	}
	r := &Relay{cfg: cfg, dir: d, rng: rand.New(rand.NewPCG(1, 2)), pub: ring.NewPublisher(ring.PublisherConfig{Venue: Venue, Heartbeat: 50 * time.Millisecond})}
	if err := r.prepare(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	r.wg.Go(func() { r.loop(ctx) })
	r.wg.Go(func() { r.served = ring.ServeConfig{}.ServeLeases(ctx, cfg.Socket, r.grant) })
	for range 500 { // until it listens
		if _, err := os.Stat(cfg.Socket); err == nil {
			return r, nil
		}
		time.Sleep(2 * time.Millisecond)
	}
	return nil, errors.Join(errors.New("the control socket never came up"), r.Close())
}

func (r *Relay) prepare() error {
	var err error
	if r.table, err = r.dir.CreateTable(64); err != nil {
		return err
	}
	// An entry in front, so that the instrument's number is not 0.
	for _, in := range []md.Instrument{
		{Venue: md.VenueBinance, Kind: md.InstrumentPerp, Symbol: "ETH-USDT-PERP", Native: "ETHUSDT", PriceExp: -2, SizeExp: -3},
		{Venue: Venue, Kind: md.InstrumentSpot, Symbol: Symbol, Native: "BTC-USDT", PriceExp: -2, SizeExp: -5,
			Tick: md.Decimal{Mant: 1, Exp: -2}, Lot: md.Decimal{Mant: 1, Exp: -5}},
	} {
		if r.id, err = r.table.Add(in); err != nil {
			return err
		}
	}
	r.book.PriceExp, r.book.SizeExp = -2, -5
	for i := range r.cfg.Levels {
		r.set(md.SideBid, int64(6_400_000-i), int64(1000+i))
		r.set(md.SideAsk, int64(6_400_001+i), int64(2000+i))
	}
	r.bookT = r.pub.AddTopic(r.id, md.ChannelBook, &r.book)
	r.tradesT = r.pub.AddTopic(r.id, md.ChannelTrades, nil)
	if r.declared, err = r.dir.CreateRing(Declared, 4096, r.meta("path")); err != nil {
		return err
	}
	if _, err = r.pub.Attach(r.declared, nil); err == nil {
		r.pub.Rebuilt(r.bookT, 1)
	}
	return err
}

func (r *Relay) meta(strategy string) ring.Meta {
	return ring.Meta{Strategy: strategy, Relay: "rig", TableID: r.table.ID()}
}

// set changes the book and its checksum.
func (r *Relay) set(side uint8, price, size int64) {
	if old, ok := r.book.Get(side, price); ok {
		r.sum -= Hash(side, price, old.Size)
	}
	r.book.Set(side, book.Level{Price: price, Size: size})
	if size != 0 {
		r.sum += Hash(side, price, size)
	}
}

// loop is the feed's hot loop: an update of the book, then the trade that
// describes it.
func (r *Relay) loop(ctx context.Context) {
	for ctx.Err() == nil {
		r.mu.Lock()
		for range 4 {
			r.turn()
		}
		r.pub.Flush()
		for range 4 {
			if !r.pub.Turn(time.Now().UnixNano()) {
				break
			}
		}
		r.mu.Unlock()
		time.Sleep(r.cfg.Pause)
	}
}

func (r *Relay) turn() {
	r.event = r.event[:0]
	for range 1 + r.rng.IntN(6) {
		side, away := uint8(md.SideBid), int64(r.rng.IntN(r.cfg.Levels*5/4))
		price := 6_400_000 - away
		if r.rng.IntN(2) == 0 {
			side, price = md.SideAsk, 6_400_001+away
		}
		size := int64(r.rng.IntN(5)) * int64(r.rng.IntN(1_000_000)) // 0 often: deletes
		r.set(side, price, size)
		r.event = append(r.event, md.Record{Kind: md.KindBook, Side: side, Price: price, Size: size, PriceExp: -2, SizeExp: -5, TsRecv: 1})
	}
	r.pub.Publish(r.bookT, r.event)
	r.event = append(r.event[:0], Trade(r.pub.TopicSeq(r.tradesT)+1, r.pub.TopicSeq(r.bookT), r.sum))
	r.pub.Publish(r.tradesT, r.event)
}

// grant answers a client: one ring, whose topics can change.
func (r *Relay) grant(req ring.AttachRequest) (*ring.Grant, error) {
	pats, err := patterns(req.Topics)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	seg, err := r.dir.CreateRing(fmt.Sprintf("%s-%d", req.Strategy, r.n), req.Capacity, r.meta(req.Strategy))
	if err != nil {
		return nil, err
	}
	p, err := r.pub.Attach(seg, wants(pats))
	if err != nil {
		return nil, errors.Join(err, seg.Close())
	}
	return &ring.Grant{
		Segments: []*ring.Segment{seg},
		End: func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.pub.Detach(p)
			seg.Close()
		},
	}, nil
}

func patterns(topics []string) ([]md.Pattern, error) {
	var pats []md.Pattern
	for _, t := range topics {
		p, err := md.ParsePattern(t)
		if err != nil {
			return nil, err
		}
		if !p.Match("okx.book."+Symbol) && !p.Match("okx.trades."+Symbol) {
			return nil, &ring.TopicError{Topic: t, Nearest: strings.Fields(Topics)}
		}
		pats = append(pats, p)
	}
	return pats, nil
}

func wants(pats []md.Pattern) func(uint32, md.Channel) bool {
	return func(_ uint32, ch md.Channel) bool {
		topic := md.Topic{Venue: Venue, Channel: ch, Symbol: Symbol}.String()
		return slices.ContainsFunc(pats, func(p md.Pattern) bool { return p.Match(topic) })
	}
}

// Dir is the relay's directory.
func (r *Relay) Dir() string { return r.dir.Path() }

// Readers is how many rings have a living reader.
func (r *Relay) Readers() int {
	infos, _ := ring.List(r.dir.Path())
	n := 0
	for _, in := range infos {
		if in.Consumer.Alive {
			n++
		}
	}
	return n
}

// Close ends the relay in good order.
func (r *Relay) Close() error {
	r.cancel()
	r.wg.Wait()
	return errors.Join(r.served, r.declared.Close(), r.dir.Close())
}

// Main is the relay as a process of its own, to be killed: it prints "ready"
// and runs until it is, or until its standard input ends, as it does when the
// test that started it ends.
func Main(base, socket string) error {
	if _, err := Start(Config{Base: base, Socket: socket}); err != nil {
		return err
	}
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// ShmDir makes a directory in shared memory; done removes it.
func ShmDir() (dir string, done func(), err error) {
	dir, err = os.MkdirTemp("/dev/shm", "tickrelay-test-")
	return dir, func() { os.RemoveAll(dir) }, err
}

// SocketIn is the path of the control socket that tests use in a directory.
func SocketIn(dir string) string { return filepath.Join(dir, "attach.sock") }
