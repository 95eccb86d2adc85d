package sim

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/gobwas/ws"
)

// hyperliquidDepth is how many levels a side of l2Book has.
const hyperliquidDepth = 20

// hyperliquid speaks Hyperliquid's WebSocket for perpetuals
// (https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/websocket/subscriptions).
type hyperliquid struct {
	argumentVenue
	byName map[string]*instrument // BTC
}

func newHyperliquid(s *Server) *hyperliquid {
	h := &hyperliquid{byName: map[string]*instrument{}}
	h.argumentVenue = argumentVenue{srv: s, style: h, table: map[argument]*stream{}}
	for _, in := range s.listed() {
		h.byName[in.base] = in
	}
	return h
}

func (h *hyperliquid) home() string           { return "/ws" }
func (h *hyperliquid) rate() int              { return 0 }
func (h *hyperliquid) silence() time.Duration { return time.Minute }
func (h *hyperliquid) notice() []byte         { return nil }
func (h *hyperliquid) opened(*session)        {}

func (h *hyperliquid) open(_ *session, r *http.Request) bool { return r.URL.Path == h.home() }

func (h *hyperliquid) supports(f Fault) error {
	switch f {
	case FaultBadChecksum:
		return errors.New("the venue sends no checksums")
	case FaultMissingSeq, FaultReorder, FaultRESTStale:
		return errors.New("every message is a whole book")
	}
	return nil
}

func (h *hyperliquid) text(s *session, msg []byte) {
	var q struct {
		Method       string
		Subscription struct{ Type, Coin string }
	}
	if json.Unmarshal(msg, &q) != nil {
		h.fail(s, "Error parsing JSON into valid websocket request: "+string(msg))
		return
	}
	a := argument{Channel: q.Subscription.Type, InstID: q.Subscription.Coin}
	switch {
	case q.Method == "ping":
		s.answer(ws.OpText, []byte(`{"channel":"pong"}`))
	case q.Method != "subscribe" && q.Method != "unsubscribe":
		h.fail(s, "Error parsing JSON into valid websocket request: "+string(msg))
	case h.find(a) == nil:
		h.fail(s, "Invalid subscription "+string(msg))
	default:
		s.reply([]byte(`{"channel":"subscriptionResponse","data":{"method":"` + q.Method + `","subscription":{"type":"` + a.Channel + `","coin":"` + a.InstID + `"}}}`))
		if q.Method == "subscribe" {
			h.subscribe(s, a)
		} else if st := h.table[a]; st != nil {
			s.unsubscribe(st)
		}
	}
}

func (h *hyperliquid) fail(s *session, why string) {
	text, _ := json.Marshal(why) // strings always marshal
	s.reply([]byte(`{"channel":"error","data":` + string(text) + `}`))
}

func (h *hyperliquid) find(a argument) *instrument {
	switch a.Channel {
	case "trades", "l2Book", "bbo", "activeAssetCtx":
		return h.byName[a.InstID]
	}
	return nil
}

func (h *hyperliquid) depth(channel string) int {
	switch channel {
	case "l2Book":
		return hyperliquidDepth
	case "bbo":
		return 1
	}
	return 0
}

func (h *hyperliquid) incremental(string) bool { return false }

func (h *hyperliquid) pace(channel string) time.Duration {
	switch channel {
	case "l2Book":
		return h.srv.o.DepthEvery
	case "activeAssetCtx":
		return h.srv.o.TickerEvery
	}
	return 0
}

func (h *hyperliquid) begin(s *session, st *stream) {
	now := h.srv.m.cfg.Clock.Now().UnixNano()
	if st.channel == "trades" { // the recent past
		push(s, st, kindOther, h.trades(st, st.in.history, now)[0])
		return
	}
	_, p := h.payload(st, now)
	push(s, st, kindOther, p)
}

// payload is the whole of what the stream shows.
func (h *hyperliquid) payload(st *stream, now int64) (frameKind, []byte) {
	at := strconv.FormatInt(millis(now), 10)
	d := []byte(`{"channel":"` + st.channel + `","data":{"coin":"` + st.in.base + `"`)
	switch st.channel {
	case "l2Book":
		st.show(hyperliquidDepth)
		d = append(d, `,"time":`+at+`,"levels":[[`...)
		d = append(h.levels(d, st.in, st.shown.bids), `],[`...)
		return kindOther, append(h.levels(d, st.in, st.shown.asks), `]]}}`...)
	case "bbo":
		d = append(d, `,"time":`+at+`,"bbo":[`...)
		d = append(h.levels(d, st.in, st.in.bids.top(1)), ',')
		return kindOther, append(h.levels(d, st.in, st.in.asks.top(1)), `]}}`...)
	}
	s := &st.in.stats
	d = append(d, `,"ctx":{"funding":"0.0000125"`...)
	add := func(name string, v int64, decimals int) {
		d = append(appendFixed(append(d, `,"`+name+`":"`...), v, decimals), '"')
	}
	add("openInterest", s.volume/7, st.in.sizeDecimals)
	add("prevDayPx", s.open, st.in.priceDecimals)
	add("dayNtlVlm", s.turnover, st.in.priceDecimals)
	add("oraclePx", s.last, st.in.priceDecimals)
	add("markPx", s.last, st.in.priceDecimals)
	add("midPx", s.last, st.in.priceDecimals)
	add("dayBaseVlm", s.volume, st.in.sizeDecimals)
	return kindOther, append(d, `}}}`...)
}

func (h *hyperliquid) levels(d []byte, in *instrument, levels []Level) []byte {
	for i, lv := range levels {
		if i > 0 {
			d = append(d, ',')
		}
		d = appendFixed(append(d, `{"px":"`...), lv.Price, in.priceDecimals)
		d = appendFixed(append(d, `","sz":"`...), lv.Size, in.sizeDecimals)
		d = append(strconv.AppendUint(append(d, `","n":`...), uint64(lv.Count), 10), '}')
	}
	return d
}

func (h *hyperliquid) trades(st *stream, trades []Trade, _ int64) [][]byte {
	d := []byte(`{"channel":"trades","data":[`)
	for i, t := range trades {
		if i > 0 {
			d = append(d, ',')
		}
		side := "A"
		if t.Buy {
			side = "B"
		}
		d = append(d, `{"coin":"`+st.in.base+`","side":"`+side+`","px":"`...)
		d = appendFixed(d, t.Price, st.in.priceDecimals)
		d = append(appendFixed(append(d, `","sz":"`...), t.Size, st.in.sizeDecimals), '"')
		d = append(integer(d, "time", millis(t.Time)), `,"hash":"0xde477894bfb2b4eac0a8041c9228ca013100955485522c8e6e787dfa0077475b"`...)
		d = append(integer(d, "tid", t.ID), '}')
	}
	return [][]byte{append(d, "]}"...)}
}

func (h *hyperliquid) book(in *instrument) Book { return in.book(hyperliquidDepth) }

// answer serves POST /info, meta and spotMeta.
func (h *hyperliquid) answer(r *http.Request, _ bool) (int, []byte) {
	var q struct{ Type string }
	if r.Body != nil {
		body, _ := io.ReadAll(io.LimitReader(r.Body, maxRequest))
		_ = json.Unmarshal(body, &q) // what is no request gets no answer
	}
	switch {
	case r.URL.Path == "/info" && q.Type == "meta":
		d := []byte(`{"universe":[`)
		for i, in := range h.srv.listed() {
			if i > 0 {
				d = append(d, ',')
			}
			d = append(integer(append(d, `{"name":"`+in.base+`"`...), "szDecimals", int64(in.sizeDecimals)), '}')
		}
		return http.StatusOK, append(d, `]}`...)
	case r.URL.Path == "/info" && q.Type == "spotMeta":
		return http.StatusOK, []byte(`{"tokens":[],"universe":[]}`)
	}
	return http.StatusUnprocessableEntity, []byte(`null`)
}

func (h *hyperliquid) busy() []byte { return []byte(`null`) }
