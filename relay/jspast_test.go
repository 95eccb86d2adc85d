package relay

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// TestJavaScriptReplay: the JavaScript client replays a window beside its live topics, and
// whatever cuts its connection, it tells each message once, in both formats.
func TestJavaScriptReplay(t *testing.T) {
	dir := wsPackage(t)
	s := pastSource(t)
	c := s.ring(1 << 12)
	s.market()
	a := s.archive(c)
	for i := range a.events { // several at a time, of several topics
		e := &a.events[i]
		e.Time = testEpoch + int64(i/5)*1_000_000
		for k := range e.Records {
			e.Records[k].TsRecv = min(e.Records[k].TsRecv, e.Time)
			if e.Records[k].Flags&md.FlagSnapshot == 0 {
				e.Records[k].TsRecv = e.Time
			}
		}
	}
	then := topOf(s.books["okx.book.BTC-USDT"])
	g := gateway(t, Config{Table: s.table.View(), Archive: a, Limits: Limits{Requests: 1000, RequestBurst: 1000}}, s.ring(1<<12))
	awaitTopics(t, g, 3)
	s.rebuild("okx.book.BTC-USDT", level{md.SideBid, 1, 1}, level{md.SideAsk, 2, 2})
	now := topOf(s.books["okx.book.BTC-USDT"])

	script, err := filepath.Abs("testdata/past.mjs")
	if err != nil {
		t.Fatal(err)
	}
	from, to := strconv.FormatInt(testEpoch-1, 10), strconv.FormatInt(testEpoch+int64(time.Hour), 10)
	text, err := command(t, dir, nil, nodeTool(t, "node"), script, "ws://"+g.Addr().String()+"/ws", from, to)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var out struct {
		Messages  int
		Top, Live bookTop
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if out.Messages < 120 {
		t.Errorf("%d messages", out.Messages)
	}
	if !out.Top.equal(then) || !out.Live.equal(now) {
		t.Errorf("the book then %v, want %v; now %v, want %v", out.Top, then, out.Live, now)
	}
	eventually(t, "no replay is left", func() bool { return g.hubStats.pasts.Load() == 0 })
}

// bookTop is a book in the words of the JavaScript client.
type bookTop struct {
	Bids [][2]string `json:"bids"`
	Asks [][2]string `json:"asks"`
}

func (b bookTop) equal(o bookTop) bool {
	return slices.Equal(b.Bids, o.Bids) && slices.Equal(b.Asks, o.Asks)
}

func topOf(b *book.Book) bookTop {
	side := func(s *book.Side) (out [][2]string) {
		for i := range s.Len() {
			l := s.At(i)
			out = append(out, [2]string{md.Decimal{Mant: l.Price, Exp: b.PriceExp}.String(), md.Decimal{Mant: l.Size, Exp: b.SizeExp}.String()})
		}
		return out
	}
	return bookTop{side(&b.Bids), side(&b.Asks)}
}
