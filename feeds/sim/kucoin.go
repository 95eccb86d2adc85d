package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
)

// kucoinToken is what the simulated exchange wants to be connected with.
const kucoinToken = "2neAiuYvAU61ZDXANAGAsiL4"

// kucoin speaks KuCoin's public channels of spot or of futures
// (https://www.kucoin.com/docs-new/websocket-api/base-info/introduction).
type kucoin struct {
	argumentVenue
	futures bool
	byName  map[string]*instrument
	old     map[*instrument]Book // at the start, for stale snapshots
	ids     map[*session]string
	whole   atomic.Bool // somebody asked for a whole book of spot: book is that from then on
}

func newKucoin(s *Server, futures bool) *kucoin {
	k := &kucoin{futures: futures, byName: map[string]*instrument{}, old: map[*instrument]Book{}, ids: map[*session]string{}}
	k.argumentVenue = argumentVenue{srv: s, style: k, table: map[argument]*stream{}}
	for _, in := range s.listed() {
		k.byName[k.name(in)] = in
		k.old[in] = k.book(in)
	}
	return k
}

func (k *kucoin) name(in *instrument) string {
	if k.futures {
		return strings.Replace(in.base, "BTC", "XBT", 1) + in.quote + "M"
	}
	return in.symbol
}

func (k *kucoin) home() string           { return "/?token=" + kucoinToken }
func (k *kucoin) rate() int              { return 100 } // in 10 s, at once if need be
func (k *kucoin) silence() time.Duration { return time.Minute }
func (k *kucoin) notice() []byte         { return nil }

// open wants the token that REST gave.
func (k *kucoin) open(s *session, r *http.Request) bool {
	q := r.URL.Query()
	if r.URL.Path != "/" || q.Get("token") != kucoinToken {
		return false
	}
	k.ids[s] = q.Get("connectId")
	return true
}

func (k *kucoin) opened(s *session) {
	s.reply([]byte(`{"id":` + quotedText(k.ids[s]) + `,"type":"welcome"}`))
	delete(k.ids, s)
}

// quotedText is s as JSON.
func quotedText(s string) string {
	b, _ := json.Marshal(s) // strings always marshal
	return string(b)
}

func (k *kucoin) supports(f Fault) error {
	switch {
	case f == FaultBadChecksum:
		return errors.New("the venue sends no checksums")
	case !k.futures && !k.whole.Load() && (f == FaultMissingSeq || f == FaultReorder || f == FaultRESTStale):
		return errors.New("books come whole and without numbers")
	}
	return nil
}

func (k *kucoin) text(s *session, msg []byte) {
	var q struct {
		ID, Type, Topic string
	}
	if json.Unmarshal(msg, &q) != nil {
		k.fail(s, "", "400", "invalid json format")
		return
	}
	switch q.Type {
	case "ping":
		s.reply([]byte(`{"id":` + quotedText(q.ID) + `,"type":"pong"}`))
		return
	case "subscribe", "unsubscribe":
	default:
		k.fail(s, q.ID, "404", "type "+q.Type+" is not supported")
		return
	}
	topic, names, _ := strings.Cut(q.Topic, ":")
	var as []argument
	for name := range strings.SplitSeq(names, ",") {
		a := argument{Channel: topic, InstID: name}
		if topic == "/market/match" || topic == "/contractMarket/execution" {
			a.Channel = "trades"
		}
		if k.find(a) == nil {
			k.fail(s, q.ID, "404", "topic "+q.Topic+" is not found")
			return
		}
		as = append(as, a)
	}
	s.reply([]byte(`{"id":` + quotedText(q.ID) + `,"type":"ack"}`))
	for _, a := range as {
		if q.Type == "subscribe" {
			k.subscribe(s, a)
		} else if st := k.table[a]; st != nil {
			s.unsubscribe(st)
		}
	}
}

func (k *kucoin) fail(s *session, id, code, why string) {
	s.reply([]byte(`{"id":` + quotedText(id) + `,"type":"error","code":` + code + `,"data":` + quotedText(why) + `}`))
}

func (k *kucoin) find(a argument) *instrument {
	switch a.Channel {
	case "trades":
	case "/market/ticker", "/market/snapshot", "/spotMarket/level2Depth50", "/market/level2":
		if k.futures {
			return nil
		}
	case "/contractMarket/tickerV2", "/contractMarket/snapshot", "/contract/instrument", "/contractMarket/level2":
		if !k.futures {
			return nil
		}
	default:
		return nil
	}
	return k.byName[a.InstID]
}

func (k *kucoin) depth(channel string) int {
	switch channel {
	case "/spotMarket/level2Depth50":
		return 50
	case "/contractMarket/level2", "/market/level2":
		return 10_000 // every level
	case "/market/ticker", "/contractMarket/tickerV2":
		return 1
	}
	return 0
}

func (k *kucoin) incremental(channel string) bool {
	return channel == "/contractMarket/level2" || channel == "/market/level2"
}

func (k *kucoin) pace(channel string) time.Duration {
	switch k.depth(channel) {
	case 50:
		return k.srv.o.DepthEvery
	case 0:
		return k.srv.o.TickerEvery
	}
	return 0
}

func (k *kucoin) begin(s *session, st *stream) {
	if st.channel == "trades" || k.incremental(st.channel) {
		return
	}
	if _, p := k.payload(st, k.srv.m.cfg.Clock.Now().UnixNano()); p != nil {
		push(s, st, kindOther, p)
	}
}

// event sends every change of a level by itself, as level2 of the futures does; of
// spot all of one event together.
func (k *kucoin) event(ev *Event) {
	first := ev.Seq - int64(len(ev.Changes)) + 1
	for _, st := range k.order {
		if st.in != ev.in || len(st.members) == 0 || !k.incremental(st.channel) {
			continue
		}
		if !k.futures {
			st.deliver(kindBook, newFrame(ws.OpText, k.update(st, ev, first)))
			st.last = ev.Seq
			continue
		}
		for i, c := range ev.Changes {
			side := map[bool]string{true: "buy", false: "sell"}[c.Bid]
			seq := first + int64(i)
			d := integer(k.head(st, "level2", seq), "sequence", seq)
			d = appendShort(append(d, `,"change":"`...), c.Level.Price, ev.in.priceDecimals)
			d = append(d, `,`+side+`,`+strconv.FormatInt(c.Level.Size, 10)+`"`...)
			st.deliver(kindBook, newFrame(ws.OpText, append(integer(d, "timestamp", millis(ev.Time)), "}}"...)))
		}
		st.last = ev.Seq
	}
	k.argumentVenue.event(ev)
}

// update is a frame of level2 of spot: levels with their numbers.
func (k *kucoin) update(st *stream, ev *Event, first int64) []byte {
	sides := map[bool]string{}
	for i, c := range ev.Changes {
		if sides[c.Bid] != "" {
			sides[c.Bid] += ","
		}
		sides[c.Bid] += fmt.Sprintf(`["%s","%s","%d"]`, price(ev.in, c.Level.Price), k.quantity(ev.in, c.Level.Size), first+int64(i))
	}
	return fmt.Appendf(k.head(st, "trade.l2update", 0), `,"changes":{"asks":[%s],"bids":[%s]},"sequenceEnd":%d,"sequenceStart":%d,"time":%d}}`,
		sides[false], sides[true], ev.Seq, first, millis(ev.Time))
}

// head begins a push up to the opening of its data, which has no member yet but
// the instrument.
func (k *kucoin) head(st *stream, subject string, sn int64) []byte {
	channel := st.channel
	if channel == "trades" {
		channel = "/market/match"
		if k.futures {
			channel = "/contractMarket/execution"
		}
	}
	name := k.name(st.in)
	d := []byte(`{"topic":"` + channel + `:` + name + `","type":"message","subject":"` + subject + `"`)
	if sn != 0 {
		d = integer(d, "sn", sn)
	}
	return append(d, `,"data":{"symbol":"`+name+`"`...)
}

// quantity is a size as text: futures trade whole contracts, counted here in the
// smallest unit.
func (k *kucoin) quantity(in *instrument, v int64) string {
	if k.futures {
		return strconv.FormatInt(v, 10)
	}
	return string(appendShort(nil, v, in.sizeDecimals))
}

func price(in *instrument, v int64) string { return string(appendShort(nil, v, in.priceDecimals)) }

func (k *kucoin) payload(st *stream, now int64) (frameKind, []byte) {
	in, s := st.in, &st.in.stats
	switch st.channel {
	case "/spotMarket/level2Depth50":
		st.show(50)
		d := append(k.head(st, "level2", 0), `,"asks":`...)
		d = append(k.levels(d, in, st.shown.asks), `,"bids":`...)
		return kindBook, append(integer(k.levels(d, in, st.shown.bids), "timestamp", millis(now)), "}}"...)
	case "/market/ticker":
		st.show(1)
		bid, ask := st.shown.bids[0], st.shown.asks[0]
		return kindOther, fmt.Appendf(k.head(st, "trade.ticker", 0),
			`,"bestAsk":"%s","bestAskSize":"%s","bestBid":"%s","bestBidSize":"%s","price":"%s","sequence":"%d","size":"%s","time":%d}}`,
			price(in, ask.Price), k.quantity(in, ask.Size), price(in, bid.Price), k.quantity(in, bid.Size),
			price(in, s.last), st.last, k.quantity(in, s.lastSize), millis(now))
	case "/contractMarket/tickerV2":
		st.show(1)
		bid, ask := st.shown.bids[0], st.shown.asks[0]
		return kindOther, fmt.Appendf(k.head(st, "tickerV2", st.last),
			`,"sequence":%d,"bestBidSize":%d,"bestBidPrice":"%s","bestAskPrice":"%s","bestAskSize":%d,"ts":%d}}`,
			st.last, bid.Size, price(in, bid.Price), price(in, ask.Price), ask.Size, now)
	case "/market/snapshot":
		return kindOther, fmt.Appendf(k.head(st, "trade.snapshot", 0),
			`,"sequence":"%d","data":{"datetime":%d,"high":%s,"low":%s,"open":%s,"lastTradedPrice":%s,"vol":%s,"volValue":%s,"trading":true}}}`,
			in.seq, millis(now), price(in, s.high), price(in, s.low), price(in, s.open), price(in, s.last), k.quantity(in, s.volume), price(in, s.turnover))
	case "/contractMarket/snapshot":
		return kindOther, fmt.Appendf(k.head(st, "snapshot.24h", 0),
			`,"highPrice":%s,"lastPrice":%s,"lowPrice":%s,"price24HoursBefore":%s,"turnover":%s,"volume":%d,"ts":%d}}`,
			price(in, s.high), price(in, s.last), price(in, s.low), price(in, s.open), price(in, s.turnover), s.volume, now)
	case "/contractMarket/level2", "/market/level2": // sent as it happened
		return kindBook, nil
	case "/contract/instrument":
		return kindOther, fmt.Appendf(k.head(st, "mark.index.price", 0),
			`,"markPrice":%s,"indexPrice":%s,"granularity":1000,"timestamp":%d}}`, price(in, s.last), price(in, s.last), millis(now))
	}
	return kindOther, nil
}

func (k *kucoin) levels(d []byte, in *instrument, side []Level) []byte {
	return appendLevels(d, side, func(d []byte, lv Level) []byte {
		if k.futures {
			return append(d, `"`+price(in, lv.Price)+`",`+k.quantity(in, lv.Size)...)
		}
		return append(d, `"`+price(in, lv.Price)+`","`+k.quantity(in, lv.Size)+`"`...)
	})
}

func (k *kucoin) trades(st *stream, trades []Trade, _ int64) [][]byte {
	var frames [][]byte
	for _, t := range trades {
		if k.futures {
			frames = append(frames, fmt.Appendf(k.head(st, "match", t.ID), `,"sequence":%d,"side":"%s","size":%d,"price":"%s","takerOrderId":"%d","makerOrderId":"1","tradeId":"%d","ts":%d}}`,
				t.ID, side(t.Buy), t.Size, price(st.in, t.Price), t.ID, t.ID, t.Time))
			continue
		}
		frames = append(frames, fmt.Appendf(k.head(st, "trade.l3match", 0), `,"sequence":"%d","side":"%s","size":"%s","price":"%s","takerOrderId":"%024x","time":"%d","type":"match","makerOrderId":"1","tradeId":"%d"}}`,
			t.ID, side(t.Buy), k.quantity(st.in, t.Size), price(st.in, t.Price), t.ID, t.Time, t.ID))
	}
	return frames
}

func (k *kucoin) book(in *instrument) Book {
	if !k.futures && !k.whole.Load() {
		return in.book(50)
	}
	b := in.book(max(len(in.bids.levels), len(in.asks.levels)))
	if k.futures {
		b.SizeExp = 0
	}
	return b
}

const kucoinBullet = "/api/v1/bullet-public"

// kucoinDoor is the answer that says where to connect.
func (s *Server) kucoinDoor() []byte {
	scheme := "ws://"
	if s.o.TLS != nil {
		scheme = "wss://"
	}
	return []byte(`{"code":"200000","data":{"token":"` + kucoinToken + `","instanceServers":[{"endpoint":"` + scheme + s.Addr() +
		`/","encrypt":true,"protocol":"websocket","pingInterval":18000,"pingTimeout":10000}]}}`)
}

// answer serves the token, instrument lists and order books.
func (k *kucoin) answer(r *http.Request, stale bool) (int, []byte) {
	switch r.URL.Path {
	case kucoinBullet:
		if r.Method != http.MethodPost {
			return http.StatusMethodNotAllowed, []byte(`{"code":"405000","msg":"Request method 'GET' not supported"}`)
		}
		return http.StatusOK, k.srv.kucoinDoor()
	case "/api/v2/symbols", "/api/v1/contracts/active":
		return http.StatusOK, k.list()
	case "/api/v1/level2/snapshot", "/api/v1/market/orderbook/level2_100", "/api/v3/market/orderbook/level2":
		full := r.URL.Path == "/api/v3/market/orderbook/level2"
		if full && !kucoinSigned(r) {
			return http.StatusUnauthorized, []byte(`{"code":"400005","msg":"Invalid KC-API-SIGN"}`)
		}
		in := k.byName[r.URL.Query().Get("symbol")]
		if in == nil {
			return http.StatusOK, []byte(`{"code":"400100","msg":"symbol not exists"}`)
		}
		b := in.book(100)
		if full {
			k.whole.Store(true)
		}
		if k.futures || full {
			b = k.book(in)
		}
		if stale {
			b = k.old[in]
		}
		d := fmt.Appendf(nil, `{"code":"200000","data":{"sequence":%d,"bids":`, b.Seq)
		d = append(k.levels(d, in, b.Bids), `,"asks":`...)
		return http.StatusOK, append(integer(k.levels(d, in, b.Asks), "ts", k.srv.m.cfg.Clock.Now().UnixNano()), "}}"...)
	}
	return http.StatusNotFound, []byte(`{"code":"404","msg":"Not Found"}`)
}

func (k *kucoin) list() []byte {
	d := []byte(`{"code":"200000","data":[`)
	for i, in := range k.srv.listed() {
		if i > 0 {
			d = append(d, ',')
		}
		tick := string(appendFixed(nil, in.tick, in.priceDecimals))
		if k.futures {
			d = fmt.Appendf(d, `{"symbol":"%s","baseCurrency":"%s","quoteCurrency":"%s","status":"Open","isInverse":false,"multiplier":%s,"tickSize":%s,"lotSize":1,"expireDate":null}`,
				k.name(in), strings.Replace(in.base, "BTC", "XBT", 1), in.quote, appendFixed(nil, 1, in.sizeDecimals), tick)
			continue
		}
		d = fmt.Appendf(d, `{"symbol":"%s","baseCurrency":"%s","quoteCurrency":"%s","baseIncrement":"%s","priceIncrement":"%s","enableTrading":true}`,
			k.name(in), in.base, in.quote, appendFixed(nil, in.lot, in.sizeDecimals), tick)
	}
	return append(d, "]}"...)
}

func (k *kucoin) busy() []byte { return []byte(`{"code":"429000","msg":"Too many requests"}`) }
