package relay

import (
	"bytes"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"tickrelay/ring/md"
)

// stroll is a market for the eye: books around a price that walks, and trades.
type stroll struct {
	s    *source
	r    *rand.Rand
	mids map[string]int64
	id   uint64
}

func newStroll(t testing.TB, tab *md.Table) *stroll {
	w := &stroll{s: newSource(t, tab, md.VenueBinance), r: rand.New(rand.NewPCG(1, 2)), mids: map[string]int64{
		"BTC-USDT": 6412345, "ETH-USDT": 312377, "SOL-USDT": 14233, "XRP-USDT": 5210}}
	for _, symbol := range []string{"BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT"} {
		w.s.add(md.VenueBinance, symbol, md.ChannelBook, md.ChannelTrades, md.ChannelBBO)
	}
	return w
}

func (w *stroll) build() {
	for symbol, mid := range w.mids {
		var levels []level
		for i := range int64(60) {
			levels = append(levels, level{md.SideBid, mid - 1 - i, w.size()}, level{md.SideAsk, mid + 1 + i, w.size()})
		}
		w.s.rebuild("binance.book."+symbol, levels...)
	}
}

func (w *stroll) size() int64 { return 1 + w.r.Int64N(1+w.r.Int64N(90000)) }

// step moves every instrument a little.
func (w *stroll) step() {
	w.s.clock = time.Now().UnixNano() - int64(time.Millisecond)*(3+w.r.Int64N(4))
	for symbol, mid := range w.mids {
		book := "binance.book." + symbol
		off := 1 + w.r.Int64N(24)
		w.s.levels(book, level{md.SideBid, mid - off, w.size()}, level{md.SideAsk, mid + 1 + w.r.Int64N(24), w.size()})
		b := w.s.books[book]
		bid, _ := b.BestBid()
		ask, _ := b.BestAsk()
		w.s.quote("binance.bbo."+symbol, bid.Price, ask.Price)
		if w.r.IntN(3) > 0 {
			continue
		}
		w.id++
		side, price := md.SideBuy, ask.Price
		if w.r.IntN(2) == 0 {
			side, price = md.SideSell, bid.Price
		}
		w.s.publish("binance.trades."+symbol, md.Record{Kind: md.KindTrade, Price: price, Size: w.size(),
			PriceExp: -2, SizeExp: -4, ID: w.id, Side: side})
	}
}

func pageFeeds() []FeedStatus {
	n := uint64(time.Now().UnixMilli())
	return []FeedStatus{
		{Name: "binance", Venue: "binance", State: "live", Frames: n / 3, Records: n, LatencyP50Ns: 4_200_000, LatencyP99Ns: 11_900_000,
			Lines: []LineStatus{{State: "live", URL: "wss://example"}, {Line: 1, State: "live"}}},
		{Name: "okx", Venue: "okx", State: "live", Frames: n / 9, Gaps: 2, LatencyP50Ns: 18_000_000, LatencyP99Ns: 41_000_000,
			Lines: []LineStatus{{State: "live"}, {Line: 1, State: "backoff", Error: "connection refused, again in 2 s"}}},
		{Name: "bitget", Venue: "bitget", State: "backoff", Lines: []LineStatus{{State: "backoff", Error: "silent for 30 s"}}},
	}
}

func TestPage(t *testing.T) {
	b := startBrowser(t)
	tab := newTable(t)
	w := newStroll(t, tab)
	c := w.s.ring(1 << 15)
	w.build()
	g := gateway(t, Config{Table: tab.View(), Feeds: pageFeeds}, c)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				w.step()
			}
		}
	}()
	halt := sync.OnceFunc(func() { close(stop); <-done })
	defer halt()

	b.size(1440, 900)
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": "dark"}}})
	b.call("Page.navigate", map[string]any{"url": "http://" + g.Addr().String() + "/"})
	bids := `[...document.querySelectorAll("#bids tr:not([hidden])")].map(r => r.innerText).join("|")`
	trades := `[...document.querySelectorAll("#trades tr:not([hidden])")].map(r => r.innerText).join("|")`
	eventually(t, "book, trades and feeds on the page", func() bool {
		return b.eval(`document.readyState`) == "complete" && strings.Count(b.eval(bids), "|") > 10 &&
			strings.Count(b.eval(trades), "|") > 3 && strings.Contains(b.eval(`document.getElementById("feeds").innerText`), "bitget")
	})
	for what, expr := range map[string]string{"book": bids, "trades": trades, "chart": `document.getElementById("chart").toDataURL()`} {
		before := b.eval(expr)
		eventually(t, what+" moves", func() bool { return b.eval(expr) != before })
	}
	if got := b.eval(`document.getElementById("link").dataset.state`); got != "live" {
		t.Errorf("connection is shown as %q", got)
	}
	checkLadder(t, b)
	checkPicker(t, b)
	time.Sleep(4 * time.Second) // the chart fills
	shoot(t, b, "dark")
	b.eval(`document.getElementById("theme").click()`)
	shoot(t, b, "light")
	b.size(1100, 800)
	shoot(t, b, "narrow")
	b.size(390, 844)
	shoot(t, b, "phone")
	halt()
	checkOldQuotes(t, b, w.s)
	if len(b.errors) > 0 {
		t.Errorf("the browser reports:\n%s", strings.Join(b.errors, "\n"))
	}
}

// checkOldQuotes has the quotes of one instrument broken in a market that stands still:
// its prices go from the list of instruments, the others stay.
func checkOldQuotes(t *testing.T, b *browser, s *source) {
	t.Helper()
	quotes := func(symbol string) string {
		return b.eval(`(() => { const row = [...document.querySelectorAll("#topics li")].find(r => r.querySelector(".symbol").textContent === "` + symbol + `");
			return row.querySelector(".bid").textContent + row.querySelector(".ask").textContent; })()`)
	}
	eventually(t, "quotes", func() bool { return quotes("SOL-USDT") != "" && quotes("XRP-USDT") != "" })
	s.pub.Gap(s.topics["binance.bbo.SOL-USDT"], md.GapSequence, 2, time.Now().UnixNano())
	s.turn()
	eventually(t, "the old quotes are gone", func() bool { return quotes("SOL-USDT") == "" })
	if quotes("XRP-USDT") == "" {
		t.Error("quotes that are not broken are gone too")
	}
	s.quote("binance.bbo.SOL-USDT", 14111, 14113)
	eventually(t, "the new quotes", func() bool { return strings.Contains(quotes("SOL-USDT"), "141.13") })
}

// checkLadder holds the ladder to its promise: points aligned, sorted, not crossed.
func checkLadder(t *testing.T, b *browser) {
	t.Helper()
	got := b.eval(`(() => {
		const prices = id => [...document.querySelectorAll(id + " tr:not([hidden])")].map(r => r.cells[0].textContent.replaceAll("\u2009", ""));
		const all = [...prices("#asks"), ...prices("#bids")];
		if (new Set(all.map(p => p.split(".")[1].length)).size !== 1) return "decimals differ: " + all;
		for (let i = 1; i < all.length; i++) if (Number(all[i]) >= Number(all[i-1])) return "not sorted: " + all;
		return "ok";
	})()`)
	if got != "ok" {
		t.Error(got)
	}
}

// checkPicker picks another instrument by keyboard.
func checkPicker(t *testing.T, b *browser) {
	t.Helper()
	key := func(name string) {
		for _, kind := range []string{"keyDown", "keyUp"} {
			p := map[string]any{"type": kind, "key": name}
			if len(name) == 1 && kind == "keyDown" {
				p["text"] = name
			}
			if name == "Enter" && kind == "keyDown" {
				p["text"] = "\r"
			}
			b.call("Input.dispatchKeyEvent", p)
		}
	}
	for _, k := range []string{"/", "e", "t", "h", "ArrowDown", "Enter"} {
		key(k)
	}
	eventually(t, "ETH-USDT is shown", func() bool {
		return strings.HasPrefix(b.eval(`document.title`), "ETH-USDT") &&
			strings.HasPrefix(strings.ReplaceAll(b.eval(`document.getElementById("best-bid").textContent`), "\u2009", ""), "31")
	})
	b.eval(`document.getElementById("filter").value = ""; document.getElementById("filter").dispatchEvent(new Event("input"))`)
}

// shoot takes a screenshot that must show something; TICKRELAY_SCREENSHOTS keeps it.
func shoot(t *testing.T, b *browser, name string) {
	t.Helper()
	time.Sleep(300 * time.Millisecond)
	data := b.screenshot()
	if dir := os.Getenv("TICKRELAY_SCREENSHOTS"); dir != "" {
		if err := os.WriteFile(dir+"/"+name+".png", data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	colours := map[color.Color]int{}
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y += 3 {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x += 3 {
			colours[img.At(x, y)]++
		}
	}
	if len(colours) < 20 {
		t.Errorf("%s: only %d colours in the screenshot", name, len(colours))
	}
}
