package relay

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/gobwas/ws"
	"github.com/prometheus/client_golang/prometheus"

	passthrough "tickrelay/relay/raw"
)

// RawVenue is a venue whose own frames are passed through at /raw/<venue>/….
type RawVenue struct {
	// Venue is its name as in topics, URL where it is reached, default the venue's
	// documented address.
	Venue, URL string
	// TLS is for wss addresses, default the system's authorities.
	TLS *tls.Config
}

// errNoRaw refuses a client whose token does not cover a venue's own frames.
var errNoRaw = errors.New("auth: this venue's own frames are not granted to this token")

// rawPath is where passthrough begins.
const rawPath = "/raw/"

// newRaws makes the hubs of the venues configured.
func newRaws(g *Gateway) ([]*passthrough.Hub, error) {
	var out []*passthrough.Hub
	for _, v := range g.cfg.Raw {
		h, err := passthrough.New(passthrough.Config{Venue: v.Venue, URL: v.URL, TLS: v.TLS, Log: g.cfg.Log, Send: rawSend, Close: rawClose})
		if err != nil {
			return nil, fmt.Errorf("relay: %w", err)
		}
		for _, o := range out {
			if o.Venue() == h.Venue() {
				return nil, fmt.Errorf("relay: raw: %s is there twice", h.Venue())
			}
		}
		out = append(out, h)
	}
	if len(out) > 254 {
		return nil, fmt.Errorf("relay: raw: %d venues: want at most 254", len(out))
	}
	return out, nil
}

// rawSend frames a text once for all clients.
func rawSend(text []byte, to []passthrough.Client) {
	f := textFrame(text)
	for _, x := range to {
		c := x.(*conn) // nothing else is ever entered
		c.shard.inbox.put(delivery{op: deliverAnswer, conn: c, frame: f})
	}
}

func rawClose(x passthrough.Client, code int, reason string) {
	c := x.(*conn)
	c.shard.inbox.put(delivery{op: deliverClose, conn: c, frame: closeFrame(ws.StatusCode(code), reason)})
}

// targetOf splits the target of a request.
func targetOf(head []byte) (path, query string) {
	line, _, _ := bytes.Cut(head, []byte("\r\n"))
	_, rest, _ := bytes.Cut(line, []byte(" "))
	target, _, _ := bytes.Cut(rest, []byte(" "))
	path, query, _ = strings.Cut(string(target), "?")
	return path, query
}

// rawTarget finds the venue that an upgrade asks for: its number from 1, and the path
// behind its name. 0: none.
func (g *Gateway) rawTarget(head []byte) (venue uint8, path, query string) {
	path, query = targetOf(head)
	rest, ok := strings.CutPrefix(path, rawPath)
	if !ok {
		return 0, "", ""
	}
	name, _, _ := strings.Cut(rest, "/")
	for i, h := range g.raws {
		if path = rest[len(name):]; h.Venue() == name && h.Accepts(path) {
			return uint8(i + 1), path, query
		}
	}
	return 0, "", ""
}

// rawText passes a client's message on.
func (s *shard) rawText(c *conn, text []byte) {
	if !s.allowed(c) {
		s.close(c, ws.StatusPolicyViolation, "too many requests", closedRate)
		return
	}
	s.raws[c.raw-1].Text(c, bytes.Clone(text))
}

// rawAdopt enters a client that asked for this target.
func (s *shard) rawAdopt(c *conn, target []byte) {
	path, query, _ := strings.Cut(string(target), "?")
	s.raws[c.raw-1].Open(c, path, query)
}

// rawEnd closes a client as its venue's hub says.
func (s *shard) rawEnd(c *conn, f *frame) {
	s.leaveAll(c)
	c.push(f, nil)
	s.closing(c, closedUpstream)
}

// runRaws runs the hubs, each in a goroutine.
func (g *Gateway) runRaws(ctx context.Context, run func(func())) {
	for _, h := range g.raws {
		run(func() { h.Run(ctx) })
	}
}

// rawMetrics are the counters of passthrough.
func rawMetrics(ch chan<- prometheus.Metric, hubs []*passthrough.Hub) {
	d := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("tickrelay_raw_"+name, help, []string{"venue"}, nil)
	}
	for _, h := range hubs {
		s := &h.Stats
		gauge(ch, d("clients", "Passthrough clients now."), float64(s.Clients.Load()), h.Venue())
		gauge(ch, d("streams", "Streams subscribed to upstream now."), float64(s.Streams.Load()), h.Venue())
		counter(ch, d("connects_total", "Upstream connections made."), s.Connects.Load(), h.Venue())
		counter(ch, d("lost_total", "Upstream connections lost, or not made."), s.Lost.Load(), h.Venue())
		counter(ch, d("frames_total", "Messages received from the venue."), s.Frames.Load(), h.Venue())
		counter(ch, d("deliveries_total", "Messages passed on to clients."), s.Deliveries.Load(), h.Venue())
		counter(ch, d("requests_total", "Messages sent to the venue."), s.Requests.Load(), h.Venue())
		counter(ch, d("refreshes_total", "Streams subscribed to afresh for a new client's snapshot."), s.Refreshes.Load(), h.Venue())
	}
}
