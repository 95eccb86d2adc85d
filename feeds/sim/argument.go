package sim

import (
	"encoding/json"
	"hash/crc32"
	"slices"
	"time"

	"github.com/gobwas/ws"
)

// argument is what Bitget and OKX subscribe by, and repeat in every frame.
type argument struct {
	InstType string `json:"instType,omitempty"` // Bitget's comes first in frames
	Channel  string `json:"channel"`
	InstID   string `json:"instId,omitempty"`
}

// argumentRequest is what clients of both send.
type argumentRequest struct {
	ID   string            `json:"id"`
	Op   string            `json:"op"`
	Args []json.RawMessage `json:"args"`
}

// argumentVenue is what Bitget and OKX have in common: subscriptions by
// arguments, books that begin with a snapshot in band, text pings.
type argumentVenue struct {
	srv   *Server
	style argumentStyle
	table map[argument]*stream
	order []*stream
}

// argumentStyle is where the two differ.
type argumentStyle interface {
	// find says which instrument and channel an argument means.
	find(a argument) *instrument
	// begin sends what a new member gets at once.
	begin(s *session, st *stream)
	// payload is a push of the stream now; nil if there is none, and with
	// update the difference of a book.
	payload(st *stream, now int64) (frameKind, []byte)
	// trades is the push of an event's trades.
	trades(st *stream, trades []Trade, now int64) [][]byte
	// depth is how many levels a book shows on a channel; 0 if it is no book.
	depth(channel string) int
	// incremental says whether a book's pushes are differences.
	incremental(channel string) bool
	// pace is the least time between pushes.
	pace(channel string) time.Duration
}

// subscribe joins a stream and sends its beginning; false if there is none.
func (v *argumentVenue) subscribe(s *session, a argument) bool {
	st := v.table[a]
	if st == nil {
		in := v.style.find(a)
		if in == nil {
			return false
		}
		arg, _ := json.Marshal(a) // strings always marshal
		st = &stream{name: string(arg), channel: a.Channel, arg: arg, in: in, every: int64(v.style.pace(a.Channel))}
		v.table[a] = st
		v.order = append(v.order, st)
	}
	if len(st.members) == 0 {
		// A book without members is not kept up: start afresh.
		if n := v.style.depth(a.Channel); n > 0 {
			st.show(n)
			st.dirty = false
		}
		clear(st.touched[0])
		clear(st.touched[1])
		st.pushed = v.srv.m.cfg.Clock.Now().UnixNano()
	}
	if !slices.Contains(st.members, s) {
		st.members = append(st.members, s)
		s.streams = append(s.streams, st)
	}
	v.style.begin(s, st)
	return true
}

// push sends a payload to one session.
func push(s *session, st *stream, kind frameKind, payload []byte) {
	s.data(st.name, kind, newFrame(ws.OpText, payload))
}

// addressed styles have frames that differ from connection to connection.
type addressed interface {
	// address makes the session's frame of a payload.
	address(s *session, payload []byte) []byte
}

// send delivers a payload to every member of a stream.
func (v *argumentVenue) send(st *stream, kind frameKind, payload []byte) {
	style, own := v.style.(addressed)
	if !own {
		st.deliver(kind, newFrame(ws.OpText, payload))
		return
	}
	for _, s := range st.members {
		push(s, st, kind, style.address(s, payload))
	}
}

func (v *argumentVenue) event(ev *Event) {
	top := topChanged(ev)
	for _, st := range v.order {
		if st.in != ev.in || len(st.members) == 0 {
			continue
		}
		switch n := v.style.depth(st.channel); {
		case n == 1:
			st.dirty = st.dirty || top
		case n > 0:
			st.dirty = true
			st.touch(ev)
		case st.channel == "trade" || st.channel == "trades":
			if len(ev.Trades) == 0 {
				continue
			}
			for _, p := range v.style.trades(st, ev.Trades, ev.Time) {
				v.send(st, kindOther, p)
			}
		default:
			st.dirty = st.dirty || top || len(ev.Trades) > 0
		}
	}
}

func (v *argumentVenue) due(now int64, force bool) {
	for _, st := range v.order {
		if !st.ready(now, force) {
			continue
		}
		if kind, p := v.style.payload(st, now); p != nil {
			st.pushed = now
			v.send(st, kind, p)
		}
	}
}

// touch notes the levels that an event changed, where the stream wants that.
func (st *stream) touch(ev *Event) {
	if st.touched[0] == nil {
		return
	}
	for _, c := range ev.Changes {
		st.touched[sideIndex(c.Bid)][c.Level.Price] = struct{}{}
	}
}

// changes are the levels touched since the last call, with their present sizes,
// best first, those included that are again as they were: whoever has a REST
// snapshot from between the two may need them.
func (st *stream) changes() (bids, asks []Level) {
	var out [2][]Level
	for i, side := range []*ladder{&st.in.bids, &st.in.asks} {
		for price := range st.touched[i] {
			out[i] = append(out[i], side.at(price))
		}
		slices.SortFunc(out[i], func(x, y Level) int {
			if side.better(x.Price, y.Price) {
				return -1
			}
			return 1
		})
		clear(st.touched[i])
	}
	st.last = st.in.seq
	return out[0], out[1]
}

// difference moves what the stream shows on to the present book and returns the
// levels that changed.
func (st *stream) difference(n int) (bids, asks []Level) {
	bids = st.in.bids.diff(nil, st.shown.bids, st.in.bids.top(n))
	asks = st.in.asks.diff(nil, st.shown.asks, st.in.asks.top(n))
	if len(bids)+len(asks) > 0 {
		st.show(n)
	}
	return bids, asks
}

// checksum is the CRC-32 (IEEE) of the first 25 bids and asks, taken in turn as
// price:size with the text that is sent, joined by colons; the longer side goes
// on alone. Both venues document it as a signed number.
func checksum(w window, text func(dst []byte, lv Level) []byte) int32 {
	var b []byte
	add := func(side []Level, i int) {
		if i >= len(side) {
			return
		}
		if len(b) > 0 {
			b = append(b, ':')
		}
		b = text(b, side[i])
	}
	for i := range 25 {
		add(w.bids, i)
		add(w.asks, i)
	}
	return int32(crc32.ChecksumIEEE(b))
}
