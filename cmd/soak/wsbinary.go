package soak

import (
	"encoding/json"
	"fmt"
	"time"

	"tickrelay/ring/md"
)

// binaryReader judges the records of a binary connection by a stream's rules.
type binaryReader struct {
	*stream
	topics []string
	pats   []md.Pattern
	names  map[uint32]md.Topic
	recs   []md.Record
	report reportFunc
}

func newBinaryReader(t *truth, c *counts, report reportFunc, topics []string, lossy bool) *binaryReader {
	b := &binaryReader{topics: topics, report: report, names: map[uint32]md.Topic{}}
	b.pats, _ = patterns(topics)
	b.stream = newStream(t, c, report)
	b.stream.lossy, b.stream.byName = lossy, true
	b.stream.name = func(id uint32) (md.Venue, string, bool) {
		n, ok := b.names[id]
		return n.Venue, n.Symbol, ok
	}
	return b
}

// request subscribes afresh: what is kept of the books are records' numbers, which
// the gateway tells again.
func (b *binaryReader) request() []byte {
	b.begin()
	clear(b.names)
	data, _ := json.Marshal(map[string]any{"op": "subscribe", "id": 1, "topics": b.topics})
	return data
}

func (b *binaryReader) text(p []byte) {
	var m struct {
		Op, Code, Message string
		Topics            json.RawMessage
		Instruments       []struct {
			ID            uint32
			Venue, Symbol string
		}
	}
	if err := json.Unmarshal(p, &m); err != nil {
		b.report(Formed, "", fmt.Sprintf("not JSON: %v: %.100s", err, p))
		return
	}
	switch m.Op {
	case "error":
		b.report(Formed, "", "refused: "+m.Code+": "+m.Message)
	case "instruments":
		for _, in := range m.Instruments {
			v, ok := md.ParseVenue(in.Venue)
			if !ok {
				b.report(Formed, "", "an instrument of venue "+in.Venue)
			}
			name := md.Topic{Venue: v, Symbol: in.Symbol}
			if old, ok := b.names[in.ID]; ok && old != name {
				b.renamed(in.ID)
			}
			b.names[in.ID] = name
		}
	case "subscribed", "topic":
		b.told(m.Topics)
	}
}

// told takes the numbers of topics, which in this form come without a heartbeat
// of their own.
func (b *binaryReader) told(raw json.RawMessage) {
	var at map[string]place
	if err := json.Unmarshal(raw, &at); err != nil {
		b.report(Formed, "", fmt.Sprintf("topics: %v", err))
		return
	}
	for topic, p := range at {
		b.start(topic, p.Seq)
	}
}

func (b *binaryReader) binary(p []byte) {
	if len(p)%64 != 0 || len(p) == 0 {
		b.report(Formed, "", fmt.Sprintf("a binary message of %d bytes", len(p)))
		return
	}
	n := len(p) / 64
	if cap(b.recs) < n {
		b.recs = make([]md.Record, n)
	}
	recs := b.recs[:n]
	copy(md.AsBytes(recs), p)
	now := time.Now().UnixNano()
	for i := range recs {
		b.take(&recs[i], now)
	}
}

func (b *binaryReader) compare(want trueBooks, c *comparison) {
	b.stream.compare(want, func(topic string) bool { return matches(b.pats, topic) }, c)
}

// place is where a topic stands.
type place struct {
	Epoch string `json:"epoch"`
	Seq   uint64 `json:"seq"`
}
