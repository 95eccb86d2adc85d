package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tickrelay/relay/auth"
	"tickrelay/ring"
	"tickrelay/ring/md"
)

// memArchive is an archive in memory, made of the records of a ring.
type memArchive struct {
	events  []PastEvent
	fail    error // after the last event
	endless bool
}

func (a *memArchive) KeyFrame(int64) int64 { return 0 }

func (a *memArchive) Scan(ctx context.Context, topics []string, from, to int64, f func(*PastEvent) error) error {
	var pats []md.Pattern
	for _, s := range topics {
		p, err := md.ParsePattern(s)
		if err != nil {
			return err
		}
		pats = append(pats, p)
	}
	for again := true; again; again = a.endless {
		for i := range a.events {
			e := a.events[i]
			if e.Time < from || e.Time >= to || !matchAny(pats, e.Topic.String()) {
				continue
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := f(&e); err != nil {
				return err
			}
		}
		if a.endless {
			for i := range a.events { // the numbers go on
				e := &a.events[i]
				e.Records = slices.Clone(e.Records)
				for k := range e.Records {
					e.Records[k].Seq += uint64(len(a.events))
				}
			}
		}
	}
	return a.fail
}

// archive makes one of what a ring holds; ids are the archive's own, as after a
// restart of the relay that recorded.
func (s *source) archive(c *ring.Consumer) *memArchive {
	a := &memArchive{}
	recs := make([]md.Record, 1<<12)
	n, err := c.Poll(recs)
	if err != nil {
		s.t.Fatal(err)
	}
	clock := int64(0)
	for at := 0; at < n; {
		first := &recs[at]
		end := at + 1
		if first.Kind != md.KindGap && !first.Kind.Control() {
			for end < n && recs[end-1].Flags&md.FlagLast == 0 {
				end++
			}
		}
		own := slices.Clone(recs[at:end])
		at = end
		if first.Kind == md.KindInstrument || first.Channel() == md.ChannelAll {
			continue
		}
		in, _ := s.table.Get(first.Instrument)
		for i := range own {
			own[i].Instrument += 1000
		}
		in.ID += 1000
		clock = max(clock+1, own[len(own)-1].TsRecv)
		a.events = append(a.events, PastEvent{Topic: md.Topic{Venue: in.Venue, Channel: first.Channel(), Symbol: in.Symbol}, Instrument: &in,
			Epoch: testEpoch, Time: clock, Records: own})
	}
	return a
}

// market publishes some of everything, with a gap and a rebuilt book.
func (s *source) market() {
	s.rebuild("okx.book.BTC-USDT", level{md.SideBid, 100, 5}, level{md.SideAsk, 110, 5})
	for i := range 40 {
		s.levels("okx.book.BTC-USDT", level{md.SideBid, int64(90 + i%10), int64(i)}, level{md.SideAsk, int64(111 + i%7), int64(i)})
		s.trade("okx.trades.BTC-USDT", uint64(i+1), int64(100+i))
		s.quote("okx.bbo.BTC-USDT", int64(100+i), int64(110+i))
		if i == 20 {
			s.pub.Gap(s.topics["okx.book.BTC-USDT"], md.GapSequence, 3, s.stamp())
			s.turn()
			s.rebuild("okx.book.BTC-USDT", level{md.SideBid, 95, 5}, level{md.SideAsk, 115, 5})
		}
	}
}

func pastSource(t *testing.T) *source {
	s := newSource(t, newTable(t), md.VenueOKX)
	s.add(md.VenueOKX, "BTC-USDT", md.ChannelBook, md.ChannelTrades, md.ChannelBBO)
	return s
}

// until reads messages up to and with the first whose op it is.
func (c *wsClient) until(op string) (got []string) {
	c.t.Helper()
	for {
		_, m, err := c.read()
		if err != nil {
			c.t.Fatal(err)
		}
		got = append(got, string(m))
		if strings.HasPrefix(string(m), `{"op":"`+op+`"`) {
			return got
		}
	}
}

func replayRequest(id, from, to int64, rest string) string {
	return fmt.Sprintf(`{"op":"replay","id":%d,"topics":["okx.>"],"from":"%d","to":"%d"%s}`, id, from, to, rest)
}

// TestReplayIsWhatWasLive: a window from before the first record is message for
// message what a client got live, in both formats, with and without depth, at any
// speed.
func TestReplayIsWhatWasLive(t *testing.T) {
	for _, c := range []struct{ proto, options string }{
		{ProtocolJSON, ""}, {ProtocolBinary, ""}, {ProtocolJSON, `,"depth":2`}, {ProtocolBinary, `,"depth":1`},
	} {
		t.Run(c.proto+c.options, func(t *testing.T) {
			s := pastSource(t)
			copied := s.ring(1 << 12)
			g := gateway(t, Config{Table: s.table.View()}, s.ring(1<<12))
			live := dial(t, g, c.proto)
			live.send("%s", `{"op":"subscribe","id":1,"topics":["okx.book.*","okx.trades.*","okx.bbo.*"]`+c.options+`}`)
			live.until("subscribed")
			s.market()
			s.trade("okx.trades.BTC-USDT", 1000, 7777)
			recorded := gateway(t, Config{Table: s.table.View(), Archive: s.archive(copied)})
			var want [][]byte
			for last := false; !last; {
				_, m, err := live.read()
				if err != nil {
					t.Fatalf("%v after %d messages, the last one %q", err, len(want), want[max(0, len(want)-1):])
				}
				last = strings.Contains(string(m), `"id":"1000"`) || len(m) >= md.RecordSize && c.proto == ProtocolBinary && bytes.Contains(m, []byte{0x61, 0x1e, 0, 0, 0, 0, 0, 0})
				want = append(want, m)
			}
			for _, speed := range []string{`,"speed":"max"`, `,"speed":5`} {
				past := dial(t, recorded, c.proto)
				past.send("%s", replayRequest(1, 1, time.Now().UnixNano(), c.options+speed))
				past.until("replaying")
				var got [][]byte
				for {
					_, m, err := past.read()
					if err != nil {
						t.Fatal(err)
					}
					if strings.HasPrefix(string(m), `{"op":"replay_end"`) {
						break
					}
					got = append(got, m)
				}
				if !slices.EqualFunc(plainMessages(want), plainMessages(got), bytes.Equal) {
					want, got := plainMessages(want), plainMessages(got)
					n := 0
					for n < min(len(want), len(got))-1 && bytes.Equal(want[n], got[n]) {
						n++
					}
					t.Fatalf("speed %s: %d messages live, %d in the replay, the first that differs is %d:\n%q\n%q", speed, len(want), len(got), n, want[n], got[n])
				}
			}
		})
	}
}

// plainMessages are the messages with the numbers of instruments taken out of
// records: each connection has its own, and is told which.
func plainMessages(list [][]byte) (out [][]byte) {
	for _, m := range list {
		if bytes.HasPrefix(m, []byte(`{"op":"topic"`)) || bytes.HasPrefix(m, []byte(`{"op":"instruments"`)) || len(m) == md.RecordSize && m[0] == byte(md.KindHeartbeat) {
			continue
		}
		if m[0] != '{' {
			m = bytes.Clone(m)
			for at := 4; at < len(m); at += md.RecordSize {
				copy(m[at:at+4], []byte{0, 0, 0, 0})
			}
		}
		out = append(out, m)
	}
	return out
}

// TestReplayFromTheMiddle: the window begins with the state of that moment.
func TestReplayFromTheMiddle(t *testing.T) {
	s := pastSource(t)
	c := s.ring(1 << 12)
	s.market()
	a := s.archive(c)
	g := gateway(t, Config{Table: s.table.View(), Archive: a})
	mid := a.events[len(a.events)/2].Time
	p := dial(t, g)
	p.send("%s", replayRequest(9, mid, mid+1<<60, `,"speed":"max"`))
	got := p.until("replay_end")
	if !strings.Contains(got[0], `"op":"replaying","id":9`) || !strings.Contains(got[0], `"okx.book.BTC-USDT":{"epoch":"1763842100123456789","seq":`) {
		t.Errorf("first answer %s", got[0])
	}
	if !strings.Contains(got[1], `"action":"snapshot"`) && !strings.Contains(got[2], `"action":"snapshot"`) {
		t.Errorf("no state at the beginning: %s\n%s", got[1], got[2])
	}
	if end := got[len(got)-1]; !strings.Contains(end, `"id":9,"reason":"done"`) {
		t.Errorf("end %s", end)
	}
	// Afterwards the connection is a live one again.
	p.send(`{"op":"subscribe","id":10,"topics":["okx.trades.*"]}`)
	p.until("subscribed")
}

// TestReplayRefusals: what is asked wrongly, or too much of, is answered by a code.
func TestReplayRefusals(t *testing.T) {
	s := pastSource(t)
	c := s.ring(1 << 12)
	s.market()
	a := s.archive(c)
	g := gateway(t, Config{Table: s.table.View(), Archive: a, Limits: Limits{MaxReplays: 1}})
	p := dial(t, g)
	for text, code := range map[string]string{
		`{"op":"replay","topics":["okx.>"]}`:                                                 codeOption,
		`{"op":"replay","topics":["okx.>"],"from":5}`:                                        codeOption,
		`{"op":"replay","topics":["okx.>"],"from":"5","to":"4"}`:                             codeOption,
		`{"op":"replay","topics":["okx.>"],"from":"yesterday"}`:                              codeOption,
		`{"op":"replay","topics":["okx.>"],"from":"5","speed":0}`:                            codeOption,
		`{"op":"replay","topics":["okx.>"],"from":"5","speed":"fast"}`:                       codeOption,
		`{"op":"replay","topics":["okx.>"],"from":"5","depth":-1}`:                           codeOption,
		`{"op":"replay","from":"5"}`:                                                         codeRequest,
		`{"op":"replay","topics":["okx.candles_1s.BTC-USDT"],"from":"2026-01-01T00:00:00Z"}`: codeUnsupported,
		`{"op":"stop"}`: codeRequest,
	} {
		p.send("%s", text)
		if m := p.until("error"); !strings.Contains(m[len(m)-1], `"code":"`+code+`"`) {
			t.Errorf("%s: %s", text, m)
		}
	}
	slow := replayRequest(1, 1, time.Now().UnixNano(), `,"speed":0.000001`)
	p.send("%s", slow)
	p.until("replaying")
	for _, text := range []string{slow, `{"op":"subscribe","topics":["okx.>"]}`} {
		p.send("%s", text)
		if m := p.until("error"); !strings.Contains(m[len(m)-1], `"code":"busy"`) {
			t.Errorf("while a replay runs: %s", m)
		}
	}
	q := dial(t, g)
	q.send("%s", slow)
	if m := q.until("error"); !strings.Contains(m[len(m)-1], `"code":"limit"`) {
		t.Errorf("a second replay: %s", m)
	}
	q.send(`{"op":"subscribe","topics":["none.trades.X"]}`)
	q.send("%s", slow)
	if m := q.until("error"); !strings.Contains(m[len(m)-1], `"code":"`) {
		t.Errorf("with a subscription: %s", m)
	}
	p.send(`{"op":"stop","id":7}`)
	if m := p.until("replay_end"); !strings.Contains(m[len(m)-1], `"reason":"stopped"`) || !slices.ContainsFunc(m, func(x string) bool { return x == `{"op":"stopped","id":7}` }) {
		t.Errorf("stopped: %s", m)
	}
	none := gateway(t, Config{Table: s.table.View()})
	n := dial(t, none)
	n.send("%s", slow)
	if m := n.until("error"); !strings.Contains(m[len(m)-1], `"code":"unsupported"`) {
		t.Errorf("without an archive: %s", m)
	}
}

// TestReplayWaitsForTheReader: who does not read holds up its own replay alone, in
// bounded memory, and loses nothing.
func TestReplayWaitsForTheReader(t *testing.T) {
	s := pastSource(t)
	c := s.ring(1 << 12)
	s.market()
	a := s.archive(c)
	a.events = slices.DeleteFunc(a.events, func(e PastEvent) bool {
		return e.Topic.Channel != md.ChannelTrades || e.Records[0].Kind != md.KindTrade
	})
	one := a.events[0]
	a.events = a.events[:0]
	for i := range 60_000 {
		e := one
		e.Records = slices.Clone(one.Records)
		e.Records[0].Seq, e.Records[0].ID, e.Time = uint64(i+1), uint64(i+1), one.Time+int64(i)
		a.events = append(a.events, e)
	}
	g := gateway(t, Config{Table: s.table.View(), Archive: a, Limits: Limits{QueueMessages: 64, QueueBytes: 1 << 20, SlowTimeout: 50 * time.Millisecond}})
	p := dial(t, g)
	p.send("%s", replayRequest(1, 1, time.Now().UnixNano(), `,"speed":"max"`))
	var run *pastRun
	deadline := time.Now().Add(20 * time.Second)
	for run == nil || !run.full() { // it stands still once the client's socket is full
		ask := make(chan *pastRun, 1)
		g.hub.inbox.put(request{op: requestCall, call: func(h *hub) {
			for _, k := range h.clients {
				if k.past != nil {
					ask <- k.past
					return
				}
			}
			ask <- nil
		}})
		if got := <-ask; got != nil {
			run = got
		}
		if time.Now().After(deadline) {
			t.Fatal("the replay does not wait")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if held := run.onWay.Load() + run.queued.Load(); held > 2*maxPastBytes {
		t.Errorf("%d bytes are held", held)
	}
	got := p.until("replay_end")
	trades := 0
	for _, m := range got {
		if strings.Contains(m, `"type":"trade"`) {
			trades++
			if !strings.Contains(m, fmt.Sprintf(`"seq":%d,`, trades)) {
				t.Fatalf("trade %d: %s", trades, m)
			}
		}
	}
	if trades != 60_000 || !strings.Contains(got[len(got)-1], `"reason":"done"`) {
		t.Errorf("%d trades, %s", trades, got[len(got)-1])
	}
}

// TestReplayRightsAndFailures: a token sees its own topics only, and an archive that
// cannot be read ends the replay with a reason.
func TestReplayRightsAndFailures(t *testing.T) {
	s := pastSource(t)
	c := s.ring(1 << 12)
	s.market()
	a := s.archive(c)
	a.fail = errors.New("the disk is gone")
	g := gateway(t, Config{Table: s.table.View(), Archive: a, Auth: &auth.Config{Tokens: []auth.Token{{Name: "desk", File: secretFile(t, deskToken), Topics: []string{"okx.trades.>"}}}}})
	p, _ := dialWith(t, g, "/ws", bearerHeader(deskToken))
	p.send(`{"op":"replay","topics":["okx.book.BTC-USDT"],"from":"1","speed":"max"}`)
	if m := p.until("error"); !strings.Contains(m[0], codeForbidden) {
		t.Errorf("a topic not granted: %s", m)
	}
	p.send("%s", replayRequest(1, 1, time.Now().UnixNano(), `,"speed":"max"`))
	got := p.until("replay_end")
	for _, m := range got {
		if strings.Contains(m, "okx.book") || strings.Contains(m, "okx.bbo") {
			t.Fatalf("not granted: %s", m)
		}
	}
	if len(got) < 40 || !strings.Contains(got[len(got)-1], `"reason":"failed"`) || strings.Contains(got[len(got)-1], "disk") {
		t.Errorf("%d messages, %s", len(got), got[len(got)-1])
	}
}
