package relay

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// market starts a gateway with a market that moves until the test ends.
func market(t *testing.T, cfg Config) *Gateway {
	t.Helper()
	tab := newTable(t)
	w := newStroll(t, tab)
	c := w.s.ring(1 << 15)
	w.build()
	cfg.Table, cfg.Feeds = tab.View(), pageFeeds
	g := gateway(t, cfg, c)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				w.step()
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
	return g
}

// key presses a key in the page.
func (b *browser) key(name string) {
	b.t.Helper()
	codes := map[string]int{"Tab": 9, "Enter": 13, " ": 32, "ArrowLeft": 37, "ArrowRight": 39, "ArrowDown": 40, "ArrowUp": 38}
	for _, kind := range []string{"keyDown", "keyUp"} {
		p := map[string]any{"type": kind, "key": name, "windowsVirtualKeyCode": codes[name]}
		switch {
		case name == "Enter" && kind == "keyDown":
			p["text"] = "\r"
		case len(name) == 1 && kind == "keyDown":
			p["text"] = name
		}
		b.call("Input.dispatchKeyEvent", p)
	}
}

const bidsShown = `[...document.querySelectorAll("#bids tr:not([hidden])")].map(r => r.innerText).join("|")`

// TestPageByKeyboard walks through the page as somebody without a mouse does: every stop
// has a name, the order is that of the page, and everything can be worked.
func TestPageByKeyboard(t *testing.T) {
	b := startBrowser(t)
	g := market(t, Config{})
	b.size(1440, 900)
	b.call("Page.navigate", map[string]any{"url": "http://" + g.Addr().String() + "/"})
	eventually(t, "a book", func() bool { return strings.Count(b.eval(bidsShown), "|") > 5 })
	focused := `(() => { const e = document.activeElement; const ref = e.getAttribute("aria-labelledby");
		const name = e.getAttribute("aria-label") || (ref && document.getElementById(ref).textContent) || e.labels?.[0]?.textContent || e.textContent;
		return (e.id || e.dataset.interval || e.className || e.tagName) + "=" + name.trim(); })()`
	var stops []string
	for range 40 {
		b.key("Tab")
		stop := b.eval(focused)
		if strings.HasPrefix(stop, "BODY") || len(stops) > 3 && stop == stops[0] {
			break
		}
		if _, name, _ := strings.Cut(stop, "="); name == "" {
			t.Errorf("a stop without a name: %s", stop)
		}
		stops = append(stops, stop)
	}
	at := -1
	for _, want := range []string{"skip=", "theme=", "filter=", "BUTTON=BTC-USDT", "1s=", "1m=", "chart=", "scroll=Feeds", "scroll=Subscriptions"} {
		found := -1
		for i, s := range stops {
			if strings.HasPrefix(s, want) {
				found = i
			}
		}
		if found <= at {
			t.Errorf("%s is stop %d, after %d: %q", want, found, at, stops)
		}
		at = found
	}
	b.eval(`document.querySelector("[data-interval='1m']").focus()`)
	b.key("Enter")
	if got := b.eval(`document.querySelector("[aria-pressed=true][data-interval]").dataset.interval`); got != "1m" {
		t.Errorf("interval %s", got)
	}
	b.eval(`document.getElementById("chart").focus()`)
	eventually(t, "a candle in words", func() bool { return strings.Contains(b.eval(`document.getElementById("chart").ariaLabel`), "open") })
	b.key("ArrowLeft")
	checkContrast(t, b)
	if len(b.errors) > 0 {
		t.Errorf("the browser reports:\n%s", strings.Join(b.errors, "\n"))
	}
}

// checkContrast measures the colours of text on panels in both themes: WCAG 2.2, 1.4.3.
func checkContrast(t *testing.T, b *browser) {
	t.Helper()
	for _, theme := range []string{"dark", "light"} {
		var ratios map[string]float64
		text := b.eval(`(() => { document.documentElement.dataset.theme = "` + theme + `";
			const style = getComputedStyle(document.documentElement);
			const light = (name) => { const v = style.getPropertyValue("--" + name).trim();
				const [r, g, b] = [1, 3, 5].map(i => parseInt(v.slice(i, i + 2), 16) / 255).map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
				return .2126 * r + .7152 * g + .0722 * b; };
			const out = {};
			for (const on of ["panel", "raised"]) for (const name of ["text", "soft", "buy", "sell", "warn", "faint"]) {
				const [x, y] = [light(name), light(on)].sort((p, q) => q - p);
				out[name + " on " + on] = (x + .05) / (y + .05);
			}
			return JSON.stringify(out); })()`)
		if err := json.Unmarshal([]byte(text), &ratios); err != nil {
			t.Fatal(err)
		}
		for pair, ratio := range ratios {
			least := 4.5
			if strings.HasPrefix(pair, "faint") {
				least = 3 // placeholders and marks, no text that is needed
			}
			if ratio < least {
				t.Errorf("%s: %s has contrast %.2f, want %.1f", theme, pair, ratio, least)
			}
		}
	}
}

// TestPageComesBack cuts the page's connection: it resumes, and says so.
func TestPageComesBack(t *testing.T) {
	b := startBrowser(t)
	g := market(t, Config{})
	v := newValve(t, g.Addr().String())
	b.size(390, 844)
	b.call("Page.navigate", map[string]any{"url": "http://" + v.listener.Addr().String() + "/"})
	eventually(t, "a book", func() bool { return strings.Count(b.eval(bidsShown), "|") > 5 })
	if over := b.eval(`document.documentElement.scrollWidth > document.documentElement.clientWidth`); over != "false" {
		t.Error("the page is wider than a phone")
	}
	v.cut()
	resumed := `[...document.querySelectorAll("#subs tr")].filter(r => r.innerText.includes(".book.")).map(r => r.cells[4].innerText + r.dataset.state).join()`
	eventually(t, "the book is resumed", func() bool { return b.eval(resumed) == "1live" })
	before := b.eval(bidsShown)
	eventually(t, "the book moves", func() bool { return b.eval(bidsShown) != before })
	if got := b.eval(`document.getElementById("book").classList.contains("stale")`); got != "false" {
		t.Error("the book is shown as stale")
	}
}

// TestPageAsksForToken: a relay with tokens makes the page ask, once per tab.
func TestPageAsksForToken(t *testing.T) {
	b := startBrowser(t)
	g := market(t, Config{Auth: authConfig(t)})
	url := "http://" + g.Addr().String() + "/"
	b.call("Page.navigate", map[string]any{"url": url})
	open := `Boolean(document.getElementById("ask")?.open)`
	eventually(t, "the question", func() bool { return b.eval(open) == "true" })
	answer := func(token string) {
		b.eval(fmt.Sprintf(`document.getElementById("token").value = %q`, token))
		b.key("Enter")
	}
	answer("wrong-token-that-nobody-has")
	eventually(t, "the refusal", func() bool {
		return b.eval(open) == "true" && strings.Contains(b.eval(`document.getElementById("ask-why").textContent`), "does not accept")
	})
	answer(deskToken)
	eventually(t, "a book", func() bool { return strings.Count(b.eval(bidsShown), "|") > 5 })
	b.call("Page.navigate", map[string]any{"url": "about:blank"})
	b.call("Page.navigate", map[string]any{"url": url})
	eventually(t, "a book without a question", func() bool { return strings.Count(b.eval(bidsShown), "|") > 5 })
	if b.eval(open) != "false" {
		t.Error("asked twice in a tab")
	}
}

// TestPageConflates: under a fast market the page gets no more of a book than it draws,
// and frames go on. The rate itself depends on the machine and is logged.
func TestPageConflates(t *testing.T) {
	b := startBrowser(t)
	g := market(t, Config{})
	b.size(1440, 900)
	b.call("Page.navigate", map[string]any{"url": "http://" + g.Addr().String() + "/"})
	eventually(t, "a book", func() bool { return strings.Count(b.eval(bidsShown), "|") > 5 })
	text := b.eval(`new Promise((done) => { let n = 0, worst = 0, last = performance.now(); const first = last;
		const frame = (now) => { n++; worst = Math.max(worst, now - last); last = now;
			if (now - first < 3000) requestAnimationFrame(frame);
			else done((1000 * n / (now - first)).toFixed(1) + " frames/s, longest " + worst.toFixed(0) + " ms"); };
		requestAnimationFrame(frame); })`)
	t.Log(text)
	held := map[string]bool{}
	for _, st := range heldStreams(g) {
		held[st] = true
	}
	if !held["binance.book.BTC-USDT 200 33ms"] {
		t.Errorf("the page holds %v", held)
	}
}

// heldStreams are the streams with subscribers, as "topic depth conflation".
func heldStreams(g *Gateway) []string {
	var out []string
	g.http.inHub(func(h *hub) {
		for _, st := range h.streams {
			if st.subscribers() > 0 {
				out = append(out, fmt.Sprintf("%s %d %s", st.topic, st.opt.depth, st.opt.conflate))
			}
		}
	})
	return out
}
