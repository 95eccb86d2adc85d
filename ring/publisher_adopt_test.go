package ring

import (
	"testing"

	"tickrelay/ring/md"
)

// TestAdopt: the reader of a ring whose feed ended for good hears of each topic's end,
// whether it had begun to read, was slow, or had been told of the topic at all; and a
// feed that comes back goes on there.
func TestAdopt(t *testing.T) {
	for _, c := range []struct {
		name          string
		turned, slow  bool
		heartbeatsToo bool // of topics, from the adopter
	}{{"never begun", false, false, true}, {"in time", true, false, false}, {"slow", true, true, false}} {
		t.Run(c.name, func(t *testing.T) {
			seg := NewHeap(64, Meta{})
			cfg := PublisherConfig{Venue: md.VenueOKX, Epoch: 5, Numbers: &Numbers{}}
			old := NewPublisher(cfg)
			topics := []TopicID{old.AddTopic(7, md.ChannelTrades, nil), old.AddTopic(7, md.ChannelBBO, nil), old.AddTopic(8, md.ChannelTrades, nil)}
			prod, err := old.Attach(seg, func(instr uint32, ch md.Channel) bool { return instr == 7 })
			must(t, err)
			cons, err := OpenConsumer(seg)
			must(t, err)
			seen := chain{map[topicKey]uint64{}, map[topicKey]int{}, 0}
			if c.turned {
				seen.drain(t, cons, old, 1)
			}
			for i := uint64(1); i < 5 || c.slow && i < 50; i++ {
				old.Publish(topics[0], []md.Record{signed(i)})
				old.Flush()
			}
			for _, topic := range topics {
				old.Gap(topic, md.GapDisconnect, md.UnknownMissing, 2)
				old.GiveUp(topic)
			}
			old.Release(prod)

			adopter := NewPublisher(cfg)
			prod, err = adopter.Adopt(seg)
			must(t, err)
			before, heard := seen.told, map[topicKey]md.Kind{}
			buf := make([]md.Record, 64)
			for now, idle := int64(3), 0; idle < 3; now++ {
				adopter.Turn(now)
				n, err := cons.Poll(buf)
				must(t, err)
				seen.take(t, buf[:n])
				for _, r := range buf[:n] {
					if r.Kind != md.KindHeartbeat || r.Side != uint8(md.ChannelAll) {
						heard[topicKey{r.Instrument, r.Channel()}] = r.Kind
					}
				}
				if n == 0 {
					idle++
				}
			}
			for _, topic := range topics[:2] {
				key := topicKey{7, old.topics[topic].channel}
				if heard[key] != md.KindGap || seen.next[key] != old.TopicSeq(topic)+1 {
					t.Errorf("%v: the last word is %v, at %d; it ended at %d", key, heard[key], seen.next[key]-1, old.TopicSeq(topic))
				}
			}
			if len(heard) != 2 || seen.told > before != c.heartbeatsToo {
				t.Errorf("heard of %v, %d topics told", heard, seen.told-before)
			}
			adopter.Release(prod)

			next := NewPublisher(cfg)
			again := next.AddTopic(7, md.ChannelTrades, nil)
			_, err = next.Attach(seg, nil)
			must(t, err)
			seen.drain(t, cons, next, 90)
			next.Publish(again, []md.Record{signed(1)})
			seen.drain(t, cons, next, 91)
			if k := (topicKey{7, md.ChannelTrades}); seen.next[k] != old.TopicSeq(topics[0])+2 {
				t.Errorf("after the feed came back: at %d", seen.next[k]-1)
			}
		})
	}
}
