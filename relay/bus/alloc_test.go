package bus

import (
	"bytes"
	"net"
	"testing"
	"time"
	"unsafe"

	"github.com/nats-io/nats.go"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// drain is the least that the client takes for a NATS server: it answers pings and
// throws everything away, without an allocation that would count against the client.
func drain(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.Write([]byte("INFO {\"server_id\":\"drain\",\"version\":\"2.10.0\",\"proto\":1,\"max_payload\":1048576}\r\n"))
				buf, ping, pong := make([]byte, 64<<10), []byte("PING\r\n"), []byte("PONG\r\n")
				for {
					n, err := c.Read(buf)
					if err != nil {
						return
					}
					if bytes.Contains(buf[:n], ping) {
						c.Write(pong)
					}
				}
			}()
		}
	}()
	return "nats://" + l.Addr().String()
}

// TestPublishAllocatesNothing: from a ring's records to the client's buffer. What
// else runs in the process counts as well, but not once per message.
func TestPublishAllocatesNothing(t *testing.T) {
	table := newTable(t, 0)
	id, err := table.Add(md.Instrument{Venue: md.VenueBinance, Symbol: testSymbol})
	if err != nil {
		t.Fatal(err)
	}
	c, err := ring.OpenConsumer(ring.NewHeap(1024, ring.Meta{}))
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPublisher(PublisherConfig{Bus: Config{URL: drain(t), NoLease: true}, Venue: md.VenueBinance, Rings: ring.NewPoller(c), Table: table.View()})
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	defer p.ctl.Close()
	defer p.data.Close()
	eventually(t, "connected", p.data.IsConnected)
	p.lead(time.Now())
	r := md.Record{Venue: md.VenueBinance, Instrument: id, Kind: md.KindTrade, Side: md.SideBuy, Flags: md.FlagFirst | md.FlagLast, Price: 1, Size: 1}
	send := func() {
		for range 3 {
			r.Seq++
			p.take(&r)
		}
		p.flush()
	}
	for range 100 {
		send()
	}
	sent := p.stats.Records.Load()
	if n := testing.AllocsPerRun(5000, send); n != 0 {
		t.Errorf("%v allocations per message of 3 records", n)
	}
	if got := p.stats.Records.Load() - sent; got < 15000 || p.stats.Dropped.Load() != 0 {
		t.Errorf("%d records sent, %d dropped", got, p.stats.Dropped.Load())
	}
}

// TestReceiveAllocatesNothing: from a message of the client's to a strategy's ring.
func TestReceiveAllocatesNothing(t *testing.T) {
	pat, err := md.ParsePattern("binance.>")
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSubscriber(SubscriberConfig{Bus: Config{URL: drain(t)}, Topics: []md.Pattern{pat}, Table: newTable(t, 0)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.warmed = true
	seg := ring.NewHeap(1<<12, ring.Meta{})
	if _, err := s.Attach(md.VenueBinance, seg, nil); err != nil {
		t.Fatal(err)
	}
	c, err := ring.OpenConsumer(seg)
	if err != nil {
		t.Fatal(err)
	}
	const n = 3
	recs := make([]md.Record, n+1)
	copy(md.AsBytes(recs), message(1, n))
	m := &nats.Msg{Subject: s.sub.topic(wireTopic), Data: unsafe.Slice((*byte)(unsafe.Pointer(&recs[0])), len(recs)*md.RecordSize)}
	buf, read, seq := make([]md.Record, 64), 0, uint64(0)
	receive := func() {
		recs[0].Seq = seq
		for i := range n {
			seq++
			recs[1+i].Seq = seq
		}
		s.take(m)
		for {
			k, err := c.Poll(buf)
			if err != nil {
				t.Fatal(err)
			}
			for i := range buf[:k] {
				if buf[i].Kind == md.KindTrade {
					read++
				}
			}
			if k == 0 {
				return
			}
		}
	}
	s.turn(time.Now())
	for range 100 {
		receive()
	}
	had := read
	if got := testing.AllocsPerRun(5000, receive); got != 0 {
		t.Errorf("%v allocations per message of %d records", got, n)
	}
	if read-had != 5001*n {
		t.Errorf("%d trades came out of the ring, want %d", read-had, 5001*n)
	}
}
