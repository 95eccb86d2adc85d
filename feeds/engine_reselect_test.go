package feeds

import (
	"testing"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

var tradesOnly = []md.Channel{md.ChannelTrades}

// TestEngineReselect: what is not selected any more ends with a gap and a request
// to the venue, what is new begins on the same line, all else goes on.
func TestEngineReselect(t *testing.T) {
	r := newEngineRig(t, Binance{}, func(c *EngineConfig) {
		c.Instruments, c.Channels = []string{"BTC-USDT", "ETH-USDC"}, tradesOnly
	})
	r.eng.Catalogue([]md.Instrument{entry("ETH-USDC", "ETHUSDC"), entry("SOL-USDC", "SOLUSDC"), entry("BTC-USDT", "BTCUSDT")})
	r.eng.Start()
	r.connect(0)
	r.actions()
	r.frame(tradeOf("BTCUSDT", 1))
	r.frame(tradeOf("ETHUSDC", 1))
	r.lines()
	if err := r.eng.Reselect([]string{"BTC-USDT", "SOL-*"}, tradesOnly, r.now); err != nil {
		t.Fatal(err)
	}
	r.settle()
	r.expect("ended", `"gap" ETH-USDC "seq":2 disconnect`)
	r.expectActions("requests", `UNSUBSCRIBE "ethusdc@trade"]`, `"SUBSCRIBE" ["solusdc@trade"]`)
	r.frame(tradeOf("ETHUSDC", 2))
	r.frame(tradeOf("SOLUSDC", 7))
	r.frame(tradeOf("BTCUSDT", 2))
	r.expect("goes on", `SOL-USDC "seq":1`, `BTC-USDT "seq":2`)
	if n := len(r.eng.Stats().Topics()); n != 2 || r.eng.Stats().Instruments.Load() != 2 {
		t.Errorf("%d topics, %d instruments are told", n, r.eng.Stats().Instruments.Load())
	}
	// A later catalogue does not bring it back; being selected again does.
	r.eng.Catalogue([]md.Instrument{entry("ETH-USDC", "ETHUSDC"), entry("SOL-USDC", "SOLUSDC"), entry("BTC-USDT", "BTCUSDT")})
	r.settle()
	r.expectActions("catalogue")
	if err := r.eng.Reselect([]string{"*"}, tradesOnly, r.now); err != nil {
		t.Fatal(err)
	}
	r.settle()
	r.expectActions("back", `"SUBSCRIBE" ["ethusdc@trade"]`)
	r.frame(tradeOf("ETHUSDC", 9))
	r.expect("numbers go on", `ETH-USDC "seq":3`)
}

// TestEngineReselectChannels: a channel ends and another begins while the book stays.
func TestEngineReselectChannels(t *testing.T) {
	both, books := []md.Channel{md.ChannelTrades, md.ChannelBook}, []md.Channel{md.ChannelBook, md.ChannelBBO}
	r := newEngineRig(t, Binance{}, func(c *EngineConfig) { c.Channels = both })
	r.eng.Start()
	r.connect(0)
	r.frame(depth(11, 12, `["9","1"]`, `["10","1"]`))
	r.snapshot(1, restBook(11, `["9","2"]`, `["10","2"]`), nil)
	r.frame(tradeFrame(5, "10", "1"))
	r.lines()
	r.actions()
	if err := r.eng.Reselect([]string{"BTC-USDT"}, books, r.now); err != nil {
		t.Fatal(err)
	}
	r.settle()
	r.expect("trades end", `"gap" trades "seq":2`)
	r.expectActions("requests", `UNSUBSCRIBE trade`, `"SUBSCRIBE" bookTicker`)
	r.frame(tradeFrame(6, "10", "1"))
	r.frame(depth(13, 13, `["9","5"]`, ``))
	r.expect("the book goes on", `"book" update`)
	if err := r.eng.Reselect([]string{"BTC-USDT"}, []md.Channel{md.ChannelFunding}, r.now); err == nil {
		t.Error("a channel that the venue does not have is accepted")
	}
	// The book ends while a snapshot of it is asked for, and begins again.
	r.frame(depth(20, 20, `["9","5"]`, ``))
	if err := r.eng.Reselect([]string{"ETH-USDT"}, books, r.now); err != nil {
		t.Fatal(err)
	}
	r.settle()
	r.snapshot(2, restBook(20, `["9","2"]`, `["10","2"]`), nil)
	r.lines()
	if n := len(r.eng.resyncing) + len(r.eng.fetches); n != 1 { // that of the book that is new
		t.Errorf("%d snapshots are waited for", n)
	}
}

// TestEngineTopicsPassOn: an engine goes on with the numbers of another one.
func TestEngineTopicsPassOn(t *testing.T) {
	numbers := &ring.Numbers{}
	table, err := md.CreateTable(make([]byte, md.TableSize(8)), 8, 1)
	if err != nil {
		t.Fatal(err)
	}
	rig := func(instruments ...string) *engineRig {
		r := newEngineRig(t, Binance{}, func(c *EngineConfig) {
			c.Instruments, c.Channels, c.Table = instruments, tradesOnly, table
			c.Pub = ring.NewPublisher(ring.PublisherConfig{Venue: md.VenueBinance, Epoch: rigStart, Numbers: numbers})
		})
		seg := ring.NewHeap(1<<12, ring.Meta{Name: "x"})
		var err error
		if r.pub = r.eng.pub; err == nil {
			_, err = r.pub.Attach(seg, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.cons, err = ring.OpenConsumer(seg); err != nil {
			t.Fatal(err)
		}
		r.eng.Start()
		r.connect(0)
		return r
	}
	a, b := rig("BTC-USDT"), rig("ETH-USDT")
	for id := 1; id <= 3; id++ {
		a.frame(tradeFrame(id, "10", "1"))
	}
	if err := a.eng.Narrow([]string{"SOL-USDT"}, tradesOnly, a.now); err != nil {
		t.Fatal(err)
	}
	a.settle()
	a.lines()
	if err := b.eng.Reselect([]string{"ETH-USDT", "BTC-USDT"}, tradesOnly, b.now); err != nil {
		t.Fatal(err)
	}
	b.settle()
	if got := b.pub.TopicSeq(0); got != 0 {
		t.Errorf("the topic that was not passed on is at %d", got)
	}
	if got := b.pub.TopicSeq(1); got != 4 { // three trades and the gap
		t.Errorf("the topic passed on is at %d", got)
	}
	b.frame(tradeFrame(9, "10", "1"))
	if got := b.pub.TopicSeq(1); got != 5 {
		t.Errorf("then at %d", got)
	}
}
