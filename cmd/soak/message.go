package soak

import (
	"bufio"
	"encoding/json"
	"io"
	"sync"
	"time"
)

// message is what the processes of a soak tell the one that started them, one
// JSON line each; order is the other direction.
type message struct {
	Type string `json:"type"` // ready, frozen, done, stats, violation, compared, failed

	Venues   []venueInfo `json:"venues,omitempty"`   // ready, of the exchanges
	Path     string      `json:"path,omitempty"`     // frozen: the file of the true books
	N        int         `json:"n,omitempty"`        // frozen, done, compared: the order's
	Error    string      `json:"error,omitempty"`    // failed, done
	Reader   *readerStat `json:"reader,omitempty"`   // stats
	Exchange *simStat    `json:"exchange,omitempty"` // stats
	Found    *Violation  `json:"found,omitempty"`    // violation
	Compared *comparison `json:"compared,omitempty"` // compared
}

// order is what a process is told, one JSON line each.
type order struct {
	Op     string        `json:"op"` // rate, inject, restart, step, freeze, resume, compare
	N      int           `json:"n,omitempty"`
	Rate   float64       `json:"rate,omitempty"` // events per second
	Venue  string        `json:"venue,omitempty"`
	Fault  string        `json:"fault,omitempty"`
	Offset time.Duration `json:"offset,omitempty"`
	Path   string        `json:"path,omitempty"`
	Since  int64         `json:"since,omitempty"` // freeze: ns since 1970 UTC, from when all was whole
}

// venueInfo is a simulated exchange.
type venueInfo struct {
	Name    string   `json:"name"`
	URL     string   `json:"url"`
	REST    string   `json:"rest"`
	Symbols []string `json:"symbols"`
	Faults  []string `json:"faults"` // that it can have
}

// simStat are the exchanges' counters.
type simStat struct {
	Events     uint64            `json:"events"`
	Sessions   int               `json:"sessions"`
	Mute       []string          `json:"mute,omitempty"` // venues of those
	Withheld   int               `json:"withheld"`       // connections that a fault keeps from data, until their client leaves them
	Accepted   int               `json:"accepted"`
	Slow       uint64            `json:"slow"`
	Injected   map[string]uint64 `json:"injected"`
	Keys       uint64            `json:"keys"`
	Goroutines int               `json:"goroutines"`
}

// readerStat is what one process of readers has seen since its start, its
// latencies since the last one.
type readerStat struct {
	Records    uint64            `json:"records"`  // and messages, of JSON clients
	Trades     uint64            `json:"trades"`   // new ones
	Gaps       map[string]uint64 `json:"gaps"`     // by reason
	Sessions   uint64            `json:"sessions"` // attachments or connections
	Live       int               `json:"live"`     // books that are whole
	Books      int               `json:"books"`
	Goroutines int               `json:"goroutines"`
	Latency    latency           `json:"latency"`
	Checks     tally             `json:"checks"`
}

// latency are percentiles in µs, from the receipt at the host to a reader.
type latency struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
}

// Violation is an invariant that did not hold.
type Violation struct {
	Invariant Invariant `json:"invariant"`
	Time      time.Time `json:"time"`
	Into      float64   `json:"into_s"` // seconds into the run
	Who       string    `json:"who"`    // process, or reader within it
	Topic     string    `json:"topic,omitempty"`
	What      string    `json:"what"`
	During    string    `json:"during,omitempty"` // the last faults before it
}

// comparison is how the books, last trades and quotes of a process are, beside the true ones.
type comparison struct {
	Books  int    `json:"books"`  // compared
	Levels int    `json:"levels"` // of them
	Why    string `json:"why,omitempty"`
	// Wrong are the topics whose books are whole and yet not the exchange's.
	Wrong []string `json:"wrong,omitempty"`
	Lasts int      `json:"lasts"` // trades and quotes compared
	// Late are the topics whose last trade or quote is not the exchange's.
	Late []string `json:"late,omitempty"`
}

// talk writes messages to stdout, from any goroutine.
type talk struct {
	mu  sync.Mutex
	enc *json.Encoder
}

func newTalk(w io.Writer) *talk { return &talk{enc: json.NewEncoder(w)} }

func (t *talk) say(m message) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_ = t.enc.Encode(m) // nobody listens any more: the end is near
}

// orders reads what a process is told; the channel closes when nobody will tell
// anything any more.
func orders(r io.Reader) <-chan order {
	ch := make(chan order, 16)
	go func() {
		defer close(ch)
		s := bufio.NewScanner(r)
		for s.Scan() {
			var o order
			if json.Unmarshal(s.Bytes(), &o) == nil {
				ch <- o
			}
		}
	}()
	return ch
}
