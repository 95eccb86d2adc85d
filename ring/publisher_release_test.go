package ring

import (
	"fmt"
	"testing"

	"tickrelay/ring/md"
)

// chain judges a stream over several producers: per topic each number comes, or
// a gap that names it; no heartbeat jumps over one.
type chain struct {
	next map[topicKey]uint64
	gaps map[topicKey]int
	told int // heartbeats of topics
}

func (c *chain) take(t *testing.T, recs []md.Record) {
	t.Helper()
	for _, r := range recs {
		key := topicKey{r.Instrument, r.Channel()}
		next, known := c.next[key]
		switch {
		case r.Kind == md.KindHeartbeat && r.Side == uint8(md.ChannelAll):
			continue
		case r.Kind == md.KindHeartbeat:
			if c.told++; known && r.Seq != next-1 {
				t.Fatalf("%v: the heartbeat says %d without a gap from %d on", key, r.Seq, next)
			}
		case !known:
			t.Fatalf("%v: %v before its heartbeat", key, r.Kind)
		case r.Flags&md.FlagSnapshot != 0:
			continue
		case r.Kind == md.KindGap:
			if r.ID != next || r.Seq < r.ID {
				t.Fatalf("%v: gap %d … %d, want it from %d on", key, r.ID, r.Seq, next)
			}
			c.gaps[key]++
		case r.Seq != next:
			t.Fatalf("%v: number %d, want %d", key, r.Seq, next)
		}
		c.next[key] = r.Seq + 1
	}
}

func (c *chain) drain(t *testing.T, r *Consumer, p *Publisher, now int64) {
	t.Helper()
	buf := make([]md.Record, 64)
	for idle := 0; idle < 3; {
		p.Turn(now)
		n, err := r.Poll(buf)
		if err != nil {
			t.Fatal(err)
		}
		if c.take(t, buf[:n]); n == 0 {
			idle++
		}
	}
}

// TestHandOverWithoutRoom reloads a feed while the ring of a slow reader is
// full: the reader hears of the hand-over's gap all the same, of a topic that
// goes on as of one that does not.
func TestHandOverWithoutRoom(t *testing.T) {
	for _, full := range []bool{false, true} {
		for _, early := range []bool{false, true} {
			for _, starts := range []int{1, 2} {
				t.Run(fmt.Sprintf("full %v, published early %v, %d reloads", full, early, starts), func(t *testing.T) {
					handOver(t, full, early, starts)
				})
			}
		}
	}
}

func handOver(t *testing.T, full, early bool, reloads int) {
	seg := NewHeap(64, Meta{})
	cfg := PublisherConfig{Venue: md.VenueOKX, Epoch: 5, Numbers: &Numbers{}}
	old := NewPublisher(cfg)
	goes, ends := old.AddTopic(7, md.ChannelTrades, nil), old.AddTopic(8, md.ChannelTrades, nil)
	prod, err := old.Attach(seg, nil)
	must(t, err)
	cons, err := OpenConsumer(seg)
	must(t, err)
	c := chain{map[topicKey]uint64{}, map[topicKey]int{}, 0}
	c.drain(t, cons, old, 1)
	for i := uint64(1); i <= 40 && (full || i < 5); i++ { // 80 records into a ring of 64
		for _, topic := range []TopicID{goes, ends} {
			old.Publish(topic, []md.Record{signed(i)})
		}
		old.Flush()
	}
	for _, topic := range []TopicID{goes, ends} {
		old.Gap(topic, md.GapDisconnect, md.UnknownMissing, 2)
		old.GiveUp(topic)
	}
	old.Release(prod)

	for n := range reloads {
		now := int64(3 + n)
		next := NewPublisher(cfg)
		again := next.AddTopic(7, md.ChannelTrades, nil)
		prod, err = next.Attach(seg, nil)
		must(t, err)
		if early {
			next.Publish(again, []md.Record{signed(1)})
		}
		next.Turn(now)
		if n == reloads-1 {
			c.drain(t, cons, next, now)
			next.Publish(again, []md.Record{signed(1)})
			c.drain(t, cons, next, now)
			if k := (topicKey{7, md.ChannelTrades}); c.next[k] != next.TopicSeq(again)+1 || c.gaps[k] == 0 {
				t.Fatalf("at %d after %d gaps, source at %d", c.next[k]-1, c.gaps[k], next.TopicSeq(again))
			}
			break
		}
		next.Gap(again, md.GapDisconnect, md.UnknownMissing, now)
		next.GiveUp(again)
		next.Release(prod)
	}
	if k := (topicKey{8, md.ChannelTrades}); c.next[k] != old.TopicSeq(ends)+1 || c.gaps[k] == 0 {
		t.Fatalf("the topic that ended: at %d after %d gaps, it ended at %d", c.next[k]-1, c.gaps[k], old.TopicSeq(ends))
	}
}

// TestHandOverToNewReader: a reader that attaches between two producers begins
// afresh and hears nothing of what the one before it missed.
func TestHandOverToNewReader(t *testing.T) {
	seg := NewHeap(64, Meta{})
	cfg := PublisherConfig{Venue: md.VenueOKX, Epoch: 5, Numbers: &Numbers{}}
	old := NewPublisher(cfg)
	topic := old.AddTopic(7, md.ChannelTrades, nil)
	prod, err := old.Attach(seg, nil)
	must(t, err)
	first, err := OpenConsumer(seg)
	must(t, err)
	old.Turn(1)
	for i := range uint64(100) {
		old.Publish(topic, []md.Record{signed(i + 1)})
		old.Flush()
	}
	old.Gap(topic, md.GapDisconnect, md.UnknownMissing, 2)
	old.GiveUp(topic)
	old.Release(prod)
	must(t, first.Close())
	second, err := OpenConsumer(seg)
	must(t, err)
	next := NewPublisher(cfg)
	next.AddTopic(7, md.ChannelTrades, nil)
	_, err = next.Attach(seg, nil)
	must(t, err)
	c := chain{map[topicKey]uint64{}, map[topicKey]int{}, 0}
	c.drain(t, second, next, 3)
	if k := (topicKey{7, md.ChannelTrades}); c.told != 1 || c.next[k] != 102 || c.gaps[k] != 0 {
		t.Fatalf("%+v", c)
	}
}
