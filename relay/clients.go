package relay

import (
	"net/netip"
	"sync"
)

// clients counts the WebSocket connections of each client address. It is used when
// connections come and go, never per message.
type clients struct {
	mu    sync.Mutex
	most  int // per address
	count map[netip.Addr]int
}

func newClients(l Limits) *clients {
	return &clients{most: l.MaxConnsPerAddr, count: map[netip.Addr]int{}}
}

// allow changes how many connections one address may have. Those that there are stay.
func (c *clients) allow(most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.most = most
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
	c.mu.Lock()
	defer c.mu.Unlock()
	p := party(a)
	if c.count[p]--; c.count[p] <= 0 {
		delete(c.count, p)
	}
}
