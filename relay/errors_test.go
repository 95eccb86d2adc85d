package relay

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/valyala/fastjson"
)

func TestErrorAnswers(t *testing.T) {
	_, g := start(t, Limits{MaxTopics: 4, MaxWindows: 2, RequestBurst: 1000}, 4096)
	c := dial(t, g)
	f := func(request, code string) {
		t.Helper()
		c.send("%s", request)
		m := c.want("error", "")
		if m.Code != code || m.Message == "" {
			t.Errorf("%s: got %+v, want code %s", request, m, code)
		}
		if want := ""; strings.Contains(request, `"id":5`) {
			if want = "5"; string(m.ID) != want {
				t.Errorf("%s: id %s", request, m.ID)
			}
		}
	}
	f(`{`, codeJSON)
	f(`[]`, codeJSON)
	f(`{"op":"subscribe","id":{}}`, codeRequest)
	f(`{"op":"subscribe","id":"`+strings.Repeat("x", 100)+`"}`, codeRequest)
	f(`{"id":5}`, codeOp)
	f(`{"op":"buy","id":5}`, codeOp)
	f(`{"op":"unknown","id":5}`, codeOp)
	f(`{"op":"subscribe","id":5}`, codeRequest)
	f(`{"op":"subscribe","id":5,"topics":[]}`, codeRequest)
	f(`{"op":"subscribe","id":5,"topics":[7]}`, codeRequest)
	f(`{"op":"subscribe","id":5,"topics":"x"}`, codeRequest)
	f(`{"op":"subscribe","id":5,"topics":["nosuch.book.X"]}`, codeTopic)
	f(`{"op":"subscribe","id":5,"topics":["binance.book"]}`, codeTopic)
	f(`{"op":"subscribe","id":5,"topics":["binance.>.X"]}`, codeTopic)
	f(`{"op":"subscribe","id":5,"topics":["binance.raw.X"]}`, codeUnsupported)
	f(`{"op":"subscribe","id":5,"topics":["*.raw.>"]}`, codeUnsupported)
	f(`{"op":"subscribe","id":5,"topics":[">"],"depth":-1}`, codeOption)
	f(`{"op":"subscribe","id":5,"topics":[">"],"depth":1001}`, codeOption)
	f(`{"op":"subscribe","id":5,"topics":[">"],"depth":1.5}`, codeOption)
	f(`{"op":"subscribe","id":5,"topics":[">"],"conflate_ms":"1"}`, codeOption)
	f(`{"op":"subscribe","id":5,"topics":["a.b.c","a.b.c","a.b.c","a.b.c","a.b.c"]}`, codeLimit)
	f(`{"op":"resume","id":5,"topics":["binance.book.BTC-USDT"]}`, codeRequest)
	f(`{"op":"resume","id":5,"topics":{"binance.book.*":{"epoch":"1","seq":1}}}`, codeTopic)
	f(`{"op":"resume","id":5,"topics":{"binance.book.BTC-USDT":{"epoch":1,"seq":1}}}`, codeRequest)
	f(`{"op":"resume","id":5,"topics":{"binance.book.BTC-USDT":{"epoch":"1","seq":-1}}}`, codeRequest)
	f(`{"op":"unsubscribe","id":5,"topics":["x"]}`, codeTopic)

	var others []*wsClient
	for depth := 1; depth <= 2; depth++ {
		o := dial(t, g)
		o.send(`{"op":"subscribe","topics":["%s"],"depth":%d}`, btcBook, depth)
		o.want("subscribed", "")
		others = append(others, o)
	}
	f(`{"op":"subscribe","id":5,"topics":["`+btcBook+`"],"depth":3}`, codeLimit)
	c.send(`{"op":"subscribe","topics":["%s"],"depth":2}`, btcBook) // shared: allowed
	c.want("subscribed", "")
	_ = others
	if _, _, body := get(t, g, "/metrics"); !strings.Contains(body, `tickrelay_ws_errors_total{code="bad_topic"} 5`) {
		t.Error("errors are not counted by code")
	}
}

func TestRequestRate(t *testing.T) {
	_, g := start(t, Limits{Requests: 1, RequestBurst: 5}, 4096)
	c := dial(t, g)
	for i := range 11 {
		c.send(`{"op":"ping","id":%d}`, i)
	}
	pongs, refused := 0, 0
	for range 10 {
		switch m := c.next(); {
		case m.Op == "pong":
			pongs++
		case m.Code == codeRate && m.ID != nil:
			refused++
		}
	}
	if pongs != 5 || refused != 5 {
		t.Errorf("%d pongs, %d refused", pongs, refused)
	}
	if code, reason := c.closed(); code != ws.StatusPolicyViolation || !strings.Contains(reason, "requests") {
		t.Errorf("closed with %d %q", code, reason)
	}
}

func TestResume(t *testing.T) {
	s, g := start(t, Limits{HistoryRecords: -1}, 4096)
	for i := range uint64(5) {
		s.trade(btcTrades, i, 100)
	}
	s.levels(btcBook, level{1, 9999, 5}) // 1
	eventually(t, "events", func() bool { return g.hubStats.events.Load() >= 6 })
	point := func(topic, epoch string, seq int) *wsClient {
		c := dial(t, g)
		c.send(`{"op":"resume","id":2,"topics":{"%s":{"epoch":"%s","seq":%d}}}`, topic, epoch, seq)
		c.want("subscribed", "")
		return c
	}
	epoch := fmt.Sprint(testEpoch)
	point(btcTrades, epoch, 5).quiet()
	point(btcBook, epoch, 1).quiet()
	if m := point(btcTrades, epoch, 2).want("gap", btcTrades); m.First != "3" || *m.Missed != 3 || m.Seq != 5 || m.Prev != 2 {
		t.Errorf("%+v", m)
	}
	c := point(btcBook, epoch, 0)
	if m := c.want("gap", btcBook); m.First != "1" || *m.Missed != 1 {
		t.Errorf("%+v", m)
	}
	if m := c.want("book", btcBook); m.Action != "snapshot" || m.Seq != 1 {
		t.Errorf("%+v", m)
	}
	for _, c := range []*wsClient{point(btcBook, "5", 1), point(btcBook, epoch, 9)} {
		if m := c.want("gap", btcBook); m.Missed != nil {
			t.Errorf("%+v", m)
		}
		if m := c.want("book", btcBook); m.Action != "snapshot" {
			t.Errorf("%+v", m)
		}
	}
}

func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		`{"op":"subscribe","id":1,"topics":["binance.book.BTC-USDT","*.trades.>"],"depth":20,"conflate_ms":100}`,
		`{"op":"resume","id":"x","topics":{"binance.trades.BTC-USDT":{"epoch":"1763842100123456789","seq":7}}}`,
		`{"op":"unsubscribe","topics":[">"]}`, `{"op":"list"}`, `{"op":"ping","id":1e400}`, `{"op":1}`, `[`, `{"id":"\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	l := Limits{}.withDefaults()
	var p fastjson.Parser
	f.Fuzz(func(t *testing.T, b []byte) {
		op, r, err := parseRequest(&p, b, &l)
		if op >= numOps {
			t.Fatalf("op %d", op)
		}
		answer := appendError(nil, r.id, codeOp, "x")
		if e := fastjson.ValidateBytes(answer); e != nil {
			t.Fatalf("answer %s: %v", answer, e)
		}
		if err == nil && op == opSubscribe && len(r.patterns) == 0 {
			t.Fatal("subscribed to nothing")
		}
	})
}

func TestPings(t *testing.T) {
	_, g := start(t, Limits{PingEvery: 100 * time.Millisecond, PongTimeout: 200 * time.Millisecond}, 4096)
	c := dial(t, g)
	pinged := false
	for {
		c.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		f, err := readFrame(c.r)
		if err != nil {
			t.Fatal(err)
		}
		if f.Header.OpCode == ws.OpPing {
			pinged = true
			continue
		}
		if f.Header.OpCode == ws.OpClose {
			code, reason := ws.ParseCloseFrameData(f.Payload)
			if code != ws.StatusPolicyViolation || !strings.Contains(reason, "ping") || !pinged {
				t.Errorf("closed with %d %q, pinged %v", code, reason, pinged)
			}
			return
		}
	}
}
