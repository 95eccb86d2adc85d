package sim

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// upbit speaks Upbit's public data in the format SIMPLE
// (https://global-docs.upbit.com/reference/websocket-guide).
type upbit struct {
	srv    *Server
	byName map[string]*instrument // KRW-BTC
	table  map[argument]*stream
	order  []*stream
}

func newUpbit(s *Server) *upbit {
	v := &upbit{srv: s, byName: map[string]*instrument{}, table: map[argument]*stream{}}
	for _, in := range s.listed() {
		v.byName[upbitName(in)] = in
	}
	return v
}

func upbitName(in *instrument) string { return in.quote + "-" + in.base }

func (v *upbit) home() string           { return "/websocket/v1" }
func (v *upbit) rate() int              { return 5 }
func (v *upbit) silence() time.Duration { return 120 * time.Second }
func (v *upbit) notice() []byte         { return nil }
func (v *upbit) opened(*session)        {}

func (v *upbit) open(_ *session, r *http.Request) bool { return r.URL.Path == v.home() }

func (v *upbit) supports(f Fault) error {
	switch f {
	case FaultRESTStale:
		return errors.New("books come in band")
	case FaultBadChecksum, FaultMissingSeq, FaultReorder:
		return errors.New("books have neither numbers nor checksums")
	}
	return nil
}

func (v *upbit) text(s *session, msg []byte) {
	if string(msg) == "PING" {
		s.answer(ws.OpText, []byte(`{"status":"UP"}`))
		return
	}
	var q []struct {
		Ticket, Type, Format string
		Codes                []string
		Realtime             bool `json:"isOnlyRealtime"`
	}
	if json.Unmarshal(msg, &q) != nil || len(q) < 2 {
		v.fail(s, "WRONG_FORMAT")
		return
	}
	if q[0].Ticket == "" {
		v.fail(s, "NO_TICKET")
		return
	}
	for _, st := range slices.Clone(s.streams) { // a request replaces the last
		s.unsubscribe(st)
	}
	for _, part := range q[1:] {
		if part.Type == "" {
			continue
		}
		if len(part.Codes) == 0 {
			v.fail(s, "NO_CODES")
			return
		}
		for _, code := range part.Codes {
			v.subscribe(s, part.Type, code, !part.Realtime)
		}
	}
}

func (v *upbit) fail(s *session, name string) {
	s.reply([]byte(`{"error":{"name":"` + name + `","message":"` + strings.ToLower(name) + `"}}`))
}

// subscribe joins a stream; codes that are not known are passed over.
func (v *upbit) subscribe(s *session, kind, code string, first bool) {
	name, unit, _ := strings.Cut(code, ".")
	in := v.byName[name]
	if in == nil || !slices.Contains([]string{"trade", "orderbook", "ticker"}, kind) {
		return
	}
	a := argument{Channel: kind, InstID: name, InstType: unit}
	st := v.table[a]
	if st == nil {
		st = &stream{name: kind + " " + code, channel: kind, in: in}
		if kind == "orderbook" {
			st.every = int64(v.srv.o.DepthEvery)
		}
		st.arg = []byte(unit)
		v.table[a] = st
		v.order = append(v.order, st)
	}
	st.members = append(st.members, s)
	s.streams = append(s.streams, st)
	if first {
		s.data(st.name, kindOther, newFrame(ws.OpBinary, v.payload(st, "SNAPSHOT")))
	}
}

func (v *upbit) event(ev *Event) {
	top := topChanged(ev)
	for _, st := range v.order {
		if st.in != ev.in || len(st.members) == 0 {
			continue
		}
		switch st.channel {
		case "orderbook":
			st.dirty = true
		case "trade":
			for _, t := range ev.Trades {
				st.deliver(kindOther, newFrame(ws.OpBinary, v.trade(st.in, t, "REALTIME")))
			}
		default:
			st.dirty = st.dirty || top || len(ev.Trades) > 0
		}
	}
}

func (v *upbit) due(now int64, force bool) {
	for _, st := range v.order {
		if st.ready(now, force && st.channel == "orderbook") {
			st.deliver(kindBook, newFrame(ws.OpBinary, v.payload(st, "REALTIME")))
		}
	}
}

func (v *upbit) payload(st *stream, kind string) []byte {
	in, s, now := st.in, &st.in.stats, millis(v.srv.m.cfg.Clock.Now().UnixNano())
	if st.channel == "trade" {
		return v.trade(in, in.history[len(in.history)-1], kind)
	}
	d := []byte(`{"ty":"` + st.channel + `","cd":"` + upbitName(in) + `"`)
	if st.channel == "ticker" {
		d = float(d, "op", s.open, in.priceDecimals)
		d = float(d, "hp", s.high, in.priceDecimals)
		d = float(d, "lp", s.low, in.priceDecimals)
		d = float(d, "tp", s.last, in.priceDecimals)
		d = integer(append(d, `,"ms":"ACTIVE","its":false,"dd":null,"mw":"NONE"`...), "tms", now)
		d = float(d, "atp24h", s.turnover, in.priceDecimals)
		d = float(d, "atv24h", s.volume, in.sizeDecimals)
		return append(d, `,"st":"`+kind+`"}`...)
	}
	n, err := strconv.Atoi(string(st.arg))
	if err != nil {
		n = upbitDepth
	}
	d = append(integer(d, "tms", now), `,"tas":1.0,"tbs":1.0,"obu":[`...)
	bids, asks := in.bids.top(n), in.asks.top(n)
	for i := range max(len(bids), len(asks)) {
		if i > 0 {
			d = append(d, ',')
		}
		var bid, ask Level
		if i < len(bids) {
			bid = bids[i]
		}
		if i < len(asks) {
			ask = asks[i]
		}
		d = appendFloat(append(d, `{"ap":`...), ask.Price, in.priceDecimals)
		d = float(d, "bp", bid.Price, in.priceDecimals)
		d = float(d, "as", ask.Size, in.sizeDecimals)
		d = append(float(d, "bs", bid.Size, in.sizeDecimals), '}')
	}
	return append(d, `],"st":"`+kind+`","lv":0}`...)
}

func (v *upbit) trade(in *instrument, t Trade, kind string) []byte {
	d := integer([]byte(`{"ty":"trade","cd":"`+upbitName(in)+`"`), "tms", millis(t.Time))
	d = integer(append(d, `,"td":"2025-11-22","ttm":"20:08:20"`...), "ttms", millis(t.Time))
	d = float(d, "tp", t.Price, in.priceDecimals)
	d = float(d, "tv", t.Size, in.sizeDecimals)
	side := "ASK"
	if t.Buy {
		side = "BID"
	}
	d = integer(append(d, `,"ab":"`+side+`","pcp":1.0,"c":"RISE","cp":1.0`...), "sid", t.ID)
	return append(d, `,"st":"`+kind+`"}`...)
}

// upbitDepth is how many levels of each side a book shows.
const upbitDepth = 30

func (v *upbit) book(in *instrument) Book { return in.book(upbitDepth) }

// answer serves the list of markets.
func (v *upbit) answer(r *http.Request, _ bool) (int, []byte) {
	if r.URL.Path != "/v1/market/all" {
		return http.StatusNotFound, []byte(`{"error":{"name":404,"message":"no Route matched"}}`)
	}
	d := []byte("[")
	for i, in := range v.srv.listed() {
		if i > 0 {
			d = append(d, ',')
		}
		d = append(d, `{"market":"`+upbitName(in)+`","english_name":"`+in.base+`"}`...)
	}
	return http.StatusOK, append(d, ']')
}

func (v *upbit) busy() []byte {
	return []byte(`{"error":{"name":"too_many_requests","message":"too many requests"}}`)
}
