package relay

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"tickrelay/nettune"
	"tickrelay/ring/md"
)

// TestSlowReaderCatchesUp: a client that reads four times as fast as messages come gets
// all of its books back after its queue was full, though its queue would be full again
// while it reads the snapshots of all of them.
func TestSlowReaderCatchesUp(t *testing.T) {
	const (
		books   = 60
		deep    = 200
		perByte = 800 // bytes that the client reads for each message that is published
	)
	tab := newTable(t)
	s := newSource(t, tab, md.VenueBinance)
	var topics []string
	for i := range books {
		sym := fmt.Sprintf("C%02d-USDT", i)
		s.add(md.VenueBinance, sym, md.ChannelBook)
		topics = append(topics, "binance.book."+sym)
	}
	ring := s.ring(1 << 16)
	var start []level
	for i := range int64(deep) {
		start = append(start, level{md.SideBid, 9999 - i, 1 + i}, level{md.SideAsk, 10001 + i, 1 + i})
	}
	for _, topic := range topics {
		s.rebuild(topic, start...)
	}
	g := gateway(t, Config{Table: tab.View(), Limits: Limits{QueueMessages: 128, SlowTimeout: time.Minute}, Shards: 1,
		Options: nettune.Options{NoDelay: true, SndBuf: 8 << 10, RcvBuf: 8 << 10}}, ring)
	awaitTopics(t, g, books)
	c := dial(t, g)
	c.send(`{"op":"subscribe","topics":[">"],"policy":"drop"}`)
	c.want("subscribed", "")
	n := 0
	publish := func() {
		s.levels(topics[n%books], level{md.SideBid, 9999 - int64(n/books%deep), int64(n%9 + 1)})
		n++
		for s.end.Depth() > 0 {
			time.Sleep(10 * time.Microsecond)
		}
	}
	for g.shards[0].stats.overflows.Load() == 0 {
		if publish(); n > 200_000 {
			t.Fatal("the queue never overflows")
		}
	}
	for range 6 * books { // it does not read yet
		publish()
	}
	from := n
	broken, last := map[string]bool{}, map[string]uint64{}
	for read, bad := 0, books; bad > 0; {
		_, p, err := c.read()
		if err != nil {
			t.Fatal(err)
		}
		for read += len(p); read >= perByte; read -= perByte {
			publish()
		}
		if n-from > 20_000 {
			t.Fatalf("%d of %d books are not whole after %d messages and %d overflows", bad, books, n-from, g.shards[0].stats.overflows.Load())
		}
		m := &answerMsg{}
		if err := json.Unmarshal(p, m); err != nil {
			t.Fatalf("%v in %s", err, p)
		}
		switch {
		case m.Type == "gap":
			broken[m.Topic] = true
		case m.Type != "book":
			continue
		case m.Action == "snapshot":
			broken[m.Topic] = false
		case broken[m.Topic] || m.Prev != last[m.Topic]:
			t.Fatalf("%+v after %d, broken %v", m, last[m.Topic], broken[m.Topic])
		}
		last[m.Topic] = m.Seq
		bad = 0
		for _, topic := range topics {
			if broken[topic] || s.pub.TopicSeq(s.topics[topic])-last[topic] > 4 {
				bad++
			}
		}
	}
	t.Logf("all whole after %d messages and %d overflows", n-from, g.shards[0].stats.overflows.Load())
}
