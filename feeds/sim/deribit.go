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

// deribit speaks Deribit's JSON-RPC market data
// (https://docs.deribit.com/articles/notifications and the pages of the channels).
type deribit struct {
	argumentVenue
	byName   map[string]*instrument // BTC_USDC-PERPETUAL
	sessions map[*session]*deribitSession
}

// deribitSession is what the exchange knows of a connection.
type deribitSession struct {
	loggedIn bool
	every    int64 // ns between test requests, 0 for none
	next     int64
	asked    bool // the last one is not answered yet
}

func newDeribit(s *Server) *deribit {
	v := &deribit{byName: map[string]*instrument{}, sessions: map[*session]*deribitSession{}}
	v.argumentVenue = argumentVenue{srv: s, style: v, table: map[argument]*stream{}}
	for _, in := range s.listed() {
		v.byName[deribitName(in)] = in
	}
	return v
}

// isDeribit holds for what the exchange lists here: perpetuals, futures, options.
func isDeribit(symbol string) bool {
	in, err := newListing(symbol)
	return err == nil && deribitName(&instrument{listing: in}) != ""
}

// deribitName is the exchange's name of an instrument, "" if it has none.
func deribitName(in *instrument) string {
	name := in.base
	if in.quote != "USD" {
		name += "_" + in.quote
	}
	if in.suffix == "PERP" {
		return name + "-PERPETUAL"
	}
	day, option, _ := strings.Cut(in.suffix, "-")
	t, err := time.Parse("060102", day)
	if err != nil {
		return ""
	}
	name += "-" + strconv.Itoa(t.Day()) + strings.ToUpper(t.Format("Jan06"))
	if option != "" {
		name += "-" + option
	}
	return name
}

func (v *deribit) home() string           { return "/ws/api/v2" }
func (v *deribit) rate() int              { return 0 }
func (v *deribit) silence() time.Duration { return 0 }
func (v *deribit) notice() []byte         { return nil }

func (v *deribit) open(_ *session, r *http.Request) bool { return r.URL.Path == v.home() }

func (v *deribit) opened(s *session) { v.sessions[s] = &deribitSession{} }

func (v *deribit) supports(f Fault) error {
	switch f {
	case FaultRESTStale:
		return errors.New("books begin in band")
	case FaultBadChecksum:
		return errors.New("books have no checksum")
	}
	return nil
}

// deribitRequest is what clients send.
type deribitRequest struct {
	ID     int64  `json:"id"`
	Method string `json:"method"`
	Params struct {
		Channels []string `json:"channels"`
		Interval int64    `json:"interval"`
		Grant    string   `json:"grant_type"`
		Client   string   `json:"client_id"`
	} `json:"params"`
}

func (v *deribit) text(s *session, msg []byte) {
	var q deribitRequest
	if json.Unmarshal(msg, &q) != nil {
		v.fail(s, 0, -32700, "Parse error")
		return
	}
	st := v.sessions[s]
	if st == nil { // it has ended
		return
	}
	switch q.Method {
	case "public/test":
		st.asked = false
		v.result(s, q.ID, `{"version":"1.2.26"}`)
	case "public/set_heartbeat":
		if q.Params.Interval < 10 {
			v.fail(s, q.ID, -32602, "Invalid params")
			return
		}
		st.every = q.Params.Interval * int64(time.Second)
		st.next = v.srv.m.cfg.Clock.Now().UnixNano() + st.every
		v.result(s, q.ID, `"ok"`)
	case "public/auth":
		if q.Params.Grant != "client_signature" || q.Params.Client == "" {
			v.fail(s, q.ID, 13004, "invalid_credentials")
			return
		}
		st.loggedIn = true
		v.result(s, q.ID, `{"access_token":"simulated","expires_in":31536000,"refresh_token":"simulated","scope":"connection","token_type":"bearer"}`)
	case "public/subscribe", "public/unsubscribe":
		v.channels(s, st, &q)
	default:
		v.fail(s, q.ID, -32601, "Method not found")
	}
}

// channels joins or leaves what a request names; unknown names are left out of
// the answer.
func (v *deribit) channels(s *session, st *deribitSession, q *deribitRequest) {
	done := []string{}
	var joined []argument
	for _, name := range q.Params.Channels {
		a, ok := v.argument(name)
		if !ok {
			continue
		}
		if a.InstType == "raw" && !st.loggedIn {
			v.fail(s, q.ID, 13778, "raw_subscriptions_not_available_for_unauthorized")
			return
		}
		done = append(done, name)
		if joined = append(joined, a); q.Method == "public/unsubscribe" {
			if t := v.table[a]; t != nil {
				s.unsubscribe(t)
			}
		}
	}
	list, _ := json.Marshal(done) // strings always marshal
	v.result(s, q.ID, string(list))
	if q.Method == "public/subscribe" {
		for _, a := range joined {
			v.subscribe(s, a)
		}
	}
}

// argument splits a channel's name; streams of the venue as a whole are known,
// and silent.
func (v *deribit) argument(name string) (argument, bool) {
	if name == "platform_state" || strings.HasPrefix(name, "instrument.state.") {
		return argument{Channel: name}, true
	}
	p := strings.Split(name, ".")
	if len(p) < 2 || v.byName[p[1]] == nil {
		return argument{}, false
	}
	a := argument{Channel: p[0], InstID: p[1]}
	switch {
	case p[0] == "quote" && len(p) == 2:
		return a, true
	case slices.Contains([]string{"book", "trades", "ticker"}, p[0]) && len(p) == 3 && (p[2] == "100ms" || p[2] == "raw"):
		a.InstType = p[2]
		return a, true
	}
	return argument{}, false
}

func (v *deribit) result(s *session, id int64, body string) {
	s.reply([]byte(`{"jsonrpc":"2.0","id":` + strconv.FormatInt(id, 10) + `,"result":` + body + `,"testnet":false}`))
}

func (v *deribit) fail(s *session, id int64, code int, message string) {
	s.reply([]byte(`{"jsonrpc":"2.0","id":` + strconv.FormatInt(id, 10) + `,"error":{"code":` + strconv.Itoa(code) +
		`,"message":"` + message + `"},"testnet":false}`))
}

// due sends test requests too, and cuts those who left the last one unanswered.
func (v *deribit) due(now int64, force bool) {
	v.argumentVenue.due(now, force)
	for s, st := range v.sessions {
		select {
		case <-s.done:
			delete(v.sessions, s)
			continue
		default:
		}
		if st.every == 0 || now < st.next || s.silent || s.hush {
			continue
		}
		if st.next = now + st.every; st.asked {
			s.end()
			continue
		}
		st.asked = true
		s.answer(ws.OpText, []byte(`{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}`))
	}
}

func (v *deribit) find(a argument) *instrument { return v.byName[a.InstID] }

func (v *deribit) depth(channel string) int {
	switch channel {
	case "book":
		return 10_000
	case "quote":
		return 1
	}
	return 0
}

func (v *deribit) incremental(string) bool { return true }

func (v *deribit) pace(channel string) time.Duration {
	if channel == "book" {
		return v.srv.o.DepthEvery
	}
	return 0
}

// head begins a push.
func (v *deribit) head(st *stream) []byte {
	name := st.channel + "." + deribitName(st.in)
	if bytes.Contains(st.arg, []byte(`"raw"`)) {
		name += ".raw"
	} else if st.channel != "quote" {
		name += ".100ms"
	}
	return []byte(`{"jsonrpc":"2.0","method":"subscription","params":{"channel":"` + name + `","data":`)
}

func (v *deribit) begin(s *session, st *stream) {
	now := v.srv.m.cfg.Clock.Now().UnixNano()
	switch st.channel {
	case "book":
		push(s, st, kindOther, v.books(st, 0, st.shown.bids, st.shown.asks, now))
	case "quote", "ticker":
		_, p := v.payload(st, now)
		push(s, st, kindOther, p)
	}
}

func (v *deribit) payload(st *stream, now int64) (frameKind, []byte) {
	switch st.channel {
	case "quote":
		return kindOther, v.quote(st, now)
	case "ticker":
		return kindOther, v.ticker(st, now)
	}
	prev := st.last
	bids, asks := st.difference(v.depth("book"))
	if len(bids)+len(asks) == 0 {
		return kindBook, nil
	}
	return kindBook, v.books(st, prev, bids, asks, now)
}

// float appends ,"name":v as the exchange writes floats: at least one decimal.
func float(dst []byte, name string, v int64, decimals int) []byte {
	return appendFloat(append(append(append(dst, `,"`...), name...), `":`...), v, decimals)
}

func appendFloat(dst []byte, v int64, decimals int) []byte {
	from := len(dst)
	dst = appendShort(dst, v, decimals)
	if !bytes.ContainsRune(dst[from:], '.') {
		dst = append(dst, ".0"...)
	}
	return dst
}

// books is a snapshot, where prev is 0, or a change.
func (v *deribit) books(st *stream, prev int64, bids, asks []Level, now int64) []byte {
	d := append(v.head(st), `{"timestamp":`...)
	d = strconv.AppendInt(d, millis(now), 10)
	kind := "snapshot"
	if prev != 0 {
		kind = "change"
		d = integer(d, "prev_change_id", prev)
	}
	d = append(d, `,"type":"`+kind+`"`...)
	d = integer(d, "change_id", st.last)
	d = append(d, `,"instrument_name":"`+deribitName(st.in)+`"`...)
	for i, side := range [][]Level{bids, asks} {
		d = append(d, [...]string{`,"bids":[`, `,"asks":[`}[i]...)
		for n, lv := range side {
			if n > 0 {
				d = append(d, ',')
			}
			verb := "change"
			if prev == 0 {
				verb = "new"
			} else if lv.Size == 0 {
				verb = "delete"
			}
			d = appendFloat(append(d, `["`+verb+`",`...), lv.Price, st.in.priceDecimals)
			d = append(appendFloat(append(d, ','), lv.Size, st.in.sizeDecimals), ']')
		}
		d = append(d, ']')
	}
	return append(d, "}}}"...)
}
