package sim

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"
)

// coinbaseExchange speaks Coinbase Exchange's feed
// (https://docs.cdp.coinbase.com/exchange/websocket-feed/channels).
type coinbaseExchange struct {
	argumentVenue
}

func newCoinbaseExchange(s *Server) *coinbaseExchange {
	c := &coinbaseExchange{}
	c.argumentVenue = argumentVenue{srv: s, style: c, table: map[argument]*stream{}}
	return c
}

func (c *coinbaseExchange) home() string           { return "/" }
func (c *coinbaseExchange) rate() int              { return 100 }
func (c *coinbaseExchange) silence() time.Duration { return 0 }
func (c *coinbaseExchange) notice() []byte         { return nil }
func (c *coinbaseExchange) opened(*session)        {}

func (c *coinbaseExchange) open(_ *session, r *http.Request) bool { return r.URL.Path == c.home() }

func (c *coinbaseExchange) supports(f Fault) error {
	switch f {
	case FaultBadChecksum, FaultMissingSeq:
		return errors.New("books have neither numbers nor checksums")
	case FaultRESTStale:
		return errors.New("books begin in band")
	}
	return nil
}

func (c *coinbaseExchange) text(s *session, msg []byte) {
	var q struct {
		Type     string   `json:"type"`
		Products []string `json:"product_ids"`
		Channels []string `json:"channels"`
		Key      string   `json:"key"`
	}
	if json.Unmarshal(msg, &q) != nil || q.Type != "subscribe" && q.Type != "unsubscribe" {
		c.fail(s, "Malformed JSON")
		return
	}
	for _, channel := range q.Channels {
		switch {
		case channel == "status":
			c.status(s)
			continue
		case channel == "level2" && q.Key == "":
			c.fail(s, "level2, level3, and full channels now require authentication")
			continue
		case channel == "matches":
			channel = "trades"
		}
		for _, name := range q.Products {
			a := argument{Channel: channel, InstID: name}
			if c.find(a) == nil {
				c.fail(s, name+" is not a valid product")
			} else if q.Type == "subscribe" {
				c.subscribe(s, a)
			} else if st := c.table[a]; st != nil {
				s.unsubscribe(st)
			}
		}
	}
	s.reply([]byte(`{"type":"subscriptions","channels":[]}`))
}

func (c *coinbaseExchange) fail(s *session, why string) {
	text, _ := json.Marshal(why) // strings always marshal
	s.reply([]byte(`{"type":"error","message":"Failed to subscribe","reason":` + string(text) + `}`))
}

func (c *coinbaseExchange) find(a argument) *instrument {
	switch a.Channel {
	case "trades", "level2", "level2_batch", "ticker", "heartbeat":
		return c.srv.m.bySymbol[a.InstID]
	}
	return nil
}

func (c *coinbaseExchange) depth(channel string) int {
	if channel == "level2" || channel == "level2_batch" {
		return math.MaxInt
	}
	return 0
}

func (c *coinbaseExchange) incremental(string) bool { return true }

func (c *coinbaseExchange) pace(channel string) time.Duration {
	switch channel {
	case "level2_batch":
		return c.srv.o.DepthEvery / 2 // 50 ms on the venue
	case "heartbeat":
		return time.Second
	}
	return 0
}

func (c *coinbaseExchange) begin(s *session, st *stream) {
	now := c.srv.m.cfg.Clock.Now().UnixNano()
	switch st.channel {
	case "trades":
		push(s, st, kindOther, c.match(st, "last_match", st.in.history[len(st.in.history)-1]))
	case "ticker":
		push(s, st, kindOther, c.ticker(st, now))
	case "heartbeat":
	default:
		d := []byte(`{"type":"snapshot","product_id":"` + st.in.symbol + `","asks":`)
		d = appendLevels(d, st.shown.asks, c.level(st.in))
		d = appendLevels(append(d, `,"bids":`...), st.shown.bids, c.level(st.in))
		push(s, st, kindOther, append(d, `,"time":"`+iso(now)+`"}`...))
	}
}

// level prints "price","size".
func (c *coinbaseExchange) level(in *instrument) func([]byte, Level) []byte {
	return func(d []byte, lv Level) []byte {
		d = append(appendFixed(append(d, '"'), lv.Price, in.priceDecimals), `","`...)
		return append(appendFixed(d, lv.Size, in.sizeDecimals), '"')
	}
}

func (c *coinbaseExchange) payload(st *stream, now int64) (frameKind, []byte) {
	switch st.channel {
	case "ticker":
		return kindOther, c.ticker(st, now)
	case "heartbeat":
		d := integer([]byte(`{"type":"heartbeat"`), "last_trade_id", st.in.tradeID)
		d = integer(append(d, `,"product_id":"`+st.in.symbol+`"`...), "sequence", st.in.seq)
		return kindOther, append(d, `,"time":"`+iso(now)+`"}`...)
	}
	bids, asks := st.difference(math.MaxInt)
	if len(bids)+len(asks) == 0 {
		return kindBook, nil
	}
	d := []byte(`{"type":"l2update","product_id":"` + st.in.symbol + `","changes":`)
	first := true
	for i, side := range [][]Level{bids, asks} {
		name := [2]string{`"buy",`, `"sell",`}[i]
		one := appendLevels(nil, side, func(d []byte, lv Level) []byte { return c.level(st.in)(append(d, name...), lv) })
		if one = one[1 : len(one)-1]; len(one) == 0 {
			continue
		}
		if first {
			d, first = append(d, '['), false
		} else {
			d = append(d, ',')
		}
		d = append(d, one...)
	}
	return kindBook, append(d, `],"time":"`+iso(now)+`"}`...)
}

func (c *coinbaseExchange) trades(st *stream, trades []Trade, _ int64) [][]byte {
	var frames [][]byte
	for _, t := range trades {
		frames = append(frames, c.match(st, "match", t))
	}
	return frames
}

// match has the maker's side.
func (c *coinbaseExchange) match(st *stream, kind string, t Trade) []byte {
	d := integer([]byte(`{"type":"`+kind+`"`), "trade_id", t.ID)
	d = append(d, `,"maker_order_id":"2a0da34e-61f7-4c36-88e5-c9dd15927b16","taker_order_id":"3c82abaa-c01e-4608-be59-6a1e69742891"`...)
	d = appendFixed(append(d, `,"side":"`+side(!t.Buy)+`","size":"`...), t.Size, st.in.sizeDecimals)
	d = appendFixed(append(d, `","price":"`...), t.Price, st.in.priceDecimals)
	d = integer(append(d, `","product_id":"`+st.in.symbol+`"`...), "sequence", st.in.seq)
	return append(d, `,"time":"`+iso(t.Time)+`"}`...)
}

func (c *coinbaseExchange) ticker(st *stream, now int64) []byte {
	in, s := st.in, &st.in.stats
	bid, ask := in.bids.levels[0], in.asks.levels[0]
	d := append(integer([]byte(`{"type":"ticker"`), "sequence", in.seq), `,"product_id":"`+in.symbol+`"`...)
	add := func(name string, v int64, decimals int) {
		d = append(appendFixed(append(d, `,"`+name+`":"`...), v, decimals), '"')
	}
	add("price", s.last, in.priceDecimals)
	add("open_24h", s.open, in.priceDecimals)
	add("volume_24h", s.volume, in.sizeDecimals)
	add("low_24h", s.low, in.priceDecimals)
	add("high_24h", s.high, in.priceDecimals)
	add("best_bid", bid.Price, in.priceDecimals)
	add("best_bid_size", bid.Size, in.sizeDecimals)
	add("best_ask", ask.Price, in.priceDecimals)
	add("best_ask_size", ask.Size, in.sizeDecimals)
	d = integer(append(d, `,"side":"buy","time":"`+iso(now)+`"`...), "trade_id", in.tradeID)
	add("last_size", s.lastSize, in.sizeDecimals)
	return append(d, '}')
}

// status tells that everything trades.
func (c *coinbaseExchange) status(s *session) {
	d := []byte(`{"type":"status","currencies":[],"products":[`)
	for i, in := range c.srv.listed() {
		if i > 0 {
			d = append(d, ',')
		}
		d = append(d, `{"id":"`+in.symbol+`","status":"online","status_message":""}`...)
	}
	s.reply(append(d, "]}"...))
}

func (c *coinbaseExchange) book(in *instrument) Book { return in.book(math.MaxInt) }

// answer serves /products and /time.
func (c *coinbaseExchange) answer(r *http.Request, _ bool) (int, []byte) {
	switch r.URL.Path {
	case "/time":
		return http.StatusOK, []byte(`{"epoch":` + strconv.FormatInt(c.srv.m.cfg.Clock.Now().Unix(), 10) + `}`)
	case "/products":
		d := []byte{'['}
		for i, in := range c.srv.listed() {
			if i > 0 {
				d = append(d, ',')
			}
			d = append(d, `{"id":"`+in.symbol+`","base_currency":"`+in.base+`","quote_currency":"`+in.quote+`","quote_increment":"`...)
			d = appendFixed(d, in.tick, in.priceDecimals)
			d = appendFixed(append(d, `","base_increment":"`...), in.lot, in.sizeDecimals)
			d = append(d, `","status":"online","trading_disabled":false}`...)
		}
		return http.StatusOK, append(d, ']')
	}
	return http.StatusNotFound, []byte(`{"message":"NotFound"}`)
}

func (c *coinbaseExchange) busy() []byte { return []byte(`{"message":"Public rate limit exceeded"}`) }
