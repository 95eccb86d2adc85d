package relay

import (
	"net/netip"
	"time"
)

// rates bound new connections per second, of all clients together and of each address.
// A second's worth may come at once. The acceptor's goroutine alone uses it.
type rates struct {
	all, each time.Duration // between two connections in the long run, 0: no bound

	next time.Time // when a connection would be due, had all come evenly
	due  map[netip.Addr]time.Time
}

// maxRated bounds the addresses that are remembered. Whoever is forgotten has a
// second's worth again.
const maxRated = 1 << 16

func newRates(l Limits) *rates {
	r := &rates{due: map[netip.Addr]time.Time{}}
	if l.Handshakes > 0 {
		r.all = time.Second / time.Duration(l.Handshakes)
	}
	if l.HandshakesPerAddr > 0 {
		r.each = time.Second / time.Duration(l.HandshakesPerAddr)
	}
	return r
}

// allow reports whether a client may connect now, and counts it if so. Addresses are
// counted as for the number of connections: IPv6 by its /64.
func (r *rates) allow(client netip.Addr, now time.Time) bool {
	p := party(client)
	next, one := later(r.next, now), later(r.due[p], now)
	if r.all > 0 && next.Sub(now) > time.Second-r.all || r.each > 0 && one.Sub(now) > time.Second-r.each {
		return false
	}
	r.next = next.Add(r.all)
	if r.each == 0 {
		return true
	}
	if len(r.due) >= maxRated {
		r.forget(now)
	}
	r.due[p] = one.Add(r.each)
	return true
}

// forget makes room: those who may connect at will anyway, else everybody.
func (r *rates) forget(now time.Time) {
	for p, t := range r.due {
		if !t.After(now) {
			delete(r.due, p)
		}
	}
	if len(r.due) >= maxRated {
		clear(r.due)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// tooFast refuses a connection beyond the rates, before TLS has cost anything.
func (a *acceptor) tooFast(h *head) bool {
	if a.g.live.Load().rates.allow(h.client, time.Now()) {
		return false
	}
	status := "429 Too Many Requests"
	if h.bytes[0] == recordHandshake {
		status = ""
	}
	a.refuse(h, refusedRate, status)
	return true
}
