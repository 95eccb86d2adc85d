package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
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
	shots map[key][]shot // of books
}

// shot is a snapshot that came before the live record or message of index at: it
// stands for everything up to seq.
type shot struct {
	at  int
	seq uint64
}

// covered reports whether a snapshot before the reader's record i stands for seq. A
// ring has those records one by one while a snapshot is under way; the gateway's
// clients get them within it.
func covered(shots []shot, i int, seq uint64) bool {
	return slices.ContainsFunc(shots, func(s shot) bool { return s.at == i && seq <= s.seq })
}

// mostShots is the snapshots of a book in a replay: at its start, and when the
// catalogue, which comes beside the frames, changes the instrument's exponents.
const mostShots = 2

func newCollector() *collector {
	return &collector{recs: map[key][]md.Record{}, done: map[key]bool{}, shots: map[key][]shot{}}
}

func (c *collector) add(r md.Record) {
	k := key{r.Instrument, r.Channel()}
	if r.Kind == md.KindBook && r.Side == md.SideEnd {
		c.shots[k] = append(c.shots[k], shot{len(c.recs[k]), r.Seq})
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

// texts are the live messages of a JSON client and the snapshots between them.
type texts struct {
	messages map[string][]string
	shots    map[string][]shot
}

func readText(ctx context.Context, conn net.Conn, topics int) (*texts, error) {
	text := map[string][]string{}
	shots := map[string][]shot{}
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
		if m.Action == "snapshot" {
			shots[m.Topic] = append(shots[m.Topic], shot{len(text[m.Topic]), m.Seq})
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
	return &texts{text, shots}, nil
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
		if n := len(got.shots[k]); n > mostShots {
			t.Errorf("topic %v: %d snapshots", k, n)
		}
		i := 0
		for _, r := range all {
			if covered(got.shots[k], i, r.Seq) {
				continue
			}
			if i == len(got.recs[k]) || got.recs[k][i] != r {
				t.Fatalf("topic %v, record %d of %d:\nring   %+v\nbinary %+v", k, i, len(got.recs[k]), r, got.recs[k][i:min(i+1, len(got.recs[k]))])
			}
			i++
		}
		if i != len(got.recs[k]) {
			t.Errorf("topic %v: the binary client saw %d records more", k, len(got.recs[k])-i)
		}
		total += i
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
		got := seen.messages[topic]
		if n := len(seen.shots[topic]); n > mostShots {
			t.Errorf("%s: %d snapshots", topic, n)
		}
		i, prev := 0, list[0].Seq-1
		for len(list) > 0 {
			n := 1
			for list[n-1].Flags&md.FlagLast == 0 && list[n-1].Kind != md.KindGap {
				n++
			}
			n = md.MessageLen(list[:n])
			m := list[:n]
			list = list[n:]
			if !covered(seen.shots[topic], i, m[n-1].Seq) {
				if want := string(md.AppendJSON(nil, topic, prev, m)); i == len(got) || want != got[i] {
					t.Fatalf("%s, message %d of %d:\nring %s\njson %s", topic, i, len(got), want, at(got, i))
				}
				i++
			}
			prev = m[n-1].Seq
		}
		if i != len(got) {
			t.Errorf("%s: the JSON client got %d messages more", topic, len(got)-i)
		}
	}
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "(none)"
}
