package relay

import (
	"net/netip"
	"sync"
)

// clients counts the WebSocket connections of each client address. It is used when
// connections come and go, never per message.
type clients struct {
	most int // per address

	mu    sync.Mutex
	count map[netip.Addr]int
}

// newClients counts nothing if one address may hold all of the gateway's connections.
func newClients(l Limits) *clients {
	c := &clients{most: l.MaxConnsPerAddr}
	if l.MaxConnsPerAddr < l.MaxConns {
		c.count = map[netip.Addr]int{}
	}
	return c
}

// party is whom an address is counted for: itself, or its /64, of which one host can
// use every address at will (RFC 4291, section 2.5.4).
func party(a netip.Addr) netip.Addr {
	if a = a.Unmap(); a.Is4() {
		return a
	}
	p, _ := a.WithZone("").Prefix(64) // cannot fail: an IPv6 address without zone
	return p.Addr()
}

// enter takes one of the address's places, leave gives it back.
func (c *clients) enter(a netip.Addr) bool {
	if c.count == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := party(a)
	if c.count[p] >= c.most {
		return false
	}
	c.count[p]++
	return true
}

func (c *clients) leave(a netip.Addr) {
	if c.count == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := party(a)
	if c.count[p]--; c.count[p] <= 0 {
		delete(c.count, p)
	}
}
