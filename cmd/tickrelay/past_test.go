package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// pastMessage is what the test reads of a message.
type pastMessage struct {
	Op, Type, Topic, Action, Reason string
	Seq                             uint64
	TsRecv                          string `json:"ts_recv"`
	Bids, Asks                      [][2]string
	text                            string
}

// pastTopic is what a client got of one topic: messages as they came, and what the book
// was after each number.
type pastTopic struct {
	messages map[uint64]string
	books    map[uint64]map[string]string
	book     map[string]string
}

// pastView collects a connection's messages.
type pastView map[string]*pastTopic

func (v pastView) take(m *pastMessage) {
	t := v[m.Topic]
	if t == nil {
		t = &pastTopic{messages: map[uint64]string{}, books: map[uint64]map[string]string{}, book: map[string]string{}}
		v[m.Topic] = t
	}
	if m.Type != "book" {
		t.messages[m.Seq] = m.text
		return
	}
	if m.Action == "snapshot" {
		clear(t.book)
	}
	for side, levels := range [][][2]string{m.Bids, m.Asks} {
		for _, l := range levels {
			if key := strconv.Itoa(side) + " " + l[0]; l[1] == "0" {
				delete(t.book, key)
			} else {
				t.book[key] = l[1]
			}
		}
	}
	t.books[m.Seq] = maps.Clone(t.book)
}

func readPast(t *testing.T, c net.Conn) *pastMessage {
	t.Helper()
	text, err := wsutil.ReadServerText(c)
	if err != nil {
		t.Fatal(err)
	}
	m := &pastMessage{text: string(text)}
	if err := json.Unmarshal(text, m); err != nil || m.Op == "error" {
		t.Fatalf("%v: %s", err, text)
	}
	return m
}

// pastClient connects and makes one request.
func pastClient(t *testing.T, addr, format string, args ...any) net.Conn {
	t.Helper()
	c, _, _, err := ws.Dial(t.Context(), "ws://"+addr+"/ws")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := wsutil.WriteClientText(c, fmt.Appendf(nil, format, args...)); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRecordedPastIsWhatWasLive: a relay that records and serves its recording plays a
// window while it goes on recording. What the client gets is what another one got live:
// messages to the byte, and books equal after each number.
func TestRecordedPastIsWhatWasLive(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "rec")
	file, _ := recordedRelay(t, fmt.Sprintf("{dir: %q}\nreplay: {dir: %[1]q}", dir))
	relay := start(t, "run", "-c", file)
	addr := strings.TrimSuffix(strings.TrimPrefix(relay.line("websocket "), "ws://"), "/ws")
	const topics = `["binance.trades.*","binance.bbo.*","binance.book.*"]`

	conn := pastClient(t, addr, `{"op":"subscribe","id":1,"topics":%s}`, topics)
	live, from, until := pastView{}, "", time.Now().Add(2*time.Second)
	for n := 0; n < 600 || time.Now().Before(until); n++ {
		m := readPast(t, conn)
		if m.Type == "" {
			continue
		}
		if from == "" {
			from = m.TsRecv
		}
		live.take(m)
	}
	conn.Close()
	recordedSome(t, dir, 100)

	conn = pastClient(t, addr, `{"op":"replay","id":2,"topics":%s,"from":%q,"speed":"max"}`, topics, from)
	past := pastView{}
	for {
		m := readPast(t, conn)
		if m.Op == "replay_end" {
			if m.Reason != "done" {
				t.Fatal(m.text)
			}
			break
		}
		if m.Type != "" {
			past.take(m)
		}
	}
	samePast(t, live, past)
	if code := relay.stop(); code != exitDone {
		t.Errorf("exit %d", code)
	}
}

// samePast compares the numbers that both have: nearly all, but for those that the
// recorder had not written down yet.
func samePast(t *testing.T, live, past pastView) {
	t.Helper()
	for name, l := range live {
		p := past[name]
		if p == nil {
			t.Errorf("%s: nothing in the past", name)
			continue
		}
		both := 0
		for seq, text := range p.messages {
			if want, ok := l.messages[seq]; ok {
				if both++; want != text {
					t.Errorf("%s %d: live %s\npast %s", name, seq, want, text)
				}
			}
		}
		for seq, b := range p.books {
			if want, ok := l.books[seq]; ok {
				if both++; !maps.Equal(want, b) {
					t.Errorf("%s %d: live and past books differ: %d and %d levels", name, seq, len(want), len(b))
				}
			}
		}
		if has := len(l.messages) + len(l.books); both < has/2 || both == 0 {
			t.Errorf("%s: %d messages live, %d of them in the past", name, has, both)
		}
	}
	if len(live) != 6 {
		t.Errorf("%d topics", len(live))
	}
}
