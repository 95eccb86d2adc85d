package relay

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"tickrelay/nettune"
	"tickrelay/relay/auth"
)

// acceptor accepts connections, reads the head of their first request within bounds
// of size and time, and passes them on: WebSocket upgrades to a shard, the rest to
// HTTP. One goroutine; a slow client costs it a small buffer.
type acceptor struct {
	g        *Gateway
	poller   nettune.Poller
	listener nettune.Listener
	tls      *tls.Config // nil: plain text only
	stats    acceptStats
	heads    []*head // in the order of their deadlines; done ones are skipped
	buf      []byte
	next     int              // shard that gets the next connection
	left     []nettune.Stream // that were finished while this Poll's events were served
}

// head is a request head that is being read.
type head struct {
	stream   nettune.Stream
	bytes    []byte
	deadline time.Time
	client   netip.Addr // as its proxy says, if it came through one
	trusted  bool       // the peer is a proxy that must say so
	direct   bool       // bytes are the client's own: that was dealt with
	sniffed  bool       // TLS or plain text: that was decided
	done     bool
}

// maxHeads bounds the heads being read; beyond it the oldest is given up.
const maxHeads = 4096

func newAcceptor(g *Gateway) (*acceptor, error) {
	var addr netip.AddrPort
	var err error
	if g.cfg.Listener == nil {
		if addr, err = netip.ParseAddrPort(g.cfg.Listen); err != nil {
			return nil, fmt.Errorf("relay: listen %q: %w", g.cfg.Listen, err)
		}
	}
	p, err := g.cfg.Transport.NewPoller(nettune.PollerConfig{})
	if err != nil {
		return nil, fmt.Errorf("relay: listen %s: %w", addr, err)
	}
	l, err := p.Listen(nettune.ListenOptions{Addr: addr, Options: g.cfg.Options, Inherited: g.cfg.Listener})
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("relay: listen %s: %w", addr, err)
	}
	return &acceptor{g: g, poller: p, listener: l, buf: make([]byte, g.cfg.Limits.MaxHead+1)}, nil
}

// run is the acceptor's goroutine.
func (a *acceptor) run(ctx context.Context) error {
	defer a.poller.Close()
	stop := context.AfterFunc(ctx, a.poller.Wake)
	defer stop()
	if !a.held(ctx) {
		return nil
	}
	var events []nettune.Event
	for ctx.Err() == nil {
		var err error
		events, err = a.poller.Poll(events[:0], a.wait())
		if err != nil {
			return fmt.Errorf("relay: accept: %w", err)
		}
		a.left = a.left[:0]
		for i := range events {
			if e := &events[i]; e.Flags&nettune.Accept != 0 {
				if !a.g.retired.Load() {
					a.accept()
				}
			} else if slices.Contains(a.left, e.Stream) {
				continue // named twice (TLS), and a shard's by now
			} else if h, _ := e.Stream.Data().(*head); h != nil && !h.done {
				if e.Flags&nettune.Closed != 0 {
					a.refuse(h, refusedTLS, "") // the handshake failed
					continue
				}
				a.read(h)
			}
		}
		clear(events)
		clear(a.left)
		a.expire(time.Now())
		if a.g.retired.Load() {
			a.listener.Close() // once; who takes over has the socket too
		}
	}
	for _, h := range a.heads {
		a.refuse(h, refusedLost, "")
	}
	return nil
}

// wait is the time until the first head is late.
func (a *acceptor) wait() time.Duration {
	for len(a.heads) > 0 && a.heads[0].done {
		a.heads[0] = nil
		a.heads = a.heads[1:]
	}
	if len(a.heads) == 0 {
		return -1
	}
	return max(0, time.Until(a.heads[0].deadline)) + time.Millisecond
}

func (a *acceptor) expire(now time.Time) {
	for len(a.heads) > 0 && (a.heads[0].done || now.After(a.heads[0].deadline) ||
		a.stats.pending.Load() > maxHeads) {
		a.refuse(a.heads[0], refusedHead, "408 Request Timeout")
		a.heads[0] = nil
		a.heads = a.heads[1:]
	}
}

func (a *acceptor) accept() {
	for range 64 {
		s, err := a.listener.Accept()
		if errors.Is(err, nettune.ErrWouldBlock) {
			return
		}
		if err != nil {
			// Out of descriptors, most likely: let some be closed.
			a.g.cfg.Log.Warn("accept failed", "error", err)
			time.Sleep(10 * time.Millisecond)
			return
		}
		a.stats.accepted.Add(1)
		a.stats.pending.Add(1)
		peer := s.RemoteAddr().Addr()
		h := &head{stream: s, deadline: time.Now().Add(a.g.cfg.Limits.HeadTimeout), client: peer, trusted: a.g.trusted(peer)}
		s.SetData(h)
		a.heads = append(a.heads, h)
	}
}

// read takes more of a head and passes the connection on when it is complete.
func (a *acceptor) read(h *head) {
	room := a.g.cfg.Limits.MaxHead - len(h.bytes)
	n, _, err := h.stream.Read(a.buf[:room+1])
	if n > 0 {
		from := max(0, len(h.bytes)-3)
		h.bytes = append(h.bytes, a.buf[:n]...)
		if !h.direct && a.proxied(h) {
			from = 0
		}
		if h.direct && !h.sniffed && len(h.bytes) > 0 && (a.tooFast(h) || !a.sniff(h)) {
			return
		}
		if end := bytes.Index(h.bytes[from:], []byte("\r\n\r\n")); end >= 0 && h.direct && !h.done {
			a.complete(h, from+end+4)
			h.bytes = nil
			return
		}
	}
	switch {
	case len(h.bytes) > a.g.cfg.Limits.MaxHead:
		a.refuse(h, refusedHead, "431 Request Header Fields Too Large")
	case err != nil && !errors.Is(err, nettune.ErrWouldBlock):
		a.refuse(h, refusedLost, "")
	}
}

func (a *acceptor) complete(h *head, end int) {
	venue, path, query := a.g.rawTarget(h.bytes[:end])
	if isUpgrade(h.bytes[:end]) || venue != 0 && wantsUpgrade(h.bytes[:end]) {
		a.upgrade(h, end, venue, path+"?"+query)
		return
	}
	if !a.g.http.enter() {
		a.refuse(h, refusedFull, "503 Service Unavailable")
		return
	}
	a.finish(h)
	c, err := nettune.NetConn(h.stream, h.bytes)
	if err != nil {
		a.g.http.leave()
		a.stats.refused[refusedLost].Add(1)
		return
	}
	a.g.http.serve(c)
}

func (a *acceptor) finish(h *head) {
	h.done = true
	h.stream.SetData(nil)
	a.left = append(a.left, h.stream)
	a.stats.pending.Add(-1)
}

// refuse ends a connection, with an HTTP status line if there is one to give.
func (a *acceptor) refuse(h *head, reason refuseReason, status string) {
	if h.done {
		return
	}
	a.finish(h)
	a.stats.refused[reason].Add(1)
	a.g.offenders.refused(h.stream, reason)
	if status != "" {
		// A fresh socket takes this at once, or is not worth waiting for.
		_, _ = h.stream.Write([]byte("HTTP/1.1 " + status + "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
	}
	h.stream.Close()
}

// upgrade answers a WebSocket handshake and hands the stream to a shard. venue and
// target are what a passthrough client asks for.
func (a *acceptor) upgrade(h *head, end int, venue uint8, target string) {
	if a.g.connections() >= a.g.cfg.Limits.MaxConns {
		a.refuse(h, refusedFull, "503 Service Unavailable")
		return
	}
	if !a.g.clients.enter(h.client) {
		a.refuse(h, refusedClient, "429 Too Many Requests")
		return
	}
	var grant *auth.Grant
	live := a.g.live.Load()
	f, answer, err := handshake(h.bytes[:end], live.origins, live.deflate && venue == 0, func(token string) (err error) {
		grant, err = a.g.admit(token)
		if err == nil && venue != 0 && !grant.Raw(a.g.raws[venue-1].Venue()) {
			err = errNoRaw
		}
		return err
	})
	n, werr := h.stream.Write(answer)
	a.finish(h)
	switch {
	case errors.Is(err, errOrigin):
		a.stats.refused[refusedOrigin].Add(1)
	case errors.Is(err, errUnauthorized):
		a.stats.refused[refusedToken].Add(1)
		a.g.offenders.refused(h.stream, refusedToken)
	case err != nil:
		a.stats.refused[refusedUpgrade].Add(1)
		a.g.offenders.refused(h.stream, refusedUpgrade)
	case n < len(answer) || werr != nil:
		err = errors.Join(werr, errors.New("answer not taken"))
		a.stats.refused[refusedLost].Add(1)
	default:
		err = a.poller.Release(h.stream)
	}
	if err != nil {
		a.g.clients.leave(h.client)
		h.stream.Close()
		return
	}
	s := a.g.shards[a.next%len(a.g.shards)]
	a.next++
	a.g.upgraded.Add(1)
	rest := append([]byte(nil), h.bytes[end:]...)
	c := &conn{stream: h.stream, client: h.client, shard: s, format: f, raw: venue, grant: grant, in: rest}
	c.asm.deflate = f.deflates()
	s.inbox.put(delivery{op: deliverAdopt, conn: c, frame: &frame{data: []byte(target)}})
}
