package relay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"testing"

	"tickrelay/nettune"
	"tickrelay/relay/auth"
	"tickrelay/ring"
	"tickrelay/ring/md"
)

// taker is a socket that takes room bytes, and more when the test says so.
type taker struct {
	nowhere
	got  bytes.Buffer
	room int
}

func (s *taker) Write(p []byte) (int, error) {
	n := min(len(p), s.room)
	s.room -= n
	s.got.Write(p[:n])
	if n < len(p) {
		return n, nettune.ErrWouldBlock
	}
	return n, nil
}

// stepped is a hub and a shard whose turns the test takes one by one.
type stepped struct {
	*source
	hub   *hub
	shard *shard
	ring  *ring.Consumer
	buf   []md.Record
	rate  int // bytes that a socket takes per turn

	most, largest int            // bytes of snapshots in one turn, and of one
	answers       map[uint32]int // to the first connection, by stream
}

const (
	stepBooks  = 250
	stepLevels = 200 // of each side
)

func newStepped(t testing.TB) *stepped {
	tab := newTable(t)
	cfg := Config{Table: tab.View()}.withDefaults()
	h := newHub(&cfg, &hubStats{})
	sh, err := newShard(0, &cfg, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sh.poller.Close() })
	h.shards = []*shard{sh}
	w := &stepped{source: newSource(t, tab, md.VenueBinance), hub: h, shard: sh, buf: make([]md.Record, 1<<14), rate: 1 << 30, answers: map[uint32]int{}}
	for i := range stepBooks {
		w.add(md.VenueBinance, fmt.Sprintf("C%03d-USDT", i), md.ChannelBook)
	}
	w.ring = w.source.ring(1 << 14)
	for topic := range w.books {
		var start []level
		for i := range int64(stepLevels) {
			start = append(start, level{md.SideBid, 9999 - i, 1 + i}, level{md.SideAsk, 10001 + i, 1 + i})
		}
		w.rebuild(topic, start...)
		w.poll()
	}
	return w
}

func (w *stepped) poll() {
	n, err := w.ring.Poll(w.buf)
	if err != nil {
		w.t.Fatal(err)
	}
	if used := w.hub.consume(w.buf[:n]); used != n {
		w.t.Fatalf("%d of %d records used", used, n)
	}
}

func (w *stepped) connect() *conn {
	c := &conn{stream: &taker{}, shard: w.shard, grant: auth.Open(), index: len(w.shard.conns), known: true}
	w.shard.conns = append(w.shard.conns, c)
	return c
}

func (w *stepped) ask(c *conn, op requestOp, pol policy, topics ...string) {
	w.t.Helper()
	r := request{op: op, conn: c, grant: c.grant, opt: options{policy: pol}}
	for _, s := range topics {
		p, err := md.ParsePattern(s)
		if err != nil {
			w.t.Fatal(err)
		}
		r.patterns = append(r.patterns, p)
	}
	w.hub.inbox.put(r)
}

// turn takes one turn of the hub and one of the shard.
func (w *stepped) turn() {
	h, s := w.hub, w.shard
	h.now = h.mono()
	h.requests(context.Background(), nil)
	sum := 0
	for _, d := range s.staged {
		if (d.op == deliverSubscribe || d.op == deliverRefresh) && d.frame != nil {
			sum += len(d.frame.data)
			w.largest = max(w.largest, len(d.frame.data))
		}
		if d.op == deliverRefresh && d.conn == s.conns[0] {
			w.answers[d.stream]++
		}
	}
	w.most = max(w.most, sum)
	w.poll()
	h.sendPaced()
	h.flush(context.Background())
	s.deliverAll(s.inbox.take(nil))
	for i := len(s.conns) - 1; i >= 0; i-- {
		c := s.conns[i]
		if c.stream.(*taker).room = w.rate; c.blocked {
			s.flush(c)
		}
	}
	s.flushDirty()
	h.inbox.put(s.asks...)
	s.asks = s.asks[:0]
}

// idle reports whether nothing is asked for, on its way or owed.
func (w *stepped) idle() bool {
	for _, c := range w.shard.conns {
		if c.messages() > 0 || c.debt != nil && (c.debt.wanted > 0 || len(c.debt.subs) > 0) {
			return false
		}
	}
	return w.hub.inbox.len() == 0 && len(w.hub.deferred) == 0 && w.shard.inbox.len() == 0
}

// heard is what one client has of its topics, by the rules of the protocol.
type heard struct {
	t     *testing.T
	books map[string]*local
	last  map[string]uint64
	gaps  int
}

func (e *heard) take(c *conn) {
	e.t.Helper()
	b := &c.stream.(*taker).got
	for b.Len() > 0 {
		r := bytes.NewReader(b.Bytes())
		f, err := readFrame(r)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return // the rest is to come
		}
		if err != nil {
			e.t.Fatal(err)
		}
		b.Next(b.Len() - r.Len())
		m := &answerMsg{}
		if err := json.Unmarshal(f.Payload, m); err != nil {
			e.t.Fatalf("%v in %s", err, f.Payload)
		}
		switch l := e.books[m.Topic]; {
		case m.Op == "subscribed" || m.Op == "topic":
			for topic, p := range m.positions(e.t) {
				e.last[topic] = p.Seq
				delete(e.books, topic)
			}
			continue
		case m.Op == "unsubscribed":
			var topics []string
			if err := json.Unmarshal(m.Topics, &topics); err != nil {
				e.t.Fatal(err)
			}
			for _, topic := range topics {
				delete(e.last, topic)
				delete(e.books, topic)
			}
			continue
		case m.Type == "gap":
			e.gaps++
			delete(e.books, m.Topic)
		case m.Type != "book":
			e.t.Fatalf("%s", f.Payload)
		case m.Action == "snapshot":
			l = &local{t: e.t, seq: e.last[m.Topic]}
			e.books[m.Topic] = l
			l.apply(m)
		case l == nil:
			e.t.Fatalf("a change before the snapshot: %s", f.Payload)
		default:
			l.apply(m)
		}
		if at, ok := e.last[m.Topic]; !ok || m.Prev > at {
			e.t.Fatalf("prev %d, own %d, subscribed %v: %s", m.Prev, at, ok, m.Topic)
		}
		e.last[m.Topic] = m.Seq
	}
}

// TestOpeningIsBounded: a subscription to many books costs no turn of the hub more than
// turnState and one snapshot, another connection is answered meanwhile, and the client
// has every book whole though they change, end and begin anew meanwhile.
func TestOpeningIsBounded(t *testing.T) {
	for _, v := range []struct {
		name   string
		rate   int
		policy policy
	}{{"fast, drop", 1 << 30, policyDrop}, {"fast, close", 1 << 30, policyClose},
		{"slow", 40_000, policyConflate}, {"slow, drop", 40_000, policyDrop}} {
		t.Run(v.name, func(t *testing.T) { stepOpening(t, v.rate, v.policy) })
	}
}

func stepOpening(t *testing.T, rate int, pol policy) {
	const ended, other = "binance.book.C247-USDT", "binance.book.C003-USDT"
	w := newStepped(t)
	turned := w.hub.topics[80].name // among the first that are asked for
	w.rate = rate
	big, small, gone := w.connect(), w.connect(), w.connect()
	e := &heard{t: t, books: map[string]*local{}, last: map[string]uint64{}}
	w.ask(big, requestSubscribe, pol, ">")
	w.ask(gone, requestSubscribe, pol, ">")
	answered, turns := 0, 0
	for ; turns < 3 || !w.idle(); turns++ {
		if turns > 3000 {
			t.Fatalf("not at rest: %d of %d books", len(e.books), stepBooks)
		}
		switch turns {
		case 1:
			w.ask(small, requestSubscribe, pol, other)
			w.ask(big, requestUnsubscribe, 0, ended)
			b := w.hub.byName[turned]
			recs := b.appendSnapshot(nil, 0)
			for i := range recs {
				recs[i].Seq = 0
			}
			w.hub.consume([]md.Record{{Kind: md.KindHeartbeat, Flags: md.FlagFirst | md.FlagLast, Venue: md.VenueBinance,
				Instrument: b.instrument, TsRecv: 1, ID: testEpoch + 1, Side: uint8(md.ChannelBook)}})
			w.hub.consume(recs)
		case 2:
			w.shard.drop(gone, closedLost)
		}
		if turns < 60 {
			n := 0
			for topic := range w.books {
				if n++; topic != turned && n%3 == turns%3 {
					w.levels(topic, level{md.SideBid, 9000 + int64(turns), int64(turns%5 + 1)}, level{md.SideAsk, 10001 + int64(turns%7), int64(turns % 3)})
				}
			}
		}
		w.turn()
		if s := small.stream.(*taker); answered == 0 && bytes.Contains(s.got.Bytes(), []byte(`"snapshot"`)) {
			answered = turns
		}
		e.take(big)
	}
	if w.most > turnState+w.largest || w.largest == 0 {
		t.Errorf("%d bytes of snapshots in one turn of the hub, want at most %d and one of %d", w.most, turnState, w.largest)
	}
	if rate > turnState && answered > 8 {
		t.Errorf("the other connection has its book in turn %d of %d", answered, turns)
	}
	if rate > turnState && e.gaps > 1 { // the one of the epoch
		t.Errorf("%d gaps", e.gaps)
	}
	if n := w.answers[w.hub.byName[turned].streams[0].id]; rate > turnState && n != 1 {
		t.Errorf("%d answers about a book whose epoch began before the first", n)
	}
	if len(e.books) != stepBooks-1 || e.books[ended] != nil || big.state != connOpen {
		t.Fatalf("%d books are there, want all but one: state %d", len(e.books), big.state)
	}
	for topic, l := range e.books {
		l.equals(w.source, topic, 1000)
	}
	if k := w.hub.clients[gone]; k != nil {
		t.Errorf("who has gone is remembered: %+v", k)
	}
	t.Logf("%d turns, at most %d bytes of snapshots in one, the other connection has its book in turn %d", turns, w.most, answered)
}

// TestResumeOfManyIsBounded: so is a resumption of which the history does not know
// anything any more.
func TestResumeOfManyIsBounded(t *testing.T) {
	w := newStepped(t)
	c := w.connect()
	e := &heard{t: t, books: map[string]*local{}, last: map[string]uint64{}}
	r := request{op: requestResume, conn: c, grant: c.grant}
	for topic := range w.books {
		p, err := md.ParsePattern(topic)
		if err != nil {
			t.Fatal(err)
		}
		r.resume = append(r.resume, resumePoint{topic: p, epoch: 1, seq: 5})
		w.levels(topic, level{md.SideBid, 9000, 1})
		w.poll()
	}
	w.hub.inbox.put(r)
	for turns := 0; turns < 3 || !w.idle(); turns++ {
		for topic := range w.books {
			if turns < 10 {
				w.levels(topic, level{md.SideBid, 9000, int64(turns + 2)})
			}
		}
		w.turn()
		e.take(c)
	}
	if w.most > turnState+w.largest || w.largest == 0 {
		t.Errorf("%d bytes of snapshots in one turn of the hub, want at most %d and one of %d", w.most, turnState, w.largest)
	}
	if len(e.books) != stepBooks || e.gaps != stepBooks {
		t.Errorf("%d books, %d gaps of another epoch", len(e.books), e.gaps)
	}
	for topic, l := range e.books {
		l.equals(w.source, topic, 1000)
	}
}
