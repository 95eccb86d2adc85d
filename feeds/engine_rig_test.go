package feeds

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// engineRig is an engine with a ring, a reader of it and a clock of the test's.
type engineRig struct {
	tb    testing.TB
	eng   *Engine
	pub   *ring.Publisher
	table *md.Table
	cons  *ring.Consumer
	now   int64
	recs  []md.Record
	out   bytes.Buffer
	print printer
	acts  []EngineAction
}

// rigStart is when every rig's clock starts.
const rigStart = int64(1_700_000_000_000_000_000)

func newEngineRig(tb testing.TB, v Venue, set func(*EngineConfig)) *engineRig {
	tb.Helper()
	r := &engineRig{tb: tb, now: rigStart, recs: make([]md.Record, 4096)}
	var err error
	if r.table, err = md.CreateTable(make([]byte, md.TableSize(64)), 64, 1); err != nil {
		tb.Fatal(err)
	}
	r.pub = ring.NewPublisher(ring.PublisherConfig{Venue: v.Spec().Venue, Epoch: rigStart, Heartbeat: 24 * time.Hour,
		Now: func() int64 { return r.now }})
	seg := ring.NewHeap(1<<15, ring.Meta{Name: "rig"})
	if _, err := r.pub.Attach(seg, nil); err != nil {
		tb.Fatal(err)
	}
	if r.cons, err = ring.OpenConsumer(seg); err != nil {
		tb.Fatal(err)
	}
	cfg := EngineConfig{Venue: v, Table: r.table, Pub: r.pub, Instruments: []string{"BTC-USDT"}, REST: "https://rest.test", Silence: -1}
	if set != nil {
		set(&cfg)
	}
	if r.eng, err = NewEngine(cfg); err != nil {
		tb.Fatal(err)
	}
	all, _ := md.ParsePattern(">")
	r.print = printer{patterns: []md.Pattern{all}, table: r.table, out: bufio.NewWriter(&r.out)}
	return r
}

// settle delivers what was staged and collects the actions.
func (r *engineRig) settle() {
	r.pub.Flush()
	for {
		more := r.pub.Turn(r.now)
		got := 0
		for {
			n, err := r.cons.Poll(r.recs)
			if err != nil {
				r.tb.Fatal(err)
			}
			for i := range r.recs[:n] {
				if err := r.recs[i].Valid(); err != nil {
					r.tb.Fatal(err)
				}
				r.print.take(&r.recs[i])
			}
			if got += n; n == 0 {
				break
			}
		}
		if !more && got == 0 {
			break
		}
	}
	r.acts = r.eng.Actions(r.acts)
}

func (r *engineRig) connect(line int)    { r.eng.Connected(line, r.now); r.settle() }
func (r *engineRig) disconnect(line int) { r.eng.Disconnected(line, r.now, "test"); r.settle() }
func (r *engineRig) frame(text string)   { r.frameOn(0, text) }

func (r *engineRig) frameOn(line int, text string) {
	r.tb.Helper()
	r.now += int64(time.Millisecond)
	if err := r.eng.Frame(line, []byte(text), r.now); err != nil {
		r.tb.Fatalf("%s: %v", text, err)
	}
	r.settle()
}

// tick lets time pass in steps of 100 ms.
func (r *engineRig) tick(d time.Duration) {
	for end := r.now + int64(d); r.now < end; {
		r.now = min(end, r.now+int64(100*time.Millisecond))
		r.eng.Tick(r.now)
		r.settle()
	}
}

// lines returns what was published since the last call, one event per string,
// without times and venue.
func (r *engineRig) lines() []string {
	r.print.out.Flush()
	text := strings.TrimSpace(r.out.String())
	r.out.Reset()
	if text == "" {
		return nil
	}
	var all []string
	for l := range strings.SplitSeq(text, "\n") {
		head, rest, _ := strings.Cut(l, `,"ts_event":`)
		_, rest, _ = strings.Cut(rest, `"ts_recv":"`)
		_, rest, _ = strings.Cut(rest, `",`)
		all = append(all, head+","+rest)
	}
	return all
}

// expect compares what was published since the last call with want: each line
// must hold all words of its entry.
func (r *engineRig) expect(what string, want ...string) {
	r.tb.Helper()
	got := r.lines()
	ok := len(got) == len(want)
	for i := 0; ok && i < len(got); i++ {
		for w := range strings.FieldsSeq(want[i]) {
			ok = ok && strings.Contains(got[i], w)
		}
	}
	if !ok {
		r.tb.Fatalf("%s: published\n  %s\nwant\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// actions returns what the engine wanted since the last call, one per string.
func (r *engineRig) actions() []string {
	var all []string
	for _, a := range r.acts {
		switch a.Kind {
		case ActionSend:
			all = append(all, fmt.Sprintf("send %d %s", a.Line, a.Frame))
		case ActionFetch:
			all = append(all, fmt.Sprintf("fetch %d %s", a.Req, a.URL))
		case ActionOpen:
			if a.Line == 0 {
				break // every feed has one
			}
			all = append(all, fmt.Sprintf("open %d route %d", a.Line, a.Route))
		case ActionRelieve:
			all = append(all, fmt.Sprintf("relieve %d %s", a.Line, a.Reason))
		case ActionReconnect:
			all = append(all, fmt.Sprintf("reconnect %d %s", a.Line, a.Reason))
		}
	}
	r.acts = r.acts[:0]
	return all
}

func (r *engineRig) expectActions(what string, want ...string) {
	r.tb.Helper()
	got := r.actions()
	ok := len(got) == len(want)
	for i := 0; ok && i < len(got); i++ {
		for w := range strings.FieldsSeq(want[i]) {
			ok = ok && strings.Contains(got[i], w)
		}
	}
	if !ok {
		r.tb.Fatalf("%s: wanted\n  %s\nexpected\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func (r *engineRig) snapshot(req int, body string, err error) {
	r.eng.Snapshot(req, []byte(body), err, r.now)
	r.settle()
}

// Frames of Binance spot for BTCUSDT.

func depth(first, last int, bids, asks string) string {
	return fmt.Sprintf(`{"e":"depthUpdate","E":1700000000000,"s":"BTCUSDT","U":%d,"u":%d,"b":[%s],"a":[%s]}`, first, last, bids, asks)
}

func restBook(last int, bids, asks string) string {
	return fmt.Sprintf(`{"lastUpdateId":%d,"bids":[%s],"asks":[%s]}`, last, bids, asks)
}

func tradeFrame(id int, price, size string) string {
	return fmt.Sprintf(`{"e":"trade","E":1700000000000,"s":"BTCUSDT","t":%d,"p":"%s","q":"%s","T":1700000000000,"m":true,"M":true}`, id, price, size)
}

func quoteFrame(id int, bid, ask string) string {
	return fmt.Sprintf(`{"u":%d,"s":"BTCUSDT","b":"%s","B":"1.0","a":"%s","A":"2.0"}`, id, bid, ask)
}

// liveBinance is a rig whose book, trades and quotes are live: book at update
// 100, trade 7, quote 100.
func liveBinance(t testing.TB) *engineRig {
	t.Helper()
	r := newEngineRig(t, Binance{}, nil)
	r.connect(0)
	r.frame(depth(90, 100, `["10.0","1"]`, ``))
	r.snapshot(1, restBook(95, `["10.0","5"],["9.0","1"]`, `["11.0","2"]`), nil)
	r.frame(tradeFrame(7, "10.5", "1"))
	r.frame(quoteFrame(100, "10.0", "11.0"))
	r.lines()
	r.actions()
	return r
}
