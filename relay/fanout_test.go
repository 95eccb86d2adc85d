package relay

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tickrelay/nettune"
	"tickrelay/ring/md"
)

// nowhere is a stream that takes everything.
type nowhere struct{ n int }

func (s *nowhere) Read([]byte) (int, int64, error) { return 0, 0, nettune.ErrWouldBlock }
func (s *nowhere) Write(p []byte) (int, error)     { s.n += len(p); return len(p), nil }
func (s *nowhere) Close() error                    { return nil }
func (s *nowhere) WantWrite(bool)                  {}
func (s *nowhere) SetData(any)                     {}
func (s *nowhere) Data() any                       { return nil }
func (s *nowhere) Granted() (o nettune.Options)    { return o }
func (s *nowhere) RemoteAddr() (a netip.AddrPort)  { return a }
func (s *nowhere) LocalAddr() (a netip.AddrPort)   { return a }

// fan is a hub and one shard, driven by hand, with subscribers that read at once.
func fan(t testing.TB, n int) (*hub, *shard, *md.Record) {
	tab := newTable(t)
	id, err := tab.Add(md.Instrument{Venue: md.VenueBinance, Kind: md.InstrumentSpot, Symbol: "BTC-USDT", Native: "BTCUSDT"})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Table: tab.View()}.withDefaults()
	h := newHub(&cfg, &hubStats{})
	s, err := newShard(0, &cfg, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.poller.Close() })
	h.shards = []*shard{s}
	rec := &md.Record{Kind: md.KindTrade, Flags: md.FlagFirst | md.FlagLast, Venue: md.VenueBinance, Instrument: id,
		TsEvent: testEpoch, TsRecv: testEpoch, Price: 6412345, Size: 123, ID: 1, Side: 1, PriceExp: -2, SizeExp: -5}
	st := h.streamOf(h.topicOf(id, md.ChannelTrades), options{})
	for i := range n {
		c := &conn{stream: &nowhere{}, shard: s, format: format(i % 2)}
		s.conns = append(s.conns, c)
		s.join(c, &st.streamInfo)
		st.add(1, c.format, 0)
	}
	return h, s, rec
}

// deliverOne takes one event the whole way from the record to the sockets.
func deliverOne(h *hub, s *shard, rec *md.Record, spare []delivery) []delivery {
	rec.Seq++
	h.one[0] = *rec
	ev := h.one[:]
	h.consume(ev)
	h.flush(context.Background())
	spare = s.inbox.take(spare)
	s.deliverAll(spare)
	s.flushDirty()
	return spare
}

func TestDeliveryAllocations(t *testing.T) {
	measure := func(n int) float64 {
		h, s, rec := fan(t, n)
		var spare []delivery
		for range 10 {
			spare = deliverOne(h, s, rec, spare)
		}
		a := testing.AllocsPerRun(200, func() { spare = deliverOne(h, s, rec, spare) })
		if got := s.stats.messages[0].Load() + s.stats.messages[1].Load(); got != uint64(211*n) {
			t.Fatalf("%d messages sent, want %d", got, 211*n)
		}
		return a
	}
	few, many := measure(2), measure(1000)
	// A frame is its bytes and its descriptor, once per format.
	if few > 4 || many > 4 {
		t.Errorf("%v allocations per event for 2 subscribers, %v for 1000, want at most 4", few, many)
	}
}

func BenchmarkFanOutMemory(b *testing.B) {
	h, s, rec := fan(b, 1000)
	var spare []delivery
	b.ReportAllocs()
	for b.Loop() {
		spare = deliverOne(h, s, rec, spare)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/delivery")
}

const fanOutClients = 1000

// cpu is the processor time of this process, ns.
func cpu() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// drains connects readers that count messages by their bytes; they run in this
// process, so their cost is part of every figure, ours and the baseline's.
func drains(b *testing.B, addr string, greet func(net.Conn)) (received *atomic.Int64) {
	received = &atomic.Int64{}
	var wg sync.WaitGroup
	for range fanOutClients {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Skipf("not enough descriptors: %v", err)
		}
		b.Cleanup(func() { c.Close() })
		greet(c)
		wg.Go(func() {
			buf := make([]byte, 16<<10)
			for {
				n, err := c.Read(buf)
				received.Add(int64(n))
				if err != nil {
					return
				}
			}
		})
	}
	return received
}

// run sends ticks of perTick events and waits for all bytes of each.
func runTicks(b *testing.B, perTick int, received *atomic.Int64, tick func() int) {
	runtime.GC()
	time.Sleep(100 * time.Millisecond)
	received.Store(0)
	before := cpu()
	var want int64
	b.ResetTimer()
	for b.Loop() {
		want += int64(tick()) * fanOutClients
		for received.Load() < want {
			time.Sleep(50 * time.Microsecond)
		}
	}
	b.StopTimer()
	n := float64(b.N) * fanOutClients * float64(perTick)
	b.ReportMetric(float64(cpu()-before)/n, "cpu-ns/delivery")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkFanOut sends ticks to 1,000 subscribers over loopback. It models bursts
// that arrive together; the readers in the same process make both sides look worse,
// alike.
func BenchmarkFanOut(b *testing.B) {
	for _, perTick := range []int{1, 4, 10} {
		b.Run(fmt.Sprintf("gateway/%d", perTick), func(b *testing.B) { benchGateway(b, perTick) })
		b.Run(fmt.Sprintf("loop/%d", perTick), func(b *testing.B) { benchLoop(b, perTick) })
	}
}

func benchGateway(b *testing.B, perTick int) {
	tab := newTable(b)
	s := newSource(b, tab, md.VenueBinance)
	s.add(md.VenueBinance, "BTC-USDT", md.ChannelTrades)
	g := gateway(b, Config{Table: tab.View()}, s.ring(1<<14))
	awaitTopics(b, g, 1)
	received := drains(b, g.Addr().String(), func(c net.Conn) {
		if _, _, err := (ws.Dialer{}).Upgrade(c, mustURL(b, "ws://"+g.Addr().String()+"/ws")); err != nil {
			b.Fatal(err)
		}
		f := ws.MaskFrame(ws.NewTextFrame([]byte(`{"op":"subscribe","topics":["` + btcTrades + `"]}`)))
		if err := ws.WriteFrame(c, f); err != nil {
			b.Fatal(err)
		}
	})
	eventually(b, "all are subscribed", func() bool {
		n := 0
		g.http.inHub(func(h *hub) { n = h.byName[btcTrades].streams[0].subscribers() })
		return n == fanOutClients
	})
	topic := s.topics[btcTrades]
	rec := md.Record{Kind: md.KindTrade, Price: 6412345, Size: 12300, PriceExp: -2, SizeExp: -4, ID: 1, Side: md.SideBuy,
		TsEvent: testEpoch, TsRecv: testEpoch}
	seq := uint64(0)
	runTicks(b, perTick, received, func() int {
		bytes := 0
		for range perTick {
			r := rec
			s.pub.Publish(topic, []md.Record{r})
			r.Seq = seq + 1
			n := len(md.AppendJSON(nil, btcTrades, seq, []md.Record{r}))
			seq++
			bytes += n + ws.HeaderSize(ws.Header{Length: int64(n)})
		}
		s.turn()
		return bytes
	})
}

// benchLoop is what one writes first: a frame per event, and a loop over the
// connections of the net package with one Write each.
func benchLoop(b *testing.B, perTick int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	conns := make(chan net.Conn, fanOutClients)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns <- c
		}
	}()
	received := drains(b, l.Addr().String(), func(net.Conn) {})
	var all []net.Conn
	for range fanOutClients {
		c := <-conns
		defer c.Close()
		all = append(all, c)
	}
	rec := md.Record{Kind: md.KindTrade, Price: 6412345, Size: 12300, PriceExp: -2, SizeExp: -4, ID: 1, Side: md.SideBuy,
		TsEvent: testEpoch, TsRecv: testEpoch}
	runTicks(b, perTick, received, func() int {
		bytes := 0
		for range perTick {
			rec.Seq++
			f := textFrame(md.AppendJSON(nil, btcTrades, rec.Seq-1, []md.Record{rec}))
			for _, c := range all {
				if _, err := c.Write(f.data); err != nil {
					b.Fatal(err)
				}
			}
			bytes += len(f.data)
		}
		return bytes
	})
}

func mustURL(t testing.TB, s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// BenchmarkOneEvent is the way of a single event from Publish to a client's read over
// loopback, everything asleep before it: two wake-ups and two sockets.
func BenchmarkOneEvent(b *testing.B) {
	s, g := start(b, Limits{}, 4096)
	c := dial(b, g)
	c.send(`{"op":"subscribe","topics":["%s"]}`, btcTrades)
	c.want("subscribed", "")
	for b.Loop() {
		s.trade(btcTrades, 1, 100)
		if _, _, err := c.read(); err != nil {
			b.Fatal(err)
		}
	}
}
