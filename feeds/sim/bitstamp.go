package sim

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// bitstamp speaks Bitstamp's WebSocket API v2
// (https://www.bitstamp.net/websocket/v2/).
type bitstamp struct {
	argumentVenue
	byName map[string]*instrument // btcusd
	micro  map[*instrument]int64  // the latest microtimestamp told
	old    map[*instrument][]byte // the books at the start, for stale snapshots
}

func newBitstamp(s *Server) *bitstamp {
	b := &bitstamp{byName: map[string]*instrument{}, micro: map[*instrument]int64{}, old: map[*instrument][]byte{}}
	b.argumentVenue = argumentVenue{srv: s, style: b, table: map[argument]*stream{}}
	for _, in := range s.listed() {
		b.byName[strings.ToLower(in.native())] = in
		b.old[in] = b.snapshot(in)
	}
	return b
}

func (b *bitstamp) home() string           { return "/" }
func (b *bitstamp) rate() int              { return 0 }
func (b *bitstamp) silence() time.Duration { return 0 }
func (b *bitstamp) opened(*session)        {}

func (b *bitstamp) notice() []byte {
	return []byte(`{"event":"bts:request_reconnect","channel":"","data":""}`)
}

func (b *bitstamp) open(_ *session, r *http.Request) bool { return r.URL.Path == b.home() }

func (b *bitstamp) supports(f Fault) error {
	if f == FaultBadChecksum || f == FaultMissingSeq {
		return errors.New("books have neither numbers nor checksums")
	}
	return nil
}

// next is a time in microseconds that is later than every one told of the
// instrument.
func (b *bitstamp) next(in *instrument) int64 {
	b.micro[in] = max(b.srv.m.cfg.Clock.Now().UnixMicro(), b.micro[in]+1)
	return b.micro[in]
}

func (b *bitstamp) text(s *session, msg []byte) {
	var q struct {
		Event string `json:"event"`
		Data  struct {
			Channel string `json:"channel"`
		} `json:"data"`
	}
	if json.Unmarshal(msg, &q) != nil {
		b.fail(s, "Incorrect JSON format.")
		return
	}
	if q.Event == "bts:heartbeat" {
		s.answer(ws.OpText, []byte(`{"event":"bts:heartbeat","channel":"","data":{"status":"success"}}`))
		return
	}
	a := argument{}
	if name, ok := strings.CutPrefix(q.Data.Channel, "live_trades_"); ok {
		a = argument{Channel: "trades", InstID: name}
	} else if name, ok := strings.CutPrefix(q.Data.Channel, "diff_order_book_"); ok {
		a = argument{Channel: "diff_order_book", InstID: name}
	}
	known := b.find(a) != nil
	switch {
	case !known || q.Event != "bts:subscribe" && q.Event != "bts:unsubscribe":
		b.fail(s, "Bad subscription string.")
	case q.Event == "bts:subscribe":
		s.reply([]byte(`{"event":"bts:subscription_succeeded","channel":"` + q.Data.Channel + `","data":{}}`))
		b.subscribe(s, a)
	default:
		s.reply([]byte(`{"event":"bts:unsubscription_succeeded","channel":"` + q.Data.Channel + `","data":{}}`))
		if st := b.table[a]; st != nil {
			s.unsubscribe(st)
		}
	}
}

func (b *bitstamp) fail(s *session, why string) {
	s.reply([]byte(`{"event":"bts:error","channel":"","data":{"code":null,"message":"` + why + `"}}`))
}

func (b *bitstamp) find(a argument) *instrument { return b.byName[a.InstID] }

func (b *bitstamp) depth(channel string) int {
	if channel == "diff_order_book" {
		return math.MaxInt
	}
	return 0
}

func (b *bitstamp) incremental(string) bool   { return true }
func (b *bitstamp) pace(string) time.Duration { return b.srv.o.DepthEvery }
func (b *bitstamp) begin(*session, *stream)   {}
func (b *bitstamp) book(in *instrument) Book  { return in.book(math.MaxInt) }
func (b *bitstamp) level(in *instrument) func([]byte, Level) []byte {
	return func(d []byte, lv Level) []byte {
		d = append(appendFixed(append(d, '"'), lv.Price, in.priceDecimals), `","`...)
		return append(appendFixed(d, lv.Size, in.sizeDecimals), '"')
	}
}

// levels is a book or a change of one at a time, without the closing brace.
func (b *bitstamp) levels(in *instrument, at int64, bids, asks []Level) []byte {
	d := []byte(`{"timestamp":"` + strconv.FormatInt(at/1e6, 10) + `","microtimestamp":"` + strconv.FormatInt(at, 10) + `","bids":`)
	d = appendLevels(d, bids, b.level(in))
	return appendLevels(append(d, `,"asks":`...), asks, b.level(in))
}

// snapshot is the book as it was published last, at that time: what happened
// since is part of the next change. Without a subscriber it is the book now.
func (b *bitstamp) snapshot(in *instrument) []byte {
	if st := b.table[argument{Channel: "diff_order_book", InstID: strings.ToLower(in.native())}]; st != nil && len(st.members) > 0 {
		return append(b.levels(in, max(b.micro[in], 1), st.shown.bids, st.shown.asks), '}')
	}
	return append(b.levels(in, b.next(in), in.bids.levels, in.asks.levels), '}')
}

func (b *bitstamp) payload(st *stream, _ int64) (frameKind, []byte) {
	bids, asks := st.difference(math.MaxInt)
	if len(bids)+len(asks) == 0 {
		return kindBook, nil
	}
	d := append([]byte(`{"data":`), b.levels(st.in, b.next(st.in), bids, asks)...)
	return kindBook, append(d, `},"channel":"diff_order_book_`+strings.ToLower(st.in.native())+`","event":"data"}`...)
}

func (b *bitstamp) trades(st *stream, trades []Trade, _ int64) [][]byte {
	var frames [][]byte
	for _, t := range trades {
		price := string(appendFixed(nil, t.Price, st.in.priceDecimals))
		size := string(appendFixed(nil, t.Size, st.in.sizeDecimals))
		at := t.Time / 1e3
		d := append(integer([]byte(`{"data":{"id":`+strconv.FormatInt(t.ID, 10)), "timestamp", at/1e6),
			`,"amount":`+size+`,"amount_str":"`+size+`","price":`+price+`,"price_str":"`+price+`"`...)
		kind := int64(1)
		if t.Buy {
			kind = 0
		}
		d = append(integer(d, "type", kind), `,"microtimestamp":"`+strconv.FormatInt(at, 10)+`","buy_order_id":1443875737346049,"sell_order_id":1443875731320832}`...)
		frames = append(frames, append(d, `,"channel":"live_trades_`+strings.ToLower(st.in.native())+`","event":"trade"}`...))
	}
	return frames
}

// answer serves the order books and the list of markets.
func (b *bitstamp) answer(r *http.Request, stale bool) (int, []byte) {
	if name, ok := strings.CutPrefix(r.URL.Path, "/api/v2/order_book/"); ok {
		in := b.byName[strings.Trim(name, "/")]
		switch {
		case in == nil:
			return http.StatusNotFound, []byte(`{"status":"error","reason":"Not found"}`)
		case stale:
			return http.StatusOK, b.old[in]
		}
		return http.StatusOK, b.snapshot(in)
	}
	if r.URL.Path != "/api/v2/markets/" {
		return http.StatusNotFound, []byte(`{"status":"error","reason":"Not found"}`)
	}
	d := []byte{'['}
	for i, in := range b.srv.listed() {
		if i > 0 {
			d = append(d, ',')
		}
		d = append(d, `{"name":"`+in.base+`/`+in.quote+`","market_symbol":"`+strings.ToLower(in.native())+`"`...)
		d = integer(d, "base_decimals", int64(in.sizeDecimals))
		d = append(integer(d, "counter_decimals", int64(in.priceDecimals)), `,"trading":"Enabled","market_type":"SPOT"}`...)
	}
	return http.StatusOK, append(d, ']')
}

func (b *bitstamp) busy() []byte { return []byte(`{"status":"error","reason":"Rate limit exceeded"}`) }
