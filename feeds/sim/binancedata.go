package sim

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// price and size append a number as Binance prints it.
func (b *binance) price(dst []byte, in *instrument, v int64) []byte {
	return appendPadded(dst, v, in.priceDecimals, b.market.decimals)
}

func (b *binance) size(dst []byte, in *instrument, v int64) []byte {
	return appendPadded(dst, v, in.sizeDecimals, b.market.decimals)
}

// field appends ,"name":"number" with the number made by one of the above.
func field(dst []byte, name string, number func([]byte, *instrument, int64) []byte, in *instrument, v int64) []byte {
	dst = append(append(append(dst, `,"`...), name...), `":"`...)
	return append(number(dst, in, v), '"')
}

// integer appends ,"name":v.
func integer(dst []byte, name string, v int64) []byte {
	dst = append(append(append(dst, `,"`...), name...), `":`...)
	return strconv.AppendInt(dst, v, 10)
}

// event pushes trades and the best prices as they happen and notes which levels
// the depth streams have to send.
func (b *binance) event(ev *Event) {
	in := ev.in
	top := topChanged(ev)
	for _, st := range b.order {
		if st.in != in || len(st.members) == 0 {
			continue
		}
		switch st.channel {
		case "trade":
			for _, t := range ev.Trades {
				b.deliver(st, kindOther, b.trade(ev, t))
			}
		case "aggTrade":
			for _, t := range ev.Trades {
				b.deliver(st, kindOther, b.aggTrade(ev, t))
			}
		case "forceOrder":
			if n := len(ev.Trades); n > 4 { // a sweep may well be one
				b.deliver(st, kindOther, b.forceOrder(ev, ev.Trades[n-1]))
			}
		case "bookTicker":
			if top {
				b.deliver(st, kindOther, b.bookTicker(in, ev.Time))
			}
		case "ticker", "markPrice":
			st.dirty = st.dirty || len(ev.Trades) > 0
		case "depth":
			st.dirty = true
			for _, c := range ev.Changes {
				st.touched[sideIndex(c.Bid)][c.Level.Price] = struct{}{}
			}
		default: // partial books
			st.dirty = true
		}
	}
}

// sideIndex is 0 for bids, 1 for asks.
func sideIndex(bid bool) int {
	if bid {
		return 0
	}
	return 1
}

func (b *binance) trade(ev *Event, t Trade) []byte {
	at := millis(t.Time)
	d := integer([]byte(`{"e":"trade"`), "E", at)
	d = b.named(d, ev.in)
	d = integer(d, "t", t.ID)
	d = field(d, "p", b.price, ev.in, t.Price)
	d = field(d, "q", b.size, ev.in, t.Size)
	d = integer(d, "T", at)
	d = strconv.AppendBool(append(d, `,"m":`...), !t.Buy) // m: the buyer was the maker
	return append(d, `,"M":true}`...)
}

func (b *binance) bookTicker(in *instrument, now int64) []byte {
	bid, ask := in.bids.levels[0], in.asks.levels[0]
	d := strconv.AppendInt([]byte(`{"u":`), in.seq, 10)
	if b.market.futures {
		d = append(d, `,"e":"bookTicker"`...)
	}
	d = b.named(d, in)
	d = field(d, "b", b.price, in, bid.Price)
	d = field(d, "B", b.size, in, bid.Size)
	d = field(d, "a", b.price, in, ask.Price)
	d = field(d, "A", b.size, in, ask.Size)
	if b.market.futures {
		d = integer(integer(d, "T", millis(now)), "E", millis(now))
	}
	return append(d, '}')
}

func (b *binance) due(now int64, force bool) {
	for _, st := range b.order {
		switch st.channel {
		case "trade", "aggTrade", "bookTicker", "forceOrder", "!contractInfo":
		case "markPrice":
			if st.ready(now, false) {
				b.deliver(st, kindOther, b.mark(st.in, now))
			}
		case "ticker":
			if st.ready(now, false) {
				b.deliver(st, kindOther, b.ticker(st.in, now))
			}
		case "depth":
			if st.ready(now, force) {
				b.deliver(st, kindBook, b.depth(st, now))
			}
		default:
			if st.ready(now, force) {
				n, _ := strconv.Atoi(st.channel[len("depth"):])
				b.deliver(st, kindOther, b.snapshot(b.book(st.in), st.in, n))
			}
		}
	}
}

// depth is the difference since the stream's last: every level touched, with
// its present size.
func (b *binance) depth(st *stream, now int64) []byte {
	d := integer([]byte(`{"e":"depthUpdate"`), "E", millis(now))
	d = b.named(d, st.in)
	d = integer(d, "U", st.last+1)
	d = integer(d, "u", st.in.seq)
	if b.market.futures {
		d = integer(integer(d, "T", millis(now)), "pu", st.last)
	}
	for i, side := range []*ladder{&st.in.bids, &st.in.asks} {
		changed := make([]Level, 0, len(st.touched[i]))
		for price := range st.touched[i] {
			changed = append(changed, side.at(price))
		}
		slices.SortFunc(changed, func(x, y Level) int {
			if side.bid {
				return cmp.Compare(y.Price, x.Price)
			}
			return cmp.Compare(x.Price, y.Price)
		})
		clear(st.touched[i])
		d = append(d, [2]string{`,"b":`, `,"a":`}[i]...)
		d = appendLevels(d, changed, b.level(st.in))
	}
	st.last = st.in.seq
	return append(d, '}')
}

// level prints ["price","size"].
func (b *binance) level(in *instrument) func([]byte, Level) []byte {
	return func(dst []byte, lv Level) []byte {
		dst = append(b.price(append(dst, '"'), in, lv.Price), `","`...)
		return append(b.size(dst, in, lv.Size), '"')
	}
}

func (b *binance) ticker(in *instrument, now int64) []byte {
	s := &in.stats
	bid, ask := in.bids.levels[0], in.asks.levels[0]
	at := millis(now)
	d := integer([]byte(`{"e":"24hrTicker"`), "E", at)
	d = b.named(d, in)
	d = field(d, "p", b.price, in, s.last-s.open)
	d = append(appendFixed(append(d, `,"P":"`...), mulDiv(abs(s.last-s.open), 100_000, s.open)*sign(s.last-s.open), 3), '"')
	d = field(d, "w", b.price, in, mulDiv(s.turnover, pow10(in.sizeDecimals), s.volume))
	d = field(d, "x", b.price, in, s.open)
	d = field(d, "c", b.price, in, s.last)
	d = field(d, "Q", b.size, in, s.lastSize)
	d = field(d, "b", b.price, in, bid.Price)
	d = field(d, "B", b.size, in, bid.Size)
	d = field(d, "a", b.price, in, ask.Price)
	d = field(d, "A", b.size, in, ask.Size)
	d = field(d, "o", b.price, in, s.open)
	d = field(d, "h", b.price, in, s.high)
	d = field(d, "l", b.price, in, s.low)
	d = field(d, "v", b.size, in, s.volume)
	d = field(d, "q", b.price, in, s.turnover)
	d = integer(d, "O", millis(s.openTime))
	d = integer(d, "C", at)
	d = integer(d, "F", s.first)
	d = integer(d, "L", in.tradeID)
	d = integer(d, "n", s.trades)
	return append(d, '}')
}

func abs(v int64) int64 { return max(v, -v) }

func sign(v int64) int64 {
	if v < 0 {
		return -1
	}
	return 1
}

// book is the whole book: the diff streams carry every level.
func (b *binance) book(in *instrument) Book {
	return in.book(max(len(in.bids.levels), len(in.asks.levels)))
}

// snapshot is the REST form of a book, also that of the partial book streams.
func (b *binance) snapshot(book Book, in *instrument, limit int) []byte {
	d := strconv.AppendInt([]byte(`{"lastUpdateId":`), book.Seq, 10)
	d = append(d, `,"bids":`...)
	d = appendLevels(d, book.Bids[:min(limit, len(book.Bids))], b.level(in))
	d = append(d, `,"asks":`...)
	d = appendLevels(d, book.Asks[:min(limit, len(book.Asks))], b.level(in))
	return append(d, '}')
}

// answer serves depth, exchangeInfo, time and ping below /api/v3 or what the
// market has for it.
func (b *binance) answer(r *http.Request, stale bool) (int, []byte) {
	q := r.URL.Query()
	path, known := strings.CutPrefix(r.URL.Path, b.market.rest)
	if !known {
		path = ""
	}
	switch path {
	case "/ping":
		return http.StatusOK, []byte("{}")
	case "/time":
		now := b.srv.m.cfg.Clock.Now().UnixMilli()
		return http.StatusOK, []byte(`{"serverTime":` + strconv.FormatInt(now, 10) + "}")
	case "/exchangeInfo":
		return b.exchangeInfo(q.Get("symbol"), q.Get("symbols"))
	case "/depth":
		in := b.byName[q.Get("symbol")]
		if in == nil {
			return http.StatusBadRequest, []byte(`{"code":-1121,"msg":"Invalid symbol."}`)
		}
		limit := 100
		if text := q.Get("limit"); text != "" {
			var err error
			if limit, err = strconv.Atoi(text); err != nil || limit < 1 {
				return http.StatusBadRequest, []byte(`{"code":-1100,"msg":"Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'."}`)
			}
		}
		book := b.book(in)
		if stale {
			book = b.old[in]
		}
		return http.StatusOK, b.snapshot(book, in, min(limit, 5000))
	}
	return http.StatusNotFound, []byte("<html><body><h2>404 Not found</h2></body></html>")
}

func (b *binance) busy() []byte {
	return []byte(`{"code":-1003,"msg":"Too many requests; current limit of IP(127.0.0.1) is 6000 requests per minute. Please use the websocket for live updates to avoid polling the API."}`)
}

// exchangeInfo lists the instruments, all or the one or those asked for.
func (b *binance) exchangeInfo(symbol, symbols string) (int, []byte) {
	var only []string
	if symbol != "" {
		only = []string{symbol}
	} else if symbols != "" && json.Unmarshal([]byte(symbols), &only) != nil {
		return http.StatusBadRequest, []byte(`{"code":-1100,"msg":"Illegal characters found in parameter 'symbols'."}`)
	}
	for _, name := range only {
		if b.byName[name] == nil {
			return http.StatusBadRequest, []byte(`{"code":-1121,"msg":"Invalid symbol."}`)
		}
	}
	now := b.srv.m.cfg.Clock.Now().UnixMilli()
	d := integer([]byte(`{"timezone":"UTC"`), "serverTime", now)
	d = append(d, `,"rateLimits":[{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000},`+
		`{"rateLimitType":"RAW_REQUESTS","interval":"MINUTE","intervalNum":5,"limit":61000}],"exchangeFilters":[],"symbols":[`...)
	first := true
	for _, in := range b.srv.listed() {
		if only != nil && !slices.Contains(only, b.name(in)) {
			continue
		}
		if !first {
			d = append(d, ',')
		}
		first = false
		d = b.symbolInfo(d, in)
	}
	return http.StatusOK, append(d, "]}"...)
}

func (b *binance) symbolInfo(d []byte, in *instrument) []byte {
	d = append(d, `{"symbol":"`+b.name(in)+`","`+b.market.status+`":"TRADING","contractSize":`+strconv.Itoa(max(b.market.contract, 1))+`,"baseAsset":"`+in.base+
		`","baseAssetPrecision":8,"quoteAsset":"`+in.quote+
		`","quotePrecision":8,"quoteAssetPrecision":8,"baseCommissionPrecision":8,"quoteCommissionPrecision":8,`+
		`"orderTypes":["LIMIT","LIMIT_MAKER","MARKET","STOP_LOSS_LIMIT","TAKE_PROFIT_LIMIT"],"icebergAllowed":true,`+
		`"ocoAllowed":true,"quoteOrderQtyMarketAllowed":true,"isSpotTradingAllowed":true,"isMarginTradingAllowed":false,`+
		`"filters":[{"filterType":"PRICE_FILTER"`...)
	d = field(d, "minPrice", b.price, in, in.tick)
	d = field(d, "maxPrice", b.price, in, in.start*100)
	d = field(d, "tickSize", b.price, in, in.tick)
	d = append(d, `},{"filterType":"LOT_SIZE"`...)
	d = field(d, "minQty", b.size, in, in.lot)
	d = field(d, "maxQty", b.size, in, in.unit*in.lot*1000)
	d = field(d, "stepSize", b.size, in, in.lot)
	return append(d, `}],"permissions":[],"permissionSets":[["SPOT"]]}`...)
}
