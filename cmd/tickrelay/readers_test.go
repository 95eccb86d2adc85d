package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// key tells topics apart in records.
type key struct {
	instrument uint32
	channel    md.Channel
}

// collector gathers numbered records per topic until all topics have seen the
// disconnect that ends a replay.
type collector struct {
	recs  map[key][]md.Record
	done  map[key]bool
	start map[key]uint64 // number that the first snapshot of a book stands for
}

func newCollector() *collector {
	return &collector{recs: map[key][]md.Record{}, done: map[key]bool{}, start: map[key]uint64{}}
}

func (c *collector) add(r md.Record) {
	k := key{r.Instrument, r.Channel()}
	if _, ok := c.start[k]; !ok && r.Kind == md.KindBook && r.Side == md.SideEnd {
		c.start[k] = r.Seq
	}
	if r.Kind.Control() || r.Flags&md.FlagSnapshot != 0 || c.done[k] {
		return
	}
	c.recs[k] = append(c.recs[k], r)
	if r.Kind == md.KindGap && len(c.recs[k]) > 1 {
		c.done[k] = true
	}
}

func readStrategy(ctx context.Context, p *process, topics int) (*collector, error) {
	c := newCollector()
	for len(c.done) < topics {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("only %d of %d topics came to their end", len(c.done), topics)
		case line, ok := <-p.stdout:
			if !ok {
				return nil, errors.New("the strategy ended")
			}
			b, err := hex.DecodeString(line)
			if err != nil {
				return nil, err
			}
			r, err := md.FromBytes(b)
			if err != nil {
				return nil, err
			}
			c.add(r[0])
		}
	}
	return c, nil
}

func readBinary(ctx context.Context, conn net.Conn, topics int) (*collector, error) {
	c := newCollector()
	deadline, _ := ctx.Deadline()
	conn.SetReadDeadline(deadline)
	for len(c.done) < topics {
		b, op, err := wsutil.ReadServerData(conn)
		if err != nil {
			return nil, fmt.Errorf("%d of %d topics came to their end: %w", len(c.done), topics, err)
		}
		if op != ws.OpBinary {
			continue // instrument entries and answers
		}
		if len(b)%md.RecordSize != 0 {
			return nil, fmt.Errorf("a binary message of %d bytes", len(b))
		}
		for ; len(b) > 0; b = b[md.RecordSize:] {
			var one [1]md.Record
			copy(md.AsBytes(one[:]), b)
			c.add(one[0])
		}
	}
	return c, nil
}

// message is what the comparison needs of a JSON message.
type message struct {
	Type, Topic, Action, Op string
	Seq                     uint64
}

// texts are the live messages of a JSON client, and where its books began.
type texts struct {
	messages map[string][]string
	start    map[string]uint64
}

func readText(ctx context.Context, conn net.Conn, topics int) (*texts, error) {
	text := map[string][]string{}
	start := map[string]uint64{}
	done := map[string]bool{}
	deadline, _ := ctx.Deadline()
	conn.SetReadDeadline(deadline)
	for len(done) < topics {
		b, _, err := wsutil.ReadServerData(conn)
		if err != nil {
			return nil, fmt.Errorf("%d of %d topics came to their end: %w", len(done), topics, err)
		}
		var m message
		if err := json.Unmarshal(b, &m); err != nil {
			return nil, fmt.Errorf("%s: %w", b, err)
		}
		if m.Op == "error" {
			return nil, fmt.Errorf("refused: %s", b)
		}
		if _, ok := start[m.Topic]; !ok && m.Action == "snapshot" {
			start[m.Topic] = m.Seq
		}
		if m.Op != "" || m.Action == "snapshot" || done[m.Topic] {
			continue
		}
		text[m.Topic] = append(text[m.Topic], string(b))
		done[m.Topic] = m.Type == "gap" && len(text[m.Topic]) > 1
		if !done[m.Topic] {
			delete(done, m.Topic)
		}
	}
	return &texts{text, start}, nil
}

// after drops the records that a snapshot of number seq stands for: the ring has
// them one by one while the first snapshot is under way, the gateway's clients get
// them within it.
func after(recs []md.Record, seq uint64) []md.Record {
	for len(recs) > 0 && recs[0].Seq <= seq {
		recs = recs[1:]
	}
	return recs
}

func compareRecords(t *testing.T, want, got *collector) {
	t.Helper()
	total := 0
	for k, all := range want.recs {
		for i := range all {
			if all[i].Seq != uint64(i+1) {
				t.Fatalf("topic %v, record %d has number %d", k, i, all[i].Seq)
			}
		}
		recs := after(all, got.start[k])
		if len(got.recs[k]) != len(recs) {
			t.Errorf("topic %v: the strategy saw %d records, the binary client %d", k, len(recs), len(got.recs[k]))
			continue
		}
		for i := range recs {
			if recs[i] != got.recs[k][i] {
				t.Fatalf("topic %v, record %d:\nring   %+v\nbinary %+v", k, i, recs[i], got.recs[k][i])
			}
		}
		total += len(recs)
	}
	if len(want.recs) != len(got.recs) || total < 100 {
		t.Errorf("%d and %d topics, %d records compared", len(want.recs), len(got.recs), total)
	}
	t.Logf("%d records compared", total)
}

// compareText makes the JSON messages of the strategy's records and wants the
// client to have got the same.
func compareText(t *testing.T, rings string, recs map[key][]md.Record, seen *texts) {
	t.Helper()
	table, closeTable, err := ring.OpenTable(rings)
	if err != nil {
		t.Fatal(err)
	}
	defer closeTable()
	for k, list := range recs {
		in, _ := table.Get(k.instrument)
		topic := md.Topic{Venue: in.Venue, Channel: k.channel, Symbol: in.Symbol}.String()
		var want []string
		got := seen.messages
		list = after(list, seen.start[topic])
		prev := list[0].Seq - 1
		for len(list) > 0 {
			n := 1
			for list[n-1].Flags&md.FlagLast == 0 && list[n-1].Kind != md.KindGap {
				n++
			}
			for event := list[:n]; len(event) > 0; {
				m := md.MessageLen(event)
				want = append(want, string(md.AppendJSON(nil, topic, prev, event[:m])))
				prev = event[m-1].Seq
				event = event[m:]
			}
			list = list[n:]
		}
		if strings.Join(want, "\n") != strings.Join(got[topic], "\n") {
			for i := range want {
				if i >= len(got[topic]) || want[i] != got[topic][i] {
					t.Errorf("%s, message %d of %d and %d:\nring %s\njson %s", topic, i, len(want), len(got[topic]), want[i], at(got[topic], i))
					break
				}
			}
			if len(got[topic]) > len(want) {
				t.Errorf("%s: the JSON client got %d messages more", topic, len(got[topic])-len(want))
			}
		}
	}
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "(none)"
}
