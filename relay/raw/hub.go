package raw

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Client names a client; any comparable value.
type Client any

// Config says which venue to share and how its clients are reached.
type Config struct {
	// Venue is the venue's name as in topics. Binance, OKX, Bitget and Bybit, spot and
	// derivatives, are known.
	Venue string
	// URL is the venue's address, default the documented one.
	URL string
	// TLS is for wss addresses, default the system's authorities.
	TLS *tls.Config
	// Send passes a text message to clients. It keeps the text, which never changes, and
	// must not wait.
	Send func(text []byte, to []Client)
	// Close ends a client's connection. It must not wait.
	Close func(c Client, code int, reason string)
	// Log gets state changes, default: discarded.
	Log *slog.Logger
}

// Close codes (the IANA's registry of WebSocket close codes).
const (
	closeRestart  = 1012 // the upstream connection was lost: subscribe again
	closeTryLater = 1013 // the venue cannot be reached
)

const (
	// refreshEvery is the least time between two snapshots of one stream for new clients.
	refreshEvery = 2 * time.Second
	answerWithin = 10 * time.Second
	pingEvery    = 20 * time.Second
	idleFor      = time.Minute // without a stream, until the upstream connection is given up
	firstBackoff = time.Second
	mostBackoff  = 30 * time.Second
	turn         = 20 * time.Millisecond
	maxAsked     = 200 // streams of one client
)

// Hub shares one venue's connection. Open, Text and Gone may be called from any
// goroutine; Run is called once.
type Hub struct {
	cfg   Config
	d     dialect
	lim   limits
	Stats Stats

	mu    sync.Mutex
	inbox []event
	bell  chan struct{}
	wg    sync.WaitGroup

	clients map[Client]*client
	streams map[string]*stream
	up      *upstream // nil: none
	open    bool      // up is connected
	asked   *asked    // the message to the venue that waits for its answer
	nextID  uint64
	sentAt  time.Time // of the last message to the venue
	pingAt  time.Time
	usedAt  time.Time // when there last was a stream
	dialAt  time.Time // not before
	backoff time.Duration
}

// Stats are counters of a Hub; any goroutine may read them.
type Stats struct {
	Clients, Streams    atomic.Int64
	Connects, Lost      atomic.Uint64 // upstream connections made, and lost
	Frames, Deliveries  atomic.Uint64 // messages from the venue, and to clients
	Requests, Refreshes atomic.Uint64 // messages to the venue, and of these for snapshots
}

type event struct {
	c    Client
	open bool
	gone bool
	bare bool
	keys []string
	text []byte
}

// client is one connection. keys are its streams in the order of asking.
type client struct {
	bare bool
	keys []string
}

// streamState is what the venue knows of a stream.
type streamState uint8

const (
	off streamState = iota
	asking
	on
	dropping
)

type stream struct {
	key     string
	state   streamState
	since   time.Time // on
	refresh bool      // a client waits for a snapshot
	members map[Client]*member
}

type member struct {
	active bool
	waits  *pending // for the acknowledgement
}

// pending is a request of which not all is done.
type pending struct {
	c      Client
	r      request
	left   int
	failed bool
	silent bool // the address asked: nobody waits for an answer
}

// asked is a message that the venue has not answered.
type asked struct {
	subscribe bool
	id        uint64
	keys      []string
	at        time.Time
}

// New checks cfg and starts nothing.
func New(cfg Config) (*Hub, error) {
	h := &Hub{cfg: cfg, d: dialectOf(cfg.Venue), bell: make(chan struct{}, 1), clients: map[Client]*client{}, streams: map[string]*stream{}, backoff: firstBackoff}
	if h.d == nil || defaultURL(cfg.Venue) == "" {
		return nil, fmt.Errorf("raw: %q: no dialect; binance, okx, bitget and bybit have one", cfg.Venue)
	}
	h.lim = h.d.limits()
	if h.cfg.URL == "" {
		h.cfg.URL = defaultURL(cfg.Venue)
	}
	if u, err := url.Parse(h.cfg.URL); err != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
		return nil, fmt.Errorf("raw: %s: url %q: want ws:// or wss://", cfg.Venue, cfg.URL)
	}
	if h.cfg.Log == nil {
		h.cfg.Log = slog.New(slog.DiscardHandler)
	}
	return h, nil
}

// Venue is the venue's name.
func (h *Hub) Venue() string { return h.cfg.Venue }

// Accepts reports whether the venue's dialect knows the path, which is the part behind
// /raw/<venue>.
func (h *Hub) Accepts(path string) bool {
	_, _, ok := dialectOf(h.cfg.Venue).open(path, "")
	return ok
}

// Open enters a client that came to path with query.
func (h *Hub) Open(c Client, path, query string) {
	keys, bare, _ := dialectOf(h.cfg.Venue).open(path, query)
	h.put(event{c: c, open: true, bare: bare, keys: keys})
}

// Text is a message of a client. The Hub keeps it.
func (h *Hub) Text(c Client, text []byte) { h.put(event{c: c, text: text}) }

// Gone forgets a client.
func (h *Hub) Gone(c Client) { h.put(event{c: c, gone: true}) }

func (h *Hub) put(e event) {
	h.mu.Lock()
	h.inbox = append(h.inbox, e)
	h.mu.Unlock()
	select {
	case h.bell <- struct{}{}:
	default:
	}
}

// Run serves until ctx ends.
func (h *Hub) Run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer h.wg.Wait()
	defer cancel()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		var frames chan upEvent
		if h.up != nil {
			frames = h.up.events
		}
		timer.Reset(h.work(ctx, time.Now()))
		select {
		case <-ctx.Done():
		case <-h.bell:
			h.mu.Lock()
			events := h.inbox
			h.inbox = nil
			h.mu.Unlock()
			for i := range events {
				h.event(&events[i])
			}
		case e := <-frames:
			h.upstream(&e)
		case <-timer.C:
		}
		h.Stats.Clients.Store(int64(len(h.clients)))
		h.Stats.Streams.Store(int64(len(h.streams)))
	}
}

func (h *Hub) event(e *event) {
	switch {
	case e.open:
		h.clients[e.c] = &client{bare: e.bare}
		if len(e.keys) > 0 {
			h.subscribe(e.c, request{op: opSubscribe, keys: e.keys, args: e.keys}, true)
		}
	case e.gone:
		h.forget(e.c)
	default:
		if k := h.clients[e.c]; k != nil {
			h.request(e.c, k, h.d.request(e.text, k.bare))
		}
	}
}

func (h *Hub) request(c Client, k *client, r request) {
	switch r.op {
	case opSubscribe:
		h.subscribe(c, r, false)
	case opUnsubscribe:
		for _, key := range r.keys {
			var waits *pending
			if st := h.streams[key]; st != nil && st.members[c] != nil {
				waits = st.members[c].waits
			}
			h.leave(c, k, key)
			if waits != nil {
				h.done(waits, key) // the request before it need not wait for this one
			}
			if h.lim.perKey {
				h.say(c, h.d.ack(&r, key))
			}
		}
		if !h.lim.perKey {
			h.say(c, h.d.ack(&r, ""))
		}
	case opList:
		h.say(c, h.d.listed(&r, k.keys))
	case opMode:
		k.bare = r.bare
	}
	if r.answer != nil {
		h.say(c, r.answer)
	}
}

func (h *Hub) say(c Client, text []byte) { h.cfg.Send(text, []Client{c}) }

func (h *Hub) subscribe(c Client, r request, silent bool) {
	k := h.clients[c]
	p := &pending{c: c, r: r, left: len(r.keys), silent: silent}
	for _, key := range r.keys {
		st := h.streams[key]
		switch {
		case st != nil && st.members[c] != nil:
			h.done(p, key)
			continue
		case len(k.keys) >= maxAsked || st == nil && len(h.streams) >= h.lim.streams:
			h.refused(p, key, "3", "too many streams are subscribed to through this relay")
			continue
		case st == nil:
			st = &stream{key: key, members: map[Client]*member{}}
			h.streams[key] = st
		}
		m := &member{}
		st.members[c] = m
		k.keys = append(k.keys, key)
		if st.state == on && !h.d.snapshots(key) {
			m.active = true
			h.done(p, key)
			continue
		}
		m.waits = p
		st.refresh = st.refresh || st.state == on
	}
}

// done and refused finish one stream of a request.
func (h *Hub) done(p *pending, key string) {
	p.left--
	if !p.silent && (h.lim.perKey || p.left == 0 && !p.failed) {
		h.say(p.c, h.d.ack(&p.r, key))
	}
}

func (h *Hub) refused(p *pending, key, code, text string) {
	p.left--
	if !p.silent && (h.lim.perKey || !p.failed) {
		h.say(p.c, h.d.refuse(&p.r, key, code, text))
	}
	p.failed = true
}

func (h *Hub) leave(c Client, k *client, key string) {
	if st := h.streams[key]; st != nil {
		delete(st.members, c)
	}
	if i := slices.Index(k.keys, key); i >= 0 {
		k.keys = slices.Delete(k.keys, i, i+1)
	}
}

func (h *Hub) forget(c Client) {
	k := h.clients[c]
	if k == nil {
		return
	}
	for _, key := range slices.Clone(k.keys) {
		h.leave(c, k, key)
	}
	delete(h.clients, c)
}

func (h *Hub) end(c Client, code int, reason string) {
	h.forget(c)
	h.cfg.Close(c, code, reason)
}

var errSilent = errors.New("the venue does not answer")
