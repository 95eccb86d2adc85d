package sim

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gobwas/ws"
)

// okxDepth is how many levels a side of the books channel shows.
const okxDepth = 400

// okx speaks OKX's v5 public channels for spot
// (https://www.okx.com/docs-v5/en/#order-book-trading-market-data).
type okx struct {
	argumentVenue
}

func newOKX(s *Server) *okx {
	o := &okx{}
	o.argumentVenue = argumentVenue{srv: s, style: o, table: map[argument]*stream{}}
	return o
}

func (o *okx) home() string    { return "/ws/v5/public" }
func (o *okx) rate() int       { return 0 }
func (o *okx) opened(*session) {}

// silence is not held against clients: on the venue a connection ends after
// 30 s without traffic either way, which a subscribed one never has.
func (o *okx) silence() time.Duration { return 0 }

func (o *okx) open(_ *session, r *http.Request) bool { return r.URL.Path == o.home() }

func (o *okx) supports(f Fault) error {
	switch {
	case f == FaultBadChecksum && !o.srv.o.Checksums:
		return errors.New("Options.Checksums is off")
	case f == FaultRESTStale:
		return errors.New("books begin in band")
	}
	return nil
}

// conn is the connection's id as frames carry it.
func (o *okx) conn(s *session) string {
	const digits = "0123456789abcdef"
	id := []byte("a4d30000")
	for i, n := len(id)-1, s.id; i > 3; i, n = i-1, n>>4 {
		id[i] = digits[n&15]
	}
	return string(id)
}

func (o *okx) text(s *session, msg []byte) {
	if string(msg) == "ping" {
		s.pong()
		return
	}
	var q argumentRequest
	if json.Unmarshal(msg, &q) != nil || q.Op != "subscribe" && q.Op != "unsubscribe" || len(q.Args) == 0 {
		o.fail(s, "60012", "Invalid request: "+string(msg))
		return
	}
	for _, raw := range q.Args {
		var a argument
		if json.Unmarshal(raw, &a) != nil {
			o.fail(s, "60012", "Invalid request: "+string(msg))
			continue
		}
		a.InstType = ""            // optional where instId is given
		if a.Channel == "status" { // no maintenance is planned
			s.reply([]byte(`{"event":"` + q.Op + `","arg":{"channel":"status"},"connId":"` + o.conn(s) + `"}`))
			continue
		}
		if o.find(a) == nil {
			o.fail(s, "60018", "Wrong URL or channel:"+a.Channel+",instId:"+a.InstID+
				" doesn't exist. Please use the correct URL, channel and parameters referring to API document.")
			continue
		}
		text, _ := json.Marshal(a) // strings always marshal
		s.reply([]byte(`{"event":"` + q.Op + `","arg":` + string(text) + `,"connId":"` + o.conn(s) + `"}`))
		if q.Op == "subscribe" {
			o.subscribe(s, a)
		} else if st := o.table[a]; st != nil {
			s.unsubscribe(st)
		}
	}
}

func (o *okx) fail(s *session, code, msg string) {
	text, _ := json.Marshal(msg) // strings always marshal
	s.reply([]byte(`{"event":"error","code":"` + code + `","msg":` + string(text) + `,"connId":"` + o.conn(s) + `"}`))
}

func (o *okx) notice() []byte {
	return []byte(`{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade. Please reconnect.","connId":"a4d30000"}`)
}

func (o *okx) find(a argument) *instrument {
	switch a.Channel {
	case "trades", "tickers", "books", "books5", "bbo-tbt":
		return o.srv.m.bySymbol[a.InstID]
	}
	return nil
}

func (o *okx) depth(channel string) int {
	switch channel {
	case "books":
		return okxDepth
	case "books5":
		return 5
	case "bbo-tbt":
		return 1
	}
	return 0
}

func (o *okx) incremental(channel string) bool { return channel == "books" }

func (o *okx) pace(channel string) time.Duration {
	switch channel {
	case "bbo-tbt":
		return o.srv.o.DepthEvery / 10 // 10 ms on the venue
	case "tickers":
		return o.srv.o.TickerEvery / 10 // 100 ms on the venue
	}
	return o.srv.o.DepthEvery
}

func (o *okx) begin(s *session, st *stream) {
	now := o.srv.m.cfg.Clock.Now().UnixNano()
	switch st.channel {
	case "trades":
		// The last trade is repeated to a new subscriber.
		last := st.in.history[len(st.in.history)-1:]
		push(s, st, kindOther, o.tradeFrame(st, last[0]))
	case "tickers":
		push(s, st, kindOther, o.ticker(st, now))
	case "books":
		push(s, st, kindOther, o.books(st, "snapshot", st.shown.bids, st.shown.asks, -1, now))
	default:
		push(s, st, kindOther, o.books(st, "", st.shown.bids, st.shown.asks, 0, now))
	}
}

func (o *okx) payload(st *stream, now int64) (frameKind, []byte) {
	if st.channel == "tickers" {
		return kindOther, o.ticker(st, now)
	}
	before := st.last
	bids, asks := st.difference(o.depth(st.channel))
	switch {
	case len(bids)+len(asks) == 0:
		return kindBook, nil
	case o.incremental(st.channel):
		return kindBook, o.books(st, "update", bids, asks, before, now)
	}
	return kindOther, o.books(st, "", st.shown.bids, st.shown.asks, 0, now)
}

// due adds the keep-alive of quiet books: an empty update that repeats the number.
func (o *okx) due(now int64, force bool) {
	o.argumentVenue.due(now, force)
	for _, st := range o.order {
		if st.channel == "books" && len(st.members) > 0 && now-st.pushed >= int64(o.srv.o.KeepAlive) {
			st.pushed = now
			st.deliver(kindOther, newFrame(ws.OpText, o.books(st, "update", nil, nil, st.last, now)))
		}
	}
}

func (o *okx) trades(st *stream, trades []Trade, _ int64) [][]byte {
	frames := make([][]byte, len(trades))
	for i, t := range trades {
		frames[i] = o.tradeFrame(st, t)
	}
	return frames
}

// head begins a push.
func (o *okx) head(st *stream, action string) []byte {
	d := append([]byte(`{"arg":`), st.arg...)
	if action != "" {
		d = append(append(append(d, `,"action":"`...), action...), '"')
	}
	return append(d, `,"data":[`...)
}

func (o *okx) tradeFrame(st *stream, t Trade) []byte {
	d := append(o.head(st, ""), `{"instId":"`+st.in.symbol+`","tradeId":"`...)
	d = strconv.AppendInt(d, t.ID, 10)
	d = appendShort(append(d, `","px":"`...), t.Price, st.in.priceDecimals)
	d = appendShort(append(d, `","sz":"`...), t.Size, st.in.sizeDecimals)
	d = append(append(d, `","side":"`...), side(t.Buy)...)
	d = strconv.AppendInt(append(d, `","ts":"`...), millis(t.Time), 10)
	d = integer(append(d, `","count":"1","source":"0"`...), "seqId", st.in.seq)
	return append(d, "}]}"...)
}

// level prints ["price","size","0","orders"].
func (o *okx) level(in *instrument) func([]byte, Level) []byte {
	return func(dst []byte, lv Level) []byte {
		dst = append(appendShort(append(dst, '"'), lv.Price, in.priceDecimals), `","`...)
		dst = append(appendShort(dst, lv.Size, in.sizeDecimals), `","0","`...)
		return append(strconv.AppendUint(dst, uint64(lv.Count), 10), '"')
	}
}

// plain prints price:size for the checksum.
func (o *okx) plain(in *instrument) func([]byte, Level) []byte {
	return func(dst []byte, lv Level) []byte {
		dst = append(appendShort(dst, lv.Price, in.priceDecimals), ':')
		return appendShort(dst, lv.Size, in.sizeDecimals)
	}
}

// books is a push of levels, with the number of the push before: −1 for a
// snapshot. bbo-tbt and books5 have no action, checksum and prevSeqId.
func (o *okx) books(st *stream, action string, bids, asks []Level, prev, now int64) []byte {
	d := append(o.head(st, action), `{"asks":`...)
	d = appendLevels(d, asks, o.level(st.in))
	d = appendLevels(append(d, `,"bids":`...), bids, o.level(st.in))
	if st.channel == "books5" {
		d = append(d, `,"instId":"`+st.in.symbol+`"`...)
	}
	d = append(strconv.AppendInt(append(d, `,"ts":"`...), millis(now), 10), '"')
	if o.incremental(st.channel) {
		sum := int32(0)
		if o.srv.o.Checksums {
			sum = checksum(st.shown, o.plain(st.in))
		}
		d = integer(d, "checksum", int64(sum))
		if !o.srv.o.NoSequence {
			d = integer(d, "prevSeqId", prev)
		}
	}
	if !o.srv.o.NoSequence {
		d = integer(d, "seqId", st.last)
	}
	return append(d, "}]}"...)
}

func (o *okx) ticker(st *stream, now int64) []byte {
	in, s := st.in, &st.in.stats
	bid, ask := in.bids.levels[0], in.asks.levels[0]
	d := append(o.head(st, ""), `{"instType":"SPOT","instId":"`+in.symbol+`"`...)
	price := func(name string, v int64) {
		d = append(appendShort(append(d, `,"`+name+`":"`...), v, in.priceDecimals), '"')
	}
	size := func(name string, v int64) {
		d = append(appendShort(append(d, `,"`+name+`":"`...), v, in.sizeDecimals), '"')
	}
	price("last", s.last)
	size("lastSz", s.lastSize)
	price("askPx", ask.Price)
	size("askSz", ask.Size)
	price("bidPx", bid.Price)
	size("bidSz", bid.Size)
	price("open24h", s.open)
	price("high24h", s.high)
	price("low24h", s.low)
	price("sodUtc0", s.open)
	price("sodUtc8", s.open)
	price("volCcy24h", s.turnover)
	size("vol24h", s.volume)
	d = strconv.AppendInt(append(d, `,"ts":"`...), millis(now), 10)
	return append(d, `"}]}`...)
}

// book is the part that the books channel shows.
func (o *okx) book(in *instrument) Book {
	b := in.book(okxDepth)
	if st := o.table[argument{Channel: "books", InstID: in.symbol}]; st != nil && len(st.members) > 0 {
		b.Seq = st.last
	}
	return b
}

// answer serves /api/v5/public/instruments, instType=SPOT, and the time.
func (o *okx) answer(r *http.Request, _ bool) (int, []byte) {
	q := r.URL.Query()
	switch r.URL.Path {
	case "/api/v5/public/time":
		now := strconv.FormatInt(o.srv.m.cfg.Clock.Now().UnixMilli(), 10)
		return http.StatusOK, []byte(`{"code":"0","data":[{"ts":"` + now + `"}],"msg":""}`)
	case "/api/v5/public/instruments":
		switch q.Get("instType") {
		case "SPOT":
		case "SWAP", "FUTURES", "OPTION", "MARGIN":
			return http.StatusOK, []byte(`{"code":"0","data":[],"msg":""}`)
		default:
			return http.StatusBadRequest, []byte(`{"code":"51000","data":[],"msg":"Parameter instType error"}`)
		}
		d := []byte(`{"code":"0","data":[`)
		for _, in := range o.srv.listed() {
			if id := q.Get("instId"); id != "" && id != in.symbol {
				continue
			}
			if d[len(d)-1] != '[' {
				d = append(d, ',')
			}
			d = o.symbolInfo(d, in)
		}
		return http.StatusOK, append(d, `],"msg":""}`...)
	}
	return http.StatusNotFound, []byte(`{"msg":"API endpoint not found","code":"50404"}`)
}

func (o *okx) symbolInfo(d []byte, in *instrument) []byte {
	tick := string(appendShort(nil, in.tick, in.priceDecimals))
	lot := string(appendShort(nil, in.lot, in.sizeDecimals))
	return append(d, `{"alias":"","baseCcy":"`+in.base+`","category":"1","ctMult":"","ctType":"","ctVal":"","ctValCcy":"",`+
		`"expTime":"","instFamily":"","instId":"`+in.symbol+`","instType":"SPOT","lever":"10","listTime":"1548133413000","lotSz":"`+lot+
		`","maxIcebergSz":"999999999999","maxLmtSz":"999999999999","maxMktSz":"1000000","maxStopSz":"1000000","maxTriggerSz":"999999999999",`+
		`"maxTwapSz":"999999999999","minSz":"`+lot+`","optType":"","quoteCcy":"`+in.quote+
		`","ruleType":"normal","settleCcy":"","state":"live","stk":"","tickSz":"`+tick+`","uly":""}`...)
}

func (o *okx) busy() []byte { return []byte(`{"msg":"Too Many Requests","code":"50011"}`) }
