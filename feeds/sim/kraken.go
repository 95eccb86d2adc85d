package sim

import (
	"encoding/json"
	"errors"
	"hash/crc32"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// kraken speaks Kraken's spot market data, WebSocket API v2
// (https://docs.kraken.com/api/docs/websocket-v2/book and the pages beside it).
type kraken struct {
	argumentVenue
	byName map[string]*instrument // BTC/USDT
}

func newKraken(s *Server) *kraken {
	k := &kraken{byName: map[string]*instrument{}}
	k.argumentVenue = argumentVenue{srv: s, style: k, table: map[argument]*stream{}}
	for _, in := range s.listed() {
		k.byName[krakenName(in)] = in
	}
	return k
}

func krakenName(in *instrument) string { return in.base + "/" + in.quote }

func (k *kraken) home() string           { return "/v2" }
func (k *kraken) rate() int              { return 0 }
func (k *kraken) silence() time.Duration { return 0 }
func (k *kraken) notice() []byte         { return nil }

func (k *kraken) open(_ *session, r *http.Request) bool { return r.URL.Path == k.home() }

func (k *kraken) opened(s *session) {
	s.reply([]byte(`{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"online","api_version":"v2","connection_id":` +
		strconv.Itoa(1239390610+s.id) + `}]}`))
}

func (k *kraken) supports(f Fault) error {
	switch f {
	case FaultRESTStale:
		return errors.New("books begin in band")
	case FaultMissingSeq, FaultReorder:
		return errors.New("books have no numbers, and the checksum tells of the ten best levels alone")
	}
	return nil
}

// krakenRequest is what clients send.
type krakenRequest struct {
	Method string `json:"method"`
	Params struct {
		Channel string   `json:"channel"`
		Symbol  []string `json:"symbol"`
		Depth   int      `json:"depth"`
	} `json:"params"`
	ID int64 `json:"req_id"`
}

func (k *kraken) text(s *session, msg []byte) {
	var q krakenRequest
	if json.Unmarshal(msg, &q) != nil {
		k.fail(s, &q, "Malformed request", "")
		return
	}
	switch q.Method {
	case "ping":
		s.answer(ws.OpText, []byte(`{"method":"pong","req_id":`+strconv.FormatInt(q.ID, 10)+k.times()+`}`))
		return
	case "subscribe", "unsubscribe":
	default:
		k.fail(s, &q, "Method(s) not found", "")
		return
	}
	if q.Params.Channel == "instrument" {
		q.Params.Symbol = []string{""} // one stream for all
	}
	for _, name := range q.Params.Symbol {
		a, why := k.argument(&q, name)
		if why != "" {
			k.fail(s, &q, why, name)
			continue
		}
		k.ack(s, &q, name)
		if q.Method == "unsubscribe" {
			if st := k.table[a]; st != nil {
				s.unsubscribe(st)
			}
		} else if name == "" {
			s.reply(k.instruments())
		} else {
			k.subscribe(s, a)
		}
	}
}

// argument is the stream that a request means, or why there is none.
func (k *kraken) argument(q *krakenRequest, name string) (argument, string) {
	a := argument{Channel: q.Params.Channel, InstID: name}
	switch q.Params.Channel {
	case "instrument":
		return a, ""
	case "trade", "ticker":
	case "book":
		if q.Params.Depth == 0 {
			q.Params.Depth = 10
		}
		if !slices.Contains([]int{10, 25, 100, 500, 1000}, q.Params.Depth) {
			return a, "Subscription depth not supported"
		}
		a.Channel = "book-" + strconv.Itoa(q.Params.Depth)
	default:
		return a, "Channel not found"
	}
	if k.byName[name] == nil {
		return a, "Currency pair not supported " + name
	}
	return a, ""
}

// times are the fields that every answer ends with.
func (k *kraken) times() string {
	now := iso(k.srv.m.cfg.Clock.Now().UnixNano())
	return `,"time_in":"` + now + `","time_out":"` + now + `"`
}

func (k *kraken) ack(s *session, q *krakenRequest, name string) {
	d := `{"method":"` + q.Method + `","result":{"channel":"` + q.Params.Channel + `"`
	if q.Params.Channel == "book" {
		d += `,"depth":` + strconv.Itoa(q.Params.Depth)
	}
	if name != "" {
		d += `,"symbol":"` + name + `"`
	}
	s.reply([]byte(d + `},"success":true` + k.times() + `,"req_id":` + strconv.FormatInt(q.ID, 10) + `}`))
}

func (k *kraken) fail(s *session, q *krakenRequest, why, name string) {
	text, _ := json.Marshal(why) // strings always marshal
	method, _ := json.Marshal(q.Method)
	symbol, _ := json.Marshal(name)
	s.reply([]byte(`{"error":` + string(text) + `,"method":` + string(method) + `,"success":false,"symbol":` + string(symbol) +
		k.times() + `,"req_id":` + strconv.FormatInt(q.ID, 10) + `}`))
}

func (k *kraken) find(a argument) *instrument { return k.byName[a.InstID] }

func (k *kraken) depth(channel string) int {
	n, _ := strings.CutPrefix(channel, "book-")
	depth, _ := strconv.Atoi(n) // others are no books
	return depth
}

func (k *kraken) incremental(string) bool { return true }

func (k *kraken) pace(channel string) time.Duration {
	if k.depth(channel) > 0 {
		return k.srv.o.DepthEvery
	}
	return 0
}

func (k *kraken) begin(s *session, st *stream) {
	now := k.srv.m.cfg.Clock.Now().UnixNano()
	switch {
	case st.channel == "ticker":
		push(s, st, kindOther, k.ticker(st, "snapshot", now))
	case st.channel != "trade":
		push(s, st, kindOther, k.books(st, "snapshot", st.shown.bids, st.shown.asks, now))
	}
}

func (k *kraken) payload(st *stream, now int64) (frameKind, []byte) {
	if st.channel == "ticker" {
		return kindOther, k.ticker(st, "update", now)
	}
	bids, asks := st.difference(k.depth(st.channel))
	if len(bids)+len(asks) == 0 {
		return kindBook, nil
	}
	// Levels that are pushed out of the depth, but still exist, are not told.
	unsaid := func(side *ladder) func(Level) bool {
		return func(lv Level) bool { return lv.Size == 0 && side.at(lv.Price).Size != 0 }
	}
	bids = slices.DeleteFunc(bids, unsaid(&st.in.bids))
	asks = slices.DeleteFunc(asks, unsaid(&st.in.asks))
	return kindBook, k.books(st, "update", bids, asks, now)
}

func (k *kraken) trades(st *stream, trades []Trade, _ int64) [][]byte {
	d := []byte(`{"channel":"trade","type":"update","data":[`)
	for i, t := range trades {
		if i > 0 {
			d = append(d, ',')
		}
		d = append(d, `{"symbol":"`+krakenName(st.in)+`","side":"`+side(t.Buy)+`"`...)
		d = number(d, "price", t.Price, st.in.priceDecimals)
		d = number(d, "qty", t.Size, st.in.sizeDecimals)
		d = integer(append(d, `,"ord_type":"market"`...), "trade_id", t.ID)
		d = append(d, `,"timestamp":"`+iso(t.Time)+`"}`...)
	}
	return [][]byte{append(d, "]}"...)}
}

// number appends ,"name":v with all the decimals.
func number(dst []byte, name string, v int64, decimals int) []byte {
	return appendFixed(append(append(append(dst, `,"`...), name...), `":`...), v, decimals)
}

// iso is a time as RFC 3339 writes it, in microseconds.
func iso(ns int64) string { return time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05.000000Z") }

func (k *kraken) books(st *stream, kind string, bids, asks []Level, now int64) []byte {
	in := st.in
	d := append([]byte(`{"channel":"book","type":"`), kind...)
	d = append(d, `","data":[{"symbol":"`+krakenName(in)+`","bids":`...)
	for i, side := range [][]Level{bids, asks} {
		if i == 1 {
			d = append(d, `,"asks":`...)
		}
		d = append(d, '[')
		for n, lv := range side {
			if n > 0 {
				d = append(d, ',')
			}
			d = appendFixed(append(d, `{"price":`...), lv.Price, in.priceDecimals)
			d = append(number(d, "qty", lv.Size, in.sizeDecimals), '}')
		}
		d = append(d, ']')
	}
	d = integer(d, "checksum", int64(krakenChecksum(st.shown, in)))
	return append(d, `,"timestamp":"`+iso(now)+`"}]}`...)
}

// krakenChecksum is the CRC-32 (IEEE) of the ten best asks, then bids: prices and
// sizes without points and leading zeros, which is how they are counted here.
func krakenChecksum(w window, in *instrument) uint32 {
	var b []byte
	for _, side := range [][]Level{w.asks, w.bids} {
		for _, lv := range side[:min(10, len(side))] {
			b = strconv.AppendInt(b, lv.Price, 10)
			b = strconv.AppendInt(b, lv.Size, 10)
		}
	}
	return crc32.ChecksumIEEE(b)
}

func (k *kraken) ticker(st *stream, kind string, now int64) []byte {
	in, s := st.in, &st.in.stats
	bid, ask := in.bids.levels[0], in.asks.levels[0]
	d := append([]byte(`{"channel":"ticker","type":"`), kind...)
	d = append(d, `","data":[{"symbol":"`+krakenName(in)+`"`...)
	d = number(d, "bid", bid.Price, in.priceDecimals)
	d = number(d, "bid_qty", bid.Size, in.sizeDecimals)
	d = number(d, "ask", ask.Price, in.priceDecimals)
	d = number(d, "ask_qty", ask.Size, in.sizeDecimals)
	d = number(d, "last", s.last, in.priceDecimals)
	d = number(d, "volume", s.volume, in.sizeDecimals)
	d = number(d, "vwap", s.last, in.priceDecimals)
	d = number(d, "low", s.low, in.priceDecimals)
	d = number(d, "high", s.high, in.priceDecimals)
	d = number(d, "change", s.last-s.open, in.priceDecimals)
	d = append(d, `,"change_pct":0.01,"timestamp":"`+iso(now)+`"}]}`...)
	return d
}

// instruments is the snapshot of the instrument channel.
func (k *kraken) instruments() []byte {
	d := []byte(`{"channel":"instrument","type":"snapshot","data":{"assets":[],"pairs":[`)
	for i, in := range k.srv.listed() {
		if i > 0 {
			d = append(d, ',')
		}
		d = append(d, `{"symbol":"`+krakenName(in)+`","base":"`+in.base+`","quote":"`+in.quote+`","status":"online"`...)
		d = integer(d, "qty_precision", int64(in.sizeDecimals))
		d = append(integer(d, "price_precision", int64(in.priceDecimals)), '}')
	}
	return append(d, "]}}"...)
}

func (k *kraken) book(in *instrument) Book { return in.book(1000) }

// answer serves /0/public/AssetPairs and the time.
func (k *kraken) answer(r *http.Request, _ bool) (int, []byte) {
	switch r.URL.Path {
	case "/0/public/Time":
		now := strconv.FormatInt(k.srv.m.cfg.Clock.Now().Unix(), 10)
		return http.StatusOK, []byte(`{"error":[],"result":{"unixtime":` + now + `}}`)
	case "/0/public/AssetPairs":
		d := []byte(`{"error":[],"result":{`)
		for i, in := range k.srv.listed() {
			if i > 0 {
				d = append(d, ',')
			}
			// This list has the names of v1.
			v1 := strings.NewReplacer("BTC/", "XBT/", "DOGE/", "XDG/", "/BTC", "/XBT").Replace(krakenName(in))
			d = append(d, `"`+strings.Replace(v1, "/", "", 1)+`":{"altname":"`+strings.Replace(v1, "/", "", 1)+`","wsname":"`+v1+`"`...)
			d = integer(d, "pair_decimals", int64(in.priceDecimals))
			d = integer(d, "lot_decimals", int64(in.sizeDecimals))
			d = append(appendShort(append(d, `,"tick_size":"`...), in.tick, in.priceDecimals), `","status":"online"}`...)
		}
		return http.StatusOK, append(d, "}}"...)
	}
	return http.StatusNotFound, []byte(`{"error":["EGeneral:Unknown method"]}`)
}

func (k *kraken) busy() []byte { return []byte(`{"error":["EGeneral:Too many requests"]}`) }
