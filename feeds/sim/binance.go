package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// binanceDecimals is how many decimals Binance prints, for every instrument.
const binanceDecimals = 8

// binance speaks Binance's spot market streams
// (https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams)
// and those of its futures (binancefutures.go).
type binance struct {
	srv    *Server
	market binanceMarket
	byName map[string]*instrument // BTCUSDT
	table  map[string]*stream     // btcusdt@trade
	order  []*stream              // table in the order of first use
	old    map[*instrument]Book   // at the start, for stale snapshots
}

func newBinance(s *Server, market binanceMarket) *binance {
	b := &binance{srv: s, market: market, byName: map[string]*instrument{}, table: map[string]*stream{}, old: map[*instrument]Book{}}
	for _, in := range s.listed() {
		b.byName[b.name(in)] = in
		b.old[in] = b.book(in)
	}
	return b
}

func (b *binance) home() string           { return b.market.home }
func (b *binance) rate() int              { return b.market.rate }
func (b *binance) silence() time.Duration { return 0 }

func (b *binance) supports(f Fault) error {
	if f == FaultBadChecksum {
		return errors.New("the venue sends no checksums")
	}
	return nil
}

// open takes /ws, /ws/<stream>, /stream and /stream?streams=<a>/<b>, below the
// class of the streams where the market has classes.
func (b *binance) open(s *session, r *http.Request) bool {
	path := r.URL.Path
	if len(b.market.classes) > 0 {
		class, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		s.class = "public" // the old paths serve no others
		if b.market.classes[class] != nil {
			s.class, path = class, "/"+rest
		}
		if path == "/" {
			path = "/ws"
		}
	}
	names, raw := strings.CutPrefix(path, "/ws")
	switch {
	case raw && (names == "" || names[0] == '/'):
		names = strings.Trim(names, "/")
	case strings.TrimSuffix(path, "/") == "/stream":
		s.wrapped = true
		names = r.URL.Query().Get("streams")
	default:
		return false
	}
	s.wanted = strings.FieldsFunc(names, func(c rune) bool { return c == '/' })
	return true
}

func (b *binance) opened(s *session) {
	for _, name := range s.wanted {
		b.subscribe(s, name)
	}
}

// binanceRequest is what clients send.
type binanceRequest struct {
	Method *string           `json:"method"`
	Params []json.RawMessage `json:"params"`
	ID     json.RawMessage   `json:"id"`
}

func (b *binance) text(s *session, msg []byte) {
	var q binanceRequest
	if err := json.Unmarshal(msg, &q); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			column := strconv.FormatInt(syntax.Offset, 10)
			b.fail(s, 3, "Invalid JSON: expected value at line 1 column "+column, nil)
			return
		}
		b.fail(s, 2, "Invalid request: wrong type of a field", nil)
		return
	}
	if !validID(q.ID) {
		b.fail(s, 2, "Invalid request: request ID must be an unsigned integer", nil)
		return
	}
	if q.Method == nil {
		b.fail(s, 2, "Invalid request: missing field `method` at line 1 column "+strconv.Itoa(len(msg)), q.ID)
		return
	}
	b.request(s, *q.Method, &q)
}

// validID holds for an integer, a string of at most 36 characters, and null.
func validID(id json.RawMessage) bool {
	if len(id) == 0 {
		return false
	}
	if bytes.Equal(id, []byte("null")) || id[0] == '"' && len(id) <= 38 {
		return true
	}
	_, err := strconv.ParseInt(string(id), 10, 64)
	return err == nil
}

func (b *binance) request(s *session, method string, q *binanceRequest) {
	switch method {
	case "SUBSCRIBE", "UNSUBSCRIBE":
		names := make([]string, len(q.Params))
		for i, p := range q.Params {
			if json.Unmarshal(p, &names[i]) != nil {
				b.fail(s, 2, "Invalid request: property name must be a string", q.ID)
				return
			}
		}
		b.result(s, "null", q.ID)
		for _, name := range names {
			if method == "SUBSCRIBE" {
				b.subscribe(s, name)
			} else if st := b.table[name]; st != nil {
				s.unsubscribe(st)
			}
		}
	case "LIST_SUBSCRIPTIONS":
		names := make([]string, 0, len(s.streams))
		for _, st := range s.streams {
			names = append(names, st.name)
		}
		text, _ := json.Marshal(names) // strings always marshal
		b.result(s, string(text), q.ID)
	case "SET_PROPERTY", "GET_PROPERTY":
		b.property(s, method, q)
	default:
		b.fail(s, 2, "Invalid request: unknown variant "+method+
			", expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY` at line 1 column 28", q.ID)
	}
}

// property reads or sets the only property there is, combined.
func (b *binance) property(s *session, method string, q *binanceRequest) {
	var name string
	if len(q.Params) == 0 || json.Unmarshal(q.Params[0], &name) != nil {
		b.fail(s, 2, "Invalid request: property name must be a string", q.ID)
		return
	}
	if name != "combined" {
		b.fail(s, 0, "Unknown property", q.ID)
		return
	}
	if method == "GET_PROPERTY" {
		b.result(s, strconv.FormatBool(s.wrapped), q.ID)
		return
	}
	var on bool
	if len(q.Params) != 2 || json.Unmarshal(q.Params[1], &on) != nil {
		b.fail(s, 1, "Invalid value type: expected Boolean", q.ID)
		return
	}
	s.wrapped = on
	b.result(s, "null", q.ID)
}

func (b *binance) result(s *session, result string, id json.RawMessage) {
	s.reply([]byte(`{"result":` + result + `,"id":` + string(id) + `}`))
}

func (b *binance) fail(s *session, code int, msg string, id json.RawMessage) {
	text, _ := json.Marshal(msg) // strings always marshal
	out := `{"code":` + strconv.Itoa(code) + `,"msg":` + string(text)
	if len(id) > 0 {
		out += `,"id":` + string(id)
	}
	s.reply([]byte(out + "}"))
}

// subscribe joins a stream. As on the venue, a name that does not exist is
// acked and stays mute.
func (b *binance) subscribe(s *session, name string) {
	st := b.table[name]
	if st == nil {
		if st = b.newStream(name); st == nil {
			return
		}
		b.table[name] = st
		b.order = append(b.order, st)
	}
	if slices.Contains(st.members, s) || !b.served(s, st) {
		return
	}
	if len(st.members) == 0 {
		st.dirty = st.channel == "ticker" || st.channel == "markPrice"
		if st.in != nil {
			st.last = st.in.seq
		}
		clear(st.touched[0])
		clear(st.touched[1])
	}
	st.members = append(st.members, s)
	s.streams = append(s.streams, st)
}

// newStream makes the stream of a name such as btcusdt@depth@100ms, nil if
// there is none.
func (b *binance) newStream(name string) *stream {
	if b.market.futures && name == "!contractInfo" {
		return &stream{name: name, channel: name}
	}
	symbol, channel, ok := strings.Cut(name, "@")
	in := b.byName[strings.ToUpper(symbol)]
	if !ok || in == nil || symbol != strings.ToLower(symbol) {
		return nil
	}
	st := &stream{name: name, channel: channel, in: in}
	channel, speed, fast := strings.Cut(channel, "@")
	switch channel {
	case "trade", "bookTicker", "aggTrade", "forceOrder":
		futures := channel == "aggTrade" || channel == "forceOrder"
		if fast || channel != "bookTicker" && futures != b.market.futures {
			return nil
		}
	case "markPrice":
		if !b.market.futures || speed != "1s" {
			return nil
		}
		st.channel, st.every, st.dirty = channel, int64(b.srv.o.TickerEvery), true
	case "ticker":
		st.every = int64(b.srv.o.TickerEvery)
	case "depth", "depth5", "depth10", "depth20":
		st.channel = channel
		st.touched = [2]map[int64]struct{}{{}, {}}
		st.every = int64(b.srv.o.DepthEvery)
		switch {
		case !fast || speed == "1000ms":
			st.every *= 10
		case speed != "100ms":
			return nil
		}
	default:
		return nil
	}
	return st
}

// deliver sends a payload to a stream's members, wrapped where they asked for.
func (b *binance) deliver(st *stream, kind frameKind, payload []byte) {
	var raw, wrapped wireFrame
	for _, s := range st.members {
		if !s.wrapped {
			if raw == nil {
				raw = newFrame(ws.OpText, payload)
			}
			s.data(st.name, kind, raw)
			continue
		}
		if wrapped == nil {
			text := append(make([]byte, 0, len(payload)+64), `{"stream":"`...)
			text = append(append(text, st.name...), `","data":`...)
			wrapped = newFrame(ws.OpText, append(append(text, payload...), '}'))
		}
		s.data(st.name, kind, wrapped)
	}
}

func (b *binance) notice() []byte {
	return []byte(`{"e":"serverShutdown","E":` + strconv.FormatInt(time.Now().UnixMilli(), 10) + `}`)
}
