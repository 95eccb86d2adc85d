package feeds

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tickrelay/ring/md"
)

// What normalize prints is compared with a second reading of the same frames
// that shares nothing with it: encoding/json into maps, decimals as text, books
// as maps from price to size.

// plain is a decimal text without the zeros that say nothing.
func plain(text string) string {
	if strings.ContainsAny(text, "eE+-") {
		return "in another form: " + text
	}
	if strings.Contains(text, ".") {
		text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	}
	for len(text) > 1 && text[0] == '0' && text[1] != '.' {
		text = text[1:]
	}
	return text
}

// textBook is a book of decimal texts.
type textBook [2]map[string]string

func newTextBook() *textBook { return &textBook{{}, {}} }

func (b *textBook) set(side int, price, size string) {
	if size == "0" {
		delete(b[side], price)
	} else {
		b[side][price] = size
	}
}

func (b *textBook) equal(o *textBook) bool {
	return maps.Equal(b[0], o[0]) && maps.Equal(b[1], o[1])
}

// best is the top of a side: the largest price of bids, the least of asks.
func (b *textBook) best(side int) [2]string {
	var top float64 // good enough to put prices in order
	var at string
	for p := range b[side] {
		v, _ := strconv.ParseFloat(p, 64)
		if at == "" || (v > top) == (side == 0) {
			top, at = v, p
		}
	}
	return [2]string{at, b[side][at]}
}

// pushed is one market frame as text.
type pushed struct {
	kind   string // trade, book, bbo
	native string
	class  string
	first  int64 // book of Binance: U
	last   int64 // book, bbo: u
	whole  bool
	rows   [][3]string // trade: side, price, size; book: side, price, size; bbo: bid then ask
}

// readPushed reads the frames of one message with encoding/json.
func readPushed(venue, frame string) []pushed {
	dec := json.NewDecoder(strings.NewReader(frame))
	dec.UseNumber()
	var root map[string]any
	if dec.Decode(&root) != nil {
		return nil
	}
	if venue == "binance" {
		if data, ok := root["data"].(map[string]any); ok {
			root = data
		}
		return readBinance(root)
	}
	arg, _ := root["arg"].(map[string]any)
	data, _ := root["data"].([]any)
	action, _ := root["action"].(string)
	p := pushed{whole: action == "snapshot"}
	p.native, _ = arg["instId"].(string)
	p.class, _ = arg["instType"].(string)
	for _, d := range data {
		switch arg["channel"] {
		case "books":
			p.kind = "book"
			m := d.(map[string]any)
			p.rows = append(textLevels("bid", m["bids"]), textLevels("ask", m["asks"])...)
		case "trade", "trades":
			p.kind = "trade"
			switch x := d.(type) {
			case []any:
				p.rows = append(p.rows, [3]string{x[3].(string), plain(x[1].(string)), plain(x[2].(string))})
			case map[string]any:
				p.rows = append(p.rows, [3]string{x["side"].(string), plain(x["px"].(string)), plain(x["sz"].(string))})
			}
		}
	}
	if venue == "bitget" && p.kind == "trade" { // the newest first
		slices.Reverse(p.rows)
	}
	if p.kind == "" || venue == "bitget" && p.kind == "trade" && p.whole {
		return nil
	}
	return []pushed{p}
}

func readBinance(ev map[string]any) []pushed {
	native, _ := ev["s"].(string)
	number := func(key string) int64 { n, _ := ev[key].(json.Number).Int64(); return n }
	text := func(key string) string { return plain(ev[key].(string)) }
	switch kind, _ := ev["e"].(string); {
	case kind == "depthUpdate":
		return []pushed{{kind: "book", native: native, first: number("U"), last: number("u"),
			rows: append(textLevels("bid", ev["b"]), textLevels("ask", ev["a"])...)}}
	case kind == "trade":
		side := "buy"
		if ev["m"].(bool) {
			side = "sell"
		}
		return []pushed{{kind: "trade", native: native, rows: [][3]string{{side, text("p"), text("q")}}}}
	case kind == "" && ev["B"] != nil:
		return []pushed{{kind: "bbo", native: native, last: number("u"),
			rows: [][3]string{{"bid", text("b"), text("B")}, {"ask", text("a"), text("A")}}}}
	}
	return nil
}

func textLevels(side string, v any) (rows [][3]string) {
	for _, l := range v.([]any) {
		x := l.([]any)
		rows = append(rows, [3]string{side, plain(x[0].(string)), plain(x[1].(string))})
	}
	return rows
}

// printed is one line of normalize's output.
type printed struct {
	Type, Topic, Action string
	Seq, Prev           uint64
	TsRecv              string `json:"ts_recv"`
	Price, Size, Side   string
	Bid, Ask            [2]string
	Bids, Asks          [][2]string
}

func (p *printed) rows() (rows [][3]string) {
	switch p.Type {
	case "trade":
		return [][3]string{{p.Side, p.Price, p.Size}}
	case "bbo":
		return [][3]string{{"bid", p.Bid[0], p.Bid[1]}, {"ask", p.Ask[0], p.Ask[1]}}
	}
	for _, l := range p.Bids {
		rows = append(rows, [3]string{"bid", l[0], l[1]})
	}
	for _, l := range p.Asks {
		rows = append(rows, [3]string{"ask", l[0], l[1]})
	}
	return rows
}

func (b *textBook) apply(rows [][3]string) {
	for _, r := range rows {
		b.set(map[string]int{"bid": 0, "ask": 1}[r[0]], r[1], r[2])
	}
}

// refSession replays a capture's frames into texts.
type refSession struct {
	t      *testing.T
	venue  Venue
	books  map[string]*textBook
	synced map[string]int64 // Binance: last update id applied
	rest   map[string]*textBook
	restID map[string]int64
	lastU  map[string]int64 // bbo
}

func (s *refSession) topic(p *pushed) string {
	symbol, _, ok := s.venue.Symbol(p.native, p.class)
	if !ok {
		s.t.Fatalf("no symbol for %s %s", p.native, p.class)
	}
	ch := map[string]md.Channel{"trade": md.ChannelTrades, "book": md.ChannelBook, "bbo": md.ChannelBBO}[p.kind]
	return md.Topic{Venue: s.venue.Spec().Venue, Channel: ch, Symbol: symbol}.String()
}

// book applies a book frame and reports whether it was news.
func (s *refSession) book(topic string, p *pushed) bool {
	b := s.books[topic]
	if s.venue.Spec().Name != "binance" {
		if p.whole {
			b = newTextBook()
			s.books[topic] = b
		}
		b.apply(p.rows)
		return true
	}
	if b == nil {
		rest := s.rest[p.native]
		if rest == nil {
			s.t.Fatalf("no REST snapshot of %s", p.native)
		}
		b = rest
		s.books[topic], s.synced[topic] = b, s.restID[p.native]
	}
	if last := s.synced[topic]; p.last > last {
		if p.first > last+1 {
			s.t.Fatalf("%s: %d after %d", topic, p.first, last)
		}
		b.apply(p.rows)
		s.synced[topic] = p.last
		return true
	}
	return false
}

// parsePrinted reads normalize's output and checks that prev chains.
func parsePrinted(t *testing.T, out []byte) []printed {
	t.Helper()
	var all []printed
	prev := map[string]uint64{}
	sc := bufio.NewScanner(bytes.NewReader(out))
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		var p printed
		if err := json.Unmarshal(sc.Bytes(), &p); err != nil {
			t.Fatalf("%v: %s", err, sc.Bytes())
		}
		if p.Prev != prev[p.Topic] || p.Seq < p.Prev {
			t.Fatalf("%s: seq %d prev %d after %d", p.Topic, p.Seq, p.Prev, prev[p.Topic])
		}
		prev[p.Topic] = p.Seq
		all = append(all, p)
	}
	return all
}

// loadREST keeps the book snapshots of a recorded session.
func (s *refSession) loadREST(name string) {
	captures(s.t, name, func(_ int, l *captureLine) {
		var body struct {
			LastUpdateId int64
			Bids, Asks   []any
		}
		if json.Unmarshal([]byte(l.Body), &body) != nil || body.LastUpdateId == 0 {
			return
		}
		native := "BTCUSDT" // the address is not recorded in that session
		if _, rest, ok := strings.Cut(l.URL, "symbol="); ok {
			native, _, _ = strings.Cut(rest, "&")
		}
		b := newTextBook()
		b.apply(textLevels("bid", []any(body.Bids)))
		b.apply(textLevels("ask", []any(body.Asks)))
		s.rest[native], s.restID[native] = b, body.LastUpdateId
	})
}

func describe(rows [][3]string) string {
	if len(rows) > 4 {
		return fmt.Sprint(rows[:4]) + "… " + strconv.Itoa(len(rows))
	}
	return fmt.Sprint(rows)
}

func sameRows(a, b [][3]string) bool { return slices.Equal(a, b) }

// rawLine is one line of a capture, read without the package that is tested.
type rawLine struct {
	n     int
	recv  string
	frame string
}

// rawLines are the frames received in a capture.
func rawLines(t *testing.T, path string) (all []rawLine) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	sc := bufio.NewScanner(z)
	sc.Buffer(nil, 16<<20)
	for n := 1; sc.Scan(); n++ {
		var l struct {
			Recv  json.Number `json:"recv_ns"`
			Dir   string
			Frame string
		}
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		if l.Dir == "" || l.Dir == "recv" {
			all = append(all, rawLine{n, l.Recv.String(), l.Frame})
		}
	}
	return all
}
