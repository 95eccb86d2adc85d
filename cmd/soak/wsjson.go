package soak

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fastjson"

	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// jsonOptions are what a JSON connection asks for.
type jsonOptions struct {
	topics   []string
	depth    int
	conflate int // ms
	policy   string
}

// jsonReader judges the messages of a JSON connection: prev never beyond what came
// before, nothing twice, no book crossed, no price that the exchange never sent. It
// resumes where it was after a lost connection.
type jsonReader struct {
	truth  *truth
	counts *counts
	report reportFunc
	o      jsonOptions
	pats   []md.Pattern
	parser fastjson.Parser
	topics map[string]*jsonTopic
	now    int64
}

type jsonTopic struct {
	topic  string
	venue  string
	symbol uint64
	epoch  string
	last   uint64
	state  bool // what is held of it may be used
	book   *book.Book
	marks  marks
}

func newJSONReader(t *truth, c *counts, report reportFunc, o jsonOptions) *jsonReader {
	j := &jsonReader{truth: t, counts: c, report: report, o: o, topics: map[string]*jsonTopic{}}
	j.pats, _ = patterns(o.topics)
	return j
}

// request subscribes, or resumes what may still be used.
func (j *jsonReader) request() []byte {
	m := map[string]any{"op": "subscribe", "id": 1, "topics": j.o.topics}
	at := map[string]place{}
	for name, t := range j.topics {
		if t.state && t.epoch != "" {
			at[name] = place{t.epoch, t.last}
		} else {
			delete(j.topics, name)
		}
	}
	if len(at) > 0 {
		m = map[string]any{"op": "resume", "id": 1, "topics": at, "patterns": j.o.topics}
	}
	if j.o.depth > 0 {
		m["depth"] = j.o.depth
	}
	if j.o.conflate > 0 {
		m["conflate_ms"] = j.o.conflate
	}
	if j.o.policy != "" {
		m["policy"] = j.o.policy
	}
	data, _ := json.Marshal(m)
	return data
}

func (j *jsonReader) binary([]byte) { j.report(Formed, "", "a binary message on a JSON connection") }

func (j *jsonReader) text(p []byte) {
	v, err := j.parser.ParseBytes(p)
	if err != nil {
		j.report(Formed, "", fmt.Sprintf("not JSON: %v: %.100s", err, p))
		return
	}
	switch op := string(v.GetStringBytes("op")); op {
	case "":
		j.now = time.Now().UnixNano()
		j.event(v)
	case "subscribed", "topic":
		v.GetObject("topics").Visit(func(k []byte, at *fastjson.Value) {
			j.told(string(k), string(at.GetStringBytes("epoch")), at.GetUint64("seq"), op == "topic")
		})
	case "error":
		j.report(Formed, "", fmt.Sprintf("refused: %.200s", p))
	}
}

func (j *jsonReader) told(topic, epoch string, seq uint64, news bool) {
	t := j.topics[topic]
	if t == nil {
		part := strings.SplitN(topic, ".", 3)
		if len(part) != 3 {
			j.report(Formed, topic, "is no topic")
			return
		}
		t = &jsonTopic{topic: topic, venue: part[0], symbol: symbolKey(part[2])}
		j.topics[topic] = t
	} else if t.epoch == epoch && seq > t.last && !news {
		j.report(Chain, topic, fmt.Sprintf("resumed at %d, was at %d", seq, t.last))
	}
	if t.epoch != epoch {
		t.state, t.book = false, nil
	}
	t.epoch, t.last = epoch, seq
}

// event judges one event of the market.
func (j *jsonReader) event(v *fastjson.Value) {
	name := string(v.GetStringBytes("topic"))
	t := j.topics[name]
	if t == nil {
		j.report(Formed, name, "an event of a topic that was not told")
		return
	}
	j.counts.stat.Records++
	j.counts.check(Formed)
	j.counts.check(Chain)
	kind := string(v.GetStringBytes("type"))
	seq, prev := v.GetUint64("seq"), v.GetUint64("prev")
	snapshot := kind == "book" && string(v.GetStringBytes("action")) == "snapshot"
	switch {
	case prev > t.last:
		j.report(Chain, name, fmt.Sprintf("%s %d follows %d, but the last was %d", kind, seq, prev, t.last))
	case seq < t.last, seq == t.last && (kind == "trade" || kind == "book" && !snapshot):
		j.report(Chain, name, fmt.Sprintf("%s %d again after %d", kind, seq, t.last))
	}
	t.last = max(t.last, seq)
	switch kind {
	case "gap":
		j.counts.stat.Gaps[string(v.GetStringBytes("reason"))]++
		t.state, t.book = false, nil
	case "book":
		j.book(t, v, snapshot)
	case "trade":
		j.counts.stat.Trades++
		t.state = true
		j.trade(t, v)
	case "bbo":
		t.state = true
		j.side(t, keyBid, v.Get("bid"))
		j.side(t, keyAsk, v.Get("ask"))
	default:
		t.state = true
	}
	if !snapshot && kind != "gap" {
		if at, err := strconv.ParseInt(string(v.GetStringBytes("ts_recv")), 10, 64); err == nil {
			j.counts.late(j.now - at)
		}
	}
}

// trade takes one; some venues do not say who was the aggressor.
func (j *jsonReader) trade(t *jsonTopic, v *fastjson.Value) {
	price, size := v.GetStringBytes("price"), v.GetStringBytes("size")
	class := keyBuy
	switch string(v.GetStringBytes("side")) {
	case "buy":
	case "sell":
		class = keySell
	default:
		if p, s, ok := j.decimals(t, price, size); ok && !j.truth.has(levelKey(t.symbol, class, p.Mant, p.Exp, s.Mant)) {
			class = keySell
		}
	}
	j.mark(t, class, price, size)
}

// mark is price, of what is the topic's last.
func (j *jsonReader) mark(t *jsonTopic, class int, price, size []byte) {
	if p, s, ok := j.price(t, class, price, size); ok {
		*t.marks.of(class) = mark{p, s}
	}
}

func (j *jsonReader) side(t *jsonTopic, class int, v *fastjson.Value) {
	if pair := v.GetArray(); len(pair) == 2 {
		j.mark(t, class, pair[0].GetStringBytes(), pair[1].GetStringBytes())
	}
}

func (j *jsonReader) decimals(t *jsonTopic, price, size []byte) (p, s md.Decimal, ok bool) {
	p, err := md.ParseDecimal(price)
	if err == nil {
		s, err = md.ParseDecimal(size)
	}
	if err != nil {
		j.report(Formed, t.topic, fmt.Sprintf("%q × %q: %v", price, size, err))
	}
	return p, s, err == nil
}

// price wants what the exchange has shown.
func (j *jsonReader) price(t *jsonTopic, class int, price, size []byte) (p, s md.Decimal, ok bool) {
	if p, s, ok = j.decimals(t, price, size); !ok {
		return p, s, false
	}
	j.counts.check(Real)
	key := priceKey(t.symbol, class, p.Mant, p.Exp)
	if s.Mant != 0 {
		key = levelKey(t.symbol, class, p.Mant, p.Exp, s.Mant)
	}
	if !j.truth.has(key) {
		j.report(Real, t.topic, fmt.Sprintf("side %d: %s × %s is nothing that the exchange sent", class, price, size))
	}
	return p, s, true
}

func (j *jsonReader) book(t *jsonTopic, v *fastjson.Value, snapshot bool) {
	if snapshot {
		t.book, t.state = new(book.Book), true
	}
	for class, side := range map[int]string{keyBid: "bids", keyAsk: "asks"} {
		for _, lv := range v.GetArray(side) {
			pair := lv.GetArray()
			if len(pair) != 2 {
				j.report(Formed, t.topic, "a level of "+strconv.Itoa(len(pair))+" values")
				continue
			}
			p, s, ok := j.price(t, class, pair[0].GetStringBytes(), pair[1].GetStringBytes())
			if ok && t.book != nil && !setLevel(t.book, class, p, s) {
				j.report(Formed, t.topic, fmt.Sprintf("%s × %s fits no exponent", p, s))
			}
		}
	}
	if t.book == nil {
		return
	}
	if j.counts.check(Uncrossed); t.book.Crossed() {
		bid, _ := t.book.BestBid()
		ask, _ := t.book.BestAsk()
		j.report(Uncrossed, t.topic, fmt.Sprintf("a crossed book: bid %d, ask %d (e%d) at number %d", bid.Price, ask.Price, t.book.PriceExp, t.last))
	}
}

// setLevel sets a level exactly, in finer exponents if need be.
func setLevel(b *book.Book, class int, p, s md.Decimal) bool {
	if !b.Rescale(min(b.PriceExp, p.Exp), min(b.SizeExp, s.Exp)) {
		return false
	}
	price, ok1 := md.Rescale(p.Mant, p.Exp, b.PriceExp)
	size, ok2 := md.Rescale(s.Mant, s.Exp, b.SizeExp)
	side := uint8(md.SideBid)
	if class == keyAsk {
		side = md.SideAsk
	}
	b.Set(side, book.Level{Price: price, Size: size})
	return ok1 && ok2
}

func (j *jsonReader) books() (live, all int) {
	for name, t := range j.topics {
		if strings.Contains(name, ".book.") {
			if all++; t.book != nil {
				live++
			}
		}
	}
	return live, all
}

func (j *jsonReader) marksOf(topic string) *marks {
	if t := j.topics[topic]; t != nil {
		return &t.marks
	}
	return nil
}

func (j *jsonReader) compare(want trueBooks, c *comparison) {
	for topic, b := range want {
		if !matches(j.pats, topic) {
			continue
		}
		if t := j.topics[topic]; t == nil || t.book == nil {
			c.Why = topic + ": there is no book"
		} else {
			c.book(topic, t.book, &b.Book, j.o.depth)
		}
		if j.o.policy == "" { // a slow client's gap may hide the last ones
			c.brought(topic, &b, func(topic string) bool { return matches(j.pats, topic) }, j.marksOf)
		}
	}
}
