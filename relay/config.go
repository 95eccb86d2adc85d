package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tickrelay/nettune"
	"tickrelay/relay/auth"
	"tickrelay/ring/md"
)

// Config says how a gateway listens and what it allows its clients. The zero value
// of every field but Table is usable.
type Config struct {
	// Listen is the address of WebSocket and HTTP, default 127.0.0.1:8080.
	// Port 0 takes a free one, see Gateway.Addr.
	Listen string
	// Transport carries the connections, default nettune.KernelTransport.
	Transport nettune.Transport
	// Options are asked for on the listener and its connections, zero: the
	// transport's defaults.
	Options nettune.Options
	// Table names the instruments of the records. Required.
	Table *md.TableView
	// OpenTable opens the instrument table that is there now. It is called, from any
	// goroutine, when a ring that was opened by its path refers to another table than
	// the last one: the relay that wrote it was started anew. nil: such a ring is not
	// read.
	OpenTable func() (*md.TableView, error)
	// Feeds reports the feeds for the page and /readyz. It is called
	// from HTTP goroutines. nil: no feed runs in this process.
	Feeds func() []FeedStatus
	// Alive asks the other loops of this process whether they turn, until ctx ends, for
	// /healthz. It is called from HTTP goroutines. nil: there are none.
	Alive func(ctx context.Context) error
	// Relay is the relay's name and Rings its rings in shared memory, for
	// /api/v1/overview. Rings is called from HTTP goroutines; nil: none are shown.
	Relay string
	Rings func() []RingStatus
	// Log gets state changes, default: discarded.
	Log *slog.Logger
	// Registry collects the metrics of /metrics, default: a new one.
	Registry *prometheus.Registry
	// Shards is the number of fan-out loops, 1 to 64, default GOMAXPROCS.
	Shards int
	// Origins lists the values of the Origin header that may open a WebSocket,
	// for example "https://desk.example". Empty: the origin must be the host
	// that is asked (what browsers call same-origin), or be absent.
	// "*" allows all.
	Origins []string
	// ProxyProtocol are the networks of the proxies that are trusted to name their
	// clients. A connection from one of them must begin with a PROXY protocol
	// header (version 1 or 2), and the address in it is the client's in all limits;
	// one that comes without is refused, and so is a header from anywhere else.
	// Empty: no proxy is trusted.
	ProxyProtocol []netip.Prefix
	// Offender is told of an address, as its packets show it, that failed
	// handshakes or flooded Limits.Offences times within ten seconds; reason is the
	// last one's, as in the metrics of refused and closed connections. IPv6
	// addresses of one /64 count together. Trusted proxies are never reported. It is
	// called from the gateway's loops and must not wait. nil: nobody asks.
	Offender func(addr netip.Addr, reason string)

	// Listener, if not nil, is a listening socket to use instead of a new one: another
	// gateway's, or one of systemd's. Listen is not looked at. Run duplicates it; the
	// caller closes it after New.
	Listener *os.File
	// Hold has Run accept nobody until Gateway.Open is called.
	Hold bool
	// Raw are the venues whose own frames are passed through. None: /raw/ does not exist.
	Raw []RawVenue
	// Auth says whom to let in. nil: everybody, to everything.
	Auth *auth.Config
	// TLS encrypts the port. nil: plain text.
	TLS *TLSConfig

	// Archive is what {"op":"replay"} serves. nil: nothing.
	Archive Archive

	// Deflate offers permessage-deflate (RFC 7692). What is compressed costs the hub
	// some microseconds per KiB, once, however many clients take it.
	Deflate bool

	Limits Limits
}

// Limits bound what clients may cost. Zero fields take the default.
type Limits struct {
	// MaxConns is the number of WebSocket connections, default 16384.
	MaxConns int
	// MaxConnsPerAddr is the number of WebSocket connections of one client address
	// (IPv6: of one /64), default MaxConns.
	MaxConnsPerAddr int
	// Handshakes bounds the new connections per second, of HTTP too, of all clients
	// together, HandshakesPerAddr those of one address; a second's worth may come at
	// once. What is beyond is refused with 429, or closed where it wants TLS. Default 0:
	// no bound.
	Handshakes        int
	HandshakesPerAddr int
	// Offences are the failed handshakes and closings for cause of one address that
	// make it an offender, default 10; see Config.Offender.
	Offences int
	// MaxHTTP is the number of HTTP requests served at a time, default 256.
	MaxHTTP int
	// MaxHead is the size of a request head in bytes, default 8192.
	MaxHead int
	// HeadTimeout bounds the time until the head is complete, default 5 s.
	HeadTimeout time.Duration
	// MaxMessage is the size of a message from a client in bytes, default 65536.
	MaxMessage int
	// MaxTopics is the number of topics per connection, default 8192, and the
	// number of patterns.
	MaxTopics int
	// Requests per second of one connection, default 20, with a burst of
	// RequestBurst, default 100. Beyond it requests are refused with
	// "rate_limited"; a connection that has RequestBurst of them refused is closed.
	Requests     int
	RequestBurst int
	// QueueMessages and QueueBytes bound what waits for one connection, defaults
	// 1024 messages and 4 MiB. One message is always accepted, however large.
	QueueMessages int
	QueueBytes    int
	// SlowTimeout closes a connection whose queue overflowed and was not empty
	// once for this long, default 10 s.
	SlowTimeout time.Duration
	// PingEvery is the time without a word from a client after which it is
	// pinged, default 30 s; PongTimeout closes it when nothing comes back,
	// default 10 s.
	PingEvery   time.Duration
	PongTimeout time.Duration
	// MessageTimeout bounds the time from the first byte of a client's message to its
	// last, default 10 s.
	MessageTimeout time.Duration
	// CloseTimeout bounds the closing handshake, default 2 s.
	CloseTimeout time.Duration
	// DrainTimeout bounds the end of Run, default 5 s.
	DrainTimeout time.Duration
	// HistoryRecords is the number of records that are kept per topic for clients
	// that come back, default 4096 (256 KiB); between half of it and all is held
	// once it is full. HistoryBytes bounds those of all topics, default 64 MiB:
	// topics that appear when it is used up have no history. Negative: none.
	HistoryRecords int
	HistoryBytes   int
	// CandleBytes bounds the memory of all candles, 112 bytes a bar, default
	// 256 MiB; beyond it the older half of a topic's bars goes before its day is
	// over.
	CandleBytes int
	// MaxReplays is the number of replays at a time, of all clients together,
	// default 8. Each holds the books of its topics and at most 1 MiB of messages.
	MaxReplays int
	// ReplayStall closes a connection whose replay waits for it and of which it has
	// read nothing for this long, default 10 min. Until then the past waits.
	ReplayStall time.Duration
	// MaxWindows is the number of different depth and conflate_ms pairs that are
	// kept per topic, default 16.
	MaxWindows int
}

// Bounds of subscription options.
const (
	// MaxDepth is the largest depth of a book window, in levels per side.
	MaxDepth = 1000
	// MaxConflate is the largest conflate_ms.
	MaxConflate = 60_000
)

func (c Config) withDefaults() Config {
	if c.Listen == "" {
		c.Listen = "127.0.0.1:8080"
	}
	if c.Transport == nil {
		c.Transport = nettune.KernelTransport()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	if c.Shards == 0 {
		c.Shards = min(runtime.GOMAXPROCS(0), maxShards)
	}
	c.Limits = c.Limits.withDefaults()
	return c
}

func (l Limits) withDefaults() Limits {
	number := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	span := func(p *time.Duration, v time.Duration) {
		if *p == 0 {
			*p = v
		}
	}
	number(&l.MaxConns, 16384)
	number(&l.MaxConnsPerAddr, l.MaxConns)
	number(&l.Offences, 10)
	number(&l.MaxHTTP, 256)
	number(&l.MaxHead, 8192)
	number(&l.MaxMessage, 64<<10)
	number(&l.MaxTopics, 8192)
	number(&l.Requests, 20)
	number(&l.RequestBurst, 100)
	number(&l.QueueMessages, 1024)
	number(&l.QueueBytes, 4<<20)
	number(&l.MaxWindows, 16)
	number(&l.MaxReplays, 8)
	span(&l.ReplayStall, 10*time.Minute)
	number(&l.HistoryRecords, 4096)
	number(&l.HistoryBytes, 64<<20)
	number(&l.CandleBytes, 256<<20)
	span(&l.HeadTimeout, 5*time.Second)
	span(&l.SlowTimeout, 10*time.Second)
	span(&l.PingEvery, 30*time.Second)
	span(&l.PongTimeout, 10*time.Second)
	span(&l.MessageTimeout, 10*time.Second)
	span(&l.CloseTimeout, 2*time.Second)
	span(&l.DrainTimeout, 5*time.Second)
	return l
}

// maxShards keeps the set of shards with subscribers in one word.
const maxShards = 64

func (c *Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("relay: "+format, args...)) }
	if c.Table == nil {
		bad("no instrument table")
	}
	if _, err := netip.ParseAddrPort(c.Listen); err != nil && c.Listener == nil {
		bad("listen %q: want IP:PORT", c.Listen)
	}
	if c.Shards < 1 || c.Shards > maxShards {
		bad("%d shards: want 1 to %d", c.Shards, maxShards)
	}
	for _, p := range c.ProxyProtocol {
		if !p.IsValid() || p.Bits() == 0 {
			bad("proxy protocol from %s: want the proxies' networks, for instance 10.0.0.7/32; everybody else could name themselves", p)
		}
	}
	if c.TLS != nil && (c.TLS.Cert == "" || c.TLS.Key == "") {
		bad("tls: want a certificate file and a key file")
	}
	l := &c.Limits
	for _, n := range []struct {
		name       string
		value, min int
	}{
		{"max conns", l.MaxConns, 1}, {"max conns per addr", l.MaxConnsPerAddr, 1},
		{"handshakes", l.Handshakes, 0}, {"handshakes per addr", l.HandshakesPerAddr, 0}, {"offences", l.Offences, 1}, {"max http", l.MaxHTTP, 1}, {"max head", l.MaxHead, 256},
		{"max message", l.MaxMessage, 125}, {"max topics", l.MaxTopics, 1}, {"requests", l.Requests, 1},
		{"request burst", l.RequestBurst, 1}, {"queue messages", l.QueueMessages, 8},
		{"queue bytes", l.QueueBytes, 4096}, {"max windows", l.MaxWindows, 1}, {"max replays", l.MaxReplays, 1},
	} {
		if n.value < n.min {
			bad("limit %s = %d: want at least %d", n.name, n.value, n.min)
		}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"head timeout", l.HeadTimeout}, {"slow timeout", l.SlowTimeout}, {"ping every", l.PingEvery},
		{"pong timeout", l.PongTimeout}, {"message timeout", l.MessageTimeout}, {"close timeout", l.CloseTimeout}, {"replay stall", l.ReplayStall}, {"drain timeout", l.DrainTimeout},
	} {
		if d.value < 0 {
			bad("limit %s = %s: want a positive time", d.name, d.value)
		}
	}
	return errors.Join(errs...)
}
