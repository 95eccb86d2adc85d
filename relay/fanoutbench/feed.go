package fanoutbench

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// instrument is the one that trades; its long name makes messages of some 250 bytes.
var instrument = md.Instrument{Venue: md.VenueDeribit, Kind: md.InstrumentOption, Symbol: "BTC-USDT-261225-100000-C",
	Native: "BTC_USDT-25DEC26-100000-C", PriceExp: -2, SizeExp: -5,
	Tick: md.Decimal{Mant: 1, Exp: -2}, Lot: md.Decimal{Mant: 1, Exp: -5}}

// topic is what subscribers ask for.
var topic = md.Topic{Venue: instrument.Venue, Channel: md.ChannelTrades, Symbol: instrument.Symbol}.String()

// trade is the record of the seq-th event, due at ns.
func trade(seq uint64, due int64) md.Record {
	return md.Record{Kind: md.KindTrade, Flags: md.FlagFirst | md.FlagLast, Venue: instrument.Venue, Seq: seq, TsEvent: due, TsRecv: due,
		Price: 6412345 + int64(seq%1000), Size: 123456 + int64(seq%100), PriceExp: -2, SizeExp: -5,
		ID: 1e17 + seq, Side: md.SideBuy}
}

// feed makes events for one server.
type feed interface {
	// tick sends n events that are due at a time. It waits for a server that does not
	// take them, if that is how it is fed.
	tick(n int, due int64) error
	close() error
}

// pipeFeed feeds a peer through its standard input.
type pipeFeed struct {
	w   io.WriteCloser
	seq uint64
	buf []byte
}

func (f *pipeFeed) tick(n int, due int64) error {
	f.buf = binary.LittleEndian.AppendUint32(f.buf[:0], uint32(n))
	for range n {
		f.seq++
		at := len(f.buf)
		f.buf = append(f.buf, 0, 0, 0, 0)
		f.buf = md.AppendJSON(f.buf, topic, f.seq-1, []md.Record{trade(f.seq, due)})
		binary.LittleEndian.PutUint32(f.buf[at:], uint32(len(f.buf)-at-4))
	}
	_, err := f.w.Write(f.buf)
	return err
}

func (f *pipeFeed) close() error { return f.w.Close() }

// ringFeed feeds the gateway through a ring, as a feed does.
type ringFeed struct {
	dir *ring.Dir
	seg *ring.Segment

	mu    sync.Mutex
	pub   *ring.Publisher
	topic ring.TopicID
	ended chan struct{}
	idle  sync.WaitGroup
}

// newRingFeed makes the directory, the table and the ring, and starts to keep it alive.
func newRingFeed(name string) (*ringFeed, error) {
	dir, err := ring.OpenDir("", fmt.Sprintf("bench-%s-%d", name, os.Getpid()), ring.Perm{})
	if err != nil {
		return nil, err
	}
	f := &ringFeed{dir: dir, ended: make(chan struct{})}
	if err = f.open(); err != nil {
		dir.Close()
		return nil, err
	}
	f.idle.Go(f.keep)
	return f, nil
}

func (f *ringFeed) open() error {
	table, err := f.dir.CreateTable(16)
	if err != nil {
		return err
	}
	id, err := table.Add(instrument)
	if err != nil {
		return err
	}
	if f.seg, err = f.dir.CreateRing(ringName, 1<<17, ring.Meta{Strategy: "bench", TableID: table.ID()}); err != nil {
		return err
	}
	f.pub = ring.NewPublisher(ring.PublisherConfig{Venue: instrument.Venue})
	f.topic = f.pub.AddTopic(id, md.ChannelTrades, nil)
	_, err = f.pub.Attach(f.seg, nil)
	return err
}

// keep does between ticks what a feed's loop does: it notices the reader.
func (f *ringFeed) keep() {
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	for {
		select {
		case <-f.ended:
			return
		case now := <-every.C:
			f.mu.Lock()
			f.pub.Turn(now.UnixNano())
			f.mu.Unlock()
		}
	}
}

func (f *ringFeed) tick(n int, due int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range n {
		r := trade(0, due)
		f.pub.Publish(f.topic, []md.Record{r})
	}
	f.pub.Turn(time.Now().UnixNano())
	return nil
}

func (f *ringFeed) close() error {
	close(f.ended)
	f.idle.Wait()
	err := f.seg.Close()
	if derr := f.dir.Close(); err == nil {
		err = derr
	}
	return err
}
