package proxy

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Config says what a proxy in front of gateways shall do. The zero value is a plain
// HTTP proxy on port 80 in front of a gateway on 127.0.0.1:8080.
type Config struct {
	// Gateways are the addresses of the gateways, IP:PORT, default 127.0.0.1:8080.
	Gateways []string
	// Sources are local addresses of the proxy's host from which it connects to the
	// gateways. A connection takes one of about 28,000 ports of its source, so a
	// single address ends there. Default: the one that the kernel chooses.
	Sources []netip.Addr
	// Listen is the clients' address, IP:PORT or :PORT, default :443 with TLS and
	// :80 without.
	Listen string
	// ServerName is the host name that is served, default: any.
	ServerName string
	// TLSCert and TLSKey are PEM files. haproxy reads the key from the file of the
	// certificate, or from its name + ".key"; TLSKey must then say so or be empty.
	TLSCert, TLSKey string
	// ProxyProtocol tells the gateway the client's address in a PROXY protocol
	// header. The gateway must trust the proxy's addresses (Sources, if any). nginx
	// can do so in its stream module only, which passes bytes and reads no HTTP.
	ProxyProtocol bool
	// MaxConns is the number of client connections to bear, default 16384.
	MaxConns int
	// MaxPerClient bounds the connections of one client address, default no bound.
	MaxPerClient int
	// PingInterval is the gateway's: the longest time that a living WebSocket is
	// silent. All time-outs of the tunnel come from it. Default 30 s, at least 100 ms.
	PingInterval time.Duration
	// FastOpen asks for TCP Fast Open (RFC 7413) towards clients, and with haproxy
	// towards gateways.
	FastOpen bool
}

// Defaults of Config.
const (
	DefaultGateway      = "127.0.0.1:8080"
	DefaultMaxConns     = 16384
	DefaultPingInterval = 30 * time.Second
	DefaultPath         = "/ws" // the gateway's only one
)

const (
	// idleFactor pings may be lost before a tunnel's time-out cuts.
	idleFactor = 4
	// slowTimeout is how long the gateway by default bears a client that takes nothing.
	slowTimeout = 10 * time.Second
	// portsPerSource is the size of net.ipv4.ip_local_port_range, 32768 to 60999.
	portsPerSource = 28232
	// spareConns leaves room for pages, checks and scrapes beside WebSockets.
	spareConns = 256
)

func (c Config) withDefaults() Config {
	if len(c.Gateways) == 0 {
		c.Gateways = []string{DefaultGateway}
	}
	if c.Listen == "" {
		c.Listen = ":80"
		if c.TLSCert != "" {
			c.Listen = ":443"
		}
	}
	if c.MaxConns == 0 {
		c.MaxConns = DefaultMaxConns
	}
	if c.PingInterval == 0 {
		c.PingInterval = DefaultPingInterval
	}
	return c
}

// validate names every problem. What it lets through can be written into a
// configuration file without being read as something else there.
func (c *Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("proxy: "+format, args...)) }
	for _, g := range c.Gateways {
		if a, err := netip.ParseAddrPort(g); err != nil || a.Port() == 0 || a.Addr().Zone() != "" {
			bad("gateway %q: want IP:PORT", g)
		}
	}
	for _, s := range c.Sources {
		if !s.IsValid() || s.IsUnspecified() || s.IsMulticast() || s.Zone() != "" {
			bad("source %q: want an address of this host", s)
		}
	}
	if _, err := c.listen(); err != nil {
		bad("listen %q: want IP:PORT or :PORT", c.Listen)
	}
	for _, f := range []struct{ name, value string }{
		{"server name", c.ServerName}, {"certificate", c.TLSCert}, {"key", c.TLSKey},
	} {
		if strings.ContainsFunc(f.value, special) {
			bad("%s %q: blanks, quotes and the characters ;{}#$\\ are not allowed", f.name, f.value)
		}
	}
	if c.TLSKey != "" && c.TLSCert == "" {
		bad("a key without a certificate")
	}
	if c.MaxConns < 1 || c.MaxConns > 4_000_000 {
		bad("%d connections: want 1 to 4000000", c.MaxConns)
	}
	if c.MaxPerClient < 0 {
		bad("%d connections per client: want 0 (no bound) or more", c.MaxPerClient)
	}
	if c.PingInterval < 100*time.Millisecond || c.PingInterval > 24*time.Hour {
		bad("ping interval %s: want 100ms to 24h", c.PingInterval)
	}
	return errors.Join(errs...)
}

// special finds the characters that end or change a word in either syntax.
func special(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune("\"'`;{}#$\\", r) }

// listen splits the address; the host is empty for all addresses.
func (c *Config) listen() (netip.AddrPort, error) {
	if port, ok := strings.CutPrefix(c.Listen, ":"); ok {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return netip.AddrPort{}, errors.New("port")
		}
		return netip.AddrPortFrom(netip.Addr{}, uint16(n)), nil
	}
	a, err := netip.ParseAddrPort(c.Listen)
	if err == nil && (a.Port() == 0 || a.Addr().Zone() != "") {
		err = errors.New("port or zone")
	}
	return a, err
}

// Idle is the tunnel's time-out: several pings long, so that a lost one cuts nobody.
func (c Config) Idle() time.Duration { return idleFactor * c.withDefaults().PingInterval }

// Warnings says what the configuration cannot mend: one line each, empty if fine.
func (c Config) Warnings() []string {
	c = c.withDefaults()
	var out []string
	if room := portsPerSource * max(1, len(c.Sources)) * len(c.Gateways); c.MaxConns > room {
		out = append(out, fmt.Sprintf("%d connections do not fit into the ports of %d source addresses (about %d): add more",
			c.MaxConns, max(1, len(c.Sources)), room))
	}
	if c.MaxPerClient == 0 && !c.ProxyProtocol {
		out = append(out, "the gateway takes the proxy for its only client: bound connections per client here, or send the PROXY protocol")
	}
	return out
}

// moment writes a time-out in a form that both proxies read.
func moment(d time.Duration) string {
	if d%time.Second == 0 {
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	}
	return strconv.FormatInt(max(1, d.Milliseconds()), 10) + "ms"
}
