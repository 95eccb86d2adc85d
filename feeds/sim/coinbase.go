package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/gobwas/ws"
)

// usdPairs are what the exchanges quoted in dollars list here.
var usdPairs = []string{"BTC-USD", "ETH-USD", "SOL-USD"}

// coinbase speaks Coinbase Advanced Trade's market data
// (https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels).
type coinbase struct {
	argumentVenue
}

func newCoinbase(s *Server) *coinbase {
	c := &coinbase{}
	c.argumentVenue = argumentVenue{srv: s, style: c, table: map[argument]*stream{}}
	return c
}

func (c *coinbase) home() string           { return "/" }
func (c *coinbase) rate() int              { return 0 }
func (c *coinbase) silence() time.Duration { return 0 }
func (c *coinbase) notice() []byte         { return nil }
func (c *coinbase) opened(*session)        {}

func (c *coinbase) open(_ *session, r *http.Request) bool { return r.URL.Path == c.home() }

func (c *coinbase) supports(f Fault) error {
	switch f {
	case FaultBadChecksum:
		return errors.New("the venue sends no checksums")
	case FaultRESTStale:
		return errors.New("books begin in band")
	}
	return nil
}

// address makes a frame of one connection: each has its own numbers, over all
// that is sent on it.
func (c *coinbase) address(s *session, payload []byte) []byte {
	channel, events := payload, []byte(nil)
	for i := range payload {
		if payload[i] == ' ' {
			channel, events = payload[:i], payload[i+1:]
			break
		}
	}
	now := c.srv.m.cfg.Clock.Now().UTC().Format("2006-01-02T15:04:05.000000000Z")
	f := fmt.Appendf(nil, `{"channel":"%s","client_id":"","timestamp":"%s","sequence_num":%d,"events":[%s]}`, channel, now, s.number, events)
	s.number++
	return f
}

func (c *coinbase) reply(s *session, payload string) { s.reply(c.address(s, []byte(payload))) }

func (c *coinbase) text(s *session, msg []byte) {
	var q struct {
		Type     string   `json:"type"`
		Channel  string   `json:"channel"`
		Products []string `json:"product_ids"`
	}
	if json.Unmarshal(msg, &q) != nil || q.Type != "subscribe" && q.Type != "unsubscribe" {
		s.reply([]byte(`{"type":"error","message":"failure to parse message"}`))
		return
	}
	switch q.Channel {
	case "heartbeats":
		c.reply(s, `subscriptions {"subscriptions":{"heartbeats":["heartbeats"]}}`)
		return
	case "level2", "market_trades", "ticker", "status":
	default:
		s.reply([]byte(`{"type":"error","message":"channel is not valid"}`))
		return
	}
	for _, name := range q.Products {
		a := argument{Channel: q.Channel, InstID: name}
		if a.Channel == "market_trades" {
			a.Channel = "trades"
		}
		if c.find(a) == nil {
			s.reply([]byte(`{"type":"error","message":"product is not valid"}`))
			continue
		}
		if q.Type == "subscribe" {
			c.subscribe(s, a)
		} else if st := c.table[a]; st != nil {
			s.unsubscribe(st)
		}
	}
	names, _ := json.Marshal(q.Products) // strings always marshal
	c.reply(s, `subscriptions {"subscriptions":{"`+q.Channel+`":`+string(names)+`}}`)
}

func (c *coinbase) find(a argument) *instrument { return c.srv.m.bySymbol[a.InstID] }

func (c *coinbase) depth(channel string) int {
	if channel == "level2" {
		return math.MaxInt
	}
	return 0
}

func (c *coinbase) incremental(string) bool { return true }

func (c *coinbase) pace(channel string) time.Duration {
	if channel == "level2" {
		return c.srv.o.DepthEvery
	}
	return 0
}

// begin sends the snapshot, under the connection's next number.
func (c *coinbase) begin(s *session, st *stream) {
	var p []byte
	switch st.channel {
	case "trades":
		p = c.tradeList(st, "snapshot", st.in.history)
	case "ticker":
		p = c.ticker(st, "snapshot")
	case "status":
		p = []byte(`status {"type":"snapshot","products":[{"product_type":"SPOT","id":"` + st.in.symbol + `","status":"online","status_message":""}]}`)
	default:
		p = c.updates(st, "snapshot", st.shown.bids, st.shown.asks, c.srv.m.cfg.Clock.Now().UnixNano())
	}
	push(s, st, kindOther, c.address(s, p))
}

func (c *coinbase) payload(st *stream, now int64) (frameKind, []byte) {
	if st.channel != "level2" {
		if st.channel == "status" {
			return kindOther, nil
		}
		return kindOther, c.ticker(st, "update")
	}
	bids, asks := st.difference(math.MaxInt)
	if len(bids)+len(asks) == 0 {
		return kindBook, nil
	}
	return kindBook, c.updates(st, "update", bids, asks, now)
}

func (c *coinbase) trades(st *stream, trades []Trade, _ int64) [][]byte {
	return [][]byte{c.tradeList(st, "update", trades)}
}

// tradeList has the newest trade first, with the maker's side.
func (c *coinbase) tradeList(st *stream, kind string, trades []Trade) []byte {
	d := []byte(`market_trades {"type":"` + kind + `","trades":[`)
	for i := range trades {
		if i > 0 {
			d = append(d, ',')
		}
		t := trades[len(trades)-1-i]
		d = append(d, `{"product_id":"`+st.in.symbol+`","trade_id":"`+strconv.FormatInt(t.ID, 10)+`","price":"`...)
		d = appendShort(d, t.Price, st.in.priceDecimals)
		d = appendShort(append(d, `","size":"`...), t.Size, st.in.sizeDecimals)
		maker := "BUY"
		if t.Buy {
			maker = "SELL"
		}
		d = append(d, `","time":"`+iso(t.Time)+`","side":"`+maker+`"}`...)
	}
	return append(d, "]}"...)
}

func (c *coinbase) updates(st *stream, kind string, bids, asks []Level, now int64) []byte {
	d := []byte(`l2_data {"type":"` + kind + `","product_id":"` + st.in.symbol + `","updates":[`)
	at := iso(now)
	for i, side := range [][]Level{bids, asks} {
		for _, lv := range side {
			if d[len(d)-1] != '[' {
				d = append(d, ',')
			}
			d = append(d, `{"side":"`+[2]string{"bid", "offer"}[i]+`","event_time":"`+at+`","price_level":"`...)
			d = appendShort(d, lv.Price, st.in.priceDecimals)
			d = append(appendShort(append(d, `","new_quantity":"`...), lv.Size, st.in.sizeDecimals), `"}`...)
		}
	}
	return append(d, "]}"...)
}

func (c *coinbase) ticker(st *stream, kind string) []byte {
	in, s := st.in, &st.in.stats
	bid, ask := in.bids.levels[0], in.asks.levels[0]
	d := []byte(`ticker {"type":"` + kind + `","tickers":[{"type":"ticker","product_id":"` + in.symbol + `"`)
	add := func(name string, v int64, decimals int) {
		d = append(appendShort(append(d, `,"`+name+`":"`...), v, decimals), '"')
	}
	add("price", s.last, in.priceDecimals)
	add("volume_24_h", s.volume, in.sizeDecimals)
	add("low_24_h", s.low, in.priceDecimals)
	add("high_24_h", s.high, in.priceDecimals)
	add("best_bid", bid.Price, in.priceDecimals)
	add("best_ask", ask.Price, in.priceDecimals)
	add("best_bid_quantity", bid.Size, in.sizeDecimals)
	add("best_ask_quantity", ask.Size, in.sizeDecimals)
	return append(d, "}]}"...)
}

func (c *coinbase) book(in *instrument) Book { return in.book(math.MaxInt) }

// due adds a heartbeat a second to every connection.
func (c *coinbase) due(now int64, force bool) {
	c.argumentVenue.due(now, force)
	for _, s := range c.srv.sessions {
		if now-s.beat >= int64(time.Second) {
			s.beat = now
			s.data("heartbeats", kindOther, newFrame(ws.OpText, c.address(s, []byte(`heartbeats {"heartbeat_counter":1}`))))
		}
	}
}

// answer serves /api/v3/brokerage/market/products.
func (c *coinbase) answer(r *http.Request, _ bool) (int, []byte) {
	if r.URL.Path != "/api/v3/brokerage/market/products" {
		return http.StatusNotFound, []byte(`{"error":"NOT_FOUND"}`)
	}
	d := []byte(`{"products":[`)
	for i, in := range c.srv.listed() {
		if i > 0 {
			d = append(d, ',')
		}
		d = append(d, `{"product_id":"`+in.symbol+`","product_type":"SPOT","status":"online","alias":"","base_increment":"`...)
		d = appendFixed(d, in.lot, in.sizeDecimals)
		d = append(appendFixed(append(d, `","quote_increment":"`...), in.tick, in.priceDecimals), `"}`...)
	}
	return http.StatusOK, append(d, `],"pagination":{"next_cursor":"","has_next":false}}`...)
}

func (c *coinbase) busy() []byte { return []byte(`{"error":"RATE_LIMIT_EXCEEDED"}`) }
