package ring_test

import (
	"fmt"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// A ring between two goroutines of one process: whole batches go in, records
// come out. Producer.Publish returns false instead of waiting.
func ExampleProducer_Publish() {
	seg := ring.NewHeap(1024, ring.Meta{Name: "example"})
	consumer, _ := ring.OpenConsumer(seg)
	producer, _ := ring.NewProducer(seg)

	producer.Publish([]md.Record{
		{Kind: md.KindTrade, Price: 6412345, PriceExp: -2, Size: 5, SizeExp: -1, Side: md.SideBuy},
		{Kind: md.KindTrade, Price: 6412300, PriceExp: -2, Size: 25, SizeExp: -1, Side: md.SideSell},
	})
	producer.Close()

	buf := make([]md.Record, 16)
	for {
		n, err := consumer.Poll(buf)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, r := range buf[:n] {
			fmt.Printf("%s × %s\n", md.AppendDecimal(nil, r.Price, r.PriceExp), md.AppendDecimal(nil, r.Size, r.SizeExp))
		}
	}
	// Output:
	// 64123.45 × 0.5
	// 64123 × 2.5
	// ring: example: producer gone: open it again once the relay is back
}

// A strategy's read loop. On another host process the first line is
// ring.Open(dir, name) or ring.Attach(ctx, socket, request).
func ExampleConsumer_Poll() {
	pub := ring.NewPublisher(ring.PublisherConfig{Venue: md.VenueBinance, Epoch: 1})
	trades := pub.AddTopic(42, md.ChannelTrades, nil)
	seg := ring.NewHeap(1024, ring.Meta{Name: "alpha"})
	pub.Attach(seg, nil)

	consumer, _ := ring.OpenConsumer(seg)
	pub.Turn(2) // the feed's loop sees the new reader
	pub.Publish(trades, []md.Record{{Kind: md.KindTrade, Price: 100, Size: 1}})
	pub.Gap(trades, md.GapDisconnect, 3, 5)
	pub.Publish(trades, []md.Record{{Kind: md.KindTrade, Price: 101, Size: 1}})
	pub.Flush()

	buf := make([]md.Record, 256)
	for {
		if ok, err := consumer.Wait(ring.WaitBlock, 0); !ok || err != nil {
			break // a strategy would go on
		}
		n, _ := consumer.Poll(buf)
		for i := range buf[:n] {
			switch r := &buf[i]; r.Kind {
			case md.KindHeartbeat:
				fmt.Println("epoch", r.ID, "channel", r.Side, "at", r.Seq)
			case md.KindGap:
				fmt.Println("lost", r.Count, "because of", md.GapReason(r.Level))
			case md.KindTrade:
				fmt.Println("trade", r.Seq, "at", r.Price)
			}
		}
	}
	// Output:
	// epoch 1 channel 0 at 0
	// epoch 1 channel 1 at 0
	// trade 1 at 100
	// lost 3 because of disconnect
	// trade 3 at 101
}
