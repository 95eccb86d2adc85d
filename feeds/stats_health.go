package feeds

import (
	"sync"
	"sync/atomic"
	"time"
)

// LineState is where a line is in its life.
type LineState uint8

// States of a line, in the order in which they are passed.
const (
	LineIdle        LineState = iota // not started, or stopped
	LineBackoff                      // waiting before the next attempt
	LineResolving                    // looking up the host's addresses
	LineDialling                     // TCP handshake
	LineProxy                        // asking an outbound proxy for a tunnel
	LineTLS                          // TLS handshake
	LineHandshaking                  // WebSocket upgrade
	LineLive                         // connected; subscriptions sent or being sent
)

var lineStateNames = [...]string{"idle", "backoff", "resolving", "dialling", "proxy", "tls", "handshaking", "live"}

// String returns the state's name in lower case.
func (s LineState) String() string {
	if int(s) < len(lineStateNames) {
		return lineStateNames[s]
	}
	return "unknown"
}

// Health is a picture of a feed at one moment.
type Health struct {
	Name  string // of the feed
	Venue string
	URL   string
	State string // "live" if a line is, else the state of the line that is furthest

	Lines []LineHealth

	Circuit bool // the venue refuses every connection: one line at a time goes on trying

	Catalogue    string // "none", "cached", "fetched" or "failed: …"
	Instruments  int    // in the catalogue in use, 0 without one
	CatalogueAt  int64  // wall ns at which it was read, 0 without one
	RESTRequests uint64
	RESTFailures uint64

	Latency Latency // venue's event time to reception, last 5 s
	Publish Latency // reception to publication in the rings, last 5 s
}

// LineHealth is the picture of one connection.
type LineHealth struct {
	Line  int // as configured, from 0
	Part  int // of the subscriptions that the connection carries
	State LineState
	Since int64 // wall ns of the last change of State

	Remote    string        // address last dialled
	Options   []string      // socket options that were really granted: "nodelay=1", "rcvbuf=131072"
	Attempts  uint64        // look-ups begun, each followed by one dial or more
	Connects  uint64        // WebSocket connections made
	LastFault string        // why the last attempt or connection ended: a key of Faults, "" if none did
	LastError string        // the same in full
	LastAt    int64         // wall ns of that
	Retry     time.Duration // delay of the attempt that is waited for, 0 if none is

	Frames    uint64 // messages read
	Bytes     uint64 // in them
	Sent      uint64 // messages sent
	LastFrame int64  // wall ns at which bytes last came, 0 if none did

	Faults map[string]uint64 // ended attempts and connections by reason; every reason is present
}

// Latency holds percentiles of the last seconds in ns, at most 1/16 too high.
type Latency struct {
	Count    uint64 // samples that were not negative
	Negative uint64 // samples below zero (clocks differ): in no percentile
	P50, P99 int64
	Max      int64
}

// feedStats is what a loop tells about itself beside its lines.
type feedStats struct {
	restRequests, restFailures atomic.Uint64
	receive, publish           latencyWindow

	circuit atomic.Bool

	mu          sync.Mutex
	lines       []*session
	state       string
	instruments int
	at          int64
}

// setLines tells which connections there are; those that are made to relieve
// another are shown once they have.
func (h *feedStats) setLines(list []*session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = nil
	for _, s := range list {
		if s.relieves == nil {
			h.lines = append(h.lines, s)
		}
	}
}

func (h *feedStats) catalogue(state string, instruments int, wall int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state, h.instruments, h.at = state, instruments, wall
}

// catalogueFailed keeps the figures of the catalogue in use.
func (h *feedStats) catalogueFailed(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state = "failed: " + err.Error()
}

// Health returns a picture of the feed. Any goroutine may call it.
func (f *Feed) Health() Health {
	l := f.loop
	h := Health{Name: f.cfg.Name, Venue: l.spec.Name, URL: f.cfg.URL,
		RESTRequests: l.health.restRequests.Load(), RESTFailures: l.health.restFailures.Load()}
	h.Circuit = l.health.circuit.Load()
	best := LineIdle
	l.health.mu.Lock()
	lines := l.health.lines
	l.health.mu.Unlock()
	for _, s := range lines {
		line := s.stats.health(s.index, s.part)
		best = max(best, line.State)
		h.Lines = append(h.Lines, line)
	}
	if len(lines) == 0 { // they wait for the catalogue
		for i := range f.cfg.Lines {
			h.Lines = append(h.Lines, new(lineStats).health(i, 0))
		}
	}
	h.State = best.String()
	_, mono := f.cfg.Clock()
	h.Latency, h.Publish = l.health.receive.read(mono), l.health.publish.read(mono)
	l.health.mu.Lock()
	defer l.health.mu.Unlock()
	h.Catalogue, h.Instruments, h.CatalogueAt = l.health.state, l.health.instruments, l.health.at
	if h.Catalogue == "" {
		h.Catalogue = "none"
	}
	return h
}
