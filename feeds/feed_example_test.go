package feeds_test

import (
	"context"
	"fmt"
	"time"

	"tickrelay/feeds"
	"tickrelay/feeds/sim"
	"tickrelay/ring"
	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// A feed on a simulated exchange, read until a book is whole.
func ExampleFeed() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	market, _ := sim.NewMarket(1, []string{"BTC-USDT"})
	go market.Run(ctx, 1000)
	exchange, err := sim.Serve(ctx, "okx", "127.0.0.1:0", market, sim.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer exchange.Close()

	venue, _ := feeds.ByName("okx")
	table, _ := md.CreateTable(make([]byte, md.TableSize(16)), 16, 1)
	feed, err := feeds.New(feeds.Config{Venue: venue, URL: exchange.URL(), REST: exchange.REST(), CPU: -1,
		Table: table, Instruments: []string{"BTC-USDT"}, Channels: []md.Channel{md.ChannelBook}})
	if err != nil {
		fmt.Println(err)
		return
	}
	segment := ring.NewHeap(1<<14, ring.Meta{Name: "example"})
	if _, err = feed.Attach(segment, nil); err != nil {
		fmt.Println(err)
		return
	}
	reader, _ := ring.OpenConsumer(segment)
	ended := make(chan error, 1)
	go func() { ended <- feed.Run(ctx) }()

	var btc book.Reader
	records := make([]md.Record, 1024)
	for btc.State != book.Live {
		reader.Wait(ring.WaitBlock, time.Second)
		n, _ := reader.Poll(records)
		for i := range n {
			btc.Apply(&records[i])
		}
	}
	fmt.Println("the book is", btc.State)
	stop()
	fmt.Println("run ended:", <-ended)
	// Output:
	// the book is live
	// run ended: <nil>
}
