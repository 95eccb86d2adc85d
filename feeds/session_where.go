package feeds

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tickrelay/nettune"
)

// Where a session connects to: the feed's address and the route of its part, or
// what the venue's REST tells, by way of a proxy if one is configured.

func contextWithTimeout(l *loop, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(l.ctx, d)
}

// host is whose addresses are dialled: the proxy's if there is one.
func (s *session) host() string {
	if s.proxy != nil {
		return s.proxy.Hostname()
	}
	return s.endpoint.host
}

// locate finds out where to connect to. It may run beside the loop.
func (l *loop) locate(w Way, route int, id string) (endpoint, error) {
	if b, ok := l.cfg.Venue.(Bootstrapper); ok {
		if l.rest == nil {
			return endpoint{}, errNoREST
		}
		body, err := l.rest.do(b.Bootstrap(l.cfg.REST))
		if err != nil {
			return endpoint{}, err
		}
		if w.URL == l.spec.URL {
			w.URL = "" // the venue's own choice
		}
		address, err := b.Endpoint(body, w.URL, id)
		if err != nil {
			return endpoint{}, fmt.Errorf("feeds: %s: where to connect: %w", l.spec.Name, err)
		}
		return parseEndpoint(address)
	}
	if len(l.spec.Routes) > 0 {
		u, err := url.Parse(w.URL)
		if err != nil {
			return endpoint{}, err
		}
		u.Path = strings.TrimSuffix(u.Path, "/") + l.spec.Routes[route].Path
		w.URL = u.String()
	}
	return parseEndpoint(w.URL)
}

// start begins an attempt: finds out where to connect to and its addresses.
func (s *session) start() {
	s.serial++
	s.tried = 0
	s.stats.attempts.Add(1)
	l, serial, w, route := s.l, s.serial, s.way(), s.route
	var err error
	if s.proxy, err = w.proxyOf(); err != nil {
		s.fail(err)
		return
	}
	proxy := s.proxy
	limit := l.cfg.Limits.Resolve
	if _, ok := l.cfg.Venue.(Bootstrapper); ok {
		limit += l.cfg.Limits.REST
	}
	s.setState(LineResolving, limit+time.Second)
	id := fmt.Sprintf("%d-%d", s.line, s.serial)
	l.workers.Go(func() {
		at, err := l.locate(w, route, id)
		var addrs []netip.Addr
		if err == nil {
			host := at.host
			if proxy != nil {
				host = proxy.Hostname()
			}
			ctx, cancel := contextWithTimeout(l, l.cfg.Limits.Resolve)
			defer cancel()
			addrs, err = addresses(ctx, l.cfg.Resolve, host)
		}
		l.mail.post(func() { s.resolved(serial, at, addrs, err) })
	})
}

// tlsFor is the TLS configuration for a host, the same for every connection to
// it, so that sessions are resumed.
func (l *loop) tlsFor(host string) *tls.Config {
	conf := l.tls[host]
	if conf == nil {
		conf = clientTLS(l.cfg.TLS, host)
		l.tls[host] = conf
	}
	return conf
}

// parseProxy accepts the address of an HTTP proxy.
func parseProxy(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, fmt.Errorf("feeds: proxy: %w", err)
	case u.Scheme != "http" || u.Hostname() == "" || u.Path != "" && u.Path != "/":
		return nil, fmt.Errorf("feeds: proxy %q: want http://host:port", u.Redacted())
	}
	return u, nil
}

// proxyPort is 80 unless the address says otherwise.
func proxyPort(u *url.URL) uint16 {
	if n, err := strconv.ParseUint(u.Port(), 10, 16); err == nil && n > 0 {
		return uint16(n)
	}
	return 80
}

// tunnel is the conversation with a proxy: CONNECT, RFC 9110 section 9.3.6.
type tunnel struct {
	out []byte
	in  []byte
}

// maxProxyAnswer bounds the head of a proxy's answer.
const maxProxyAnswer = 16 << 10

func newTunnel(proxy *url.URL, to endpoint) *tunnel {
	target := net.JoinHostPort(to.host, strconv.Itoa(int(to.port)))
	var b bytes.Buffer
	fmt.Fprintf(&b, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", target, target)
	if u := proxy.User; u != nil {
		password, _ := u.Password()
		fmt.Fprintf(&b, "Proxy-Authorization: Basic %s\r\n", base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	b.WriteString("\r\n")
	return &tunnel{out: b.Bytes()}
}

// turn sends and reads what it can; true once the tunnel stands.
func (t *tunnel) turn(s nettune.Stream) (bool, error) {
	for len(t.out) > 0 {
		n, err := s.Write(t.out)
		t.out = t.out[n:]
		if err == nettune.ErrWouldBlock {
			s.WantWrite(true)
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	s.WantWrite(false)
	var one [1]byte // what follows the head is the venue's
	for {
		if _, _, err := s.Read(one[:]); err == nettune.ErrWouldBlock {
			return false, nil
		} else if err != nil {
			return false, err
		}
		t.in = append(t.in, one[0])
		if bytes.HasSuffix(t.in, []byte("\r\n\r\n")) {
			return true, t.answer()
		}
		if len(t.in) > maxProxyAnswer {
			return false, fmt.Errorf("%w: its answer has no end", errProxy)
		}
	}
}

// answer judges the status line.
func (t *tunnel) answer() error {
	line, _, _ := bytes.Cut(t.in, []byte("\r\n"))
	_, status, ok := strings.Cut(string(line), " ")
	if !ok || !strings.HasPrefix(string(line), "HTTP/1.") {
		return fmt.Errorf("%w: %.80q", errProxy, line)
	}
	if !strings.HasPrefix(status, "200") {
		return fmt.Errorf("%w: %.80s", errProxy, status)
	}
	return nil
}
