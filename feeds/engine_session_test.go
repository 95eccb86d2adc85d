package feeds

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

func entry(symbol, native string) md.Instrument {
	return md.Instrument{Venue: md.VenueBinance, Kind: md.InstrumentSpot, Symbol: symbol, Native: native, PriceExp: -2, SizeExp: -5}
}

func tradeOf(native string, id int) string {
	return strings.Replace(tradeFrame(id, "10", "1"), "BTCUSDT", native, 1)
}

// TestEngineConfig: every problem is told at once.
func TestEngineConfig(t *testing.T) {
	_, err := NewEngine(EngineConfig{Venue: Binance{}, Channels: []md.Channel{md.ChannelFunding}})
	for _, want := range []string{"no instrument table", "no publisher", "no channel funding"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	if _, err := NewEngine(EngineConfig{Pub: ring.NewPublisher(ring.PublisherConfig{})}); err == nil {
		t.Error("no venue: accepted")
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"BTC-USDT", "BTC-USDT", true}, {"BTC-USDT", "BTC-USDT-PERP", false}, {"*", "", true}, {"*", "x", true},
		{"*-USDC", "ETH-USDC", true}, {"*-USDC", "ETH-USDC-PERP", false}, {"BTC-*", "BTC-", true}, {"BTC-*", "XBTC-", false},
		{"*-USD*-PERP", "BTC-USDT-PERP", true}, {"*-USD*-PERP", "BTC-EUR-PERP", false}, {"a*a", "a", false}, {"a*b*c", "aXbYbZc", true}, {"", "x", false},
	} {
		if got := glob(c.pattern, c.s); got != c.want {
			t.Errorf("glob(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
}

// TestEngineCatalogue: patterns select, later listings join, what leaves is
// ended, names mean what the newest list says.
func TestEngineCatalogue(t *testing.T) {
	r := newEngineRig(t, Binance{}, func(c *EngineConfig) {
		c.Instruments, c.Channels = []string{"*-USDC", "BTC-USDT"}, []md.Channel{md.ChannelTrades}
	})
	r.eng.Catalogue([]md.Instrument{entry("ETH-USDC", "ETHUSDC"), entry("ETH-BTC", "ETHBTC"), entry("BTC-USDT", "BTCUSDT")})
	r.connect(0)
	r.expectActions("selected", `"ethusdc@trade","btcusdt@trade"]`)
	r.frame(tradeOf("ETHUSDC", 1))
	r.frame(tradeOf("ETHBTC", 1))
	r.expect("selected", `binance.trades.ETH-USDC`)
	if n := r.eng.Stats().Ignored[IgnoreInstrument].Load(); n != 1 {
		t.Errorf("%d ignored", n)
	}
	r.eng.Catalogue([]md.Instrument{entry("ETH-BTC", "ETHBTC"), entry("BTC-USDT", "BTCUSDT"), entry("SOL-USDC", "SOLUSDC")})
	r.settle()
	r.expect("delisted", `gap binance.trades.ETH-USDC "reason":"venue"`)
	r.expectActions("one less, one more", `UNSUBSCRIBE "ethusdc@trade"]`, `"SUBSCRIBE" ["solusdc@trade"]`)
	r.frame(tradeOf("ETHUSDC", 2))
	r.frame(tradeOf("SOLUSDC", 2))
	r.expect("after", `binance.trades.SOL-USDC`)
	r.eng.Catalogue([]md.Instrument{entry("ETH-USDC", "ETHUSDC"), entry("BTC-USDT", "BTCUSDT"), entry("SOL-USDC", "SOLUSDC")})
	r.settle()
	r.expectActions("back", `"SUBSCRIBE" ["ethusdc@trade"]`)
	r.frame(tradeOf("ETHUSDC", 3))
	r.expect("back", `binance.trades.ETH-USDC "missed":1`, `"id":"3"`)
}

// TestEngineWithoutCatalogue: symbols that are spelt out go under the name that
// the venue's rule gives, and take what the list says when it comes.
func TestEngineWithoutCatalogue(t *testing.T) {
	r := newEngineRig(t, Binance{}, func(c *EngineConfig) {
		c.Instruments, c.Channels = []string{"*-USDC", "BTC-USDT", "A-B-C"}, []md.Channel{md.ChannelTrades}
	})
	r.connect(0)
	r.expectActions("explicit", `["btcusdt@trade"]`)
	if in, ok := r.table.Get(0); !ok || in.PriceExp != -8 || in.Kind != md.InstrumentSpot {
		t.Errorf("entry %+v", in)
	}
	r.eng.Catalogue([]md.Instrument{entry("BTC-USDT", "BTCUSDT")})
	r.settle()
	r.expectActions("nothing new")
	if in, _ := r.table.Get(0); in.PriceExp != -2 || in.SizeExp != -5 {
		t.Errorf("entry %+v", in)
	}
}

func TestEngineOpen(t *testing.T) {
	r := newEngineRig(t, Binance{}, func(c *EngineConfig) { c.Open, c.Instruments = true, []string{""} })
	r.connect(0)
	r.frame(tradeOf("SOLUSDC", 2))
	r.frame(tradeOf("NOQUOTE", 2))
	r.expect("named by a frame", `binance.trades.SOL-USDC`)
	if h := r.eng.Stats().Topics(); len(h) != 1 || h[0].Topic != "binance.trades.SOL-USDC" || h[0].State != TopicLive {
		t.Errorf("topics %+v", h)
	}
}

// TestEngineTableFull: what the table does not hold is counted and not taken.
func TestEngineTableFull(t *testing.T) {
	r := newEngineRig(t, Binance{}, func(c *EngineConfig) { c.Open, c.Instruments = true, []string{""} })
	r.connect(0)
	for i := range 70 {
		r.frame(tradeOf(fmt.Sprintf("A%dUSDT", i), 1))
	}
	if n, rejected := len(r.lines()), r.eng.Stats().Rejected[RejectTable].Load(); n != 64 || rejected != 6 {
		t.Errorf("%d published, %d refused", n, rejected)
	}
}

// TestEngineSubscriptionBound: no more on a connection than the venue allows.
func TestEngineSubscriptionBound(t *testing.T) {
	r := newEngineRig(t, Binance{}, func(c *EngineConfig) { c.Instruments = []string{"BTC-USDT"} })
	r.eng.spec = &Spec{Name: "binance", Venue: md.VenueBinance, SubsPerConn: 2}
	r.connect(0)
	r.expectActions("two of four", "open 32 route 0", `["btcusdt@trade","btcusdt@depth@100ms"]`)
	r.connect(32)
	r.expectActions("the others", `send 32 ["btcusdt@bookTicker","btcusdt@ticker"]`)
}

// TestEngineAcks: an error is told, counted and tried again with longer waits;
// no answer at all means a new connection.
func TestEngineAcks(t *testing.T) {
	r := newEngineRig(t, Binance{}, func(c *EngineConfig) { c.Channels = []md.Channel{md.ChannelTrades, md.ChannelBBO} })
	r.connect(0)
	r.actions()
	r.frame(`{"code":2,"msg":"Invalid request","id":1}`)
	r.tick(900 * time.Millisecond)
	r.expectActions("not yet")
	r.frame(quoteFrame(1, "1", "2"))
	r.tick(200 * time.Millisecond)
	r.expectActions("what brought nothing", `"SUBSCRIBE" ["btcusdt@trade"]`)
	r.frame(`{"error":{"code":2,"msg":"Invalid request"},"id":2}`)
	r.tick(1900 * time.Millisecond)
	r.expectActions("longer")
	r.tick(200 * time.Millisecond)
	r.expectActions("again", `["btcusdt@trade"]`)
	r.frame(`{"result":null,"id":3}`)
	r.tick(time.Minute)
	r.expectActions("content")
	s := r.eng.Stats()
	if s.VenueErrors.Load() != 2 || s.Acks.Load() != 1 || s.Reconnects.Load() != 0 {
		t.Errorf("errors %d, acks %d", s.VenueErrors.Load(), s.Acks.Load())
	}
	r.disconnect(0)
	r.connect(0)
	r.actions()
	r.tick(14 * time.Second)
	r.expectActions("patience")
	r.tick(3 * time.Second)
	r.expectActions("deaf", `reconnect 0 did not answer`)
	r.tick(time.Minute)
	r.expectActions("asked once")
}

func TestEngineReconnectOnNotice(t *testing.T) {
	r := liveBinance(t)
	r.frame(`{"e":"serverShutdown","E":1700000000000}`)
	r.expectActions("announced", "relieve 0 announced")
}

// TestEngineSilence: an instrument that sent and stopped is subscribed again,
// with patience that grows; one that is quiet by nature is left alone.
func TestEngineSilence(t *testing.T) {
	r := newEngineRig(t, OKX{}, func(c *EngineConfig) {
		c.Silence, c.Channels, c.Instruments = 10*time.Second, []md.Channel{md.ChannelTrades, md.ChannelBook}, []string{"BTC-USDT", "ETH-USDT"}
	})
	r.connect(0)
	r.frame(okxPush("snapshot", "-1", "10", `["10","5","0","1"]`, `["11","2","0","1"]`, "0"))
	for i := range 20 { // ETH has a trade every 4 s
		r.frame(strings.ReplaceAll(okxTradePush(i), "BTC", "ETH"))
		r.tick(4 * time.Second)
		if i < 2 {
			r.frame(okxPush("update", "10", "10", ``, ``, "0")) // a keep-alive is data
		}
	}
	var gaps, others int
	for _, l := range r.lines() {
		if strings.Contains(l, `"gap"`) {
			gaps++
			if !strings.Contains(l, "okx.book.BTC-USDT") || !strings.Contains(l, "disconnect") {
				others++
			}
		}
	}
	var resubs int
	for _, a := range r.actions() {
		if strings.Contains(a, `"unsubscribe"`) && strings.Contains(a, "ETH") && strings.Contains(a, "trades") {
			others++
		} else if strings.Contains(a, `"unsubscribe"`) && strings.Contains(a, `"trades"`) {
			resubs++
		}
	}
	if gaps != 1 || others != 0 || resubs < 1 || resubs > 3 {
		t.Errorf("%d gaps, %d of others, %d resubscriptions", gaps, others, resubs)
	}
}

// TestEngineSilenceAfterOutage: a time without a line is no quiet market; an instrument
// that falls silent after a long outage is noticed as soon as before it.
func TestEngineSilenceAfterOutage(t *testing.T) {
	r := newEngineRig(t, OKX{}, func(c *EngineConfig) { c.Silence, c.Channels = 10*time.Second, []md.Channel{md.ChannelTrades} })
	r.connect(0)
	r.frame(okxTradePush(1))
	r.tick(time.Second)
	r.frame(okxTradePush(2))
	r.disconnect(0)
	r.tick(10 * time.Minute)
	r.connect(0)
	r.frame(okxTradePush(3))
	r.tick(9 * time.Second)
	if n := r.eng.Stats().Silences.Load(); n != 0 {
		t.Fatalf("%d alarms within the time of silence that is allowed", n)
	}
	r.tick(3 * time.Second)
	if n := r.eng.Stats().Silences.Load(); n != 1 {
		t.Errorf("%d alarms 12 s after the last trade, want 1", n)
	}
}

// TestEngineRightAlarms: an alarm after which the market turns out to be lively does not
// make the next one come later, one in a quiet market does.
func TestEngineRightAlarms(t *testing.T) {
	r := newEngineRig(t, OKX{}, func(c *EngineConfig) { c.Silence, c.Channels = 10*time.Second, []md.Channel{md.ChannelTrades} })
	r.connect(0)
	id := 0
	for alarm := range uint64(5) {
		for range 30 {
			id++
			r.frame(okxTradePush(id))
			r.tick(100 * time.Millisecond)
		}
		r.tick(12 * time.Second)
		if n := r.eng.Stats().Silences.Load(); n != alarm+1 {
			t.Fatalf("%d alarms after %d times of silence", n, alarm+1)
		}
		r.frame(`{"event":"subscribe","arg":{"channel":"trades","instId":"BTC-USDT"}}`)
	}
	id++
	r.frame(okxTradePush(id))
	r.tick(12 * time.Second)
	if n := r.eng.Stats().Silences.Load(); n != 5 {
		t.Errorf("%d alarms, want the sixth to come later in a quiet market", n)
	}
	// It is lively again for a while, if not at once.
	for range 30 {
		id++
		r.frame(okxTradePush(id))
		r.tick(time.Second)
	}
	r.tick(25 * time.Second) // twice the pause that it had
	if n := r.eng.Stats().Silences.Load(); n != 6 {
		t.Errorf("%d alarms, want the sixth after a lively market", n)
	}
}

// TestEngineMuteLine: a connection that answers requests and gives no data is subscribed
// again once, then made anew.
func TestEngineMuteLine(t *testing.T) {
	r := newEngineRig(t, OKX{}, func(c *EngineConfig) { c.Silence, c.Channels = 10*time.Second, []md.Channel{md.ChannelTrades} })
	r.connect(0)
	r.frame(okxTradePush(1))
	r.actions()
	r.tick(12 * time.Second)
	if got := strings.Join(r.actions(), "\n"); !strings.Contains(got, `"unsubscribe"`) || strings.Contains(got, "reconnect") {
		t.Fatalf("after the first alarm: %s", got)
	}
	r.frame(`{"event":"subscribe","arg":{"channel":"trades","instId":"BTC-USDT"}}`)
	r.tick(22 * time.Second)
	if got := strings.Join(r.actions(), "\n"); !strings.Contains(got, "reconnect 0 no data") {
		t.Errorf("after the second alarm: %s", got)
	}
	// The next connection is as mute, from its first second.
	r.disconnect(0)
	r.connect(0)
	r.frame(`{"event":"subscribe","arg":{"channel":"trades","instId":"BTC-USDT"}}`)
	r.actions()
	r.tick(35 * time.Second)
	if got := strings.Join(r.actions(), "\n"); !strings.Contains(got, "reconnect 0 no data") {
		t.Errorf("mute from its first second: %s", got)
	}
}

// TestEngineFrozenVenue: a time in which no instrument of a line sends anything teaches
// little: a line that is mute later is left soon.
func TestEngineFrozenVenue(t *testing.T) {
	r := newEngineRig(t, OKX{}, func(c *EngineConfig) {
		c.Silence, c.Channels, c.Instruments = 10*time.Second, []md.Channel{md.ChannelTrades}, []string{"BTC-USDT", "ETH-USDT"}
	})
	r.connect(0)
	id := 0
	trades := func() {
		for range 30 {
			id++
			r.frame(okxTradePush(id))
			r.frame(strings.ReplaceAll(okxTradePush(id), "BTC", "ETH"))
			r.tick(100 * time.Millisecond)
		}
	}
	trades()
	r.tick(8 * time.Second)
	trades()
	if n := r.eng.Stats().Silences.Load(); n != 0 {
		t.Fatalf("%d alarms", n)
	}
	r.actions()
	r.tick(30 * time.Second)
	if got := strings.Join(r.actions(), "\n"); !strings.Contains(got, "reconnect 0 no data") {
		t.Errorf("30 s after it fell mute: %s", got)
	}
}

// TestEngineMuteLineBeside: a line that brings nothing while the other one does is made
// anew, later each time, and nobody notices; a quiet market and a line that has not yet
// asked for anything are no reason.
func TestEngineMuteLineBeside(t *testing.T) {
	r := newEngineRig(t, OKX{}, func(c *EngineConfig) {
		c.Silence, c.Slots, c.Channels = time.Minute, 2, []md.Channel{md.ChannelTrades}
	})
	id := 0
	trade := func(lines ...int) {
		id++
		for _, l := range lines {
			r.frameOn(l, okxTradePush(id))
		}
	}
	// left is after how many seconds the line 1 is left, within most.
	left := func(most int, each time.Duration) int {
		for s := range most {
			trade(0)
			r.tick(each)
			for _, a := range r.actions() {
				if strings.HasPrefix(a, "reconnect 1 mute") {
					return s + 1
				} else if strings.HasPrefix(a, "reconnect") {
					t.Fatal(a)
				}
			}
		}
		return 0
	}
	connect := func(line int) {
		r.connect(line)
		r.frameOn(line, `{"event":"subscribe","arg":{"channel":"trades","instId":"BTC-USDT"}}`)
	}
	connect(0)
	connect(1)
	for range 30 {
		trade(0, 1)
		r.tick(time.Second)
	}
	r.actions()
	if s := left(15, time.Second); s != 0 {
		t.Fatalf("left after %d s", s)
	}
	trade(0, 1) // not mute at all
	first := left(30, time.Second)
	if first < 19 || first > 22 {
		t.Fatalf("left after %d s without data beside a line that has some, want some 20", first)
	}
	r.disconnect(1)
	connect(1)
	if s := left(60, time.Second); s < 39 || s > 42 {
		t.Errorf("left again after %d s, want some 40", s)
	}
	r.disconnect(1)
	connect(1)
	if s := left(15, 4*time.Second); s != 0 {
		t.Errorf("left after %d trades in a quiet market", s)
	}
	for range 25 { // it works
		trade(0, 1)
		r.tick(time.Second)
	}
	r.actions()
	if s := left(30, time.Second); s < 19 || s > 22 {
		t.Errorf("left after %d s after all was well, want some 20", s)
	}
	if got := r.lines(); strings.Contains(strings.Join(got, "\n"), `"gap"`) || len(got) != id {
		t.Errorf("%d events for %d trades, or a gap", len(got), id)
	}
}

func okxTradePush(id int) string {
	return fmt.Sprintf(`{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"%d","px":"10","sz":"1","side":"buy","ts":"1700000000000"}]}`, id)
}

// TestEngineIsDeterministic: the same calls make the same bytes.
func TestEngineIsDeterministic(t *testing.T) {
	run := func() []string {
		r := newEngineRig(t, Binance{}, func(c *EngineConfig) { c.Instruments = []string{"*"} })
		var list []md.Instrument
		for i := range 40 {
			list = append(list, entry(fmt.Sprintf("A%d-USDT", i), fmt.Sprintf("A%dUSDT", i)))
		}
		r.eng.Catalogue(list)
		r.connect(0)
		for i := range 200 {
			r.frame(tradeOf(fmt.Sprintf("A%dUSDT", i*7%40), i))
			if i%50 == 49 {
				r.disconnect(0)
				r.connect(0)
			}
		}
		r.tick(5 * time.Second)
		return append(r.lines(), r.actions()...)
	}
	first := run()
	for range 3 {
		if again := run(); !slices.Equal(first, again) {
			t.Fatal("another run did something else")
		}
	}
}
