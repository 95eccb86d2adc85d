package book_test

import (
	"fmt"

	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// A reader becomes live with the end of a snapshot and stays right with every
// update; a gap breaks it until the next snapshot.
func ExampleReader() {
	level := func(seq uint64, flags md.Flags, side uint8, price, size int64) *md.Record {
		return &md.Record{Kind: md.KindBook, Seq: seq, Flags: flags, Side: side, Price: price, Size: size, PriceExp: -2, SizeExp: -3}
	}
	var r book.Reader
	for _, rec := range []*md.Record{
		level(7, md.FlagSnapshot|md.FlagFirst, md.SideClear, 0, 0),
		level(7, md.FlagSnapshot, md.SideBid, 6412345, 1200),
		level(8, md.FlagFirst|md.FlagLast, md.SideAsk, 6412346, 500), // live, amid the snapshot
		level(8, md.FlagSnapshot|md.FlagLast, md.SideEnd, 0, 0),
	} {
		r.Apply(rec)
		fmt.Println(r.State, r.Seq)
	}
	bid, _ := r.Book.BestBid()
	fmt.Println(md.Decimal{Mant: bid.Price, Exp: r.Book.PriceExp}, "x", md.Decimal{Mant: bid.Size, Exp: r.Book.SizeExp})

	r.Apply(&md.Record{Kind: md.KindGap, Side: uint8(md.ChannelBook), Level: uint8(md.GapSequence), ID: 9, Seq: 9})
	fmt.Println(r.State, r.Reason, r.Book.Empty())
	// Output:
	// building 7
	// building 7
	// building 8
	// live 8
	// 64123.45 x 1.2
	// broken sequence true
}
