package relay

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/gobwas/ws"

	"tickrelay/relay/auth"
	"tickrelay/ring/md"
)

// Access is the part of Config that can change while the gateway runs; its fields are
// those of Config.
type Access struct {
	Auth          *auth.Config
	TLS           *TLSConfig // files and AllowPlain; nil stays nil, not nil stays not nil
	Origins       []string
	ProxyProtocol []netip.Prefix
	Deflate       bool
	Limits        Limits
}

// settings are what the acceptor looks at for each connection. They never change:
// Reconfigure replaces them.
type settings struct {
	origins []string
	deflate bool
	plain   bool // beside TLS
	proxies []netip.Prefix
	rates   *rates // the acceptor's
}

func (c *Config) settings() *settings {
	return &settings{origins: c.Origins, deflate: c.Deflate, plain: c.TLS == nil || c.TLS.AllowPlain, proxies: c.ProxyProtocol, rates: newRates(c.Limits)}
}

// Reconfigure puts a in force: for who connects from now on, and limits and grants for
// who is there too. Connections stay open, but for those whose grant is gone, which are
// told so within a second; where tokens are asked for from now on, that is everybody.
// With an error, which joins every problem, nothing has changed. Safe from any goroutine,
// once Run runs.
func (g *Gateway) Reconfigure(a Access) error {
	g.reloads.mu.Lock()
	defer g.reloads.mu.Unlock()
	c := g.cfg
	c.Auth, c.TLS, c.Origins, c.ProxyProtocol, c.Deflate, c.Limits = a.Auth, a.TLS, a.Origins, a.ProxyProtocol, a.Deflate, a.Limits.withDefaults()
	errs := []error{c.validate()}
	if (c.TLS != nil) != (g.cert != nil) {
		errs = append(errs, errors.New("relay: TLS cannot be switched on or off while the gateway runs"))
	}
	var pair *certificate
	if c.TLS != nil && g.cert != nil {
		var err error
		if pair, err = newCertificate(*c.TLS); err != nil {
			errs = append(errs, err)
		}
	}
	verifier, err := g.verifier(a.Auth)
	if err = errors.Join(append(errs, err)...); err != nil {
		return err
	}
	if a.Auth != nil { // first: it alone can still fail

		if err := g.useAuth(verifier, a.Auth); err != nil {
			return err
		}
	} else {
		if v := g.auth.Swap(nil); v != nil {
			g.idle = v
		}
	}
	if pair != nil {
		g.cert.use(pair)
	}
	g.live.Store(c.settings())
	g.offenders.rule(c.Limits.Offences)
	g.clients.allow(c.Limits.MaxConnsPerAddr)
	g.setLimits(c.Limits)
	g.reloads.note()
	return nil
}

// verifier makes the first one, nil where one is there, or none is wanted.
func (g *Gateway) verifier(c *auth.Config) (*auth.Verifier, error) {
	if c == nil {
		return nil, nil
	}
	with := *c
	if with.Log == nil {
		with.Log = g.cfg.Log
	}
	if g.auth.Load() != nil || g.idle != nil {
		return nil, with.Validate()
	}
	return auth.New(with)
}

// useAuth puts a first verifier, or another configuration of the one that is there, in
// force. Who came in before tokens were asked for is sent away.
func (g *Gateway) useAuth(first *auth.Verifier, c *auth.Config) error {
	if first == nil {
		v := g.auth.Load()
		if v != nil {
			return v.Reconfigure(*c)
		}
		// Tokens were not asked for in between; who came with one that is gone goes.
		if err := g.idle.Reconfigure(*c); err != nil {
			return err
		}
		first, g.idle = g.idle, nil
	}
	g.auth.Store(first)
	g.everyone.Swap(auth.Open()).Revoke()
	return nil
}

// setLimits hands limits to those who keep a copy.
func (g *Gateway) setLimits(l Limits) {
	for _, s := range g.shards {
		s.calls.put(func() {
			s.limits = l
			if n := l.MaxMessage + ws.MaxHeaderSize + 16<<10; n > len(s.buf) {
				s.buf = make([]byte, n)
			}
		})
	}
	g.hub.inbox.put(request{op: requestCall, call: func(h *hub) {
		history := h.limits.HistoryBytes
		h.limits = l
		h.historySpare += (l.HistoryBytes - history) / md.RecordSize
	}})
}

// trusted reports whether an address belongs to one of the proxies.
func (s *settings) trusted(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(s.proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

// trusted is that of the settings in force.
func (g *Gateway) trusted(a netip.Addr) bool { return g.live.Load().trusted(a) }

// authFiles and loadAuth keep the tokens in step with their files.
func (g *Gateway) authFiles() []string {
	if v := g.auth.Load(); v != nil {
		return v.Files()
	}
	return nil
}

func (g *Gateway) loadAuth() error {
	if v := g.auth.Load(); v != nil {
		return v.Load()
	}
	return nil
}

// use puts another pair of files, and what was read of them, in force.
func (c *certificate) use(other *certificate) {
	c.cfg.Store(other.cfg.Load())
	c.current.Store(other.current.Load())
}

// files are none where there is no certificate.
func (c *certificate) files() []string {
	if c == nil {
		return nil
	}
	cfg := c.cfg.Load()
	return []string{cfg.Cert, cfg.Key}
}
