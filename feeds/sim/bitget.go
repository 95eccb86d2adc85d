package sim

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// bitget speaks Bitget's v2 public channels for spot
// (https://www.bitget.com/api-doc/spot/websocket/public).
type bitget struct {
	argumentVenue
	byName map[string]*instrument // BTCUSDT
}

func newBitget(s *Server) *bitget {
	b := &bitget{byName: map[string]*instrument{}}
	b.argumentVenue = argumentVenue{srv: s, style: b, table: map[argument]*stream{}}
	for _, in := range s.listed() {
		b.byName[in.native()] = in
	}
	return b
}

func (b *bitget) home() string           { return "/v2/ws/public" }
func (b *bitget) rate() int              { return 10 }
func (b *bitget) silence() time.Duration { return 2 * time.Minute }
func (b *bitget) notice() []byte         { return nil }
func (b *bitget) opened(*session)        {}

func (b *bitget) open(_ *session, r *http.Request) bool { return r.URL.Path == b.home() }

func (b *bitget) supports(f Fault) error {
	switch {
	case f == FaultBadChecksum && !b.srv.o.Checksums:
		return errors.New("Options.Checksums is off")
	case f == FaultRESTStale:
		return errors.New("books begin in band")
	}
	return nil
}

func (b *bitget) text(s *session, msg []byte) {
	if string(msg) == "ping" {
		s.pong()
		return
	}
	var q argumentRequest
	if json.Unmarshal(msg, &q) != nil {
		b.fail(s, 30002, "Illegal request", "", nil)
		return
	}
	if q.Op != "subscribe" && q.Op != "unsubscribe" {
		b.fail(s, 30003, "Invalid op", q.Op, nil)
		return
	}
	for _, raw := range q.Args {
		var a argument
		if json.Unmarshal(raw, &a) != nil {
			b.fail(s, 30002, "Illegal request", q.Op, nil)
			continue
		}
		text, _ := json.Marshal(a) // strings always marshal
		if b.find(a) == nil {
			b.fail(s, 30001, "instType:"+a.InstType+",channel:"+a.Channel+",instId:"+a.InstID+" doesn't exist", q.Op, text)
			continue
		}
		s.reply([]byte(`{"event":"` + q.Op + `","arg":` + string(text) + `}`))
		if q.Op == "subscribe" {
			b.subscribe(s, a)
		} else if st := b.table[a]; st != nil {
			s.unsubscribe(st)
		}
	}
}

func (b *bitget) fail(s *session, code int, msg, op string, arg []byte) {
	text, _ := json.Marshal(msg) // strings always marshal
	out := `{"event":"error"`
	if arg != nil {
		out += `,"arg":` + string(arg)
	}
	out += `,"code":` + strconv.Itoa(code) + `,"msg":` + string(text)
	if op != "" {
		quoted, _ := json.Marshal(op)
		out += `,"op":` + string(quoted)
	}
	s.reply([]byte(out + "}"))
}

func (b *bitget) find(a argument) *instrument {
	if a.InstType != "SPOT" {
		return nil
	}
	switch a.Channel {
	case "trade", "ticker", "books", "books1", "books5", "books15":
		return b.byName[a.InstID]
	}
	return nil
}

func (b *bitget) depth(channel string) int {
	n, ok := strings.CutPrefix(channel, "books")
	if !ok {
		return 0
	}
	if n == "" {
		return math.MaxInt
	}
	levels, _ := strconv.Atoi(n) // find let pass numbers only
	return levels
}

func (b *bitget) incremental(channel string) bool { return channel == "books" }

func (b *bitget) pace(channel string) time.Duration {
	if channel == "ticker" {
		return b.srv.o.TickerEvery
	}
	return b.srv.o.DepthEvery
}

func (b *bitget) begin(s *session, st *stream) {
	now := b.srv.m.cfg.Clock.Now().UnixNano()
	switch st.channel {
	case "trade":
		push(s, st, kindOther, b.tradeFrame(st, "snapshot", st.in.history, now))
	case "ticker":
		push(s, st, kindOther, b.ticker(st, now))
	default:
		push(s, st, kindOther, b.books(st, "snapshot", st.shown.bids, st.shown.asks, 0, now))
	}
}

func (b *bitget) payload(st *stream, now int64) (frameKind, []byte) {
	if st.channel == "ticker" {
		return kindOther, b.ticker(st, now)
	}
	n, before := b.depth(st.channel), st.last
	bids, asks := st.difference(n)
	if len(bids)+len(asks) == 0 {
		return kindBook, nil
	}
	if !b.incremental(st.channel) {
		return kindOther, b.books(st, "snapshot", st.shown.bids, st.shown.asks, 0, now)
	}
	return kindBook, b.books(st, "update", bids, asks, before, now)
}

func (b *bitget) trades(st *stream, trades []Trade, now int64) [][]byte {
	return [][]byte{b.tradeFrame(st, "update", trades, now)}
}

// head begins a push.
func (b *bitget) head(st *stream, action string) []byte {
	d := append([]byte(`{"action":"`), action...)
	return append(append(append(d, `","arg":`...), st.arg...), `,"data":[`...)
}

// tail ends it with the time of sending.
func (b *bitget) tail(d []byte, now int64) []byte {
	return append(integer(append(d, ']'), "ts", millis(now)), '}')
}

// tradeFrame is a push of trades, the newest first.
func (b *bitget) tradeFrame(st *stream, action string, trades []Trade, now int64) []byte {
	d := b.head(st, action)
	for i, t := range slices.Backward(trades) {
		if i < len(trades)-1 {
			d = append(d, ',')
		}
		d = strconv.AppendInt(append(d, `{"ts":"`...), millis(t.Time), 10)
		d = appendFixed(append(d, `","price":"`...), t.Price, st.in.priceDecimals)
		d = appendFixed(append(d, `","size":"`...), t.Size, st.in.sizeDecimals)
		d = append(append(d, `","side":"`...), side(t.Buy)...)
		d = strconv.AppendInt(append(d, `","tradeId":"`...), t.ID, 10)
		d = append(d, `"}`...)
	}
	return b.tail(d, now)
}

// side is the aggressor's, as Bitget and OKX print it.
func side(buy bool) string {
	if buy {
		return "buy"
	}
	return "sell"
}

// level prints ["price","size"], text the same for the checksum.
func (b *bitget) level(in *instrument) func([]byte, Level) []byte {
	return func(dst []byte, lv Level) []byte {
		dst = append(appendFixed(append(dst, '"'), lv.Price, in.priceDecimals), `","`...)
		return append(appendFixed(dst, lv.Size, in.sizeDecimals), '"')
	}
}

func (b *bitget) plain(in *instrument) func([]byte, Level) []byte {
	return func(dst []byte, lv Level) []byte {
		dst = append(appendFixed(dst, lv.Price, in.priceDecimals), ':')
		return appendFixed(dst, lv.Size, in.sizeDecimals)
	}
}

// books is a push of levels; prev is the number of the push before, 0 for a
// snapshot.
func (b *bitget) books(st *stream, action string, bids, asks []Level, prev, now int64) []byte {
	d := append(b.head(st, action), `{"asks":`...)
	d = appendLevels(d, asks, b.level(st.in))
	d = appendLevels(append(d, `,"bids":`...), bids, b.level(st.in))
	sum := int32(0)
	if b.srv.o.Checksums && b.incremental(st.channel) {
		sum = checksum(st.shown, b.plain(st.in))
	}
	d = integer(d, "checksum", int64(sum))
	if !b.srv.o.NoSequence {
		d = integer(d, "seq", st.last)
		d = integer(d, "pseq", prev)
	}
	d = strconv.AppendInt(append(d, `,"ts":"`...), millis(now), 10)
	return b.tail(append(d, `"}`...), now)
}

func (b *bitget) ticker(st *stream, now int64) []byte {
	in, s := st.in, &st.in.stats
	bid, ask := in.bids.levels[0], in.asks.levels[0]
	at := strconv.FormatInt(millis(now), 10)
	d := b.head(st, "snapshot")
	d = append(d, `{"instId":"`+in.native()+`"`...)
	price := func(name string, v int64) {
		d = append(appendFixed(append(d, `,"`+name+`":"`...), v, in.priceDecimals), '"')
	}
	size := func(name string, v int64) {
		d = append(appendFixed(append(d, `,"`+name+`":"`...), v, in.sizeDecimals), '"')
	}
	change := string(appendFixed(nil, mulDiv(abs(s.last-s.open), 100_000, s.open)*sign(s.last-s.open), 5))
	price("lastPr", s.last)
	price("open24h", s.open)
	price("high24h", s.high)
	price("low24h", s.low)
	d = append(d, `,"change24h":"`+change+`"`...)
	price("bidPr", bid.Price)
	price("askPr", ask.Price)
	size("bidSz", bid.Size)
	size("askSz", ask.Size)
	size("baseVolume", s.volume)
	price("quoteVolume", s.turnover)
	price("openUtc", s.open)
	d = append(d, `,"changeUtc24h":"`+change+`","ts":"`+at+`"}`...)
	return b.tail(d, now)
}

func (b *bitget) book(in *instrument) Book { return in.book(math.MaxInt) }

// answer serves the catalogue, /api/v2/spot/public/symbols, and the time.
func (b *bitget) answer(r *http.Request, _ bool) (int, []byte) {
	now := b.srv.m.cfg.Clock.Now().UnixMilli()
	at := strconv.FormatInt(now, 10)
	ok := `{"code":"00000","msg":"success","requestTime":` + at + `,"data":`
	switch r.URL.Path {
	case "/api/v2/public/time":
		return http.StatusOK, []byte(ok + `{"serverTime":"` + at + `"}}`)
	case "/api/v2/mix/market/contracts": // no derivatives are listed
		switch r.URL.Query().Get("productType") {
		case "USDT-FUTURES", "USDC-FUTURES", "COIN-FUTURES":
			return http.StatusOK, []byte(ok + "[]}")
		}
		return http.StatusBadRequest, []byte(`{"code":"40020","msg":"Parameter productType error","requestTime":` + at + `,"data":null}`)
	case "/api/v2/spot/public/symbols":
		d := append([]byte(ok), '[')
		only := r.URL.Query().Get("symbol")
		if only != "" && b.byName[only] == nil {
			return http.StatusBadRequest, []byte(`{"code":"40034","msg":"Parameter does not exist","requestTime":` + at + `,"data":null}`)
		}
		for _, in := range b.srv.listed() {
			if only != "" && only != in.native() {
				continue
			}
			if d[len(d)-1] != '[' {
				d = append(d, ',')
			}
			d = b.symbolInfo(d, in)
		}
		return http.StatusOK, append(d, "]}"...)
	}
	return http.StatusNotFound, []byte(`{"code":"40404","msg":"Request URL NOT FOUND","requestTime":` + at + `,"data":null}`)
}

func (b *bitget) symbolInfo(d []byte, in *instrument) []byte {
	lot := string(appendShort(nil, in.lot, in.sizeDecimals))
	return append(d, `{"symbol":"`+in.native()+`","baseCoin":"`+in.base+`","quoteCoin":"`+in.quote+
		`","minTradeAmount":"`+lot+`","maxTradeAmount":"10000000000","takerFeeRate":"0.002","makerFeeRate":"0.002","pricePrecision":"`+
		strconv.Itoa(in.priceDecimals)+`","quantityPrecision":"`+strconv.Itoa(in.sizeDecimals)+
		`","quotePrecision":"`+strconv.Itoa(in.priceDecimals+in.sizeDecimals)+
		`","status":"online","minTradeUSDT":"1","buyLimitPriceRatio":"0.05","sellLimitPriceRatio":"0.05"}`...)
}

func (b *bitget) busy() []byte {
	return []byte(`{"code":"429","msg":"Too Many Requests","requestTime":0,"data":null}`)
}
