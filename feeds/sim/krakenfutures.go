package sim

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/gobwas/ws"
)

// krakenFutures speaks Kraken Futures' WebSocket v1 for linear perpetuals
// (https://docs.kraken.com/api/docs/futures-api/websocket/book).
type krakenFutures struct {
	argumentVenue
	byName map[string]*instrument // PF_XBTUSD
}

func newKrakenFutures(s *Server) *krakenFutures {
	k := &krakenFutures{byName: map[string]*instrument{}}
	k.argumentVenue = argumentVenue{srv: s, style: k, table: map[argument]*stream{}}
	for _, in := range s.listed() {
		k.byName[krakenFuturesName(in)] = in
	}
	return k
}

func krakenFuturesName(in *instrument) string {
	if in.base == "BTC" {
		return "PF_XBT" + in.quote
	}
	return "PF_" + in.base + in.quote
}

// isUSDPerp holds for BASE-USD-PERP.
func isUSDPerp(symbol string) bool { return len(symbol) > 9 && symbol[len(symbol)-9:] == "-USD-PERP" }

func (k *krakenFutures) home() string           { return "/ws/v1" }
func (k *krakenFutures) rate() int              { return 100 }
func (k *krakenFutures) silence() time.Duration { return time.Minute }
func (k *krakenFutures) notice() []byte         { return nil }

func (k *krakenFutures) open(_ *session, r *http.Request) bool { return r.URL.Path == k.home() }

func (k *krakenFutures) opened(s *session) { s.reply([]byte(`{"event":"info","version":1}`)) }

func (k *krakenFutures) supports(f Fault) error {
	switch f {
	case FaultBadChecksum:
		return errors.New("the venue sends no checksums")
	case FaultRESTStale:
		return errors.New("books begin in band")
	}
	return nil
}

func (k *krakenFutures) text(s *session, msg []byte) {
	var q struct {
		Event    string   `json:"event"`
		Feed     string   `json:"feed"`
		Products []string `json:"product_ids"`
	}
	if json.Unmarshal(msg, &q) != nil {
		s.reply([]byte(`{"event":"error","message":"Json Error"}`))
		return
	}
	if q.Event != "subscribe" && q.Event != "unsubscribe" {
		s.reply([]byte(`{"event":"error","message":"Invalid event"}`))
		return
	}
	if q.Feed == "heartbeat" {
		s.reply([]byte(`{"event":"` + q.Event + `d","feed":"heartbeat"}`))
		return
	}
	for _, name := range q.Products {
		a := argument{Channel: q.Feed, InstID: name}
		if k.find(a) == nil {
			s.reply([]byte(`{"event":"error","message":"Invalid product id or feed"}`))
			continue
		}
		s.reply([]byte(`{"event":"` + q.Event + `d","feed":"` + q.Feed + `","product_ids":["` + name + `"]}`))
		if q.Event == "subscribe" {
			k.subscribe(s, a)
		} else if st := k.table[a]; st != nil {
			s.unsubscribe(st)
		}
	}
}

func (k *krakenFutures) find(a argument) *instrument {
	switch a.Channel {
	case "trade", "book", "ticker":
		return k.byName[a.InstID]
	}
	return nil
}

// depth is 0: books are sent change by change, not as differences of windows.
func (k *krakenFutures) depth(string) int        { return 0 }
func (k *krakenFutures) incremental(string) bool { return true }

func (k *krakenFutures) pace(channel string) time.Duration {
	if channel == "ticker" {
		return k.srv.o.TickerEvery
	}
	return 0
}

func (k *krakenFutures) begin(s *session, st *stream) {
	now := k.srv.m.cfg.Clock.Now().UnixNano()
	switch st.channel {
	case "trade":
		d := []byte(`{"feed":"trade_snapshot","product_id":"` + krakenFuturesName(st.in) + `","trades":[`)
		for i := range st.in.history { // newest first
			if i > 0 {
				d = append(d, ',')
			}
			d = k.trade(d, st.in, st.in.history[len(st.in.history)-1-i])
		}
		push(s, st, kindOther, append(d, "]}"...))
	case "book":
		push(s, st, kindOther, k.snapshot(st.in, now))
	default:
		push(s, st, kindOther, k.ticker(st.in, now))
	}
}

// event sends each change of a book at once, with its own number.
func (k *krakenFutures) event(ev *Event) {
	for _, st := range k.order {
		if st.in != ev.in || st.channel != "book" || len(st.members) == 0 {
			continue
		}
		for i, c := range ev.Changes {
			d := []byte(`{"feed":"book","product_id":"` + krakenFuturesName(st.in) + `","side":"` + side(c.Bid) + `"`)
			d = integer(d, "seq", ev.Seq-int64(len(ev.Changes)-1-i))
			d = number(d, "price", c.Level.Price, st.in.priceDecimals)
			d = number(d, "qty", c.Level.Size, st.in.sizeDecimals)
			st.deliver(kindBook, newFrame(ws.OpText, append(integer(d, "timestamp", millis(ev.Time)), '}')))
		}
	}
	k.argumentVenue.event(ev)
}

func (k *krakenFutures) payload(st *stream, now int64) (frameKind, []byte) {
	if st.channel != "ticker" {
		return kindOther, nil
	}
	return kindOther, k.ticker(st.in, now)
}

func (k *krakenFutures) trades(st *stream, trades []Trade, _ int64) [][]byte {
	var frames [][]byte
	for _, t := range trades {
		frames = append(frames, k.trade(nil, st.in, t))
	}
	return frames
}

func (k *krakenFutures) trade(d []byte, in *instrument, t Trade) []byte {
	d = append(d, `{"feed":"trade","product_id":"`+krakenFuturesName(in)+`","uid":"45ee9737-1877-4682-bc68-`...)
	d = append(appendFixed(d, t.ID%1e12, 0), `","side":"`+side(t.Buy)+`","type":"fill"`...)
	d = integer(d, "seq", t.ID)
	d = integer(d, "time", millis(t.Time))
	d = number(d, "qty", t.Size, in.sizeDecimals)
	return append(number(d, "price", t.Price, in.priceDecimals), '}')
}

func (k *krakenFutures) snapshot(in *instrument, now int64) []byte {
	d := []byte(`{"feed":"book_snapshot","product_id":"` + krakenFuturesName(in) + `"`)
	d = integer(d, "timestamp", millis(now))
	d = append(integer(d, "seq", in.seq), `,"tickSize":null`...)
	for _, side := range []*ladder{&in.bids, &in.asks} {
		if d = append(d, `,"asks":[`...); side.bid {
			d = append(d[:len(d)-len(`,"asks":[`)], `,"bids":[`...)
		}
		for i, lv := range side.levels {
			if i > 0 {
				d = append(d, ',')
			}
			d = appendFixed(append(d, `{"price":`...), lv.Price, in.priceDecimals)
			d = append(number(d, "qty", lv.Size, in.sizeDecimals), '}')
		}
		d = append(d, ']')
	}
	return append(d, '}')
}

// ticker has a funding rate of 1/100,000 that is due at the next full hour.
func (k *krakenFutures) ticker(in *instrument, now int64) []byte {
	s, bid, ask := &in.stats, in.bids.levels[0], in.asks.levels[0]
	hour := int64(time.Hour)
	d := []byte(`{"time":` + strconv.FormatInt(millis(now), 10) + `,"product_id":"` + krakenFuturesName(in) +
		`","funding_rate":0.61,"funding_rate_prediction":0.42,"relative_funding_rate":0.00001,"relative_funding_rate_prediction":0.000012`)
	d = append(integer(d, "next_funding_rate_time", millis(now/hour*hour+hour)), `,"feed":"ticker"`...)
	d = number(d, "bid", bid.Price, in.priceDecimals)
	d = number(d, "ask", ask.Price, in.priceDecimals)
	d = number(d, "bid_size", bid.Size, in.sizeDecimals)
	d = number(d, "ask_size", ask.Size, in.sizeDecimals)
	d = number(d, "volume", s.volume, in.sizeDecimals)
	d = append(d, `,"dtm":0,"leverage":"50x"`...)
	d = number(d, "index", s.last, in.priceDecimals)
	d = append(d, `,"premium":0.0`...)
	d = number(d, "last", s.last, in.priceDecimals)
	d = append(d, `,"change":0.1,"suspended":false,"tag":"perpetual","pair":"`+in.base+":"+in.quote+`"`...)
	d = number(d, "openInterest", s.volume/7, in.sizeDecimals)
	d = number(d, "markPrice", s.last, in.priceDecimals)
	d = append(d, `,"maturityTime":0,"post_only":false`...)
	d = number(d, "volumeQuote", s.turnover, in.priceDecimals)
	d = number(d, "open", s.open, in.priceDecimals)
	d = number(d, "high", s.high, in.priceDecimals)
	return append(number(d, "low", s.low, in.priceDecimals), '}')
}

func (k *krakenFutures) book(in *instrument) Book { return in.book(math.MaxInt) }

// answer serves /derivatives/api/v3/instruments.
func (k *krakenFutures) answer(r *http.Request, _ bool) (int, []byte) {
	if r.URL.Path != "/derivatives/api/v3/instruments" {
		return http.StatusNotFound, []byte(`{"result":"error","error":"notFound"}`)
	}
	d := []byte(`{"result":"success","instruments":[`)
	for i, in := range k.srv.listed() {
		if i > 0 {
			d = append(d, ',')
		}
		d = append(d, `{"symbol":"`+krakenFuturesName(in)+`","type":"flexible_futures"`...)
		d = number(d, "tickSize", in.tick, in.priceDecimals)
		d = append(d, `,"contractSize":1,"tradeable":true`...)
		d = append(integer(d, "contractValueTradePrecision", int64(in.sizeDecimals)), '}')
	}
	return http.StatusOK, append(d, `],"serverTime":"`+iso(k.srv.m.cfg.Clock.Now().UnixNano())+`"}`...)
}

func (k *krakenFutures) busy() []byte { return []byte(`{"result":"error","error":"apiLimitExceeded"}`) }
