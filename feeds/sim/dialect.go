package sim

import (
	"net/http"
	"time"
)

// dialect is what an exchange says on its connections. All calls hold the
// server's lock; rate, home, notice and busy are constant.
type dialect interface {
	// home is the path of the WebSocket address.
	home() string
	// open prepares a session for the path and query that the client asked
	// for; false is no WebSocket path. It sends nothing yet.
	open(s *session, r *http.Request) bool
	// opened runs when the session can be sent to.
	opened(s *session)
	// text is a message of the client.
	text(s *session, msg []byte)
	// event is an event of the market.
	event(ev *Event)
	// due sends what time makes due, all pending book updates if force.
	due(now int64, force bool)
	// book is the published book of an instrument.
	book(in *instrument) Book
	// answer is the REST answer, status 404 where there is none; stale asks for
	// the book of old.
	answer(r *http.Request, stale bool) (status int, body []byte)
	// busy is the body of an answer with status 429.
	busy() []byte
	// notice announces a shutdown, nil if the venue has no such message.
	notice() []byte
	// rate is how many messages per second a client may send, 0 for no limit.
	rate() int
	// silence is how long a client may be without sending anything, 0 for ever.
	silence() time.Duration
	// supports says why a fault makes no sense here, or nil.
	supports(f Fault) error
}

// stream is one channel of one instrument, and who gets it.
type stream struct {
	name    string
	channel string
	arg     []byte // how the venue names it in frames
	in      *instrument
	members []*session

	every int64 // ns between pushes, 0 for as it happens
	next  int64 // ns, earliest next push
	dirty bool  // there is something to push

	last    int64 // number of the last change published
	touched [2]map[int64]struct{}
	shown   window
	pushed  int64 // ns, when the last frame was sent
}

// window is the part of a book that was published last.
type window struct {
	bids, asks []Level
}

// ready says whether the stream has something to send that is due at now, and
// if so when the next will be.
func (st *stream) ready(now int64, force bool) bool {
	early := now < st.next && now >= st.next-st.every // and not a clock that was set back
	if len(st.members) == 0 || !st.dirty || early && !force {
		return false
	}
	st.dirty, st.next = false, now+st.every
	return true
}

// show replaces what is published by the first n levels of the book.
func (st *stream) show(n int) {
	st.shown.bids = append(st.shown.bids[:0], st.in.bids.top(n)...)
	st.shown.asks = append(st.shown.asks[:0], st.in.asks.top(n)...)
	st.last = st.in.seq
}

// deliver sends one frame to every member.
func (st *stream) deliver(kind frameKind, frame wireFrame) {
	for _, s := range st.members {
		s.data(st.name, kind, frame)
	}
}

// topChanged says whether an event changed the best level of a side.
func topChanged(ev *Event) bool {
	for _, c := range ev.Changes {
		side := &ev.in.asks
		if c.Bid {
			side = &ev.in.bids
		}
		if best := side.best(); c.Level.Price == best || side.better(c.Level.Price, best) {
			return true
		}
	}
	return false
}

// millis is the time as venues write it.
func millis(ns int64) int64 { return ns / int64(time.Millisecond) }
