package sim

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// gateio speaks Gate's WebSocket API v4, of spot or of futures in USDT
// (https://www.gate.com/docs/developers/apiv4/ws/en/). Its contracts are ten of the
// market's smallest units and trade in parts, of which those see nothing who do not
// ask for decimals.
type gateio struct {
	argumentVenue
	market string // "spot." or "futures."
	byName map[string]*instrument
	old    map[*instrument]Book // at the start, for stale snapshots
}

func newGateio(s *Server, market string) *gateio {
	g := &gateio{market: market, byName: map[string]*instrument{}, old: map[*instrument]Book{}}
	g.argumentVenue = argumentVenue{srv: s, style: g, table: map[argument]*stream{}}
	for _, in := range s.listed() {
		g.byName[gateName(in)] = in
		g.old[in] = g.book(in)
	}
	return g
}

func gateName(in *instrument) string { return in.base + "_" + in.quote }

func (g *gateio) futures() bool { return g.market == "futures." }

func (g *gateio) home() string {
	if g.futures() {
		return "/v4/ws/usdt"
	}
	return "/ws/v4/"
}

func (g *gateio) rate() int              { return 0 }
func (g *gateio) silence() time.Duration { return 0 }
func (g *gateio) notice() []byte         { return nil }
func (g *gateio) opened(*session)        {}

// gateDecimals is the class of streams whose sizes have decimals.
const gateDecimals = "decimals"

func gateClass(r *http.Request) string {
	if r.Header.Get("X-Gate-Size-Decimal") == "1" {
		return gateDecimals
	}
	return ""
}

func (g *gateio) open(s *session, r *http.Request) bool {
	s.class = gateClass(r)
	return strings.TrimSuffix(r.URL.Path, "/") == strings.TrimSuffix(g.home(), "/")
}

func (g *gateio) supports(f Fault) error {
	if f == FaultBadChecksum {
		return errors.New("the venue sends no checksums")
	}
	return nil
}

func (g *gateio) text(s *session, msg []byte) {
	var q struct {
		Channel string   `json:"channel"`
		Event   string   `json:"event"`
		Payload []string `json:"payload"`
		ID      int64    `json:"id"`
	}
	if json.Unmarshal(msg, &q) != nil {
		g.reply(s, q.ID, "", "", `{"code":1,"message":"invalid argument struct"}`, "null")
		return
	}
	channel, ours := strings.CutPrefix(q.Channel, g.market)
	if ours && channel == "ping" {
		g.reply(s, q.ID, g.market+"pong", "", "null", "null")
		return
	}
	subscribe := q.Event == "subscribe"
	if !ours || !subscribe && q.Event != "unsubscribe" {
		g.reply(s, q.ID, q.Channel, q.Event, `{"code":2,"message":"unknown channel or event"}`, `{"status":"fail"}`)
		return
	}
	names := q.Payload
	if channel == "order_book_update" && len(names) > 1 {
		names = names[:1]
	}
	for _, name := range names {
		if g.find(argument{Channel: channel, InstID: name}) == nil {
			g.reply(s, q.ID, q.Channel, q.Event, `{"code":2,"message":"unknown currency pair or channel: `+strings.ReplaceAll(name, `"`, "")+`"}`, `{"status":"fail"}`)
			return
		}
	}
	g.reply(s, q.ID, q.Channel, q.Event, "null", `{"status":"success"}`)
	for _, name := range names {
		a := argument{InstType: s.class, Channel: channel, InstID: name}
		if subscribe {
			g.subscribe(s, a)
		} else if st := g.table[a]; st != nil {
			s.unsubscribe(st)
		}
	}
}

// head begins every frame.
func (g *gateio) head(channel, event string) []byte {
	now := g.srv.m.cfg.Clock.Now().UnixNano()
	d := strconv.AppendInt([]byte(`{"time":`), now/1e9, 10)
	d = integer(d, "time_ms", millis(now))
	text, _ := json.Marshal([]string{channel, event}) // strings always marshal
	var q []json.RawMessage
	_ = json.Unmarshal(text, &q)
	return append(d, `,"channel":`+string(q[0])+`,"event":`+string(q[1])...)
}

// reply answers a request; its number is told where there was one.
func (g *gateio) reply(s *session, id int64, channel, event, failure, result string) {
	d := g.head(channel, event)
	if id != 0 {
		d = integer(d, "id", id)
	}
	s.reply(append(d, `,"error":`+failure+`,"result":`+result+`}`...))
}

func (g *gateio) push(channel string, result func(d []byte) []byte) []byte {
	return append(result(append(g.head(g.market+channel, "update"), `,"result":`...)), '}')
}

func (g *gateio) find(a argument) *instrument {
	switch a.Channel {
	case "trades", "order_book_update", "book_ticker", "tickers":
		return g.byName[a.InstID]
	case "public_liquidates":
		if g.futures() {
			return g.byName[a.InstID]
		}
	}
	return nil
}

func (g *gateio) depth(channel string) int {
	switch channel {
	case "order_book_update":
		return 10_000 // every level
	case "book_ticker":
		return 1
	}
	return 0
}

func (g *gateio) incremental(channel string) bool { return channel == "order_book_update" }

func (g *gateio) pace(channel string) time.Duration {
	switch channel {
	case "order_book_update":
		return g.srv.o.DepthEvery
	case "tickers":
		return g.srv.o.TickerEvery
	}
	return 0
}

func (g *gateio) begin(s *session, st *stream) {
	switch st.channel {
	case "tickers":
		push(s, st, kindOther, g.ticker(st.in))
	case "book_ticker":
		push(s, st, kindOther, g.bookTicker(st))
	case "order_book_update":
		if st.touched[0] == nil {
			st.touched = [2]map[int64]struct{}{{}, {}}
		}
	}
}

func (g *gateio) payload(st *stream, now int64) (frameKind, []byte) {
	switch st.channel {
	case "tickers":
		return kindOther, g.ticker(st.in)
	case "book_ticker":
		st.show(1)
		return kindOther, g.bookTicker(st)
	case "order_book_update":
	default:
		return kindOther, nil
	}
	before := st.last
	bids, asks := st.changes()
	if len(bids)+len(asks) == 0 {
		return kindBook, nil
	}
	return kindBook, g.push("order_book_update", func(d []byte) []byte {
		d = strconv.AppendInt(append(d, `{"t":`...), millis(now), 10)
		d = append(d, `,"e":"depthUpdate","E":`+strconv.FormatInt(now/1e9, 10)+`,"s":"`+gateName(st.in)+`"`...)
		d = integer(integer(d, "U", before+1), "u", st.last)
		d = g.side(append(d, `,"b":`...), st.in, bids, g.class(st))
		return append(g.side(append(d, `,"a":`...), st.in, asks, g.class(st)), '}')
	})
}

// class is that of the sessions of a stream.
func (g *gateio) class(st *stream) string {
	var a argument
	_ = json.Unmarshal(st.arg, &a)
	return a.InstType
}

// gateContract are the decimals of a size in contracts.
const gateContract = 1

// quantity appends a size: futures send contracts, texts with decimals or numbers
// cut off at the point.
func (g *gateio) quantity(d []byte, in *instrument, v int64, class string) []byte {
	switch {
	case !g.futures():
	case class != gateDecimals:
		return strconv.AppendInt(d, v/10, 10)
	default:
		return append(appendShort(append(d, '"'), v, gateContract), '"')
	}
	return append(appendShort(append(d, '"'), v, in.sizeDecimals), '"')
}

func (g *gateio) side(d []byte, in *instrument, levels []Level, class string) []byte {
	if !g.futures() {
		return appendLevels(d, levels, func(d []byte, lv Level) []byte {
			d = append(appendShort(append(d, '"'), lv.Price, in.priceDecimals), `",`...)
			return g.quantity(d, in, lv.Size, "")
		})
	}
	d = append(d, '[')
	for i, lv := range levels {
		if i > 0 {
			d = append(d, ',')
		}
		d = append(appendShort(append(d, `{"p":"`...), lv.Price, in.priceDecimals), `","s":`...)
		d = append(g.quantity(d, in, lv.Size, class), '}')
	}
	return append(d, ']')
}

func (g *gateio) bookTicker(st *stream) []byte {
	in, bid, ask := st.in, st.shown.bids[0], st.shown.asks[0]
	return g.push("book_ticker", func(d []byte) []byte {
		d = strconv.AppendInt(append(d, `{"t":`...), millis(g.srv.m.cfg.Clock.Now().UnixNano()), 10)
		d = append(integer(d, "u", st.last), `,"s":"`+gateName(in)+`","b":"`...)
		d = append(appendShort(d, bid.Price, in.priceDecimals), `","B":`...)
		d = append(g.quantity(d, in, bid.Size, g.class(st)), `,"a":"`...)
		d = append(appendShort(d, ask.Price, in.priceDecimals), `","A":`...)
		return append(g.quantity(d, in, ask.Size, g.class(st)), '}')
	})
}

func (g *gateio) trades(st *stream, trades []Trade, _ int64) [][]byte {
	in := st.in
	var frames [][]byte
	for _, t := range trades {
		frames = append(frames, g.push("trades", func(d []byte) []byte {
			if g.futures() {
				size := t.Size
				if !t.Buy {
					size = -size
				}
				d = g.quantity(append(d, `[{"size":`...), in, size, g.class(st))
				d = integer(integer(d, "id", t.ID), "create_time", t.Time/1e9)
				d = append(integer(d, "create_time_ms", millis(t.Time)), `,"price":"`...)
				return append(appendShort(d, t.Price, in.priceDecimals), `","contract":"`+gateName(in)+`"}]`...)
			}
			d = strconv.AppendInt(append(d, `{"id":`...), t.ID, 10)
			d = append(integer(d, "create_time", t.Time/1e9), `,"create_time_ms":"`...)
			d = append(appendFixed(d, t.Time/100, 4), `","side":"`+side(t.Buy)+`","currency_pair":"`+gateName(in)+`","amount":`...)
			d = append(g.quantity(d, in, t.Size, ""), `,"price":"`...)
			return append(appendShort(d, t.Price, in.priceDecimals), `"}`...)
		}))
	}
	return frames
}

func (g *gateio) ticker(in *instrument) []byte {
	s := &in.stats
	price := func(d []byte, name string, v int64) []byte {
		return append(appendShort(append(d, `,"`+name+`":"`...), v, in.priceDecimals), '"')
	}
	return g.push("tickers", func(d []byte) []byte {
		if g.futures() {
			d = append(d, `[{"contract":"`+gateName(in)+`"`...)
			d = price(price(price(d, "last", s.last), "mark_price", s.last), "index_price", s.last)
			d = price(price(d, "low_24h", s.low), "high_24h", s.high)
			d = g.quantity(append(d, `,"total_size":`...), in, s.volume, gateDecimals)
			d = g.quantity(append(d, `,"volume_24h":`...), in, s.volume, gateDecimals)
			d = append(d, `,"volume_24h_quote":"`...)
			d = appendShort(d, s.turnover, in.priceDecimals)
			return append(d, `","funding_rate":"0.0001","funding_rate_indicative":"0.00012"}]`...)
		}
		d = append(d, `{"currency_pair":"`+gateName(in)+`"`...)
		d = price(price(price(d, "last", s.last), "high_24h", s.high), "low_24h", s.low)
		d = append(appendShort(append(d, `,"base_volume":"`...), s.volume, in.sizeDecimals), '"')
		return append(price(d, "quote_volume", s.turnover), '}')
	})
}

func (g *gateio) book(in *instrument) Book {
	b := in.book(max(len(in.bids.levels), len(in.asks.levels)))
	if g.futures() {
		b.SizeExp = -gateContract
	}
	return b
}

// answer serves instrument lists and order books.
func (g *gateio) answer(r *http.Request, stale bool) (int, []byte) {
	base, name := "/api/v4/spot/", r.URL.Query().Get("currency_pair")
	if g.futures() {
		base, name = "/api/v4/futures/usdt/", r.URL.Query().Get("contract")
	}
	switch strings.TrimPrefix(r.URL.Path, base) {
	case "currency_pairs", "contracts":
		return http.StatusOK, g.list()
	case "order_book":
		in := g.byName[name]
		if in == nil {
			return http.StatusBadRequest, []byte(`{"label":"INVALID_CURRENCY_PAIR","message":"unknown"}`)
		}
		b := g.book(in)
		if stale {
			b = g.old[in]
		}
		now := strconv.FormatInt(millis(g.srv.m.cfg.Clock.Now().UnixNano()), 10)
		d := append([]byte(`{"id":`), strconv.FormatInt(b.Seq, 10)+`,"current":`+now+`,"update":`+now+`,"asks":`...)
		d = append(g.side(d, in, b.Asks, gateClass(r)), `,"bids":`...)
		return http.StatusOK, append(g.side(d, in, b.Bids, gateClass(r)), '}')
	}
	return http.StatusNotFound, []byte(`{"label":"NOT_FOUND","message":"no such address"}`)
}

func (g *gateio) list() []byte {
	d := []byte("[")
	for i, in := range g.srv.listed() {
		if i > 0 {
			d = append(d, ',')
		}
		if g.futures() {
			d = appendFixed(append(d, `{"name":"`+gateName(in)+`","type":"direct","order_price_round":"`...), in.tick, in.priceDecimals)
			d = appendFixed(append(d, `","quanto_multiplier":"`...), 10, in.sizeDecimals)
			d = append(d, `","order_size_min":"0","enable_decimal":true,"in_delisting":false}`...)
			continue
		}
		d = append(d, `{"id":"`+gateName(in)+`","base":"`+in.base+`","quote":"`+in.quote+`"`...)
		d = integer(integer(d, "precision", int64(in.priceDecimals)), "amount_precision", int64(in.sizeDecimals))
		d = append(d, `,"trade_status":"tradable"}`...)
	}
	return append(d, ']')
}

func (g *gateio) busy() []byte {
	return []byte(`{"label":"TOO_MANY_REQUESTS","message":"Request Rate limit Exceeded"}`)
}
