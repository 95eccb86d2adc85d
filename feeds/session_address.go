package feeds

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// systemClock reads the system's clocks. Its monotonic readings count from
// CLOCK_MONOTONIC's origin, so those of all feeds agree and a Budget may be
// shared; one time.Now (no system call) gives both readings.
func systemClock() Clock {
	base := time.Now()
	var ts unix.Timespec
	var origin int64
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) == nil {
		origin = ts.Nano()
	}
	return func() (wall, mono int64) {
		now := time.Now()
		return now.UnixNano(), origin + int64(now.Sub(base))
	}
}

func systemResolver(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// endpoint is a WebSocket address taken apart.
type endpoint struct {
	host   string // name or address, without port
	port   uint16
	header string // as in the Host header
	target string // path and query
	tls    bool
}

// url is the address without its query, which may hold a secret.
func (e endpoint) url() string {
	scheme := "ws://"
	if e.tls {
		scheme = "wss://"
	}
	path, _, _ := strings.Cut(e.target, "?")
	return scheme + e.header + path
}

func parseEndpoint(raw string) (endpoint, error) {
	u, err := parseURL(raw, "ws", "wss")
	if err != nil {
		return endpoint{}, err
	}
	e := endpoint{host: u.Hostname(), header: u.Host, target: u.RequestURI(), tls: u.Scheme == "wss"}
	e.port, err = portOf(u, e.tls)
	return e, err
}

func portOf(u *url.URL, secure bool) (uint16, error) {
	switch {
	case u.Port() != "":
		n, err := strconv.ParseUint(u.Port(), 10, 16)
		if err != nil || n == 0 {
			return 0, fmt.Errorf("%q: no such port", u.Host)
		}
		return uint16(n), nil
	case secure:
		return 443, nil
	}
	return 80, nil
}

// addresses resolves host; an address needs no look-up.
func addresses(ctx context.Context, resolve Resolver, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	addrs, err := resolve(ctx, host)
	if err == nil && len(addrs) == 0 {
		err = fmt.Errorf("feeds: %s has no address", host)
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs, err
}
