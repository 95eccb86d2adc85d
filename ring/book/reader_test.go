package book

import (
	"testing"

	"tickrelay/ring/md"
)

func lv(side uint8, price, size int64) md.Record {
	return md.Record{Kind: md.KindBook, Side: side, Price: price, Size: size, TsRecv: 5, TsEvent: 4}
}

// started is a stream whose reader is live with one bid and one ask.
func started() *stream {
	s := &stream{seq: 10}
	s.snapshot(md.Record{Side: md.SideClear}, md.FlagFirst)
	s.snapshot(lv(md.SideBid, 99, 1), 0)
	s.snapshot(lv(md.SideAsk, 101, 1), 0)
	s.snapshot(md.Record{Side: md.SideEnd, TsRecv: 3, TsEvent: 2}, md.FlagLast)
	return s
}

func (s *stream) expect(t *testing.T, state State, seq uint64, levels int) {
	t.Helper()
	if n := s.r.Book.Bids.Len() + s.r.Book.Asks.Len(); s.r.State != state || s.r.Seq != seq || n != levels {
		t.Errorf("%v at %d with %d levels, want %v at %d with %d", s.r.State, s.r.Seq, n, state, seq, levels)
	}
}

func gap(first, last uint64, reason md.GapReason) md.Record {
	return md.Record{Kind: md.KindGap, ID: first, Seq: last, Side: uint8(md.ChannelBook), Level: uint8(reason)}
}

func TestReaderStates(t *testing.T) {
	s := started()
	s.expect(t, Live, 10, 2)
	if s.r.TsRecv != 3 || s.r.TsEvent != 2 {
		t.Errorf("times %d %d", s.r.TsRecv, s.r.TsEvent)
	}
	s.live(lv(md.SideBid, 100, 2))
	s.expect(t, Live, 11, 3)
	if s.r.TsRecv != 5 || s.r.TsEvent != 4 {
		t.Errorf("times %d %d", s.r.TsRecv, s.r.TsEvent)
	}
	s.live(lv(md.SideBid, 99, 0))
	s.expect(t, Live, 12, 2)

	g := gap(13, 20, md.GapOverrun)
	s.r.Apply(&g)
	s.expect(t, Broken, 20, 0)
	if s.r.Reason != md.GapOverrun {
		t.Error(s.r.Reason)
	}
	s.seq = 20
	s.live(lv(md.SideBid, 1, 1)) // before the snapshot: nothing to apply it to
	s.expect(t, Broken, 21, 0)
	s.snapshot(lv(md.SideBid, 1, 1), 0) // of a snapshot that began elsewhere
	s.snapshot(md.Record{Side: md.SideEnd}, md.FlagLast)
	s.expect(t, Broken, 21, 0)

	s.snapshot(md.Record{Side: md.SideClear}, md.FlagFirst)
	s.expect(t, Building, 21, 0)
	s.live(lv(md.SideAsk, 7, 1))
	s.snapshot(lv(md.SideAsk, 8, 1), 0)
	s.expect(t, Building, 22, 2)
	g = gap(23, 23, md.GapChecksum)
	s.r.Apply(&g)
	s.expect(t, Broken, 23, 0)
}

func TestReaderNumbers(t *testing.T) {
	s := started()
	s.seq = 9
	s.live(lv(md.SideBid, 1, 1)) // number 10 again
	s.expect(t, Live, 10, 2)
	s.seq = 11
	s.live(lv(md.SideBid, 1, 1)) // 12 without 11
	s.expect(t, Broken, 12, 0)
	if s.r.Reason != md.GapSequence {
		t.Error(s.r.Reason)
	}

	s = started() // conflated: three records of one number, which may jump
	for i, flags := range []md.Flags{md.FlagFirst | md.FlagConflated, 0, md.FlagLast} {
		rec := lv(md.SideBid, int64(50+i), 1)
		rec.Seq, rec.Flags = 30, flags
		s.r.Apply(&rec)
	}
	s.expect(t, Live, 30, 5)
	rec := lv(md.SideBid, 60, 1)
	rec.Seq = 30
	s.r.Apply(&rec) // the delivery is over: a duplicate
	s.expect(t, Live, 30, 5)
}

func TestReaderHeartbeat(t *testing.T) {
	s := &stream{}
	beat := func(epoch, seq uint64, ch md.Channel) {
		rec := md.Record{Kind: md.KindHeartbeat, ID: epoch, Seq: seq, Side: uint8(ch)}
		s.r.Apply(&rec)
	}
	beat(100, 0, md.ChannelAll)
	beat(100, 10, md.ChannelBook)
	s.expect(t, Empty, 10, 0)
	s.r = started().r
	s.r.Epoch = 100
	beat(100, 0, md.ChannelAll)
	beat(100, 10, md.ChannelBook)
	beat(100, 99, md.ChannelTrades)
	s.expect(t, Live, 10, 2)
	beat(100, 12, md.ChannelBook) // the topic went on without us
	s.expect(t, Broken, 12, 0)
	beat(200, 0, md.ChannelAll)
	s.expect(t, Empty, 0, 0)
	if s.r.Epoch != 200 || s.r.Reason != 0 {
		t.Errorf("%+v", s.r)
	}
}

func TestReaderIgnores(t *testing.T) {
	s := started()
	other := gap(1, 99, md.GapSequence)
	other.Side = uint8(md.ChannelTrades)
	for _, rec := range []md.Record{other, {Kind: md.KindTrade, Seq: 50}, {Kind: md.KindInstrument}, {Kind: md.KindBBO, Seq: 11, Side: 1}} {
		s.r.Apply(&rec)
	}
	s.expect(t, Live, 10, 2)
}

func TestReaderExponents(t *testing.T) {
	at := func(side uint8, price, size int64, pe, se int8) md.Record {
		r := lv(side, price, size)
		r.PriceExp, r.SizeExp = pe, se
		return r
	}
	s := started()
	s.live(at(md.SideBid, 9950, 25, -2, -1)) // finer: the book follows
	s.expect(t, Live, 11, 3)
	if l, _ := s.r.Book.BestBid(); l.Price != 9950 || l.Size != 25 || s.r.Book.PriceExp != -2 || s.r.Book.SizeExp != -1 {
		t.Errorf("%+v", s.r.Book)
	}
	s.live(at(md.SideBid, 98, 1, 0, 0)) // coarser: the record follows
	if l, ok := s.r.Book.Get(md.SideBid, 9800); !ok || l.Size != 10 || s.r.Book.PriceExp != -2 {
		t.Errorf("%+v", s.r.Book)
	}
	s.live(at(md.SideAsk, 1<<62, 1, 18, 0)) // nothing holds both
	s.expect(t, Broken, 13, 0)
	if s.r.Reason != md.GapRange {
		t.Error(s.r.Reason)
	}
	s = started()
	s.live(lv(md.SideBid, 99, md.Absent))
	s.expect(t, Broken, 11, 0)
}

// FuzzReader: any records, in any order, leave sorted sides.
func FuzzReader(f *testing.F) {
	var seed []byte
	for _, r := range []md.Record{{Kind: md.KindBook, Flags: md.FlagSnapshot}, lv(1, 5, 1), lv(2, 6, 1), gap(1, 2, 1)} {
		seed = append(seed, md.AsBytes([]md.Record{r})...)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		recs := make([]md.Record, len(b)/md.RecordSize)
		copy(md.AsBytes(recs), b)
		var r Reader
		for i := range recs {
			r.Apply(&recs[i])
		}
		for i := 1; i < r.Book.Bids.Len(); i++ {
			if r.Book.Bids.At(i-1).Price <= r.Book.Bids.At(i).Price {
				t.Fatal("bids are not sorted")
			}
		}
		for i := 1; i < r.Book.Asks.Len(); i++ {
			if r.Book.Asks.At(i-1).Price >= r.Book.Asks.At(i).Price {
				t.Fatal("asks are not sorted")
			}
		}
		if (r.State == Empty || r.State == Broken) && !r.Book.Empty() {
			t.Fatalf("%v with levels", r.State)
		}
	})
}
