package busbench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"tickrelay/relay/bus"
	"tickrelay/ring"
	"tickrelay/ring/md"
)

const (
	benchSymbol = "BENCH-USDT"
	benchRing   = 1 << 16
	benchStart  = 20 * time.Second // for the first record to arrive
)

// busWay is a feed, a Publisher, a Subscriber and a reader of its ring.
type busWay struct {
	feed  *ring.Publisher
	topic ring.TopicID
	event []md.Record
	c     *ring.Consumer
	buf   []md.Record
	stop  context.CancelFunc
	wg    sync.WaitGroup
}

func newBusWay(ctx context.Context, url string) (*busWay, error) {
	b := &busWay{event: make([]md.Record, perEvent), buf: make([]md.Record, 4096)}
	cfg := bus.Config{URL: url, NoLease: true}
	out, err := md.CreateTable(make([]byte, md.TableSize(4)), 4, 1)
	if err != nil {
		return nil, err
	}
	id, err := out.Add(md.Instrument{Venue: md.VenueBinance, Symbol: benchSymbol})
	if err != nil {
		return nil, err
	}
	b.feed = ring.NewPublisher(ring.PublisherConfig{Venue: md.VenueBinance})
	b.topic = b.feed.AddTopic(id, md.ChannelTrades, nil)
	seg := ring.NewHeap(benchRing, ring.Meta{Name: "bus"})
	if _, err := b.feed.Attach(seg, nil); err != nil {
		return nil, err
	}
	c, err := ring.OpenConsumer(seg)
	if err != nil {
		return nil, err
	}
	pub, err := bus.NewPublisher(bus.PublisherConfig{Bus: cfg, Venue: md.VenueBinance, Rings: ring.NewPoller(c), Table: out.View()})
	if err != nil {
		return nil, err
	}
	in, err := md.CreateTable(make([]byte, md.TableSize(4)), 4, 2)
	if err != nil {
		return nil, err
	}
	pat, err := md.ParsePattern("binance.>")
	if err != nil {
		return nil, err
	}
	sub, err := bus.NewSubscriber(bus.SubscriberConfig{Bus: cfg, Topics: []md.Pattern{pat}, Table: in})
	if err != nil {
		return nil, err
	}
	there := ring.NewHeap(benchRing, ring.Meta{})
	if err := sub.AttachWithHistory(md.VenueBinance, there); err != nil {
		return nil, err
	}
	if b.c, err = ring.OpenConsumer(there); err != nil {
		return nil, err
	}
	run, stop := context.WithCancel(ctx)
	b.stop = stop
	b.wg.Go(func() { _ = sub.Run(run) })
	b.wg.Go(func() { _ = pub.Run(run) })
	if err := b.begin(ctx); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// begin sends single records until one has arrived, then takes in what follows.
func (b *busWay) begin(ctx context.Context) error {
	got := 0
	for end := time.Now().Add(benchStart); got == 0; {
		if err := b.send(1, time.Now().UnixNano()); err != nil {
			return err
		}
		if err := b.receive(func(int64) { got++ }); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if time.Now().After(end) {
			return fmt.Errorf("busbench: nothing arrived within %s", benchStart)
		}
	}
	for quiet := 0; quiet < 20; {
		n := got
		if err := b.receive(func(int64) { got++ }); err != nil {
			return err
		}
		if quiet++; got > n {
			quiet = 0
		}
	}
	return nil
}

func (b *busWay) send(n int, now int64) error {
	for i := range b.event[:n] {
		b.event[i] = md.Record{Kind: md.KindTrade, Side: md.SideBuy, Price: 1, Size: 1, TsRecv: now}
	}
	b.feed.Publish(b.topic, b.event[:n])
	b.feed.Flush()
	b.feed.Turn(now)
	return nil
}

var errLost = errors.New("busbench: records were lost on the bus")

func (b *busWay) receive(f func(int64)) error {
	if _, err := b.c.Wait(ring.WaitBlock, 10*time.Millisecond); err != nil {
		return err
	}
	n, err := b.c.Poll(b.buf)
	for i := range b.buf[:n] {
		switch r := &b.buf[i]; r.Kind {
		case md.KindTrade:
			f(r.TsRecv)
		case md.KindGap:
			return errLost
		}
	}
	return err
}

func (b *busWay) close() {
	b.stop()
	b.wg.Wait()
}
