package top

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"

	"tickrelay/relay"
)

// sample is a relay k seconds after its start, with k×100 records and latencies of
// about a millisecond.
func sample(k int) *relay.Overview {
	now := int64(1_700_000_000_000_000_000) + int64(k)*int64(time.Second)
	counts := make([]uint64, 4)
	counts[2] = uint64(100 * k) // between 1 and 2 ms
	stage := func(name string) relay.StageStatus {
		return relay.StageStatus{Name: name, BoundsNs: []int64{500_000, 1_000_000, 2_000_000}, Counts: append([]uint64(nil), counts...)}
	}
	return &relay.Overview{NowNs: now, Relay: "alpha",
		Feeds: []relay.FeedStatus{
			{Name: "binance", Venue: "binance", State: "live", Frames: uint64(50 * k), Records: uint64(100 * k), LastRecvNs: now - 5e6,
				Lines:  []relay.LineStatus{{State: "live", Remote: "192.0.2.1:443", Frames: uint64(50 * k), SinceNs: now - 60e9}},
				Stages: []relay.StageStatus{stage("receive"), stage("publish")}},
			{Name: "okx", Venue: "okx", State: "live", Records: uint64(10 * k), LastRecvNs: now,
				Lines: []relay.LineStatus{{State: "live", SinceNs: now}, {Line: 1, State: "live", SinceNs: now}}},
		},
		Rings:   []relay.RingStatus{{Name: "s-binance", Strategy: "s", State: "open", Alive: true, Capacity: 1024, Written: uint64(100 * k)}},
		Gateway: &relay.GatewayStatus{Addr: "127.0.0.1:8080", Connections: 1, Deliver: stage("deliver"), Clients: []relay.ClientStatus{{Client: "10.0.0.1", Format: "json", Topics: 3}}},
	}
}

func history(from, to int, change func(k int, o *relay.Overview)) *History {
	h := &History{}
	for k := from; k <= to; k++ {
		o := sample(k)
		if change != nil {
			change(k, o)
		}
		h.Add(o)
	}
	return h
}

func TestHistoryRatesAndPercentiles(t *testing.T) {
	h := history(0, 90, nil)
	if n := len(h.samples); n != 61 {
		t.Errorf("%d samples of a minute", n)
	}
	l := h.Latencies()
	if len(l) != 3 || l[0].Stage != "receive" || l[2].Stage != "deliver" || l[0].Count != 1000 {
		t.Fatalf("%+v", l)
	}
	for _, x := range l {
		if x.P50 < 1_300_000 || x.P50 > 1_500_000 || x.P99 < 1_900_000 || x.P999 > 2_000_000 || x.P999 < x.P99 {
			t.Errorf("%+v", x)
		}
	}
	// A process that began again begins the history again.
	h.Add(sample(1))
	if len(h.samples) != 1 {
		t.Errorf("%d samples after a restart", len(h.samples))
	}
}

func TestQuantile(t *testing.T) {
	bounds := []int64{1000, 2000, 4000}
	for _, c := range []struct {
		counts []uint64
		q      float64
		want   int64
	}{
		{[]uint64{0, 0, 0, 0}, 0.5, 0}, {[]uint64{0, 10, 0, 0}, 1, 2000}, {[]uint64{10, 0, 0, 0}, 1, 1000},
		{[]uint64{0, 0, 0, 5}, 0.5, 4000}, {[]uint64{99, 0, 1, 0}, 0.5, 709}, {[]uint64{99, 0, 1, 0}, 0.999, 3732},
	} {
		total := uint64(0)
		for _, n := range c.counts {
			total += n
		}
		if got := quantile(bounds, c.counts, total, c.q); got != c.want {
			t.Errorf("quantile(%v, %v) = %d, want %d", c.counts, c.q, got, c.want)
		}
	}
}

func TestTroubles(t *testing.T) {
	if got := history(0, 70, nil).Troubles(); len(got) != 0 {
		t.Errorf("all is well, and %v", got)
	}
	h := history(0, 70, func(k int, o *relay.Overview) {
		if k < 40 {
			return
		}
		b, x := &o.Feeds[0], &o.Feeds[1]
		b.Gaps, b.BrokenBooks, b.LastRecvNs = 2, 1, o.NowNs-int64(20*time.Second)
		x.State, x.Lines[1].State, x.Lines[1].SinceNs, x.Lines[1].Error = "backoff", "backoff", o.NowNs-int64(90*time.Second), "connection refused"
		o.Rings[0].Depth, o.Rings[0].Lost = 800, 77
		o.Gateway.RingsDown, o.Gateway.ClosedSlow, o.Gateway.Dropped = 1, 3, 9
		o.Gateway.Clients[0].SlowNs, o.Gateway.Clients[0].QueueBytes, o.Gateway.Clients[0].Who = int64(4*time.Second), 3<<20, "desk"
	})
	list := h.Troubles()
	var text []string
	for i, x := range list {
		text = append(text, x.What)
		if i > 0 && x.Severe && !list[i-1].Severe {
			t.Error("the severe ones are not first")
		}
	}
	all := strings.Join(text, "\n")
	for _, want := range []string{"feed binance: 1 book is broken", "feed binance: nothing received for 20s", "feed okx is backoff",
		"feed okx: line 1 is backoff for 90s: connection refused", "feed binance: 2 gaps in the last minute", "ring s-binance: 800 of 1024 records wait for s",
		"ring s-binance lost 77 records", "gateway: 1 ring is not there", "3 slow clients were closed", "9 numbers left out", "client 10.0.0.1 (desk) is slow for 4s: 0 messages, 3MiB wait"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
	if len(list) != 11 {
		t.Errorf("%d troubles:\n%s", len(list), all)
	}
}

// TestFrameFits: whatever the size and the view, no row is wider and no frame higher
// than the terminal, and nothing that a venue says can reach it as a control character.
func TestFrameFits(t *testing.T) {
	h := history(0, 61, func(_ int, o *relay.Overview) {
		o.Feeds[1].Lines[0].State, o.Feeds[1].Lines[0].Error = "backoff", "evil \x1b[2J\r\n\u202e 日本"
		for k := range 40 {
			o.Gateway.Clients = append(o.Gateway.Clients, relay.ClientStatus{Client: fmt.Sprint("10.0.1.", k), Format: "json"})
		}
	})
	for _, width := range []int{10, 40, 61, 80, 120, 250} {
		for _, height := range []int{0, 1, 5, 24, 60} {
			for v := range numViews {
				f := Frame(h, Options{Width: width, Height: height, View: v})
				rows := strings.Split(f, "\n")
				if height > 0 && len(rows) > height {
					t.Fatalf("%d×%d %s: %d rows", width, height, v, len(rows))
				}
				for _, r := range rows {
					if n := utf8.RuneCountInString(r); n > max(width, 40) || strings.ContainsAny(r, "\x1b\r\u202e") {
						t.Fatalf("%d×%d %s: row of %d: %q", width, height, v, n, r)
					}
				}
			}
		}
	}
	if plain, colour := Frame(h, Options{Width: 80}), Frame(h, Options{Width: 80, Color: true}); strings.Contains(plain, "\x1b") || !strings.Contains(colour, "\x1b[") {
		t.Error("colours where none are wanted, or none where they are")
	}
}

func TestSortAndMarks(t *testing.T) {
	h := history(0, 61, func(_ int, o *relay.Overview) { o.Feeds[1].State = "backoff" })
	rows := func(sort int, reverse bool) string {
		f := &frame{h: h, o: Options{Width: 120}}
		tab := f.table(ViewFeeds)
		tab.sort(sort, reverse)
		return tab.rows[0][0].text
	}
	for _, c := range []struct {
		sort    int
		reverse bool
		want    string
	}{{0, false, "okx"}, {0, true, "okx"}, {6, false, "binance"}, {6, true, "okx"}, {1, false, "okx"}, {99, false, "binance"}} {
		if got := rows(c.sort, c.reverse); got != c.want {
			t.Errorf("by column %d, reverse %v: %s is first", c.sort, c.reverse, got)
		}
	}
}

// drive feeds a model messages without a terminal.
func drive(m *Model, keys ...string) (quit bool) {
	for _, k := range keys {
		key := tea.KeyPressMsg{Text: k, Code: []rune(k)[0]}
		switch k {
		case "tab":
			key = tea.KeyPressMsg{Code: tea.KeyTab}
		case "down":
			key = tea.KeyPressMsg{Code: tea.KeyDown}
		case "ctrl+c":
			key = tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl}
		}
		if _, cmd := m.Update(key); cmd != nil {
			if _, quits := cmd().(tea.QuitMsg); quits {
				quit = true
			}
		}
	}
	return quit
}

func TestModel(t *testing.T) {
	k := 0
	fail := error(nil)
	m := NewModel(t.Context(), func(context.Context) (*relay.Overview, error) { k++; return sample(k), fail }, time.Millisecond)
	step := func() {
		if _, cmd := m.Update(m.question()); cmd == nil {
			t.Fatal("no next question")
		}
	}
	if m.Init() == nil || !strings.Contains(m.View().Content, "tickrelay top") || !m.View().AltScreen {
		t.Fatal("the first frame")
	}
	step()
	step()
	m.Update(tea.WindowSizeMsg{Width: 100, Height: 50})
	if m.o.Width != 100 || !strings.Contains(m.View().Content, "CLIENTS") {
		t.Errorf("%+v\n%s", m.o, m.View().Content)
	}
	for _, c := range []struct {
		keys string
		want View
	}{{"tab", ViewFeeds}, {"tab", ViewLines}, {"5", ViewClients}, {"tab", ViewAll}, {"2", ViewFeeds}} {
		if drive(m, c.keys); m.o.View != c.want {
			t.Errorf("after %s: %s", c.keys, m.o.View)
		}
	}
	drive(m, "s", "s", "r", "down", "down", "down")
	if m.o.Sort != 2 || !m.o.Reverse || m.o.Scroll != 1 {
		t.Errorf("%+v", m.o)
	}
	drive(m, "?")
	if !strings.Contains(m.View().Content, "sort by the next column") {
		t.Error("no help")
	}
	drive(m, "p", "?")
	at := m.h.Last().NowNs
	if step(); m.h.Last().NowNs != at {
		t.Error("paused, and a sample was taken")
	}
	drive(m, "p")
	fail = errors.New("nobody there")
	if step(); !strings.Contains(m.View().Content, "no answer: nobody there") || !strings.Contains(m.View().Content, "okx") {
		t.Errorf("an error hides what was there:\n%s", m.View().Content)
	}
	if drive(m, "x") || !drive(m, "q") || !drive(m, "ctrl+c") {
		t.Error("keys that quit")
	}
}

func TestHTTPSource(t *testing.T) {
	status := http.StatusOK
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/overview" || r.Header.Get("Authorization") != "Bearer x" {
			t.Errorf("%s %v", r.URL, r.Header)
		}
		w.WriteHeader(status)
		fmt.Fprint(w, `{"now_ns":"5","relay":"r"}`)
	}))
	defer srv.Close()
	ask, err := HTTP(srv.URL+"/", "x", nil)
	if err != nil {
		t.Fatal(err)
	}
	if o, err := ask(t.Context()); err != nil || o.Relay != "r" || o.NowNs != 5 {
		t.Errorf("%+v, %v", o, err)
	}
	for s, want := range map[int]string{401: "TICKRELAY_TOKEN", 403: "does not grant", 404: "no gateway", 500: "500"} {
		status = s
		if _, err := ask(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d: %v", s, err)
		}
	}
	for _, bad := range []string{"", "127.0.0.1:80", "ws://x", "http://"} {
		if _, err := HTTP(bad, "", nil); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
