package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// bybit speaks Bybit's v5 public channels of one category
// (https://bybit-exchange.github.io/docs/v5/ws/connect).
type bybit struct {
	argumentVenue
	category string
	byName   map[string]*instrument
	updates  map[*stream]int64 // u of the last book frame
}

func newBybit(s *Server, category string) *bybit {
	b := &bybit{category: category, byName: map[string]*instrument{}, updates: map[*stream]int64{}}
	b.argumentVenue = argumentVenue{srv: s, style: b, table: map[argument]*stream{}}
	for _, in := range s.listed() {
		b.byName[in.native()] = in
	}
	return b
}

func (b *bybit) home() string { return "/v5/public/" + b.category }
func (b *bybit) rate() int    { return 0 }

func (b *bybit) silence() time.Duration                { return 10 * time.Minute }
func (b *bybit) notice() []byte                        { return nil }
func (b *bybit) opened(*session)                       {}
func (b *bybit) open(_ *session, r *http.Request) bool { return r.URL.Path == b.home() }

func (b *bybit) supports(f Fault) error {
	switch f {
	case FaultBadChecksum:
		return errors.New("the venue sends no checksums")
	case FaultRESTStale:
		return errors.New("books begin in band")
	}
	return nil
}

func (b *bybit) text(s *session, msg []byte) {
	var q struct {
		ID   string   `json:"req_id"`
		Op   string   `json:"op"`
		Args []string `json:"args"`
	}
	if json.Unmarshal(msg, &q) != nil {
		b.answerTo(s, "", "", "json: cannot unmarshal the request", false)
		return
	}
	switch q.Op {
	case "ping":
		if b.category == "spot" {
			b.answerTo(s, q.ID, "ping", "pong", true)
		} else {
			now := strconv.FormatInt(millis(b.srv.m.cfg.Clock.Now().UnixNano()), 10)
			s.reply(fmt.Appendf(nil, `{"req_id":"%s","op":"pong","args":["%s"],"conn_id":"%d"}`, q.ID, now, s.id))
		}
		return
	case "subscribe", "unsubscribe":
	default:
		b.answerTo(s, q.ID, q.Op, "error:request not valid", false)
		return
	}
	if b.category == "spot" && len(q.Args) > 10 {
		b.answerTo(s, q.ID, q.Op, "args size >10", false)
		return
	}
	var as []argument
	for _, topic := range q.Args {
		a := bybitArgument(topic)
		if b.find(a) == nil {
			b.answerTo(s, q.ID, q.Op, "error:handler not found,topic:"+topic, false)
			return
		}
		as = append(as, a)
	}
	b.answerTo(s, q.ID, q.Op, "", true)
	for _, a := range as {
		if q.Op == "subscribe" {
			b.subscribe(s, a)
		} else if st := b.table[a]; st != nil {
			s.unsubscribe(st)
		}
	}
}

// answerTo answers a request.
func (b *bybit) answerTo(s *session, id, op, msg string, ok bool) {
	text, _ := json.Marshal([]string{msg, id, op}) // strings always marshal
	var q []json.RawMessage
	_ = json.Unmarshal(text, &q)
	s.reply(fmt.Appendf(nil, `{"success":%t,"ret_msg":%s,"conn_id":"%d","req_id":%s,"op":%s}`, ok, q[0], s.id, q[1], q[2]))
}

// bybitArgument splits a topic at the last point; trades have the name that all
// venues by arguments have for them.
func bybitArgument(topic string) argument {
	i := strings.LastIndexByte(topic, '.')
	if i < 0 {
		return argument{Channel: topic}
	}
	a := argument{Channel: topic[:i], InstID: topic[i+1:]}
	if a.Channel == "publicTrade" {
		a.Channel = "trades"
	}
	return a
}

func (b *bybit) find(a argument) *instrument {
	switch a.Channel {
	case "trades", "tickers", "orderbook.1", "orderbook.50", "orderbook.200", "orderbook.1000":
		return b.byName[a.InstID]
	case "allLiquidation":
		if b.category != "spot" {
			return b.byName[a.InstID]
		}
	}
	return nil
}

func (b *bybit) depth(channel string) int {
	n, _ := strings.CutPrefix(channel, "orderbook.")
	depth, _ := strconv.Atoi(n) // others are no books
	return depth
}

func (b *bybit) incremental(channel string) bool { return b.depth(channel) > 1 }

func (b *bybit) pace(channel string) time.Duration {
	switch b.depth(channel) {
	case 0:
		return b.srv.o.TickerEvery / 10 // 100 ms on the venue
	case 1:
		return b.srv.o.DepthEvery / 10 // 10 ms on the venue
	}
	return b.srv.o.DepthEvery
}

func (b *bybit) begin(s *session, st *stream) {
	now := b.srv.m.cfg.Clock.Now().UnixNano()
	switch {
	case st.channel == "tickers":
		push(s, st, kindOther, b.ticker(st, true, now))
	case b.depth(st.channel) > 0:
		if b.updates[st] == 0 {
			b.updates[st] = int64(7_000_000 + 1000*s.id)
		}
		push(s, st, kindOther, b.books(st, "snapshot", st.shown.bids, st.shown.asks, now))
	}
}

func (b *bybit) payload(st *stream, now int64) (frameKind, []byte) {
	switch {
	case st.channel == "tickers":
		return kindOther, b.ticker(st, b.category == "spot", now)
	case b.depth(st.channel) == 0:
		return kindOther, nil
	}
	bids, asks := st.difference(b.depth(st.channel))
	if len(bids)+len(asks) == 0 {
		return kindBook, nil
	}
	b.updates[st]++
	if b.depth(st.channel) == 1 {
		return kindOther, b.books(st, "snapshot", st.shown.bids, st.shown.asks, now)
	}
	return kindBook, b.books(st, "delta", bids, asks, now)
}

// head begins a push; spot has the time before the type.
func (b *bybit) head(topic, kind string, now int64) []byte {
	ts := strconv.FormatInt(millis(now), 10)
	if b.category == "spot" {
		return []byte(`{"topic":"` + topic + `","ts":` + ts + `,"type":"` + kind + `","data":`)
	}
	return []byte(`{"topic":"` + topic + `","type":"` + kind + `","ts":` + ts + `,"data":`)
}

func (b *bybit) books(st *stream, kind string, bids, asks []Level, now int64) []byte {
	in := st.in
	level := func(dst []byte, lv Level) []byte {
		dst = appendFixed(append(dst, '"'), lv.Price, in.priceDecimals)
		dst = append(dst, `","`...)
		if lv.Size == 0 {
			return append(dst, `0"`...)
		}
		return append(appendFixed(dst, lv.Size, in.sizeDecimals), '"')
	}
	d := append(b.head(st.channel+"."+in.native(), kind, now), `{"s":"`+in.native()+`","b":`...)
	d = append(appendLevels(d, bids, level), `,"a":`...)
	d = appendLevels(d, asks, level)
	d = integer(integer(d, "u", b.updates[st]), "seq", in.seq)
	return append(integer(append(d, '}'), "cts", millis(now)), '}')
}

func (b *bybit) trades(st *stream, trades []Trade, now int64) [][]byte {
	d := append(b.head("publicTrade."+st.in.native(), "snapshot", now), '[')
	for i, t := range trades {
		if i > 0 {
			d = append(d, ',')
		}
		id := fmt.Sprintf("%08x-0000-5000-8000-%012x", t.ID>>20, t.ID)
		if b.category == "spot" {
			id = strconv.FormatInt(2_290_000_000_000_000_000+t.ID, 10)
		}
		side := map[bool]string{true: "Buy", false: "Sell"}[t.Buy]
		d = append(d, `{"T":`+strconv.FormatInt(millis(t.Time), 10)+`,"s":"`+st.in.native()+`","S":"`+side+`","v":"`...)
		d = appendFixed(d, t.Size, st.in.sizeDecimals)
		d = appendFixed(append(d, `","p":"`...), t.Price, st.in.priceDecimals)
		d = append(d, `","L":"PlusTick","i":"`+id+`","BT":false,"RPI":false`...)
		d = append(integer(d, "seq", st.in.seq), '}')
	}
	return [][]byte{append(d, "]}"...)}
}

// ticker is a whole ticker or, of contracts, what changes with each trade.
func (b *bybit) ticker(st *stream, whole bool, now int64) []byte {
	const eightHours = 8 * 3600 * 1000
	in, s := st.in, &st.in.stats
	price := func(d []byte, name string, v int64) []byte {
		return append(appendFixed(append(d, `,"`+name+`":"`...), v, in.priceDecimals), '"')
	}
	kind := "delta"
	if whole {
		kind = "snapshot"
	}
	d := append(b.head("tickers."+in.native(), kind, now), `{"symbol":"`+in.native()+`"`...)
	d = price(d, "lastPrice", s.last)
	d = price(d, "highPrice24h", s.high)
	d = price(d, "lowPrice24h", s.low)
	d = price(d, "turnover24h", s.turnover)
	d = append(appendFixed(append(d, `,"volume24h":"`...), s.volume, in.sizeDecimals), '"')
	if whole {
		d = price(d, "prevPrice24h", s.open)
	}
	if b.category != "spot" {
		d = price(d, "markPrice", s.last)
		d = price(d, "indexPrice", s.last)
		d = append(appendFixed(append(d, `,"openInterest":"`...), s.volume/3, in.sizeDecimals), '"')
		if whole {
			next := strconv.FormatInt(millis(now)/eightHours*eightHours+eightHours, 10)
			d = append(d, `,"fundingIntervalHour":"8","nextFundingTime":"`+next+`","fundingRate":"0.0001"`...)
		}
	}
	return append(integer(append(d, '}'), "cs", in.seq), '}')
}

func (b *bybit) book(in *instrument) Book { return in.book(200) }

// answer serves the instrument list, in pages of two.
func (b *bybit) answer(r *http.Request, _ bool) (int, []byte) {
	q := r.URL.Query()
	if r.URL.Path != "/v5/market/instruments-info" {
		return http.StatusNotFound, []byte(`{"retCode":404,"retMsg":"not found"}`)
	}
	if q.Get("category") != b.category {
		return http.StatusOK, []byte(`{"retCode":10001,"retMsg":"params error: Category is invalid","result":{}}`)
	}
	const page = 2
	from, _ := strconv.Atoi(q.Get("cursor"))
	list := b.srv.listed()
	d := []byte(`{"retCode":0,"retMsg":"OK","result":{"category":"` + b.category + `","list":[`)
	to := min(len(list), from+page)
	for i := max(from, 0); i < to; i++ {
		in := list[i]
		if i > from {
			d = append(d, ',')
		}
		d = append(d, `{"symbol":"`+in.native()+`","status":"Trading","baseCoin":"`+in.base+`","quoteCoin":"`+in.quote+
			`","deliveryTime":"0","priceFilter":{"tickSize":"`...)
		d = appendFixed(d, in.tick, in.priceDecimals)
		d = appendFixed(append(d, `"},"lotSizeFilter":{"basePrecision":"`...), in.lot, in.sizeDecimals)
		d = appendFixed(append(d, `","qtyStep":"`...), in.lot, in.sizeDecimals)
		d = append(d, `"}}`...)
	}
	cursor := ""
	if to < len(list) {
		cursor = strconv.Itoa(to)
	}
	return http.StatusOK, append(d, `],"nextPageCursor":"`+cursor+`"}}`...)
}

func (b *bybit) busy() []byte { return []byte(`{"retCode":10006,"retMsg":"Too many visits!"}`) }
