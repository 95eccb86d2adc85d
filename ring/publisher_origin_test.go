package ring

import (
	"fmt"
	"testing"

	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// originRig is a Publisher of records numbered elsewhere, with a reader.
type originRig struct {
	t    *testing.T
	pub  *Publisher
	c    *Consumer
	book book.Book
	now  int64
}

func newOriginRig(t *testing.T, capacity int) *originRig {
	o := &originRig{t: t, pub: NewPublisher(PublisherConfig{Venue: md.VenueBinance, Epoch: 100, Now: func() int64 { return 1 }}), now: 1}
	p, err := o.pub.Attach(NewHeap(capacity, Meta{}), nil)
	if err != nil {
		t.Fatal(err)
	}
	if o.c, err = OpenConsumer(p.Segment()); err != nil {
		t.Fatal(err)
	}
	return o
}

// read gives what the reader gets, heartbeats of the stream's pace left out.
func (o *originRig) read() (out []string) {
	o.t.Helper()
	buf := make([]md.Record, 64)
	for range 4 {
		o.now++
		for o.pub.Turn(o.now) {
		}
		for {
			n, err := o.c.Poll(buf)
			if err != nil {
				o.t.Fatal(err)
			}
			if n == 0 {
				break
			}
			for i := range buf[:n] {
				r := &buf[i]
				s := fmt.Sprintf("%s %d", r.Kind, r.Seq)
				switch {
				case r.Kind == md.KindHeartbeat && r.Side == 0:
					s = fmt.Sprintf("epoch %d", r.ID)
				case r.Kind == md.KindGap:
					s = fmt.Sprintf("gap %d-%d", r.ID, r.Seq)
				case r.Kind == md.KindBook:
					s += fmt.Sprintf(" side %d", r.Side)
				}
				if r.Flags&md.FlagSnapshot != 0 {
					s += " snapshot"
				}
				if err := r.Valid(); err != nil {
					o.t.Error(err)
				}
				out = append(out, s)
			}
		}
	}
	return out
}

func (o *originRig) want(step string, want ...string) {
	o.t.Helper()
	if got := o.read(); fmt.Sprint(got) != fmt.Sprint(want) {
		o.t.Fatalf("%s: got %q\nwant %q", step, got, want)
	}
}

func numbered(kind md.Kind, side uint8, seqs ...uint64) (out []md.Record) {
	for _, s := range seqs {
		out = append(out, md.Record{Kind: kind, Seq: s, Side: side, Price: int64(100 + s), Size: 1, TsRecv: int64(s)})
	}
	return out
}

func TestOriginNumbers(t *testing.T) {
	o := newOriginRig(t, 256)
	tr := o.pub.AddTopic(7, md.ChannelTrades, nil)
	o.pub.Begin(tr, 40)
	o.want("begin", "epoch 100", "heartbeat 40")
	if !o.pub.Relay(tr, numbered(md.KindTrade, 1, 41, 42)) {
		t.Fatal("refused")
	}
	for _, bad := range [][]md.Record{numbered(md.KindTrade, 1, 42), numbered(md.KindTrade, 1, 44), numbered(md.KindTrade, 1, 43, 45)} {
		if o.pub.Relay(tr, bad) {
			t.Errorf("numbers from %d were taken after 42", bad[0].Seq)
		}
	}
	o.pub.Skip(tr, 42, md.GapOverrun, 1, 1)
	o.want("two trades", "trade 41", "trade 42")
	o.pub.Skip(tr, 50, md.GapOverrun, 8, 1)
	o.pub.Relay(tr, numbered(md.KindTrade, 1, 51))
	o.pub.Stale(tr, md.GapDisconnect, 1)
	o.pub.Relay(tr, numbered(md.KindTrade, 1, 52))
	o.want("gaps", "gap 43-50", "trade 51", "gap 51-51 snapshot", "trade 52")
}

func TestOriginStateAndBook(t *testing.T) {
	o := newOriginRig(t, 256)
	bbo := o.pub.AddTopic(7, md.ChannelBBO, nil)
	bk := o.pub.AddTopic(7, md.ChannelBook, &o.book)
	o.pub.Begin(bbo, 5)
	o.pub.Begin(bk, 9)
	o.want("begin", "epoch 100", "heartbeat 5", "heartbeat 9")
	values := append(numbered(md.KindBBO, md.SideBid, 5), numbered(md.KindBBO, md.SideAsk, 5)...)
	o.pub.State(bbo, values)
	o.pub.Rebuilding(bk, 1)
	o.pub.Relay(bk, numbered(md.KindBook, md.SideBid, 10))
	o.want("being built", "bbo 5 snapshot", "bbo 5 snapshot", "book 9 side 0 snapshot", "book 10 side 1")
	o.book.Set(md.SideBid, book.Level{Price: 110, Size: 1})
	o.pub.Rebuilt(bk, 1)
	o.want("built", "book 10 side 0 snapshot", "book 10 side 1 snapshot", "book 10 side 3 snapshot")
	o.pub.Stale(bk, md.GapDisconnect, 1)
	o.want("stale", "gap 10-10 snapshot")

	o.pub.Restart(200, 1)
	o.want("another epoch", "gap 6-6", "gap 11-11", "epoch 200")
	o.pub.Begin(bk, 3)
	o.want("a topic of it", "heartbeat 3")
	o.pub.Relay(bk, numbered(md.KindBook, md.SideBid, 4))
	o.want("its first record", "book 4 side 1")
	if o.pub.Epoch() != 200 || o.c.Epoch() != 200 || o.pub.TopicSeq(bk) != 4 {
		t.Fatalf("epoch %d, in the ring %d, number %d", o.pub.Epoch(), o.c.Epoch(), o.pub.TopicSeq(bk))
	}
}

// TestOriginStalledReader: values and gaps that do not fit are told when there is
// room, with exactly the numbers that were lost.
func TestOriginStalledReader(t *testing.T) {
	for _, numbers := range []bool{true, false} {
		o := newOriginRig(t, 64)
		tr := o.pub.AddTopic(7, md.ChannelTrades, nil)
		o.want("begin", "epoch 100", "heartbeat 0")
		n := uint64(0)
		for o.pub.Rings()[0].Room() > 0 {
			n++
			o.pub.Relay(tr, numbered(md.KindTrade, 1, n))
			o.pub.Flush()
		}
		o.pub.Stale(tr, md.GapDisconnect, 1)
		want := fmt.Sprintf("gap %d-%d snapshot", n, n)
		if numbers {
			o.pub.Relay(tr, numbered(md.KindTrade, 1, n+1))
			o.pub.Skip(tr, n+5, md.GapOverrun, 4, 1)
			want = fmt.Sprintf("gap %d-%d", n+1, n+5)
		}
		got := o.read()
		if last := got[len(got)-1]; last != want || uint64(len(got)) != n+1 {
			t.Errorf("after %d trades %d records, the last %q, want %q", n, len(got), last, want)
		}
	}
}

// TestOriginNewEpochOfBroadcast: a reader of a broadcast ring takes higher numbers
// of a new epoch for no loss of the old one.
func TestOriginNewEpochOfBroadcast(t *testing.T) {
	pub := NewPublisher(PublisherConfig{Venue: md.VenueBinance, Epoch: 100})
	tr := pub.AddTopic(7, md.ChannelTrades, nil)
	s := NewHeap(MinBroadcast, Meta{Broadcast: true})
	if _, err := pub.Attach(s, nil); err != nil {
		t.Fatal(err)
	}
	c, err := NewBroadcastReader(s)
	if err != nil {
		t.Fatal(err)
	}
	now := int64(1e18)
	step := func() (gaps int, last md.Record) {
		buf := make([]md.Record, 256)
		for range 5 {
			now += rejoinEvery
			pub.Turn(now)
			n, err := c.Poll(buf)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range buf[:n] {
				if r.Kind == md.KindGap {
					gaps++
				}
				if r.Kind == md.KindTrade {
					last = r
				}
			}
		}
		return gaps, last
	}
	step()
	pub.Relay(tr, numbered(md.KindTrade, 1, 1))
	if gaps, last := step(); gaps != 0 || last.Seq != 1 {
		t.Fatalf("%d gaps, last %d", gaps, last.Seq)
	}
	pub.Restart(200, now)
	pub.Begin(tr, 1000)
	pub.Turn(now)
	pub.Relay(tr, numbered(md.KindTrade, 1, 1001))
	if gaps, last := step(); gaps != 1 || last.Seq != 1001 {
		t.Fatalf("%d gaps instead of the one that ends the epoch, last %d", gaps, last.Seq)
	}
}
