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

// bitfinex speaks Bitfinex's public data, WebSocket API v2
// (https://docs.bitfinex.com/docs/ws-general and the pages of the channels).
type bitfinex struct {
	srv      *Server
	byName   map[string]*instrument // tBTCUST
	table    map[argument]*stream
	order    []*stream
	sessions map[*session]*bitfinexSession
	numbers  int // the last channel number given out
}

// bitfinexSession is what the exchange knows of a connection.
type bitfinexSession struct {
	flags int
	seq   int64
	ids   map[*stream]int
}

// Flags that clients ask for.
const (
	bitfinexTimes     = 32768
	bitfinexSequence  = 65536
	bitfinexChecksums = 131072
)

func newBitfinex(s *Server) *bitfinex {
	v := &bitfinex{srv: s, byName: map[string]*instrument{}, table: map[argument]*stream{},
		sessions: map[*session]*bitfinexSession{}, numbers: 200_000}
	for _, in := range s.listed() {
		v.byName[bitfinexName(in)] = in
	}
	return v
}

// isBitfinex holds for BASE-QUOTE and perpetuals.
func isBitfinex(symbol string) bool {
	return isSpot(symbol) || strings.Count(symbol, "-") == 2 && strings.HasSuffix(symbol, "-PERP")
}

func bitfinexName(in *instrument) string {
	quote := in.quote
	if quote == "USDT" {
		quote = "UST"
	}
	switch {
	case in.suffix != "":
		return "t" + in.base + "F0:" + quote + "F0"
	case len(in.base) == 3 && len(quote) == 3:
		return "t" + in.base + quote
	}
	return "t" + in.base + ":" + quote
}

func (v *bitfinex) home() string           { return "/ws/2" }
func (v *bitfinex) rate() int              { return 0 }
func (v *bitfinex) silence() time.Duration { return 0 }
func (v *bitfinex) notice() []byte {
	return []byte(`{"event":"info","code":20051,"msg":"Stopping. Please try to reconnect"}`)
}

func (v *bitfinex) open(_ *session, r *http.Request) bool { return r.URL.Path == v.home() }

func (v *bitfinex) opened(s *session) {
	v.sessions[s] = &bitfinexSession{ids: map[*stream]int{}}
	s.reply([]byte(`{"event":"info","version":2,"serverId":"00000000-0000-4000-8000-000000000000","platform":{"status":1}}`))
}

func (v *bitfinex) supports(f Fault) error {
	if f == FaultRESTStale {
		return errors.New("books begin in band")
	}
	return nil
}

// bitfinexRequest is what clients send.
type bitfinexRequest struct {
	Event, Channel, Symbol, Prec, Freq, Len, Key string
	Flags, ChanID                                int
}

func (v *bitfinex) text(s *session, msg []byte) {
	var q bitfinexRequest
	if json.Unmarshal(msg, &q) != nil {
		v.fail(s, 10000, "Unknown event")
		return
	}
	ss := v.sessions[s]
	if ss == nil {
		return
	}
	switch q.Event {
	case "ping":
		s.answer(ws.OpText, []byte(`{"event":"pong","ts":`+strconv.FormatInt(millis(v.now()), 10)+`}`))
	case "conf":
		ss.flags = q.Flags
		s.reply([]byte(`{"event":"conf","status":"OK","flags":` + strconv.Itoa(q.Flags) + `}`))
	case "subscribe":
		v.subscribe(s, ss, &q)
	case "unsubscribe":
		for st, id := range ss.ids {
			if id == q.ChanID {
				s.unsubscribe(st)
				delete(ss.ids, st)
				s.reply([]byte(`{"event":"unsubscribed","status":"OK","chanId":` + strconv.Itoa(id) + `}`))
				return
			}
		}
		v.fail(s, 10400, "unsubscribe: invalid")
	default:
		v.fail(s, 10000, "Unknown event")
	}
}

func (v *bitfinex) now() int64 { return v.srv.m.cfg.Clock.Now().UnixNano() }

func (v *bitfinex) fail(s *session, code int, why string) {
	s.reply([]byte(`{"event":"error","msg":"` + why + `","code":` + strconv.Itoa(code) + `}`))
}

func (v *bitfinex) subscribe(s *session, ss *bitfinexSession, q *bitfinexRequest) {
	a := argument{Channel: q.Channel, InstID: q.Symbol}
	detail := `"symbol":"` + q.Symbol + `"`
	switch q.Channel {
	case "trades", "ticker":
	case "book":
		if q.Prec != "P0" || q.Freq != "F0" || q.Len != "250" {
			v.fail(s, 10300, "only P0, F0 and 250 are simulated")
			return
		}
		detail += `,"prec":"P0","freq":"F0","len":"250"`
	case "status":
		a.InstID = strings.TrimPrefix(q.Key, "deriv:")
		detail = `"key":"` + a.InstID + `"`
		if a.InstID != q.Key {
			detail = `"key":"deriv:` + a.InstID + `"`
		}
	default:
		v.fail(s, 10302, "channel: unknown")
		return
	}
	in := v.byName[a.InstID]
	if in == nil && q.Key != "liq:global" {
		v.fail(s, 10300, "symbol: invalid")
		return
	}
	st := v.table[a]
	if st == nil {
		st = &stream{name: a.Channel + " " + a.InstID, channel: a.Channel, in: in}
		if a.Channel == "book" {
			st.every = int64(v.srv.o.DepthEvery)
		}
		v.table[a] = st
		v.order = append(v.order, st)
	}
	if ss.ids[st] != 0 {
		v.fail(s, 10301, "subscribe: dup")
		return
	}
	v.numbers++
	ss.ids[st] = v.numbers
	s.reply([]byte(`{"event":"subscribed","channel":"` + a.Channel + `","chanId":` + strconv.Itoa(v.numbers) + `,` + detail + `}`))
	if in == nil {
		return // the market forces nobody
	}
	if len(st.members) == 0 {
		st.show(bitfinexDepth)
		st.dirty = false
	}
	st.members = append(st.members, s)
	s.streams = append(s.streams, st)
	v.begin(s, st)
}

// bitfinexDepth is how many levels of each side a book shows.
const bitfinexDepth = 250

func (v *bitfinex) begin(s *session, st *stream) {
	switch st.channel {
	case "book":
		d := []byte("[")
		for n, lv := range append(bitfinexSide(st.shown.bids, true), bitfinexSide(st.shown.asks, false)...) {
			if n > 0 {
				d = append(d, ',')
			}
			d = lv.append(d, st.in)
		}
		v.send(s, st, kindOther, string(append(d, ']')))
		v.checksum(s, st)
	case "trades":
		t := st.in.history[len(st.in.history)-1]
		v.send(s, st, kindOther, "["+bitfinexTrade(st.in, t)+"]")
	default:
		v.send(s, st, kindOther, v.values(st))
	}
}

// send completes a frame with the connection's number, and the time.
func (v *bitfinex) send(s *session, st *stream, kind frameKind, body string) {
	ss := v.sessions[s]
	if ss == nil { // it has ended
		return
	}
	d := append([]byte("["+strconv.Itoa(ss.ids[st])+","), body...)
	if ss.flags&bitfinexSequence != 0 {
		ss.seq++
		d = strconv.AppendInt(append(d, ','), ss.seq, 10)
	}
	if ss.flags&bitfinexTimes != 0 {
		d = strconv.AppendInt(append(d, ','), millis(v.now()), 10)
	}
	s.data(st.name, kind, newFrame(ws.OpText, append(d, ']')))
}

func (v *bitfinex) checksum(s *session, st *stream) {
	if ss := v.sessions[s]; ss != nil && ss.flags&bitfinexChecksums != 0 {
		v.send(s, st, kindBook, `"cs",`+strconv.FormatInt(int64(bitfinexChecksum(st.shown, st.in)), 10))
	}
}

// bitfinexChecksum is the CRC-32 of 25 levels, bids and asks in turn.
func bitfinexChecksum(w window, in *instrument) int32 {
	var b []byte
	add := func(side []Level, i int, sign string) {
		if i < len(side) {
			b = append(appendShort(b, side[i].Price, in.priceDecimals), ':')
			b = append(appendShort(append(b, sign...), side[i].Size, in.sizeDecimals), ':')
		}
	}
	for i := range 25 {
		add(w.bids, i, "")
		add(w.asks, i, "-")
	}
	return int32(crc32.ChecksumIEEE(b[:max(0, len(b)-1)]))
}

func (v *bitfinex) event(ev *Event) {
	top := topChanged(ev)
	for _, st := range v.order {
		if st.in != ev.in || len(st.members) == 0 {
			continue
		}
		switch st.channel {
		case "book":
			st.dirty = true
		case "trades":
			for _, t := range ev.Trades {
				for _, s := range st.members {
					v.send(s, st, kindOther, `"te",`+bitfinexTrade(st.in, t))
					v.send(s, st, kindOther, `"tu",`+bitfinexTrade(st.in, t))
				}
			}
		default:
			st.dirty = st.dirty || top || len(ev.Trades) > 0
		}
	}
}

func (v *bitfinex) due(now int64, force bool) {
	for s := range v.sessions {
		select {
		case <-s.done:
			delete(v.sessions, s)
		default:
		}
	}
	for _, st := range v.order {
		if !st.ready(now, force && st.channel == "book") {
			continue
		}
		if st.channel != "book" {
			for _, s := range st.members {
				v.send(s, st, kindOther, v.values(st))
			}
			continue
		}
		bids, asks := st.difference(bitfinexDepth)
		changes := append(bitfinexSide(bids, true), bitfinexSide(asks, false)...)
		slices.SortStableFunc(changes, func(a, b bitfinexLevel) int { // what goes first leaves no crossed book between
			return min(int(a.Size), 1) - min(int(b.Size), 1)
		})
		for _, s := range st.members {
			for _, lv := range changes {
				v.send(s, st, kindBook, string(lv.append(nil, st.in)))
			}
			if len(changes) > 0 {
				v.checksum(s, st)
			}
		}
	}
}
